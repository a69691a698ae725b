//! Light functions on more than one thread.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use deriva::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn runtime(blocking_threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    builder.max_blocking_threads(blocking_threads);
    builder.enable_all().build().unwrap()
}

/// 400 recipes of a light function, for two jobs.
async fn recipes(function: impl Fn() + Send + Sync + 'static) -> (Deriva, Vec<CAddr>) {
    let builder = Deriva::builder().store("memory:").jobs(2);
    let builder = builder.light_function("light", "1", move |inputs, _| {
        function();
        Ok(inputs.concat().into())
    });
    let deriva = builder.build().await.unwrap();
    let mut targets = Vec::new();
    for i in 0..400 {
        let leaf = deriva.put(format!("leaf {i}")).await.unwrap();
        let recipe = deriva.recipe("light", "1").input(leaf);
        targets.push(recipe.insert().await.unwrap());
    }
    (deriva, targets)
}

#[test]
fn dear_light_functions_run_beside_the_scheduler() {
    let threads: Arc<(Mutex<HashSet<ThreadId>>, Condvar)> = Arc::default();
    let seen = Arc::clone(&threads);
    // The first waits until there is a second.
    let meet = move || {
        let (threads, changed) = &*seen;
        let mut threads = threads.lock().unwrap();
        threads.insert(thread::current().id());
        changed.notify_all();
        let alone = |threads: &mut HashSet<ThreadId>| threads.len() < 2;
        drop(changed.wait_timeout_while(threads, LONG, alone).unwrap());
    };
    runtime(8).block_on(async {
        let (deriva, targets) = recipes(meet).await;
        let done = deriva.materialize_many(targets).await.unwrap();
        assert_eq!(done.summary.computed, 400);
    });
    assert_eq!(threads.0.lock().unwrap().len(), 2);
}

#[test]
fn a_caller_may_hold_the_last_thread_that_may_block() {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime(1);
        let (deriva, targets) = runtime.block_on(recipes(|| ()));
        let handle = runtime.handle().clone();
        let request = move || handle.block_on(async { deriva.materialize_many(targets).await });
        let summary = runtime.block_on(runtime.spawn_blocking(request));
        sender.send(summary.unwrap().unwrap().summary.computed)
    });
    assert_eq!(done.recv_timeout(LONG).unwrap(), 400);
}
