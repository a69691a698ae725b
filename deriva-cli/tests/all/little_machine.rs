//! Where few threads may be started: an error that says so, or success, and neither a panic nor a wait.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::common::{Bench, err};

/// Nobody's, who has no processes: limits count all of a user, and root has none.
const USER: &str = "65534";

#[test]
fn too_few_threads_are_an_error_with_advice() {
    if !rustix::process::geteuid().is_root() {
        // Another's processes would count, too.
        return;
    }
    let bench = Bench::new();
    let folder = bench.dir.path();
    // Where everybody may come.
    let deriva = folder.join("deriva");
    std::fs::copy(bench.command(&[]).get_program(), &deriva).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    bench.file("f", "text");
    let (mut refused, mut done) = (0, 0);
    for scheme in ["memory", "sled", "redb"] {
        for limit in [1, 3, 4, 6, 8, 12, 64] {
            let store = match scheme {
                "memory" => "memory:".to_owned(),
                scheme => format!("{scheme}:{}/{scheme}-{limit}", folder.display()),
            };
            let output = Command::new("setpriv")
                .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
                .args(["prlimit", &format!("--nproc={limit}")])
                .arg(&deriva)
                .args(["--store", &store, "put", "f"])
                .current_dir(folder)
                .env_remove("DERIVA_STORE")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let text = err(&output);
            match output.status.code() {
                Some(0) => done += 1,
                Some(6) => {
                    refused += 1;
                    assert!(text.contains("next:"), "{scheme}, {limit}: {text}");
                }
                other => panic!("{scheme}, {limit}: {other:?}, {text}"),
            }
        }
    }
    assert!(refused >= 3 && done >= 3, "{refused} refused, {done} done");
}
