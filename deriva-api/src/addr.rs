//! Addresses: 32 bytes that name a blob or a recipe.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::{Error, ErrorKind, Result};

/// A content address: 32 bytes that name a blob, or the recipe that makes one.
///
/// The address of a blob is the unkeyed BLAKE3 hash of its bytes, the same that `b3sum` prints. The
/// address of a recipe is BLAKE3 in derive-key mode over its canonical bytes, so no blob can pass
/// for a recipe. `Display` prints 64 lowercase hex digits, `Debug` the first ten.
///
/// Serde writes hex for human-readable formats and the 32 raw bytes for all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct CAddr([u8; 32]);

/// Context string of BLAKE3's derive-key mode for the addresses of recipes.
pub(crate) const RECIPE_CONTEXT: &str = "deriva recipe v1";

impl CAddr {
    /// Length of an address in bytes.
    pub const LEN: usize = 32;

    /// The smallest address: all bits zero. Useful as a bound; no known content has it.
    pub const MIN: Self = Self([0; 32]);

    /// Takes 32 bytes as an address. Nothing is hashed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Computes the address of a blob: the BLAKE3 hash of its bytes.
    #[must_use]
    pub fn of_blob(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Computes the address of a recipe from its canonical bytes (see [`crate::canonical`]).
    #[must_use]
    pub fn of_recipe(canonical: &[u8]) -> Self {
        // Deriving the context key costs as much as hashing a short recipe, so it is kept.
        static CONTEXT: std::sync::LazyLock<blake3::Hasher> =
            std::sync::LazyLock::new(|| blake3::Hasher::new_derive_key(RECIPE_CONTEXT));
        Self(*CONTEXT.clone().update(canonical).finalize().as_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads an address from a slice.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the slice is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_| {
            Error::new(ErrorKind::Invalid, "an address is 32 bytes long")
                .with("length", bytes.len())
        })
    }

    /// The first ten hex digits, enough for people to tell addresses apart in a log.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..10].to_owned()
    }

    fn hex(&self) -> impl Deref<Target = str> + use<> {
        blake3::Hash::from_bytes(self.0).to_hex()
    }
}

impl fmt::Display for CAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.hex())
    }
}

impl fmt::Debug for CAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl AsRef<[u8]> for CAddr {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for CAddr {
    type Err = Error;

    /// Parses 64 hex digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(hash.into()))
            .map_err(|source| {
                Error::new(ErrorKind::Invalid, "an address is 64 hex digits")
                    .with("given", text)
                    .caused_by(source)
                    .hint("give an address as `deriva put` or `deriva recipe` prints it")
            })
    }
}

impl Serialize for CAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for CAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = CAddr;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address: 64 hex digits or 32 bytes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CAddr, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<CAddr, E> {
                CAddr::from_slice(bytes).map_err(E::custom)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<CAddr, A::Error> {
                let mut bytes = [0u8; 32];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq
                        .next_element()?
                        .ok_or_else(|| A::Error::invalid_length(i, &self))?;
                }
                Ok(CAddr(bytes))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Visitor)
        } else {
            deserializer.deserialize_bytes(Visitor)
        }
    }
}

/// The beginning of an address in hex, as people type it: 1 to 64 digits.
///
/// A prefix stands for an address when exactly one known address begins with it; the search is done
/// by whoever knows the addresses, over [`AddrPrefix::first`] and [`AddrPrefix::matches`].
#[derive(Clone, PartialEq, Eq)]
pub struct AddrPrefix(String);

impl AddrPrefix {
    /// The smallest address with this prefix: where an ordered search begins.
    #[must_use]
    pub fn first(&self) -> CAddr {
        let padded = format!("{:0<64}", self.0);
        // Only hex digits are inside, 64 of them after padding.
        padded.parse().unwrap_or(CAddr::MIN)
    }

    /// Whether `addr` begins with this prefix.
    #[must_use]
    pub fn matches(&self, addr: &CAddr) -> bool {
        addr.to_string().starts_with(&self.0)
    }

    /// The address itself, where all 64 digits were given.
    #[must_use]
    pub fn complete(&self) -> Option<CAddr> {
        (self.0.len() == 64).then(|| self.first())
    }
}

impl FromStr for AddrPrefix {
    type Err = Error;

    /// Parses 1 to 64 hex digits of either case.
    fn from_str(text: &str) -> Result<Self> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || text.is_empty() || text.len() > 64 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "an address is up to 64 hex digits (0-9, a-f)",
            )
            .with("given", text)
            .hint(
                "give an address as `deriva put` or `deriva recipe` prints it, or its first digits",
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for AddrPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AddrPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Hash for CAddr {
    /// As four words: quicker than bytes of any number, as all have one length.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (words, _) = self.0.as_chunks();
        for word in words {
            state.write_u64(u64::from_le_bytes(*word));
        }
    }
}

/// Builds the hashers of maps keyed by addresses: `HashMap<CAddr, T, BuildAddrHasher>`.
///
/// An address is a hash already, but anybody can write one down that is the hash of nothing, and a recipe may
/// have millions of such for inputs. So all of it is hashed once more (foldhash), with a key that is new in each
/// process and the same for all maps in it.
#[derive(Clone, Debug)]
pub struct BuildAddrHasher(SeedableRandomState);

impl Default for BuildAddrHasher {
    fn default() -> Self {
        Self(SeedableRandomState::with_seed(
            0,
            SharedSeed::global_random(),
        ))
    }
}

impl BuildHasher for BuildAddrHasher {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hex_round_trips_in_either_case() {
        let addr = CAddr::of_blob(b"hello");
        let text = addr.to_string();
        assert_eq!(text.parse::<CAddr>().unwrap(), addr);
        assert_eq!(text.to_uppercase().parse::<CAddr>().unwrap(), addr);
        assert_eq!(format!("{addr:?}"), text[..10]);
    }

    /// Else whoever names the inputs of a recipe could make every look-up slow.
    #[test]
    fn addresses_that_agree_in_all_bytes_but_two_have_hashes_of_their_own() {
        for at in 0..31 {
            let addr = |i: u16| {
                let mut bytes = [7; 32];
                bytes[at..at + 2].copy_from_slice(&i.to_le_bytes());
                CAddr::from_bytes(bytes)
            };
            let hashes = (0..10_000).map(|i| BuildAddrHasher::default().hash_one(addr(i)));
            let upper: HashSet<u32> = hashes.map(|hash| (hash >> 32) as u32).collect();
            // As good as all: a few meet by chance, and with some keys a few more.
            assert!(upper.len() > 9_900, "byte {at}: {}", upper.len());
        }
    }

    #[test]
    fn text_that_is_no_address_is_invalid() {
        for text in [
            "",
            "xyz",
            "ab",
            &"g".repeat(64),
            &"a".repeat(65),
            &"é".repeat(32),
        ] {
            assert_eq!(
                text.parse::<CAddr>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{text:?}"
            );
        }
    }

    #[test]
    fn prefixes_match_by_digit_not_by_byte() {
        let addr: CAddr = format!("abc{}", "1".repeat(61)).parse().unwrap();
        for (text, matches) in [
            ("a", true),
            ("ABC", true),
            ("abc1", true),
            ("abd", false),
            ("b", false),
        ] {
            assert_eq!(
                text.parse::<AddrPrefix>().unwrap().matches(&addr),
                matches,
                "{text}"
            );
        }
        assert!("abc".parse::<AddrPrefix>().unwrap().first() < addr);
        assert_eq!(
            addr.to_string().parse::<AddrPrefix>().unwrap().complete(),
            Some(addr)
        );
        assert!("".parse::<AddrPrefix>().is_err() && "0x12".parse::<AddrPrefix>().is_err());
    }

    #[test]
    fn serde_writes_hex_for_people() {
        let addr = CAddr::of_blob(b"x");
        let json = serde_json::to_string(&addr).unwrap();
        assert_eq!(json, format!("\"{addr}\""));
        assert_eq!(serde_json::from_str::<CAddr>(&json).unwrap(), addr);
        assert!(serde_json::from_str::<CAddr>("\"12\"").is_err());
    }

    #[test]
    fn a_blob_never_has_the_address_of_a_recipe() {
        assert_ne!(CAddr::of_blob(b"same"), CAddr::of_recipe(b"same"));
    }
}
