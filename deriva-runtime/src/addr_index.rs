//! A table from addresses to their places in a list, without a second copy of the addresses.

use deriva_api::CAddr;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Finds the place of an address in a list that is only appended to.
#[derive(Debug, Default)]
pub(crate) struct AddrIndex(HashTable<u32>);

impl AddrIndex {
    /// The place of `addr` in `addrs`, appended where it is new; and whether it is.
    pub(crate) fn find_or_add(&mut self, addr: CAddr, addrs: &mut Vec<CAddr>) -> (u32, bool) {
        let entry = self.0.entry(
            hash(&addr),
            |place| addrs[*place as usize] == addr,
            |place| hash(&addrs[*place as usize]),
        );
        match entry {
            Entry::Occupied(place) => (*place.get(), false),
            Entry::Vacant(free) => {
                let place = addrs.len() as u32;
                free.insert(place);
                addrs.push(addr);
                (place, true)
            }
        }
    }
}

/// An address is a hash already.
fn hash(addr: &CAddr) -> u64 {
    let (first, _) = addr
        .as_bytes()
        .split_first_chunk()
        .unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_one_place() {
        let (mut index, mut addrs) = (AddrIndex::default(), Vec::new());
        let addr = |i: u32| CAddr::of_blob(&i.to_le_bytes());
        for round in 0..2 {
            for i in 0..1000 {
                assert_eq!(
                    index.find_or_add(addr(i), &mut addrs),
                    (i, round == 0),
                    "{i}"
                );
            }
        }
        assert_eq!(addrs.len(), 1000);
    }
}
