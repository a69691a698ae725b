//! A service that is watched: it serves what it counts at `/metrics` and what is under way at `/activity`, and does a little of
//! everything, so that every panel of the dashboard in `monitoring/` and of `deriva top` shows something. One round, or as many
//! as fit into a time: `cargo run -p deriva --example observed -- 127.0.0.1:9464 --seconds 600`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

mod mishaps;
mod served;
mod stores;
mod workload;

use std::time::Duration;

use deriva::prelude::*;
use served::{exposition, routes};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use workload::Workload;

/// A round begins no earlier than this after the one before.
const ROUND: Duration = Duration::from_millis(500);

/// Where to listen, and how long to go on.
fn arguments() -> std::result::Result<(String, Option<u64>), Box<dyn std::error::Error>> {
    let (mut at, mut seconds) = ("127.0.0.1:0".to_owned(), None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => seconds = Some(args.next().ok_or("--seconds needs a number")?.parse()?),
            _ => at = arg,
        }
    }
    Ok((at, seconds))
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (at, seconds) = arguments()?;
    let folder = tempfile::tempdir()?;
    let workload = Workload::open(folder.path()).await?;
    let deriva = workload.deriva.clone();

    let routes = routes(deriva.clone(), workload.activity.clone());
    let listener = TcpListener::bind(at).await?;
    println!("metrics: http://{}/metrics", listener.local_addr()?);
    // It ends with the program.
    tokio::spawn(axum::serve(listener, routes).into_future());

    workload.round(0).await?;
    if let Some(seconds) = seconds {
        let rounds = async {
            let mut ticks = interval(ROUND);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for round in 1.. {
                ticks.tick().await;
                workload.round(round).await?;
            }
            Ok::<_, Error>(())
        };
        // The last round is given up in the middle, when its time is over.
        timeout(Duration::from_secs(seconds), rounds)
            .await
            .unwrap_or(Ok(()))?;
    }

    let shown = exposition(&deriva).await?;
    for sample in [
        "deriva_materialize_total{result=\"healed\"}",
        "deriva_determinism_violations_total{function=\"bench.liar/1\"}",
        "deriva_store_operations_total{store=\"blobs.slow\",operation=\"blob_get\",result=\"corrupt\"}",
        "deriva_store_retries_spent_total{store=\"retry\"}",
        "deriva_store_timeouts_total{store=\"timeout\"}",
    ] {
        let line = shown.lines().find(|line| line.starts_with(sample));
        println!("{}", line.ok_or(sample)?);
    }
    Ok(())
}
