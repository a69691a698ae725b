//! Files of tokens.

use deriva_server::foreign;

use crate::{Read, check_advice};

/// Bytes as the text of a file of tokens.
pub fn read(bytes: &[u8]) -> Read {
    let Ok(text) = str::from_utf8(bytes) else {
        return Read::Refused;
    };
    match foreign::tokens(text) {
        Ok(tokens) => {
            assert!(tokens > 0);
            Read::Taken
        }
        Err(error) => {
            check_advice(&error);
            if let Some(line) = error.context("line") {
                let line: usize = line.parse().expect("a number");
                assert!((1..=text.split('\n').count()).contains(&line), "{error:?}");
            }
            check_secrets(text, &format!("{error:?}"));
            Read::Refused
        }
    }
}

/// What could be a secret is not told.
fn check_secrets(text: &str, told: &str) {
    for line in text.lines() {
        let secret = line.trim().strip_prefix("secret = \"");
        let secret = secret.and_then(|rest| rest.split('"').next());
        if let Some(secret) = secret.filter(|secret| secret.len() >= 16) {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
