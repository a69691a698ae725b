//! What people read of a function.

use serde::{Serialize, Serializer};

use crate::{ComputeFunction, FunctionId, ParamDoc, Weight};

/// What people read of a function, without the function itself: what is told of one that runs elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FunctionDoc {
    /// What it does, in one sentence; empty where nothing is said.
    pub description: String,
    /// Its name and version, which are two fields of their own where it is serialized.
    #[serde(flatten, serialize_with = "as_two")]
    pub id: FunctionId,
    /// The params that it knows.
    pub params: Vec<ParamDoc>,
    /// Where it should run.
    pub weight: Weight,
}

impl FunctionDoc {
    /// A function of which nothing is said.
    #[must_use]
    pub fn new(id: FunctionId, weight: Weight) -> Self {
        Self {
            description: String::new(),
            id,
            params: Vec::new(),
            weight,
        }
    }
}

impl From<&dyn ComputeFunction> for FunctionDoc {
    fn from(function: &dyn ComputeFunction) -> Self {
        let mut doc = Self::new(function.id().clone(), function.weight());
        function.description().clone_into(&mut doc.description);
        function.params().clone_into(&mut doc.params);
        doc
    }
}

fn as_two<S: Serializer>(id: &FunctionId, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Two<'a> {
        name: &'a str,
        version: &'a str,
    }
    let (name, version) = (id.name(), id.version());
    Two { name, version }.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FunctionRegistry;

    #[test]
    fn it_says_what_the_function_says_and_has_its_name_and_version_in_json() {
        let mut functions = FunctionRegistry::new();
        functions
            .register_fn("text.upper", "2", Weight::Heavy, |inputs, _| {
                Ok(inputs[0].clone())
            })
            .unwrap();
        let docs = functions.docs();
        assert_eq!(
            docs[0],
            FunctionDoc::new("text.upper/2".parse().unwrap(), Weight::Heavy)
        );
        assert_eq!(
            serde_json::to_value(&docs).unwrap(),
            serde_json::json!([
                {"name": "text.upper", "version": "2", "description": "", "params": [], "weight": "heavy"}
            ])
        );
    }
}
