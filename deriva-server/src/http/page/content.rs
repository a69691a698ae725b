//! What a blob has in it: text and images as they are, all else as hex.

use std::fmt::Write;

use deriva::stores::BlobStore;
use deriva::{BlobStat, ByteRange};
use deriva_draw::size;
use maud::{Markup, html};

use super::words::{grouped, isolated};

/// Bytes of a text that are read.
pub(super) const TEXT: u64 = 64 << 10;
/// Bytes that are shown as hex.
const HEX: usize = 4 << 10;
/// Bytes of an image at the most.
pub(super) const IMAGE: u64 = 4 << 20;
/// Bytes in a row of hex.
const ROW: usize = 16;

/// The kind of an image that a browser may be shown, by its first bytes, whoever calls it what. No SVG, which is a document that can do
/// things.
pub(super) fn image(first: &[u8]) -> Option<&'static str> {
    let webp = first.starts_with(b"RIFF") && first.get(8..12) == Some(b"WEBP");
    match first {
        _ if first.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if first.starts_with(b"\xff\xd8\xff") => Some("image/jpeg"),
        _ if first.starts_with(b"GIF87a") || first.starts_with(b"GIF89a") => Some("image/gif"),
        _ if webp => Some("image/webp"),
        _ => None,
    }
}

/// The text that these bytes are, which may end within a character where they are the beginning of more.
fn text(first: &[u8], whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if !whole && error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let other = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.contains(other)).then_some(text)
}

/// Offsets, hex and what is visible, 16 bytes to a row.
fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (row, bytes) in bytes.chunks(ROW).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{:08x}  ", row * ROW);
        for place in 0..ROW {
            let _ = match bytes.get(place) {
                Some(byte) => write!(out, "{byte:02x} "),
                None => write!(out, "   "),
            };
        }
        out.push(' ');
        out.extend(bytes.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        }));
        out.push('\n');
    }
    out
}

/// The beginning of a blob, and how much of it is shown.
pub(super) async fn shown(blobs: &dyn BlobStore, stat: BlobStat) -> Markup {
    let read = blobs.get_range(stat.addr, ByteRange::new(0, TEXT)).await;
    let first = match read {
        Ok(Some(first)) => first,
        Ok(None) => return html! { p.failure { "The bytes are gone." } },
        Err(error) => return html! { p.failure { "The bytes cannot be read: " (error) } },
    };
    if first.is_empty() {
        return html! { p { "It is empty." } };
    }
    if let Some(kind) = image(&first)
        && stat.len <= IMAGE
    {
        let alt = format!("The image that is stored here: {kind}, {}", size(stat.len));
        return html! { p { img.stored src={ "/blob/" (stat.addr) } alt=(alt); } };
    }
    let whole = first.len() as u64 == stat.len;
    let (view, as_what, count) = match text(&first, whole) {
        Some(text) => (isolated(text), "text", text.len()),
        None => {
            let bytes = &first[..first.len().min(HEX)];
            (hex(bytes), "hex", bytes.len())
        }
    };
    let of = grouped(stat.len);
    html! {
        p.remark {
            @if count as u64 == stat.len { "All " (of) " bytes, as " (as_what) "." }
            @else { "The first " (grouped(count as u64)) " of " (of) " bytes, as " (as_what) "." }
            @if image(&first).is_some() { " It is an image, but larger than the " (size(IMAGE)) " that are shown as one." }
        }
        pre class={ "content " (as_what) } tabindex="0" role="region" aria-label={ "Content, as " (as_what) } { (view) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_first_bytes_and_documents_are_none() {
        assert_eq!(image(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(image(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(image(b"GIF89a.."), Some("image/gif"));
        assert_eq!(image(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"<?xml version='1.0'?><svg/>",
            b"<!DOCTYPE html><script>",
            b"RIFF\0\0\0\0WAVE",
            b"%PDF-1.7",
            b"\x89PN",
            b"",
        ] {
            assert_eq!(image(other), None);
        }
    }

    #[test]
    fn text_is_what_has_no_other_characters_and_may_be_cut_off() {
        assert_eq!(text("a\u{e4}\n\t".as_bytes(), true), Some("a\u{e4}\n\t"));
        let cut = &"a\u{e4}".as_bytes()[..2];
        assert_eq!(text(cut, false), Some("a"));
        assert_eq!(text(cut, true), None);
        for bytes in [&b"a\0b"[..], b"a\x1b[0m", b"\xff\xfe"] {
            assert_eq!(text(bytes, false), None);
        }
    }

    #[test]
    fn hex_has_offsets_and_what_is_visible() {
        let bytes: Vec<u8> = (b'a'..b'a' + 17).collect();
        let rows = hex(&bytes);
        assert_eq!(
            rows,
            "00000000  61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop\n\
             00000010  71                                               q\n"
        );
    }
}
