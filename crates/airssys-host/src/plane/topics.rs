//! Who receives what is published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use super::context::bound;
use super::pattern::Pattern;
use super::target::Target;
use crate::gate::callers::{Acting, Callers};
use crate::gate::{Access, Decision, Gate, MessageAccess};

/// Topics of one subscription whose right is remembered.
const REMEMBERED: usize = 256;

struct Subscription {
    text: Arc<str>,
    pattern: Pattern,
    target: Target,
    /// `None` for the host's own, which needs no right. It decides for those for whom the owner subscribed.
    gate: Option<Arc<dyn Gate>>,
    callers: Option<Arc<Callers>>,
    /// Topics that the gate allowed, and in which generation.
    allowed: Mutex<HashMap<Arc<str>, u64>>,
}

impl Subscription {
    /// Whether its owner may receive `topic`: decided for the very topic, since a pattern names many.
    fn may_receive(&self, topic: &Arc<str>) -> bool {
        let Some(gate) = &self.gate else { return true };
        let generation = gate.generation().current();
        let mut allowed = self.allowed.lock().expect("no code under this lock panics");
        if allowed.get(topic) == Some(&generation) {
            return true;
        }
        let access = Access::Message {
            access: MessageAccess::Subscribe,
            target: topic,
        };
        if !matches!(gate.decide(&access), Decision::Allow) {
            return false;
        }
        if allowed.len() == REMEMBERED {
            allowed.clear();
        }
        allowed.insert(topic.clone(), generation);
        true
    }
}

/// All subscriptions of a plane.
#[derive(Default)]
pub(super) struct Topics {
    subscriptions: RwLock<Vec<Arc<Subscription>>>,
}

impl Topics {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Subscription>>> {
        self.subscriptions
            .read()
            .expect("no code under this lock panics")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Subscription>>> {
        self.subscriptions
            .write()
            .expect("no code under this lock panics")
    }

    /// Subscribe; twice is once.
    pub fn subscribe(
        &self,
        target: Target,
        text: &str,
        pattern: Pattern,
        rights: Option<(Arc<dyn Gate>, Option<Arc<Callers>>)>,
    ) {
        let (gate, callers) = rights.unzip();
        let callers = callers.flatten();
        let mut all = self.write();
        all.retain(|other| !(*other.text == *text && other.target.is(&target)));
        all.push(Arc::new(Subscription {
            text: text.into(),
            pattern,
            target,
            gate: gate.map(|gate| bound(&gate, &Acting::only_for(callers.clone()))),
            callers,
            allowed: Mutex::default(),
        }));
    }

    pub fn unsubscribe(&self, target: &Target, text: &str) -> bool {
        let mut all = self.write();
        let before = all.len();
        all.retain(|other| !(*other.text == *text && other.target.is(target)));
        all.len() < before
    }

    /// `target` is gone.
    pub fn forget(&self, target: &Target) {
        if self.read().iter().any(|other| other.target.is(target)) {
            self.write().retain(|other| !other.target.is(target));
        }
    }

    /// Other rights for the subscriptions of `target`.
    pub fn regrant(&self, target: &Target, gate: &Arc<dyn Gate>) {
        for subscription in &mut *self.write() {
            // What the host subscribed it to needs no right.
            if subscription.target.is(target) && subscription.gate.is_some() {
                *subscription = Arc::new(Subscription {
                    text: subscription.text.clone(),
                    pattern: subscription.pattern.clone(),
                    target: subscription.target.clone(),
                    gate: Some(bound(gate, &Acting::only_for(subscription.callers.clone()))),
                    callers: subscription.callers.clone(),
                    allowed: Mutex::default(),
                });
            }
        }
    }

    /// Those who receive `topic`, each once, in the order of their subscriptions; and how many lack the right.
    pub fn receivers(&self, topic: &Arc<str>) -> (Vec<Target>, u64) {
        let matching: Vec<Arc<Subscription>> = self
            .read()
            .iter()
            .filter(|subscription| subscription.pattern.matches(topic))
            .cloned()
            .collect();
        let mut receivers: Vec<Target> = Vec::with_capacity(matching.len());
        let mut refused = 0;
        for subscription in matching {
            if receivers.iter().any(|known| known.is(&subscription.target)) {
                continue;
            }
            if subscription.may_receive(topic) {
                receivers.push(subscription.target.clone());
            } else {
                refused += 1;
            }
        }
        (receivers, refused)
    }

    /// The patterns that `target` subscribed to.
    pub fn of(&self, target: &Target) -> Vec<Arc<str>> {
        self.read()
            .iter()
            .filter(|other| other.target.is(target))
            .map(|other| other.text.clone())
            .collect()
    }
}
