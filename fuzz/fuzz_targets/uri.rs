//! See `deriva_fuzz::uri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::uri::read(bytes);
});
