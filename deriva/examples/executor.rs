//! An executor of one's own: the tools of the system as functions, for which nothing is registered.
//! `cargo run -p deriva --example executor`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::fmt;
use std::io::{self, Seek, Write};
use std::process::{Command, Output};
use std::sync::Arc;

use deriva::prelude::*;

/// `tool.NAME/1` is the program NAME, fed with the only input: these, and no others.
const TOOLS: [&str; 2] = ["sort", "uniq"];

/// Runs [`TOOLS`] as programs, and all else inside.
#[derive(Debug)]
pub(crate) struct Tools(Arc<dyn Executor>);

impl Tools {
    pub(crate) fn around(inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        Arc::new(Self(inner))
    }

    fn tool(function: &FunctionId) -> Option<&'static str> {
        let named = |tool: &&str| format!("tool.{tool}/1") == function.to_string();
        TOOLS.into_iter().find(named)
    }
}

/// Blocks until the program has ended.
fn run(tool: &str, input: &[u8]) -> io::Result<Output> {
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(input)?;
    stdin.rewind()?;
    // What a function gives depends on its inputs alone, and `sort` would look at the locale.
    let mut command = Command::new(tool);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("LC_ALL", "C").stdin(stdin).output()
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tools({})", self.0)
    }
}

#[async_trait]
impl Executor for Tools {
    fn supports(&self, function: &FunctionId) -> bool {
        Self::tool(function).is_some() || self.0.supports(function)
    }

    fn operands(&self) -> Operands {
        self.0.operands()
    }

    fn width(&self) -> usize {
        self.0.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let Some(tool) = Self::tool(&step.recipe.function()) else {
            return self.0.execute(step).await;
        };
        let [Operand::Held(input)] = &step.inputs[..] else {
            return Err(Error::new(ErrorKind::Invalid, "a tool takes one input"));
        };
        let (input, clock) = (input.bytes().clone(), SystemClock::new());
        let ran = tokio::task::spawn_blocking(move || run(tool, &input)).await;
        let done = ran.map_err(io::Error::other).flatten().map_err(Error::io)?;
        if !done.status.success() {
            let stderr = String::from_utf8_lossy(&done.stderr);
            return Err(Error::new(ErrorKind::Function, "the tool failed").with("stderr", stderr));
        }
        let output = Operand::Held(Blob::new(done.stdout));
        Ok(Executed::new(output, clock.now()))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let builder = Deriva::builder().executor_layer(Tools::around);
    let deriva = builder.store("memory:").build().await?;
    let mut loud = deriva.put("the\nship\nand\nthe\nsea\n").await?;
    for function in ["tool.sort", "tool.uniq", "text.upper"] {
        loud = deriva.recipe(function, "1").input(loud).insert().await?;
    }
    let made = deriva.materialize(loud).await?;
    assert_eq!(made.summary.computed, 3, "two tools, and what is built in");
    assert_eq!(deriva.get(loud).await?, "AND\nSEA\nSHIP\nTHE\n");

    // Who is not on the list is refused before anything runs.
    let unknown = deriva.recipe("tool.rm", "1").input(loud).insert().await?;
    let refused = deriva.get(unknown).await.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Unsupported));
    println!("run by {}", deriva.status().await?.executor);
    Ok(())
}
