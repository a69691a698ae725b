//! Counts the words of some files twice: the first time everything is computed, the second time
//! nothing. `cargo run -p deriva --example word_count -- FILE...`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use deriva::prelude::*;

#[tokio::main]
async fn main() -> Result<()> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        files = ["README.md", "src/lib.rs"]
            .map(|file| format!("{}/{file}", env!("CARGO_MANIFEST_DIR")))
            .to_vec();
    }
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let store = format!("sled:{}", folder.path().join("store").display());
    let deriva = Deriva::builder().store(&store).build().await?;

    let mut counts = Vec::new();
    for file in &files {
        let bytes = std::fs::read(file).map_err(|source| Error::io(source).with("file", file))?;
        let blob = deriva.put(bytes).await?;
        counts.push(
            deriva
                .recipe("text.word_count", "1")
                .input(blob)
                .insert()
                .await?,
        );
    }
    let merged = deriva
        .recipe("text.merge_counts", "1")
        .inputs(counts)
        .insert()
        .await?;
    let top = deriva
        .recipe("text.top", "1")
        .input(merged)
        .param("n", 10)
        .insert()
        .await?;

    for round in ["first", "second"] {
        let summary = deriva.materialize(top).await?.summary;
        println!(
            "{round}: computed {}, reused {}",
            summary.computed, summary.reused
        );
    }
    print!("{}", String::from_utf8_lossy(&deriva.get(top).await?));
    Ok(())
}
