//! Blotting values of secrets out of what a server sends back.
//!
//! Exact copies only: a server that encodes, compresses or takes apart what it was sent shows it. A blot is
//! as long as what it covers, so that lengths and offsets stay true.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use super::Secret;

const BLOT: u8 = b'*';

/// Blots the secrets out of one response, across the borders of its pieces.
pub(crate) struct Scrubber {
    secrets: Vec<Arc<Secret>>,
    /// The end of what came so far that may be the beginning of a secret, as it came.
    held: Vec<u8>,
    /// How much of `held` belongs to a secret that is complete.
    covered: usize,
}

impl Scrubber {
    pub fn new(secrets: Vec<Arc<Secret>>) -> Self {
        Self {
            secrets,
            held: Vec::new(),
            covered: 0,
        }
    }

    /// The next piece, without the end of it that may be the beginning of a secret.
    pub fn piece(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() && !self.concerns(&piece) {
            return piece;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        let carried = self.covered;
        let mut blots = vec![(0, carried)];
        for secret in &self.secrets {
            occurrences(&text, secret.bytes(), |start, end| blots.push((start, end)));
        }
        let keep = text.len() - self.open_end(&text);
        self.held = text.split_off(keep);
        // What stands in the held part as a whole is found in it again.
        self.covered = blots
            .iter()
            .filter(|(start, _)| *start < keep)
            .map(|(_, end)| *end)
            .fold(carried, usize::max)
            .saturating_sub(keep);
        for (start, end) in blots {
            let end = end.min(keep);
            text[start.min(end)..end].fill(BLOT);
        }
        text.into()
    }

    /// What is left at the end.
    pub fn rest(&mut self) -> Option<Bytes> {
        let mut rest = std::mem::take(&mut self.held);
        let mut blots = vec![(0, std::mem::take(&mut self.covered))];
        for secret in &self.secrets {
            occurrences(&rest, secret.bytes(), |start, end| blots.push((start, end)));
        }
        for (start, end) in blots {
            rest[start..end].fill(BLOT);
        }
        (!rest.is_empty()).then(|| rest.into())
    }

    /// How many bytes [`Self::rest`] has.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Blot the secrets out of header fields.
    pub fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut text = None;
            for secret in &self.secrets {
                occurrences(value.as_bytes(), secret.bytes(), |start, end| {
                    let text = text.get_or_insert_with(|| value.as_bytes().to_vec());
                    text[start..end].fill(BLOT);
                });
            }
            if let Some(text) = text {
                *value = HeaderValue::from_bytes(&text).expect("blots may stand in a header");
            }
        }
    }

    /// Whether a piece has something of a secret in it.
    fn concerns(&self, piece: &[u8]) -> bool {
        self.open_end(piece) != 0
            || self
                .secrets
                .iter()
                .any(|secret| memmem::find(piece, secret.bytes()).is_some())
    }

    /// How many bytes at the end may be the beginning of a secret.
    fn open_end(&self, text: &[u8]) -> usize {
        let open = |secret: &Secret| {
            let secret = secret.bytes();
            let most = (secret.len() - 1).min(text.len());
            (1..=most)
                .rev()
                .find(|length| secret.starts_with(&text[text.len() - length..]))
                .unwrap_or_default()
        };
        self.secrets
            .iter()
            .map(|secret| open(secret))
            .max()
            .unwrap_or_default()
    }
}

/// Call `found` with where `secret` stands in `text`; the places may overlap.
fn occurrences(text: &[u8], secret: &[u8], mut found: impl FnMut(usize, usize)) {
    let finder = memmem::Finder::new(secret);
    let mut from = 0;
    while let Some(at) = finder.find(&text[from..]) {
        let start = from + at;
        found(start, start + secret.len());
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let secret = |text: &&str| Arc::new(Secret(text.as_bytes().into()));
        Scrubber::new(secrets.iter().map(secret).collect())
    }

    /// What comes out of `text` when it comes in pieces of `size`.
    fn scrubbed(secrets: &[&str], text: &str, size: usize) -> String {
        let mut scrubber = scrubber(secrets);
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            out.extend(scrubber.piece(Bytes::copy_from_slice(piece)));
        }
        out.extend(scrubber.rest().unwrap_or_default());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_blotted_out_however_it_is_cut() {
        let secrets = ["abababab", "babel-tower", "hunter2hunter2"];
        for (text, expected) in [
            ("nothing of it", "nothing of it"),
            ("x abababab y", "x ******** y"),
            // Overlapping, of one secret and of two.
            ("abababababab!", "************!"),
            ("ababababel-tower", "****************"),
            ("hunter2hunter", "hunter2hunter"),
            ("hunter2hunter2hunter2", "*********************"),
            ("hunter2hunter2", "**************"),
            ("abababa", "abababa"),
            ("", ""),
        ] {
            for size in 1..=text.len().max(1) {
                let found = scrubbed(&secrets, text, size);
                assert_eq!(found, expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_secret_within_the_beginning_of_another_is_blotted_alone() {
        let secrets = ["ab-password-tower", "password"];
        for (text, expected) in [
            ("ab-password", "ab-********"),
            ("ab-password-t!", "ab-********-t!"),
            ("ab-password-tower", "*****************"),
        ] {
            for size in 1..=text.len() {
                let found = scrubbed(&secrets, text, size);
                assert_eq!(found, expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn header_fields_are_blotted_where_secrets_overlap_too() {
        let mut headers = HeaderMap::new();
        headers.insert("echo", HeaderValue::from_static("x abababababab y"));
        scrubber(&["abababab"]).headers(&mut headers);
        assert_eq!(headers["echo"], "x ************ y");
    }

    #[test]
    fn what_is_held_back_is_only_what_may_be_a_secret() {
        let mut scrubber = scrubber(&["hunter2hunter2"]);
        assert_eq!(scrubber.piece("data: hun".into()), "data: ");
        assert_eq!(scrubber.held(), 3);
        assert_eq!(scrubber.piece("ting\n".into()), "hunting\n");
        assert_eq!(scrubber.rest(), None);
    }
}
