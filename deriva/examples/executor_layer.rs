//! A layer around any executor, which remembers what functions gave, for all stores of the process.
//! `cargo run -p deriva --example executor_layer`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva::layers::ExecutorLayer;
use deriva::prelude::*;
use parking_lot::Mutex;

/// Outputs by resolved address: that of the function, the params and the bytes of the inputs, wherever they are from.
/// Clones remember together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<HashMap<CAddr, Executed>>>);

impl ExecutorLayer for Memory {
    fn wrap(&self, inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        let memory = self.clone();
        Arc::new(Remembering { inner, memory })
    }
}

#[derive(Debug)]
struct Remembering {
    inner: Arc<dyn Executor>,
    memory: Memory,
}

impl fmt::Display for Remembering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remembering({})", self.inner)
    }
}

#[async_trait]
impl Executor for Remembering {
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
        let contents: Vec<CAddr> = step.inputs.iter().map(|input| input.stat().addr).collect();
        let resolved = step.recipe.resolve(&contents)?.addr();
        // A fresh step asks for the computation itself.
        let known = self.memory.0.lock().get(&resolved).cloned();
        if let Some(mut known) = known.filter(|_| !step.fresh) {
            known.reused = true;
            return Ok(known);
        }
        // The step goes on whole, with its deadline and its context; a failure is not remembered.
        let executed = self.inner.execute(step).await?;
        // What lies in a store may go from there.
        if let Operand::Held(_) = &executed.output {
            self.memory.0.lock().insert(resolved, executed.clone());
        }
        Ok(executed)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let memory = Memory::default();
    let calls = Arc::new(AtomicU64::new(0));
    // Stores that know nothing of each other, as each test of a suite has its own.
    for text in ["to be or not", "to be or not", "to be"] {
        let counted = Arc::clone(&calls);
        let deriva = Deriva::builder()
            .store("memory:")
            .function("text.count", "1", move |inputs, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                let words = inputs[0].split(|byte| *byte == b' ').count();
                Ok(words.to_string().into())
            })
            .executor_layer(memory.clone())
            .build()
            .await?;
        let recipe = deriva.recipe("text.count", "1");
        let count = recipe.input(deriva.put(text).await?);
        let words = deriva.get(count.insert().await?).await?;
        println!("{words:?}, by {}", deriva.status().await?.executor);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2, "two texts");
    Ok(())
}
