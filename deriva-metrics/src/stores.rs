//! The layer around stores, and what it counts.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use deriva_api::{Clock, ErrorKind, Result, SharedDistribution};
use deriva_layers::intercept::{Intercept, Operation};
use deriva_layers::intercept_layer;

use crate::sheet::Sheet;
use crate::told::Told;

/// What was done with one store, and what it tells.
pub(crate) struct StoreCounts {
    /// The label.
    pub(crate) place: String,
    clock: Arc<dyn Clock>,
    operations: Vec<Counts>,
    told: Told,
}

/// What came of one operation.
#[derive(Default)]
struct Counts {
    /// Calls by how they ended: the first one well, the others by kind of error.
    ended: [AtomicU64; 1 + KINDS.len()],
    times: SharedDistribution,
    items: AtomicU64,
    bytes: AtomicU64,
}

/// The kinds of errors, each with its label.
pub(crate) const KINDS: [(ErrorKind, &str); 13] = [
    (ErrorKind::NotFound, "not_found"),
    (ErrorKind::Invalid, "invalid"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::Conflict, "conflict"),
    (ErrorKind::Locked, "locked"),
    (ErrorKind::Corrupt, "corrupt"),
    (ErrorKind::Full, "full"),
    (ErrorKind::Unavailable, "unavailable"),
    (ErrorKind::Timeout, "timeout"),
    (ErrorKind::Cancelled, "cancelled"),
    (ErrorKind::Nondeterministic, "nondeterministic"),
    (ErrorKind::Function, "function"),
    (ErrorKind::Internal, "internal"),
];

/// The label of a kind.
pub(crate) fn kind_label(kind: ErrorKind) -> &'static str {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    known.map_or("other", |(_, label)| label)
}

impl StoreCounts {
    pub(crate) fn new(place: String, clock: Arc<dyn Clock>, told: Told) -> Self {
        Self {
            place,
            clock,
            operations: Operation::ALL.iter().map(|_| Counts::default()).collect(),
            told,
        }
    }

    /// Of a store that is inside another one: nobody counts its calls.
    pub(crate) fn inside(place: String, clock: Arc<dyn Clock>, told: Told) -> Self {
        Self {
            place,
            clock,
            operations: Vec::new(),
            told,
        }
    }

    /// Notes all that was done.
    pub(crate) fn note(&self, sheet: &mut Sheet) {
        let store = self.place.as_str();
        self.told.note(sheet, store);
        for (operation, counts) in Operation::ALL.iter().zip(&self.operations) {
            let name = format!("{}_{}", operation.of, operation.name);
            let results = ["ok"].into_iter().chain(KINDS.map(|(_, label)| label));
            let mut any = false;
            for (result, ended) in results.zip(&counts.ended) {
                let ended = ended.load(Relaxed);
                if ended > 0 {
                    any = true;
                    let labels = [store, &name, result];
                    sheet.count("deriva_store_operations_total", &labels, ended);
                }
            }
            if !any && counts.items.load(Relaxed) == 0 {
                continue;
            }
            let labels = [store, name.as_str()];
            let times = counts.times.load();
            sheet.distribution("deriva_store_duration_seconds", &labels, &times);
            let items = counts.items.load(Relaxed);
            sheet.count("deriva_store_items_total", &labels, items);
            let bytes = counts.bytes.load(Relaxed);
            if bytes > 0 {
                sheet.count("deriva_store_bytes_total", &labels, bytes);
            }
        }
    }
}

impl Debug for StoreCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreCounts").field(&self.place).finish()
    }
}

/// Counts the calls of a store. It does not show in what the store prints.
#[derive(Clone, Debug)]
pub(crate) struct MetricsLayer(pub(crate) Arc<StoreCounts>);

impl MetricsLayer {
    fn interceptor(&self, _store: &dyn Display) -> Self {
        self.clone()
    }
}

intercept_layer!(MetricsLayer);

impl Intercept for MetricsLayer {
    const NAME: &'static str = "metrics";
    const IS_SHOWN: bool = false;

    type Attempts = ();

    async fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let counts = &self.0.operations[operation.index()];
        // A part is counted where it fails: then the call does.
        if operation.is_part {
            let done = call().await;
            if let Err(error) = &done {
                counts.end(Some(error.kind()));
            }
            return done;
        }
        let running = Running {
            counts,
            clock: &*self.0.clock,
            began: self.0.clock.now(),
            ended: false,
        };
        let done = call().await;
        running.end(done.as_ref().err().map(|error| error.kind()));
        done
    }

    fn carried(&self, operation: Operation, items: u64, bytes: u64) {
        let counts = &self.0.operations[operation.index()];
        counts.items.fetch_add(items, Relaxed);
        if bytes > 0 {
            counts.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

impl Counts {
    fn end(&self, failed: Option<ErrorKind>) {
        let at = failed.and_then(|kind| KINDS.iter().position(|(known, _)| *known == kind));
        let at = match failed {
            None => 0,
            // What has no label of its own is an error all the same.
            Some(_) => 1 + at.unwrap_or(KINDS.len() - 1),
        };
        self.ended[at].fetch_add(1, Relaxed);
    }
}

/// A call; one that is dropped counts as cancelled.
struct Running<'a> {
    counts: &'a Counts,
    clock: &'a dyn Clock,
    began: Duration,
    ended: bool,
}

impl Running<'_> {
    fn end(mut self, failed: Option<ErrorKind>) {
        self.ended = true;
        let took = self.clock.now().saturating_sub(self.began).as_nanos();
        self.counts
            .times
            .add(u64::try_from(took).unwrap_or(u64::MAX));
        self.counts.end(failed);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.counts.end(Some(ErrorKind::Cancelled));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use deriva_api::{
        Blob, BlobLayer, BlobStore, ByteRange, CAddr, DagLayer, DagStore, FunctionId, Output,
        Params, Recipe, Record, SystemClock,
    };
    use deriva_testkit::ModelStore;
    use futures::{FutureExt, TryStreamExt};

    use super::*;

    fn stores() -> (Arc<StoreCounts>, Arc<dyn BlobStore>, Arc<dyn DagStore>) {
        let clock = Arc::new(SystemClock::new());
        let counts = Arc::new(StoreCounts::new("model".to_owned(), clock, Told::default()));
        let (layer, model) = (MetricsLayer(Arc::clone(&counts)), ModelStore::new());
        let blobs = BlobLayer::wrap(&layer, Arc::new(model.clone()));
        (counts, blobs, DagLayer::wrap(&layer, Arc::new(model)))
    }

    #[tokio::test]
    async fn every_call_counts_once_with_what_it_carried() {
        let (counts, blobs, dag) = stores();
        let many = [Blob::new("one"), Blob::new("three")];
        let addrs = many.each_ref().map(Blob::addr);
        blobs.put(&many).await.unwrap();
        blobs.get(addrs[0]).await.unwrap();
        blobs.get_many(&addrs).await.unwrap();
        let range = ByteRange::new(1, 2);
        blobs.get_range(addrs[0], range).await.unwrap();
        blobs.stat(&addrs).await.unwrap();
        blobs.verify(&addrs).await.unwrap();
        let listed: Vec<_> = blobs.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 2);
        let mut writer = blobs.writer(None).await.unwrap();
        writer.write("wri".into()).await.unwrap();
        writer.write("tten".into()).await.unwrap();
        writer.finish().await.unwrap();
        let writer = blobs.writer(None).await.unwrap();
        writer.abort().await.unwrap();
        blobs.usage().await.unwrap();
        blobs.flush().await.unwrap();

        let function = FunctionId::new("f", "1").unwrap();
        let recipe = Recipe::new(&function, &[addrs[0]], &Params::new()).unwrap();
        let addr = recipe.addr();
        dag.insert(&[recipe]).await.unwrap();
        dag.get_many(&[addr]).await.unwrap();
        dag.outputs(&[addr]).await.unwrap();
        let output = Output {
            addr: addrs[1],
            len: 5,
            cost: Duration::ZERO,
        };
        let record = Record {
            addr,
            resolved: None,
            output,
        };
        dag.record(&[record]).await.unwrap();
        for names in [
            dag.dependents(addrs[0], None),
            dag.by_function(&function, None),
        ] {
            assert_eq!(names.try_collect::<Vec<CAddr>>().await.unwrap(), [addr]);
        }
        dag.list(None).try_collect::<Vec<_>>().await.unwrap();
        dag.set_root("root", addr).await.unwrap();
        dag.roots(None).try_collect::<Vec<_>>().await.unwrap();
        dag.remove_root("root").await.unwrap();
        dag.forget(&[addr]).await.unwrap();
        dag.remove(&[addr]).await.unwrap();
        dag.usage().await.unwrap();
        dag.flush().await.unwrap();
        blobs.remove(&addrs).await.unwrap();

        let of = |contract, name| {
            let mut all = Operation::ALL.iter();
            let at = all.position(|it| it.of == contract && it.name == name);
            &counts.operations[at.unwrap()]
        };
        for operation in Operation::ALL {
            let Counts { ended, times, .. } = of(operation.of, operation.name);
            let calls = match operation.name {
                // Its pieces are parts of the call that `finish` ends.
                "write" => 0,
                "writer" => 2,
                _ => 1,
            };
            assert_eq!(ended[0].load(Relaxed), calls, "{operation:?}");
            assert_eq!(times.load().count(), calls, "{operation:?}");
            assert!(ended[1..].iter().all(|it| it.load(Relaxed) == 0));
        }
        let carried = |contract, name| {
            let counts = of(contract, name);
            (counts.items.load(Relaxed), counts.bytes.load(Relaxed))
        };
        assert_eq!(carried("blob", "put"), (2, 8));
        assert_eq!(carried("blob", "get"), (1, 3));
        assert_eq!(carried("blob", "get_many"), (2, 8));
        assert_eq!(carried("blob", "get_range"), (1, 2));
        assert_eq!(carried("blob", "list"), (2, 0));
        assert_eq!(carried("blob", "write"), (0, 7));
        assert_eq!(carried("blob", "finish"), (1, 0));
        assert_eq!(carried("dag", "insert"), (1, 0));
        assert_eq!(carried("dag", "list"), (1, 0));
    }

    #[tokio::test]
    async fn what_fails_counts_by_its_kind_and_what_is_dropped_as_cancelled() {
        let (counts, blobs, dag) = stores();
        let output = Output {
            addr: CAddr::of_blob(b"output"),
            len: 6,
            cost: Duration::ZERO,
        };
        let record = Record {
            addr: CAddr::of_blob(b"no recipe"),
            resolved: None,
            output,
        };
        let error = dag.record(&[record]).await.unwrap_err();
        assert_eq!(counts.ended(Operation::ALL, "record", error.kind()), 1);
        // A call that is dropped before it is done.
        let layer = MetricsLayer(Arc::clone(&counts));
        let get = Operation::ALL.iter().find(|it| it.name == "get").unwrap();
        let call = layer.attempt(*get, std::future::pending::<Result<()>>);
        assert!(call.now_or_never().is_none());
        assert_eq!(counts.ended(Operation::ALL, "get", ErrorKind::Cancelled), 1);
        assert_eq!(blobs.to_string(), "model", "the layer does not show");
    }

    impl StoreCounts {
        fn ended(&self, all: &[Operation], name: &str, kind: ErrorKind) -> u64 {
            let at = all.iter().position(|it| it.name == name).unwrap();
            let kind = KINDS.iter().position(|(known, _)| *known == kind).unwrap();
            self.operations[at].ended[1 + kind].load(Relaxed)
        }
    }
}
