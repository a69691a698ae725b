//! See `deriva_fuzz::functions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::functions::read(bytes);
});
