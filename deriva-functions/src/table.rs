//! Tables of counts: lines of a text, a tab and a decimal count. The last tab of a line counts, so the
//! text may have tabs of its own.

use bytes::Bytes;
use deriva_api::{Error, ErrorKind, Result};

use super::lines::lines;

/// A text and how often it was there.
pub(super) type Count<'a> = (&'a [u8], u64);

/// Writes one line for each count, in the order given.
pub(super) fn write_counts(counts: &[Count<'_>]) -> Bytes {
    let len = counts.iter().map(|(text, _)| text.len() + 8).sum();
    let mut out = Vec::with_capacity(len);
    for (text, count) in counts {
        out.extend_from_slice(text);
        out.push(b'\t');
        write_decimal(&mut out, *count);
        out.push(b'\n');
    }
    out.into()
}

/// The counts of a table; `input` is the number that errors give to it.
pub(super) fn read_counts(table: &[u8], input: usize) -> impl Iterator<Item = Result<Count<'_>>> {
    lines(table).enumerate().map(move |(i, line)| {
        read_count(line).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "the input is no table of counts")
                .with("input", input)
                .with("line", i + 1)
                .with("expected", "a text, a tab and a whole number below 2^64")
                .with("found", excerpt(line))
        })
    })
}

/// The start of `bytes`, as a message shows it.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let dots = if shown.len() < bytes.len() { "..." } else { "" };
    format!("`{}`{dots}", shown.escape_ascii())
}

fn read_count(line: &[u8]) -> Option<Count<'_>> {
    let tab = line.iter().rposition(|byte| *byte == b'\t')?;
    let digits = line.get(tab + 1..).filter(|digits| !digits.is_empty())?;
    let count = digits.iter().try_fold(0_u64, |count, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        count.checked_mul(10)?.checked_add(digit)
    })?;
    Some((&line[..tab], count))
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_round_trip_up_to_the_largest() {
        let counts: Vec<Count<'_>> = vec![(b"", 0), (b"a\tb", 10), (b"\xff", u64::MAX)];
        let table = write_counts(&counts);
        assert_eq!(table, &b"\t0\na\tb\t10\n\xff\t18446744073709551615\n"[..]);
        let read: Vec<_> = read_counts(&table, 0).map(Result::unwrap).collect();
        assert_eq!(read, counts);
    }

    #[test]
    fn what_is_no_count_is_refused_with_its_line() {
        for bad in ["a", "a\t", "a\t-1", "a\t1 ", "a\t18446744073709551616", ""] {
            let table = format!("x\t1\n{bad}\n");
            let error = read_counts(table.as_bytes(), 3)
                .collect::<Result<Vec<_>>>()
                .unwrap_err();
            assert_eq!(error.context("line"), Some("2"), "{bad}");
            assert_eq!(error.context("input"), Some("3"));
        }
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"a\xff\t"), r"`a\xff\t`");
        assert_eq!(excerpt(&[b'a'; 99]), format!("`{}`...", "a".repeat(40)));
    }
}
