//! The built-in functions, one file per family.

use deriva_api::ComputeFunction;
use std::sync::Arc;

use super::FunctionRegistry;

impl FunctionRegistry {
    /// A registry with deriva's own functions; `docs/reference/functions.md` describes them.
    #[must_use]
    pub fn builtin() -> Self {
        let mut functions = Self::new();
        for function in all() {
            let added = functions.register(function);
            debug_assert!(added.is_ok(), "{added:?}");
        }
        functions
    }
}

fn all() -> Vec<Arc<dyn ComputeFunction>> {
    Vec::new()
}
