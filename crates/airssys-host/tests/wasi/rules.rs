//! Rules and the audit log over a running guest: every access decided, recorded, revocable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airssys_host::engine::Profile;
use airssys_host::gate::Gate;
use airssys_host::gate::audit::{AuditLog, Filter, Options, Reader};
use airssys_host::gate::authority::Authority;
use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::gate::subject::Subject;
use serde_json::{Value, json};

use super::support::{Folder, Program};

pub const WHO: &str = "acme/reader";

/// Rules, the log of their decisions, and the gate of the guest `acme/reader`.
pub struct Ruled {
    log: Folder,
    pub authority: Arc<Authority>,
    pub gate: Arc<RuleGate>,
}

impl Ruled {
    pub fn new(rules: Value) -> Self {
        let log = Folder::new();
        let audit = Arc::new(AuditLog::open(log.path(), Options::default()).unwrap());
        let authority = Arc::new(Authority::new(audit).unwrap());
        let mut subject = Subject::named(WHO);
        subject.guest = true;
        let gate = RuleGate::new(Arc::clone(&authority), Arc::new(subject), None);
        let ruled = Self {
            log,
            authority,
            gate: Arc::new(gate),
        };
        ruled.load(rules);
        ruled
    }

    pub fn load(&self, rules: Value) {
        load(&self.authority, rules);
    }

    pub fn program(&self, name: &str) -> Program {
        Program::new(name, Arc::clone(&self.gate) as Arc<dyn Gate>)
    }

    /// What is on record: operation, target, decision and rule of each; a count of equal refusals as
    /// often as it says.
    pub fn records(&self) -> Vec<[String; 4]> {
        self.authority.audit().flush().unwrap();
        let lines = Reader::new(self.log.path(), Filter::default())
            .read(10_000, Duration::ZERO)
            .unwrap();
        let mut records = Vec::new();
        let mut first = std::collections::HashMap::new();
        for line in lines {
            let record: Value = serde_json::from_slice(&line).unwrap();
            if let Some(repeats) = record.get("repeats") {
                let again: &[String; 4] = &first[&repeats.as_u64().unwrap()];
                let count = record["count"].as_u64().unwrap();
                records.extend((0..count).map(|_| again.clone()));
                continue;
            }
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            if text("op") != "gate.load" {
                assert_eq!(
                    (text("principal"), &record["guest"]),
                    (WHO.to_owned(), &json!(true))
                );
            }
            let entry = [text("op"), text("target"), text("decision"), text("rule")];
            first.insert(record["seq"].as_u64().unwrap(), entry.clone());
            records.push(entry);
        }
        records
    }
}

fn load(authority: &Arc<Authority>, rules: Value) {
    let document = json!({"schema": 1, "rules": rules}).to_string();
    authority.load(document.as_bytes()).unwrap();
}

/// A rule that gives the guest `accesses` to everything beneath `path`.
fn files(id: &str, path: &Path, accesses: &[&str]) -> Value {
    json!({"id": id, "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "filesystem",
           "targets": [format!("{}/**", path.display())], "access": accesses})
}

#[test]
fn a_file_is_refused_then_granted_and_read_until_the_right_is_revoked() {
    let folder = Folder::new();
    let path = folder.file("file", "what it says");
    let ruled = Ruled::new(json!([]));
    let authority = Arc::clone(&ruled.authority);
    let grant = files("grant", folder.path(), &["read"]);
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", false)
        .arguments([
            "read|file|r",
            "read|file|r",
            "hold|stream|file",
            "read|file|r",
        ])
        .on_line(move |line| match line {
            "err:not-permitted" => load(&authority, json!([grant])),
            "held" => load(&authority, json!([])),
            _ => {}
        })
        .run();
    let refused = "err:not-permitted";
    assert_eq!(
        lines,
        [
            refused,
            "ok:what it says",
            "held",
            refused,
            "ok:what it says"
        ]
    );

    let path = path.to_str().unwrap();
    let load = ["gate.load", "", "done", ""];
    let refused = ["filesystem.read", path, "deny", "default-deny"];
    let allowed = ["filesystem.read", path, "allow", "grant"];
    assert_eq!(
        ruled.records(),
        [
            load, refused, load, allowed, allowed, load, refused, load, allowed
        ]
    );
}

#[test]
fn rules_hold_for_a_guest_of_wasi_0_3_too() {
    let folder = Folder::new();
    let path = folder.file("file", "what it says");
    let ruled = Ruled::new(json!([]));
    let authority = Arc::clone(&ruled.authority);
    let grant = files("grant", folder.path(), &["read"]);
    let gate = Arc::clone(&ruled.gate) as Arc<dyn Gate>;
    let lines = Program::in_profile("p3-access", Profile::Concurrent, gate)
        .mount(folder.path(), "/data", false)
        .arguments(["read|file", "read|file", "hold-read|file"])
        .on_line(move |line| match line {
            "err:NotPermitted" => load(&authority, json!([grant])),
            "held" => load(&authority, json!([])),
            _ => {}
        })
        .run();
    let refused = "err:NotPermitted";
    assert_eq!(lines, [refused, "ok:what it says", "held", refused]);
    let path = path.to_str().unwrap();
    let load = ["gate.load", "", "done", ""];
    let refused = ["filesystem.read", path, "deny", "default-deny"];
    let allowed = ["filesystem.read", path, "allow", "grant"];
    assert_eq!(
        ruled.records()[..7],
        [load, refused, load, allowed, allowed, load, refused]
    );
}

#[test]
fn every_decision_about_a_guest_is_on_record_once() {
    let folder = Folder::new();
    let open = folder.file("open/file", "open");
    let secret = folder.file("secret/file", "secret");
    let ruled = Ruled::new(json!([files(
        "grant",
        &folder.path().join("open"),
        &["read", "write", "create", "delete", "list", "metadata"]
    )]));
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", true)
        .arguments([
            "read|open/file|r",
            "read|secret/file|r",
            "write|open/new|wc|text",
            "rename|open/new|open/moved",
            "unlink|open/moved",
            "list|open",
            "stat|secret/file|",
        ])
        .run();
    assert!(
        lines[1].starts_with("err:") && lines[6].starts_with("err:"),
        "{lines:?}"
    );
    let (open, secret) = (open.display(), secret.display());
    let at = |name: &str| folder.path().join("open").join(name).display().to_string();
    let allow = |op: &str, path: String| {
        [
            format!("filesystem.{op}"),
            path,
            "allow".to_owned(),
            "grant".to_owned(),
        ]
    };
    let deny = |op: &str, path: String| {
        let rule = "default-deny".to_owned();
        [format!("filesystem.{op}"), path, "deny".to_owned(), rule]
    };
    assert_eq!(
        ruled.records()[1..],
        [
            allow("read", open.to_string()),
            deny("read", secret.to_string()),
            allow("create", at("new")),
            allow("write", at("new")),
            allow("delete", at("new")),
            allow("create", at("moved")),
            allow("delete", at("moved")),
            allow("metadata", folder.path().join("open").display().to_string()),
            allow("list", folder.path().join("open").display().to_string()),
            deny("metadata", secret.to_string()),
        ]
    );
}

#[test]
fn what_belongs_to_the_host_is_refused_whatever_is_granted() {
    let folder = Folder::new();
    folder.file("state/inner/key", "key");
    folder.file("above/state/key", "key");
    folder.file("own", "own");
    let everything = ["read", "write", "create", "delete", "list", "metadata"];
    let ruled = Ruled::new(json!([files("all", folder.path(), &everything)]));
    let state = folder.path().join("state");
    ruled
        .authority
        .reserve(state.to_str().unwrap().as_bytes())
        .unwrap();
    let key = folder.path().join("above/state/key");
    ruled
        .authority
        .reserve(key.to_str().unwrap().as_bytes())
        .unwrap();
    // Whatever it is called later.
    std::fs::rename(&state, folder.path().join("renamed")).unwrap();
    let commands = [
        "read|renamed/inner/key|r",
        "write|renamed/inner/key|wt|x",
        "write|renamed/new|wc|x",
        "unlink|renamed/inner/key",
        "rename|renamed/inner/key|stolen",
        "link|renamed/inner/key|stolen",
        "list|renamed",
        "stat|renamed/inner/key|",
        "mkdir|renamed/made",
        "unlink|above/state/key",
        "read|own|r",
    ];
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", true)
        .arguments(commands)
        .run();
    let (own, refused) = lines.split_last().unwrap();
    assert_eq!(own, "ok:own");
    assert!(
        refused.iter().all(|line| line == "err:not-permitted"),
        "{lines:?}"
    );
    let records = ruled.records();
    assert_eq!(records.len(), 1 + commands.len(), "{records:?}");
    for record in &records[1..commands.len()] {
        assert_eq!(record[2..], ["deny", "reserved-object"], "{record:?}");
    }

    // Nor does it move with a directory above it.
    let before = ruled.records().len();
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", true)
        .arguments([
            "rename|above|moved",
            "rename|above/state|moved",
            "mkdir|free",
            "rename|free|moved",
        ])
        .run();
    let refused = "err:not-permitted";
    assert_eq!(lines, [refused, refused, "ok:", "ok:"]);
    let records = ruled.records().split_off(before);
    let denied: Vec<_> = records
        .iter()
        .filter(|record| record[2] == "deny")
        .collect();
    assert_eq!(denied.len(), 2, "{records:?}");
    assert!(
        denied.iter().all(|record| record[3] == "reserved-object"),
        "{records:?}"
    );
}

#[test]
fn what_belongs_to_the_host_is_refused_where_a_guest_read_before() {
    let folder = Folder::new();
    folder.file("state/images/key", "key");
    folder.file("up/host/images/key", "key");
    let everything = ["read", "write", "create", "delete", "list", "metadata"];
    let ruled = Ruled::new(json!([files("all", folder.path(), &everything)]));
    for name in ["state", "up/host"] {
        let path = folder.path().join(name);
        ruled
            .authority
            .reserve(path.to_str().unwrap().as_bytes())
            .unwrap();
    }
    let at = |name: &str| folder.path().join(name);
    let run = |commands: &[&str]| {
        ruled
            .program("file-access")
            .mount(folder.path(), "/data", true)
            .arguments(commands.iter().copied())
            .run()
    };
    let all = [
        "read|guest/images/key|r",
        "write|guest/images/new|wc|x",
        "stat|guest/images/key|",
        "read|low/host/images/key|r",
        "list|low/host/images",
    ];
    for _ in 0..20 {
        folder.file("guest/images/key", "own");
        folder.file("low/host/images/key", "own");
        let lines = run(&all);
        assert!(
            lines.iter().all(|line| line.starts_with("ok:")),
            "{lines:?}"
        );
        // The same paths, known to be the guest's, become the host's: by a move, and by one above.
        std::fs::rename(at("guest"), at("aside")).unwrap();
        std::fs::rename(at("state"), at("guest")).unwrap();
        std::fs::rename(at("low"), at("aside-too")).unwrap();
        std::fs::rename(at("up"), at("low")).unwrap();
        let lines = run(&all);
        assert!(
            lines.iter().all(|line| line == "err:not-permitted"),
            "{lines:?}"
        );
        std::fs::rename(at("guest"), at("state")).unwrap();
        std::fs::rename(at("low"), at("up")).unwrap();
        std::fs::remove_dir_all(at("aside")).unwrap();
        std::fs::remove_dir_all(at("aside-too")).unwrap();
    }
}

#[test]
fn what_becomes_the_hosts_own_while_a_guest_reads_there_is_refused() {
    let folder = Folder::new();
    folder.file("guest/images/key", "own");
    folder.file("state/images/key", "key");
    let ruled = Ruled::new(json!([files("all", folder.path(), &["read", "metadata"])]));
    let state = folder.path().join("state");
    ruled
        .authority
        .reserve(state.to_str().unwrap().as_bytes())
        .unwrap();
    let (root, authority) = (folder.path().to_path_buf(), Arc::clone(&ruled.authority));
    let turn = AtomicUsize::new(0);
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", false)
        .arguments([
            "repeat|50|read|guest/images/key|r",
            "repeat|50|read|guest/images/key|r",
            "repeat|50|read|guest/images/key|r",
            "repeat|50|read|guest/images/key|r",
        ])
        .on_line(move |_| {
            let rename = |from: &str, to: &str| {
                std::fs::rename(root.join(from), root.join(to)).unwrap();
            };
            match turn.fetch_add(1, Ordering::Relaxed) {
                0 => {
                    rename("guest", "aside");
                    rename("state", "guest");
                }
                1 => {
                    rename("guest", "state");
                    rename("aside", "guest");
                }
                // Nothing moves, and it is the host's all the same.
                2 => authority
                    .reserve(root.join("guest").to_str().unwrap().as_bytes())
                    .unwrap(),
                _ => {}
            }
        })
        .run();
    let (own, refused) = ("ok:{\"ok own\": 50}", "ok:{\"err not-permitted\": 50}");
    assert_eq!(lines, [own, refused, own, refused]);
}
