//! Which results are written to the store, and when the same work is looked for under another name: by function, and where a
//! request does not say.

use std::collections::HashMap;

use deriva_api::FunctionId;
pub(crate) use deriva_api::{Cutoff, StoreResults};

/// What holds where a request does not say otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    pub(crate) results: StoreResults,
    pub(crate) cutoff: Cutoff,
    pub(crate) of_functions: HashMap<FunctionId, FunctionPolicy>,
}

/// What holds for a function, where it is set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FunctionPolicy {
    pub(crate) results: Option<StoreResults>,
    pub(crate) cutoff: Option<Cutoff>,
}

impl Policies {
    /// For stores that may only be read.
    pub(crate) fn keep_nothing(&mut self) {
        self.results = StoreResults::None;
        for own in self.of_functions.values_mut() {
            own.results = None;
        }
    }

    pub(crate) fn results_of(&self, function: &FunctionId) -> StoreResults {
        let own = self.of_functions.get(function);
        own.and_then(|own| own.results).unwrap_or(self.results)
    }

    pub(crate) fn cutoff_of(&self, function: &FunctionId) -> Cutoff {
        let own = self.of_functions.get(function);
        own.and_then(|own| own.cutoff).unwrap_or(self.cutoff)
    }
}
