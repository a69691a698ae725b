//! Tables as key prefixes in one ordered space, so that one batch spans them all.
//!
//! | prefix | key | value |
//! |---|---|---|
//! | `r` | address | canonical bytes of the recipe, or the number of its pieces |
//! | `p` | address, piece (u32 BE) | a piece of a recipe that is too long for one row |
//! | `o` | address of a recipe or resolved recipe | output, sealed |
//! | `d` | input | the input's first dependents, ascending, sealed |
//! | `d` | input, dependent | nothing: a dependent for which that list had no room |
//! | `n` | name of a root | address, sealed |
//! | `b` | address | 0 and the bytes, or 1 and the length of the sibling file, sealed |
//! | `m` | `format`, `counters` | format version; counts, sealed |
//!
//! Recipes and blobs hash to their addresses and so check themselves. Other rows are sealed: eight
//! bytes of a hash over key and value follow the value. Numbers are little-endian but in keys.

use std::time::Duration;

use bytes::Bytes;
use deriva_api::{BlobUsage, CAddr, DagUsage, Error, ErrorKind, Output, Result};

use super::engine::Write;

/// The version of this layout.
pub(crate) const FORMAT: u32 = 2;

/// The version before it, which had no lists of dependents, only a row for each.
pub(crate) const FORMAT_1: u32 = 1;

/// Values above this are split or kept outside: engines treat large values badly.
pub(crate) const MAX_VALUE: usize = 32 << 10;

const SEAL: usize = 8;
const PIECES: u8 = 0;
const INLINE: u8 = 0;
const FILE: u8 = 1;

pub(crate) const RECIPES: &[u8] = b"r";
const EDGES: &[u8] = b"d";
pub(crate) const ROOTS: &[u8] = b"n";
pub(crate) const BLOBS: &[u8] = b"b";
pub(crate) const FORMAT_KEY: &[u8] = b"mformat";
pub(crate) const COUNTERS_KEY: &[u8] = b"mcounters";

/// Exact counts, kept in one row that is written with every batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) dag: DagUsage,
    /// Output rows of addresses that are no stored recipe.
    pub(crate) resolved: u64,
    pub(crate) blobs: BlobUsage,
    /// Commits so far; not counted before format 2.
    pub(crate) commits: u64,
}

/// What a blob's row says.
pub(crate) enum Entry {
    Inline(Bytes),
    File(u64),
}

pub(crate) fn recipe_key(addr: &CAddr) -> Vec<u8> {
    [RECIPES, addr.as_bytes()].concat()
}

pub(crate) fn piece_key(addr: &CAddr, piece: u32) -> Vec<u8> {
    [b"p", addr.as_bytes().as_slice(), &piece.to_be_bytes()].concat()
}

pub(crate) fn output_key(addr: &CAddr) -> Vec<u8> {
    [b"o", addr.as_bytes().as_slice()].concat()
}

/// The key of an input's list, with which all keys of its edges begin.
pub(crate) fn list_key(input: &CAddr) -> Vec<u8> {
    [EDGES, input.as_bytes()].concat()
}

pub(crate) fn edge_key(input: &CAddr, dependent: &CAddr) -> Vec<u8> {
    [EDGES, input.as_bytes(), dependent.as_bytes()].concat()
}

/// Tells a row of one edge from a list, given a key of either.
pub(crate) fn is_edge_key(key: &[u8]) -> bool {
    key.len() > EDGES.len() + CAddr::LEN
}

pub(crate) fn root_key(name: &str) -> Vec<u8> {
    [ROOTS, name.as_bytes()].concat()
}

pub(crate) fn blob_key(addr: &CAddr) -> Vec<u8> {
    [BLOBS, addr.as_bytes()].concat()
}

/// The address that ends a key.
pub(crate) fn addr_of(key: &[u8]) -> Result<CAddr> {
    match key.last_chunk::<{ CAddr::LEN }>() {
        Some(addr) => Ok(CAddr::from_bytes(*addr)),
        None => Err(damaged(key)),
    }
}

/// The row that stands for a recipe of `pieces` pieces. A whole recipe begins with another byte: it is
/// a CBOR array.
pub(crate) fn pieces_row(pieces: u32) -> Bytes {
    let mut row = vec![PIECES];
    row.extend_from_slice(&pieces.to_le_bytes());
    row.into()
}

/// The number of pieces, where the row is not the recipe itself.
pub(crate) fn pieces_of(row: &[u8]) -> Option<u32> {
    let (tag, rest) = row.split_first()?;
    let pieces = rest.try_into().map(u32::from_le_bytes).ok()?;
    (*tag == PIECES).then_some(pieces)
}

pub(crate) fn encode_output(key: &[u8], output: &Output) -> Bytes {
    let nanos = u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX);
    let mut row = Vec::with_capacity(CAddr::LEN + 16 + SEAL);
    row.extend_from_slice(output.addr.as_bytes());
    row.extend_from_slice(&output.len.to_le_bytes());
    row.extend_from_slice(&nanos.to_le_bytes());
    seal(key, row)
}

pub(crate) fn decode_output(key: &[u8], row: &[u8]) -> Result<Output> {
    let row = unseal(key, row)?;
    let (addr, rest) = row
        .split_first_chunk::<{ CAddr::LEN }>()
        .ok_or_else(|| damaged(key))?;
    let [len, nanos] = numbers(key, rest)?;
    Ok(Output {
        addr: CAddr::from_bytes(*addr),
        len,
        cost: Duration::from_nanos(nanos),
    })
}

pub(crate) fn encode_list(key: &[u8], dependents: &[CAddr]) -> Bytes {
    let mut row = Vec::with_capacity(dependents.len() * CAddr::LEN + SEAL);
    for dependent in dependents {
        row.extend_from_slice(dependent.as_bytes());
    }
    seal(key, row)
}

pub(crate) fn decode_list(key: &[u8], row: &[u8]) -> Result<Vec<CAddr>> {
    let (addrs, rest) = unseal(key, row)?.as_chunks::<{ CAddr::LEN }>();
    if !rest.is_empty() {
        return Err(damaged(key));
    }
    Ok(addrs.iter().copied().map(CAddr::from_bytes).collect())
}

pub(crate) fn encode_root(key: &[u8], addr: &CAddr) -> Bytes {
    seal(key, addr.as_bytes().to_vec())
}

pub(crate) fn decode_root(key: &[u8], row: &[u8]) -> Result<(String, CAddr)> {
    let addr = CAddr::from_slice(unseal(key, row)?).map_err(|_| damaged(key))?;
    let name = String::from_utf8(key[ROOTS.len()..].to_vec());
    name.map(|name| (name, addr)).map_err(|_| damaged(key))
}

pub(crate) fn inline_row(bytes: &[u8]) -> Bytes {
    let mut row = Vec::with_capacity(1 + bytes.len());
    row.push(INLINE);
    row.extend_from_slice(bytes);
    row.into()
}

pub(crate) fn file_row(key: &[u8], len: u64) -> Bytes {
    let mut row = vec![FILE];
    row.extend_from_slice(&len.to_le_bytes());
    seal(key, row)
}

/// The length that a blob's row states, without a look at its bytes.
pub(crate) fn blob_len(key: &[u8], row: &[u8]) -> Result<u64> {
    match row.split_first() {
        Some((&INLINE, bytes)) => Ok(bytes.len() as u64),
        Some((&FILE, _)) => {
            let [len] = numbers(key, &unseal(key, row)?[1..])?;
            Ok(len)
        }
        _ => Err(damaged(key)),
    }
}

pub(crate) fn decode_blob(key: &[u8], row: Bytes) -> Result<Entry> {
    match row.first() {
        Some(&INLINE) => Ok(Entry::Inline(row.slice(1..))),
        _ => blob_len(key, &row).map(Entry::File),
    }
}

pub(crate) fn encode_counters(counters: &Counters) -> Bytes {
    let numbers = [
        counters.dag.recipes,
        counters.dag.outputs,
        counters.dag.roots,
        counters.resolved,
        counters.blobs.blobs,
        counters.blobs.bytes,
        counters.commits,
    ];
    let row = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    seal(COUNTERS_KEY, row)
}

pub(crate) fn decode_counters(row: &[u8]) -> Result<Counters> {
    let row = unseal(COUNTERS_KEY, row)?;
    let of_format_1 = numbers(COUNTERS_KEY, &[row, &[0; 8]].concat());
    let [recipes, outputs, roots, resolved, blobs, bytes, commits] =
        numbers(COUNTERS_KEY, row).or(of_format_1)?;
    Ok(Counters {
        dag: DagUsage {
            recipes,
            outputs,
            roots,
        },
        resolved,
        blobs: BlobUsage { blobs, bytes },
        commits,
    })
}

/// The length of a commit's number outside the database.
pub(crate) const COMMIT_LEN: usize = 8 + SEAL;
const COMMIT: &[u8] = b"commit";

pub(crate) fn encode_commit(number: u64) -> Bytes {
    seal(COMMIT, number.to_le_bytes().to_vec())
}

pub(crate) fn decode_commit(row: &[u8]) -> Result<u64> {
    numbers(COMMIT, unseal(COMMIT, row)?).map(|[number]| number)
}

/// The row that names this format.
pub(crate) fn format_row() -> Write {
    let format = Bytes::copy_from_slice(&FORMAT.to_le_bytes());
    (FORMAT_KEY.to_vec(), Some(format))
}

/// The error of a row that is not what this layout writes.
pub(crate) fn damaged(key: &[u8]) -> Error {
    Error::new(ErrorKind::Corrupt, "a stored row is damaged").with("key", key.escape_ascii())
}

fn numbers<const N: usize>(key: &[u8], bytes: &[u8]) -> Result<[u64; N]> {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != N || !rest.is_empty() {
        return Err(damaged(key));
    }
    Ok(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
}

fn seal(key: &[u8], mut row: Vec<u8>) -> Bytes {
    let sum = checksum(key, &row);
    row.extend_from_slice(&sum);
    row.into()
}

fn unseal<'a>(key: &[u8], row: &'a [u8]) -> Result<&'a [u8]> {
    match row.split_last_chunk::<SEAL>() {
        Some((value, sum)) if *sum == checksum(key, value) => Ok(value),
        _ => Err(damaged(key)),
    }
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; SEAL] {
    let hash = CAddr::of_blob(&[key, value].concat());
    std::array::from_fn(|i| hash.as_bytes()[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_in_a_sealed_row_is_corrupt() {
        let output = Output {
            addr: CAddr::of_blob(b"x"),
            len: 1,
            cost: Duration::from_nanos(5),
        };
        let key = output_key(&CAddr::of_blob(b"key"));
        let row = encode_output(&key, &output);
        assert_eq!(decode_output(&key, &row).unwrap(), output);
        for bit in 0..row.len() * 8 {
            let mut flipped = row.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = decode_output(&key, &flipped).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
        }
        let other = output_key(&CAddr::of_blob(b"other"));
        assert!(decode_output(&other, &row).is_err(), "a row of another key");
    }

    #[test]
    fn a_row_of_pieces_is_told_from_a_recipe() {
        assert_eq!(pieces_of(&pieces_row(7)), Some(7));
        assert_eq!(pieces_of(b"\x85\x01\x00\x00\x00"), None);
        assert_eq!(pieces_of(b""), None);
    }
}
