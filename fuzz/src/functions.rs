//! The functions that come with deriva, over blobs and params that anybody made.

use std::sync::LazyLock;

use bytes::Bytes;
use deriva::functions::{FunctionRegistry, builtin};
use deriva_api::{ErrorKind, FunctionId, Params, Value};
use deriva_cli::foreign;

use crate::{Read, check_kind, headed, pieces};

static FUNCTIONS: LazyLock<FunctionRegistry> = LazyLock::new(builtin);

/// Outputs that may be longer are not computed.
const LONGEST: u64 = 1 << 20;

/// The first line is a function and its params, as `text.top/1 {"n":3}`; inputs follow, with a line of `--` between them.
pub fn read(bytes: &[u8]) -> Read {
    let called = headed(bytes).and_then(|(head, rest)| Some((call(head)?, rest)));
    let Some(((id, mut params), rest)) = called else {
        return Read::Refused;
    };
    // Those measure, or lie on purpose.
    let function = FUNCTIONS
        .get(&id)
        .filter(|_| !id.name().starts_with("bench."));
    let Some(function) = function else {
        return Read::Refused;
    };
    if id.name().starts_with("compress.") && params.get("limit").is_none() {
        let takes_limit = function.params().iter().any(|doc| doc.name == "limit");
        if takes_limit {
            params.insert("limit".to_owned(), Value::from(LONGEST as i64));
        }
    }
    let inputs = pieces(rest).into_iter().map(Bytes::copy_from_slice);
    let inputs: Vec<Bytes> = inputs.collect();
    if let Err(error) = function.check(inputs.len(), &params) {
        check_kind(&error, ErrorKind::Invalid);
        return Read::Refused;
    }
    let lens: Vec<u64> = inputs.iter().map(|input| input.len() as u64).collect();
    if function.output_len(&lens, &params) > LONGEST {
        return Read::Refused;
    }
    match function.call(&inputs, &params) {
        Ok(output) => {
            assert_eq!(function.call(&inputs, &params).ok(), Some(output.clone()));
            if let (Some(range), [input]) = (function.output_range(&params), &inputs[..]) {
                let within = range.within(input.len() as u64);
                assert_eq!(
                    output,
                    input.slice(within.start as usize..within.end as usize)
                );
            }
            Read::Taken
        }
        Err(error) => {
            let kinds = [ErrorKind::Invalid, ErrorKind::Function];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            Read::Refused
        }
    }
}

/// A function and its params.
fn call(head: &str) -> Option<(FunctionId, Params)> {
    let (id, params) = head.split_once(' ').unwrap_or((head, "{}"));
    let (_, params) = foreign::param(&format!("params:={params}")).ok()?;
    let Value::Map(params) = params else {
        return None;
    };
    Some((id.parse().ok()?, params.into_iter().collect()))
}
