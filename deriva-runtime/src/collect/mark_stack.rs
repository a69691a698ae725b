//! A walk over the graph in bounded memory.
//!
//! What was met and not visited yet waits on a stack. A stack that is full lets go of what does not fit:
//! two bits per position tell what was met and what was visited, so a look through the bits finds it again.

use super::bits::Bits;
use crate::shared::address_index::Position;

/// Positions that wait on the stack at the most.
const STACK: usize = 64 << 10;

/// What a walk has met, and where it goes on.
#[derive(Debug)]
pub(super) struct MarkStack {
    pub(super) met: Bits,
    visited: Bits,
    stack: Vec<Position>,
    limit: usize,
    /// Something that was met is neither visited nor on the stack.
    overflowed: bool,
}

impl MarkStack {
    pub(super) fn new(len: u64) -> Self {
        Self::with_limit(len, STACK)
    }

    fn with_limit(len: u64, limit: usize) -> Self {
        Self {
            met: Bits::new(len),
            visited: Bits::new(len),
            stack: Vec::new(),
            limit,
            overflowed: false,
        }
    }

    /// Meets a position; it will be visited once.
    pub(super) fn meet(&mut self, at: Position) {
        if !self.met.set(at) {
            return;
        }
        if self.stack.len() < self.limit {
            self.stack.push(at);
        } else {
            self.overflowed = true;
        }
    }

    /// The next positions to visit, in order, `most` at the most; none when all that was met was visited.
    pub(super) fn next(&mut self, most: usize) -> Vec<Position> {
        if self.stack.is_empty() && self.overflowed {
            let waiting = |met: u64, visited: u64| met & !visited;
            self.stack = self.met.next(&self.visited, &mut 0, self.limit, waiting);
            self.overflowed = self.stack.len() == self.limit;
        }
        let mut batch = self.stack.split_off(self.stack.len().saturating_sub(most));
        batch.sort_unstable();
        for at in &batch {
            self.visited.set(*at);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits everything from 0 on, each position leading to `next(at)`; counts visits.
    fn walk(len: u64, limit: usize, next: impl Fn(u64) -> Vec<u64>) -> Vec<u32> {
        let mut stack = MarkStack::with_limit(len, limit);
        let mut visits = vec![0; len as usize];
        stack.meet(0);
        loop {
            let batch = stack.next(3);
            if batch.is_empty() {
                return visits;
            }
            for at in batch {
                visits[at as usize] += 1;
                next(at).into_iter().for_each(|at| stack.meet(at));
                assert!(stack.stack.len() <= limit);
            }
        }
    }

    #[test]
    fn everything_is_visited_once_however_small_the_stack() {
        let tree = |at: u64| (1..=5).map(|n| at * 5 + n).filter(|at| *at < 700).collect();
        for limit in [1, 2, 10, 1000] {
            assert_eq!(walk(700, limit, tree), vec![1; 700], "{limit}");
            let chain = |at: u64| vec![(at + 1) % 700];
            assert_eq!(walk(700, limit, chain), vec![1; 700], "{limit}");
        }
    }
}
