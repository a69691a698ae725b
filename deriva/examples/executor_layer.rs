//! A layer around any executor, which books what each function took. `cargo run -p deriva --example executor_layer`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deriva::prelude::*;
use parking_lot::Mutex;

/// Calls that ended well, and their time, by function.
type Book = Arc<Mutex<BTreeMap<String, (u64, Duration)>>>;

#[derive(Debug)]
struct Booked {
    inner: Arc<dyn Executor>,
    book: Book,
}

impl fmt::Display for Booked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "booked({})", self.inner)
    }
}

#[async_trait]
impl Executor for Booked {
    fn supports(&self, function: &FunctionId) -> bool {
        self.inner.supports(function)
    }

    fn operands(&self) -> Operands {
        self.inner.operands()
    }

    fn width(&self) -> usize {
        self.inner.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let function = step.recipe.function().to_string();
        let executed = self.inner.execute(step).await?;
        let mut book = self.book.lock();
        let (calls, time) = book.entry(function).or_default();
        *calls += 1;
        *time += executed.cost;
        Ok(executed)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let book = Book::default();
    let kept = Arc::clone(&book);
    let builder = Deriva::builder().store("memory:");
    let builder = builder.wrap_executor(|inner| Arc::new(Booked { inner, book: kept }));
    let deriva = builder.build().await?;

    let text = deriva.put("to be or not to be ".repeat(10_000)).await?;
    let mut unpacked = Vec::new();
    for level in [1, 19] {
        let packed = deriva.recipe("compress.zstd", "1").input(text);
        let packed = packed.param("level", level).insert().await?;
        let recipe = deriva.recipe("compress.unzstd", "1").input(packed);
        unpacked.push(recipe.insert().await?);
    }
    deriva.materialize_many(unpacked.clone()).await?;
    deriva.materialize_many(unpacked).await?;

    let book = book.lock();
    for (function, (calls, time)) in &*book {
        println!("{function}: {calls} in {time:?}");
    }
    // Nothing is computed twice.
    let calls: Vec<_> = book
        .iter()
        .map(|(name, (calls, _))| (&**name, *calls))
        .collect();
    assert_eq!(calls, [("compress.unzstd/1", 2), ("compress.zstd/1", 2)]);
    Ok(())
}
