//! HTTP from outside to deployments: connections, requests, and what answers them.
//!
//! No interpreter is entered on the way. A request is matched by host and path, finds room, enters the route of its
//! deployment, and is answered by the component's own HTTP handler or by a function that takes JSON.

mod body;
mod connection;
mod function;
mod guest;
mod handler;
mod io;
mod json;
mod limits;
mod listener;
mod problem;
mod request;
mod rules;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

pub use guest::{Answering, Answers};
pub use limits::IngressLimits;
pub use listener::Listen;
pub use rules::{Handling, KeySource, PathRule, Rule, RuleError, Rules};
pub use statistics::{Count, IngressStatistics};

/// What all connections of an ingress have in common.
struct Shared {
    limits: Arc<IngressLimits>,
    statistics: Arc<IngressStatistics>,
    rules: ArcSwap<Rules>,
    /// For requests that are answered.
    room: Arc<Semaphore>,
    /// Requests that wait for it.
    waiting: AtomicUsize,
    /// Where guests use functions of the embedder's.
    answering: Option<Arc<dyn Answering>>,
}

/// Listens for HTTP requests, from [`Ingress::start`] to [`Ingress::close`] or its drop.
pub struct Ingress {
    shared: Arc<Shared>,
    address: String,
    /// How long requests that are under way may take, once it is to end.
    ending: watch::Sender<Option<Duration>>,
    ended: watch::Receiver<bool>,
}

impl Ingress {
    /// Listen, on the threads of `runtime`. Requests are taken when this returns.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start(
        runtime: &Handle,
        listen: &Listen,
        rules: Rules,
        limits: IngressLimits,
        answering: Option<Arc<dyn Answering>>,
    ) -> std::io::Result<Self> {
        let _context = runtime.enter();
        let (listener, address) = listener::bind(listen)?;
        let shared = Arc::new(Shared {
            room: Arc::new(Semaphore::new(limits.requests)),
            limits: Arc::new(limits),
            statistics: Arc::default(),
            rules: ArcSwap::from_pointee(rules),
            waiting: AtomicUsize::new(0),
            answering,
        });
        let (ending, told) = watch::channel(None);
        let (end, ended) = watch::channel(false);
        let accepting = listener::accept(shared.clone(), listener, told);
        runtime.spawn(async move {
            accepting.await;
            end.send_replace(true);
        });
        Ok(Self {
            shared,
            address,
            ending,
            ended,
        })
    }

    /// Where it listens: `127.0.0.1:8080`, or `unix:/run/app.sock`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What came in so far.
    #[must_use]
    pub fn statistics(&self) -> &IngressStatistics {
        &self.shared.statistics
    }

    /// Go by other rules from the next request on.
    pub fn set_rules(&self, rules: Rules) {
        self.shared.rules.store(Arc::new(rules));
    }

    /// Take no connection any more, and resolve when the last has ended: once it has no request under way, and after
    /// `drain` in any case.
    pub async fn close(&self, drain: Duration) {
        self.ending.send_modify(|ending| {
            // The shorter of two patiences.
            *ending = Some(ending.map_or(drain, |earlier| earlier.min(drain)));
        });
        let mut ended = self.ended.clone();
        // Its sender is gone only when the runtime is, and everything with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.ending
            .send_modify(|ending| *ending = Some(Duration::ZERO));
    }
}
