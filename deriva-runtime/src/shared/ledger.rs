//! What of the ledger every request asks: which recipes gave different outputs, so that none of these is served.
//!
//! This is a mirror, in memory, of what lies in the store (`determinism/ledger.rs`, which alone changes it). Nearly always
//! it is empty, and then asking costs a load.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use deriva_api::{BuildAddrHasher, CAddr, Error, ErrorKind, FunctionId, Violation};

use crate::shared::sync::{AtomicBool, RwLock};

/// Entries that an error names.
const NAMED: usize = 10;

/// What is condemned: recipes whose runs gave different outputs, and what is the same computation.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    any: AtomicBool,
    state: RwLock<State>,
    /// Whose turn it is to change what lies in the store; whether it was read yet.
    pub(crate) turn: tokio::sync::Mutex<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// By recipe, also by resolved recipe and by recipes that resolve to the same: the entries, one nearly always.
    condemned: HashMap<CAddr, Vec<Condemned>, BuildAddrHasher>,
    /// Entries of each function that were not released.
    of_functions: HashMap<FunctionId, BTreeSet<CAddr>>,
    /// What could not be written, by recipe.
    unwritten: BTreeMap<CAddr, Violation>,
    /// Entries of which all that they condemn was forgotten, and what they accepted then.
    forgotten: HashMap<CAddr, Option<CAddr>, BuildAddrHasher>,
}

#[derive(Clone, Copy, Debug)]
struct Condemned {
    /// The recipe that the entry is of.
    entry: CAddr,
    /// The one output that may be served.
    accepted: Option<CAddr>,
}

impl Ledger {
    /// Whether there is anything to ask for.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// From now on no output of these addresses is served but the one that is `accepted`. Answers with how many entries the
    /// function has, where this is a new one.
    pub(crate) fn condemn(
        &self,
        entry: CAddr,
        function: Option<&FunctionId>,
        addrs: impl IntoIterator<Item = CAddr>,
        accepted: Option<CAddr>,
    ) -> Option<u64> {
        let mut state = self.state.write();
        for addr in addrs {
            let by = state.condemned.entry(addr).or_default();
            by.retain(|it| it.entry != entry);
            by.push(Condemned { entry, accepted });
        }
        self.any.store(true, Ordering::Release);
        let of_function = &mut state.of_functions;
        let entries = of_function.entry(function?.clone()).or_default();
        entries.insert(entry).then_some(entries.len() as u64)
    }

    /// Notes that all that an entry condemns was forgotten, and what was made from it.
    pub(crate) fn mark_forgotten(&self, entry: CAddr, accepted: Option<CAddr>) {
        self.state.write().forgotten.insert(entry, accepted);
    }

    /// Whether it was, where the entry accepts this.
    pub(crate) fn was_forgotten(&self, entry: &CAddr, accepted: Option<CAddr>) -> bool {
        self.state.read().forgotten.get(entry) == Some(&accepted)
    }

    /// Notes violations that could not be written: to be tried again.
    pub(crate) fn not_written(&self, violations: impl IntoIterator<Item = Violation>) {
        let unwritten = &mut self.state.write().unwritten;
        unwritten.extend(violations.into_iter().map(|it| (it.recipe, it)));
    }

    /// These are written now.
    pub(crate) fn are_written(&self, violations: &[Violation]) {
        let unwritten = &mut self.state.write().unwritten;
        unwritten.retain(|recipe, _| violations.iter().all(|it| it.recipe != *recipe));
    }

    /// What could not be written.
    pub(crate) fn unwritten(&self) -> Vec<Violation> {
        self.state.read().unwritten.values().cloned().collect()
    }

    /// Ends what an entry condemned; answers whether it condemned anything.
    pub(crate) fn release(&self, entry: CAddr) -> bool {
        let mut state = self.state.write();
        state.unwritten.remove(&entry);
        state.forgotten.remove(&entry);
        let mut released = false;
        state.condemned.retain(|_, by| {
            let before = by.len();
            by.retain(|it| it.entry != entry);
            released |= by.len() < before;
            !by.is_empty()
        });
        state.of_functions.retain(|_, entries| {
            entries.remove(&entry);
            !entries.is_empty()
        });
        let any = !(state.condemned.is_empty() && state.of_functions.is_empty());
        self.any.store(any, Ordering::Release);
        released
    }

    /// Whether this output of an address may be served.
    pub(crate) fn may_serve(&self, addr: &CAddr, content: &CAddr) -> bool {
        if self.is_empty() {
            return true;
        }
        let state = self.state.read();
        let condemned = state.condemned.get(addr);
        let accepts = |it: &Condemned| it.accepted.as_ref() == Some(content);
        condemned.is_none_or(|by| by.iter().all(accepts))
    }

    /// Whether this is the one output of an address that a quorum accepted.
    pub(crate) fn accepts(&self, addr: &CAddr, content: &CAddr) -> bool {
        let is_condemned = |state: &State| state.condemned.contains_key(addr);
        !self.is_empty() && is_condemned(&self.state.read()) && self.may_serve(addr, content)
    }

    /// Whether a recipe has an entry that was not released.
    pub(crate) fn has_entry(&self, recipe: &CAddr) -> bool {
        let is_own = |it: &Condemned| it.entry == *recipe;
        let has = |state: &State| {
            let by = state.condemned.get(recipe);
            by.is_some_and(|by| by.iter().any(is_own))
        };
        !self.is_empty() && has(&self.state.read())
    }

    /// The entry by which an address is condemned, where no output of it may be served.
    pub(crate) fn entry_of(&self, addr: &CAddr) -> Option<CAddr> {
        if self.is_empty() {
            return None;
        }
        let state = self.state.read();
        let mut condemned = state.condemned.get(addr).into_iter().flatten();
        condemned
            .find(|it| it.accepted.is_none())
            .map(|it| it.entry)
    }

    /// The entry by which an address is condemned, also where one output of it may be served.
    pub(crate) fn any_entry_of(&self, addr: &CAddr) -> Option<CAddr> {
        let state = self.state.read();
        Some(state.condemned.get(addr)?.first()?.entry)
    }

    /// The entries of a function that were not released.
    pub(crate) fn entries_of(&self, function: &FunctionId) -> Vec<CAddr> {
        let state = self.state.read();
        let entries = state.of_functions.get(function);
        entries.into_iter().flatten().copied().collect()
    }

    /// How many entries were not released.
    pub(crate) fn count(&self) -> u64 {
        let state = self.state.read();
        state
            .of_functions
            .values()
            .map(|entries| entries.len() as u64)
            .sum()
    }

    /// The functions with entries that were not released, and these.
    pub(crate) fn functions(&self) -> Vec<(FunctionId, Vec<CAddr>)> {
        let state = self.state.read();
        let mut functions: Vec<_> = (state.of_functions.iter())
            .map(|(function, entries)| (function.clone(), entries.iter().copied().collect()))
            .collect();
        functions.sort();
        functions
    }

    /// The error of a function that is refused where it has N entries or more.
    pub(crate) fn quarantine(&self, function: &FunctionId, after: Option<u64>) -> Option<Error> {
        let after = after.filter(|_| !self.is_empty())?;
        let entries = self.entries_of(function);
        (entries.len() as u64 >= after).then(|| quarantined(function, &entries))
    }
}

/// The error of a recipe whose outputs are condemned.
pub(crate) fn condemned(addr: CAddr, entry: CAddr) -> Error {
    let what = "the outputs of this recipe were found to differ from run to run";
    Error::new(ErrorKind::Nondeterministic, what)
        .with("addr", addr)
        .with("entry", entry)
        .hint("`deriva ledger show ENTRY` tells what was seen, `deriva ledger release ENTRY` lets it be computed again")
}

fn quarantined(function: &FunctionId, entries: &[CAddr]) -> Error {
    let what = "the function is in quarantine: too many of its recipes gave different outputs";
    let named: Vec<String> = entries.iter().take(NAMED).map(CAddr::to_string).collect();
    Error::new(ErrorKind::Nondeterministic, what)
        .with("function", function)
        .with("violations", entries.len())
        .with("entries", named.join(" "))
        .hint("mend it and give it a new version; `deriva quarantine release NAME/VERSION` lets this one be computed again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u8) -> CAddr {
        CAddr::of_blob(&[n])
    }

    #[test]
    fn what_is_condemned_is_not_served_until_it_is_released() {
        let (ledger, function) = (Ledger::default(), "f/1".parse().unwrap());
        assert!(ledger.is_empty() && ledger.may_serve(&addr(1), &addr(9)));
        ledger.condemn(addr(1), Some(&function), [addr(1), addr(2)], None);
        ledger.condemn(addr(3), Some(&function), [addr(3)], Some(addr(9)));
        assert!(!ledger.may_serve(&addr(1), &addr(9)) && !ledger.may_serve(&addr(2), &addr(9)));
        assert!(ledger.may_serve(&addr(3), &addr(9)) && !ledger.may_serve(&addr(3), &addr(8)));
        assert!(ledger.may_serve(&addr(4), &addr(9)));
        assert!(ledger.accepts(&addr(3), &addr(9)) && !ledger.accepts(&addr(3), &addr(8)));
        assert!(!ledger.accepts(&addr(1), &addr(9)) && !ledger.accepts(&addr(4), &addr(9)));
        assert_eq!(ledger.entry_of(&addr(2)), Some(addr(1)));
        assert_eq!(
            (ledger.entry_of(&addr(3)), ledger.entry_of(&addr(4))),
            (None, None)
        );
        let any = |n| ledger.any_entry_of(&addr(n));
        assert_eq!([2, 3, 4].map(any), [Some(addr(1)), Some(addr(3)), None]);
        let expected = BTreeSet::from([addr(1), addr(3)])
            .into_iter()
            .collect::<Vec<_>>();
        assert_eq!(ledger.functions(), [(function.clone(), expected)]);
        assert!(ledger.release(addr(1)) && !ledger.release(addr(1)));
        assert!(ledger.may_serve(&addr(2), &addr(9)) && !ledger.is_empty());
        ledger.release(addr(3));
        assert!(ledger.is_empty() && ledger.functions().is_empty());
    }

    #[test]
    fn what_two_entries_condemn_is_served_when_both_are_released() {
        let ledger = Ledger::default();
        // The same computation under two names.
        ledger.condemn(addr(1), None, [addr(1), addr(5)], None);
        ledger.condemn(addr(2), None, [addr(2), addr(5)], Some(addr(9)));
        assert!(!ledger.may_serve(&addr(5), &addr(9)));
        assert!(ledger.has_entry(&addr(1)) && ledger.has_entry(&addr(2)));
        assert!(ledger.release(addr(2)));
        assert!(!ledger.may_serve(&addr(5), &addr(9)));
        assert_eq!(ledger.entry_of(&addr(5)), Some(addr(1)));
        // What is said of an entry again takes the place of what was.
        ledger.condemn(addr(1), None, [addr(1), addr(5)], Some(addr(8)));
        assert!(ledger.may_serve(&addr(5), &addr(8)));
        assert!(ledger.release(addr(1)) && ledger.may_serve(&addr(5), &addr(9)));
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_an_entry_condemns_is_forgotten_once_for_what_it_accepts() {
        let ledger = Ledger::default();
        let was = |accepted: Option<u8>| ledger.was_forgotten(&addr(1), accepted.map(addr));
        ledger.condemn(addr(1), None, [addr(1)], Some(addr(9)));
        assert!(!was(Some(9)));
        ledger.mark_forgotten(addr(1), Some(addr(9)));
        assert!(was(Some(9)) && !was(None) && !was(Some(8)));
        ledger.mark_forgotten(addr(1), None);
        assert!(was(None) && !was(Some(9)));
        ledger.release(addr(1));
        assert!(!was(None), "what is computed then may be given out");
    }

    #[test]
    fn a_function_is_refused_from_a_number_of_entries_on() {
        let (ledger, function) = (Ledger::default(), "f/1".parse().unwrap());
        let refused = |after| ledger.quarantine(&function, after);
        assert!(refused(Some(0)).is_none(), "nothing was seen of it");
        for n in 1..=3 {
            ledger.condemn(addr(n), Some(&function), [addr(n)], None);
        }
        assert!(refused(None).is_none() && refused(Some(4)).is_none());
        let error = refused(Some(3)).unwrap();
        assert_eq!(error.kind(), ErrorKind::Nondeterministic);
        let entries = error.context("entries").unwrap();
        assert!(
            (1..=3).all(|n| entries.contains(&addr(n).to_string())),
            "{entries}"
        );
    }
}
