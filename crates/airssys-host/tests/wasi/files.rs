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
