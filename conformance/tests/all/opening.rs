//! What opening answers where the folder of a store is damaged or forbidden.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use conformance::open;
use deriva_api::ErrorKind;
use rstest::rstest;

#[rstest]
#[case("sled", "sled\n")]
#[case("redb", "redb-pages\n")]
#[case("files", "files\n")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "rocksdb\n"))]
#[tokio::test]
async fn a_damaged_marker_is_told_from_a_foreign_one(#[case] scheme: &str, #[case] form: &str) {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("{scheme}:{}", folder.path().join("store").display());
    drop(open(&uri).await.unwrap());
    let marker = folder.path().join("store/deriva-store");
    assert_eq!(fs::read_to_string(&marker).unwrap(), form);
    for (text, kind) in [
        ("\u{1}\u{2}", ErrorKind::Corrupt),
        ("another-kind\n", ErrorKind::Invalid),
    ] {
        fs::write(&marker, text).unwrap();
        let error = open(&uri).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.advice().is_some(), "{error}");
    }
    // Empty, as a store that was never created to the end: what is there is found.
    fs::write(&marker, "").unwrap();
    drop(open(&uri).await.unwrap());
    assert_eq!(fs::read_to_string(&marker).unwrap(), form);
}

#[rstest]
#[case("sled")]
#[case("redb")]
#[case("files")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[tokio::test]
async fn a_forbidden_folder_is_invalid_with_advice(#[case] scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let uri = format!("{scheme}:{}", store.display());
    drop(open(&uri).await.unwrap());
    fs::set_permissions(&store, fs::Permissions::from_mode(0o500)).unwrap();
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        let mode = if path.is_dir() { 0o500 } else { 0o400 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let told = read_as_nobody(&uri, folder.path());
    let refusal = told.lines().find(|line| line.contains("refused open"));
    let refusal = refusal.unwrap_or_else(|| panic!("it opened: {told}"));
    assert!(refusal.contains(" Invalid "), "{refusal}");
    assert!(refusal.contains("permission denied"), "{refusal}");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o700)).unwrap();
}

/// What a reader says that runs without the rights of root, which no permission binds.
fn read_as_nobody(uri: &str, folder: &Path) -> String {
    let program = folder.join("program");
    fs::copy(env!("CARGO_BIN_EXE_conformance"), &program).unwrap();
    let mut command = Command::new(&program);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    let output = command
        .args(["__proof", uri])
        .env("DERIVA_PROOF", "read\nitems=1")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
