//! Who acts, for whom, and how strictly rules are enforced.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use super::callers::{Callers, join};
use super::condition::{Attributes, unix_seconds};
use super::matcher::Bound;

/// What happens to an access that nobody granted and nobody denied.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Enforcement {
    /// It passes and is remembered, so that the least request covering it can be written.
    Learn,
    /// It passes and is logged as such, until this time (seconds since 1970).
    Observe {
        until: f64,
    },
    Enforce,
}

impl Enforcement {
    pub const fn name(self) -> &'static str {
        match self {
            Enforcement::Learn => "learn",
            Enforcement::Observe { .. } => "observe",
            Enforcement::Enforce => "enforce",
        }
    }

    /// What holds now: observing ends by itself.
    pub fn now(self) -> Enforcement {
        match self {
            Enforcement::Observe { until } if unix_seconds() >= until => Enforcement::Enforce,
            other => other,
        }
    }

    /// The stricter of two.
    #[must_use]
    pub fn stricter(self, other: Enforcement) -> Enforcement {
        match (self, other) {
            (Enforcement::Observe { until }, Enforcement::Observe { until: other }) => {
                Enforcement::Observe {
                    until: until.min(other),
                }
            }
            (one, other) if other.strictness() > one.strictness() => other,
            (one, _) => one,
        }
    }

    fn strictness(self) -> u8 {
        match self {
            Enforcement::Learn => 0,
            Enforcement::Observe { .. } => 1,
            Enforcement::Enforce => 2,
        }
    }
}

/// A principal in the situation in which it acts.
#[derive(Debug)]
pub struct Subject {
    pub name: String,
    pub roles: Vec<String>,
    pub namespace: Option<String>,
    /// What `self` means in rules: never used for anyone else.
    pub id: String,
    pub attributes: Attributes,
    pub enforcement: Enforcement,
    pub deployment: Option<String>,
    pub revision: Option<u64>,
    /// For whom it acts, where that is known when it is made.
    pub callers: Option<Arc<Callers>>,
    pub trace: Option<String>,
    pub session: Option<String>,
    /// Whether an untrusted guest speaks, whose records are marked.
    pub guest: bool,
    pub budget: Option<Arc<Budget>>,
    /// The same for every subject that differs in nothing that rules select by.
    bound: Arc<ArcSwapOption<Bound>>,
    /// The part of an audit record that is the same for every access.
    record: std::sync::OnceLock<Vec<u8>>,
}

impl Subject {
    pub fn named(name: impl Into<String>) -> Subject {
        let name = name.into();
        Subject {
            id: name.clone(),
            name,
            roles: Vec::new(),
            namespace: None,
            attributes: Attributes::new(),
            enforcement: Enforcement::Enforce,
            deployment: None,
            revision: None,
            callers: None,
            trace: None,
            session: None,
            guest: false,
            budget: None,
            bound: Arc::default(),
            record: std::sync::OnceLock::new(),
        }
    }

    /// A subject like this one, whose callers, attributes, trace and session may then be set.
    pub fn again(&self) -> Subject {
        Subject {
            name: self.name.clone(),
            roles: self.roles.clone(),
            namespace: self.namespace.clone(),
            id: self.id.clone(),
            attributes: self.attributes.clone(),
            enforcement: self.enforcement,
            deployment: self.deployment.clone(),
            revision: self.revision,
            callers: self.callers.clone(),
            trace: self.trace.clone(),
            session: self.session.clone(),
            guest: self.guest,
            budget: self.budget.clone(),
            bound: Arc::clone(&self.bound),
            record: std::sync::OnceLock::new(),
        }
    }

    /// The first of the chain of callers.
    pub fn original_caller(&self) -> Option<&Subject> {
        self.callers.as_ref().map(|callers| &**callers.original())
    }

    /// The strictest enforcement in the chain of callers.
    pub fn effective_enforcement(&self) -> Enforcement {
        let theirs = self
            .callers
            .iter()
            .flat_map(|callers| callers.enforcements());
        theirs.fold(self.enforcement.now(), Enforcement::stricter)
    }

    pub(super) fn bound(&self) -> &ArcSwapOption<Bound> {
        &self.bound
    }

    /// The same principal while it acts for `callers`, after those of its own.
    #[must_use]
    pub fn acting_for(&self, callers: &Arc<Callers>) -> Subject {
        Subject {
            callers: join(Some(callers), self.callers.as_ref()),
            ..self.again()
        }
    }

    /// The same principal as it acted when `chain`, in which it came last, was made.
    #[must_use]
    pub fn called_by(&self, chain: &Arc<Callers>) -> Subject {
        Subject {
            callers: chain.before(self),
            ..self.again()
        }
    }

    pub(super) fn record_part(&self, make: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.record.get_or_init(make)
    }
}

/// How many records a principal may write before it is slowed: a token bucket.
#[derive(Debug)]
pub struct Budget {
    rate: f64,
    burst: f64,
    /// Tokens left, and when that was so.
    state: Mutex<(f64, std::time::Instant)>,
}

impl Budget {
    /// `rate` records a second, `burst` at once.
    pub fn new(rate: f64, burst: f64) -> Budget {
        Budget {
            rate,
            burst,
            state: Mutex::new((burst, std::time::Instant::now())),
        }
    }

    /// Take one token if there is one.
    pub fn try_take(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.grown(&state);
        if tokens < 1.0 {
            return false;
        }
        *state = (tokens - 1.0, Instant::now());
        true
    }

    /// Whether nothing was taken for long enough.
    pub fn is_full(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.grown(&state) >= self.burst
    }

    /// The tokens that there are by now.
    fn grown(&self, state: &(f64, Instant)) -> f64 {
        (state.0 + state.1.elapsed().as_secs_f64() * self.rate).min(self.burst)
    }

    /// Take one token; the answer is how long the caller should wait, zero within the budget.
    pub fn take(&self) -> std::time::Duration {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = std::time::Instant::now();
        let grown = now.duration_since(state.1).as_secs_f64() * self.rate;
        // A debt is bounded, so that a flood delays its author for a second at most.
        let tokens = ((state.0 + grown).min(self.burst) - 1.0).max(-self.rate.max(1.0));
        *state = (tokens, now);
        if tokens >= 0.0 {
            std::time::Duration::ZERO
        } else {
            std::time::Duration::try_from_secs_f64(-tokens / self.rate.max(f64::MIN_POSITIVE))
                .map_or(std::time::Duration::from_secs(1), |wait| {
                    wait.min(std::time::Duration::from_secs(1))
                })
        }
    }
}
