//! Patterns of targets: segments with `*` for one and `**` for any number of them.
//!
//! There is no other glob syntax. `?`, `[`, `]`, `{` and `}` are refused unless escaped, so that a rule
//! written for another dialect cannot silently protect less than it says.

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    Literal(Box<[u8]>),
    Glob(Glob),
    /// `*`: one segment, whatever it is.
    Any,
    /// `**`: any number of segments, also none.
    Deep,
}

/// A segment with `*` somewhere in it: the texts between the stars.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    parts: Box<[Box<[u8]>]>,
}

impl Glob {
    /// The texts before the first star and behind the last.
    pub fn ends(&self) -> (&[u8], &[u8]) {
        match &*self.parts {
            [first, .., last] => (first, last),
            _ => unreachable!("a glob has at least two parts"),
        }
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        let (first, rest) = self
            .parts
            .split_first()
            .expect("a glob has at least two parts");
        let (last, middle) = rest.split_last().expect("a glob has at least two parts");
        let Some(mut text) = text.strip_prefix(&**first) else {
            return false;
        };
        // The first occurrence of each middle part leaves the most for those after it.
        for part in middle {
            let Some(at) = find(text, part) else {
                return false;
            };
            text = &text[at + part.len()..];
        }
        text.ends_with(last)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}

/// Read one segment.
///
/// # Errors
/// Says what is not understood in it.
pub fn parse_segment(text: &[u8]) -> Result<Segment, String> {
    match text {
        b"*" => return Ok(Segment::Any),
        b"**" => return Ok(Segment::Deep),
        _ => {}
    }
    let mut parts: Vec<Box<[u8]>> = Vec::new();
    let mut part = Vec::new();
    let mut bytes = text.iter().copied();
    let mut star_before = false;
    while let Some(byte) = bytes.next() {
        if byte == b'*' {
            if star_before {
                return Err("`**` must stand alone in its segment".to_owned());
            }
            parts.push(std::mem::take(&mut part).into());
            star_before = true;
            continue;
        }
        star_before = false;
        match byte {
            b'\\' => match bytes.next() {
                Some(escaped @ (b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'\\')) => {
                    part.push(escaped);
                }
                _ => return Err("`\\` must precede one of `* ? [ ] { } \\`".to_owned()),
            },
            b'?' | b'[' | b']' | b'{' | b'}' => {
                return Err(format!(
                    "`{}` is not part of patterns; write `\\{0}` for the character itself",
                    char::from(byte)
                ));
            }
            0 => return Err("NUL is not allowed".to_owned()),
            _ => part.push(byte),
        }
    }
    parts.push(part.into());
    if parts.len() == 1 {
        Ok(Segment::Literal(parts.swap_remove(0)))
    } else {
        Ok(Segment::Glob(Glob {
            parts: parts.into(),
        }))
    }
}

/// Read a pattern whose segments stand between `separator`s.
///
/// # Errors
/// Says what is not understood in it.
pub fn parse_segments(text: &[u8], separator: u8) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    for part in text.split(|byte| *byte == separator) {
        if part.is_empty() {
            return Err(format!(
                "there is an empty segment between two `{}`",
                char::from(separator)
            ));
        }
        let segment = parse_segment(part)?;
        // `**/**` says no more than `**`, and two in a row would only make matching slower.
        if segment != Segment::Deep || segments.last() != Some(&Segment::Deep) {
            segments.push(segment);
        }
    }
    Ok(segments)
}

/// Whether `items` (the arguments of a command) match `patterns`, one each, `**` any number of them.
pub fn matches_sequence(patterns: &[Segment], items: &[&[u8]]) -> bool {
    // reachable[n]: the patterns so far match the first n items.
    let mut reachable = vec![false; items.len() + 1];
    reachable[0] = true;
    for pattern in patterns {
        let mut next = vec![false; items.len() + 1];
        match pattern {
            Segment::Deep => {
                let mut seen = false;
                for (now, after) in reachable.iter().zip(&mut next) {
                    seen |= *now;
                    *after = seen;
                }
            }
            _ => {
                for (position, item) in items.iter().enumerate() {
                    next[position + 1] = reachable[position] && matches_one(pattern, item);
                }
            }
        }
        reachable = next;
    }
    reachable[items.len()]
}

fn matches_one(pattern: &Segment, item: &[u8]) -> bool {
    match pattern {
        Segment::Literal(literal) => **literal == *item,
        Segment::Glob(glob) => glob.matches(item),
        Segment::Any => !item.is_empty(),
        Segment::Deep => true,
    }
}
