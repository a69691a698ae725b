//! Which results are written to the store, when the same work is looked for under another name, and what is checked: by
//! function, and where a request does not say.

use std::collections::HashMap;

use deriva_api::{CAddr, Error, FunctionId};
pub(crate) use deriva_api::{Cutoff, Determinism, OnViolation, StoreResults};

use crate::shared::claimant::{Asked, Claimant};
use crate::shared::ledger::{Ledger, condemned};

/// What holds where a request does not say otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    pub(crate) results: StoreResults,
    pub(crate) cutoff: Cutoff,
    pub(crate) determinism: Determinism,
    pub(crate) on_violation: OnViolation,
    /// Whether a request may be checked less than this asks for.
    pub(crate) requests_may_lower: bool,
    /// Whether repeated runs are perturbed.
    pub(crate) perturb: bool,
    /// What decides which computations belong to a sample.
    pub(crate) sampling_key: [u8; 32],
    /// Violations of a function from which on it is computed no more.
    pub(crate) quarantine_after: Option<u64>,
    pub(crate) of_functions: HashMap<FunctionId, FunctionPolicy>,
}

/// What holds for a function, where it is set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FunctionPolicy {
    pub(crate) results: Option<StoreResults>,
    pub(crate) cutoff: Option<Cutoff>,
    pub(crate) determinism: Option<Determinism>,
    pub(crate) on_violation: Option<OnViolation>,
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

    /// How recipes of a function are checked for a request that asks for this.
    pub(crate) fn determinism_of(
        &self,
        function: &FunctionId,
        asked: Option<Determinism>,
    ) -> Determinism {
        let own = self.of_functions.get(function);
        let set = own
            .and_then(|own| own.determinism)
            .unwrap_or(self.determinism);
        match asked {
            Some(asked) if self.requests_may_lower => asked,
            Some(asked) => set.stricter(asked),
            None => set,
        }
    }

    /// Whether what another request computes is checked as one asks for whose mode is this.
    pub(crate) fn are_checked(
        &self,
        owner: &Claimant,
        who_asks: &Claimant,
        addr: CAddr,
        function: &FunctionId,
    ) -> bool {
        let mode = self.determinism_of(function, who_asks.asked.of(&addr));
        // Another handle may mean something else by the name.
        let theirs = || self.determinism_of(function, owner.asked.of(&addr));
        mode.is_off() || (owner.is_of_handle_of(who_asks) && theirs().is_as_strict_as(mode))
    }

    /// As [`Policies::are_checked`], where the other computes it under another name that is not known.
    pub(crate) fn are_checked_elsewhere(
        &self,
        owner: &Claimant,
        who_asks: &Claimant,
        addr: CAddr,
        function: &FunctionId,
    ) -> bool {
        // What the other asks for some recipes may be more or less than for that one.
        let is_known = owner.asked.at.is_none();
        let is_off = || {
            self.determinism_of(function, who_asks.asked.of(&addr))
                .is_off()
        };
        is_off() || (is_known && self.are_checked(owner, who_asks, addr, function))
    }

    /// Whether anything may be checked for a request that asks for this.
    pub(crate) fn checks_anything(&self, asked: &Asked) -> bool {
        let own = self.of_functions.values();
        let mut set = own
            .filter_map(|own| own.determinism)
            .chain([self.determinism])
            .chain(asked.modes());
        set.any(|mode| !mode.is_off())
    }

    /// Why a recipe is not computed: it gave different outputs before, or too many of its function did.
    pub(crate) fn refuses(
        &self,
        ledger: &Ledger,
        addr: CAddr,
        function: &FunctionId,
    ) -> Option<Error> {
        if ledger.is_empty() {
            return None;
        }
        let quarantined = ledger.quarantine(function, self.quarantine_after);
        quarantined.or_else(|| match self.on_violation_of(function) {
            OnViolation::Report => None,
            _ => Some(condemned(addr, ledger.entry_of(&addr)?)),
        })
    }

    pub(crate) fn on_violation_of(&self, function: &FunctionId) -> OnViolation {
        let own = self.of_functions.get(function);
        own.and_then(|own| own.on_violation)
            .unwrap_or(self.on_violation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_raised_by_requests_and_lowered_where_that_is_allowed() {
        let (known, other): (FunctionId, FunctionId) =
            ("known/1".parse().unwrap(), "other/1".parse().unwrap());
        let sampled = Determinism::Sampled { rate: 0.5 };
        let mut policies = Policies {
            determinism: sampled,
            ..Policies::default()
        };
        let own = policies.of_functions.entry(known.clone()).or_default();
        own.determinism = Some(Determinism::Off);
        let of = |policies: &Policies, function, asked| policies.determinism_of(function, asked);
        assert_eq!(of(&policies, &known, None), Determinism::Off);
        assert_eq!(of(&policies, &other, None), sampled);
        let dual = Some(Determinism::Dual);
        assert_eq!(of(&policies, &known, dual), Determinism::Dual);
        assert_eq!(of(&policies, &other, Some(Determinism::Off)), sampled);
        policies.requests_may_lower = true;
        assert_eq!(
            of(&policies, &other, Some(Determinism::Off)),
            Determinism::Off
        );
        assert_eq!(of(&policies, &other, dual), Determinism::Dual);
        let anything =
            |policies: &Policies, all| policies.checks_anything(&Asked { all, at: None });
        assert!(anything(&policies, None));
        policies.determinism = Determinism::Off;
        assert!(!anything(&policies, Some(Determinism::Off)));
        assert!(anything(&policies, dual));
    }
}
