//! Patterns and targets of every kind, decided by the index and the slow way.
//!
//! Input: a byte for the kind, a byte for the access, then lines. `+`, `-` and `?` begin a pattern that
//! allows, denies or asks; every other line is a target, followed by a blank and the address that its name led
//! to, where there is one.

use std::net::IpAddr;

use super::model;
use airssys_host::gate::condition::Attributes;
use airssys_host::gate::kind::{AccessBits, Kind};
use airssys_host::gate::matcher::{Outcome, Request, RuleSet};
use airssys_host::gate::rules::{Effect, Rule, parse_rules};
use airssys_host::gate::subject::Subject;
use airssys_host::gate::target::{TOPIC_ACCESSES, Target};
use serde_json::{Value, json};

const MOST: usize = 24;

/// One input.
pub fn one(input: &[u8]) {
    let [kind, access, lines @ ..] = input else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let position = usize::from(*access) % kind.accesses().len();
    let access: AccessBits = 1 << position;
    let (mut written, mut targets) = (Vec::new(), Vec::new());
    for line in lines.split(|byte| *byte == b'\n').take(MOST) {
        match line.split_first() {
            Some((sign @ (b'+' | b'-' | b'?'), pattern)) => written.push((*sign, pattern)),
            _ => targets.push(line),
        }
    }
    let rules: Vec<Value> = written
        .iter()
        .enumerate()
        .filter_map(|(number, (sign, pattern))| rule(number, *sign, pattern, kind, position))
        // One that is not understood is refused by itself, so that the others still count.
        .filter(|rule| parse_rules(&document(std::slice::from_ref(rule))).is_ok())
        .collect();
    let json = document(&rules);
    let parsed = parse_rules(&json).expect("each is understood by itself");
    let set = RuleSet::compile(&json).expect("each is understood by itself");
    let subject = Subject::named("acme/calc");
    for line in targets {
        let (text, address) = split_address(line);
        decide(&set, &parsed.list, &subject, kind, access, text, address);
    }
}

fn rule(number: usize, sign: u8, pattern: &[u8], kind: Kind, access: usize) -> Option<Value> {
    let mut rule = json!({
        "id": format!("r{number}"),
        "effect": match sign { b'+' => "allow", b'-' => "deny", _ => "require-approval" },
        "principals": ["*"],
        "kind": kind.name(),
        "access": [kind.accesses()[access]],
    });
    if !kind.given_by_default() {
        rule["targets"] = json!([std::str::from_utf8(pattern).ok()?]);
    }
    Some(rule)
}

fn document(rules: &[Value]) -> Vec<u8> {
    json!({"schema": 1, "rules": rules})
        .to_string()
        .into_bytes()
}

fn split_address(line: &[u8]) -> (&[u8], Option<IpAddr>) {
    let Some(blank) = line.iter().rposition(|byte| *byte == b' ') else {
        return (line, None);
    };
    match std::str::from_utf8(&line[blank + 1..])
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(address) => (&line[..blank], Some(address)),
        None => (line, None),
    }
}

fn decide(
    set: &RuleSet,
    rules: &[Rule],
    subject: &Subject,
    kind: Kind,
    access: AccessBits,
    text: &[u8],
    address: Option<IpAddr>,
) {
    let Ok(target) = Target::parse(kind, access, text) else {
        return;
    };
    normal_stays(&target, kind, access);
    texts_agree(rules, kind, access, &target);
    let attributes = Attributes::new();
    let request = Request::new(kind, access, target.clone(), &attributes);
    let request = match address {
        None => request,
        Some(address) => match request.leading_to(address) {
            Ok(request) => request,
            Err(_) => return,
        },
    };
    let in_force = set.of(subject);
    let verdict = in_force.decide(&request);
    let (explained, considered) = in_force.explain(&request);
    assert_eq!(verdict.outcome, explained.outcome);
    assert!(considered.len() <= set.len());
    // Of a socket that listens the unspecified address is itself, which the model does not know.
    if kind != Kind::Network || access == 1 {
        let expected = model::outcome(rules, kind, access, &target, address);
        assert_eq!(
            verdict.outcome,
            expected,
            "{kind:?} {}",
            String::from_utf8_lossy(&target.text)
        );
    }
    if verdict.outcome == Outcome::Allow && !kind.given_by_default() {
        let rule = in_force.rule_of(&verdict).expect("an allow names its rule");
        assert_eq!(rule.effect, Effect::Allow);
    }
    // Everything below a directory may be done only where it may be done at some place below it.
    if kind == Kind::Filesystem && in_force.covers_subtree(&request) {
        let below = [
            &target.text[..],
            if target.text.ends_with(b"/") {
                b"x"
            } else {
                b"/x"
            },
        ]
        .concat();
        if let Ok(below) = Target::parse(kind, access, &below) {
            let request = Request::new(kind, access, below, &attributes);
            assert_eq!(in_force.decide(&request).outcome, Outcome::Allow);
        }
    }
}

/// What was normalised is its own normal form. A path of a URL is decoded once, so it is encoded again.
fn normal_stays(target: &Target<'_>, kind: Kind, access: AccessBits) {
    let mut text = target.text.to_vec();
    if kind == Kind::Http {
        text.truncate(target.segments.start);
        for byte in &target.text[target.segments.clone()] {
            if byte.is_ascii_graphic() && !b"%?#".contains(byte) {
                text.push(*byte);
            } else {
                text.extend_from_slice(format!("%{byte:02x}").as_bytes());
            }
        }
    }
    if kind == Kind::Secret {
        // Written with the name first, and matched with it last.
        return;
    }
    let again = match Target::parse(kind, access, &text) {
        Ok(again) => again,
        // Encoding makes it longer.
        Err(_) if text.len() > target.text.len() => return,
        Err(reason) => panic!(
            "{} is normal and refused: {reason}",
            String::from_utf8_lossy(&text)
        ),
    };
    assert_eq!(again.text, target.text);
    assert_eq!(
        (&again.host, &again.segments),
        (&target.host, &target.segments)
    );
    assert_eq!((again.port, again.scheme), (target.port, target.scheme));
}

/// Where a target is nothing but segments, patterns match it as their text says.
fn texts_agree(rules: &[Rule], kind: Kind, access: AccessBits, target: &Target<'_>) {
    let plain = matches!(
        kind,
        Kind::Filesystem | Kind::Process | Kind::Storage | Kind::Config | Kind::Custom
    ) || kind == Kind::Messaging;
    if !plain || access & TOPIC_ACCESSES != 0 && kind != Kind::Messaging {
        return;
    }
    for rule in rules {
        let one = std::slice::from_ref(rule);
        let expected = rule.targets.iter().any(|pattern| {
            let (pattern, text) = (pattern.as_bytes(), &target.text[..]);
            if matches!(kind, Kind::Filesystem | Kind::Process) {
                // The root has no segments.
                let pattern = if pattern == b"/" { b"" } else { &pattern[1..] };
                return match (pattern.is_empty(), text == b"/") {
                    (true, root) => root,
                    (false, true) => pattern
                        .split(|byte| *byte == b'/')
                        .all(|segment| segment == b"**"),
                    (false, false) => model::text_matches(pattern, &text[1..], b'/'),
                };
            }
            let separator = target.domain.separator();
            let names_own = target.domain.knows_self()
                && pattern.split(|byte| *byte == separator).next() == Some(b"self");
            model::spellings(target).any(|(text, own)| {
                (own || !names_own) && model::text_matches(pattern, &text, separator)
            })
        });
        let matched = model::outcome(one, kind, access, target, None) != Outcome::NotGranted;
        assert_eq!(
            matched,
            expected,
            "{:?} {}",
            rule.targets,
            String::from_utf8_lossy(&target.text)
        );
    }
}
