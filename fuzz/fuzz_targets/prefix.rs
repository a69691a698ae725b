//! See `deriva_fuzz::prefix`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::prefix::read(bytes);
});
