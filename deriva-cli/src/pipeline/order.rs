//! The order of steps: each after those that it reads, otherwise as in the file.

use std::collections::BTreeSet;

/// Orders `0..needs.len()`, where `needs[i]` are what `i` reads.
///
/// # Errors
/// A cycle: indices of which each reads the next, and the last the first.
pub(super) fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<BTreeSet<usize>> =
        needs.iter().map(|n| n.iter().copied().collect()).collect();
    let mut readers = vec![Vec::new(); needs.len()];
    for (step, inputs) in open.iter().enumerate() {
        for input in inputs {
            readers[*input].push(step);
        }
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|i| open[*i].is_empty()).collect();
    let mut done = Vec::with_capacity(needs.len());
    while let Some(step) = ready.pop_first() {
        done.push(step);
        for reader in &readers[step] {
            open[*reader].remove(&step);
            if open[*reader].is_empty() {
                ready.insert(*reader);
            }
        }
    }
    if done.len() == needs.len() {
        return Ok(done);
    }
    Err(cycle(&open))
}

// Every step that is still open reads another one that is; so walking on must come back.
fn cycle(open: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut next = open.iter().position(|inputs| !inputs.is_empty());
    while let Some(at) = next {
        if let Some(start) = path.iter().position(|seen| *seen == at) {
            return path.split_off(start);
        }
        path.push(at);
        next = open[at].first().copied();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_first_and_otherwise_the_order_stays() {
        assert_eq!(
            order(&[vec![2], vec![], vec![1], vec![]]),
            Ok(vec![1, 2, 0, 3])
        );
        assert_eq!(order(&[vec![1, 1], vec![]]), Ok(vec![1, 0]));
    }

    #[test]
    fn a_cycle_is_named_without_what_only_leads_to_it() {
        assert_eq!(order(&[vec![1], vec![2], vec![1], vec![]]), Err(vec![1, 2]));
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
    }
}
