//! The functions of a server, as far as they can be known here.

use std::sync::Arc;

use deriva::functions::{ComputeFunction, FunctionDoc, FunctionRegistry, ParamDoc, Weight};
use deriva::{Bytes, Error, ErrorKind, FunctionId, Params, Result};

/// The functions of which a server told. What is built in here as well checks inputs and params by itself; of the others the server
/// says later what is wrong.
///
/// # Errors
/// `Conflict` where the server told of one twice.
pub(super) fn told(docs: Vec<FunctionDoc>) -> Result<FunctionRegistry> {
    let builtin = deriva::functions::builtin();
    let mut functions = FunctionRegistry::new();
    for doc in docs {
        functions.register(match builtin.get(&doc.id) {
            Some(function) => Arc::clone(function),
            None => Arc::new(Elsewhere(doc)),
        })?;
    }
    Ok(functions)
}

/// A function that only the server has.
#[derive(Debug)]
struct Elsewhere(FunctionDoc);

impl ComputeFunction for Elsewhere {
    fn id(&self) -> &FunctionId {
        &self.0.id
    }

    fn weight(&self) -> Weight {
        self.0.weight
    }

    fn description(&self) -> &str {
        &self.0.description
    }

    fn params(&self) -> &[ParamDoc] {
        &self.0.params
    }

    fn check(&self, _: usize, _: &Params) -> Result<()> {
        Ok(())
    }

    fn call(&self, _: &[Bytes], _: &Params) -> Result<Bytes> {
        let what = "this function is known at the server, and not here";
        Err(Error::new(ErrorKind::Unsupported, what).with("function", &self.0.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_is_known_and_what_it_lacks_is_not() {
        let id = |text: &str| text.parse::<FunctionId>().unwrap();
        let docs = ["text.upper/1", "theirs/7"];
        let docs = docs
            .map(|it| FunctionDoc::new(id(it), Weight::Heavy))
            .to_vec();
        let functions = told(docs.clone()).unwrap();
        assert_eq!(functions.len(), 2);
        // Its own check says what is wrong.
        let upper = functions.get(&id("text.upper/1")).unwrap();
        assert!(upper.check(2, &Params::new()).is_err());
        let theirs = functions.get(&id("theirs/7")).unwrap();
        assert!(theirs.check(2, &Params::new()).is_ok());
        let error = theirs.call(&[], &Params::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(functions.get(&id("text.lower/1")).is_none());
        assert!(told([docs.clone(), docs].concat()).is_err());
    }
}
