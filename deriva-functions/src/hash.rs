//! `hash.*`: digests as lowercase hexadecimal text, without a newline.

use bytes::Bytes;
use deriva_api::Weight;
#[cfg(feature = "sha2")]
use sha2::{Digest, Sha256};

use super::Family;
use super::define::{Definition, nothing};
use deriva_api::Arity;

pub(super) fn functions() -> Family {
    [
        Definition {
            name: "hash.blake3",
            weight: Weight::Light,
            arity: Arity::Exactly(1),
            description: "The BLAKE3 of its input as 64 lowercase hexadecimal digits: the input's address.",
            params: vec![],
        }
        .with(nothing, |inputs, ()| {
            Ok(Bytes::copy_from_slice(
                blake3::hash(&inputs[0]).to_hex().as_bytes(),
            ))
        }),
        #[cfg(feature = "sha2")]
        Definition {
            name: "hash.sha256",
            weight: Weight::Light,
            arity: Arity::Exactly(1),
            description: "The SHA-256 of its input as 64 lowercase hexadecimal digits.",
            params: vec![],
        }
        .with(nothing, |inputs, ()| Ok(hex(&Sha256::digest(&inputs[0])))),
    ]
    .into_iter()
    .collect()
}

#[cfg(feature = "sha2")]
fn hex(digest: &[u8]) -> Bytes {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .collect()
}
