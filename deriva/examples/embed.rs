//! A service around deriva: functions and an executor of its own, events, errors, an orderly end. The guide
//! `docs/guide/embed.md` goes through it. `cargo run -p deriva --example embed`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]
#![allow(clippy::unwrap_used, reason = "what is wrong ends an example")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deriva::prelude::*;

/// Counts the lines of a document that hold one of some terms. The list is loaded once; which list it is belongs to
/// what the function computes, so another list is another version.
#[derive(Debug)]
struct Terms {
    id: FunctionId,
    params: Vec<ParamDoc>,
    terms: Vec<String>,
}

impl Terms {
    fn new(version: &str, terms: &[&str]) -> Result<Self> {
        Ok(Self {
            id: FunctionId::new("notes.terms", version)?,
            params: vec![ParamDoc {
                name: "at_most".into(),
                kind: "int".into(),
                required: false,
                description: "Lines to count at the most, 1 or more; default all.".into(),
            }],
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        })
    }
}

impl ComputeFunction for Terms {
    fn id(&self) -> &FunctionId {
        &self.id
    }

    fn weight(&self) -> Weight {
        Weight::Heavy
    }

    fn description(&self) -> &str {
        "Counts the lines that hold a term."
    }

    fn params(&self) -> &[ParamDoc] {
        &self.params
    }

    // Asked when a recipe is inserted, and before each call.
    fn check(&self, inputs: usize, params: &Params) -> Result<()> {
        let known = |name: &str| self.params.iter().any(|param| param.name == name);
        let wrong = |what| Err(Error::new(ErrorKind::Invalid, what));
        match params.int("at_most")? {
            _ if inputs != 1 => wrong("one document was expected"),
            _ if !params.iter().all(|(name, _)| known(name)) => wrong("there is only `at_most`"),
            Some(..=0) => wrong("`at_most` is 1 or more"),
            _ => Ok(()),
        }
    }

    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes> {
        self.call_within(inputs, params, &CallContext::default())
    }

    fn call_within(
        &self,
        inputs: &[Bytes],
        params: &Params,
        context: &CallContext,
    ) -> Result<Bytes> {
        let text = String::from_utf8_lossy(&inputs[0]);
        let at_most = params.int("at_most")?.unwrap_or(i64::MAX) as u64;
        let (mut found, mut done) = (0, 0);
        for line in text.lines() {
            if done % 1024 == 0 {
                context.check()?;
                context.progress(done, None);
            }
            found += u64::from(self.terms.iter().any(|term| line.contains(term)));
            done += 1;
            if found == at_most {
                break;
            }
        }
        Ok(found.to_string().into())
    }

    fn output_len(&self, _: &[u64], _: &Params) -> u64 {
        20
    }
}

/// The function that is run elsewhere.
const TRANSLATE: (&str, &str) = ("notes.translate", "1");

/// Runs [`TRANSLATE`] elsewhere, and all else on the pool.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pool: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    asked: AtomicU64,
}

impl Elsewhere {
    /// The layer, but for its clock.
    pub(crate) fn around(pool: Arc<dyn Executor>, clock: Arc<dyn Clock>) -> Arc<dyn Executor> {
        let asked = AtomicU64::new(0);
        Arc::new(Self { pool, clock, asked })
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "elsewhere({})", self.pool)
    }
}

#[async_trait]
impl Executor for Elsewhere {
    fn supports(&self, function: &FunctionId) -> bool {
        (function.name(), function.version()) == TRANSLATE || self.pool.supports(function)
    }

    fn operands(&self) -> Operands {
        self.pool.operands()
    }

    fn width(&self) -> usize {
        self.pool.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        if (step.recipe.name(), step.recipe.version()) != TRANSLATE {
            return self.pool.execute(step).await;
        }
        let [Operand::Held(document)] = step.inputs.as_slice() else {
            return Err(Error::new(ErrorKind::Invalid, "one document was expected"));
        };
        let began = self.clock.now();
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        let translated = elsewhere(nth, document.bytes()).await?;
        let cost = self.clock.now().saturating_sub(began);
        Ok(Executed::new(Operand::Held(Blob::new(translated)), cost))
    }
}

/// Stands for a call over the network: the first one fails, as such calls do.
async fn elsewhere(nth: u64, document: &[u8]) -> Result<Bytes> {
    tokio::task::yield_now().await;
    match nth {
        0 => Err(Error::new(
            ErrorKind::Unavailable,
            "the translator did not answer",
        )),
        _ => Ok(document.to_ascii_uppercase().into()),
    }
}

/// What the service counts for its operators.
#[derive(Debug, Default)]
struct Counts {
    computed: AtomicU64,
    reused: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    fn hear(&self, event: &Event) {
        let count = match event {
            Event::Computed { .. } => &self.computed,
            Event::Reused { .. } => &self.reused,
            Event::Failed { .. } => &self.failed,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> [u64; 3] {
        [&self.computed, &self.reused, &self.failed].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Cheap to clone: one for each connection.
#[derive(Clone, Debug)]
struct Service {
    deriva: Deriva,
    counts: Arc<Counts>,
}

impl Service {
    async fn open(store: &str) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let time = Arc::clone(&clock);
        let deriva = Deriva::builder()
            .store(store)
            .light_function("notes.trim", "1", |inputs, _| {
                Ok(inputs[0].trim_ascii().to_vec().into())
            })
            .compute(Terms::new("1", &["store"])?)
            .compute(Terms::new("2", &["store", "recipe"])?)
            .executor_layer(move |pool: Arc<_>| Elsewhere::around(pool, time.clone()))
            .clock(clock)
            .jobs(4)
            .memory(256 << 20)
            .cache_bytes(32 << 20)
            .store_results_of("notes.trim", "1", StoreResults::None)
            .cutoff_of("notes.trim", "1", Cutoff::Never)
            .build()
            .await?;
        Ok(Self {
            deriva,
            counts: Arc::default(),
        })
    }

    /// The recipe of a report. Nothing is computed: the address may be handed out.
    async fn report(&self, document: impl Into<Bytes>, version: &str) -> Result<CAddr> {
        let document = self.deriva.put(document).await?;
        let trimmed = self.deriva.recipe("notes.trim", "1").input(document);
        let trimmed = trimmed.insert().await?;
        let report = self.deriva.recipe("notes.terms", version).input(trimmed);
        report.param("at_most", 1000).insert().await
    }

    /// The bytes of an address, for a client that waits so long.
    async fn answer(&self, addr: CAddr, patience: Duration) -> Result<Bytes> {
        let counts = Arc::clone(&self.counts);
        self.deriva
            .materialize(addr)
            .deadline(patience)
            .progress(move |event| counts.hear(event))
            .bytes()
            .await
    }

    /// As `answer`, and once more after a passing fault.
    async fn answer_for_sure(&self, addr: CAddr, patience: Duration) -> Result<Bytes> {
        match self.answer(addr, patience).await {
            Err(error) if error.is_retryable() => self.answer(addr, patience).await,
            done => done,
        }
    }

    /// Ends the service: what was acknowledged is durable, and with the last handle the store is closed.
    async fn close(self) -> Result<()> {
        self.deriva.flush().await
    }
}

/// What a client over HTTP is told.
fn status(error: &Error) -> u16 {
    match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::Invalid | ErrorKind::Function => 422,
        ErrorKind::Unsupported => 501,
        ErrorKind::Conflict => 409,
        ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Cancelled => 503,
        ErrorKind::Timeout => 504,
        ErrorKind::Full => 507,
        _ => 500,
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let store = format!("sled:{}", folder.path().join("data").display());
    let patience = Duration::from_secs(600);
    let document = "  a store\na recipe\nneither\n";

    let service = Service::open(&store).await?;
    let report = service.report(document, "1").await?;
    assert_eq!(service.answer(report, patience).await?, "1");
    assert_eq!(service.counts.all(), [2, 0, 0]);
    // Nothing is computed twice; another version is another recipe, over a `notes.trim` that is not kept.
    assert_eq!(service.clone().answer(report, patience).await?, "1");
    assert_eq!(service.counts.all(), [2, 1, 0]);
    let newer = service.report(document, "2").await?;
    assert_eq!(service.answer(newer, patience).await?, "2");
    assert_eq!(service.counts.all(), [4, 1, 0]);

    // What only the executor has is not registered. Its first call fails, and a failure is not remembered.
    let input = service.deriva.put("ship").await?;
    let translation = service.deriva.recipe("notes.translate", "1").input(input);
    let translation = translation.insert().await?;
    let error = service.answer(translation, patience).await.unwrap_err();
    assert!(error.is_retryable() && error.path().last() == Some(&translation));
    assert_eq!(
        service.answer_for_sure(translation, patience).await?,
        "SHIP"
    );

    // Mistakes are told when a recipe is inserted, and what nobody can compute before any work.
    let wrong = service.deriva.recipe("notes.terms", "1").input(input);
    let wrong = wrong.param("at_most", 0).insert().await.unwrap_err();
    assert_eq!((wrong.kind(), status(&wrong)), (ErrorKind::Invalid, 422));
    assert_eq!(wrong.context("function"), Some("notes.terms/1"));
    let unknown = service.deriva.recipe("notes.rhyme", "1").input(input);
    let unknown = unknown.insert().await?;
    let unknown = service.answer(unknown, patience).await.unwrap_err();
    assert_eq!(unknown.context("unknown_functions"), Some("notes.rhyme/1"));
    assert_eq!(
        (unknown.kind(), status(&unknown)),
        (ErrorKind::Unsupported, 501)
    );
    println!("{unknown:#}");

    // A second handle on the store, with functions and settings of its own.
    let other = Deriva::builder()
        .store(&store)
        .cache_bytes(0)
        .build()
        .await?;
    assert_eq!(other.get(report).await?, "1");
    drop(other);

    // Closed with its last handle, and opened again: all is there.
    service.close().await?;
    let service = Service::open(&store).await?;
    assert_eq!(service.answer(newer, patience).await?, "2");
    assert_eq!(service.counts.all(), [0, 1, 0]);
    service.close().await
}
