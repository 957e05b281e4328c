//! Decisions of a gate, on record.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use super::super::audit::{AuditLog, Filter, Options, Reader};
use super::super::callers::Callers;
use super::super::kind::AccessBits;
use super::super::matcher::Request;
use super::super::target::Target;
use super::*;

fn gate(name: &str) -> (std::path::PathBuf, RuleGate) {
    let directory =
        std::env::temp_dir().join(format!("airssys-gate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let log = Arc::new(AuditLog::open(&directory, Options::default()).unwrap());
    let authority = Arc::new(Authority::new(log).unwrap());
    let gate = RuleGate::new(authority, Arc::new(Subject::named("acme/calc")), None);
    (directory, gate)
}

fn load(gate: &RuleGate, rules: serde_json::Value) {
    let document = serde_json::json!({"schema": 1, "rules": rules}).to_string();
    gate.authority.load(document.as_bytes()).unwrap();
}

fn read(gate: &RuleGate, path: &str) -> bool {
    let root = std::fs::File::open("/").unwrap();
    let access = Access::File {
        path: Path::new(path),
        access: FileAccess::Read,
        at: At::Entry(root.as_fd(), OsStr::new("nothing")),
        bar: None,
    };
    matches!(gate.decide(&access), Decision::Allow)
}

#[test]
fn rights_follow_the_rules_and_each_decision_is_recorded() {
    let (directory, gate) = gate("follow");
    let rule = serde_json::json!({"id": "grant", "effect": "allow", "principals": ["name:acme/calc"],
        "kind": "filesystem", "targets": ["/data/**"], "access": ["read"]});
    assert!(!read(&gate, "/data/a"));
    let before = gate.generation().current();
    load(&gate, serde_json::json!([rule]));
    assert_ne!(gate.generation().current(), before);
    assert!(read(&gate, "/data/a"));
    load(&gate, serde_json::json!([]));
    assert!(!read(&gate, "/data/a"));
    let filter = Filter {
        operation: Some("filesystem".to_owned()),
        ..Filter::default()
    };
    let lines = Reader::new(&directory, filter)
        .read(10, std::time::Duration::ZERO)
        .unwrap();
    let decisions: Vec<bool> = lines
        .iter()
        .map(|line| String::from_utf8_lossy(line).contains("\"decision\":\"allow\""))
        .collect();
    assert_eq!(decisions, [false, true, false]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn who_is_over_its_budget_of_records_is_told_to_wait_once() {
    let (directory, gate) = gate("budget");
    let mut subject = Subject::named("flood");
    subject.budget = Some(Arc::new(super::super::subject::Budget::new(0.5, 1.0)));
    let flood = RuleGate::new(Arc::clone(&gate.authority), Arc::new(subject), None);
    assert!(!read(&flood, "/data/a"));
    assert_eq!(flood.pause(), Duration::ZERO);
    assert!(!read(&flood, "/data/b"));
    assert!(flood.pause() > Duration::ZERO);
    assert_eq!(flood.pause(), Duration::ZERO);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn nothing_is_allowed_that_cannot_be_recorded() {
    let (directory, gate) = gate("closed");
    load(
        &gate,
        serde_json::json!([{"id": "all", "effect": "allow", "principals": ["*"],
        "kind": "filesystem", "targets": ["/**"], "access": ["*"]}]),
    );
    assert!(read(&gate, "/data/a"));
    gate.authority.audit().close().unwrap();
    assert!(!read(&gate, "/data/a"));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn observing_passes_what_nobody_granted_and_nothing_that_is_denied() {
    let (directory, gate) = gate("observe");
    load(
        &gate,
        serde_json::json!([{"id": "no", "effect": "deny", "principals": ["*"],
        "kind": "filesystem", "targets": ["/secret/**"], "access": ["*"]}]),
    );
    let decide = |subject: &Subject, kind: Kind, target: &str| {
        let attributes = Attributes::new();
        let target = Target::parse(kind, 1, target.as_bytes()).unwrap();
        let request = Request::new(kind, 1, target, &attributes);
        gate.authority
            .decide(subject, &request, &Circumstances::default())
    };
    let mut observed = Subject::named("new");
    observed.enforcement = super::super::subject::Enforcement::Observe {
        until: f64::INFINITY,
    };
    let passed = decide(&observed, Kind::Filesystem, "/data/a");
    assert!(passed.allowed() && passed.observed);
    assert!(!decide(&observed, Kind::Filesystem, "/secret/a").allowed());
    assert!(!decide(&observed, Kind::Process, "/usr/bin/git").allowed());
    assert!(
        !decide(
            &observed,
            Kind::Secret,
            "key@https://api.example.com/authorization"
        )
        .allowed()
    );
    let mut over = observed.again();
    over.enforcement = super::super::subject::Enforcement::Observe { until: 1.0 };
    assert!(!decide(&over, Kind::Filesystem, "/data/a").allowed());
    let mut called = observed.again();
    called.callers = Some(Callers::with(None, &Arc::new(Subject::named("strict"))));
    assert!(
        !decide(&called, Kind::Filesystem, "/data/a").allowed(),
        "the strictest of the chain applies"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_grant_that_answers_for_good_is_asked_about_no_more() {
    let (directory, gate) = gate("answers");
    let mut component = Subject::named("acme/calc");
    component.guest = true;
    let rule = |id: &str, part: &str, effect: &str| {
        serde_json::json!({"id": id, "effect": effect, "principals": ["name:acme/calc"], "part": part,
            "kind": "filesystem", "targets": ["/data/**"], "access": ["read"]})
    };
    let answer = |approves: bool, requested: bool, denied: bool| {
        let mut grant = rule("grant", "grant", "allow");
        grant["approves"] = approves.into();
        let mut rules = vec![grant, rule("ask", "ceiling", "require-approval")];
        if requested {
            rules.push(rule("request", "request", "allow"));
        }
        if denied {
            rules.push(rule("deny", "whole", "deny"));
        }
        load(&gate, rules.into());
        let attributes = Attributes::new();
        let target = Target::parse(Kind::Filesystem, 1, b"/data/a").unwrap();
        let request = Request::new(Kind::Filesystem, 1, target, &attributes);
        gate.authority
            .decide(&component, &request, &Circumstances::default())
            .answer
    };
    assert_eq!(answer(false, true, false), Answer::Ask);
    assert_eq!(answer(true, true, false), Answer::Allow);
    assert_eq!(answer(true, false, false), Answer::Deny);
    assert_eq!(answer(true, true, true), Answer::Deny);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_deputy_does_not_write_what_its_caller_may_not() {
    let (directory, gate) = gate("deputy");
    let grant = |id: &str, act_as: bool| {
        let mut rule = serde_json::json!({"id": id, "effect": "allow", "principals": ["name:deputy"],
            "kind": "filesystem", "targets": [format!("/{id}/**")], "access": ["read", "write"]});
        if act_as {
            rule["act_as"] = "self".into();
        }
        rule
    };
    load(
        &gate,
        serde_json::json!([grant("shared", false), grant("own", true)]),
    );
    let mut deputy = Subject::named("deputy");
    deputy.callers = Some(Callers::with(None, &Arc::new(Subject::named("guest"))));
    let decide = |access: AccessBits, path: &str| {
        let attributes = Attributes::new();
        let target = Target::parse(Kind::Filesystem, access, path.as_bytes()).unwrap();
        let request = Request::new(Kind::Filesystem, access, target, &attributes);
        gate.authority
            .decide(&deputy, &request, &Circumstances::default())
            .allowed()
    };
    assert!(
        decide(1, "/shared/a"),
        "reading is the deputy's own business"
    );
    assert!(!decide(2, "/shared/a"));
    assert!(decide(2, "/own/a"));
    let renames = |path: &str| {
        let with = Circumstances::default();
        gate.authority
            .decide_tree(&deputy, path.as_bytes(), 2, &with)
            .allowed()
    };
    assert!(!renames("/shared/tree"));
    assert!(renames("/own/tree"), "a tree is written as its deputy, too");
    std::fs::remove_dir_all(directory).unwrap();
}
