//! What a request wants kept, and when it looks for the same work under another name.

use std::time::Duration;

use crate::Output;

/// Which results are written to the store, so that nobody needs to compute them again.
///
/// What is not written lives in memory while it is needed, and is computed again when it is asked for
/// again. Where memory is short, results are written all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreResults {
    /// Every output, before the request is acknowledged.
    #[default]
    All,
    /// None.
    None,
    /// Those of named roots, and no others.
    Roots,
    /// Those of named roots, and those whose computation took at least this long for each MiB of output:
    /// what can be computed again in less time than that needs no disk.
    Worth {
        /// Time of computation for each MiB; any, from zero (all) to [`Duration::MAX`] (none but empty ones).
        per_mib: Duration,
    },
}

impl StoreResults {
    /// Whether an output is written; `is_root` tells whether its recipe is a named root.
    #[must_use]
    pub fn keeps(self, output: &Output, is_root: bool) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Roots => is_root,
            Self::Worth { per_mib } => {
                is_root
                    || output.cost.as_nanos() << 20
                        >= per_mib.as_nanos().saturating_mul(u128::from(output.len))
            }
        }
    }

    /// Whether it matters which addresses are roots.
    #[must_use]
    pub fn asks_for_roots(self) -> bool {
        matches!(self, Self::Roots | Self::Worth { .. })
    }
}

/// When to look whether the work was done already under another recipe that resolves to the same. There are no others:
/// whoever fulfils requests knows what to do with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cutoff {
    /// Where a function costs more than about ten times a look-up in this store, as far as both were
    /// measured; for heavy functions until then; and for light ones on large inputs.
    #[default]
    Auto,
    /// For every recipe.
    Always,
    /// For none.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CAddr;

    #[test]
    fn what_is_cheap_for_its_size_is_not_kept() {
        let output = |millis, len| Output {
            addr: CAddr::MIN,
            len,
            cost: Duration::from_millis(millis),
        };
        let policy = StoreResults::Worth {
            per_mib: Duration::from_millis(100),
        };
        for (millis, len, kept) in [
            (100, 1 << 20, true),
            (99, 1 << 20, false),
            (1, 10 << 10, true),
            (1, 11 << 10, false),
            (0, 0, true),
        ] {
            assert_eq!(
                policy.keeps(&output(millis, len), false),
                kept,
                "{millis} {len}"
            );
            assert!(policy.keeps(&output(millis, len), true));
        }
        assert!(!StoreResults::Roots.keeps(&output(9, 1), false));
        assert!(StoreResults::Roots.keeps(&output(9, 1), true));
    }
}
