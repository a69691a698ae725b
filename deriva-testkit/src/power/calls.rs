//! The system calls in what `strace -f -y -xx` printed, with their bytes.
//!
//! All texts and paths are in hexadecimal, so that quotes, commas and brackets are always strace's own.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A call that ended, and when: numbers of lines stand for moments.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) args: Vec<Cow<'a, str>>,
    pub(super) result: Cow<'a, str>,
    /// Nothing of it was done before.
    pub(super) begin: usize,
    /// All of it was done by then.
    pub(super) end: usize,
}

/// Reads a trace, handing over each call in the order in which they ended. Calls that the end of the
/// process cut off are handed over with the result `?`.
pub(super) fn each<'a, E>(
    text: &'a str,
    mut see: impl FnMut(Call<'a>) -> Result<(), E>,
) -> Result<(), E> {
    // Calls of threads that have begun, while another thread was printed.
    let mut begun: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for (now, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (start.trim_end(), now));
            continue;
        }
        let call = match rest.strip_prefix("<... ") {
            None => parse(Cow::Borrowed(rest), rest, now, now),
            Some(resumed) => match begun.remove(thread) {
                None => None,
                Some((start, begin)) => {
                    let tail = resumed.split_once("resumed>").map_or("", |(_, tail)| tail);
                    parse(Cow::Owned(format!("{start}{tail}")), start, begin, now)
                }
            },
        };
        if let Some(call) = call {
            see(call)?;
        }
    }
    let end = text.lines().count();
    for (start, begin) in begun.into_values() {
        let cut = Cow::Owned(format!("{start}) = ?"));
        if let Some(call) = parse(cut, start, begin, end) {
            see(call)?;
        }
    }
    Ok(())
}

impl Call<'_> {
    /// Whether it was answered, and not with an error.
    pub(super) fn succeeded(&self) -> bool {
        !self.result.starts_with(['-', '?'])
    }

    /// The argument, or an empty text.
    pub(super) fn arg(&self, at: usize) -> &str {
        self.args.get(at).map_or("", |arg| arg)
    }

    /// The argument as a number.
    pub(super) fn number(&self, at: usize) -> Option<u64> {
        number(self.arg(at))
    }

    /// What it answered with, as a number.
    pub(super) fn answer(&self) -> Option<u64> {
        number(self.result.split([' ', '<']).next()?)
    }
}

/// Decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A descriptor: its number, and the path that it was opened under.
pub(super) fn descriptor(text: &str) -> Option<(i64, Vec<u8>)> {
    let (number, path) = text.split_once('<').unwrap_or((text, ""));
    let number = match number {
        "AT_FDCWD" => -100,
        number => number.parse().ok()?,
    };
    let path = path.rsplit_once('>').map_or(path, |(path, _)| path);
    Some((number, unescape(path)?))
}

/// A text in quotes; `None` when strace cut it off.
pub(super) fn quoted(text: &str) -> Option<Vec<u8>> {
    unescape(text.strip_prefix('"')?.strip_suffix('"')?)
}

/// The texts in quotes of a vector of buffers, one after the other.
pub(super) fn vector(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in text.split("iov_base=").skip(1) {
        let end = part.find(", iov_len=")?;
        bytes.extend(quoted(&part[..end])?);
    }
    Some(bytes)
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8);
    let bytes = text.as_bytes().chunks(4).map(|quad| match quad {
        [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    bytes.collect()
}

/// `name(args) = result`; strace pads short calls before the equals sign. `all` borrows from the trace
/// where it can, and `start` has the name in any case.
fn parse<'a>(all: Cow<'a, str>, start: &'a str, begin: usize, end: usize) -> Option<Call<'a>> {
    let (name, _) = start.split_once('(')?;
    let (args, result) = match all {
        Cow::Borrowed(all) => {
            let (args, result) = halves(all, name.len())?;
            let args = split(args).into_iter().map(Cow::Borrowed).collect();
            (args, Cow::Borrowed(result))
        }
        Cow::Owned(all) => {
            let (args, result) = halves(&all, name.len())?;
            let owned = |text: &str| Cow::Owned(text.to_owned());
            (split(args).into_iter().map(owned).collect(), owned(result))
        }
    };
    Some(Call {
        name,
        args,
        result,
        begin,
        end,
    })
}

fn halves(call: &str, name: usize) -> Option<(&str, &str)> {
    let (args, result) = call.get(name + 1..)?.rsplit_once(" = ")?;
    Some((args.trim_end().strip_suffix(')')?, result.trim()))
}

/// At commas that are in no bracket.
fn split(args: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, byte) in args.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(args[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    if !args.is_empty() {
        parts.push(args[from..].trim());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<Call<'_>> {
        let mut calls = Vec::new();
        let read = each(text, |call| {
            calls.push(call);
            Ok::<_, ()>(())
        });
        read.unwrap();
        calls
    }

    #[test]
    fn a_call_has_its_bytes() {
        let line = r#"7  pwrite64(5<\x2f\x73>(deleted), "\x00\x22\x2c\xff", 4, 512)    = 4"#;
        let call = &calls(line)[0];
        assert_eq!((call.name, call.answer()), ("pwrite64", Some(4)));
        assert_eq!(descriptor(call.arg(0)), Some((5, b"/s".to_vec())));
        assert_eq!(quoted(call.arg(1)), Some(vec![0, b'"', b',', 255]));
        assert_eq!(call.number(3), Some(512));
        let line = r#"7 writev(5<\x2f>, [{iov_base="\x61", iov_len=1}, {iov_base="\x62", iov_len=1}], 2) = 2"#;
        assert_eq!(vector(calls(line)[0].arg(1)), Some(b"ab".to_vec()));
    }

    #[test]
    fn what_strace_cut_short_is_told_from_what_is_whole() {
        assert_eq!(quoted(r#""\x61"..."#), None);
        assert_eq!(vector(r#"[{iov_base="\x61"..., iov_len=9}]"#), None);
        assert_eq!(quoted(r#""""#), Some(Vec::new()));
    }

    #[test]
    fn a_call_lasts_from_its_first_line_to_its_last() {
        let text = "1  fsync(3<\\x2f> <unfinished ...>\n\
                    2 close(4<\\x2f>)            = 0\n\
                    1  <... fsync resumed>) = 0\n\
                    2 fdatasync(4<\\x2f> <unfinished ...>\n";
        let seen: Vec<_> = calls(text)
            .iter()
            .map(|call| (call.name, call.begin, call.end, call.succeeded()))
            .collect();
        let expected = [
            ("close", 1, 1, true),
            ("fsync", 0, 2, true),
            ("fdatasync", 3, 4, false),
        ];
        assert_eq!(seen, expected);
    }
}
