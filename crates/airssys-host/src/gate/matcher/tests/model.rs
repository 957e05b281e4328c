//! The matcher against a slow and obvious model.

use std::net::IpAddr;

use super::own_rules::compiled_apart;
use super::*;

/// A small generator of reproducible numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn joined(&mut self, from: &[&str], most: usize, separator: &str) -> String {
        let count = 1 + self.below(most);
        (0..count)
            .map(|_| self.pick(from))
            .collect::<Vec<_>>()
            .join(separator)
    }
}

fn model_segment(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|skipped| model_segment(after, &rest[skipped..]))
        }),
    }
}

fn model_segments(pattern: &[&str], target: &[&str]) -> bool {
    match (pattern, target) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            (0..=target.len()).any(|taken| model_segments(rest, &target[taken..]))
        }
        ([first, rest @ ..], [text, others @ ..]) => {
            model_segment(first, text) && model_segments(rest, others)
        }
        _ => false,
    }
}

const SEGMENTS: [&str; 10] = ["a", "b", "ab", "abc", "*", "**", "a*", "*b", "a*c", "*b*"];
const NAMES: [&str; 5] = ["a", "b", "ab", "abc", "aab"];

struct ModelRule {
    id: String,
    principal: &'static str,
    deny: bool,
    kind: &'static str,
    access: &'static str,
    pattern: String,
}

fn model_matches(kind: &str, pattern: &str, target: &str) -> bool {
    let split = |text: &str, separator: char| -> Vec<String> {
        text.trim_start_matches('/')
            .split(separator)
            .map(str::to_owned)
            .collect()
    };
    let segments = |pattern: &str, target: &str, separator: char| {
        let (pattern, target) = (split(pattern, separator), split(target, separator));
        let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
        let target: Vec<&str> = target.iter().map(String::as_str).collect();
        model_segments(&pattern, &target)
    };
    match kind {
        "filesystem" => segments(pattern, target, '/'),
        "messaging" => segments(pattern, target, '.'),
        _ => {
            let (host, port) = pattern.rsplit_once(':').unwrap();
            let (target_host, target_port) = target.rsplit_once(':').unwrap();
            let by_port = port == "*" || port == target_port;
            match target_host.parse::<IpAddr>() {
                Ok(address) => {
                    by_port && host.contains('/') && {
                        let (base, length) = host.split_once('/').unwrap();
                        let length: u32 = length.parse().unwrap();
                        let (IpAddr::V4(base), IpAddr::V4(address)) =
                            (base.parse().unwrap(), address)
                        else {
                            unreachable!()
                        };
                        let shift = 32 - length;
                        length == 0 || base.to_bits() >> shift == address.to_bits() >> shift
                    }
                }
                Err(_) => by_port && !host.contains('/') && segments(host, target_host, '.'),
            }
        }
    }
}

#[test]
fn decisions_equal_those_of_a_slow_model() {
    let rounds: usize = std::env::var("AIRSSYS_SOAK").map_or(40, |rounds| rounds.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let attributes = Attributes::new();
    let mut outcomes = [0_usize; 3];
    for _ in 0..rounds {
        let kinds = ["filesystem", "messaging", "network"];
        let principals = ["name:p", "role:r", "namespace:n", "*", "name:q", "role:s"];
        let mut rules = Vec::new();
        for number in 0..1 + random.below(40) {
            let kind = random.pick(&kinds);
            let (access, pattern) = match kind {
                "filesystem" => (
                    random.pick(&["read", "write"]),
                    format!("/{}", random.joined(&SEGMENTS, 4, "/")),
                ),
                "messaging" => (
                    random.pick(&["publish", "subscribe"]),
                    random.joined(&SEGMENTS, 4, "."),
                ),
                _ => {
                    let host = if random.below(3) == 0 {
                        random
                            .pick(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0"])
                            .to_owned()
                    } else {
                        random.joined(&SEGMENTS, 3, ".")
                    };
                    (
                        "connect",
                        format!("{host}:{}", random.pick(&["*", "80", "443"])),
                    )
                }
            };
            let principal = random.pick(&principals);
            let principal = principals
                .iter()
                .find(|known| **known == principal)
                .unwrap();
            rules.push(ModelRule {
                id: format!("r{number}"),
                principal,
                deny: random.below(3) == 0,
                kind,
                access,
                pattern,
            });
        }
        let document = serde_json::json!({"schema": 1, "rules": rules.iter().map(|rule| serde_json::json!({
            "id": rule.id, "effect": if rule.deny { "deny" } else { "allow" }, "principals": [rule.principal],
            "kind": rule.kind, "targets": [rule.pattern], "access": [rule.access],
        })).collect::<Vec<_>>()});
        let set = RuleSet::compile(document.to_string().as_bytes()).unwrap();
        let apart = compiled_apart(&document, "p");
        let mut subject = Subject::named("p");
        subject.roles = vec!["r".to_owned()];
        subject.namespace = Some("n".to_owned());
        for _ in 0..250 {
            let kind = random.pick(&kinds);
            let (access, target) = match kind {
                "filesystem" => (
                    random.pick(&["read", "write"]),
                    format!("/{}", random.joined(&NAMES, 5, "/")),
                ),
                "messaging" => (
                    random.pick(&["publish", "subscribe"]),
                    random.joined(&NAMES, 5, "."),
                ),
                _ => {
                    let host = if random.below(3) == 0 {
                        random
                            .pick(&["10.1.2.3", "10.1.9.9", "10.9.9.9", "11.0.0.1"])
                            .to_owned()
                    } else {
                        random.joined(&NAMES, 4, ".")
                    };
                    (
                        "connect",
                        format!("{host}:{}", random.pick(&["80", "443", "22"])),
                    )
                }
            };
            let matching = |deny: bool| {
                rules.iter().any(|rule| {
                    rule.deny == deny
                        && rule.kind == kind
                        && rule.access == access
                        && ["name:p", "role:r", "namespace:n", "*"].contains(&rule.principal)
                        && model_matches(kind, &rule.pattern, &target)
                })
            };
            let expected = if matching(true) {
                Outcome::Deny
            } else if matching(false) {
                Outcome::Allow
            } else {
                Outcome::NotGranted
            };
            outcomes[match expected {
                Outcome::NotGranted => 0,
                Outcome::Deny => 2,
                _ => 1,
            }] += 1;
            let kind = Kind::parse(kind).unwrap();
            let bit = kind.access_bit(access).unwrap();
            let parsed = Target::parse(kind, bit, target.as_bytes()).unwrap();
            let mut request = Request::new(kind, bit, parsed, &attributes);
            // A public address, so that a name alone decides.
            request.address = matches!(request.target.host, Some(Host::Name(_)))
                .then(|| "203.0.114.1".parse().unwrap());
            let verdict = set.of(&subject).decide(&request);
            assert_eq!(apart.of(&subject).decide(&request).outcome, verdict.outcome);
            let by_any_range = request.address.is_some()
                && rules
                    .iter()
                    .any(|rule| rule.pattern.starts_with("0.0.0.0/0"));
            if by_any_range {
                // The range also covers what the name led to; the model knows names only.
                continue;
            }
            assert_eq!(
                verdict.outcome, expected,
                "{access} {target} under {document}"
            );
        }
    }
    assert!(
        outcomes.iter().all(|count| *count > 100),
        "every outcome occurs: {outcomes:?}"
    );
}
