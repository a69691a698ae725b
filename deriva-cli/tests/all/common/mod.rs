//! A folder with a store of its own, and the command run in it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command in the folder, with the default store.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("deriva"));
        command
            .current_dir(self.dir.path())
            .args(args)
            .env_remove("DERIVA_STORE")
            .env_remove("DERIVA_SAMPLING_KEY")
            .env_remove("RUST_LOG")
            .env_remove("DERIVA_SERVER")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env_remove("TRACEPARENT")
            .stdin(Stdio::null());
        command
    }

    /// Runs a text of commands as a shell does that ends at the first failure and finds `deriva`.
    pub(crate) fn shell(&self, text: &str) -> Output {
        let command = self.command(&[]);
        let folder = Path::new(command.get_program()).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
        Command::new("sh")
            .args(["-ec", text])
            .current_dir(self.dir.path())
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env_remove("DERIVA_STORE")
            .env_remove("DERIVA_MEMORY")
            .env_remove("DERIVA_WAIT")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs, expects success and silence on stderr, and answers with stdout.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", err(&output));
        assert_eq!(err(&output), "", "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// As `ok`, the last line without its end.
    pub(crate) fn line(&self, args: &[&str]) -> String {
        self.ok(args).trim_end().to_owned()
    }

    /// Runs, expects this exit code, and answers with stdout.
    pub(crate) fn tells(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let told = err(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Runs, expects this exit code and an empty stdout, and answers with stderr.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            err(&output)
        );
        assert!(output.stdout.is_empty(), "{args:?} wrote to stdout");
        err(&output)
    }
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The address in the first line of `put`.
pub(crate) fn addr(line: &str) -> String {
    line.split_whitespace().next().unwrap().to_owned()
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| {
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    files(&entry.path())
                } else {
                    1
                }
            })
            .sum()
    })
}
