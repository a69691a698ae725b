//! The results for people and for programs.

mod html;
mod json;
mod junit;
mod table;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use table::table;

use deriva_api::DurabilityClass;
use deriva_testkit::Outcome;

/// The outcome as it stands in all formats.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "held",
        Outcome::Unsupported => "unsupported",
        Outcome::Failed => "failed",
    }
}

/// The class in a few letters.
fn class(class: DurabilityClass) -> &'static str {
    match class {
        DurabilityClass::None => "none",
        DurabilityClass::ProcessCrash => "process crash",
        DurabilityClass::PowerLoss => "power loss",
    }
}

/// A duration for people, in the unit that fits.
fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 100.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.01 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.1} ms", s * 1e3),
    }
}

/// A count with its word: `1 store`, `3 stores`.
fn counted(n: usize, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}
