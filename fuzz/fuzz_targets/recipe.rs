//! See `deriva_fuzz::recipe`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::recipe::read(bytes);
});
