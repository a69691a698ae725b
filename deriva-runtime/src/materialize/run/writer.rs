//! Writing behind: results wait in a batch, and one batch at a time is written (`commit.rs`).

use deriva_api::{Blob, CAddr, Record};
use futures::FutureExt;
use tokio::task::JoinHandle;

use super::commit::Committed;
use crate::materialize::plan::NodeId;

/// Records that are worth a commit while there is other work to do.
const FULL_RECORDS: usize = 1024;
/// Bytes that are worth a commit while there is other work to do.
const FULL_BYTES: u64 = 8 << 20;
/// Bytes and records that may wait for a commit before the scheduler waits too.
const BACKLOG_BYTES: u64 = 32 << 20;
const BACKLOG_RECORDS: usize = 16 * FULL_RECORDS;
/// The share of the memory budget that may wait to be written.
const SHARE: u64 = 8;

/// The batch that is filled, and the one that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    batch: Batch,
    /// What is filled while `batch` is written: both keep their room.
    next_batch: Batch,
    writing: Option<JoinHandle<Committed>>,
    /// A result that somebody waits for is to be written soon.
    hurry: bool,
}

/// Results that wait to be written, and whose flights land once they are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) blobs: Vec<Blob>,
    /// Contents that are recorded without being brought: somebody stored them before.
    pub(super) found: Vec<CAddr>,
    pub(super) records: Vec<Record>,
    pub(super) nodes: Vec<NodeId>,
    /// Which records end a flight of this request.
    pub(super) lands: Vec<bool>,
    /// What the records rely on beside their inputs.
    pub(super) also: Vec<CAddr>,
    /// Not all that the records rely on is known: anything forgotten refuses them.
    pub(super) strict: bool,
    bytes: u64,
    /// Bytes that may wait.
    room: u64,
}

impl Writer {
    /// Nothing waits. `memory` is the budget of which a share may wait.
    pub(super) fn new(memory: u64) -> Self {
        Self {
            batch: Batch::new(memory),
            next_batch: Batch::new(memory),
            writing: None,
            hurry: false,
        }
    }

    /// Adds the output of a node, and its blob unless that is stored. `lands` tells that its flight
    /// belongs to this request, and ends when it is written.
    pub(super) fn add(&mut self, node: NodeId, record: Record, blob: Option<Blob>, lands: bool) {
        self.batch.add(node, record, blob, lands);
    }

    /// What waits relies on these addresses, too.
    pub(super) fn rely_on(&mut self, addrs: impl IntoIterator<Item = CAddr>) {
        self.batch.also.extend(addrs);
    }

    /// Not all that the next batch relies on is known: anything forgotten refuses it.
    pub(super) fn be_strict(&mut self) {
        self.batch.strict = true;
    }

    /// The next batch need not be full.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
    }

    /// So much waits that there should be no more.
    pub(super) fn is_backlog(&self) -> bool {
        self.batch.is_backlog()
    }

    /// Whether a batch is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// How many records would be written now: nothing where a batch is being written, and where there is no full one,
    /// or with `any` none at all.
    pub(super) fn due(&self, any: bool) -> Option<usize> {
        let due = !self.batch.is_empty() && (any || self.hurry || self.batch.is_full());
        (due && self.writing.is_none()).then_some(self.batch.records.len())
    }

    /// Begins to write what waits: `spawn` starts the task.
    pub(super) fn write(&mut self, spawn: impl FnOnce(Batch) -> JoinHandle<Committed>) {
        self.hurry = false;
        let batch = std::mem::replace(&mut self.batch, std::mem::take(&mut self.next_batch));
        self.writing = Some(spawn(batch));
    }

    /// What came of the batch that is being written; waits for ever where none is.
    pub(super) async fn written(&mut self) -> Committed {
        let Some(writing) = &mut self.writing else {
            return std::future::pending().await;
        };
        let committed = writing.await;
        self.writing = None;
        committed.unwrap_or_else(Committed::interrupted)
    }

    /// The same, if it is written by now.
    pub(super) fn try_written(&mut self) -> Option<Committed> {
        match self.writing.as_ref()?.is_finished() {
            true => self.written().now_or_never(),
            false => None,
        }
    }

    /// Takes back a batch that was written, to be filled again; answers with its nodes.
    pub(super) fn take_back(&mut self, mut batch: Batch) -> Vec<NodeId> {
        let nodes = std::mem::take(&mut batch.nodes);
        self.next_batch = batch;
        nodes
    }

    /// Takes what waits.
    pub(super) fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }
}

impl Batch {
    /// An empty batch, under a memory budget.
    pub(super) fn new(memory: u64) -> Self {
        Self {
            // However small the budget is, a result may wait alone.
            room: BACKLOG_BYTES.min(memory / SHARE).max(1),
            ..Self::default()
        }
    }

    /// Adds the output of a node, and its blob unless that is stored. `lands` tells that its flight
    /// belongs to this request, and ends when it is written.
    pub(super) fn add(&mut self, node: NodeId, record: Record, blob: Option<Blob>, lands: bool) {
        self.bytes += blob.as_ref().map_or(0, Blob::len);
        match blob {
            Some(blob) => self.blobs.push(blob),
            None => self.found.push(record.output.addr),
        }
        self.records.push(record);
        self.nodes.push(node);
        self.lands.push(lands);
    }

    pub(super) fn is_backlog(&self) -> bool {
        self.bytes >= self.room || self.records.len() >= BACKLOG_RECORDS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES.min(self.room) || self.records.len() >= FULL_RECORDS
    }

    /// Lets go of everything but the nodes.
    pub(super) fn clear(&mut self) {
        self.blobs.clear();
        self.found.clear();
        self.records.clear();
        self.lands.clear();
        self.also.clear();
        (self.strict, self.bytes) = (false, 0);
    }

    /// The addresses whose flights end with this batch, and what is recorded for each.
    pub(super) fn landing(&self) -> impl Iterator<Item = (CAddr, &Record)> {
        self.records
            .iter()
            .zip(&self.lands)
            .flat_map(|(record, lands)| {
                let own = lands.then_some(record.addr);
                let ended = own.into_iter().chain(record.resolved);
                ended.map(move |addr| (addr, record))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use deriva_api::{Error, ErrorKind, Output};

    use super::*;
    use crate::materialize::run::commit::{Recorded, Written};

    fn record(node: NodeId, blob: &Blob) -> Record {
        Record {
            addr: CAddr::of_blob(&node.to_le_bytes()),
            resolved: None,
            output: Output {
                addr: blob.addr(),
                len: blob.len(),
                cost: Duration::ZERO,
            },
        }
    }

    fn add(writer: &mut Writer, node: NodeId, bytes: usize) {
        let blob = Blob::new(vec![node as u8; bytes]);
        writer.add(node, record(node, &blob), Some(blob), true);
    }

    /// Writes nowhere, and answers so.
    fn write(writer: &mut Writer) {
        writer.write(|mut batch| {
            batch.clear();
            let result = Ok(Written::Recorded(Recorded::default()));
            tokio::spawn(async move { Committed { batch, result } })
        });
    }

    #[tokio::test]
    async fn a_batch_is_due_when_it_is_full_or_asked_for_and_none_is_being_written() {
        let mut writer = Writer::new(u64::MAX);
        assert_eq!((writer.due(true), writer.is_writing()), (None, false));
        add(&mut writer, 1, 10);
        assert_eq!((writer.due(false), writer.due(true)), (None, Some(1)));
        writer.hurry();
        assert_eq!(writer.due(false), Some(1));
        write(&mut writer);
        assert!(writer.is_writing());
        for node in 2..2 + FULL_RECORDS as NodeId {
            add(&mut writer, node, 10);
        }
        assert_eq!(writer.due(true), None, "one batch at a time");
        let committed = writer.written().await;
        assert_eq!(
            (writer.take_back(committed.batch), writer.is_writing()),
            (vec![1], false)
        );
        assert_eq!(writer.due(false), Some(FULL_RECORDS));
        write(&mut writer);
        // What hurried was written with the batch before.
        add(&mut writer, 0, 10);
        let committed = writer.written().await;
        assert_eq!(writer.take_back(committed.batch).len(), FULL_RECORDS);
        assert_eq!((writer.due(false), writer.take().records.len()), (None, 1));
    }

    #[tokio::test]
    async fn it_is_full_by_bytes_and_a_share_of_the_budget_may_wait() {
        let mut writer = Writer::new(SHARE * 1000);
        add(&mut writer, 1, 999);
        assert_eq!((writer.due(false), writer.is_backlog()), (None, false));
        add(&mut writer, 2, 1);
        assert_eq!((writer.due(false), writer.is_backlog()), (Some(2), true));
        write(&mut writer);
        assert!(!writer.is_backlog());
        // However small the budget is, a result may wait alone.
        let mut none = Writer::new(0);
        assert!(!none.is_backlog());
        add(&mut none, 1, 1);
        assert!(none.is_backlog());
    }

    #[tokio::test]
    async fn what_a_batch_relies_on_goes_with_it() {
        let mut writer = Writer::new(u64::MAX);
        let (addr, blob) = (CAddr::of_blob(b"relied on"), Blob::new("found"));
        writer.rely_on([addr]);
        writer.be_strict();
        let stored = Record {
            resolved: Some(addr),
            ..record(1, &blob)
        };
        writer.add(1, stored, None, true);
        writer.add(2, record(2, &blob), Some(blob.clone()), false);
        let batch = writer.take();
        assert_eq!((batch.also.as_slice(), batch.strict), (&[addr][..], true));
        assert_eq!(
            (batch.found.as_slice(), batch.blobs.len()),
            (&[blob.addr()][..], 1)
        );
        let landing: Vec<CAddr> = batch.landing().map(|(addr, _)| addr).collect();
        assert_eq!(
            landing,
            [stored.addr, addr],
            "only what belongs to the request lands"
        );
        assert!(writer.take().is_empty());
    }

    #[tokio::test]
    async fn a_task_that_comes_to_no_end_is_an_error() {
        let mut writer = Writer::new(u64::MAX);
        add(&mut writer, 1, 10);
        let mut aborted = None;
        writer.write(|_| {
            let task = tokio::spawn(std::future::pending());
            aborted = Some(task.abort_handle());
            task
        });
        assert!(writer.try_written().is_none());
        aborted.unwrap().abort();
        let error: Error = writer.written().await.result.unwrap_err();
        assert_eq!(
            (error.kind(), writer.is_writing()),
            (ErrorKind::Cancelled, false)
        );
    }
}
