//! What came of replayed losses of power.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use deriva_api::DurabilityClass;

use super::check::{Answer, Verdict};
use super::family::{Family, State};
use super::scenario::Scenario;
use super::timeline::{Model, SyncKind};

/// What came of the states of one scenario in one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// States, no two of them equal.
    pub states: u64,
    /// Acknowledged calls that they were held against, all together.
    pub acknowledged: u64,
    /// States by what became of them.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// States in which a blob was there in part, and a `put` stored it.
    pub torn: u64,
}

impl Tally {
    /// How many states became that.
    #[must_use]
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.acknowledged += other.acknowledged;
        self.torn += other.torn;
        for (verdict, states) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += states;
        }
    }
}

/// A state that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// What was recorded.
    pub scenario: Scenario,
    /// How the disk behaved.
    pub model: Model,
    /// What was kept of what was not durable.
    pub family: Family,
    /// When power was lost: a line of the trace.
    pub moment: usize,
    /// Which state of the family.
    pub variant: u64,
    /// What became of it.
    pub verdict: Verdict,
    /// What the store said, or what was missing.
    pub why: String,
    /// Where it lies.
    pub kept: Option<PathBuf>,
}

impl Failed {
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |failed: &Self| (failed.scenario, failed.model, failed.family, failed.verdict);
        key(self) == key(other)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            model,
            family,
            moment,
            variant,
            verdict,
            why,
            kept,
        } = self;
        let verdict = verdict.name();
        write!(
            f,
            "{verdict}: {scenario}, event {moment}, {model}, {family}, {variant}: {why}"
        )?;
        match kept {
            Some(folder) => write!(f, " (kept in {})", folder.display()),
            None => Ok(()),
        }
    }
}

/// What came of all states of a store.
#[derive(Clone, Debug)]
pub struct PowerReport {
    /// The store.
    pub store: String,
    /// Where chance began.
    pub seed: u64,
    /// By scenario and model.
    pub tallies: BTreeMap<(Scenario, Model), Tally>,
    /// The states that failed.
    pub failed: Vec<Failed>,
    /// The kinds of syncs that were asked for.
    pub syncs: BTreeSet<SyncKind>,
    /// By model, the least that a state left of what was acknowledged.
    kept: BTreeMap<Model, DurabilityClass>,
}

impl PowerReport {
    pub(super) fn new(store: String, seed: u64) -> Self {
        Self {
            store,
            seed,
            tallies: BTreeMap::new(),
            failed: Vec::new(),
            syncs: BTreeSet::new(),
            kept: BTreeMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        scenario: Scenario,
        state: State,
        acknowledged: u64,
        answer: &Answer,
    ) {
        let tally = self.tallies.entry((scenario, state.model)).or_default();
        tally.add(&Tally {
            states: 1,
            acknowledged,
            verdicts: [(answer.verdict, 1)].into(),
            torn: u64::from(answer.torn > 0),
        });
        let class = match (answer.all, state.family) {
            (true, _) => DurabilityClass::PowerLoss,
            (false, Family::Everything) => DurabilityClass::None,
            (false, _) => DurabilityClass::ProcessCrash,
        };
        let kept = self
            .kept
            .entry(state.model)
            .or_insert(DurabilityClass::PowerLoss);
        *kept = class.min(*kept);
    }

    /// How many states were looked at.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.tallies.values().map(|tally| tally.states).sum()
    }

    /// All scenarios together.
    #[must_use]
    pub fn total(&self, model: Model) -> Tally {
        let mut total = Tally::default();
        let tallies = self.tallies.iter().filter(|((_, of), _)| *of == model);
        tallies.for_each(|(_, tally)| total.add(tally));
        total
    }

    /// Whether no state failed.
    #[must_use]
    pub fn held(&self) -> bool {
        self.failed.is_empty()
    }

    /// The durability class that was seen: `PowerLoss` where everything acknowledged was there in every state,
    /// `ProcessCrash` where it was in those that a killed process leaves. `None` is seen, too, where something
    /// failed that was promised.
    #[must_use]
    pub fn replayed(&self, model: Model) -> DurabilityClass {
        // What only a kill shows is the same in both models, and was looked at in one.
        let killed = self
            .kept
            .values()
            .any(|class| *class == DurabilityClass::None);
        match self.failed.iter().any(|failed| failed.model == model) || killed {
            true => DurabilityClass::None,
            false => self
                .kept
                .get(&model)
                .copied()
                .unwrap_or(DurabilityClass::None),
        }
    }
}

/// A line for each model, then the states that failed, one of each sort.
impl fmt::Display for PowerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for model in Model::ALL {
            let tally = self.total(model);
            let Tally {
                states,
                acknowledged,
                torn,
                ..
            } = tally;
            write!(
                f,
                "{:<9} {states:>6} states, {acknowledged:>8} acknowledged:",
                model.to_string()
            )?;
            for verdict in Verdict::ALL {
                write!(f, " {} {},", tally.of(verdict), verdict.name())?;
            }
            write!(
                f,
                " torn until put again {torn}; replayed: {}",
                self.replayed(model)
            )?;
            if tally.of(Verdict::Ok) < states {
                f.write_str(" (BROKEN)")?;
            }
            f.write_str("\n")?;
        }
        for (at, failed) in self.failed.iter().enumerate() {
            let alike = |other: &&Failed| other.is_like(failed);
            if self.failed[..at].iter().find(alike).is_none() {
                let count = self.failed.iter().filter(alike).count();
                writeln!(f, "  {count} x {failed}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(answers: &[(Model, Family, Verdict, bool)]) -> PowerReport {
        let mut report = PowerReport::new("a".to_owned(), 1);
        for (model, family, verdict, all) in answers {
            let state = State {
                moment: 7,
                model: *model,
                family: *family,
                variant: 0,
            };
            let answer = Answer {
                all: *all,
                ..Answer::of(*verdict, "why")
            };
            report.add(Scenario::Life, state, 5, &answer);
        }
        report
    }

    #[test]
    fn the_class_is_what_the_worst_state_left() {
        use DurabilityClass::{None, PowerLoss, ProcessCrash};
        use Family::{Everything, Nothing};
        use Model::{Ext4Like, Strict};
        use Verdict::{Lost, Ok};
        let whole = (Strict, Everything, Ok, true);
        let replayed = |more: &[_]| {
            let report = report(&[&[whole, (Ext4Like, Nothing, Ok, true)], more].concat());
            (report.replayed(Strict), report.replayed(Ext4Like))
        };
        assert_eq!(replayed(&[]), (PowerLoss, PowerLoss));
        assert_eq!(
            replayed(&[(Strict, Nothing, Ok, false)]),
            (ProcessCrash, PowerLoss)
        );
        assert_eq!(replayed(&[(Strict, Everything, Ok, false)]), (None, None));
        let broken = report(&[whole, (Strict, Everything, Lost, false)]);
        assert_eq!(broken.total(Strict).of(Lost), 1);
        assert_eq!(broken.total(Strict).acknowledged, 10);
        assert!(broken.to_string().contains("1 lost"), "{broken}");
        assert_eq!(broken.replayed(Strict), None);
    }
}
