//! The matcher against a slow and obvious model, and the rules of precedence.

use std::net::IpAddr;

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
            let verdict = set.decide(&subject, &request);
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

fn outcome(
    rules: &serde_json::Value,
    subject: &Subject,
    kind: &str,
    access: &str,
    target: &str,
) -> Outcome {
    let document = serde_json::json!({"schema": 1, "rules": rules}).to_string();
    let set = RuleSet::compile(document.as_bytes()).unwrap();
    let kind = Kind::parse(kind).unwrap();
    let bit = kind.access_bit(access).unwrap();
    let attributes = Attributes::new();
    let target = Target::parse(kind, bit, target.as_bytes()).unwrap();
    set.decide(subject, &Request::new(kind, bit, target, &attributes))
        .outcome
}

fn rule(
    id: &str,
    effect: &str,
    target: &str,
    when: Option<serde_json::Value>,
) -> serde_json::Value {
    let mut rule = serde_json::json!({"id": id, "effect": effect, "principals": ["*"], "kind": "filesystem",
        "targets": [target], "access": ["read"]});
    if let Some(when) = when {
        rule["when"] = when;
    }
    rule
}

#[test]
fn deny_beats_error_beats_approval_beats_allow() {
    let broken = serde_json::json!({"attribute": "missing", "op": "eq", "value": 1});
    let mut rules = vec![
        rule("a", "allow", "/x", None),
        rule("b", "require-approval", "/x", None),
        rule("c", "allow", "/x", Some(broken)),
        rule("d", "deny", "/x", None),
    ];
    let subject = Subject::named("p");
    let expected = [
        Outcome::Deny,
        Outcome::RuleError,
        Outcome::RequireApproval,
        Outcome::Allow,
    ];
    for outcome_now in expected {
        assert_eq!(
            outcome(&rules.clone().into(), &subject, "filesystem", "read", "/x"),
            outcome_now
        );
        rules.reverse();
        assert_eq!(
            outcome(&rules.clone().into(), &subject, "filesystem", "read", "/x"),
            outcome_now
        );
        rules.reverse();
        rules.pop();
    }
    assert_eq!(
        outcome(&rules.into(), &subject, "filesystem", "read", "/x"),
        Outcome::NotGranted
    );
}

#[test]
fn an_error_is_not_undone_by_not() {
    let broken = serde_json::json!({"attribute": "missing", "op": "eq", "value": 1});
    let subject = Subject::named("p");
    let decide = |when: serde_json::Value| {
        outcome(
            &vec![rule("a", "allow", "/x", Some(when))].into(),
            &subject,
            "filesystem",
            "read",
            "/x",
        )
    };
    assert_eq!(
        decide(serde_json::json!({"not": broken})),
        Outcome::RuleError
    );
    let exists = serde_json::json!({"attribute": "missing", "op": "exists", "value": true});
    assert_eq!(
        decide(serde_json::json!({"all": [broken, exists]})),
        Outcome::NotGranted
    );
    assert_eq!(
        decide(serde_json::json!({"all": [exists, broken]})),
        Outcome::NotGranted
    );
    assert_eq!(decide(serde_json::json!({"not": exists})), Outcome::Allow);
}

#[test]
fn self_is_the_own_id_and_nobody_elses() {
    let rules: serde_json::Value = serde_json::json!([{"id": "s", "effect": "allow", "principals": ["*"],
        "kind": "storage", "targets": ["self/**"], "access": ["read"]}]);
    let mut subject = Subject::named("acme/calc");
    subject.id = "d-17".to_owned();
    for (target, expected) in [
        ("d-17/key", Outcome::Allow),
        ("self/key", Outcome::Allow),
        ("d-170/key", Outcome::NotGranted),
        ("acme/calc/key", Outcome::NotGranted),
    ] {
        assert_eq!(
            outcome(&rules, &subject, "storage", "read", target),
            expected,
            "{target}"
        );
    }
}

#[test]
fn names_that_lead_inside_are_refused_unless_listed() {
    let attributes = Attributes::new();
    let decide = |addresses: &[&str], address: &str| {
        let rules = serde_json::json!({"schema": 1, "rules": [{"id": "n", "effect": "allow", "principals": ["*"],
            "kind": "network", "targets": ["db.example.com:5432"], "access": ["connect"], "addresses": addresses}]});
        let set = RuleSet::compile(rules.to_string().as_bytes()).unwrap();
        let target = Target::parse(Kind::Network, 1, b"db.example.com:5432").unwrap();
        let request = Request::new(Kind::Network, 1, target, &attributes)
            .leading_to(address.parse().unwrap())
            .unwrap();
        set.decide(&Subject::named("p"), &request).outcome
    };
    assert_eq!(decide(&[], "93.184.216.34"), Outcome::Allow);
    for inside in [
        "127.0.0.1",
        "169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "0.0.0.0",
        "::1",
    ] {
        assert_eq!(decide(&[], inside), Outcome::NotGranted, "{inside}");
    }
    assert_eq!(decide(&["10.0.0.0/8"], "::ffff:10.0.0.1"), Outcome::Allow);
    assert_eq!(decide(&["10.0.0.0/8"], "192.168.0.1"), Outcome::NotGranted);
}

#[test]
fn an_address_given_beside_the_target_does_not_widen() {
    const CONNECT: AccessBits = 1;
    let attributes = Attributes::new();
    let rules = serde_json::json!({"schema": 1, "rules": [{"id": "n", "effect": "allow", "principals": ["*"],
        "kind": "network", "targets": ["127.0.0.1:8000"], "access": ["connect", "listen"]}]});
    let set = RuleSet::compile(rules.to_string().as_bytes()).unwrap();
    let decide = |access: AccessBits, target: &str, address: Option<&str>| {
        let target = Target::parse(Kind::Network, access, target.as_bytes()).unwrap();
        let request = Request::new(Kind::Network, access, target, &attributes);
        let request = match address {
            Some(address) => request.leading_to(address.parse().unwrap())?,
            None => request,
        };
        Ok::<_, String>(set.decide(&Subject::named("p"), &request).outcome)
    };
    // To connect, the unspecified address is this machine; to listen, it is every interface.
    let unspecified = ["0.0.0.0", "::ffff:0.0.0.0"];
    for address in unspecified {
        let target = format!("[{address}]:8000");
        for beside in [None, Some(unspecified[0]), Some(unspecified[1])] {
            assert_eq!(
                decide(CONNECT, &target, beside),
                Ok(Outcome::Allow),
                "{target}"
            );
            assert_eq!(
                decide(LISTEN, &target, beside),
                Ok(Outcome::NotGranted),
                "{target}"
            );
        }
        assert!(
            decide(LISTEN, &target, Some("127.0.0.1")).is_err(),
            "{target}"
        );
        assert!(
            decide(LISTEN, "127.0.0.1:8000", Some(address)).is_err(),
            "{target}"
        );
        assert_eq!(
            decide(LISTEN, "localhost:8000", Some(address)),
            Ok(Outcome::NotGranted)
        );
    }
    assert!(decide(CONNECT, "8.8.8.8:8000", Some("127.0.0.1")).is_err());
    assert_eq!(
        decide(LISTEN, "localhost:8000", Some("127.0.0.1")),
        Ok(Outcome::Allow)
    );
    assert_eq!(
        decide(LISTEN, "127.0.0.1:8000", Some("::ffff:127.0.0.1")),
        Ok(Outcome::Allow)
    );
}

#[test]
fn targets_that_could_mean_something_else_are_no_targets() {
    let refused = [
        (Kind::Filesystem, "relative"),
        (Kind::Filesystem, "/a/../b"),
        (Kind::Filesystem, "/a\0b"),
        (Kind::Network, "0177.0.0.1:80"),
        (Kind::Network, "2130706433:80"),
        (Kind::Network, "0x7f.1:80"),
        (Kind::Network, "unix:@abstract"),
        (Kind::Network, "b\u{fc}cher.example:80"),
        (Kind::Http, "https://user:pw@host/"),
        (Kind::Http, "https://host/v1/../admin"),
        (Kind::Http, "https://host/v1/%2e%2e/admin"),
        (Kind::Http, "https://host/v1%2fadmin"),
        (Kind::Http, "https://host/%252e%252e/"),
        (Kind::Http, "https://host/..;/admin"),
        (Kind::Http, "ftp://host/"),
        (Kind::Storage, "a//b"),
        (Kind::Storage, "a/../b"),
    ];
    for (kind, target) in refused {
        assert!(
            Target::parse(kind, 1, target.as_bytes()).is_err(),
            "{target}"
        );
    }
    let path = Target::parse(Kind::Filesystem, 1, b"//a/./b//c/").unwrap();
    assert_eq!(&*path.text, b"/a/b/c");
}

#[test]
fn a_pattern_of_a_url_may_be_encoded_as_urls_are() {
    let subject = Subject::named("p");
    let denied = |pattern: &str, target: &str| {
        let mut rule = rule("no", "deny", pattern, None);
        rule["kind"] = "http".into();
        rule["access"] = serde_json::json!(["GET"]);
        outcome(&serde_json::json!([rule]), &subject, "http", "GET", target) == Outcome::Deny
    };
    for (pattern, target) in [
        ("https://a.b/top%20secret/**", "https://a.b/top%20secret/x"),
        ("https://a.b/%61dmin", "https://a.b/admin"),
        ("https://a.b/admin", "https://a.b/%61dmin"),
        ("https://a.b/50%25", "https://a.b/50%25"),
        ("https://a.b/%2a", "https://a.b/*"),
    ] {
        assert!(denied(pattern, target), "{pattern} {target}");
    }
    assert!(!denied("https://a.b/%2a", "https://a.b/x"));
    for pattern in ["/a%2fb", "/a%00", "/50%", "/%zz", "/%2e%2e/x"] {
        let mut rule = rule("no", "deny", &format!("https://a.b{pattern}"), None);
        rule["kind"] = "http".into();
        rule["access"] = serde_json::json!(["GET"]);
        let document = serde_json::json!({"schema": 1, "rules": [rule]}).to_string();
        let error = RuleSet::compile(document.as_bytes()).unwrap_err();
        assert_eq!(error.field, Some("targets"), "{pattern}: {error}");
    }
}

#[test]
fn rules_that_are_not_understood_are_named() {
    let wrong = [
        ("effect", serde_json::json!("perhaps")),
        ("targets", serde_json::json!(["/a/{b,c}"])),
        ("targets", serde_json::json!(["relative"])),
        ("access", serde_json::json!(["fly"])),
        ("principals", serde_json::json!([])),
        ("principals", serde_json::json!(["role:a*"])),
        ("principals", serde_json::json!(["name:"])),
        ("kind", serde_json::json!("files")),
        ("colour", serde_json::json!("red")),
        ("addresses", serde_json::json!(["10.0.0.0/8"])),
    ];
    for (field, value) in wrong {
        let mut bad = rule("the-bad-one", "allow", "/x", None);
        bad[field] = value;
        bad["position"] = "policy.toml:12".into();
        let document =
            serde_json::json!({"schema": 1, "rules": [rule("good", "allow", "/y", None), bad]});
        let error = RuleSet::compile(document.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.rule.as_deref(), Some("the-bad-one"), "{error}");
        assert!(error.to_string().starts_with("policy.toml:12: "), "{error}");
    }
}

#[test]
fn a_subtree_is_covered_only_without_exceptions() {
    let attributes = Attributes::new();
    let covers = |rules: serde_json::Value, path: &str| {
        let document = serde_json::json!({"schema": 1, "rules": rules}).to_string();
        let set = RuleSet::compile(document.as_bytes()).unwrap();
        let target = Target::path(Domain::Path, path.as_bytes()).unwrap();
        let request = Request::new(Kind::Filesystem, 1, target, &attributes);
        set.covers_subtree(&Subject::named("p"), &request)
    };
    let tree = rule("a", "allow", "/d/**", None);
    assert!(covers(serde_json::json!([tree]), "/d/sub"));
    assert!(!covers(serde_json::json!([tree]), "/"));
    assert!(!covers(
        serde_json::json!([rule("a", "allow", "/d/*", None)]),
        "/d"
    ));
    assert!(!covers(
        serde_json::json!([tree, rule("b", "deny", "/d/sub/secret", None)]),
        "/d/sub"
    ));
    assert!(covers(
        serde_json::json!([tree, rule("b", "deny", "/d/other/secret", None)]),
        "/d/sub"
    ));
    assert!(!covers(
        serde_json::json!([tree, rule("b", "deny", "/d/sub", None)]),
        "/d/sub"
    ));
    assert!(covers(
        serde_json::json!([tree, rule("b", "deny", "/d/subway", None)]),
        "/d/sub"
    ));
    assert!(!covers(
        serde_json::json!([
            rule("a", "allow", "/**", None),
            rule("b", "deny", "/d", None)
        ]),
        "/"
    ));
    assert!(!covers(
        serde_json::json!([tree, rule("b", "deny", "/**/*.key", None)]),
        "/d/sub"
    ));
}

#[test]
fn a_component_has_what_it_asks_for_was_granted_and_the_policy_allows() {
    let part = |id: &str, part: &str, who: &str, target: &str| {
        serde_json::json!({"id": id, "effect": "allow", "principals": [who], "kind": "filesystem",
            "targets": [target], "access": ["read"], "part": part})
    };
    let rules = [
        part("asks", "request", "revision:acme/x@2", "/data/**"),
        part("grant", "grant", "name:acme/x", "/*/in/**"),
        part("policy", "ceiling", "namespace:acme", "/data/in/a/**"),
    ];
    let outcome = |ceiling: bool, revision: Option<u64>, path: &str| {
        let document = serde_json::json!({"schema": 1, "ceiling": ceiling, "rules": rules});
        let set = RuleSet::compile(document.to_string().as_bytes()).unwrap();
        let mut subject = Subject::named("acme/x");
        subject.namespace = Some("acme".to_owned());
        subject.revision = revision;
        subject.guest = revision.is_some();
        let attributes = Attributes::new();
        let target = Target::parse(Kind::Filesystem, 1, path.as_bytes()).unwrap();
        let request = Request::new(Kind::Filesystem, 1, target, &attributes);
        let verdict = set.decide(&subject, &request);
        let whole = set.covers_subtree(&subject, &request);
        (verdict.outcome, verdict.lack, whole)
    };
    let refused = |lack| (Outcome::NotGranted, lack, false);
    let allowed = |whole| (Outcome::Allow, None, whole);
    assert_eq!(outcome(true, Some(2), "/data/in/a"), allowed(true));
    assert_eq!(
        outcome(true, Some(2), "/data/in/b"),
        refused(Some(Lack::Ceiling))
    );
    assert_eq!(outcome(false, Some(2), "/data/in/b"), allowed(true));
    assert_eq!(
        outcome(true, Some(2), "/data/x"),
        refused(Some(Lack::Grant))
    );
    assert_eq!(
        outcome(true, Some(1), "/data/in/a"),
        refused(Some(Lack::Request))
    );
    assert_eq!(outcome(true, Some(2), "/home"), refused(None));
    // Code has what the policy allows, and nothing of what components have.
    assert_eq!(outcome(true, None, "/data/in/a"), allowed(true));
    assert_eq!(outcome(true, None, "/data/in/b"), refused(None));
}
