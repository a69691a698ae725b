//! The state machines that requests share, under thousands of orders in which threads may come to them.
//!
//! Every access to a lock or counter of `crate::shared::sync` is a point at which `shuttle` may let another thread go
//! on; a schedule in which everybody waits fails. Which schedules are tried is random, and a failure prints
//! its schedule.

mod checks;
mod flights;
mod leases;
mod ledger;
mod planner;
mod slots;

use std::sync::Arc;

use deriva_api::{BlobStore, Bytes, DagStore, FunctionRegistry, Params, Weight};
use deriva_testkit::{ManualClock, ModelStore};
use shuttle::future::block_on;
use shuttle::thread::{JoinHandle, spawn};

use crate::shared::Inner;
use crate::{DerivaBuilder, InlineExecutor};

/// Schedules that each test tries.
const SCHEDULES: usize = 2000;

/// Runs each of `count` threads to its end.
fn threads(count: usize, thread: impl Fn(usize) + Clone + Send + 'static) {
    let start = |i| {
        let thread = thread.clone();
        spawn(move || thread(i))
    };
    let threads: Vec<JoinHandle<()>> = (0..count).map(start).collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// What requests share, over a store in memory.
fn inner(store: &ModelStore) -> Arc<Inner> {
    inner_over(Arc::new(store.clone()), Arc::new(store.clone()))
}

/// The same over other stores; called where schedules are tried.
fn inner_over(blobs: Arc<dyn BlobStore>, dag: Arc<dyn DagStore>) -> Arc<Inner> {
    let mut functions = FunctionRegistry::new();
    let concat = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().into());
    functions
        .register_fn("concat", "1", Weight::Light, concat)
        .unwrap();
    let clock = Arc::new(ManualClock::new());
    let executor = InlineExecutor::new(Arc::new(functions.clone()), clock.clone());
    let builder = DerivaBuilder::new()
        .blobs(blobs)
        .dag(dag)
        .functions(functions)
        .clock(clock)
        .jobs(1)
        .cache_bytes(0)
        .memory(1 << 20)
        .executor(Arc::new(executor));
    block_on(builder.build()).unwrap().inner
}

/// A runtime to have a handle of; nothing runs on it.
fn idle_tokio() -> tokio::runtime::Runtime {
    let built = tokio::runtime::Builder::new_current_thread().build();
    built.unwrap()
}
