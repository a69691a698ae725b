//! `deriva put --server` over a connection that is cut in the midst of the bytes.

use std::process::{Command, Output};
use std::sync::atomic::Ordering::SeqCst;

use deriva::Blob;
use deriva::stores::BlobStore;

use super::chance::{Chance, seed};
use super::proxy::cut_once;
use super::served::{Served, in_time};

/// Bytes of the file, and of what the first connection lets through of it.
const LEN: usize = 12 << 20;
const CUT: u64 = 5 << 20;

fn put(folder: &std::path::Path, server: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deriva"))
        .current_dir(folder)
        .args(["--server", server, "put", "large.bin"])
        .env_remove("DERIVA_STORE")
        .env_remove("DERIVA_MEMORY")
        .env_remove("DERIVA_SERVER")
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_is_made_again_and_the_address_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let bytes = Chance::new(seed()).bytes(LEN);
    std::fs::write(dir.path().join("large.bin"), &bytes).unwrap();
    let blob = Blob::new(bytes);
    let network = cut_once(served.addr, CUT).await;
    let (folder, server) = (dir.path().to_owned(), format!("deriva://{}", network.addr));
    let ended = in_time(
        "the command",
        tokio::task::spawn_blocking(move || put(&folder, &server)),
    );
    let ended = ended.await.unwrap();
    let (out, err) = (ended.stdout, ended.stderr);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert!(ended.status.success(), "{err}");
    assert_eq!(network.harmed.load(SeqCst), 1, "the connection was cut");
    let addr = blob.addr().to_string();
    assert!(out.split_whitespace().any(|word| word == addr), "{out}");
    let got = BlobStore::get(&served.client().await, blob.addr()).await;
    assert!(got.unwrap() == Some(blob), "other bytes are there");
    served.runs();
}
