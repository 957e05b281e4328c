//! The inputs that are kept of each fuzz target, run once without the fuzzer.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/bodies/mod.rs"]
mod bodies;

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    assert!(inputs.len() > 1, "{}", folder.display());
    inputs
}

macro_rules! corpus {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            for (path, input) in inputs(stringify!($target)) {
                println!("{path}");
                bodies::$target::one(&input);
            }
        }
    )*};
}

corpus!(
    audit_log,
    code_cache,
    loader,
    rule_documents,
    rules,
    secrets
);

#[test]
fn http_targets() {
    for (_, input) in inputs("http_targets") {
        bodies::http_targets::one(&String::from_utf8_lossy(&input));
    }
}

#[test]
fn calls_by_text() {
    for (_, input) in inputs("calls_by_text") {
        bodies::calls_by_text::one(&String::from_utf8_lossy(&input));
    }
}
