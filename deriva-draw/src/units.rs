//! Sizes, times and counts as people read them.

use std::time::Duration;

use bytesize::ByteSize;

/// A number of bytes for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).to_string()
}

/// A duration for people, in the unit that fits.
#[must_use]
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} us", s * 1e6),
    }
}

/// A count with a word in singular or plural.
#[must_use]
pub fn counted(n: u64, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}
