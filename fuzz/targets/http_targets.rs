#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| airssys_fuzz::bodies::http_targets::one(input));
