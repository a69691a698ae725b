//! Where quotes may stand, by RFC 4180: around a whole field, and twice for one within it.
//!
//! The library that reads the records takes them anywhere: one that is never closed swallows the rest.

use deriva_api::{Error, ErrorKind, Result};

use crate::table::excerpt;

const QUOTE: u8 = b'"';
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

enum At {
    FieldStart,
    Bare,
    /// Within quotes that were opened on this line.
    Quoted(u64),
    /// After a quote within quotes: their end, or the first of two.
    Closed(u64),
}

/// Whether every quote of a table opens a field, closes it, or is one of two within it.
pub(super) fn check(input: &[u8], delimiter: u8) -> Result<()> {
    let body = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    let mut at = At::FieldStart;
    let mut line = 1;
    for (i, byte) in body.iter().copied().enumerate() {
        let ends = byte == delimiter || byte == b'\n' || byte == b'\r';
        at = match at {
            At::FieldStart if byte == QUOTE => At::Quoted(line),
            At::Quoted(opened) if byte == QUOTE => At::Closed(opened),
            At::Quoted(opened) => At::Quoted(opened),
            At::Closed(opened) if byte == QUOTE => At::Quoted(opened),
            At::FieldStart | At::Bare | At::Closed(_) if ends => At::FieldStart,
            At::Closed(_) => {
                let expected = "the delimiter or the end of the line after a closing quote";
                return Err(refused(line, expected, excerpt(&body[i..])));
            }
            At::Bare if byte == QUOTE => {
                let expected = "quotes around the whole of a field that has one";
                return Err(refused(line, expected, excerpt(&body[i..])));
            }
            At::FieldStart | At::Bare => At::Bare,
        };
        line += u64::from(byte == b'\n');
    }
    match at {
        At::Quoted(opened) => {
            let expected = "a closing quote for the one that was opened on this line";
            Err(refused(opened, expected, "the end of the input"))
        }
        _ => Ok(()),
    }
}

fn refused(line: u64, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "the input is no table in CSV")
        .with("line", line)
        .with("expected", expected)
        .with("found", found)
        .hint("a field with a quote is written in quotes, and the quote twice: \"2\"\" pipe\"")
}
