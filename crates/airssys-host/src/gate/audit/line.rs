//! The text of records: JSON in which nothing can act on a terminal or break a line.

use std::fmt::Write as _;

use super::super::subject::Subject;

/// The most of a target or detail that a record carries, in bytes.
const LONGEST: usize = 4096;

/// Append `bytes` as a JSON string. What is not UTF-8 appears as `\xNN`.
pub fn push_text(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'"');
    let shown = &bytes[..bytes.len().min(LONGEST)];
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if shown.iter().all(|byte| plain(*byte)) {
        line.extend_from_slice(shown);
    } else {
        for chunk in shown.utf8_chunks() {
            for character in chunk.valid().chars() {
                push_character(line, character);
            }
            for byte in chunk.invalid() {
                push_formatted(line, format_args!("\\\\x{byte:02x}"));
            }
        }
    }
    if shown.len() < bytes.len() {
        push_formatted(line, format_args!("… ({} bytes)", bytes.len()));
    }
    line.push(b'"');
}

fn push_character(line: &mut Vec<u8>, character: char) {
    match character {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        // Controls, invisible characters and those that reorder text are shown, not performed.
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => {
            push_formatted(line, format_args!("\\u{:04x}", u32::from(character)));
        }
        _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn push_formatted(line: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    Bytes(line)
        .write_fmt(arguments)
        .expect("a vector takes any text");
}

pub fn push_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[start..]);
}

pub fn push_hex(line: &mut Vec<u8>, bytes: &[u8; 32]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Put together apart, because a vector looks for room at every push.
    let mut text = [[0; 2]; 32];
    for (pair, byte) in text.iter_mut().zip(bytes) {
        *pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
    }
    line.extend_from_slice(text.as_flattened());
}

/// The fields of a subject, which are the same in all its records.
pub fn subject_part(subject: &Subject) -> Vec<u8> {
    let mut part = Vec::with_capacity(96);
    part.extend_from_slice(b",\"principal\":");
    push_text(&mut part, subject.name.as_bytes());
    if let Some(callers) = &subject.callers {
        part.extend_from_slice(b",\"chain\":[");
        for (position, name) in callers.names().enumerate() {
            if position > 0 {
                part.push(b',');
            }
            push_text(&mut part, name.as_bytes());
        }
        part.push(b']');
    }
    for (name, text) in [
        ("namespace", &subject.namespace),
        ("deployment", &subject.deployment),
        ("session", &subject.session),
        ("trace", &subject.trace),
    ] {
        if let Some(text) = text {
            push_formatted(&mut part, format_args!(",\"{name}\":"));
            push_text(&mut part, text.as_bytes());
        }
    }
    if let Some(revision) = subject.revision {
        push_formatted(&mut part, format_args!(",\"revision\":{revision}"));
    }
    if subject.guest {
        part.extend_from_slice(b",\"guest\":true");
    }
    part
}

/// The wall clock as text, with the date worked out once a day.
#[derive(Debug, Default)]
pub struct Clock {
    day: Option<u64>,
    date: String,
}

impl Clock {
    /// Append `"2026-01-31T12:00:00.000000Z"`; microseconds since 1970.
    pub fn push(&mut self, line: &mut Vec<u8>, microseconds: u64) {
        let seconds = microseconds / 1_000_000;
        let day = seconds / 86_400;
        if self.day != Some(day) {
            let (year, month, date) = civil(day);
            self.date = format!("{year:04}-{month:02}-{date:02}");
            self.day = Some(day);
        }
        line.push(b'"');
        line.extend_from_slice(self.date.as_bytes());
        line.push(b'T');
        let of_day = seconds % 86_400;
        for (value, after) in [
            (of_day / 3600, b':'),
            (of_day / 60 % 60, b':'),
            (of_day % 60, b'.'),
        ] {
            line.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8, after]);
        }
        let mut fraction = microseconds % 1_000_000;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        line.extend_from_slice(&digits);
        line.extend_from_slice(b"Z\"");
    }

    /// The text that [`Self::push`] would append, without quotes.
    pub fn text(seconds: f64) -> String {
        let mut line = Vec::new();
        Clock::default().push(&mut line, (seconds.max(0.0) * 1e6) as u64);
        String::from_utf8_lossy(&line[1..line.len() - 1]).into_owned()
    }
}

/// Year, month and day of the day `days` after 1970-01-01 (H. Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Replace what must not be in the log: the given secrets, and user information in URLs.
pub fn masked<'a>(text: &'a [u8], masks: &[Vec<u8>]) -> std::borrow::Cow<'a, [u8]> {
    let mut masked = std::borrow::Cow::Borrowed(text);
    if text.contains(&b'@')
        && let Some(start) = find(text, b"://").map(|at| at + 3)
    {
        let end = text[start..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(text.len(), |at| start + at);
        if let Some(at) = text[start..end].iter().rposition(|byte| *byte == b'@') {
            let mut clean = text[..start].to_vec();
            clean.extend_from_slice(b"***");
            clean.extend_from_slice(&text[start + at..]);
            masked = clean.into();
        }
    }
    for mask in masks {
        while let Some(at) = find(&masked, mask) {
            let mut clean = masked[..at].to_vec();
            clean.extend_from_slice(b"***");
            clean.extend_from_slice(&masked[at + mask.len()..]);
            masked = clean.into();
        }
    }
    masked
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
