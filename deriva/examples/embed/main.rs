//! A service around deriva: functions and an executor of its own, events, errors, an orderly end. The guide
//! `docs/guide/embed.md` goes through it. `cargo run -p deriva --example embed`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]
#![allow(clippy::unwrap_used, reason = "what is wrong ends an example")]

mod elsewhere;
mod service;
mod terms;
mod told;

use std::time::Duration;

use deriva::prelude::*;
use service::Service;
use told::status;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let store = format!("sled:{}", folder.path().join("data").display());
    let patience = Duration::from_secs(600);
    let document = "  a store\na recipe\nneither\n";

    let service = Service::open(&store).await?;
    let report = service.report(document, "1").await?;
    assert_eq!(service.answer(report, patience).await?, "1");
    assert_eq!(service.counts.all(), [2, 0, 0]);
    // Nothing is computed twice; another version is another recipe, over a `notes.trim` that is not kept.
    assert_eq!(service.clone().answer(report, patience).await?, "1");
    assert_eq!(service.counts.all(), [2, 1, 0]);
    let newer = service.report(document, "2").await?;
    assert_eq!(service.answer(newer, patience).await?, "2");
    assert_eq!(service.counts.all(), [4, 1, 0]);

    // What only the executor has is not registered. Its first call fails, and a failure is not remembered.
    let input = service.deriva.put("ship").await?;
    let translation = service.deriva.recipe("notes.translate", "1").input(input);
    let translation = translation.insert().await?;
    let error = service.answer(translation, patience).await.unwrap_err();
    assert!(error.is_retryable() && error.path().last() == Some(&translation));
    assert_eq!(
        service.answer_for_sure(translation, patience).await?,
        "SHIP"
    );

    // Mistakes are told when a recipe is inserted, and what nobody can compute before any work.
    let wrong = service.deriva.recipe("notes.terms", "1").input(input);
    let wrong = wrong.param("at_most", 0).insert().await.unwrap_err();
    assert_eq!((wrong.kind(), status(&wrong)), (ErrorKind::Invalid, 422));
    assert_eq!(wrong.context("function"), Some("notes.terms/1"));
    let unknown = service.deriva.recipe("notes.rhyme", "1").input(input);
    let unknown = unknown.insert().await?;
    let unknown = service.answer(unknown, patience).await.unwrap_err();
    assert_eq!(unknown.context("unknown_functions"), Some("notes.rhyme/1"));
    assert_eq!(
        (unknown.kind(), status(&unknown)),
        (ErrorKind::Unsupported, 501)
    );
    println!("{unknown:#}");

    // A second handle on the store, with functions and settings of its own.
    let other = Deriva::builder()
        .store(&store)
        .cache_bytes(0)
        .build()
        .await?;
    assert_eq!(other.get(report).await?, "1");
    drop(other);

    // Closed with its last handle, and opened again: all is there.
    service.close().await?;
    let service = Service::open(&store).await?;
    assert_eq!(service.answer(newer, patience).await?, "2");
    assert_eq!(service.counts.all(), [0, 1, 0]);
    service.close().await
}
