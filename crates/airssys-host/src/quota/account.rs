//! What a deployment, a namespace or a host uses, and the most that it may.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwapOption;

use super::bucket::Bucket;
use super::gauge::{Gauge, UNBOUNDED};
use super::notices::{Happened, Notice, Notices};
use crate::engine::address_space;
use crate::instance::now_nanos;
use crate::limits::{Limit, LimitExceeded};

/// Writes to storage from one look at what is stored to the next.
const LOOK: u64 = 32;
/// Nanoseconds between two notices of one limit that is reached again and again.
const QUIET: u64 = 1_000_000_000;
/// Nanoseconds between two notices that a limit of an account is nearly used up.
const CALM: u64 = 60 * QUIET;

/// The most that something may use together; `None` where nothing bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Bytes of linear memory of all instances.
    pub memory: Option<u64>,
    /// Instances at a time.
    pub instances: Option<u64>,
    pub calls_per_second: Option<u64>,
    /// Lines that guests log.
    pub log_lines_per_second: Option<u64>,
}

#[derive(Debug, Default)]
struct Hits {
    times: AtomicU64,
    /// Those that a notice has told of.
    told: AtomicU64,
    told_at: AtomicU64,
    near_told_at: AtomicU64,
    /// Of what is stored: four fifths are used.
    is_near: AtomicBool,
}

/// Whether the time is `apart` from the one that was noted last, if any; then it is noted.
fn time_again(noted: &AtomicU64, apart: u64) -> bool {
    let (now, before) = (now_nanos().max(1), noted.load(Ordering::Relaxed));
    (before == 0 || now.saturating_sub(before) >= apart)
        && noted
            .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

/// One account. Accounts form a tree: what a deployment uses, its namespace and its host use.
pub struct Account {
    owner: Arc<str>,
    parent: Option<Arc<Account>>,
    children: Mutex<Vec<Weak<Account>>>,
    notices: Arc<Notices>,
    memory: Gauge,
    instances: Gauge,
    calls: ArcSwapOption<Bucket>,
    log_lines: ArcSwapOption<Bucket>,
    writes: AtomicU64,
    log_lines_lost: AtomicU64,
    /// Those that no line has told of.
    log_lines_untold: AtomicU64,
    /// Whether a rate of calls bounds this account or one above it.
    paced: AtomicBool,
    hits: [Hits; Limit::ALL.len()],
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("owner", &self.owner)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// The account of a host, above all others.
    #[must_use]
    pub fn host(ceilings: &Ceilings) -> Arc<Self> {
        Self::new("host", None, Arc::default(), ceilings)
    }

    /// An account below another one. `owner` says whose it is: `namespace image`.
    #[must_use]
    pub fn below(parent: &Arc<Self>, owner: &str, ceilings: &Ceilings) -> Arc<Self> {
        Self::new(
            owner,
            Some(parent.clone()),
            parent.notices.clone(),
            ceilings,
        )
    }

    fn new(
        owner: &str,
        parent: Option<Arc<Self>>,
        notices: Arc<Notices>,
        ceilings: &Ceilings,
    ) -> Arc<Self> {
        let account = Arc::new(Self {
            owner: owner.into(),
            parent,
            children: Mutex::default(),
            notices,
            memory: Gauge::new(UNBOUNDED),
            instances: Gauge::new(UNBOUNDED),
            calls: ArcSwapOption::empty(),
            log_lines: ArcSwapOption::empty(),
            writes: AtomicU64::new(0),
            log_lines_lost: AtomicU64::new(0),
            log_lines_untold: AtomicU64::new(0),
            paced: AtomicBool::new(false),
            hits: Default::default(),
        });
        account.set(ceilings);
        if let Some(parent) = &account.parent {
            let mut children = parent
                .children
                .lock()
                .expect("no code under this lock panics");
            children.retain(|child| child.strong_count() > 0);
            children.push(Arc::downgrade(&account));
        }
        account
    }

    /// Set other ceilings. What is in use stays, also where it is more.
    pub fn set(&self, ceilings: &Ceilings) {
        self.memory.set_most(ceilings.memory.unwrap_or(UNBOUNDED));
        self.instances
            .set_most(ceilings.instances.unwrap_or(UNBOUNDED));
        pace(&self.calls, ceilings.calls_per_second);
        pace(&self.log_lines, ceilings.log_lines_per_second);
        let above = self
            .parent
            .as_ref()
            .is_some_and(|parent| parent.paced.load(Ordering::Relaxed));
        self.paced.store(
            above || ceilings.calls_per_second.is_some(),
            Ordering::Relaxed,
        );
    }

    #[must_use]
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    #[must_use]
    pub fn notices(&self) -> &Arc<Notices> {
        &self.notices
    }

    #[must_use]
    pub fn memory(&self) -> &Gauge {
        &self.memory
    }

    #[must_use]
    pub fn instances(&self) -> &Gauge {
        &self.instances
    }

    /// The rate of calls here, not counting those above.
    #[must_use]
    pub fn calls_per_second(&self) -> Option<u64> {
        self.calls.load().as_ref().map(|calls| calls.per_second())
    }

    /// Log lines that were dropped because there were too many.
    #[must_use]
    pub fn log_lines_lost(&self) -> u64 {
        self.log_lines_lost.load(Ordering::Relaxed)
    }

    /// How often something was refused or ended because of a limit, for those where it ever was.
    #[must_use]
    pub fn hits(&self) -> Vec<(Limit, u64)> {
        let times = |limit: Limit| self.hits[limit as usize].times.load(Ordering::Relaxed);
        let hits = Limit::ALL.iter().map(|limit| (*limit, times(*limit)));
        hits.filter(|(_, times)| *times > 0).collect()
    }

    /// Count bytes of linear memory in, here and above.
    ///
    /// # Errors
    /// The ceiling that they exceed. Then none are counted.
    pub fn grow_memory(&self, bytes: u64) -> Result<(), LimitExceeded> {
        self.grow(self, |account| &account.memory, Limit::Memory, bytes)
    }

    pub fn shrink_memory(&self, bytes: u64) {
        self.shrink(|account| &account.memory, bytes);
    }

    /// Count an instance in, here and above.
    ///
    /// # Errors
    /// The ceiling that it exceeds. Then it is not counted.
    pub fn add_instance(&self) -> Result<(), LimitExceeded> {
        self.grow(self, |account| &account.instances, Limit::Instances, 1)?;
        let Some((tenant, host)) = self.tenant_and_host() else {
            return Ok(());
        };
        let held = host.instances.now();
        let room = host
            .instances
            .most()
            .saturating_sub(held)
            .min(address_space::room());
        // Plenty: more than an eighth of all there may be.
        if room.saturating_mul(7) >= held {
            return Ok(());
        }
        self.keep_to_share(tenant, host, held + room)
    }

    /// Where instances are scarce, refuse one to a tenant that holds more than its part while there are others.
    #[cold]
    fn keep_to_share(&self, tenant: &Self, host: &Self, all: u64) -> Result<(), LimitExceeded> {
        let tenants = host.children();
        let tenants = tenants.iter().filter(|each| !each.children().is_empty());
        let share = all / (tenants.count() as u64).max(1);
        if tenant.instances.now() <= share {
            return Ok(());
        }
        self.remove_instance();
        Err(self.beyond(tenant, Limit::Instances, share))
    }

    /// The accounts of the namespace and of the host that this one is below, or is.
    fn tenant_and_host(&self) -> Option<(&Self, &Self)> {
        let mut tenant = self;
        let mut host = self.parent.as_deref()?;
        while let Some(above) = host.parent.as_deref() {
            (tenant, host) = (host, above);
        }
        Some((tenant, host))
    }

    /// The accounts directly below that are still somebody's.
    fn children(&self) -> Vec<Arc<Self>> {
        let mut children = self
            .children
            .lock()
            .expect("no code under this lock panics");
        children.retain(|child| child.strong_count() > 0);
        children.iter().filter_map(Weak::upgrade).collect()
    }

    pub fn remove_instance(&self) {
        self.shrink(|account| &account.instances, 1);
    }

    /// Grow here and above, for `by`, which is this or an account below.
    fn grow(
        &self,
        by: &Self,
        gauge: fn(&Self) -> &Gauge,
        limit: Limit,
        amount: u64,
    ) -> Result<(), LimitExceeded> {
        let own = gauge(self);
        let Some(now) = own.grow(amount) else {
            return Err(by.beyond(self, limit, own.most()));
        };
        if let Some(parent) = &self.parent
            && let Err(exceeded) = parent.grow(by, gauge, limit, amount)
        {
            own.shrink(amount);
            return Err(exceeded);
        }
        // Only now: what was refused above was never used.
        if own.note(now) {
            by.near(self, limit, own.most());
        }
        Ok(())
    }

    fn shrink(&self, gauge: impl Fn(&Self) -> &Gauge, amount: u64) {
        let mut account = Some(self);
        while let Some(here) = account {
            gauge(here).shrink(amount);
            account = here.parent.as_deref();
        }
    }

    /// Let a call in, by the rates here and above.
    ///
    /// # Errors
    /// The rate that it exceeds.
    pub fn admit_call(&self) -> Result<(), LimitExceeded> {
        if !self.paced.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.admit_paced_call()
    }

    #[cold]
    fn admit_paced_call(&self) -> Result<(), LimitExceeded> {
        let mut account = Some(self);
        while let Some(here) = account {
            if let Some(calls) = &*here.calls.load()
                && !calls.take(now_nanos)
            {
                let mut below = self;
                while !std::ptr::eq(below, here) {
                    if let Some(calls) = &*below.calls.load() {
                        calls.give_back();
                    }
                    below = below.parent.as_deref().expect("the walk went this way");
                }
                return Err(self.beyond(here, Limit::CallsPerSecond, calls.per_second()));
            }
            account = here.parent.as_deref();
        }
        Ok(())
    }

    /// Let a guest log one more line, and tell how many were dropped since the last; `None` drops this one too.
    /// `now` is as of [`Bucket::take`].
    pub fn admit_log_line(&self, now: impl FnOnce() -> u64) -> Option<u64> {
        let lines = self.log_lines.load();
        if let Some(lines) = &*lines
            && !lines.take(now)
        {
            self.log_lines_lost.fetch_add(1, Ordering::Relaxed);
            self.log_lines_untold.fetch_add(1, Ordering::Relaxed);
            self.refuse(Limit::LogLinesPerSecond, lines.per_second());
            return None;
        }
        match self.log_lines_untold.load(Ordering::Relaxed) {
            0 => Some(0),
            _ => Some(self.log_lines_untold.swap(0, Ordering::Relaxed)),
        }
    }

    /// Note that an instance of this account reached a limit of its own.
    pub fn reached(&self, exceeded: &LimitExceeded) {
        // What exceeded a ceiling was noted there.
        if exceeded.owner.is_none() {
            self.hit(self, exceeded.limit, exceeded.configured);
        }
    }

    /// Note that something was refused because of a limit of this account's.
    #[cold]
    pub fn refuse(&self, limit: Limit, configured: u64) {
        self.beyond(self, limit, configured);
    }

    /// Count a write to storage; every so often one is to be followed by [`Account::stored`].
    pub fn is_time_to_look_at_storage(&self) -> bool {
        self.writes.fetch_add(1, Ordering::Relaxed) % LOOK == LOOK - 1
    }

    /// Note how much of a limit of storage is used.
    pub fn stored(&self, limit: Limit, used: u64, most: u64) {
        let near = &self.hits[limit as usize].is_near;
        if used >= most - most / 5 {
            if !near.swap(true, Ordering::Relaxed) {
                self.near(self, limit, most);
            }
        } else if used < most / 10 * 7 {
            near.store(false, Ordering::Relaxed);
        }
    }

    /// Note that this account came near to a limit of `whose`, itself or one above.
    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
    pub fn near(&self, whose: &Self, limit: Limit, configured: u64) {
        if !time_again(&whose.hits[limit as usize].near_told_at, CALM) {
            return;
        }
        self.notices.tell(Notice {
            happened: Happened::Near,
            limit,
            configured: configured as f64,
            owner: whose.owner.clone(),
            by: self.owner.clone(),
            times: 1,
        });
    }

    #[cold]
    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
    fn beyond(&self, whose: &Self, limit: Limit, configured: u64) -> LimitExceeded {
        let configured = configured as f64;
        self.hit(whose, limit, configured);
        LimitExceeded {
            limit,
            configured,
            owner: Some(whose.owner.clone()),
        }
    }

    /// Count the refusal where the limit is, and with whoever met it.
    fn hit(&self, whose: &Self, limit: Limit, configured: f64) {
        if !std::ptr::eq(self, whose) {
            self.hits[limit as usize]
                .times
                .fetch_add(1, Ordering::Relaxed);
        }
        let hits = &whose.hits[limit as usize];
        let times = hits.times.fetch_add(1, Ordering::Relaxed) + 1;
        if time_again(&hits.told_at, QUIET) {
            let told = hits.told.swap(times, Ordering::Relaxed);
            self.notices.tell(Notice {
                happened: Happened::Reached,
                limit,
                configured,
                owner: whose.owner.clone(),
                by: self.owner.clone(),
                times: times.saturating_sub(told).max(1),
            });
        }
    }
}

/// Set a rate; one that stays the same keeps its tokens.
fn pace(place: &ArcSwapOption<Bucket>, per_second: Option<u64>) {
    if place.load().as_ref().map(|bucket| bucket.per_second()) != per_second {
        place.store(per_second.map(|rate| Arc::new(Bucket::new(rate))));
    }
}
