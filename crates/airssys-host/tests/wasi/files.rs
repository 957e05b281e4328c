//! Files through WASI 0.2.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use airssys_host::gate::{AllowList, Counts};

use super::support::{Folder, Program, allowed, gate};

/// A mount with a granted and a refused part: `open/file` says `open`, `secret/file` says `secret`.
struct Tree {
    folder: Folder,
    gate: Arc<AllowList>,
}

impl Tree {
    fn new() -> Self {
        let folder = Folder::new();
        folder.file("open/file", "open");
        folder.file("secret/file", "secret");
        let granted = folder.path().join("open");
        let gate = gate(|allowed| {
            allowed.directory(&granted, true).unwrap();
        });
        Self { folder, gate }
    }

    fn program(&self) -> Program {
        Program::new("file-access", self.gate.clone()).mount(self.folder.path(), "/data", true)
    }

    fn run(&self, commands: &[&str]) -> Vec<String> {
        self.program().arguments(commands.iter().copied()).run()
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }
}

const REFUSED: &str = "err:not-permitted";

#[test]
fn a_granted_file_is_read_and_a_refused_one_is_not() {
    let tree = Tree::new();
    let lines = tree.run(&[
        "read|open/file|r",
        "read|secret/file|r",
        "std-read|/data/open/file",
        "std-read|/data/secret/file",
    ]);
    assert_eq!(
        lines,
        ["ok:open", REFUSED, "ok:open", "err:PermissionDenied"]
    );
    assert_eq!(tree.gate.counts().denied, 2);
}

#[test]
fn a_symbolic_link_is_decided_by_where_it_leads() {
    let tree = Tree::new();
    let root = tree.folder.path();
    symlink("../secret/file", root.join("open/end")).unwrap();
    symlink("../secret", root.join("open/middle")).unwrap();
    symlink("open/file", root.join("secret-looking")).unwrap();
    symlink("/etc", root.join("open/absolute")).unwrap();
    symlink("loop", root.join("open/loop")).unwrap();
    let lines = tree.run(&[
        "read|open/end|rf",
        "read|open/end|r",
        "read|open/middle/file|rf",
        "stat|open/end|f",
        "stat|open/end|",
        "read|secret-looking|rf",
        "read|open/absolute/passwd|rf",
        "read|open/loop|rf",
        "readlink|open/end",
        "readlink|open/absolute",
    ]);
    assert_eq!(
        lines,
        [
            REFUSED,
            "err:loop",
            REFUSED,
            REFUSED,
            "ok:14",
            "ok:open",
            REFUSED,
            "err:loop",
            "ok:../secret/file",
            REFUSED,
        ]
    );
}

#[test]
fn a_link_that_the_guest_makes_leads_nowhere_new() {
    let tree = Tree::new();
    let lines = tree.run(&[
        "symlink|../secret/file|open/made",
        "read|open/made|rf",
        "write|open/made|wf|changed",
        "symlink|/etc/passwd|open/absolute",
        "symlink|x|secret/made",
    ]);
    assert_eq!(lines, ["ok:", REFUSED, REFUSED, REFUSED, REFUSED]);
    assert_eq!(tree.text("secret/file"), "secret");
}

#[test]
fn no_spelling_of_a_path_leaves_what_is_granted() {
    let tree = Tree::new();
    let folder = Folder::new();
    folder.file("outside", "outside");
    let long = "a/../".repeat(900) + "open/file";
    let refused = [
        "open/../secret/file",
        "open/.././secret//file",
        "./secret/file",
        "secret//file",
        "secret/./file",
        "../",
        "..",
        "../../../../etc/passwd",
        "open/../../x",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
    ];
    let commands: Vec<String> = refused
        .iter()
        .map(|path| format!("read|{path}|rf"))
        .collect();
    let lines = tree.program().arguments(commands).run();
    assert_eq!(lines, vec![REFUSED; refused.len()]);

    let lines = tree.run(&[
        "read|open//file|r",
        "read|open/./file|r",
        "read|secret/../open/file|r",
        "read|open/file/|r",
        "read|open/file/.|r",
        "read||r",
        &format!("read|{long}|r"),
        &format!("read|open/{}|r", "n".repeat(300)),
        "read|open/\u{e9}|r",
        "write|open/\u{e9}|wc|one",
        "read|open/e\u{301}|r",
        "read|open/FILE|r",
    ]);
    assert_eq!(
        lines,
        [
            "ok:open",
            "ok:open",
            "ok:open",
            "err:not-directory",
            "err:not-directory",
            "err:no-entry",
            "err:name-too-long",
            "err:name-too-long",
            "err:no-entry",
            "ok:",
            "err:no-entry",
            "err:no-entry",
        ]
    );
}

#[test]
fn a_nul_in_a_path_is_refused() {
    let tree = Tree::new();
    // The arguments of a guest are strings that may hold a NUL.
    let lines = tree.run(&[
        "read|open/file\0|r",
        "read|open/\0../../secret/file|r",
        "mkdir|open/a\0b",
    ]);
    assert_eq!(lines, ["err:invalid"; 3]);
}

#[test]
fn magic_links_of_proc_lead_nowhere() {
    let gate = gate(|allowed| {
        allowed.directory("/proc".as_ref(), true).unwrap();
    });
    let lines = Program::new("file-access", gate)
        .mount("/proc".as_ref(), "/proc", true)
        .arguments([
            "read|self/root/etc/passwd|rf",
            "read|self/cwd/Cargo.toml|rf",
            "read|self/fd/0|rf",
            "read|self/exe|rf",
        ])
        .run();
    assert!(
        lines.iter().all(|line| line.starts_with("err:")),
        "{lines:?}"
    );
}

#[test]
fn what_does_not_exist_in_a_refused_directory_looks_like_what_does() {
    let tree = Tree::new();
    let lines = tree.run(&[
        "read|secret/file|r",
        "read|secret/none|r",
        "read|secret/none/deeper|r",
        "read|secret/file/deeper|r",
        "stat|secret/none|f",
        "mkdir|secret/file",
        "unlink|secret/none",
        "write|secret/none|wc|x",
        "write|secret/file|wcx|x",
    ]);
    assert_eq!(lines, [REFUSED; 9]);
}

#[test]
fn a_refused_open_does_not_truncate() {
    let tree = Tree::new();
    let lines = tree.run(&["write|secret/file|wt|", "write|open/file|wt|new"]);
    assert_eq!(lines, [REFUSED, "ok:"]);
    assert_eq!(tree.text("secret/file"), "secret");
    assert_eq!(tree.text("open/file"), "new");
}

#[test]
fn a_file_of_a_read_only_mount_or_rule_stays_as_it_is() {
    let folder = Folder::new();
    folder.file("file", "kept");
    let changes = [
        "write|file|wt|x",
        "open|file|rt",
        "write|new|wc|x",
        "touch|file|f",
        "unlink|file",
        "rename|file|moved",
        "link|file|linked",
        "symlink|file|made",
        "mkdir|made",
        "read|file|r",
    ];
    let mut expected = vec![REFUSED; changes.len() - 1];
    expected.push("ok:kept");
    for (rule_writable, mount_writable) in [(false, true), (true, false)] {
        let gate = gate(|allowed| {
            allowed.directory(folder.path(), rule_writable).unwrap();
        });
        let lines = Program::new("file-access", gate)
            .mount(folder.path(), "/data", mount_writable)
            .arguments(changes)
            .run();
        assert_eq!(
            lines, expected,
            "rule {rule_writable}, mount {mount_writable}"
        );
    }
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn creating_through_a_dangling_link_is_decided_where_it_would_be_created() {
    let tree = Tree::new();
    symlink("../secret/new", tree.folder.path().join("open/dangling")).unwrap();
    symlink("made", tree.folder.path().join("open/inside")).unwrap();
    let lines = tree.run(&[
        "write|open/dangling|wcf|x",
        "write|open/inside|wcf|inside",
        "write|open/dangling|wcxf|x",
    ]);
    assert_eq!(lines, [REFUSED, "ok:", REFUSED]);
    assert!(!tree.folder.path().join("secret/new").exists());
    assert_eq!(tree.text("open/made"), "inside");
}

#[test]
fn rename_and_link_do_not_cross_what_is_granted() {
    let tree = Tree::new();
    tree.folder.file("open/other", "other");
    tree.folder.file("open/dir/inner", "inner");
    let lines = tree.run(&[
        "rename|secret/file|open/stolen",
        "rename|open/file|secret/planted",
        "rename|open/other|secret/file",
        "link|secret/file|open/stolen",
        "link|open/file|secret/planted",
        "rename|secret|open/tree",
        "rename|open/dir|secret/dir",
        "rename|open/dir|open/moved",
        "read|open/moved/inner|r",
        "rename|open/file|open/renamed",
    ]);
    assert_eq!(
        lines,
        [
            REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, "ok:", "ok:inner", "ok:"
        ]
    );
    assert_eq!(tree.text("secret/file"), "secret");
}

#[test]
fn a_hard_link_to_a_file_elsewhere_is_refused_in_a_writable_mount() {
    let tree = Tree::new();
    let root = tree.folder.path();
    std::fs::hard_link(root.join("secret/file"), root.join("open/planted")).unwrap();
    let commands = [
        "read|open/planted|r",
        "write|open/planted|w|x",
        "touch|open/planted|",
        "link|open/planted|open/again",
    ];
    assert_eq!(tree.run(&commands), [REFUSED; 4]);
    assert_eq!(tree.text("secret/file"), "secret");

    // What the guest linked itself it may go on using.
    let lines = tree.run(&[
        "link|open/file|open/own",
        "read|open/own|r",
        "write|open/file|w|edit",
        "read|open/own|r",
    ]);
    assert_eq!(lines, ["ok:", "ok:open", "ok:", "ok:edit"]);

    // The operator can allow it, and in a read-only mount has put it there.
    let open = root.join("open");
    tree.gate.replace(allowed(|allowed| {
        allowed.directory(&open, true).unwrap().hard_links();
    }));
    assert_eq!(tree.run(&["read|open/planted|r"]), ["ok:secret"]);
    let read_only = gate(|allowed| {
        allowed.directory(&open, false).unwrap();
    });
    let lines = Program::new("file-access", read_only)
        .mount(&open, "/data", false)
        .arguments(["read|planted|r"])
        .run();
    assert_eq!(lines, ["ok:secret"]);
}

#[test]
fn a_fifo_does_not_hang_and_is_no_file() {
    let tree = Tree::new();
    let fifo = tree.folder.path().join("open/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let lines = tree.run(&[
        "read|open/fifo|r",
        "std-read|/data/open/fifo",
        "stat|open/fifo|",
    ]);
    assert_eq!(lines, ["err:unsupported", "err:Unsupported", "ok:0"]);
}

#[test]
fn directories_are_listed_and_changed_where_that_is_granted() {
    let tree = Tree::new();
    let lines = tree.run(&[
        "list|open",
        "list|secret",
        "list|.",
        "mkdir|open/made",
        "mkdir|open/made/",
        "rmdir|open/made",
        "rmdir|secret",
        "unlink|open/file/",
        "unlink|open/file",
        "unlink|secret/file",
        "list|open/",
        "touch|secret/file|",
    ]);
    assert_eq!(
        lines,
        [
            "ok:file",
            REFUSED,
            REFUSED,
            "ok:",
            "err:exist",
            "ok:",
            REFUSED,
            "err:not-directory",
            "ok:",
            REFUSED,
            "ok:",
            REFUSED,
        ]
    );
}

/// Swap what `open/a` and `open/b` are, again and again, while a guest runs `command`: what it prints.
fn swapped(make: impl Fn(&std::path::Path), command: &str) -> (String, Tree) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let tree = Tree::new();
    let (root, stop) = (
        tree.folder.path().to_path_buf(),
        Arc::new(AtomicBool::new(false)),
    );
    make(&root);
    let swapper = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let (first, second) = (root.join("open/a"), root.join("open/b"));
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    &first,
                    rustix::fs::CWD,
                    &second,
                    rustix::fs::RenameFlags::EXCHANGE,
                )
                .unwrap();
                swaps += 1;
            }
            swaps
        }
    });
    let lines = tree.run(&[command]);
    stop.store(true, Ordering::Relaxed);
    assert!(
        swapper.join().unwrap() > 1000,
        "nothing was swapped while the guest ran"
    );
    assert_eq!(lines.len(), 1);
    (lines.into_iter().next().unwrap(), tree)
}

#[test]
fn a_link_swapped_in_during_the_call_is_never_followed_out() {
    let (outcomes, _) = swapped(
        |root| {
            std::fs::write(root.join("open/a"), "open").unwrap();
            symlink("../secret/file", root.join("open/b")).unwrap();
        },
        "repeat|10000|read|open/a|rf",
    );
    assert!(
        outcomes.contains("\"ok open\"") && outcomes.contains("\"err not-permitted\""),
        "{outcomes}"
    );
    assert!(!outcomes.contains("secret"), "{outcomes}");
}

#[test]
fn a_directory_swapped_in_during_the_walk_is_never_entered() {
    let (outcomes, _) = swapped(
        |root| {
            std::fs::create_dir(root.join("open/a")).unwrap();
            std::fs::write(root.join("open/a/file"), "open").unwrap();
            symlink("../secret", root.join("open/b")).unwrap();
        },
        "repeat|10000|read|open/a/file|rf",
    );
    assert!(
        outcomes.contains("\"ok open\"") && outcomes.contains("\"err not-permitted\""),
        "{outcomes}"
    );
    assert!(!outcomes.contains("secret"), "{outcomes}");
}

#[test]
fn nothing_is_created_behind_a_directory_that_is_swapped() {
    let (outcomes, tree) = swapped(
        |root| {
            std::fs::create_dir(root.join("open/a")).unwrap();
            symlink("../secret", root.join("open/b")).unwrap();
        },
        "create-many|open/a/made|10000",
    );
    // Many files were made while many attempts led to the refused directory; on a busy machine one is rare.
    let count = |outcome: &str| -> u32 {
        let (_, rest) = outcomes.split_once(&format!("\"{outcome}\": ")).unwrap();
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(
        count("ok") > 100 && count("not-permitted") > 100,
        "{outcomes}"
    );
    let secret: Vec<_> = std::fs::read_dir(tree.folder.path().join("secret"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(secret, ["file"]);
}

/// Hold something open, take the right away, and see the next operation refused.
fn revoked(what: &str, path: &str) -> Vec<String> {
    let tree = Tree::new();
    tree.folder.file("open/second", "second");
    let gate = tree.gate.clone();
    tree.program()
        .arguments([format!("hold|{what}|{path}")])
        .on_line(move |line| {
            if line == "held" {
                gate.replace(allowed(|_| {}));
            }
        })
        .run()
}

#[test]
fn what_is_open_stops_at_its_next_operation_after_revocation() {
    for (what, path) in [
        ("stream", "open/file"),
        ("output", "open/file"),
        ("file", "open/file"),
        ("directory", "open"),
        ("listing", "open"),
    ] {
        assert_eq!(revoked(what, path), ["held", REFUSED], "{what}");
    }
}

#[test]
fn an_open_file_goes_on_when_other_rights_change() {
    let tree = Tree::new();
    let (gate, open) = (tree.gate.clone(), tree.folder.path().join("open"));
    let lines = tree
        .program()
        .arguments(["hold|stream|open/file"])
        .on_line(move |line| {
            if line == "held" {
                gate.replace(allowed(|allowed| {
                    allowed.directory(&open, false).unwrap();
                }));
            }
        })
        .run();
    assert_eq!(lines, ["held", "ok:read to the end"]);
}

#[test]
fn a_directory_that_moved_is_decided_where_it_is_now() {
    let tree = Tree::new();
    tree.folder.file("open/dir/file", "open");
    let root = tree.folder.path().to_path_buf();
    let lines = tree
        .program()
        .arguments(["hold|moved|open/dir"])
        .on_line(move |line| {
            if line == "held" {
                std::fs::rename(root.join("open/dir"), root.join("secret/dir")).unwrap();
            }
        })
        .run();
    assert_eq!(lines, ["held", REFUSED]);
}

#[test]
fn a_guest_that_opens_too_much_hits_its_limit() {
    let tree = Tree::new();
    let program = tree.program().arguments(["open-many|open/file|10"]);
    assert_eq!(program.run(), ["ok:10"]);
    let (_, result) = tree
        .program()
        .with(|builder| {
            builder.handles(8);
        })
        .arguments(["open-many|open/file|10"])
        .try_run();
    let error = result.unwrap_err();
    assert!(airssys_host::wasi::is_handle_limit(&error), "{error:#}");
}

#[test]
fn every_access_is_counted_once_and_each_denial_is_reported() {
    use std::sync::Mutex;
    let folder = Folder::new();
    folder.file("open/file", "open");
    folder.file("secret/file", "secret");
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let open = folder.path().join("open");
    let gate = Arc::new(
        AllowList::new(allowed(|allowed| {
            allowed.directory(&open, false).unwrap();
        }))
        .on_denial(move |access, denial| {
            report
                .lock()
                .unwrap()
                .push(format!("{access}: {}", denial.rule))
        }),
    );
    Program::new("file-access", gate.clone())
        .mount(folder.path(), "/data", true)
        .arguments([
            "read|open/file|r",
            "read|secret/file|r",
            "stat|secret/none|f",
        ])
        .run();
    assert_eq!(
        gate.counts(),
        Counts {
            allowed: 1,
            denied: 2
        }
    );
    let reported = reported.lock().unwrap();
    assert_eq!(reported.len(), 2);
    assert!(
        reported[0].starts_with("filesystem.read ") && reported[0].contains("secret/file: "),
        "{reported:?}"
    );
    assert!(
        reported[1].starts_with("filesystem.metadata ") && reported[1].contains("secret/none: "),
        "{reported:?}"
    );
}

#[test]
fn the_standard_library_of_a_guest_works_on_what_is_granted() {
    let tree = Tree::new();
    let lines = tree.run(&[
        "std-write|/data/open/new|written",
        "std-read|/data/open/new",
        "std-write|/data/open/new|rewritten",
        "std-read|/data/open/../open/new",
        "std-write|/data/secret/new|x",
    ]);
    assert_eq!(
        lines,
        [
            "ok:",
            "ok:written",
            "ok:",
            "ok:rewritten",
            "err:PermissionDenied"
        ]
    );
    assert_eq!(tree.text("open/new"), "rewritten");
}
