//! Blotting secrets out of what comes back, however it is cut into pieces.
//!
//! Input: how many secrets there are and how long the pieces get, the secrets, the text.

use airssys_host::wasi::fuzzing::{scrub, scrub_header};

/// One input.
pub fn one(input: &[u8]) {
    let [count, sizes @ ..] = input else { return };
    let Some((size, rest)) = sizes.split_first() else {
        return;
    };
    let mut rest = rest;
    let mut secrets = Vec::new();
    for _ in 0..=count % 3 {
        let Some((length, after)) = rest.split_first() else {
            return;
        };
        let length = 8 + usize::from(length % 24);
        if after.len() < length {
            return;
        }
        let (secret, after) = after.split_at(length);
        secrets.push(secret.to_vec());
        rest = after;
    }
    let mut expected = rest.to_vec();
    for secret in &secrets {
        for start in 0..rest.len() {
            if rest[start..].starts_with(secret) {
                expected[start..start + secret.len()].fill(b'*');
            }
        }
    }
    let pieces = rest.chunks(usize::from(size % 16) + 1);
    let Some(found) = scrub(&secrets, pieces) else {
        return;
    };
    assert_eq!(found, expected);
    if let Some(header) = scrub_header(&secrets, rest) {
        assert_eq!(header, expected);
    }
}
