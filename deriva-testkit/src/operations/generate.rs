//! How sequences are made.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::world::{BLOBS, NAMES, NODES, RECIPES, RESOLVED};
use super::{Action, RootName};

/// A strategy for sequences of 1 to `max` actions. It shrinks to fewer and smaller ones.
pub fn actions(max: usize) -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 1..=max)
}

/// The sequence of a seed, the same everywhere.
#[must_use]
pub fn seeded(seed: u64, max: usize) -> Vec<Action> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    // The strategy rejects nothing, so there is always a tree.
    let tree = actions(max).new_tree(&mut runner);
    tree.map(|tree| tree.current()).unwrap_or_default()
}

fn action() -> impl Strategy<Value = Action> {
    let some = |range: Range<usize>| vec(range, 0..5);
    let record = (0..NODES, prop::option::of(0..RESOLVED), 0..BLOBS);
    prop_oneof![
        4 => some(0..BLOBS).prop_map(Action::Put),
        1 => (0..BLOBS, 1..200usize).prop_map(|(blob, piece)| Action::Write(blob, piece)),
        1 => (0..BLOBS, any::<bool>()).prop_map(|(blob, abort)| Action::Abandon(blob, abort)),
        2 => some(0..BLOBS).prop_map(Action::RemoveBlobs),
        1 => some(0..BLOBS).prop_map(Action::Get),
        1 => (0..BLOBS, 0..300u64, 0..300u64).prop_map(|(blob, at, len)| Action::Range(blob, at, len)),
        6 => some(0..RECIPES).prop_map(Action::Insert),
        4 => vec(record, 0..4).prop_map(Action::Record),
        2 => some(0..NODES).prop_map(Action::Forget),
        3 => some(0..RECIPES).prop_map(Action::Remove),
        1 => (0..NAMES, 0..NODES).prop_map(|(name, node)| Action::SetRoot(RootName(name), node)),
        1 => (0..NAMES).prop_map(|name| Action::RemoveRoot(RootName(name))),
        1 => Just(Action::Flush),
        1 => Just(Action::Reopen),
        1 => Just(Action::Crash),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_all_actions_come_up() {
        assert_eq!(seeded(1, 50), seeded(1, 50));
        assert_ne!(seeded(1, 50), seeded(2, 50));
        let kind = |action: &Action| std::mem::discriminant(action);
        let kinds: std::collections::HashSet<_> = (0..40)
            .flat_map(|seed| seeded(seed, 50))
            .map(|action| kind(&action))
            .collect();
        assert_eq!(kinds.len(), 15);
    }
}
