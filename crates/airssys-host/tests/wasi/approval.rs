//! A gate that asks somebody.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use airssys_host::gate::callers::Acting;
use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::gate::subject::Subject;
use airssys_host::gate::{Access, Decision, Gate, Generation};

use super::support::{Folder, Program};

/// Asks about everything once, runs `meanwhile` before it answers, and allows what is approved.
struct Asking {
    generation: Generation,
    answer: bool,
    asked: AtomicUsize,
    decided: Mutex<Vec<String>>,
    meanwhile: Arc<dyn Fn() + Send + Sync>,
}

impl Gate for Asking {
    fn decide(&self, access: &Access<'_>) -> Decision {
        self.decided.lock().unwrap().push(access.to_string());
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            return Decision::Allow;
        }
        let (answer, meanwhile) = (self.answer, Arc::clone(&self.meanwhile));
        Decision::Ask(Box::pin(async move {
            tokio::task::yield_now().await;
            meanwhile();
            answer
        }))
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn mark(&self) -> u64 {
        self.generation.mark(0)
    }

    fn of_instance(&self, _: &Arc<Acting>) -> Option<Arc<dyn Gate>> {
        None
    }

    fn rules(&self) -> Option<&RuleGate> {
        None
    }

    fn principal(&self) -> Option<&Arc<Subject>> {
        None
    }
}

fn read_file(
    answer: bool,
    meanwhile: impl Fn(&std::path::Path) + Send + Sync + 'static,
) -> (Vec<String>, Vec<String>) {
    let folder = Folder::new();
    folder.file("file", "first");
    folder.file("other", "second");
    let root = folder.path().to_path_buf();
    let gate = Arc::new(Asking {
        generation: Generation::default(),
        answer,
        asked: AtomicUsize::new(0),
        decided: Mutex::default(),
        meanwhile: Arc::new(move || meanwhile(&root)),
    });
    let lines = Program::new("file-access", gate.clone())
        .mount(folder.path(), "/data", false)
        .arguments(["read|file|rf"])
        .run();
    let decided = gate.decided.lock().unwrap().clone();
    (lines, decided)
}

#[test]
fn an_approved_access_goes_on_and_a_refused_one_does_not() {
    assert_eq!(read_file(true, |_| {}).0, ["ok:first"]);
    assert_eq!(read_file(false, |_| {}).0, ["err:not-permitted"]);
}

#[test]
fn what_was_approved_is_resolved_and_decided_again() {
    let (lines, decided) = read_file(true, |root| {
        std::fs::remove_file(root.join("file")).unwrap();
        std::os::unix::fs::symlink("other", root.join("file")).unwrap();
    });
    assert_eq!(lines, ["ok:second"]);
    assert_eq!(decided.len(), 2);
    assert!(
        decided[0].ends_with("/file") && decided[1].ends_with("/other"),
        "{decided:?}"
    );
}
