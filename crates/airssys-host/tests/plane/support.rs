//! A plane with puppets, and what it told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use airssys_host::component::{Component, Loading};
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::gate::{AllowList, Allowed, MessageAccess};
use airssys_host::limits::Limits;
use airssys_host::plane::{
    Answer, Ask, Blueprint, Bounds, Cell, Ending, Event, Failure, Observer, Options, Outcome,
    Plane, PlaneSpec, Reason, Source, Stage, Target, Waiter,
};
use airssys_host::wasi::{Builder, Output};
use bytes::Bytes;
use serde_json::{Value, json};

/// Nothing here takes long; what hangs fails its test instead of the whole run.
const PATIENCE: Duration = Duration::from_secs(30);
pub const SECOND: u64 = 1_000_000_000;

fn build(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
        .args(["--package", name, "--manifest-path"])
        .arg(root.join("components/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success(), "the guest {name} does not build");
    target
        .join("wasm32-wasip2/release")
        .join(format!("{}.wasm", name.replace('-', "_")))
}

pub fn load(bytes: &[u8]) -> Arc<Component> {
    let loading = Loading {
        limits: StaticLimits::default(),
        cache: None,
        in_process: true,
        progress: &mut |_| {},
        interrupted: &mut || false,
        report: &mut |_| {},
    };
    Arc::new(Component::load(bytes, loading).unwrap())
}

pub fn puppet() -> Arc<Component> {
    static PUPPET: LazyLock<Arc<Component>> =
        LazyLock::new(|| load(&std::fs::read(build("actor-puppet")).unwrap()));
    PUPPET.clone()
}

/// The guest of the measurements.
pub fn relay() -> Arc<Component> {
    static RELAY: LazyLock<Arc<Component>> =
        LazyLock::new(|| load(&std::fs::read(build("plane-relay")).unwrap()));
    RELAY.clone()
}

/// A blueprint whose guest has no rights but its output.
pub fn blueprint(component: Arc<Component>, limits: Limits, accepts: Vec<u64>) -> Arc<Blueprint> {
    let wasi = Arc::new(
        |_: &airssys_host::services::Identity, outputs: airssys_host::plane::Outputs| {
            let mut builder = Builder::new(Arc::new(AllowList::default()));
            builder
                .stdout(Output::Callback(outputs.stdout))
                .stderr(Output::Callback(outputs.stderr));
            Ok(builder.build()?)
        },
    );
    Blueprint::new(
        component,
        limits,
        wasi,
        Vec::new(),
        Vec::new(),
        accepts,
        Arc::default(),
    )
    .unwrap()
}

/// Every right to messages.
pub fn everything() -> Arc<AllowList> {
    let mut allowed = Allowed::default();
    for access in [
        MessageAccess::Send,
        MessageAccess::Ask,
        MessageAccess::Broadcast,
        MessageAccess::Publish,
        MessageAccess::Subscribe,
    ] {
        allowed.message(access, "**").unwrap();
    }
    Arc::new(AllowList::new(allowed))
}

/// Keeps what happened.
#[derive(Default)]
pub struct Recorder {
    pub failures: Mutex<Vec<(String, Ending)>>,
    pub dead: Mutex<Vec<(String, Reason)>>,
    /// The numbers of the chains of callers of what died.
    pub chains: Mutex<Vec<Option<u64>>>,
    pub stages: Mutex<Vec<(String, Stage)>>,
}

impl Observer for Recorder {
    fn happened(&self, event: Event) {
        match event {
            Event::Failed {
                address, ending, ..
            } => self
                .failures
                .lock()
                .unwrap()
                .push((address.to_string(), ending)),
            Event::Dead {
                address,
                reason,
                envelope,
                ..
            } => {
                let number = envelope.callers.as_ref().map(|chain| chain.number());
                self.chains.lock().unwrap().push(number);
                self.dead
                    .lock()
                    .unwrap()
                    .push((address.to_string(), reason));
            }
            Event::Stage { address, stage, .. } => self
                .stages
                .lock()
                .unwrap()
                .push((address.to_string(), stage)),
            // No cell of these tests asks for message hooks.
            Event::Log(_) | Event::Message { .. } => {}
        }
    }
}

pub struct World {
    pub plane: Plane,
    pub recorder: Arc<Recorder>,
    virtual_time: bool,
}

impl World {
    /// In virtual time.
    pub fn new() -> Self {
        Self::with(true)
    }

    /// With threads.
    pub fn threaded() -> Self {
        Self::with(false)
    }

    fn with(virtual_time: bool) -> Self {
        let plane = Plane::new(PlaneSpec {
            virtual_time,
            ..PlaneSpec::default()
        });
        let recorder = Arc::new(Recorder::default());
        plane.shared().set_observer(Some(recorder.clone()));
        Self {
            plane,
            recorder,
            virtual_time,
        }
    }

    /// A puppet with every right, running.
    pub fn puppet(&self, address: &str) -> Arc<Cell> {
        self.puppet_with(address, Bounds::default(), Limits::default(), Vec::new())
    }

    pub fn puppet_with(
        &self,
        address: &str,
        bounds: Bounds,
        limits: Limits,
        accepts: Vec<u64>,
    ) -> Arc<Cell> {
        let blueprint = blueprint(puppet(), limits, accepts);
        let cell = self
            .plane
            .spawn(address, blueprint, bounds, everything())
            .unwrap();
        let started = cell.start(None, Waiter::Nobody);
        assert_eq!(self.outcome(&started), Ok(Answer::Done));
        cell
    }

    pub fn target(&self, address: &str) -> Target {
        self.plane.shared().find(address).unwrap()
    }

    /// Run until nothing is left to do now, then take the outcome.
    pub fn outcome(&self, ask: &Arc<Ask>) -> Outcome {
        if self.virtual_time {
            self.plane.run();
            return ask
                .take()
                .expect("there is an outcome once nothing is left to do");
        }
        let mut outcome = None;
        until(|| {
            outcome = ask.take();
            outcome.is_some()
        });
        outcome.expect("just seen")
    }

    pub fn run(&self) {
        self.plane.run();
    }

    /// Let time pass and run what is due, in its order.
    pub fn pass(&self, nanos: u64) {
        let end = self.plane.shared().clock.now() + nanos;
        self.run();
        while let Some(next) = self.plane.next_timer().filter(|next| *next <= end) {
            self.plane.advance(next);
            self.run();
        }
        self.plane.advance(end);
        self.run();
    }

    pub fn tell(&self, to: &Arc<Cell>, message: &Value) -> Result<(), Failure> {
        self.tell_with(to, message, Options::default())
    }

    pub fn tell_with(
        &self,
        to: &Arc<Cell>,
        message: &Value,
        options: Options,
    ) -> Result<(), Failure> {
        self.plane.shared().send_now(
            &Target::Actor(to.clone()),
            Source::Host,
            payload(message),
            options,
            0,
        )
    }

    /// Ask without waiting.
    pub fn asking(&self, to: &Arc<Cell>, actions: Value) -> Result<Arc<Ask>, Failure> {
        self.plane.shared().ask(
            &Target::Actor(to.clone()),
            Source::Host,
            payload(&json!({"do": actions})),
            Options::default(),
            5 * SECOND,
            Waiter::Nobody,
        )
    }

    /// What the actions give.
    pub fn ask(&self, to: &Arc<Cell>, actions: Value) -> Value {
        self.try_ask(to, actions).unwrap()
    }

    pub fn try_ask(&self, to: &Arc<Cell>, actions: Value) -> Result<Value, Failure> {
        let ask = self.asking(to, actions)?;
        match self.outcome(&ask)? {
            Answer::Payload(payload) => Ok(payload.map_or(Value::Null, |payload| read(&payload))),
            other => panic!("no reply: {other:?}"),
        }
    }

    /// The tags of what a puppet handled, in order.
    pub fn tags(&self, of: &Arc<Cell>) -> Value {
        self.ask(of, json!([["tags"]]))[0].clone()
    }

    /// `accepted = handled + queued + in flight + dead`, and the same of its asks.
    pub fn assert_conserved(&self, cell: &Arc<Cell>) {
        let seen = cell.inspect();
        let counts = seen.counts;
        let queued = seen.queued.iter().sum::<usize>() as u64;
        let in_flight = u64::from(seen.current.is_some());
        let dead = counts.dead.iter().sum::<u64>();
        assert_eq!(
            counts.accepted,
            counts.handled + queued + in_flight + dead,
            "{seen:?}"
        );
        assert_eq!(
            seen.asked,
            seen.answered + seen.failed + seen.expired + seen.cancelled + seen.pending,
            "{seen:?}"
        );
    }

    pub fn dead(&self) -> Vec<(String, Reason)> {
        self.recorder.dead.lock().unwrap().clone()
    }
}

/// Wait for an event that another thread brings about.
pub fn until(mut there: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < end, "what was waited for did not come");
        std::thread::yield_now();
    }
}

pub fn payload(message: &Value) -> Bytes {
    let mut bytes = vec![0x80, 0x04];
    bytes.extend(message.to_string().bytes());
    bytes.into()
}

pub fn read(payload: &[u8]) -> Value {
    serde_json::from_slice(payload.strip_prefix(&[0x80, 0x04]).expect("JSON")).unwrap()
}

pub fn tagged(tag: impl serde::Serialize) -> Value {
    json!({"tag": tag})
}
