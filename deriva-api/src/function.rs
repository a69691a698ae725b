//! Functions: what recipes apply.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ByteRange, CallContext, Error, ErrorKind, Params, Result};

/// The name and version of a function, written `name/version`: `text.upper/1`.
///
/// A name is 1 to 128 bytes, a version 1 to 64, of ASCII letters, digits and `. _ - +`. A function
/// that changes what it computes gets a new version, so that old results keep their meaning.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionId {
    name: Arc<str>,
    version: Arc<str>,
}

impl FunctionId {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 128;
    /// The longest version, in bytes.
    pub const MAX_VERSION: usize = 64;

    /// Names a function.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when name or version is empty, too long, or has other characters.
    pub fn new(name: &str, version: &str) -> Result<Self> {
        Self::check(name, version)?;
        Ok(Self::unchecked(name, version))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn unchecked(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }

    pub(crate) fn check(name: &str, version: &str) -> Result<()> {
        for (part, text, limit) in [
            ("name", name, Self::MAX_NAME),
            ("version", version, Self::MAX_VERSION),
        ] {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
            if text.is_empty() || text.len() > limit || !text.bytes().all(allowed) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "a function is named `name/version`, of ASCII letters, digits and . _ - +",
                )
                .with("part", part)
                // It may be a text of any length, from bytes that somebody else wrote.
                .with("found", text.chars().take(2 * limit).collect::<String>())
                .with("limit", limit)
                .hint("such as `text.upper/1`; `deriva functions` lists those that are known"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FunctionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, version) = text.split_once('/').ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "a function is named `name/version`, such as `text.upper/1`",
            )
            .with("found", text)
            .hint("give a name and a version; `deriva functions` lists those that are known")
        })?;
        Self::new(name, version)
    }
}

impl TryFrom<String> for FunctionId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<FunctionId> for String {
    fn from(id: FunctionId) -> Self {
        id.to_string()
    }
}

/// How much work one call is, as its author judges: where it should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Microseconds on small inputs: run by the scheduler itself. On inputs that are large together
    /// the scheduler treats it as heavy.
    Light,
    /// Longer: run on the compute pool, so that it holds up nothing else.
    Heavy,
}

/// A param that a function knows, for people and for checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParamDoc {
    /// The param's name.
    pub name: Cow<'static, str>,
    /// Its type, as [`crate::Value::type_name`] gives it, or `number`, or `any`.
    pub kind: Cow<'static, str>,
    /// Whether it must be given.
    pub required: bool,
    /// What it means, with unit and default.
    pub description: Cow<'static, str>,
}

/// A pure map from input bytes and params to output bytes.
///
/// **Implementers promise** that `call` is deterministic: the same inputs and params give the same
/// bytes, on every machine, thread and day. It reads no clock, no environment, no file and no random
/// source. It may take long, and it may panic (the caller turns a panic into an error).
///
/// **Callers may assume** that a result can be stored under the recipe's address for ever.
pub trait ComputeFunction: fmt::Debug + Send + Sync + 'static {
    /// Name and version.
    fn id(&self) -> &FunctionId;

    /// Where it should run.
    fn weight(&self) -> Weight;

    /// What it does, in one sentence; empty where nothing is said.
    fn description(&self) -> &str;

    /// The params that it knows.
    fn params(&self) -> &[ParamDoc];

    /// Whether it can be called with this number of inputs and these params, found without running it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], saying what was expected.
    fn check(&self, inputs: usize, params: &Params) -> Result<()>;

    /// Computes the output. Where it is neither fresh nor a part of an input, but shared, static or owned by a
    /// type of the function's, the runtime copies it: it outlives the function, and is let go of anywhere.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for params and inputs that it cannot take, [`ErrorKind::Function`] for
    /// what goes wrong in it.
    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes>;

    /// As [`ComputeFunction::call`], with a context that tells whether the result is still wanted. Executors call this;
    /// light functions are called without one where they run beside the scheduler. Default: `call`.
    ///
    /// # Errors
    /// Those of `call`, and those of [`CallContext::check`].
    fn call_within(
        &self,
        inputs: &[Bytes],
        params: &Params,
        _context: &CallContext,
    ) -> Result<Bytes> {
        self.call(inputs, params)
    }

    /// About how many bytes the output will have at the most, from the lengths of the inputs: what a scheduler sets
    /// aside before the call, so that no more calls run at once than memory allows. Nothing else depends on it.
    /// Default: as many as the inputs have together.
    fn output_len(&self, inputs: &[u64], _params: &Params) -> u64 {
        inputs
            .iter()
            .fold(0, |sum: u64, len| sum.saturating_add(*len))
    }

    /// The range of its only input that the output is, where it is one: then the scheduler may read that range from the
    /// store instead of calling the function with the whole input. Default: none.
    fn output_range(&self, _params: &Params) -> Option<ByteRange> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_bad_ones_are_invalid() {
        assert_eq!(
            "text.upper/1".parse::<FunctionId>().unwrap().to_string(),
            "text.upper/1"
        );
        let long = format!("{}/1", "a".repeat(129));
        for text in ["", "a", "a/", "/1", "a b/1", "a/1/2", "é/1", &long] {
            assert_eq!(
                text.parse::<FunctionId>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{text}"
            );
        }
    }
}
