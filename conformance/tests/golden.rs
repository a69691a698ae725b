//! Stores as earlier versions of deriva wrote them open, read right in every way, and are written on.
//!
//! They lie in `golden/`, named after the form of their files, format, and how their process ended. With
//! `DERIVA_GOLDEN=write` this test writes those that are not there; existing ones are never touched.
//! When a format changes, write the new ones under a new name and keep the old.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs::File;
use std::path::{Path, PathBuf};

use conformance::proof::prover;
use rstest::rstest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conformance");
const ITEMS: u64 = 16;
/// Of every store with a DAG: all hold the same.
const DIGEST: &str = "11101e832c0fca045ff13009a7ea91b21d7d316266e717769548e84573ef110a";

#[rstest]
#[case("sled-2-closed")]
#[case("sled-2-killed")]
#[case("redb-2-closed")]
#[case("redb-2-killed")]
#[case("redb-pages-2-closed")]
#[case("redb-pages-2-killed")]
#[case("files-1-closed")]
#[case("files-1-killed")]
#[cfg_attr(feature = "rocksdb", case("rocksdb-2-closed"))]
#[cfg_attr(feature = "rocksdb", case("rocksdb-2-killed"))]
#[tokio::test]
async fn a_store_of_an_earlier_version_is_as_it_was_written(#[case] name: &str) {
    let scheme = name.split('-').next().unwrap();
    let archive = archive(name);
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("{scheme}:{}", folder.path().join("store").display());
    if std::env::var("DERIVA_GOLDEN").is_ok_and(|wish| wish == "write") && !archive.exists() {
        let made = tempfile::tempdir().unwrap();
        let uri = format!(
            "{scheme}:{}{}",
            made.path().join("store").display(),
            options(scheme)
        );
        let filler = prover(PROGRAM, &uri);
        filler
            .fill(made.path(), ITEMS, name.ends_with("killed"))
            .unwrap();
        pack(&made.path().join("store"), &archive);
    }
    unpack(&archive, folder.path());
    if scheme != "files" {
        let deriva = deriva::builder().store(&uri).build().await.unwrap();
        let digest = deriva.state_digest().await.unwrap().to_string();
        assert_eq!(digest, DIGEST);
    }
    let wrong = prover(PROGRAM, &uri)
        .read_all(folder.path(), ITEMS)
        .unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

/// A low threshold, so that the files beside the database are few and small but there.
fn options(scheme: &str) -> &'static str {
    if scheme == "files" {
        ""
    } else {
        "?blob_threshold=8192"
    }
}

fn archive(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    golden.join(format!("{name}.tar.zst"))
}

fn pack(store: &Path, archive: &Path) {
    let file = File::create_new(archive).unwrap();
    let mut tar = tar::Builder::new(zstd::Encoder::new(file, 19).unwrap());
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all("store", store).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
}

fn unpack(archive: &Path, folder: &Path) {
    let file = File::open(archive).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    tar.unpack(folder).unwrap();
}
