//! What tokens of the roles may get at a server.

use std::process::Output;

use crate::common::{Bench, addr, err};
use crate::serve::Serving;
use crate::verification::{Made, lied, text};

const ROLES: [&str; 3] = ["read", "write", "admin"];

/// A server of the store of a bench, with a token for each role.
fn serving(bench: &Bench) -> Serving {
    let token =
        |role| format!("[[token]]\nrole = \"{role}\"\nsecret = \"{role}-0123456789abcdef\"\n");
    bench.file("tokens.toml", ROLES.map(token).concat());
    Serving::begun(bench, "sled:.deriva", &["--tokens", "tokens.toml"])
}

fn run(bench: &Bench, serving: &Serving, role: &str, args: &[&str]) -> Output {
    let mut command = bench.command(args);
    command.env("DERIVA_SERVER", &serving.url);
    command.env("DERIVA_TOKEN", format!("{role}-0123456789abcdef"));
    command.output().unwrap()
}

/// Expects success, and answers with stdout.
fn ok(bench: &Bench, serving: &Serving, role: &str, args: &[&str]) -> String {
    let ended = run(bench, serving, role, args);
    assert!(ended.status.success(), "{args:?}: {}", err(&ended));
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn who_may_read_gets_what_is_stored_and_who_may_write_what_is_computed() {
    let bench = Bench::new();
    bench.file("a.txt", "a leaf");
    // More than comes in one piece.
    bench.file("large.txt", "0123456789abcdef".repeat(400_000));
    bench.file("empty.txt", "");
    let serving = serving(&bench);
    let made = |role: &str, args: &[&str]| addr(&ok(&bench, &serving, role, args));
    let leaf = made("write", &["put", "a.txt"]);
    let large = made("write", &["put", "large.txt"]);
    let empty = made("write", &["put", "empty.txt"]);
    let upper = made("write", &["recipe", "text.upper/1", "-i", &leaf]);
    let absent = "ab".repeat(32);
    let get = |role: &str, addr: &str| run(&bench, &serving, role, &["get", addr]);

    assert_eq!(get("read", &leaf).stdout, b"a leaf");
    assert_eq!(get("read", &leaf[..12]).stdout, b"a leaf");
    assert_eq!(get("read", &large).stdout.len(), 6_400_000);
    let got = get("read", &empty);
    assert!(
        got.status.success() && got.stdout.is_empty(),
        "{}",
        err(&got)
    );
    ok(&bench, &serving, "read", &["get", &leaf, "-o", "out.txt"]);
    assert_eq!(bench.read("out.txt"), "a leaf");

    let refused = get("read", &upper);
    let said = err(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for expected in ["has to be computed", &upper, "role `write`"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert_eq!(get("read", &absent).status.code(), Some(3));
    assert_eq!(get("write", &upper).stdout, b"A LEAF");
    // Now it is there.
    assert_eq!(get("read", &upper).stdout, b"A LEAF");
    // A request with options is one, whoever makes it.
    let args = ["get", &upper, "--request-id", "a-request"];
    assert_eq!(run(&bench, &serving, "read", &args).status.code(), Some(2));
    serving.stop();
}

#[test]
fn what_the_ledger_refuses_is_not_read_either() {
    let (bench, _) = lied();
    let upper = Made::of(&text()).0.upper.to_string();
    let serving = serving(&bench);
    let get = || run(&bench, &serving, "read", &["get", &upper]);
    assert!(get().status.success());
    let audited = run(&bench, &serving, "admin", &["audit", &upper]);
    assert_eq!(audited.status.code(), Some(5), "{}", err(&audited));
    let refused = get();
    assert_eq!(refused.status.code(), Some(5), "{}", err(&refused));
    assert!(refused.stdout.is_empty());
    serving.stop();
}
