//! Giving up: deadlines by a clock of one's own, and requests that are dropped. The guide `docs/guide/embed.md` goes
//! through it. `cargo run -p deriva --example embed_time`

#![allow(clippy::unwrap_used, reason = "what is wrong ends an example")]

use std::sync::Arc;
use std::time::Duration;

use deriva::prelude::*;
use deriva_testkit::ManualClock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Runs until nobody wants its result any more; says when it begins, and why it ended.
fn patient(tell: UnboundedSender<Option<ErrorKind>>) -> Result<impl ComputeFunction> {
    let run = move |_: &[Bytes], _: &Params, context: &CallContext| {
        // Nobody listens any more at the end of the program.
        tell.send(None).ok();
        loop {
            if let Err(error) = context.check() {
                tell.send(Some(error.kind())).ok();
                return Err(error);
            }
            std::thread::yield_now();
        }
    };
    let patient = FnFunction::within("patient/1".parse()?, Weight::Heavy, run);
    Ok(patient.arity(Arity::Exactly(0)).no_params())
}

type Told = UnboundedReceiver<Option<ErrorKind>>;

/// A runtime with one thread for functions, and what `patient/1` tells.
async fn open(clock: Arc<dyn Clock>) -> Result<(Deriva, CAddr, Told)> {
    let (tell, told) = unbounded_channel();
    let builder = Deriva::builder().store("memory:").clock(clock).jobs(1);
    let deriva = builder.compute(patient(tell)?).build().await?;
    let recipe = deriva.recipe("patient", "1").insert().await?;
    Ok((deriva, recipe, told))
}

/// A day's deadline, in a test that takes no time: the clock stands still until it is moved.
async fn with_a_manual_clock() -> Result<()> {
    let clock = ManualClock::new();
    let (deriva, recipe, mut told) = open(Arc::new(clock.clone())).await?;
    let day = Duration::from_secs(24 * 60 * 60);
    let request = tokio::spawn(deriva.materialize(recipe).deadline(day).bytes());
    assert_eq!(told.recv().await, Some(None), "it runs");
    clock.advance(day);
    let error = request.await.expect("it does not panic").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The function is told as well.
    let ended = told.recv().await.flatten();
    assert!(ended == Some(ErrorKind::Timeout) || ended == Some(ErrorKind::Cancelled));
    Ok(())
}

/// Time that goes by a thousand times as fast, for a demonstration.
#[derive(Debug)]
struct Fast(SystemClock);

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> Duration {
        self.0.now().saturating_mul(1000)
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration / 1000).await;
    }
}

async fn with_a_clock_of_ones_own() -> Result<()> {
    let (deriva, recipe, _) = open(Arc::new(Fast(SystemClock::new()))).await?;
    let request = deriva.materialize(recipe).deadline(Duration::from_secs(60));
    assert_eq!(request.await.unwrap_err().kind(), ErrorKind::Timeout);
    Ok(())
}

/// A client goes away: its request is dropped, and the function that ran for it alone ends and frees its thread.
async fn with_a_request_that_is_dropped() -> Result<()> {
    let (deriva, recipe, mut told) = open(Arc::new(SystemClock::new())).await?;
    tokio::select! {
        _ = deriva.get(recipe) => unreachable!("it runs for as long as somebody waits"),
        begun = told.recv() => assert_eq!(begun, Some(None)),
    }
    assert_eq!(told.recv().await, Some(Some(ErrorKind::Cancelled)));
    // The one thread is free, and a failure or cancellation is not remembered.
    let repeated = deriva.recipe("bytes.repeat", "1").param("times", 3);
    let repeated = repeated.input(deriva.put("a").await?).insert().await?;
    assert_eq!(deriva.get(repeated).await?, "aaa");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    with_a_manual_clock().await?;
    with_a_clock_of_ones_own().await?;
    with_a_request_that_is_dropped().await
}
