//! What stands behind the question mark.

use std::collections::HashMap;
use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use deriva::{Error, ErrorKind, Result};

/// The values of a query, the first of each name. One that is empty counts as not given, as forms send those that nobody filled in.
#[derive(Debug)]
pub(super) struct Query(HashMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn of(text: &str) -> Self {
        let mut values = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.trim();
            if !value.is_empty() {
                values.entry(name.into_owned()).or_insert(value.to_owned());
            }
        }
        Self(values)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that is parsed.
    ///
    /// # Errors
    /// As parsing it.
    pub(super) fn parsed<T: FromStr<Err = Error>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name).map(str::parse).transpose()
    }

    /// A number within these bounds.
    ///
    /// # Errors
    /// `Invalid` for all else.
    pub(super) fn number(
        &self,
        name: &'static str,
        default: u32,
        (least, most): (u32, u32),
    ) -> Result<u32> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok();
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                let what = format!("a whole number from {least} to {most} was expected");
                let error = Error::new(ErrorKind::Invalid, what);
                error.with("name", name).with("found", text)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_numbers_have_bounds() {
        let query = Query::of("a=%3Cb%3E+c&n=7&a=2&empty=&wrong=-1&large=99999999999");
        assert_eq!(query.get("a"), Some("<b> c"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.number("n", 1, (0, 7)).unwrap(), 7);
        assert_eq!(query.number("empty", 1, (0, 7)).unwrap(), 1);
        for wrong in ["wrong", "large", "a"] {
            let error = query.number(wrong, 1, (0, 7)).unwrap_err();
            assert_eq!(error.context("name"), Some(wrong));
        }
        assert!(query.number("n", 1, (0, 6)).is_err());
    }
}
