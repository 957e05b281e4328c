//! Speed of decisions, audit records and loading: `cargo run --release --example gate_speed [-- --json]`.
//! `-- NAME TIMES` does what one row measures so many times and prints nothing, for tools that count instructions.

use std::hint::black_box;
use std::sync::Arc;
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

/// What a row does so many times.
struct Row {
    name: &'static str,
    what: &'static str,
    /// How often in one round.
    times: u32,
    run: Box<dyn FnMut(u32)>,
}

impl Row {
    fn new(
        name: &'static str,
        what: &'static str,
        times: u32,
        mut run: impl FnMut() + 'static,
    ) -> Row {
        let run = Box::new(move |times| (0..times).for_each(|_| run()));
        Row {
            name,
            what,
            times,
            run,
        }
    }

    fn decision(name: &'static str, what: &'static str, json: &[u8], path: &'static str) -> Row {
        let set = RuleSet::compile(json).expect("the rules are well formed");
        let (subject, attributes) = (Subject::named("alice"), Attributes::new());
        Row::new(name, what, 200_000, move || {
            let target = Target::parse(Kind::Filesystem, 1, path.as_bytes()).expect("a path");
            let request = Request::new(Kind::Filesystem, 1, target, &attributes);
            black_box(set.of(&subject).decide(black_box(&request)));
        })
    }

    /// The best of several rounds, in nanoseconds for one.
    fn measure(&mut self) -> f64 {
        let mut round = || {
            let begun = Instant::now();
            (self.run)(self.times);
            begun.elapsed().as_nanos() as f64 / f64::from(self.times)
        };
        (0..7).map(|_| round()).fold(f64::INFINITY, f64::min)
    }
}

fn recording(log: &Arc<AuditLog>) -> impl FnMut() + 'static {
    let (log, subject) = (Arc::clone(log), Subject::named("alice"));
    move || {
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
    }
}

fn rows(log: &Arc<AuditLog>) -> [Row; 5] {
    let plain = rules((0..100).map(|number| format!("/srv/data/{number}")));
    let globs = rules((0..100).map(|number| match number % 3 {
        0 => format!("/srv/{number}/**"),
        1 => format!("/srv/*/{number}/*.txt"),
        _ => format!("/srv/**/{number}*"),
    }));
    let many = rules((0..10_000).map(|number| match number % 3 {
        0 => format!("/srv/{}/{number}/**", number % 100),
        1 => format!("/srv/{}/{number}/*.txt", number % 100),
        _ => format!("/srv/{}/{number}/exact", number % 100),
    }));
    let what = "decision, 100 rules, no wildcard";
    let exact = Row::decision("decide_exact", what, &plain, "/srv/data/57");
    let what = "decision, 100 rules with globs";
    let globbed = Row::decision("decide_globs", what, &globs, "/srv/x/58/a.txt");
    let what = "decision, 10,000 rules";
    let among_many = Row::decision("decide_many", what, &many, "/srv/57/5557/a.txt");
    let load = Row::new("load_many", "loading 10,000 rules", 3, move || {
        drop(black_box(RuleSet::compile(&many)));
    });
    let what = "audit record, with group commit";
    let record = Row::new("record", what, 100_000, recording(log));
    [exact, globbed, among_many, load, record]
}

fn main() {
    let directory = std::env::temp_dir().join(format!("airssys-gate-speed-{}", std::process::id()));
    let log = Arc::new(AuditLog::open(&directory, Options::default()).expect("a log"));
    let mut rows = rows(&log);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, times] = &arguments[..] {
        let row = rows.iter_mut().find(|row| row.name == name).expect("a row");
        (row.run)(times.parse().expect("a number"));
    } else {
        let mut report = Report::default();
        for row in &mut rows {
            report.add(row.name, row.what, row.measure());
        }
        if arguments.iter().any(|argument| argument == "--json") {
            println!("{}", serde_json::Value::Object(report.figures));
        } else {
            print!("{}", report.text);
        }
    }
    log.close().expect("closed");
    std::fs::remove_dir_all(directory).expect("removed");
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
