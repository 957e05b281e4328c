#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airssys_fuzz::bodies::loader::one(input));
