//! How fast a store takes recipes, and how fast it opens again: after a close, after a kill in the middle
//! of writing, and after a kill when it had come to rest.
//!
//! ```text
//! cargo run -p deriva-backends --release --example reopening -- FOLDER redb 1000000
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{CAddr, Clock, DagStore, Error, Params, Recipe, Result, SystemClock};
use futures::executor::block_on;

const BATCH: usize = 1000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, scheme, count, rest @ ..] = args.as_slice() else {
        let message = "give a folder, a scheme and a number of recipes";
        return Err(Error::new(deriva_api::ErrorKind::Invalid, message));
    };
    let count: usize = count.parse().unwrap_or(100_000);
    let uri = format!("{scheme}:{folder}/{scheme}");
    if let Some(rest) = rest.first() {
        return write_until_killed(&uri, count, rest == "rest");
    }
    let clock = SystemClock::new();
    let begin = clock.now();
    let dag = open(&uri)?;
    block_on(insert(&*dag, 0, count))?;
    let each = (clock.now() - begin).as_secs_f64() * 1e6 / count as f64;
    tell(&format!(
        "{scheme}: insert, batches of {BATCH}, durable: {each:.1} us a recipe"
    ))?;
    drop(dag);
    for _ in 0..3 {
        let open = time_open(&clock, &uri)?;
        tell(&format!("open after a close: {open:.1} ms"))?;
    }
    for (mode, after) in [("write", "while writing"), ("rest", "at rest")] {
        kill_a_writer(&args, mode).map_err(Error::io)?;
        let open = time_open(&clock, &uri)?;
        tell(&format!("open after a kill {after}: {open:.1} ms"))?;
    }
    Ok(())
}

fn tell(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").map_err(Error::io)
}

fn open(uri: &str) -> Result<Arc<dyn DagStore>> {
    let opened = block_on(deriva_backends::registry().open(&uri.parse()?))?;
    let none = || {
        Error::new(
            deriva_api::ErrorKind::Invalid,
            "this store keeps no recipes",
        )
    };
    opened.dag.ok_or_else(none)
}

/// In milliseconds, up to the first answer.
fn time_open(clock: &dyn Clock, uri: &str) -> Result<f64> {
    let begin = clock.now();
    let dag = open(uri)?;
    block_on(dag.usage())?;
    let open = clock.now() - begin;
    drop(dag);
    Ok(open.as_secs_f64() * 1e3)
}

async fn insert(dag: &dyn DagStore, from: usize, count: usize) -> Result<()> {
    let function = "bench.mix/1".parse()?;
    for batch in (from..from + count).step_by(BATCH) {
        let recipe = |n: usize| {
            let inputs = [n, n / 2].map(|n| CAddr::of_blob(&n.to_le_bytes()));
            Recipe::new(&function, &inputs, &Params::new())
        };
        let recipes: Result<Vec<Recipe>> = (batch..batch + BATCH).map(recipe).collect();
        dag.insert(&recipes?).await?;
    }
    Ok(())
}

fn write_until_killed(uri: &str, from: usize, rest: bool) -> Result<()> {
    let dag = open(uri)?;
    for batch in 0.. {
        block_on(insert(&*dag, from + batch * BATCH, BATCH))?;
        if rest {
            // Longer than it takes a store to come to rest.
            std::thread::park_timeout(Duration::from_secs(3));
            tell("rested")?;
            std::thread::park_timeout(Duration::from_secs(60));
        }
        tell("written")?;
    }
    Ok(())
}

/// Ten batches, or one and the rest after it.
fn kill_a_writer(args: &[String], mode: &str) -> std::io::Result<()> {
    let mut writer = Command::new(std::env::current_exe()?)
        .args(args)
        .arg(mode)
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = writer
        .stdout
        .take()
        .into_iter()
        .flat_map(|out| BufReader::new(out).lines());
    let batches = if mode == "rest" { 1 } else { 10 };
    lines.take(batches).for_each(drop);
    writer.kill()?;
    writer.wait()?;
    Ok(())
}
