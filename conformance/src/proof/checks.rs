//! Functions that lie and such that do not, recipes of them, and requests that check them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{
    Blob, Bytes, CAddr, ComputeFunction, Cutoff, Determinism, Error, ErrorKind, Event,
    FunctionRegistry, OnViolation, Params, Recipe, Result, Violation,
};
use deriva_runtime::{Deriva, DerivaBuilder};
use deriva_testkit::functions::{function, light};
use deriva_testkit::proof::tell;
use futures::future::join_all;
use parking_lot::Mutex;

/// Requests that go on at the same time.
const AT_ONCE: usize = 4;
/// What the name of a root begins with that is an [`Ask`].
const ASK: &str = "ask";
/// What a lie is before its inputs: `<lie MARK N>`.
const LIE: &str = "<lie ";
/// Functions that lie, by name; see [`with_liars`].
const LIARS: [&str; 6] = [
    "lie.fail",
    "lie.report-light",
    "lie.once",
    "lie.fail-light",
    "lie.report",
    "lie.once-light",
];

/// Gives a builder functions, each heavy and, with `-light` after its name, light:
///
/// | function | gives |
/// |---|---|
/// | `honest.concat/1` | its inputs, one after the other |
/// | `lie.fail/1` | before them `<lie MARK N>`, with another number each time |
/// | `lie.report/1` | the same; its violations are only reported |
/// | `lie.once/1` | the same the first time; then before them `<right>` |
///
/// # Errors
/// None: these names are good.
pub fn with_liars(builder: DerivaBuilder, mark: &'static str) -> Result<DerivaBuilder> {
    let calls = Arc::new(AtomicU64::new(0));
    let lie = move |inputs: &[Bytes]| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        let inputs = inputs.concat();
        Bytes::from([format!("{LIE}{mark} {nth}>").as_bytes(), &inputs].concat())
    };
    let (fails, reported, once) = (lie.clone(), lie.clone(), lie);
    let seen = Mutex::new(HashSet::new());
    let all: [Arc<dyn ComputeFunction>; 4] = [
        function("honest.concat/1", |inputs, _: &Params| {
            Ok(inputs.concat().into())
        })?,
        function("lie.fail/1", move |inputs, _| Ok(fails(inputs)))?,
        function("lie.report/1", move |inputs, _| Ok(reported(inputs)))?,
        function("lie.once/1", move |inputs, _| {
            let is_first = seen.lock().insert(inputs.concat());
            Ok(match is_first {
                true => once(inputs),
                false => [&b"<right>"[..], &inputs.concat()].concat().into(),
            })
        })?,
    ];
    let mut functions = FunctionRegistry::new();
    for heavy in all {
        let id = format!("{}-light/1", heavy.id().name());
        let own = Arc::clone(&heavy);
        functions.register(light(function(&id, move |inputs, params| {
            own.call(inputs, params)
        })?))?;
        functions.register(heavy)?;
    }
    let mut builder = builder.functions(functions);
    for name in ["lie.report", "lie.report-light"] {
        builder = builder.on_violation_of(name, "1", OnViolation::Report);
    }
    Ok(builder)
}

/// All lies in these bytes, as `<lie MARK N>`.
#[must_use]
pub fn lies_in(bytes: &[u8]) -> Vec<String> {
    let begins = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(LIE.as_bytes()));
    let lie = |at: usize| {
        let lie = bytes[at..].split_inclusive(|byte| *byte == b'>').next();
        String::from_utf8_lossy(lie.unwrap_or_default()).into_owned()
    };
    begins.map(lie).collect()
}

/// Recipes that are one computation of one liar, what rests on them, and what rests on none of them.
#[derive(Clone, Debug)]
pub struct Family {
    /// Which function lies.
    pub liar: &'static str,
    /// What it lies about.
    pub leaf: Blob,
    /// All of them.
    pub recipes: Vec<Recipe>,
    /// The computation under three names: over the leaf, and over two recipes that give the leaf.
    pub lies: [CAddr; 3],
    /// Over the first name and the leaf; over that and the second name.
    pub above: [CAddr; 2],
    /// Recipes that rest on no lie, and what they give. The last one needs the others.
    pub honest: [(CAddr, Bytes); 3],
}

impl Family {
    /// The family of this number: the liars take turns.
    ///
    /// # Errors
    /// None: these recipes are good.
    pub fn new(nth: u64) -> Result<Self> {
        let liar = LIARS[(nth % LIARS.len() as u64) as usize];
        let text = format!("leaf {nth};");
        let leaf = Blob::new(text.clone());
        let over = |name: &str, inputs: &[CAddr]| {
            let id = format!("{name}/1").parse()?;
            Recipe::new(&id, inputs, &Params::new())
        };
        let given = leaf.addr();
        let (same, alike) = (
            over("honest.concat", &[given])?,
            over("honest.concat-light", &[given])?,
        );
        let lies = [
            over(liar, &[given])?,
            over(liar, &[same.addr()])?,
            over(liar, &[alike.addr()])?,
        ];
        let above = over("honest.concat", &[lies[0].addr(), given])?;
        let top = over("honest.concat-light", &[above.addr(), lies[1].addr()])?;
        let honest = over("honest.concat", &[same.addr(), alike.addr(), given])?;
        Ok(Self {
            liar,
            leaf,
            lies: [lies[0].addr(), lies[1].addr(), lies[2].addr()],
            above: [above.addr(), top.addr()],
            honest: [
                (same.addr(), text.clone().into()),
                (alike.addr(), text.clone().into()),
                (honest.addr(), text.repeat(3).into()),
            ],
            recipes: [same, alike]
                .into_iter()
                .chain(lies)
                .chain([above, top, honest])
                .collect(),
        })
    }

    /// Whether a request fails that finds the lie.
    #[must_use]
    pub fn fails(&self) -> bool {
        !self.liar.starts_with("lie.report")
    }

    /// Whether most answers are one.
    #[must_use]
    pub fn lies_once(&self) -> bool {
        self.liar.starts_with("lie.once")
    }

    /// What may be a lie, or made from one.
    pub fn suspects(&self) -> impl Iterator<Item = CAddr> + use<> {
        self.lies.into_iter().chain(self.above)
    }
}

/// How something is asked for. A root says so by its name.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// What is checked.
    pub mode: Determinism,
    /// When the same work is looked for under another name.
    pub cutoff: Cutoff,
    /// Whether what does not need a recipe that failed goes on.
    pub keep_going: bool,
}

impl Ask {
    /// The name of the root by which an address is asked for like this, before those with a larger number.
    #[must_use]
    pub fn root(&self, nth: usize) -> String {
        let Self {
            mode,
            cutoff,
            keep_going,
        } = self;
        format!("{ASK} {nth:03} {mode} {} {keep_going}", name(*cutoff))
    }

    fn of_root(root: &str) -> Option<Self> {
        let mut words = root.strip_prefix(ASK)?.split_whitespace().skip(1);
        let mode = words.next()?.parse().ok()?;
        let cutoff = words.next()?;
        let all = [Cutoff::Auto, Cutoff::Always, Cutoff::Never];
        Some(Self {
            mode,
            cutoff: all.into_iter().find(|it| name(*it) == cutoff)?,
            keep_going: words.next()?.parse().ok()?,
        })
    }
}

fn name(cutoff: Cutoff) -> &'static str {
    match cutoff {
        Cutoff::Always => "always",
        Cutoff::Never => "never",
        _ => "auto",
    }
}

/// Asks for what roots name, in the order of their names, and tells each violation that it hears of.
pub(super) async fn ask(deriva: &Deriva) -> Result<()> {
    let roots = deriva.roots().await?;
    let asks = roots
        .into_iter()
        .filter_map(|(root, addr)| Some((Ask::of_root(&root)?, addr)));
    let asks: Vec<(Ask, CAddr)> = asks.collect();
    for group in asks.chunks(AT_ONCE) {
        join_all(group.iter().map(|(ask, addr)| ask_for(deriva, *ask, *addr))).await;
    }
    Ok(())
}

async fn ask_for(deriva: &Deriva, ask: Ask, addr: CAddr) {
    let request = deriva.materialize(addr).determinism(ask.mode);
    let request = request.cutoff(ask.cutoff).jobs(2).progress(|event| {
        if let Event::Violated { addr, .. } = event {
            tell(&addr.to_string());
        }
    });
    let asked = match ask.keep_going {
        true => request.keep_going().await,
        false => request.await,
    };
    let failed = match asked {
        Ok(done) => done.results.into_iter().filter_map(Result::err).collect(),
        Err(error) => vec![error],
    };
    for entry in failed.iter().filter_map(entry_of) {
        tell(&entry);
    }
}

/// The entry of the ledger that an error tells of.
fn entry_of(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::Nondeterministic {
        return None;
    }
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<Violation>()) {
        Some(violation) => Some(violation.recipe.to_string()),
        None => error.context("entry").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_are_found_in_what_is_made_from_them() {
        let bytes = b"<lie a 1>leaf;<right>leaf;<lie b c 2>leaf;<lie";
        assert_eq!(lies_in(bytes), ["<lie a 1>", "<lie b c 2>"]);
    }

    #[test]
    fn a_root_says_how_it_is_asked_for() {
        for mode in ["off", "dual", "sampled:1", "quorum:2/3"] {
            for cutoff in [Cutoff::Auto, Cutoff::Always, Cutoff::Never] {
                let ask = Ask {
                    mode: mode.parse().unwrap(),
                    cutoff,
                    keep_going: cutoff == Cutoff::Auto,
                };
                let root = ask.root(7);
                let read = Ask::of_root(&root).unwrap();
                assert_eq!(read.root(7), root);
                assert_eq!((read.mode, read.cutoff), (ask.mode, ask.cutoff));
            }
        }
        assert!(Ask::of_root("deriva:ledger/open/x").is_none());
    }
}
