//! See `deriva_fuzz::pipeline`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deriva_fuzz::pipeline::read(bytes);
});
