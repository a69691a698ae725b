//! Keys, and what each does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Pause,
    Sort,
    Reverse,
    NextTable,
    PreviousTable,
    /// Rows down, or up where negative.
    Scroll(isize),
    ToTop,
    ToEnd,
    Help,
    Longer,
    Shorter,
}

/// Rows of a page.
const PAGE: isize = 10;

/// The keys, as the help shows them.
pub(super) const HELP: [(&str, &str); 10] = [
    ("q Esc ctrl-c", "quit"),
    ("space", "pause, and go on"),
    ("s", "sort the table by its next column"),
    ("S", "turn its order round"),
    ("tab shift-tab", "next table, previous table"),
    ("j k, arrows", "scroll it"),
    ("PgDn PgUp", "scroll it by ten rows"),
    ("Home End", "to its top, to its end"),
    ("+ -", "ask less often, more often"),
    ("?", "show and hide this"),
];

/// What a key asks for; nothing for those that have no meaning.
pub(super) fn command(key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Command::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Command::Quit,
        KeyCode::Char(' ') => Command::Pause,
        KeyCode::Char('s') => Command::Sort,
        KeyCode::Char('S') => Command::Reverse,
        KeyCode::Tab => Command::NextTable,
        KeyCode::BackTab => Command::PreviousTable,
        KeyCode::Char('j') | KeyCode::Down => Command::Scroll(1),
        KeyCode::Char('k') | KeyCode::Up => Command::Scroll(-1),
        KeyCode::PageDown => Command::Scroll(PAGE),
        KeyCode::PageUp => Command::Scroll(-PAGE),
        KeyCode::Home => Command::ToTop,
        KeyCode::End => Command::ToEnd,
        KeyCode::Char('?') => Command::Help,
        KeyCode::Char('+') => Command::Longer,
        KeyCode::Char('-') => Command::Shorter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Command> {
        command(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn keys_ask_for_what_the_help_says() {
        let plain = KeyModifiers::NONE;
        assert_eq!(pressed(KeyCode::Esc, plain), Some(Command::Quit));
        let held = KeyModifiers::CONTROL;
        assert_eq!(pressed(KeyCode::Char('c'), held), Some(Command::Quit));
        assert_eq!(pressed(KeyCode::Char('c'), plain), None);
        assert_eq!(pressed(KeyCode::Char('q'), held), None);
        assert_eq!(
            pressed(KeyCode::Char('S'), KeyModifiers::SHIFT),
            Some(Command::Reverse)
        );
        assert_eq!(pressed(KeyCode::F(5), plain), None);
        let mut released = KeyEvent::new(KeyCode::Char('q'), plain);
        released.kind = KeyEventKind::Release;
        assert_eq!(command(released), None);
    }
}
