//! Patterns of deployments and topics: `*` for one segment, `**` for any number; of a topic for at least one, as in
//! `airssys.rt`.

use crate::gate::pattern::{Segment, parse_segment};

/// A pattern, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    separator: u8,
    segments: Vec<Segment>,
}

impl Pattern {
    /// Read the pattern of a deployment's name.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn deployment(text: &str) -> Result<Self, String> {
        Self::parse(text, b'/')
    }

    /// Read the pattern of a topic.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn topic(text: &str) -> Result<Self, String> {
        Self::parse(text, b'.')
    }

    fn parse(text: &str, separator: u8) -> Result<Self, String> {
        let segments = text
            .as_bytes()
            .split(|byte| *byte == separator)
            .map(|segment| {
                if segment.is_empty() {
                    Err(format!("{text:?} is no pattern: a segment is empty"))
                } else {
                    parse_segment(segment)
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            separator,
            segments,
        })
    }

    /// Whether it names one thing only.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.segments
            .iter()
            .all(|segment| matches!(segment, Segment::Literal(_)))
    }

    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let parts: smallvec::SmallVec<[&[u8]; 8]> = text
            .as_bytes()
            .split(|byte| *byte == self.separator)
            .collect();
        // Words of a topic, `**` stands for at least one of them.
        matches(&self.segments, &parts, usize::from(self.separator == b'.'))
    }
}

fn matches(pattern: &[Segment], parts: &[&[u8]], least: usize) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return parts.is_empty();
    };
    if *first == Segment::Deep {
        return (least..=parts.len()).any(|skipped| matches(rest, &parts[skipped..], least));
    }
    let Some((part, others)) = parts.split_first() else {
        return false;
    };
    let fits = match first {
        Segment::Literal(text) => **text == **part,
        Segment::Glob(glob) => glob.matches(part),
        Segment::Any | Segment::Deep => true,
    };
    fits && matches(rest, others, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        let topic = |pattern: &str, text: &str| Pattern::topic(pattern).unwrap().matches(text);
        assert!(topic("orders.*.paid", "orders.eu.paid"));
        assert!(!topic("orders.*.paid", "orders.eu.de.paid"));
        assert!(topic("orders.**", "orders.eu.de"));
        assert!(topic("**", "orders"));
        assert!(!topic("orders.**", "orders"));
        assert!(!topic("orders", "orders.eu"));
        let deployment = Pattern::deployment("image/res*").unwrap();
        assert!(deployment.matches("image/resizer"));
        assert!(!deployment.matches("image/cropper"));
        assert!(!deployment.is_literal());
        let below = Pattern::deployment("image/**").unwrap();
        assert!(below.matches("image") && below.matches("image/a/b"));
        assert!(Pattern::topic("a..b").is_err());
    }
}
