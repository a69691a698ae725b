//! A layer of one's own around both stores: it books how often each call was made and how long it took.
//! `cargo run -p deriva --example layer`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use deriva::layers::intercept::{Intercept, Operation};
use deriva::layers::intercept_layer;
use deriva::prelude::*;
use parking_lot::Mutex;

/// Calls and their time, by the name of the method.
#[derive(Clone, Debug, Default)]
struct Booked {
    calls: Arc<Mutex<BTreeMap<&'static str, (u64, Duration)>>>,
    clock: Arc<SystemClock>,
}

impl Booked {
    /// What stands around one store. Blobs and graph have one each; here they share a book.
    fn interceptor(&self, _store: &dyn Display) -> Self {
        self.clone()
    }
}

impl Intercept for Booked {
    const NAME: &'static str = "booked";
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
        let began = self.clock.now();
        let answer = call().await;
        let mut book = self.calls.lock();
        let (calls, time) = book.entry(operation.name).or_default();
        *calls += 1;
        *time += self.clock.now() - began;
        answer
    }
}

intercept_layer!(Booked);

#[tokio::main]
async fn main() -> Result<()> {
    let booked = Booked::default();
    let builder = Deriva::builder().store("memory:").layer(booked.clone());
    let deriva = builder.build().await?;
    assert_eq!(deriva.blobs().to_string(), "booked(memory:)");

    let text = deriva.put("to be or not to be").await?;
    let counts = deriva.recipe("text.word_count", "1").input(text);
    let counts = deriva.get(counts.insert().await?).await?;
    assert_eq!(counts, "be\t2\nnot\t1\nor\t1\nto\t2\n");

    let book = booked.calls.lock();
    for (name, (calls, time)) in &*book {
        println!("{name}: {calls} in {time:?}");
    }
    // The text and the counts; one recipe, and one output of it.
    let calls = |name| book.get(name).map(|(calls, _)| *calls);
    assert_eq!(
        (calls("put"), calls("insert"), calls("record")),
        (Some(2), Some(1), Some(1))
    );
    Ok(())
}
