//! Stores put together by URI: blobs as plain files and the graph in a database, and a quick disk before a slow one.
//! `cargo run -p deriva --example stacks`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::fs;

use deriva::prelude::*;

const FILM: &[u8] = &[7; 100_000];

/// A recipe over a film, its first kilobyte, and how many recipes that computed.
async fn preview(deriva: &Deriva) -> Result<u64> {
    let film = deriva.put(FILM).await?;
    let head = deriva
        .recipe("bytes.slice", "1")
        .input(film)
        .param("len", 1024)
        .insert()
        .await?;
    let made = deriva.materialize(head).await?;
    assert_eq!(deriva.get(head).await?, FILM[..1024]);
    Ok(made.summary.computed)
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (media, graph, quick) = (at("media"), at("graph"), at("quick"));
    let film = Blob::new(FILM).addr();

    // Split: a blob is a file named by its hash, which any other tool reads.
    let split = format!("split(blobs=files:{media}, dag=redb:{graph})");
    let deriva = Deriva::builder().store(&split).build().await?;
    assert_eq!(preview(&deriva).await?, 1);
    let hex = film.to_string();
    let file = folder.path().join("media").join(&hex[..2]).join(&hex);
    assert_eq!(fs::read(&file).map_err(Error::io)?, FILM);
    println!("{}", file.display());
    drop(deriva);

    // Tiered: the same blobs behind a quick disk, which gets copies of what is read.
    let tiered =
        format!("split(blobs=tiered(fast=redb:{quick}, slow=files:{media}), dag=redb:{graph})");
    let deriva = Deriva::builder().store(&tiered).build().await?;
    assert_eq!(
        preview(&deriva).await?,
        0,
        "what the slow store has is not computed again"
    );
    println!("{}", deriva.status().await?.blob_store);
    drop(deriva);
    let copies = deriva::stores::builtin()
        .open(&format!("redb:{quick}").parse()?)
        .await?;
    let copies = copies
        .blobs
        .ok_or_else(|| Error::new(ErrorKind::Internal, "redb holds blobs"))?;
    assert!(copies.stat(&[film]).await?[0].is_some());
    drop(copies);

    // The slow store is the truth: the quick one may be lost.
    fs::remove_dir_all(folder.path().join("quick")).map_err(Error::io)?;
    let deriva = Deriva::builder().store(&tiered).build().await?;
    assert_eq!(preview(&deriva).await?, 0);
    Ok(())
}
