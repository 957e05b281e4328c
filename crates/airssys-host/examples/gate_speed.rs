//! Speed of decisions, audit records and loading: `cargo run --release --example gate_speed [-- --json]`.

use std::hint::black_box;
use std::time::Instant;

use airssys_host::gate::audit::{AuditLog, Entry, Options};
use airssys_host::gate::condition::Attributes;
use airssys_host::gate::kind::Kind;
use airssys_host::gate::matcher::{Request, RuleSet};
use airssys_host::gate::subject::Subject;
use airssys_host::gate::target::Target;

fn rules(patterns: impl Iterator<Item = String>) -> Vec<u8> {
    let rules: Vec<_> = patterns
        .enumerate()
        .map(|(number, pattern)| {
            serde_json::json!({"id": format!("r{number}"), "effect": "allow", "principals": ["name:alice"],
                "kind": "filesystem", "targets": [pattern], "access": ["read"]})
        })
        .collect();
    serde_json::json!({"schema": 1, "rules": rules})
        .to_string()
        .into_bytes()
}

/// The best of several rounds, in nanoseconds for one.
fn measure(times: u32, mut run: impl FnMut()) -> f64 {
    let round = |run: &mut dyn FnMut()| {
        let begun = Instant::now();
        for _ in 0..times {
            run();
        }
        begun.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..7)
        .map(|_| round(&mut run))
        .fold(f64::INFINITY, f64::min)
}

fn decision(json: &[u8], path: &str) -> f64 {
    let set = RuleSet::compile(json).expect("the rules are well formed");
    let (subject, attributes) = (Subject::named("alice"), Attributes::new());
    measure(200_000, || {
        let target = Target::parse(Kind::Filesystem, 1, path.as_bytes()).expect("a path");
        let request = Request::new(Kind::Filesystem, 1, target, &attributes);
        black_box(set.decide(&subject, black_box(&request)));
    })
}

fn main() {
    let plain = rules((0..100).map(|number| format!("/srv/data/{number}")));
    let mut report = Report::default();
    report.add(
        "decide_exact",
        "decision, 100 rules, no wildcard",
        decision(&plain, "/srv/data/57"),
    );
    let globs = rules((0..100).map(|number| match number % 3 {
        0 => format!("/srv/{number}/**"),
        1 => format!("/srv/*/{number}/*.txt"),
        _ => format!("/srv/**/{number}*"),
    }));
    report.add(
        "decide_globs",
        "decision, 100 rules with globs",
        decision(&globs, "/srv/x/58/a.txt"),
    );
    let many = rules((0..10_000).map(|number| match number % 3 {
        0 => format!("/srv/{}/{number}/**", number % 100),
        1 => format!("/srv/{}/{number}/*.txt", number % 100),
        _ => format!("/srv/{}/{number}/exact", number % 100),
    }));
    report.add(
        "decide_many",
        "decision, 10,000 rules",
        decision(&many, "/srv/57/5557/a.txt"),
    );
    let load = measure(3, || drop(black_box(RuleSet::compile(&many))));
    report.add("load_many", "loading 10,000 rules", load);

    let directory = std::env::temp_dir().join(format!("airssys-gate-speed-{}", std::process::id()));
    let log = AuditLog::open(&directory, Options::default()).expect("a log");
    let subject = Subject::named("alice");
    let record = measure(100_000, || {
        let entry = Entry {
            subject: Some(&subject),
            operation: ("filesystem", "read"),
            target: b"/srv/57/5557/a.txt",
            requested: None,
            decision: "allow",
            rule: "r5557",
            enforcement: "enforce",
            detail: None,
            approved_by: None,
            alarm: false,
            coalesce: false,
        };
        let appended = log.append(&entry).expect("recorded");
        if let Some(sequence) = appended.wait_for {
            log.wait_durable(sequence).expect("durable");
        }
    });
    report.add("record", "audit record, with group commit", record);
    log.close().expect("closed");
    std::fs::remove_dir_all(directory).expect("removed");
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", serde_json::Value::Object(report.figures));
    } else {
        print!("{}", report.text);
    }
}

/// The figures, in nanoseconds, for people and for programs.
#[derive(Default)]
struct Report {
    text: String,
    figures: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    fn add(&mut self, name: &str, what: &str, nanoseconds: f64) {
        self.text += &format!("{what:<34} {nanoseconds:12.0} ns\n");
        self.figures.insert(name.to_owned(), nanoseconds.into());
    }
}
