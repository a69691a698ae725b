//! A store that the user may only read: what reads works, what writes is refused, and nothing is changed.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{self, Bench, addr, err};

/// Nobody's: permissions do not stop root.
const USER: &str = "65534";

/// The command, as somebody who may only read what is in the folder.
struct Reader {
    bench: Bench,
    temp: tempfile::TempDir,
}

impl Reader {
    fn of(bench: Bench) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
        fs::copy(bench.command(&[]).get_program(), temp.path().join("deriva")).unwrap();
        let reader = Self { bench, temp };
        reader.set_mode(|mode| (mode & !0o222) | 0o444 | ((mode & 0o100) / 0o100 * 0o111));
        reader
    }

    fn set_mode(&self, change: impl Fn(u32) -> u32 + Copy) {
        fn below(path: &Path, change: impl Fn(u32) -> u32 + Copy) {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            fs::set_permissions(path, Permissions::from_mode(change(mode))).unwrap();
            if path.is_dir() {
                for entry in fs::read_dir(path).unwrap() {
                    below(&entry.unwrap().path(), change);
                }
            }
        }
        below(self.bench.dir.path(), change);
    }

    fn run(&self, args: &[&str]) -> Output {
        let deriva = self.temp.path().join("deriva");
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
            command.arg(deriva);
            command
        } else {
            Command::new(deriva)
        };
        command
            .args(args)
            .current_dir(self.bench.dir.path())
            .env_remove("DERIVA_STORE")
            .env("TMPDIR", self.temp.path())
            .output()
            .unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            err(&output)
        );
        err(&output)
    }
}

impl Drop for Reader {
    /// Or the folder could not be deleted.
    fn drop(&mut self) {
        self.set_mode(|mode| mode | 0o200);
    }
}

/// Names, contents and times.
fn state(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let modified = metadata.modified().unwrap();
            found.push(format!("{} {modified:?} {content:?}", path.display()));
        }
    }
    found.sort();
    found
}

#[test]
fn who_may_only_read_a_store_reads_it() {
    for scheme in ["sled", "redb"] {
        let bench = Bench::new();
        let store = format!("{scheme}:store");
        let store = store.as_str();
        bench.file("a", "Text");
        bench.file("new", "not stored");
        let a = addr(&bench.ok(&["--store", store, "put", "a"]));
        let recipe =
            |function, input| bench.line(&["--store", store, "recipe", function, "-i", input]);
        let upper = recipe("text.upper/1", a.as_str());
        let lower = recipe("text.lower/1", upper.as_str());
        // Large enough for a file of its own.
        let long = bench.line(&[
            "--store",
            store,
            "recipe",
            "bytes.repeat/1",
            "-i",
            &a,
            "-p",
            "times:=20000",
        ]);
        for made in [&upper, &long] {
            bench.ok(&["--store", store, "get", made]);
        }
        bench.ok(&["--store", store, "root", "set", "r", &upper]);
        let digest = bench.ok(&["--store", store, "state-digest"]);

        let reader = Reader::of(bench);
        let before = state(reader.bench.dir.path());
        let ok = |args: &[&str]| reader.ok(&[&["--store", store], args].concat());
        assert_eq!(ok(&["get", &upper]), "TEXT");
        assert_eq!(ok(&["get", &long]), "Text".repeat(20_000));
        // Never computed: it is now, and not kept.
        assert_eq!(ok(&["get", &lower]), "text");
        assert_eq!(ok(&["state-digest"]), digest);
        assert!(ok(&["root", "ls"]).contains(&upper));
        assert!(ok(&["scrub"]).contains("nothing is damaged"));
        assert!(ok(&["collect", "--dry-run", "--json"]).contains("\"recipes\":2"));
        for args in [
            &["status"][..],
            &["show", &upper],
            &["explain", &lower],
            &["why", &lower],
        ] {
            ok(args);
        }
        for args in [
            &["put", "new"][..],
            &["put", "-"],
            &["recipe", "text.upper/1", "-i", &upper],
            &["root", "set", "q", &a],
            &["root", "rm", "r"],
            &["invalidate", &upper],
        ] {
            let text = reader.fails(2, &[&["--store", store], args].concat());
            assert!(
                text.contains("reading only: permission denied") && text.contains("next:"),
                "{args:?}: {text}"
            );
        }
        reader.fails(2, &["--store", store, "collect"]);
        assert_eq!(state(reader.bench.dir.path()), before);
        // But for the command itself, nothing is left of the copies.
        assert_eq!(common::files(reader.temp.path()), 1);
    }
}

#[test]
fn damage_is_told_where_it_cannot_be_mended() {
    let bench = Bench::new();
    bench.file("a", "Text");
    let a = addr(&bench.ok(&["put", "a"]));
    let long = bench.line(&["recipe", "bytes.repeat/1", "-i", &a, "-p", "times:=20000"]);
    let lower = bench.line(&["recipe", "text.lower/1", "-i", &long]);
    bench.ok(&["get", &long]);
    let shown = bench.json(&["show", &long, "--json"]);
    let output = shown["output"]["addr"].as_str().unwrap();
    bench.file(
        &format!(".deriva/files/{}/{output}", &output[..2]),
        "x".repeat(80_000),
    );
    let reader = Reader::of(bench);
    let before = state(reader.bench.dir.path());
    for damaged in [long.as_str(), output] {
        let text = reader.fails(4, &["get", damaged]);
        assert!(text.contains("do not hash"), "{text}");
    }
    // As an input it is made again.
    assert_eq!(reader.ok(&["get", &lower]), "text".repeat(20_000));
    let output = reader.run(&["scrub"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("reading only"), "{told}");
    assert_eq!(state(reader.bench.dir.path()), before);
}

#[test]
fn no_room_for_a_copy_is_told_with_what_to_do() {
    let bench = Bench::new();
    bench.file("a", "text");
    bench.ok(&["put", "a"]);
    let reader = Reader::of(bench);
    fs::set_permissions(reader.temp.path(), Permissions::from_mode(0o555)).unwrap();
    let text = reader.fails(2, &["status"]);
    assert!(
        text.contains("TMPDIR") && text.contains("permission denied"),
        "{text}"
    );
    fs::set_permissions(reader.temp.path(), Permissions::from_mode(0o777)).unwrap();
}
