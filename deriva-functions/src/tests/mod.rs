//! The library as its users call it: through the registry, by name.

mod bench;
mod bytes;
mod compress;
mod csv;
mod docs;
mod every_function;
mod given_up;
mod hash;
mod json;
mod text;
mod words;

use ::bytes::Bytes;
use deriva_api::{Error, ErrorKind, Params, Result};

/// Checks and calls a built-in function, version 1 where none is named; what `check` refuses `call` must refuse alike.
fn run<T: AsRef<[u8]>>(name: &str, inputs: &[T], params: Params) -> Result<Bytes> {
    let functions = crate::builtin();
    let (name, version) = name.split_once('/').unwrap_or((name, "1"));
    let function = functions.lookup(name, version).expect(name);
    let inputs: Vec<Bytes> = inputs
        .iter()
        .map(|input| Bytes::copy_from_slice(input.as_ref()))
        .collect();
    let checked = function.check(inputs.len(), &params);
    let output = function.call(&inputs, &params);
    if let Err(error) = checked {
        assert_eq!(output.unwrap_err().to_string(), error.to_string());
        return Err(error);
    }
    output
}

/// The output for one input; bytes beyond printable ASCII, tabs and newlines are escaped.
fn one(name: &str, input: impl AsRef<[u8]>, params: Params) -> String {
    let output = run(name, &[input], params).unwrap();
    output.escape_ascii().to_string()
}

/// The error for one input, which must be `Invalid` and name the function.
fn refused(name: &str, input: impl AsRef<[u8]>, params: Params) -> Error {
    let error = run(name, &[input], params).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    let (name, version) = name.split_once('/').unwrap_or((name, "1"));
    let id = format!("{name}/{version}");
    assert_eq!(error.context("function"), Some(&*id));
    error
}

/// Params of one pair.
fn with(name: &str, value: impl Into<deriva_api::Value>) -> Params {
    Params::new().with(name, value)
}

/// A list of text.
fn list(names: &[&str]) -> Vec<deriva_api::Value> {
    names.iter().map(|name| (*name).into()).collect()
}

/// Bytes that look random and are always the same.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    std::iter::repeat_with(|| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(len)
    .collect()
}
