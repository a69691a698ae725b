//! Who may look at pages.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deriva::{Error, ErrorKind};

use super::failed::Failed;
use crate::admission::Admission;

/// By what name of this server pages may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// As a machine calls itself, alone. A site elsewhere whose name is made to lead here can make a browser ask, and the browser
    /// would let that site read what is answered; but it asks by the name of the site.
    OwnNames,
    /// By any name: somebody said so.
    AnyName,
}

impl Access {
    /// Lets a request in, or not: by the name that it calls this server, and by its token where tokens are needed.
    pub(super) fn check(self, headers: &HeaderMap, admission: &Admission) -> Result<(), Failed> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if self == Self::OwnNames && !host.is_some_and(is_own) {
            let what = "pages are answered to who calls this server `localhost` or by its number";
            let error = Error::new(ErrorKind::Unsupported, what)
                .hint("where it has another name on purpose, behind a proxy for instance, set `page = true`");
            return Err(Failed::with(StatusCode::MISDIRECTED_REQUEST, error));
        }
        if admission.may_read(secret(headers).as_deref()) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Unsupported, "this server wants a token").hint(
            "give a token of the role `read` or more as the password, with any name of a user",
        );
        Err(Failed::with(StatusCode::UNAUTHORIZED, error))
    }
}

/// A number, or what only the machine itself answers to.
fn is_own(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host().to_ascii_lowercase();
    let number = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || number.parse::<IpAddr>().is_ok()
}

/// The token of a request: as programs give it, or as browsers give a password.
fn secret(headers: &HeaderMap) -> Option<String> {
    let (scheme, given) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let given = given.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(given.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_else_may_own_is_no_name_of_this_machine() {
        for own in [
            "localhost",
            "LocalHost:6734",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]:6734",
            "a.localhost",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "",
            "example.org",
            "127.0.0.1.example.org",
            "localhost.example.org:6734",
            "notlocalhost",
            "a b",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn a_token_comes_as_a_password_or_by_itself() {
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().unwrap());
            secret(&headers)
        };
        assert_eq!(given("Bearer abc").as_deref(), Some("abc"));
        // `me:a:c`
        assert_eq!(given("basic bWU6YTpj").as_deref(), Some("a:c"));
        for wrong in ["Basic ???", "Basic bWU=", "Digest abc", "abc"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }
}
