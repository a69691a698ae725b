//! How a store is named in text.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::{Error, ErrorKind, Result};

/// A parsed store URI: `scheme:path?key=value&key=value`.
///
/// `sled:./data?durability=buffered&cache=256MiB` names a sled store in the folder `./data`. Path and
/// values may be percent-encoded (`%3F` for a `?` in a path). A scheme is lowercase letters, digits
/// and hyphens.
///
/// ```
/// let uri: deriva_api::StoreUri = "sled:./data?cache=256MiB".parse()?;
/// assert_eq!((uri.scheme(), uri.path()), ("sled", "./data"));
/// assert_eq!(uri.option("cache"), Some("256MiB"));
/// # Ok::<(), deriva_api::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUri {
    text: String,
    scheme: String,
    path: String,
    options: Vec<(String, String)>,
}

impl StoreUri {
    /// The part before the first colon.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The part between the colon and the question mark, decoded; may be empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of an option, decoded.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All options in the order given.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Checks that no option is given but the `known` ones, for those who open stores.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming the unknown option and listing the known ones.
    pub fn allow_options(&self, known: &[&str]) -> Result<()> {
        match self.options().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, _)) => {
                Err(self
                    .invalid("unknown option")
                    .with("option", key)
                    .hint(match known {
                        [] => format!("`{}:` takes no options", self.scheme),
                        _ => format!("`{}:` takes: {}", self.scheme, known.join(", ")),
                    }))
            }
        }
    }

    /// An [`ErrorKind::Invalid`] about this URI.
    #[must_use]
    pub fn invalid(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Invalid, message).with("uri", self)
    }
}

impl FromStr for StoreUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |message: &'static str| {
            Error::new(ErrorKind::Invalid, message)
                .with("uri", text)
                .hint("a store is named like `sled:./data`, `memory:` or `sled:./data?durability=buffered`")
        };
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| invalid("a store URI begins with a scheme and a colon"))?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if scheme.is_empty() || !scheme.bytes().all(allowed) {
            return Err(invalid(
                "the scheme of a store URI is lowercase letters, digits and hyphens",
            ));
        }
        let decode = |part: &str| {
            let decoded = percent_decode_str(part).decode_utf8();
            decoded
                .map(String::from)
                .map_err(|source| invalid("a store URI is UTF-8 text").caused_by(source))
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| invalid("an option is written key=value"))?;
            let key = decode(key)?;
            if options.iter().any(|(known, _)| *known == key) {
                return Err(invalid("an option is given twice").with("option", key));
            }
            options.push((key, decode(value)?));
        }
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_owned(),
            path: decode(path)?,
            options,
        })
    }
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_parse_and_print_back() {
        let uri: StoreUri = "sled:/a%20b/c?durability=buffered&cache=1MiB"
            .parse()
            .unwrap();
        assert_eq!((uri.scheme(), uri.path()), ("sled", "/a b/c"));
        assert_eq!(
            uri.options().collect::<Vec<_>>(),
            [("durability", "buffered"), ("cache", "1MiB")]
        );
        assert_eq!(
            uri.to_string(),
            "sled:/a%20b/c?durability=buffered&cache=1MiB"
        );
        let error = uri.allow_options(&["durability"]).unwrap_err();
        assert_eq!(
            (error.context("option"), error.advice()),
            (Some("cache"), Some("`sled:` takes: durability"))
        );
    }

    #[test]
    fn what_is_no_uri_is_invalid() {
        for text in [
            "",
            "data",
            ":x",
            "Sled:x",
            "sled:x?a",
            "sled:x?a=1&a=2",
            "sled:%ff",
        ] {
            assert_eq!(
                text.parse::<StoreUri>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{text}"
            );
        }
    }
}
