//! See `deriva_fuzz::words`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::words::read(bytes);
});
