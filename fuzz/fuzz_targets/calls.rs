//! See `deriva_fuzz::calls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::calls::read(bytes);
});
