use deriva_api::{Blob, Params};

use super::one;

#[test]
fn sha256_agrees_with_the_published_vectors() {
    for (input, expected) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ] {
        assert_eq!(one("hash.sha256", input, Params::new()), expected);
    }
}

#[test]
fn blake3_is_the_address_of_the_input() {
    for (input, expected) in [
        (
            "",
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
        (
            "abc",
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ),
    ] {
        assert_eq!(one("hash.blake3", input, Params::new()), expected);
        assert_eq!(Blob::new(input).addr().to_string(), expected);
    }
}

#[test]
fn any_bytes_have_a_hash() {
    assert_eq!(one("hash.sha256", [0xff; 9], Params::new()).len(), 64);
    assert_eq!(one("hash.blake3", [0xff; 9], Params::new()).len(), 64);
}
