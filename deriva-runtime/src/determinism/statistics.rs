//! How much was checked, and what that excludes.

use deriva_api::{FunctionChecks, Verification};

use super::counts::millis;
use crate::shared::Deriva;
use crate::shared::statistics::Checks;

/// How sure the bound on the rate of disagreement is.
const CONFIDENCE: f64 = 0.95;

impl From<Checks> for FunctionChecks {
    fn from(checks: Checks) -> Self {
        let Checks {
            checked,
            violated,
            last,
        } = checks;
        let mut found = Self::default();
        found.checked = checked;
        found.agreed = checked.saturating_sub(violated);
        found.violated = violated;
        found.last_violation_millis = last.map(millis);
        found.rate_at_most = upper_bound(violated, checked);
        found
    }
}

/// The rate above which at most `seen` of `of` would be seen with a probability of less than 1 in 20.
fn upper_bound(seen: u64, of: u64) -> f64 {
    if seen >= of {
        return 1.0;
    }
    let (seen, of) = (seen as f64, of as f64);
    // The probability to see no more than that falls as the rate rises.
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > f64::EPSILON * high {
        let rate = f64::midpoint(low, high);
        if rate <= low || rate >= high {
            break;
        }
        // P(X <= seen) of a binomial is the regularized incomplete beta function of 1 - rate.
        match puruspe::betai(of - seen, seen + 1.0, 1.0 - rate) > 1.0 - CONFIDENCE {
            true => low = rate,
            false => high = rate,
        }
    }
    high
}

impl Deriva {
    /// What came of the checks in this store: of all that were ever made, by all handles. What a request or an audit checks is
    /// in the store when that ends, and counts as soon as it was compared.
    ///
    /// A store that may only be read counts as long as it is open. Of one that other processes write to at the same time,
    /// this has what they had counted when it was opened.
    #[must_use]
    pub fn verification(&self) -> Verification {
        let mut total = Checks::default();
        let mut verification = Verification::default();
        for (function, checks) in self.inner.statistics.all() {
            total += checks;
            verification.functions.push((function, checks.into()));
        }
        verification.total = total.into();
        verification
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_tables() {
        // 1 - 0.05^(1/n) where nothing was seen; the others from the exact binomial distribution.
        for (seen, of, bound) in [
            (0, 1, 0.95),
            (0, 10, 0.258_866),
            (0, 100, 0.029_513),
            (0, 1_000_000, 2.995_73e-6),
            (1, 10, 0.394_163),
            (5, 10, 0.777_559),
            (0, 0, 1.0),
            (7, 7, 1.0),
        ] {
            let found = upper_bound(seen, of);
            assert!(
                (found - bound).abs() <= 1e-5 * bound,
                "{seen} of {of}: {found}"
            );
        }
    }
}
