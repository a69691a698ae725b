//! How far a scrub has come.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{CAddr, Error, ErrorKind, Result};

/// Where a scrub continues: after a recipe, or, once all recipes are done, after a blob. As text
/// `recipes:ADDR` or `blobs:ADDR`; without an address it is where these begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrubCursor {
    /// After this recipe.
    Recipes(Option<CAddr>),
    /// After this blob; all recipes are done.
    Blobs(Option<CAddr>),
}

impl Default for ScrubCursor {
    fn default() -> Self {
        Self::Recipes(None)
    }
}

impl fmt::Display for ScrubCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, after) = match self {
            Self::Recipes(after) => ("recipes", after),
            Self::Blobs(after) => ("blobs", after),
        };
        match after {
            Some(addr) => write!(f, "{phase}:{addr}"),
            None => f.write_str(phase),
        }
    }
}

impl FromStr for ScrubCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (phase, after) = match text.split_once(':') {
            Some((phase, addr)) => (phase, Some(addr.parse()?)),
            None => (text, None),
        };
        match phase {
            "recipes" => Ok(Self::Recipes(after)),
            "blobs" => Ok(Self::Blobs(after)),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "a cursor of a scrub is `recipes:ADDR` or `blobs:ADDR`",
            )
            .with("found", text)
            .hint("give the cursor that the scrub before ended with")),
        }
    }
}

impl Serialize for ScrubCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_as_text() {
        let addr = Some(CAddr::of_blob(b"x"));
        for cursor in [
            ScrubCursor::Recipes(None),
            ScrubCursor::Recipes(addr),
            ScrubCursor::Blobs(None),
            ScrubCursor::Blobs(addr),
        ] {
            assert_eq!(cursor.to_string().parse::<ScrubCursor>().unwrap(), cursor);
        }
        for text in ["", "roots", "blobs:", "blobs:12", "recipe:"] {
            let error = text.parse::<ScrubCursor>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        }
    }
}
