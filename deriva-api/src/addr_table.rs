//! A table from addresses to the numbers of their rows, without a second copy of the addresses.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::{BuildAddrHasher, CAddr};

/// Finds the row of an address in a list that the caller keeps, by number.
///
/// Beside each number lie four bytes of a hash of its address. So growing the table touches no row, and a
/// look-up touches one row only, that which it finds; [`AddrTable::likely`] touches none, so that a batch
/// can first find all numbers and then read the rows one after another, which hides the time that memory
/// takes.
///
/// ```
/// use deriva_api::{AddrTable, CAddr};
///
/// let (mut table, mut rows) = (AddrTable::new(), Vec::new());
/// let addr = CAddr::of_blob(b"a");
/// let (row, new) = table.find_or_add(addr, 0, |row| rows[row as usize]);
/// if new {
///     rows.push(addr);
/// }
/// assert_eq!(table.find(&addr, |row| rows[row as usize]), Some(row));
/// ```
#[derive(Clone, Debug, Default)]
pub struct AddrTable<S = BuildAddrHasher> {
    places: HashTable<Place>,
    hasher: S,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    row: u32,
    tag: u32,
}

impl AddrTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S: BuildHasher> AddrTable<S> {
    /// How many addresses it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Makes room for more addresses.
    pub fn reserve(&mut self, more: usize) {
        self.places.reserve(more, |place| hash(place.tag));
    }

    /// The row that `addr` has if it is in the table at all, which the caller must check; nearly always
    /// right where several are.
    #[must_use]
    pub fn likely(&self, addr: &CAddr) -> Option<u32> {
        let tag = self.tag(addr);
        let place = self.places.find(hash(tag), |place| place.tag == tag);
        place.map(|place| place.row)
    }

    /// The row of `addr`. `addr_of` gives the address of a row.
    pub fn find(&self, addr: &CAddr, addr_of: impl Fn(u32) -> CAddr) -> Option<u32> {
        let tag = self.tag(addr);
        let same = |place: &Place| place.tag == tag && addr_of(place.row) == *addr;
        self.places.find(hash(tag), same).map(|place| place.row)
    }

    /// The row of `addr`, `next` where it is new; and whether it is. The caller puts a new one there.
    pub fn find_or_add(
        &mut self,
        addr: CAddr,
        next: u32,
        addr_of: impl Fn(u32) -> CAddr,
    ) -> (u32, bool) {
        let tag = self.tag(&addr);
        let same = |place: &Place| place.tag == tag && addr_of(place.row) == addr;
        match self.places.entry(hash(tag), same, |place| hash(place.tag)) {
            Entry::Occupied(place) => (place.get().row, false),
            Entry::Vacant(free) => {
                free.insert(Place { row: next, tag });
                (next, true)
            }
        }
    }

    /// Takes out `addr`, which had the number `row`; answers whether it had.
    pub fn remove(&mut self, addr: &CAddr, row: u32) -> bool {
        let tag = self.tag(addr);
        let found =
            (self.places).find_entry(hash(tag), |place| place.row == row && place.tag == tag);
        found.map(|place| place.remove()).is_ok()
    }

    /// From now on `addr` has the number `to` instead of `from`.
    pub fn renumber(&mut self, addr: &CAddr, from: u32, to: u32) {
        let tag = self.tag(addr);
        let found =
            (self.places).find_mut(hash(tag), |place| place.row == from && place.tag == tag);
        if let Some(place) = found {
            place.row = to;
        }
    }

    fn tag(&self, addr: &CAddr) -> u32 {
        (self.hasher.hash_one(addr) >> 32) as u32
    }
}

/// The table takes its position from the low bits, and what it compares first from the high ones.
fn hash(tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(tag)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, Hasher};

    use super::*;

    /// A hash whose upper half is the second four bytes of an address.
    #[derive(Default)]
    struct FirstBytes(u64);

    impl Hasher for FirstBytes {
        fn write(&mut self, bytes: &[u8]) {
            self.0 = u64::from_le_bytes(*bytes.first_chunk().unwrap());
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn every_address_has_one_row_also_where_tags_are_equal() {
        let mut table = AddrTable::<BuildHasherDefault<FirstBytes>>::default();
        let mut rows: Vec<CAddr> = Vec::new();
        // Four addresses to each tag.
        let addr = |i: u32| {
            let mut bytes = *CAddr::of_blob(&i.to_le_bytes()).as_bytes();
            bytes[4..8].copy_from_slice(&(i / 4).to_le_bytes());
            CAddr::from_bytes(bytes)
        };
        table.reserve(10);
        for round in 0..2 {
            for i in 0..1000 {
                let next = rows.len() as u32;
                let (row, new) = table.find_or_add(addr(i), next, |row| rows[row as usize]);
                assert_eq!((row, new), (i, round == 0), "{i}");
                if new {
                    rows.push(addr(i));
                }
            }
        }
        assert!(table.len() == 1000 && !table.is_empty());
        let find = |table: &AddrTable<_>, rows: &[CAddr], i| {
            table.find(&addr(i), |row| rows[row as usize])
        };
        for i in 0..1000 {
            assert_eq!(find(&table, &rows, i), Some(i));
            assert_eq!(table.likely(&addr(i)).map(|row| row / 4), Some(i / 4));
        }
        assert_eq!(find(&table, &rows, 1000), None);
        assert_eq!(table.likely(&addr(1000)), None);
        assert!(table.remove(&addr(3), 3) && !table.remove(&addr(3), 3));
        assert!(!table.remove(&addr(4), 9));
        assert_eq!(find(&table, &rows, 3), None);
        table.renumber(&addr(999), 999, 3);
        rows.swap(999, 3);
        assert_eq!(find(&table, &rows, 999), Some(3));
        assert_eq!(table.len(), 999);
    }
}
