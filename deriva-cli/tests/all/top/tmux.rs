//! A terminal of tmux's, with a shell in it, whose screen can be read.
#![allow(
    clippy::disallowed_methods,
    reason = "a terminal that never shows it must fail the test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Bench, err};

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(200);

pub(super) struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Whether there is tmux. Where all is checked it must be there.
    pub(super) fn is_there() -> bool {
        let found = Command::new("tmux").arg("-V").output().is_ok();
        assert!(
            found || std::env::var_os("CI").is_none(),
            "no tmux: see scripts/setup.sh"
        );
        if !found {
            eprintln!("NOT CHECKED: tmux is not installed (scripts/setup.sh installs it)");
        }
        found
    }

    /// Starts a shell in the folder of the bench, on a screen of this size; without colours where that is asked for.
    pub(super) fn start(bench: &Bench, (columns, rows): (u16, u16), coloured: bool) -> Self {
        let tmux = Self {
            socket: bench.path("tmux"),
        };
        let mut command = tmux.command();
        command
            .args(["new-session", "-d", "-x", &columns.to_string()])
            .args(["-y", &rows.to_string(), "sh"])
            .current_dir(bench.dir.path())
            .env("PS1", "$ ")
            .env_remove("ENV")
            .env_remove("DERIVA_SERVER")
            .env_remove("NO_COLOR");
        if !coloured {
            command.env("NO_COLOR", "1");
        }
        done(&mut command);
        tmux
    }

    /// tmux with a server of its own, whatever its user has set.
    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .env_remove("TMUX")
            .args(["-u", "-f", "/dev/null", "-S"]);
        command.arg(&self.socket);
        command
    }

    fn ask(&self, args: &[&str]) -> String {
        done(self.command().args(args))
    }

    /// What the screen shows.
    pub(super) fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// The same with escape sequences.
    pub(super) fn painted(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e"])
    }

    /// Presses keys, by tmux's names.
    pub(super) fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Types a line into the shell.
    pub(super) fn enter(&self, line: &str) {
        self.ask(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    pub(super) fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.ask(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// Reads the screen until it is as expected.
    pub(super) fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(began.elapsed() < LONG, "never {what}:\n{screen}");
        }
    }

    /// Reads the screen until all of these are on it.
    pub(super) fn shows(&self, parts: &[&str]) -> String {
        let all = |screen: &str| parts.iter().all(|part| screen.contains(part));
        self.wait(&format!("{parts:?}"), all)
    }

    /// The shell has the terminal again, as it was before; the last command ended with this code.
    pub(super) fn is_given_back(&self, bench: &Bench, code: i32) {
        // What is typed before it has ended is its own, and goes with it.
        let process = format!("/proc/{}", bench.read("pid").trim());
        self.wait("the end of the command", |_| !Path::new(&process).exists());
        self.enter("echo code=$? && stty -a >tty.txt && echo then=$((40 + 2))");
        self.shows(&[&format!("code={code}\n"), "then=42\n"]);
        let modes = self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(modes.trim(), "0 1", "the other screen, the cursor");
        let modes = bench.read("tty.txt");
        for mode in ["icanon", "echo", "isig"] {
            let is_set = modes.split_whitespace().any(|word| word == mode);
            assert!(is_set, "{mode} in {modes}");
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It ends with its only session.
        self.command().arg("kill-server").output().ok();
    }
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a text with escape sequences sets a colour.
pub(super) fn is_coloured(painted: &str) -> bool {
    let sequences = painted.split("\u{1b}[").skip(1);
    let looks = sequences.filter_map(|rest| rest.split_once('m').map(|(look, _)| look));
    let mut numbers = looks
        .flat_map(|look| look.split(';'))
        .filter_map(|n| n.parse().ok());
    numbers.any(|n: u8| matches!(n, 30..=38 | 40..=48 | 90..=97 | 100..=107))
}
