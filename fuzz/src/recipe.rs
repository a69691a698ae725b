//! Recipes and values as stores keep them.
//!
//! Whatever is taken is the one canonical form: written anew from what was read, it is the same bytes.

use bytes::Bytes;
use deriva_api::canonical::{decode_value, encode_value};
use deriva_api::{CAddr, ErrorKind, Recipe};

use crate::{Read, check_kind};

/// Bytes as a recipe, and as a value.
pub fn read(bytes: &[u8]) -> Read {
    value(bytes);
    let found = match Recipe::decode(Bytes::copy_from_slice(bytes)) {
        Ok(found) => found,
        Err(error) => {
            check_kind(&error, ErrorKind::Corrupt);
            assert!(error.context("length").is_some(), "{error:?}");
            return Read::Refused;
        }
    };
    assert_eq!(&found.canonical()[..], bytes);
    assert_eq!(found.addr(), CAddr::of_recipe(bytes));
    let inputs: Vec<CAddr> = found.inputs().collect();
    assert_eq!(inputs.len(), found.input_count());
    assert_eq!(
        found.function().to_string().parse().ok(),
        Some(found.function())
    );
    let limits = found.check_limits();
    match found.params() {
        Ok(params) => {
            let again = Recipe::new(&found.function(), &inputs, &params);
            match limits {
                Ok(()) => assert_eq!(&again.expect("it was read").canonical()[..], bytes),
                // A stored one may be larger than a new one.
                Err(error) => check_kind(&error, ErrorKind::Invalid),
            }
        }
        Err(error) => {
            check_kind(&error, ErrorKind::Invalid);
            check_kind(
                &limits.expect_err("it has too many values"),
                ErrorKind::Invalid,
            );
        }
    }
    assert_eq!(found.resolve(&inputs).ok(), Some(found.clone()));
    let other: Vec<CAddr> = inputs
        .iter()
        .map(|it| CAddr::of_blob(it.as_ref()))
        .collect();
    let resolved = found.resolve(&other).expect("as many as before");
    let again = Recipe::verify(resolved.addr(), resolved.canonical().clone());
    assert!(again.expect("it is canonical").inputs().eq(other));
    Read::Taken
}

fn value(bytes: &[u8]) {
    match decode_value(bytes) {
        Ok(value) => {
            // What is nested too deeply or too long is refused by both, or by none.
            let again = encode_value(&value).expect("it was read");
            assert_eq!(&again[..], bytes);
        }
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid),
            "{error:?}"
        ),
    }
}
