//! Tokens, and the roles that they give.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use deriva::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::Role;

/// The least bytes of a token: what is shorter can be guessed.
const SHORTEST: usize = 16;

/// The tokens that a server knows. What it keeps of each is a hash.
#[derive(Clone, Default)]
pub(crate) struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    hash: blake3::Hash,
    role: Role,
    expires: Option<SystemTime>,
}

/// A file of tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    role: String,
    secret: String,
    expires: Option<toml::value::Datetime>,
    /// For people alone.
    #[serde(rename = "name")]
    _name: Option<String>,
}

impl Tokens {
    /// Adds a token of 16 bytes or more, that gives a role until some time, or for good.
    ///
    /// # Errors
    /// `Invalid` for one that is shorter, or has characters that a header cannot carry, or is there already.
    fn add(&mut self, secret: &str, role: Role, expires: Option<SystemTime>) -> Result<()> {
        let is_visible = secret.bytes().all(|byte| byte.is_ascii_graphic());
        if secret.len() < SHORTEST || !is_visible {
            let what = "a token of 16 or more visible characters of ASCII was expected";
            let error = Error::new(ErrorKind::Invalid, what).with("bytes", secret.len());
            return Err(error.hint("`openssl rand -hex 32` makes a good one"));
        }
        let hash = blake3::hash(secret.as_bytes());
        if self.0.iter().any(|token| token.hash == hash) {
            let what = "the same token stands in the file twice";
            return Err(Error::new(ErrorKind::Invalid, what).hint("leave one of them away"));
        }
        self.0.push(Token {
            hash,
            role,
            expires,
        });
        Ok(())
    }

    /// Reads a file of tokens (TOML):
    ///
    /// ```toml
    /// [[token]]
    /// name = "the build servers"     # for people; may be left out
    /// role = "write"                 # read, write or admin
    /// secret = "5f2c9a..."           # 16 or more visible characters of ASCII
    /// expires = 2027-01-01T00:00:00Z # may be left out
    /// ```
    ///
    /// # Errors
    /// `Invalid` for what is no such file, with the line; `NotFound` and others where it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::io(source).with("file", path.display()))?;
        Self::parse(&text).map_err(|error| error.with("file", path.display()))
    }

    /// Reads the text of such a file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|mistake| {
            // The text of the mistake would show the secret on its line.
            let line = mistake.span().map_or(0, |span| {
                1 + text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
            });
            Error::new(ErrorKind::Invalid, "this is no file of tokens")
                .with("line", line)
                .with(
                    "mistake",
                    mistake.message().lines().next().unwrap_or_default(),
                )
                .hint("a token is `[[token]]` with `role`, `secret` and, if need be, `name` and `expires`")
        })?;
        let mut tokens = Self::default();
        for (place, entry) in file.token.into_iter().enumerate() {
            let mut add = || {
                let expires = entry.expires.map(|at| time_of(&at)).transpose()?;
                tokens.add(&entry.secret, entry.role.parse()?, expires)
            };
            add().map_err(|error: Error| error.with("token", place + 1))?;
        }
        if tokens.0.is_empty() {
            let what = "no token is in the file, so that nobody could call";
            let hint =
                "add one, as `[[token]]` with `role` and `secret`, or name no file of tokens";
            return Err(Error::new(ErrorKind::Invalid, what).hint(hint));
        }
        Ok(tokens)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The role that a token gives at a time.
    pub(crate) fn role_of(&self, secret: &str, now: SystemTime) -> Option<Role> {
        let given = blake3::hash(secret.as_bytes());
        // Hashes are compared in constant time, and all of them.
        let mut found = None;
        for token in &self.0 {
            if token.hash == given && token.expires.is_none_or(|at| now < at) {
                found = Some(token.role);
            }
        }
        found
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("count", &self.len())
            .finish_non_exhaustive()
    }
}

fn time_of(at: &toml::value::Datetime) -> Result<SystemTime> {
    let parsed = humantime::parse_rfc3339(&at.to_string());
    parsed.map_err(|_| {
        let what = "a time in UTC was expected, as 2027-01-01T00:00:00Z";
        let error = Error::new(ErrorKind::Invalid, what).with("found", at);
        error.hint("give date, time and the Z of UTC")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_gives_its_role_until_it_expires() {
        let mut tokens = Tokens::default();
        tokens.add(SECRET, Role::Write, None).unwrap();
        tokens
            .add("another-secret-1", Role::Admin, Some(at(101)))
            .unwrap();
        tokens
            .add("another-secret-2", Role::Admin, Some(at(100)))
            .unwrap();
        assert_eq!(tokens.role_of(SECRET, at(100)), Some(Role::Write));
        assert_eq!(
            tokens.role_of("another-secret-1", at(100)),
            Some(Role::Admin)
        );
        for wrong in [
            "",
            "another-secret-2",
            "0123456789abcdee",
            "0123456789abcdef ",
        ] {
            assert_eq!(tokens.role_of(wrong, at(100)), None, "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("0123"));
    }

    #[test]
    fn a_file_is_read_and_its_mistakes_are_told_without_its_secrets() {
        let text = format!(
            "[[token]]\nname = \"ci\"\nrole = \"read\"\nsecret = \"{SECRET}\"\nexpires = 2999-01-01T00:00:00Z\n"
        );
        let tokens = Tokens::parse(&text).unwrap();
        assert_eq!(tokens.role_of(SECRET, at(100)), Some(Role::Read));
        assert!(Tokens::parse("").is_err());
        for wrong in [
            text.replace("read", "reader"),
            text.replace("role", "rôle"),
            text.replace("role = \"read\"\n", ""),
            text.replace("2999-01-01T00:00:00Z", "2999-01-01"),
            text.replace("cdef\"", "cdef"),
            text.replace(SECRET, "short"),
            text.replace("[[token]]", "[[tokens]]"),
            text.replace("name", "nom"),
            text.repeat(2),
        ] {
            let error = Tokens::parse(&wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:#}").contains(SECRET), "{error:#}");
            assert!(
                error.context("line").is_some() || error.context("token").is_some(),
                "{error}"
            );
        }
    }
}
