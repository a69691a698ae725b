//! Text for a terminal or a pipe: colours, and control characters that are shown instead of sent.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Color, Style as Ansi};

/// Colours for one stream: on for a terminal, off where `NO_COLOR` is set or for a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// As stderr takes it.
    pub(crate) fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// As stdout takes it.
    pub(crate) fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// Without colours.
    pub(crate) const fn plain() -> Self {
        Self { colour: false }
    }

    fn of(terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: terminal && !set("NO_COLOR") && !dumb,
        }
    }

    /// Whether there are colours.
    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }

    /// For the head of an error.
    pub(crate) fn error(self, text: &str) -> String {
        self.paint(
            Ansi::new()
                .bold()
                .fg_color(Some(Color::Ansi(AnsiColor::Red))),
            text,
        )
    }

    /// For the next step, and names that matter.
    pub(crate) fn accent(self, text: &str) -> String {
        self.paint(
            Ansi::new()
                .bold()
                .fg_color(Some(Color::Ansi(AnsiColor::Cyan))),
            text,
        )
    }

    /// For success.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint(
            Ansi::new().fg_color(Some(Color::Ansi(AnsiColor::Green))),
            text,
        )
    }

    /// For what matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(Ansi::new().dimmed(), text)
    }

    /// Lines without control characters, but for line ends, tabs and the colours of this stream.
    pub(crate) fn tame(self, text: &str) -> String {
        let unwanted = |c: char| is_control(c) && !matches!(c, '\n' | '\t');
        if !self.colour {
            return shown(text, unwanted);
        }
        let mut parts = text.split('\u{1b}');
        let mut out = shown(parts.next().unwrap_or_default(), unwanted);
        for part in parts {
            let colours = part.strip_prefix('[').is_some_and(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            });
            out.push_str(if colours { "\u{1b}" } else { "\\u{1b}" });
            out.push_str(&shown(part, unwanted));
        }
        out
    }

    fn paint(self, ansi: Ansi, text: &str) -> String {
        if self.colour {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A text that others chose, on one line: control characters, and those that turn the direction of text, are
/// shown as in a Rust string.
pub(crate) fn plain(text: &str) -> String {
    shown(text, is_control)
}

fn shown(text: &str, hide: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match hide(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[2J\nb\u{9b}\u{202e}"),
            "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}"
        );
        assert_eq!(plain("h\u{e9} \\"), "h\u{e9} \\");
        let (plain, colour) = (Style::plain(), Style { colour: true });
        assert_eq!(plain.tame("a\n\t\u{1b}[1mb\r"), "a\n\t\\u{1b}[1mb\\r");
        let text = format!("{}\u{1b}]0;x\u{7}\u{1b}[2J", colour.error("e"));
        let told = colour.tame(&text);
        assert!(told.starts_with(&colour.error("e")), "{told:?}");
        assert!(told.ends_with("\\u{1b}]0;x\\u{7}\\u{1b}[2J"), "{told:?}");
    }
}
