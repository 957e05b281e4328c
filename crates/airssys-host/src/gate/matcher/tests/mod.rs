//! The rules of precedence, and the matcher against a slow and obvious model.

mod model;
mod own_rules;

use super::*;
use crate::gate::subject::Subject;
use crate::gate::target::Domain;

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
    set.of(subject)
        .decide(&Request::new(kind, bit, target, &attributes))
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
        set.of(&Subject::named("p")).decide(&request).outcome
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
        Ok::<_, String>(set.of(&Subject::named("p")).decide(&request).outcome)
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
        set.of(&Subject::named("p")).covers_subtree(&request)
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
        let verdict = set.of(&subject).decide(&request);
        let whole = set.of(&subject).covers_subtree(&request);
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

#[test]
fn a_deny_of_self_in_the_depth_holds_for_both_spellings() {
    let rule = |id: &str, effect: &str, target: &str| {
        serde_json::json!({"id": id, "effect": effect, "principals": ["*"], "kind": "messaging",
            "targets": [target], "access": ["send"]})
    };
    let rules = serde_json::json!([
        rule("own", "allow", "self"),
        rule("deep", "deny", "**/self"),
    ]);
    for target in ["self", "acme/calc"] {
        let found = outcome(
            &rules,
            &Subject::named("acme/calc"),
            "messaging",
            "send",
            target,
        );
        assert_eq!(found, Outcome::Deny, "{target}");
    }
    let other = outcome(
        &rules,
        &Subject::named("acme/x"),
        "messaging",
        "send",
        "acme/calc",
    );
    assert_eq!(other, Outcome::NotGranted);
}
