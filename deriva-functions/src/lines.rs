//! What a line is: bytes up to a `\n`. A last line needs none; every line of an output has one.

use bytes::Bytes;

/// The lines of `text`, without their `\n`. A `\r` belongs to its line.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Writes each line with a `\n` after it; `len` is a guess of the bytes that come out.
pub(super) fn write_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>, len: usize) -> Bytes {
    let mut out = Vec::with_capacity(len + 1);
    for line in lines {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.into()
}
