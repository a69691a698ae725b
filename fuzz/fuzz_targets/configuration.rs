//! See `deriva_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::configuration::read(bytes);
});
