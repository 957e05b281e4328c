//! What a guest reads of its surroundings: variables, configuration, clocks, random numbers.

use std::sync::Arc;

use airssys_host::engine::Profile;
use airssys_host::gate::{AllowList, Gate};
use airssys_host::wasi::Settings;
use serde_json::{Value, json};

use super::rules::{Ruled, WHO};
use super::support::Program;

const VARIABLES: &[(&str, &str)] = &[("TZ", "UTC"), ("HOME", "/root"), ("A.B", "dotted")];
const CONFIG: &[(&str, &str)] = &[
    ("server.port", "80"),
    ("server.host", "here"),
    ("greeting", "hello"),
];

fn rule(effect: &str, kind: &str, targets: &[&str]) -> Value {
    let access = if matches!(kind, "environment" | "config") {
        "read"
    } else {
        "use"
    };
    let mut rule = json!({"id": kind, "effect": effect, "principals": [format!("name:{WHO}")], "kind": kind,
                          "access": [access]});
    if !targets.is_empty() {
        rule["targets"] = json!(targets);
    }
    rule
}

fn settled(program: Program) -> Program {
    program.with(|builder| {
        let settings = Settings::new(VARIABLES, CONFIG).unwrap();
        builder.settings(Arc::new(settings));
    })
}

fn run(ruled: &Ruled, commands: &[&str]) -> Vec<String> {
    settled(ruled.program("surroundings"))
        .arguments(commands.iter().copied())
        .run()
}

fn decisions(ruled: &Ruled, kind: &str) -> Vec<(String, String)> {
    ruled
        .records()
        .into_iter()
        .filter(|record| record[0].starts_with(kind))
        .map(|record| (record[1].clone(), record[2].clone()))
        .collect()
}

fn pairs(decided: &[(&str, &str)]) -> Vec<(String, String)> {
    decided
        .iter()
        .map(|(target, decision)| ((*target).to_owned(), (*decision).to_owned()))
        .collect()
}

#[test]
fn a_variable_is_there_only_where_its_name_is_granted() {
    let ruled = Ruled::new(json!([rule("allow", "environment", &["TZ", "A.*"])]));
    assert_eq!(run(&ruled, &["env"]), ["ok:TZ=UTC,A.B=dotted"]);
    assert_eq!(
        decisions(&ruled, "environment"),
        pairs(&[("TZ", "allow"), ("HOME", "deny"), ("A.B", "allow")])
    );
}

#[test]
fn a_variable_goes_when_its_right_is_revoked() {
    let ruled = Ruled::new(json!([rule("allow", "environment", &["TZ"])]));
    let authority = Arc::clone(&ruled.authority);
    let lines = settled(ruled.program("surroundings"))
        .arguments(["env", "env"])
        .on_line(move |line| {
            if line == "ok:TZ=UTC" {
                authority.load(br#"{"schema": 1, "rules": []}"#).unwrap();
            }
        })
        .run();
    assert_eq!(lines, ["ok:TZ=UTC", "ok:"]);
}

#[test]
fn variables_are_decided_for_a_guest_of_wasi_0_3_too() {
    let ruled = Ruled::new(json!([rule("allow", "environment", &["TZ"])]));
    let gate = Arc::clone(&ruled.gate) as Arc<dyn Gate>;
    let program = Program::in_profile("p3-access", Profile::Concurrent, gate);
    assert_eq!(settled(program).arguments(["env"]).run(), ["ok:TZ=UTC"]);
    assert_eq!(
        decisions(&ruled, "environment"),
        pairs(&[("TZ", "allow"), ("HOME", "deny"), ("A.B", "deny")])
    );
}

#[test]
fn configuration_is_decided_key_by_key() {
    let ruled = Ruled::new(json!([rule("allow", "config", &["server.*"])]));
    let lines = run(
        &ruled,
        &[
            "config|server.port",
            "config|server.none",
            "config|greeting",
            "config|other",
            "config|",
            "config-all",
        ],
    );
    let none = "err:none";
    assert_eq!(
        lines,
        [
            "ok:80",
            none,
            none,
            none,
            none,
            "ok:server.host=here,server.port=80"
        ]
    );
    assert_eq!(
        decisions(&ruled, "config"),
        pairs(&[
            ("server.port", "allow"),
            ("server.none", "allow"),
            ("greeting", "deny"),
            ("other", "deny"),
            ("", "deny"),
            ("greeting", "deny"),
            ("server.host", "allow"),
            ("server.port", "allow"),
        ])
    );
}

#[test]
fn names_that_cannot_be_names_are_refused_to_the_operator() {
    const NONE: &[(&str, &str)] = &[];
    for (variables, config) in [
        (&[("", "x")][..], NONE),
        (&[("A=B", "x")], NONE),
        (NONE, &[("a..b", "x")]),
        (NONE, &[("", "x")]),
        (NONE, &[("a", "${secret:")]),
        (&[("A", "${secret:a/b}")], NONE),
    ] {
        assert!(
            Settings::new(variables, config).is_err(),
            "{variables:?} {config:?}"
        );
    }
}

#[test]
fn clocks_and_random_numbers_are_given_and_leave_no_record() {
    let ruled = Ruled::new(json!([]));
    let commands = ["wall", "slept|1", "random", "random"];
    let lines = run(&ruled, &commands);
    let wall: u64 = lines[0].strip_prefix("ok:").unwrap().parse().unwrap();
    assert!(wall > 1_700_000_000_000_000_000, "{wall}");
    let slept: u64 = lines[1].strip_prefix("ok:").unwrap().parse().unwrap();
    assert!(slept >= 1_000_000, "{slept}");
    assert_ne!(lines[2], lines[3]);
    assert_ne!(run(&ruled, &["random"])[0], lines[2]);
    assert_eq!(decisions(&ruled, "clock"), []);
    assert_eq!(decisions(&ruled, "random"), []);
}

#[test]
fn a_guest_that_is_denied_both_runs_the_same_each_time() {
    let ruled = Ruled::new(json!([
        rule("deny", "clock", &[]),
        rule("deny", "random", &[])
    ]));
    let commands = ["wall", "slept|1", "wall", "random", "random"];
    let lines = run(&ruled, &commands);
    assert_eq!(run(&ruled, &commands), lines);
    let time = |line: &str| line.strip_prefix("ok:").unwrap().parse::<u64>().unwrap();
    let (first, slept, last) = (time(&lines[0]), time(&lines[1]), time(&lines[2]));
    assert!(first < last && last < 1_000_000_000, "{lines:?}");
    assert!((1_000_000..2_000_000).contains(&slept), "{lines:?}");
    assert_ne!(lines[3], lines[4]);
    // Once for each instance.
    assert_eq!(decisions(&ruled, "clock"), pairs(&[("", "deny"); 2]));
    assert_eq!(decisions(&ruled, "random"), pairs(&[("", "deny"); 2]));

    let version_3 = || {
        let gate = Arc::clone(&ruled.gate) as Arc<dyn Gate>;
        Program::in_profile("p3-access", Profile::Concurrent, gate)
            .arguments(["clocks", "random"])
            .run()
    };
    let lines = version_3();
    assert_eq!(lines[0], "ok:0 1001000");
    assert_eq!(version_3(), lines);
}

#[test]
fn a_clock_that_is_denied_while_it_is_read_begins_anew() {
    let ruled = Ruled::new(json!([]));
    let authority = Arc::clone(&ruled.authority);
    let denied = json!({"schema": 1, "rules": [rule("deny", "clock", &[])]}).to_string();
    let lines = ruled
        .program("surroundings")
        .arguments(["wall", "wall"])
        .on_line(move |_| {
            authority.load(denied.as_bytes()).unwrap();
        })
        .run();
    assert!(lines[0].len() > 20, "{lines:?}");
    assert_eq!(lines[1], "ok:1000");
}

#[test]
fn what_was_listed_is_given_where_no_rules_are() {
    let gate = Arc::new(AllowList::default());
    let lines = settled(Program::new("surroundings", gate))
        .arguments(["env", "config|greeting"])
        .run();
    assert_eq!(lines, ["ok:TZ=UTC,HOME=/root,A.B=dotted", "ok:hello"]);
}
