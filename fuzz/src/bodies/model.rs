//! Rules and targets matched the slow way: no index, no automaton, one pattern after another.

use std::net::IpAddr;

use airssys_host::gate::address::{canonical, is_global};
use airssys_host::gate::kind::{AccessBits, Kind};
use airssys_host::gate::matcher::Outcome;
use airssys_host::gate::pattern::Segment;
use airssys_host::gate::rules::{Effect, HostPattern, Rule, TargetPattern};
use airssys_host::gate::target::{Host, Target};

/// `*` stands for any characters, `**` for any segments; what is escaped stands for itself.
pub fn text_matches(pattern: &[u8], text: &[u8], separator: u8) -> bool {
    let patterns: Vec<&[u8]> = pattern.split(|byte| *byte == separator).collect();
    let texts: Vec<&[u8]> = text.split(|byte| *byte == separator).collect();
    all_match(&patterns, &texts)
}

fn all_match(patterns: &[&[u8]], texts: &[&[u8]]) -> bool {
    let Some((pattern, rest)) = patterns.split_first() else {
        return texts.is_empty();
    };
    if *pattern == b"**" {
        return (0..=texts.len()).any(|skipped| all_match(rest, &texts[skipped..]));
    }
    let Some((text, others)) = texts.split_first() else {
        return false;
    };
    let matches = if *pattern == b"*" {
        !text.is_empty()
    } else {
        one_matches(pattern, text)
    };
    matches && all_match(rest, others)
}

fn one_matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| one_matches(rest, &text[skipped..])),
        Some((b'\\', escaped)) => {
            text.first() == escaped.first() && one_matches(&escaped[1..], &text[1..])
        }
        Some((byte, rest)) => text.first() == Some(byte) && one_matches(rest, &text[1..]),
    }
}

fn segments_match(patterns: &[Segment], texts: &[&[u8]]) -> bool {
    match patterns.split_first() {
        None => texts.is_empty(),
        Some((Segment::Deep, rest)) => {
            (0..=texts.len()).any(|skipped| segments_match(rest, &texts[skipped..]))
        }
        Some((pattern, rest)) => {
            let Some((text, others)) = texts.split_first() else {
                return false;
            };
            let matches = match pattern {
                Segment::Literal(literal) => **literal == **text,
                Segment::Glob(glob) => glob.matches(text),
                Segment::Any => !text.is_empty(),
                Segment::Deep => unreachable!("taken above"),
            };
            matches && segments_match(rest, others)
        }
    }
}

fn parts(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let text = if separator == b'/' {
        text.strip_prefix(b"/").unwrap_or(text)
    } else {
        text
    };
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == separator).collect()
}

fn host_matches(pattern: &HostPattern, target: &Target<'_>, led_to: Option<IpAddr>) -> bool {
    let host = target
        .host
        .as_ref()
        .expect("a pattern with a host is for targets with one");
    match (pattern, host) {
        (HostPattern::Labels(labels), Host::Name(range)) => {
            let mut names = parts(&target.text[range.clone()], b'.');
            names.reverse();
            segments_match(labels, &names)
        }
        (HostPattern::Labels(_), Host::Address(_)) => false,
        (HostPattern::Network(network), host) => {
            let own = match host {
                Host::Address(address) => Some(*address),
                Host::Name(_) => None,
            };
            [own, led_to]
                .into_iter()
                .flatten()
                .any(|address| network.contains(address))
        }
    }
}

fn pattern_matches(pattern: &TargetPattern, target: &Target<'_>, led_to: Option<IpAddr>) -> bool {
    pattern.domain == target.domain
        && target
            .port
            .is_none_or(|port| pattern.ports.0 <= port && port <= pattern.ports.1)
        && (target.scheme == 0 || pattern.schemes & target.scheme != 0)
        && pattern
            .host
            .as_ref()
            .is_none_or(|host| host_matches(host, target, led_to))
        && pattern.segments.as_ref().is_none_or(|segments| {
            let names_own = segments.first() == Some(&Segment::Literal(b"self"[..].into()));
            spellings(target).any(|(text, own)| {
                (own || !names_own || !target.domain.knows_self())
                    && segments_match(segments, &parts(&text, target.domain.separator()))
            })
        })
}

/// The id of the subject that the model is about.
pub const OWN_ID: &[u8] = b"acme/calc";

/// The segments of a target as patterns may mean it, and whether they begin with `self` for the subject's id.
pub fn spellings(target: &Target<'_>) -> impl Iterator<Item = (Vec<u8>, bool)> {
    let text = &target.text[target.segments.clone()];
    let below = |id: &[u8]| {
        let rest = text.strip_prefix(id)?;
        (rest.is_empty() || rest[0] == target.domain.separator()).then(|| [b"self", rest].concat())
    };
    let own = target
        .domain
        .knows_self()
        .then(|| below(b"self").or_else(|| below(OWN_ID)))
        .flatten();
    [Some((text.to_vec(), false)), own.map(|own| (own, true))]
        .into_iter()
        .flatten()
}

/// Whether a rule that lets something pass may let a name pass that led to this address, or to none yet.
fn may_lead_there(
    rule: &Rule,
    pattern: &TargetPattern,
    access: AccessBits,
    target: &Target<'_>,
    led_to: Option<IpAddr>,
) -> bool {
    if !matches!(target.host, Some(Host::Name(_))) {
        return true;
    }
    match led_to {
        Some(address) => {
            is_global(address)
                || matches!(pattern.host, Some(HostPattern::Network(_)))
                || rule.addresses.iter().any(|range| range.contains(address))
        }
        None => rule.kind != Kind::Network || access != 1,
    }
}

/// What rules without parts, callers and conditions come to.
pub fn outcome(
    rules: &[Rule],
    kind: Kind,
    access: AccessBits,
    target: &Target<'_>,
    led_to: Option<IpAddr>,
) -> Outcome {
    let led_to = led_to.map(canonical);
    let mut effects = Vec::new();
    for rule in rules
        .iter()
        .filter(|rule| rule.kind == kind && rule.access & access != 0)
    {
        let counts = rule.patterns.iter().any(|pattern| {
            pattern_matches(pattern, target, led_to)
                && (rule.effect == Effect::Deny
                    || may_lead_there(rule, pattern, access, target, led_to))
        });
        if counts {
            effects.push(rule.effect);
        }
    }
    if effects.contains(&Effect::Deny) {
        Outcome::Deny
    } else if effects.contains(&Effect::RequireApproval) {
        Outcome::RequireApproval
    } else if effects.contains(&Effect::Allow) || kind.given_by_default() {
        Outcome::Allow
    } else {
        Outcome::NotGranted
    }
}
