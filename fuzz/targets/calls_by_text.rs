#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| airssys_fuzz::bodies::calls_by_text::one(input));
