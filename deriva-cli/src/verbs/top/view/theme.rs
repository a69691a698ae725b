//! How things look: in colours, or without them.

use ratatui::style::{Color, Modifier, Style};

/// Looks, by what is meant. Without colours bold and dim remain.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Theme {
    colour: bool,
}

impl Theme {
    pub(in super::super) fn new(colour: bool) -> Self {
        Self { colour }
    }

    pub(in super::super) fn plain() -> Self {
        Self::new(false)
    }

    fn with(self, style: Style, colour: Color) -> Style {
        match self.colour {
            true => style.fg(colour),
            false => style,
        }
    }

    /// Names that matter, keys.
    pub(super) fn accent(self) -> Style {
        self.with(bold(), Color::Cyan)
    }

    /// What a number is.
    pub(super) fn label(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The heads of columns.
    pub(super) fn head(self) -> Style {
        self.with(Style::new(), Color::Blue)
    }

    pub(super) fn good(self) -> Style {
        self.with(Style::new(), Color::Green)
    }

    pub(super) fn warn(self) -> Style {
        self.with(bold(), Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.with(bold(), Color::Red)
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}
