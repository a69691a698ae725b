//! One bit per position.

use crate::shared::address_index::Position;

/// A set of positions out of a range that is known.
#[derive(Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: u64,
}

impl Bits {
    /// The empty set out of `len` positions.
    pub(super) fn new(len: u64) -> Self {
        Self {
            words: vec![0; len.div_ceil(64) as usize],
            len,
        }
    }

    /// Adds a position; answers whether it was not there.
    pub(super) fn set(&mut self, at: Position) -> bool {
        let (word, bit) = (&mut self.words[(at / 64) as usize], 1 << (at % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// The number of positions in the range.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn has(&self, at: Position) -> bool {
        self.words[(at / 64) as usize] & (1 << (at % 64)) != 0
    }

    /// The next positions from `from` on, `most` at the most, that are in `this` as it is seen by `keep`:
    /// the word of this set, and those of `others`, to the word that is wanted. Moves `from` after them.
    pub(super) fn next(
        &self,
        other: &Self,
        from: &mut Position,
        most: usize,
        keep: impl Fn(u64, u64) -> u64,
    ) -> Vec<Position> {
        let mut found = Vec::new();
        while *from < self.len && found.len() < most {
            let at = (*from / 64) as usize;
            let wanted = keep(self.words[at], other.words[at]) & (u64::MAX << (*from % 64));
            let next = at as u64 * 64 + u64::from(wanted.trailing_zeros());
            // No bit, or one after the end: on to the next word.
            if next >= self.len.min((at as u64 + 1) * 64) {
                *from = (at as u64 + 1) * 64;
                continue;
            }
            found.push(next);
            *from = next + 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_in_order_and_none_beyond_the_end() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let (mut odd, mut third) = (Bits::new(len), Bits::new(len));
            for at in 0..len {
                assert!(at % 2 == 0 || odd.set(at));
                assert!(at % 3 != 0 || third.set(at));
            }
            assert!((0..len).all(|at| odd.has(at) == (at % 2 == 1)));
            assert!(len < 2 || !odd.set(1));
            let wanted: Vec<u64> = (0..len).filter(|at| at % 2 == 0 && at % 3 != 0).collect();
            let mut from = 0;
            let mut found = Vec::new();
            loop {
                let page = odd.next(&third, &mut from, 7, |odd, third| !odd & !third);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, wanted);
        }
    }
}
