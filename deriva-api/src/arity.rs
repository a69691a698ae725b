//! How many inputs a function takes.

use std::fmt;

/// How many inputs a function takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arity {
    /// Exactly this many.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
    /// Any number, none included.
    #[default]
    Any,
}

impl Arity {
    /// Whether `inputs` inputs are accepted.
    #[must_use]
    pub const fn accepts(self, inputs: usize) -> bool {
        match self {
            Self::Exactly(n) => inputs == n,
            Self::AtLeast(n) => inputs >= n,
            Self::Any => true,
        }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(n) => write!(f, "exactly {n}"),
            Self::AtLeast(n) => write!(f, "at least {n}"),
            Self::Any => f.write_str("any number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arity;

    #[test]
    fn bounds_are_inclusive() {
        assert!(Arity::Exactly(2).accepts(2));
        assert!(!Arity::Exactly(2).accepts(1) && !Arity::Exactly(2).accepts(3));
        assert!(!Arity::AtLeast(1).accepts(0) && Arity::AtLeast(1).accepts(9));
        assert!(Arity::Any.accepts(0));
    }
}
