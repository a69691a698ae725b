//! What a run does with the recipes of a function.

use deriva_api::{ComputeFunction, Weight};

use crate::materialize::Options;
use crate::shared::Inner;
use crate::shared::able::supports;
use crate::shared::policy::{Cutoff, Determinism, OnViolation, StoreResults};

#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionMode {
    pub(super) is_light: bool,
    /// They are run here however large their inputs are: the executor lacks their function.
    pub(super) is_ours: bool,
    /// They are looked up under their resolved address first; or those are that have large inputs.
    pub(super) cutoff: bool,
    pub(super) cutoff_of_large: bool,
    pub(super) results: StoreResults,
    pub(super) determinism: Determinism,
    pub(super) on_violation: OnViolation,
}

impl FunctionMode {
    pub(super) fn of(inner: &Inner, options: &Options, function: &dyn ComputeFunction) -> Self {
        let (id, weight) = (function.id(), function.weight());
        let pays = || {
            let estimate = inner.costs.estimate(id, weight);
            inner.costs.cutoff_pays(estimate, weight).pays
        };
        let (cutoff, cutoff_of_large) = match options.cutoff_of(inner, id) {
            Cutoff::Always => (true, true),
            Cutoff::Never => (false, false),
            Cutoff::Auto => (pays(), true),
        };
        Self {
            is_light: weight == Weight::Light,
            is_ours: weight == Weight::Light && !supports(&*inner.executor, id),
            cutoff,
            cutoff_of_large,
            results: options.results_of(inner, id),
            determinism: options.determinism_of(inner, id),
            on_violation: inner.policies.on_violation_of(id),
        }
    }
}
