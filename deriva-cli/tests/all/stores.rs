//! One pipeline runs unchanged on every store and leaves the same state.

use crate::common::Bench;

const PIPELINE: &str = r#"
name = "demo"
root = "in"

[sources.files]
include = ["**/*.txt"]

[steps.counts]
function = "text.word_count/1"
params = { kind = "words" }
each = "files"

[steps.merged]
function = "text.merge_counts/1"
inputs = ["counts"]

[steps.packed]
function = "compress.zstd/1"
params = { level = 9 }
each = "files"

[outputs]
"counts.txt" = "merged"
"#;

#[test]
fn a_pipeline_leaves_the_same_state_on_every_store() {
    let bench = Bench::new();
    bench.file("p.toml", PIPELINE);
    for n in 0..20 {
        // Some above every store's threshold, so that they become files there.
        let text = format!("word{n} ").repeat(1 + n * n * 30);
        bench.file(&format!("in/{}/{n}.txt", n % 3), text);
    }
    let mut digests = Vec::new();
    for store in [
        "sled:of-sled",
        "sled:of-sled-files?blob_threshold=0",
        "redb:of-redb",
        "redb:of-redb-buffered?durability=buffered",
        #[cfg(feature = "rocksdb")]
        "rocksdb:of-rocksdb",
    ] {
        let run = bench.json(&["run", "p.toml", "--json", "--store", store]);
        assert_eq!(run["computed"].as_u64(), Some(41), "{store}: {run}");
        digests.push((store, bench.line(&["state-digest", "--store", store])));
    }
    for (store, digest) in &digests {
        assert_eq!(*digest, digests[0].1, "{store}");
    }
}

#[test]
fn files_of_a_store_follow_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for (umask, mode) in [("027", 0o640), ("077", 0o600), ("002", 0o664)] {
        for scheme in ["sled", "redb"] {
            let bench = Bench::new();
            bench.file("large", vec![7; 1 << 20]);
            let deriva = bench.command(&[]).get_program().to_owned();
            let store = format!("{scheme}:store");
            let status = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!(
                    "umask {umask} && exec \"$0\" --store \"$1\" put large"
                ))
                .args([deriva, store.into()])
                .current_dir(bench.dir.path())
                .stdout(std::process::Stdio::null())
                .status();
            assert!(status.unwrap().success());
            let mut folders = vec![bench.path("store")];
            let mut files = 0;
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let entry = entry.unwrap();
                    if entry.file_type().unwrap().is_dir() {
                        folders.push(entry.path());
                        continue;
                    }
                    let found = entry.metadata().unwrap().permissions().mode() & 0o777;
                    assert_eq!(found, mode, "{:?} with umask {umask}", entry.path());
                    files += 1;
                }
            }
            assert!(files > 2, "{scheme} keeps a blob as a file: {files}");
        }
    }
}
