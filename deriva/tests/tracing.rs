//! What is told to `tracing`: names, levels, fields and parents, and the page that lists them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deriva::events::{Observer, Summary};
use deriva::layers::intercept::{self, Intercept};
use deriva::layers::intercept_layer;
use deriva::prelude::*;
use deriva::spans::{EVENTS, SPANS, TARGET};
use deriva_testkit::{Damage, FaultLayer, Operation};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span or a line, as it was told.
#[derive(Clone, Debug)]
struct Told {
    /// The name of a span, the message of a line.
    name: String,
    level: Level,
    is_span: bool,
    /// Those that it has, set or not.
    declared: Vec<&'static str>,
    fields: BTreeMap<&'static str, String>,
    /// Its place among all.
    parent: Option<usize>,
    /// Whether a span has ended.
    is_over: bool,
}

/// All that deriva told in this process, and what has the target `caller`.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    told: Vec<Told>,
    spans: HashMap<Id, usize>,
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

fn concerns(metadata: &Metadata<'_>) -> bool {
    [TARGET, "caller"].contains(&metadata.target())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !concerns(attributes.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = context.span(id).unwrap().parent().map(|span| span.id());
        let mut state = self.0.lock();
        let parent = parent.map(|parent| state.spans[&parent]);
        let at = state.told.len();
        state.spans.insert(id.clone(), at);
        state.told.push(Told {
            name: attributes.metadata().name().to_owned(),
            level: *attributes.metadata().level(),
            is_span: true,
            declared: attributes
                .metadata()
                .fields()
                .iter()
                .map(|it| it.name())
                .collect(),
            fields: fields.0,
            parent,
            is_over: false,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let mut state = self.0.lock();
        if let Some(at) = state.spans.get(id).copied() {
            state.told[at].fields.append(&mut fields.0);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        if !concerns(event.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let declared = event.metadata().fields().iter().map(|it| it.name());
        let parent = context.event_span(event).map(|span| span.id());
        let mut state = self.0.lock();
        let parent = parent.map(|parent| state.spans[&parent]);
        state.told.push(Told {
            name: fields.0.remove("message").unwrap(),
            level: *event.metadata().level(),
            is_span: false,
            declared: declared.filter(|name| *name != "message").collect(),
            fields: fields.0,
            parent,
            is_over: false,
        });
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut state = self.0.lock();
        // The registry gives the number to another span.
        if let Some(at) = state.spans.remove(&id) {
            state.told[at].is_over = true;
        }
    }
}

/// What is told in this process, from the first call on.
fn kept() -> Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    let begin = || {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(kept.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        kept
    };
    KEPT.get_or_init(begin).clone()
}

/// What was told below a span, each with the names on the way to it.
struct Tree(Vec<(String, Told)>);

impl Kept {
    fn all(&self) -> Vec<Told> {
        self.0.lock().told.clone()
    }

    /// Below the first span of this name for which this holds.
    fn below(&self, name: &str, is_it: impl Fn(&Told) -> bool) -> Tree {
        let all = self.all();
        let root = all
            .iter()
            .position(|it| it.is_span && it.name == name && is_it(it));
        let root = root.expect("the span is there");
        let mut ways: BTreeMap<usize, String> = BTreeMap::from([(root, name.to_owned())]);
        let mut tree = vec![(name.to_owned(), all[root].clone())];
        for (at, told) in all.iter().enumerate() {
            if let Some(above) = told.parent.and_then(|parent| ways.get(&parent)) {
                let way = format!("{above}/{}", told.name);
                if told.is_span {
                    ways.insert(at, way.clone());
                }
                tree.push((way, told.clone()));
            }
        }
        Tree(tree)
    }

    /// Below the span of a request.
    fn request(&self, id: &str) -> Tree {
        self.below("materialize", |it| {
            it.fields.get("request").is_some_and(|it| it == id)
        })
    }
}

impl Tree {
    fn of(&self, way: &str) -> Vec<&Told> {
        let told = self.0.iter().filter(|(it, _)| it == way);
        told.map(|(_, told)| told).collect()
    }

    #[track_caller]
    fn one(&self, way: &str) -> &Told {
        let all = self.of(way);
        let ways: Vec<&String> = self.0.iter().map(|(way, _)| way).collect();
        assert_eq!(all.len(), 1, "{way} in {ways:#?}");
        all[0]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_is_a_tree_across_tasks_threads_and_stores() {
    let kept = kept();
    let heavy = |inputs: &[Bytes], _: &Params| {
        tracing::info!(target: "caller", "inside");
        Ok(inputs.concat().into())
    };
    let deriva = Deriva::builder()
        .store("retry(memory:)")
        .function("heavy", "1", heavy)
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let light = deriva.recipe("text.upper", "1").input(leaf);
    let light = light.insert().await.unwrap();
    let top = deriva.recipe("heavy", "1").input(light).input(leaf);
    let top = top.insert().await.unwrap();
    let caller = tracing::info_span!(target: "caller", "caller");
    let request = deriva.materialize(top).request_id("tree");
    request.into_future().instrument(caller).await.unwrap();

    let tree = kept.below("caller", |_| true);
    let open = tree.0.iter().filter(|(_, it)| it.is_span && !it.is_over);
    let open: Vec<&String> = open.map(|(way, _)| way).collect();
    assert!(open.is_empty(), "who is answered has all of it: {open:?}");
    let request = tree.one("caller/materialize");
    let field = |told: &Told, name: &str| told.fields.get(name).cloned().unwrap_or_default();
    assert_eq!(field(request, "addr"), top.to_string());
    assert_eq!(
        (field(request, "computed"), field(request, "failed")),
        ("2".into(), "0".into())
    );
    let plan = tree.one("caller/materialize/stage/plan");
    assert_eq!(
        (field(plan, "compute"), field(plan, "depth")),
        ("2".into(), "1".into())
    );
    // Of two nodes one is heavy.
    let compute = tree.one("caller/materialize/stage/compute");
    assert_eq!(field(compute, "addr"), top.to_string());
    assert_eq!(
        (field(compute, "function"), field(compute, "bytes")),
        ("heavy/1".into(), "2".into())
    );
    // In a thread of the pool.
    tree.one("caller/materialize/stage/compute/inside");
    tree.one("caller/materialize/stage/compute/computed");
    let commits = tree.of("caller/materialize/stage/commit").into_iter();
    let records: u64 = commits
        .map(|it| field(it, "records").parse::<u64>().unwrap())
        .sum();
    assert_eq!(records, 2);
    // Each store of the stack.
    let records = |way: &str| {
        let way = format!("caller/materialize/stage/commit/store.dag_record{way}");
        tree.of(&way)
            .into_iter()
            .map(|it| (field(it, "store"), field(it, "items")))
            .collect::<Vec<_>>()
    };
    assert!(
        records("")
            .iter()
            .all(|(store, items)| store == "retry" && items != "0")
    );
    assert!(
        records("/store.dag_record")
            .iter()
            .all(|(store, _)| store == "memory")
    );
    assert!(!records("/store.dag_record").is_empty());
    let puts = tree
        .of("caller/materialize/stage/commit/store.blob_put")
        .into_iter();
    let bytes: u64 = puts
        .map(|it| field(it, "bytes").parse::<u64>().unwrap())
        .sum();
    assert_eq!(bytes, 3);
    let of_plan = tree
        .0
        .iter()
        .filter(|(way, _)| way.starts_with("caller/materialize/stage/plan/store.dag_"));
    assert!(of_plan.count() > 0);
    let infos: Vec<&str> = tree
        .0
        .iter()
        .filter(|(_, it)| !it.is_span && it.level == Level::INFO)
        .map(|(way, _)| way.as_str())
        .collect();
    let expected = [
        "caller/materialize/stage/compute/inside",
        "caller/materialize/materialized",
    ];
    assert_eq!(infos, expected, "one line for a request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_once_and_says_of_which_request() {
    let kept = kept();
    let broken = |_: &[Bytes], _: &Params| -> Result<Bytes> {
        Err(Error::new(ErrorKind::Function, "broken beyond repair"))
    };
    let builder = Deriva::builder()
        .store("memory:")
        .function("broken", "1", broken);
    let deriva = builder.build().await.unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let broken = deriva.recipe("broken", "1").input(leaf);
    let broken = broken.insert().await.unwrap();
    let error = deriva
        .materialize(broken)
        .request_id("once")
        .await
        .unwrap_err();
    assert_eq!(error.context("request"), Some("once"));
    let error = deriva
        .materialize(broken)
        .request_id("bytes")
        .bytes()
        .await
        .unwrap_err();
    assert_eq!(error.context("request"), Some("bytes"));
    let request = deriva.materialize_many([leaf, broken]).keep_going();
    let done = request.request_id("part").await.unwrap();
    assert!(done.results[0].is_ok());
    let error = done.results[1].as_ref().unwrap_err();
    assert_eq!(error.context("request"), Some("part"));
    let error = deriva.materialize(broken).await.unwrap_err();
    assert_eq!(
        error.context("request"),
        None,
        "an error that is shared has none"
    );

    let tree = kept.request("once");
    let texts = tree.0.iter().flat_map(|(_, it)| it.fields.values());
    let times = texts
        .filter(|text| text.contains("broken beyond repair"))
        .count();
    assert_eq!(times, 1, "{:#?}", tree.0);
    let told = tree.one("materialize/not materialized");
    assert!(told.fields["error"].contains("request=once"));
    assert_eq!(tree.one("materialize").fields["kind"], "function failed");
    assert_eq!(
        tree.one("materialize/stage/compute").fields["kind"],
        "function failed"
    );

    for wrong in ["", "two words", "new\nline", "ü", &"x".repeat(129)] {
        let error = deriva
            .materialize(leaf)
            .request_id(wrong)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong:?}");
    }
    deriva
        .materialize(leaf)
        .request_id("x".repeat(128))
        .await
        .unwrap();
}

/// A store whose list of recipes shows a damaged one, where that is switched on.
#[derive(Clone, Debug, Default)]
struct Spoil(Arc<AtomicBool>);

impl Spoil {
    fn interceptor(&self, _store: &dyn std::fmt::Display) -> Self {
        self.clone()
    }
}

intercept_layer!(Spoil);

impl Intercept for Spoil {
    const NAME: &'static str = "spoil";
    type Attempts = ();

    async fn attempt<T, F>(
        &self,
        operation: intercept::Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        if (operation.of, operation.name) == ("dag", "list") && self.0.swap(false, SeqCst) {
            let damaged = Error::new(ErrorKind::Corrupt, "a row is damaged");
            return Err(damaged.with("addr", CAddr::MIN));
        }
        call().await
    }
}

/// One that breaks its promise.
struct Panics(AtomicBool);

impl Observer for Panics {
    fn wants_events(&self) -> bool {
        false
    }
    fn request_ended(&self, _: Result<&Summary, &Error>, _: Duration) {
        assert!(self.0.swap(true, SeqCst), "once");
    }
}

/// Everything that there is a word for happens here.
async fn happens() {
    let calls = AtomicU64::new(0);
    let lies = move |_: &[Bytes], _: &Params| Ok(calls.fetch_add(1, SeqCst).to_string().into());
    let broken = |_: &[Bytes], _: &Params| Err(Error::new(ErrorKind::Function, "broken"));
    let big = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().repeat(1000).into());
    let join = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().into());
    let (faults, spoil) = (FaultLayer::new(), Spoil::default());
    let of_store = faults.faults();
    let deriva = Deriva::builder()
        .store("memory:")
        .layer(RetryLayer::new().attempts(2).first_delay(Duration::ZERO))
        .layer(faults)
        .layer(spoil.clone())
        .function("lies", "1", lies)
        .function("broken", "1", broken)
        .light_function("big", "1", big)
        .light_function("join", "1", join)
        .observer(Arc::new(Panics(AtomicBool::new(false))))
        .slow_after(Duration::ZERO)
        .quarantine_after(2)
        .memory(64 << 10)
        .build()
        .await
        .unwrap();
    let recipe = async |function: &str, inputs: &[CAddr]| {
        let recipe = deriva.recipe(function, "1").inputs(inputs.iter().copied());
        recipe.insert().await.unwrap()
    };
    let leaf = deriva.put("leaf").await.unwrap();
    // A request that ends well, and heals what is damaged; one that does not; one that is short of memory.
    let loud = recipe("text.upper", &[leaf]).await;
    deriva.materialize(loud).await.unwrap();
    let output = deriva.dag().outputs(&[loud]).await.unwrap()[0].unwrap();
    of_store.damage(output.addr, Damage::FlipBit(1));
    deriva.scrub().await.unwrap();
    of_store.clear();
    deriva
        .materialize(recipe("broken", &[leaf]).await)
        .await
        .unwrap_err();
    let mut bigs = Vec::new();
    for n in 0..20 {
        let leaf = deriva.put(format!("{n:010}")).await.unwrap();
        bigs.push(recipe("big", &[leaf]).await);
    }
    let request = deriva.materialize(recipe("join", &bigs).await);
    request.store_results(StoreResults::None).await.unwrap();
    // A violation that cannot be written, and then another that can: with it the function is in quarantine.
    for n in 0..2 {
        let leaf = deriva.put(format!("lie {n}")).await.unwrap();
        let lies = recipe("lies", &[leaf]).await;
        if n == 0 {
            of_store.fail_all(Operation::DagSetRoot, ErrorKind::Full);
        }
        let request = deriva.materialize(lies).determinism(Determinism::Dual);
        request.await.unwrap_err();
        of_store.clear();
    }
    // Upkeep, well and not.
    deriva.audit().await.unwrap();
    deriva.audit().addr(leaf).await.unwrap_err();
    spoil.0.store(true, SeqCst);
    deriva.scrub().await.unwrap();
    deriva.scrub().bytes_per_second(0).await.unwrap_err();
    deriva.invalidate(loud).cascade().await.unwrap();
    deriva.invalidate(CAddr::MIN).await.unwrap_err();
    deriva.collect().await.unwrap();
    of_store.fail_all(Operation::DagList, ErrorKind::Unavailable);
    deriva.collect().await.unwrap_err();
    of_store.clear();
}

/// `docs/reference/spans.md` says what the tables say, and the tables what is told. `UPDATE_DOCS=1` writes the page anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_span_and_line_is_on_the_reference_page() {
    let kept = kept();
    happens().await;
    let mut seen: BTreeMap<(bool, String), (Level, Vec<&'static str>)> = BTreeMap::new();
    for told in kept.all() {
        let before = seen.insert(
            (told.is_span, told.name),
            (told.level, told.declared.clone()),
        );
        assert!(before.is_none_or(|before| before.1 == told.declared));
    }
    for operation in intercept::Operation::ALL {
        let name = format!("store.{}_{}", operation.of, operation.name);
        if let Some((level, fields)) = seen.remove(&(true, name)) {
            assert_eq!(
                (level, fields),
                (Level::TRACE, vec!["store", "items", "bytes", "kind"])
            );
        }
    }
    let spans = SPANS
        .iter()
        .map(|it| ((true, it.name), it.level, it.fields));
    let events = EVENTS
        .iter()
        .map(|it| ((false, it.message), it.level, it.fields));
    for ((is_span, name), level, fields) in spans.chain(events) {
        let told = seen.remove(&(is_span, name.to_owned()));
        let (told_level, told_fields) = told.unwrap_or_else(|| panic!("`{name}` is told"));
        let mut fields: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let mut told_fields: Vec<&str> = told_fields;
        fields.sort_unstable();
        told_fields.sort_unstable();
        assert_eq!((level, fields), (told_level, told_fields), "{name}");
    }
    assert!(seen.is_empty(), "in no table: {seen:#?}");

    const OPENING: &str = "<!-- generated -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/spans.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once(OPENING).unwrap();
    let mut expected = format!("{head}{OPENING}\n## Spans\n\n");
    expected
        .push_str("| span | level | in | what it is around | fields |\n|---|---|---|---|---|\n");
    let listed = |fields: &[(&str, &str)]| {
        let fields = fields
            .iter()
            .map(|(name, what)| format!("`{name}`: {what}"));
        fields.collect::<Vec<_>>().join("; ")
    };
    for span in SPANS {
        let (name, level, parent, what) = (span.name, span.level, span.parent, span.what);
        writeln!(
            expected,
            "| `{name}` | {level} | {parent} | {what} | {} |",
            listed(span.fields)
        )
        .unwrap();
    }
    expected.push_str("\n## Spans of stores\n\nEach has `store`, `items`, `bytes` and `kind`.\n\n");
    // A piece for a writer is a part of a call.
    for of in ["blob", "dag"] {
        let of = intercept::Operation::ALL
            .iter()
            .filter(|it| it.of == of && it.name != "write");
        let names = of.map(|it| format!("`store.{}_{}`", it.of, it.name));
        writeln!(expected, "- {}", names.collect::<Vec<_>>().join(", ")).unwrap();
    }
    expected.push_str("\n## Lines\n\n| line | level | when | fields |\n|---|---|---|---|\n");
    for event in EVENTS {
        let (message, level, what) = (event.message, event.level, event.what);
        writeln!(
            expected,
            "| {message} | {level} | {what} | {} |",
            listed(event.fields)
        )
        .unwrap();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let what = "docs/reference/spans.md is out of date: run this test with UPDATE_DOCS=1";
    assert!(page == expected, "{what}");
}
