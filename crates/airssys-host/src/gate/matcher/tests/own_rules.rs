//! Rules of one principal, compiled apart from those for everybody.

use serde_json::{Value, json};

use super::*;

/// The rules of a document, those for `name` alone as its own.
pub fn compiled_apart(document: &Value, name: &str) -> RuleSet {
    let rules = document["rules"].as_array().unwrap();
    let selector = json!([format!("name:{name}")]);
    let (own, common): (Vec<&Value>, Vec<&Value>) = rules
        .iter()
        .partition(|rule| rule["principals"] == selector);
    let text = |rules: Vec<&Value>| json!({"schema": 1, "rules": rules}).to_string();
    let set = RuleSet::compile(text(common).as_bytes()).unwrap();
    set.with_own(&[OwnRules {
        principal: name,
        json: Some(text(own).as_bytes()),
    }])
    .unwrap()
}

fn own_document(id: &str, to: &str, target: &str) -> String {
    let mut own = rule(id, "allow", target, None);
    own["principals"] = json!([to]);
    json!({"schema": 1, "rules": [own]}).to_string()
}

fn may_read(set: &RuleSet, subject: &Subject, path: &str) -> bool {
    let attributes = Attributes::new();
    let target = Target::parse(Kind::Filesystem, 1, path.as_bytes()).unwrap();
    let request = Request::new(Kind::Filesystem, 1, target, &attributes);
    set.of(subject).decide(&request).outcome == Outcome::Allow
}

fn changed(set: &RuleSet, principal: &str, json: Option<&str>) -> RuleSet {
    let json = json.map(str::as_bytes);
    set.with_own(&[OwnRules { principal, json }]).unwrap()
}

#[test]
fn own_rules_come_and_go_without_those_of_others() {
    let (one, two) = (Subject::named("acme/one"), Subject::named("acme/two"));
    let set = RuleSet::default();
    let set = changed(
        &set,
        "acme/one",
        Some(&own_document("a", "name:acme/one", "/one/**")),
    );
    let set = changed(
        &set,
        "acme/two",
        Some(&own_document("b", "name:acme/two", "/two/**")),
    );
    assert!(may_read(&set, &one, "/one/x") && may_read(&set, &two, "/two/x"));
    assert!(!may_read(&set, &one, "/two/x"), "each has its own alone");
    let set = changed(
        &set,
        "acme/one",
        Some(&own_document("c", "name:acme/one", "/new/**")),
    );
    assert!(!may_read(&set, &one, "/one/x") && may_read(&set, &one, "/new/x"));
    let set = changed(&set, "acme/one", None);
    assert!(!may_read(&set, &one, "/new/x") && may_read(&set, &two, "/two/x"));
    assert_eq!((set.len(), set.own_count("acme/one")), (1, 0));
}

#[test]
fn a_deny_for_everybody_holds_beside_own_rules_whichever_came_first() {
    let one = Subject::named("acme/one");
    let own = own_document("own", "name:acme/one", "/data/**");
    let deny = json!({"schema": 1, "rules": [rule("deny", "deny", "/data/secret", None)]});
    let deny = deny.to_string();
    let first = changed(
        &RuleSet::compile(deny.as_bytes()).unwrap(),
        "acme/one",
        Some(&own),
    );
    let second = changed(&RuleSet::default(), "acme/one", Some(&own))
        .with_common(deny.as_bytes())
        .unwrap();
    for set in [first, second] {
        assert!(may_read(&set, &one, "/data/a"));
        assert!(!may_read(&set, &one, "/data/secret"));
        let attributes = Attributes::new();
        let covers = |path: &str| {
            let target = Target::path(Domain::Path, path.as_bytes()).unwrap();
            let request = Request::new(Kind::Filesystem, 1, target, &attributes);
            set.of(&one).covers_subtree(&request)
        };
        assert!(covers("/data/sub") && !covers("/data"));
    }
}

#[test]
fn the_rule_that_a_verdict_rests_on_is_named_in_both_parts() {
    let one = Subject::named("acme/one");
    let common = json!({"schema": 1, "rules": [rule("z", "allow", "/common/**", None)]});
    let set = RuleSet::compile(common.to_string().as_bytes()).unwrap();
    let set = changed(
        &set,
        "acme/one",
        Some(&own_document("a", "name:acme/one", "/own/**")),
    );
    let named = |path: &str| {
        let attributes = Attributes::new();
        let target = Target::parse(Kind::Filesystem, 1, path.as_bytes()).unwrap();
        let request = Request::new(Kind::Filesystem, 1, target, &attributes);
        let rules = set.of(&one);
        let (verdict, considered) = rules.explain(&request);
        let considered: Vec<String> = considered
            .iter()
            .map(|(rule, _)| rule.id.to_string())
            .collect();
        (
            rules.rule_of(&verdict).map(|rule| rule.id.to_string()),
            considered,
        )
    };
    assert_eq!(
        named("/common/x"),
        (Some("z".to_owned()), vec!["z".to_owned()])
    );
    assert_eq!(
        named("/own/x"),
        (Some("a".to_owned()), vec!["a".to_owned()])
    );
    assert_eq!(named("/other"), (None, vec![]));
}

#[test]
fn own_rules_are_for_their_principal_alone_and_have_ids_of_their_own() {
    let common = json!({"schema": 1, "rules": [rule("taken", "allow", "/a", None)]}).to_string();
    let set = RuleSet::compile(common.as_bytes()).unwrap();
    let refused = |id: &str, to: &str| {
        let json = own_document(id, to, "/x");
        let own = OwnRules {
            principal: "acme/one",
            json: Some(json.as_bytes()),
        };
        set.with_own(&[own]).unwrap_err().field
    };
    for to in [
        "*",
        "name:acme/other",
        "name:acme/*",
        "role:r",
        "namespace:acme",
        "revision:acme/other@1",
    ] {
        assert_eq!(refused("own", to), Some("principals"), "{to}");
    }
    assert_eq!(refused("taken", "name:acme/one"), Some("id"));
    let set = changed(
        &set,
        "acme/one",
        Some(&own_document("own", "revision:acme/one@1", "/x")),
    );
    let common = json!({"schema": 1, "rules": [rule("own", "allow", "/a", None)]}).to_string();
    assert_eq!(
        set.with_common(common.as_bytes()).unwrap_err().field,
        Some("id")
    );
}

#[test]
fn what_expires_is_told_once_wherever_it_stands() {
    let document = |id: &str, to: &str| {
        let mut soon = rule(id, "allow", "/x", None);
        soon["principals"] = json!([to]);
        soon["expires"] = json!(crate::gate::condition::unix_seconds() + 0.5);
        json!({"schema": 1, "rules": [soon]}).to_string()
    };
    let own = changed(&RuleSet::default(), "p", Some(&document("own", "name:p")));
    let common = RuleSet::compile(document("common", "*").as_bytes()).unwrap();
    for set in [own, common] {
        while let Some(next) = set.next_expiry() {
            std::thread::park_timeout(next);
        }
        assert!(set.expired());
        assert!(!set.expired());
        assert!(!may_read(&set, &Subject::named("p"), "/x"));
    }
}
