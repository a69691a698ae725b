//! Any value of the contracts.

mod answers;

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Answer, AuditEvent, Audited, BlobCheck, BlobStat, ByteRange, CAddr, Capabilities, CollectEvent,
    Collected, Cutoff, Determinism, Difference, Divergence, DurabilityClass, Error, ErrorKind,
    Event, Evidence, Finding, FindingKind, FoundBy, FunctionId, Invalidated, LedgerEntry,
    Materialized, NeededBy, Node, Output, Params, Reason, Recipe, Record, Request, Reuse,
    ScrubCursor, ScrubEvent, Scrubbed, Skipped, StoreResults, Summary, Value, Violation,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) use self::answers::*;

/// How properties are tried.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn addr() -> impl Strategy<Value = CAddr> {
    any::<[u8; 32]>().prop_map(CAddr::from_bytes)
}

pub(crate) fn addrs() -> impl Strategy<Value = Vec<CAddr>> {
    vec(addr(), 0..4)
}

pub(crate) fn stat() -> impl Strategy<Value = BlobStat> {
    (addr(), any::<u64>()).prop_map(|(addr, len)| BlobStat { addr, len })
}

pub(crate) fn output() -> impl Strategy<Value = Output> {
    let cost = any::<u64>().prop_map(Duration::from_nanos);
    (addr(), any::<u64>(), cost).prop_map(|(addr, len, cost)| Output { addr, len, cost })
}

pub(crate) fn time() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

pub(crate) fn range() -> impl Strategy<Value = ByteRange> {
    let len = prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)];
    (any::<u64>(), len).prop_map(|(offset, len)| ByteRange::new(offset, len))
}

pub(crate) fn function() -> impl Strategy<Value = FunctionId> {
    ("[a-zA-Z0-9._+-]{1,128}", "[a-zA-Z0-9._+-]{1,64}")
        .prop_map(|(name, version)| FunctionId::new(&name, &version).unwrap())
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("finite", |x| x.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        finite.prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    // Two levels at a time, so that some lie deeper than messages may.
    leaf.prop_recursive(30, 60, 3, |inner| {
        let list = vec(inner.clone(), 0..3);
        prop_oneof![
            list.prop_map(|items| Value::List(vec![Value::List(items)])),
            btree_map(any::<String>(), inner, 0..3).prop_map(Value::Map),
        ]
    })
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let params = btree_map(any::<String>(), value(), 0..4);
    (function(), vec(addr(), 0..6), params).prop_map(|(function, inputs, params)| {
        let params: Params = params.into_iter().collect();
        Recipe::new(&function, &inputs, &params).unwrap()
    })
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    (recipe(), of(output())).prop_map(|(recipe, output)| Node { recipe, output })
}

pub(crate) fn capabilities() -> impl Strategy<Value = Capabilities> {
    let durability = select(vec![
        DurabilityClass::None,
        DurabilityClass::ProcessCrash,
        DurabilityClass::PowerLoss,
    ]);
    (durability, any::<[bool; 4]>()).prop_map(|(durability, [shared, usage, list, writable])| {
        Capabilities::new(durability)
            .shared(shared)
            .usage(usage)
            .list(list)
            .writable(writable)
    })
}

pub(crate) const CHECKS: [BlobCheck; 5] = [
    BlobCheck::Absent,
    BlobCheck::Damaged,
    BlobCheck::Right(Evidence::Read),
    BlobCheck::Right(Evidence::Remembered),
    BlobCheck::Right(Evidence::Vouched),
];

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (addr(), of(addr()), output()).prop_map(|(addr, resolved, output)| Record {
        addr,
        resolved,
        output,
    })
}

pub(crate) fn divergence() -> impl Strategy<Value = Divergence> {
    (addr(), output(), output()).prop_map(|(addr, recorded, offered)| Divergence {
        addr,
        recorded,
        offered,
    })
}

fn determinism() -> impl Strategy<Value = Determinism> {
    prop_oneof![
        Just(Determinism::Off),
        Just(Determinism::Dual),
        (0.0..=1.0f64).prop_map(|rate| Determinism::Sampled { rate }),
        (2..=33u32).prop_map(|agree| Determinism::Quorum {
            agree,
            of: 2 * agree - 2,
        }),
    ]
}

fn store_results() -> impl Strategy<Value = StoreResults> {
    prop_oneof![
        Just(StoreResults::All),
        Just(StoreResults::None),
        Just(StoreResults::Roots),
        time().prop_map(|per_mib| StoreResults::Worth { per_mib }),
        Just(StoreResults::Worth {
            per_mib: Duration::MAX
        }),
    ]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let cutoff = select(vec![Cutoff::Auto, Cutoff::Always, Cutoff::Never]);
    let how = (any::<bool>(), of(any::<usize>()), of(time()), any::<i32>());
    let policies = (of(store_results()), of(cutoff), of(determinism()));
    let more = (
        vec((addr(), determinism()), 0..3),
        of(any::<bool>()),
        of("[!-~]{1,128}"),
    );
    (addrs(), how, policies, more).prop_map(|(targets, how, policies, more)| {
        let mut request = Request::new(targets);
        (
            request.keep_going,
            request.jobs,
            request.deadline,
            request.priority,
        ) = how;
        (request.store_results, request.cutoff, request.determinism) = policies;
        let (at, perturb, id) = more;
        request.determinism_at = at.into_iter().collect();
        request.perturb = perturb;
        request.request_id = id.map(Arc::from);
        request
    })
}

pub(crate) fn violation() -> impl Strategy<Value = Violation> {
    let answer = prop_oneof![
        (addr(), any::<u64>()).prop_map(|(addr, len)| Answer::output(addr, len)),
        any::<String>().prop_map(Answer::failure),
    ];
    let answer = (answer, any::<u64>()).prop_map(|(mut answer, runs)| {
        answer.runs = runs;
        answer
    });
    let bytes = || vec(any::<u8>(), 0..40);
    let difference =
        (bytes(), bytes()).prop_map(|(first, second)| Difference::between(&first, &second));
    let found_by = select(vec![
        FoundBy::Request,
        FoundBy::Sample,
        FoundBy::Audit,
        FoundBy::Healing,
        FoundBy::Record,
    ]);
    let names = (addr(), addr(), function());
    let rest = (of(addr()), found_by, any::<bool>(), any::<[u64; 2]>());
    (names, vec(answer, 0..4), difference, rest).prop_map(|(names, answers, difference, rest)| {
        let (recipe, resolved, function) = names;
        let mut violation = Violation::new(recipe, resolved, function, answers);
        violation.difference = difference;
        (
            violation.accepted,
            violation.found_by,
            violation.perturbed,
            _,
        ) = rest;
        [violation.at_millis, violation.times] = rest.3;
        violation
    })
}

pub(crate) fn entry() -> impl Strategy<Value = LedgerEntry> {
    let released = any::<bool>();
    prop_oneof![
        (violation(), released, addrs()).prop_map(|(violation, released, evidence)| {
            LedgerEntry::new(violation, released, evidence)
        }),
        (addr(), released, any::<String>())
            .prop_map(|(recipe, released, damage)| LedgerEntry::damaged(recipe, released, damage)),
    ]
}

/// Short enough that nothing of it is cut.
pub(crate) fn error() -> impl Strategy<Value = Error> {
    let text = || "[ -~é\n]{0,30}";
    let pairs = btree_map("[a-z_]{1,10}", text(), 0..4);
    let own = (
        select(ErrorKind::ALL.to_vec()),
        text(),
        of("[a-z]{1,8}"),
        pairs,
    );
    let own = (own, of(text()), addrs())
        .prop_map(|((kind, message, operation, pairs), hint, path)| {
            let mut error = Error::new(kind, message).along(path);
            for (key, value) in pairs {
                error = error.with(key, value);
            }
            if let Some(operation) = operation {
                error = error.during(operation);
            }
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
        .boxed();
    let last = prop_oneof![
        own.clone(),
        (own.clone(), text()).prop_map(|(error, text)| error.caused_by(text)),
        (own.clone(), violation()).prop_map(|(error, violation)| error.caused_by(violation)),
    ];
    last.prop_recursive(3, 3, 1, move |inner| {
        (own.clone(), inner).prop_map(|(error, inner)| error.caused_by(inner))
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    select(vec![Reason::New, Reason::Lost, Reason::Unchecked])
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let how = select(vec![
        Reuse::Recorded,
        Reuse::Cutoff,
        Reuse::Joined,
        Reuse::Executor,
    ]);
    let progress = (any::<[u64; 3]>(), of(time()));
    prop_oneof![
        any::<[u64; 2]>().prop_map(|[compute, reused]| Event::Planned { compute, reused }),
        progress.prop_map(|([done, planned, bytes], left)| Event::Progress {
            done,
            planned,
            bytes,
            left
        }),
        (addr(), reason()).prop_map(|(addr, reason)| Event::Started { addr, reason }),
        (addr(), any::<u64>(), of(any::<u64>())).prop_map(|(addr, done, of)| Event::Step {
            addr,
            done,
            of
        }),
        (addr(), output(), reason()).prop_map(|(addr, output, reason)| Event::Computed {
            addr,
            output,
            reason
        }),
        (addr(), output(), how).prop_map(|(addr, output, how)| Event::Reused { addr, output, how }),
        addr().prop_map(|addr| Event::Healed { addr }),
        (addr(), violation().prop_map(Arc::new))
            .prop_map(|(addr, violation)| Event::Violated { addr, violation }),
        (addr(), error()).prop_map(|(addr, error)| Event::Failed { addr, error }),
        addr().prop_map(|addr| Event::Skipped { addr }),
    ]
}

/// Not minus zero, which messages do not tell from zero where it is no param.
fn seconds() -> impl Strategy<Value = f64> {
    0.0..1e300
}

pub(crate) fn summary() -> impl Strategy<Value = Summary> {
    (any::<[u64; 13]>(), seconds()).prop_map(|(n, seconds)| {
        let mut it = Summary::default();
        [
            it.planned,
            it.computed,
            it.reused,
            it.cutoff,
            it.healed,
            it.joined,
            it.executor_hits,
            it.checked,
            it.violations,
            it.doubted,
            it.failed,
            it.skipped,
            it.bytes,
        ] = n;
        it.seconds = seconds;
        it
    })
}

pub(crate) fn materialized() -> impl Strategy<Value = Materialized> {
    let result = prop_oneof![stat().prop_map(Ok), error().prop_map(Err)];
    (vec(result, 0..4), summary(), addrs()).prop_map(|(results, summary, doubted)| {
        let held = vec![None; results.len()];
        let mut done = Materialized::new(results, held, summary);
        done.doubted = doubted;
        done
    })
}

pub(crate) fn invalidated() -> impl Strategy<Value = Invalidated> {
    let rest = (any::<bool>(), seconds(), seconds());
    (any::<[u64; 4]>(), rest).prop_map(|(n, rest)| {
        let mut it = Invalidated::default();
        [it.recipes, it.outputs, it.bytes, it.depth] = n;
        (it.dry_run, it.rebuild_seconds, it.seconds) = rest;
        it
    })
}

pub(crate) fn collected() -> impl Strategy<Value = Collected> {
    let rest = (any::<bool>(), of(any::<u64>()), seconds(), seconds());
    (any::<[u64; 7]>(), rest).prop_map(|(n, rest)| {
        let mut it = Collected::default();
        [
            it.recipes,
            it.outputs,
            it.blobs,
            it.bytes,
            it.kept_recipes,
            it.kept_blobs,
            it.kept_bytes,
        ] = n;
        (it.dry_run, it.derived_bytes, it.rebuild_seconds, it.seconds) = rest;
        it
    })
}

pub(crate) fn collect_event() -> impl Strategy<Value = CollectEvent> {
    prop_oneof![
        any::<[u64; 2]>().prop_map(|[recipes, blobs]| CollectEvent::Listed { recipes, blobs }),
        any::<u64>().prop_map(|recipes| CollectEvent::Living { recipes }),
        collected().prop_map(CollectEvent::Taken),
    ]
}

fn kind() -> impl Strategy<Value = FindingKind> {
    select(vec![
        FindingKind::Blob,
        FindingKind::Output,
        FindingKind::Recipe,
    ])
}

fn cursor() -> impl Strategy<Value = ScrubCursor> {
    prop_oneof![
        of(addr()).prop_map(ScrubCursor::Recipes),
        of(addr()).prop_map(ScrubCursor::Blobs),
    ]
}

fn finding() -> impl Strategy<Value = Finding> {
    let roots = vec(any::<String>(), 0..3);
    let needed_by = (addrs(), roots, any::<[u64; 2]>(), any::<bool>());
    let needed_by = needed_by.prop_map(|(recipes, roots, n, complete)| {
        let mut it = NeededBy::default();
        (it.recipes, it.roots, it.complete) = (recipes, roots, complete);
        [it.recipe_count, it.root_count] = n;
        it
    });
    (addr(), kind(), any::<String>(), needed_by)
        .prop_map(|(addr, kind, reason, needed_by)| Finding::new(addr, kind, reason, needed_by))
}

pub(crate) fn scrubbed() -> impl Strategy<Value = Scrubbed> {
    let rest = (vec(finding(), 0..3), of(cursor()), seconds());
    (any::<[u64; 7]>(), rest).prop_map(|(n, rest)| {
        let mut it = Scrubbed::default();
        [
            it.recipes,
            it.blobs,
            it.bytes,
            it.corrupt,
            it.missing,
            it.healed,
            it.unhealed,
        ] = n;
        (it.findings, it.cursor, it.seconds) = rest;
        it
    })
}

pub(crate) fn scrub_event() -> impl Strategy<Value = ScrubEvent> {
    let progress = (any::<[u64; 3]>(), cursor());
    prop_oneof![
        progress.prop_map(|([recipes, blobs, bytes], cursor)| ScrubEvent::Progress {
            recipes,
            blobs,
            bytes,
            cursor
        }),
        (addr(), kind()).prop_map(|(addr, kind)| ScrubEvent::Found { addr, kind }),
        addr().prop_map(|addr| ScrubEvent::Healed { addr }),
        (addr(), kind()).prop_map(|(addr, kind)| ScrubEvent::Unhealed { addr, kind }),
    ]
}

pub(crate) fn audited() -> impl Strategy<Value = Audited> {
    let rest = (addrs(), any::<bool>(), of(addr()), seconds());
    (any::<[u64; 6]>(), rest).prop_map(|(n, rest)| {
        let mut it = Audited::default();
        [
            it.outputs,
            it.audited,
            it.agreed,
            it.violated,
            it.skipped,
            it.bytes,
        ] = n;
        (it.violations, it.dry_run, it.cursor, it.seconds) = rest;
        it
    })
}

pub(crate) fn audit_event() -> impl Strategy<Value = AuditEvent> {
    let reason = select(vec![
        Skipped::Inputs,
        Skipped::UnknownFunction,
        Skipped::Condemned,
        Skipped::Changed,
        Skipped::Damaged,
    ]);
    let progress = (any::<[u64; 3]>(), addr());
    prop_oneof![
        progress.prop_map(
            |([outputs, audited, violated], cursor)| AuditEvent::Progress {
                outputs,
                audited,
                violated,
                cursor
            }
        ),
        (addr(), violation().prop_map(Arc::new))
            .prop_map(|(addr, violation)| AuditEvent::Violated { addr, violation }),
        (addr(), reason).prop_map(|(addr, reason)| AuditEvent::Skipped { addr, reason }),
    ]
}
