//! Children that fill a store and read all of it, so that whatever happens to them is an answer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Broken;
use super::reader::Verdict;
use super::writer::WriterArgs;

/// How long a reader may be silent. It reads a few hundred rows.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes `items` items to the end of their lives, one after the other, and closes the store, or is
/// `killed` before.
///
/// # Errors
/// What the store said.
pub fn fill(program: &Path, uri: &str, items: u64, killed: bool) -> Result<(), Broken> {
    let mut args = WriterArgs::new(uri);
    args.items = items;
    args.threads = 1;
    args.die_at_end = killed;
    let mut command = Command::new(program);
    let status = command
        .args(args.to_command_line())
        .stdout(Stdio::null())
        .status()?;
    match killed || status.success() {
        true => Ok(()),
        false => Err(Broken::new(format!("the store was not filled: {status}"))),
    }
}

/// Reads a store of `items` items in every way there is, and writes on. Answers with everything that
/// was not answered as it should be; nothing, for a store that is as it was filled.
///
/// # Errors
/// A reader that dies or hangs.
pub fn read_all(program: &Path, uri: &str, items: u64) -> Result<Vec<String>, Broken> {
    let mut wrong = Vec::new();
    read(program, uri, items, |line| match Verdict::parse(line) {
        Some((Verdict::Right, _)) => {}
        _ => wrong.push(line.to_owned()),
    })?;
    Ok(wrong)
}

/// As [`read_all`], telling each line of the reader.
pub(super) fn read(
    program: &Path,
    uri: &str,
    items: u64,
    mut tell: impl FnMut(&str),
) -> Result<(), Broken> {
    let mut child = Command::new(program)
        .args(["__reader", uri, &format!("--items={items}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Broken::new("the reader has no output"))?;
    let (sender, lines) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        let told = BufReader::new(output).lines().map_while(Result::ok);
        told.map(|line| sender.send(line).ok())
            .all(|sent| sent.is_some())
    });
    let mut last = String::new();
    let ended = loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                tell(&line);
                last = line;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    listener.join().ok();
    if !ended {
        return Err(Broken::new(format!("the reader hangs after: {last}")));
    }
    if !status.success() || last != "right end" {
        let died = format!("the reader died ({status}) after: {last}");
        return Err(Broken::new(died));
    }
    Ok(())
}
