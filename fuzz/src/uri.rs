//! URIs of stores.
//!
//! What is taken is printed as it was written, and read again from what it says: made from its parts, it is equal.

use deriva_api::{Result, StoreUri};

use crate::{Read, check_advice};

/// Bytes as the text of a URI.
pub fn read(bytes: &[u8]) -> Read {
    let Ok(text) = str::from_utf8(bytes) else {
        return Read::Refused;
    };
    let uri: StoreUri = match text.parse() {
        Ok(uri) => uri,
        Err(error) => {
            check_advice(&error);
            assert!(error.context("uri").is_some(), "{error:?}");
            // However long and deep a URI is, it is told once.
            assert!(error.to_string().len() < 3 * text.len() + 500, "{error}");
            return Read::Refused;
        }
    };
    assert_eq!(uri.to_string(), text);
    let made = made(&uri).expect("its parts are right");
    assert_eq!(made, uri);
    let printed = made.to_string();
    let again: StoreUri = printed.parse().expect("what is printed can be read");
    assert_eq!(again, uri);
    assert_eq!(self::made(&again).expect("as before").to_string(), printed);
    let keys: Vec<&str> = uri.options().map(|(key, _)| key).collect();
    assert!(uri.allow_options(&keys).is_ok());
    if let Some((last, known)) = keys.split_last() {
        let error = uri.allow_options(known).expect_err("one is not known");
        check_advice(&error);
        assert_eq!(error.context("option"), Some(*last));
        assert!(uri.clone().with_option(last, 1).is_err());
    }
    Read::Taken
}

/// The same, made from its parts.
fn made(uri: &StoreUri) -> Result<StoreUri> {
    let stores = uri.stores();
    let stores = stores.map(|(name, store)| Ok((name, made(store)?)));
    let stores = stores.collect::<Result<Vec<_>>>()?;
    let bare = match uri.is_stack() {
        true => StoreUri::stack(uri.scheme(), stores),
        false => StoreUri::new(uri.scheme(), uri.path()),
    };
    uri.options()
        .try_fold(bare?, |made, (key, value)| made.with_option(key, value))
}
