//! The guide to embedding: its code is that of the examples, and the executor that it shows keeps the promises.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;

use deriva::BlobStore;
use deriva::prelude::*;
use deriva_testkit::{ExecutorFixture, executor_conformance};
use embed::Elsewhere;

#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "of the example, only the executor is used here")]
mod embed;

#[derive(Debug)]
struct AroundThePool;

#[async_trait]
impl ExecutorFixture for AroundThePool {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let mut registry = FunctionRegistry::new();
        for function in functions {
            registry.register(function)?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let pool = PoolExecutor::new(Arc::new(registry), Arc::clone(&clock), 4)?;
        Ok(Arc::new(Elsewhere::around(Arc::new(pool), clock)))
    }
}

executor_conformance!(elsewhere, AroundThePool);

/// The lines of a text, without indentation.
fn lines(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

#[test]
fn the_code_of_the_guide_is_that_of_the_examples() {
    let programs = [
        include_str!("../examples/embed.rs"),
        include_str!("../examples/embed_time.rs"),
        include_str!("embed_guide.rs"),
    ];
    let programs = programs.map(lines);
    let guide = include_str!("../../docs/guide/embed.md");
    let pieces = guide.split("```rust\n").skip(1);
    let mut count = 0;
    for piece in pieces {
        let code = piece.split("```").next().unwrap();
        let is_there = |program: &String| program.contains(&lines(code));
        assert!(programs.iter().any(is_there), "nowhere:\n{code}");
        count += 1;
    }
    assert!(count >= 10, "{count} pieces");
}
