//! How fast messages between component actors are, with tokio's channels as the floor in the same run.
//!
//! `python tools/guests.py --only plane-relay`, then `cargo run --release -p airssys-host --example plane_speed`.
//! Prints a JSON object for each row. Arguments: the parts to measure, all without any (`floor`, `ring`, `flood`,
//! `asks`, `thread`, `port`, `restarts`, `live`), and how many actors `live` holds.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airssys_host::component::{Component, Loading};
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::gate::{AllowList, Allowed, MessageAccess};
use airssys_host::limits::Limits;
use airssys_host::plane::{
    Answer, Blueprint, Bounds, Cell, MakeWasi, Options, Plane, PlaneSpec, PortSink, PortSpec,
    Setting, Source, Target, Waiter,
};
use airssys_host::services::Identity;
use airssys_host::wasi::{Builder, Output};
use bytes::Bytes;

/// The allocator of the module that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RING: usize = 100;
const SECOND: u64 = 1_000_000_000;

fn load() -> Arc<Component> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/components/plane-relay.wasm");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build it with: python tools/guests.py --only plane-relay",
            path.display()
        )
    });
    let loading = Loading {
        limits: StaticLimits::default(),
        cache: None,
        in_process: true,
        progress: &mut |_| {},
        interrupted: &mut || false,
        report: &mut |_| {},
    };
    Arc::new(Component::load(&bytes, loading).expect("the guest is a valid component"))
}

fn blueprint(component: &Arc<Component>, next: &str) -> Arc<Blueprint> {
    let wasi: MakeWasi = Arc::new(|_: &Identity, outputs| {
        let mut builder = Builder::new(Arc::new(AllowList::default()));
        builder
            .stdout(Output::Callback(outputs.stdout))
            .stderr(Output::Callback(outputs.stderr));
        Ok(builder.build()?)
    });
    let config = vec![("next".to_owned(), Setting::Text(next.to_owned()))];
    let limits = Limits::default();
    Blueprint::new(
        component.clone(),
        limits,
        wasi,
        Vec::new(),
        config,
        Vec::new(),
        Arc::default(),
    )
    .expect("all that the guest imports is there")
}

fn rights() -> Arc<AllowList> {
    let mut allowed = Allowed::default();
    for access in [MessageAccess::Send, MessageAccess::Ask] {
        allowed.message(access, "**").expect("a pattern");
    }
    Arc::new(AllowList::new(allowed))
}

fn wait(until: impl Fn() -> bool) {
    while !until() {
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn spawn(plane: &Plane, component: &Arc<Component>, address: &str, next: &str) -> Arc<Cell> {
    let bounds = Bounds {
        capacity: 100_000,
        ..Bounds::default()
    };
    let cell = plane
        .spawn(address, blueprint(component, next), bounds, rights())
        .expect("the address is free");
    let started = cell.start(None, Waiter::Nobody);
    wait(|| started.is_done());
    cell
}

fn payload(kind: u8, number: u32, size: usize) -> Bytes {
    let mut payload = vec![0x55, kind];
    payload.extend(number.to_le_bytes());
    payload.resize(size.max(6), 0);
    payload.into()
}

fn tell(plane: &Plane, to: &Arc<Cell>, payload: Bytes) {
    let target = Target::Actor(to.clone());
    plane
        .shared()
        .send_now(&target, Source::Host, payload, Options::default(), 0)
        .expect("there is room");
}

fn ask(plane: &Plane, to: &Arc<Cell>, payload: Bytes) -> Bytes {
    let target = Target::Actor(to.clone());
    let ask = plane
        .shared()
        .ask(
            &target,
            Source::Host,
            payload,
            Options::default(),
            60 * SECOND,
            Waiter::Nobody,
        )
        .expect("there is room");
    wait(|| ask.is_done());
    match ask.take() {
        Some(Ok(Answer::Payload(Some(answer)))) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(count: u64, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64()).round()
}

fn row(name: &str, value: f64, unit: &str) {
    println!(
        "{}",
        serde_json::json!({"row": name, "value": value, "unit": unit})
    );
}

/// Nanoseconds for which the threads of planes that live now have had a processor: what they cost on a machine
/// that others use too.
fn plane_cpu() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks
        .filter_map(|task| {
            let task = task.ok()?.path();
            let name = std::fs::read_to_string(task.join("comm")).ok()?;
            if !name.starts_with("airssys-plane") {
                return None;
            }
            let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
            times.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// Tokens around a ring of actors: every message is one turn of one actor.
fn ring(component: &Arc<Component>, tokens: u32) {
    let plane = Plane::new(PlaneSpec {
        threads: 1,
        ..PlaneSpec::default()
    });
    let actors: Vec<Arc<Cell>> = (0..RING)
        .map(|number| {
            let next = format!("ring/a{}", (number + 1) % RING);
            spawn(&plane, component, &format!("ring/a{number}"), &next)
        })
        .collect();
    let handled = || -> u64 {
        actors
            .iter()
            .map(|cell| cell.inspect().counts.handled)
            .sum()
    };
    let hops = 1_000_000 / tokens;
    let expected = u64::from(hops + 1) * u64::from(tokens);
    let begun = Instant::now();
    let cpu = plane_cpu();
    for token in 0..tokens {
        tell(&plane, &actors[token as usize % RING], payload(1, hops, 64));
    }
    wait(|| handled() == expected);
    let name =
        format!("component to component, ring of {RING}, {tokens} tokens, 64 bytes, 1 thread");
    row(&name, rate(expected, begun.elapsed()), "messages/s");
    let cpu = Duration::from_nanos(plane_cpu() - cpu);
    row(
        &name,
        rate(expected, cpu),
        "messages per second of processor time",
    );
}

fn flood(component: &Arc<Component>) {
    const BURST: u32 = 50_000;
    let plane = Plane::new(PlaneSpec {
        threads: 1,
        ..PlaneSpec::default()
    });
    let sink = spawn(&plane, component, "flood/sink", "");
    let source = spawn(&plane, component, "flood/source", "flood/sink");
    let begun = Instant::now();
    let cpu = plane_cpu();
    let mut sent = 0_u64;
    for _ in 0..20 {
        ask(&plane, &source, payload(5, BURST, 6));
        sent += u64::from(BURST);
        wait(|| sink.queued() < 1000);
    }
    wait(|| sink.inspect().counts.handled == sent);
    let name = "component to component, one to one, 2 bytes, 1 thread";
    row(name, rate(sent, begun.elapsed()), "messages/s");
    let cpu = Duration::from_nanos(plane_cpu() - cpu);
    row(
        name,
        rate(sent, cpu),
        "messages per second of processor time",
    );
}

fn asks(component: &Arc<Component>) {
    for threads in [1, 2] {
        let plane = Plane::new(PlaneSpec {
            threads,
            ..PlaneSpec::default()
        });
        spawn(&plane, component, "ask/answerer", "");
        let asker = spawn(&plane, component, "ask/asker", "ask/answerer");
        ask(&plane, &asker, payload(4, 10_000, 6));
        let answer = ask(&plane, &asker, payload(4, 100_000, 6));
        let mut times: Vec<u64> = answer[1..]
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
            .collect();
        times.sort_unstable();
        for (name, share) in [("p50", 50), ("p99", 99)] {
            let at = times[(times.len() - 1) * share / 100];
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let micros = at as f64 / 1000.0;
            row(
                &format!("ask between components, {name}, {threads} threads"),
                micros,
                "us",
            );
        }
    }
}

fn from_a_thread(component: &Arc<Component>) {
    const COUNT: u64 = 200_000;
    let plane = Plane::new(PlaneSpec::default());
    let echo = spawn(&plane, component, "thread/echo", "");
    let target = Target::Actor(echo.clone());
    let shared = plane.shared();
    let message = payload(2, 0, 6);
    let begun = Instant::now();
    for _ in 0..COUNT {
        let claimed = echo.claim();
        let asked = shared
            .ask(
                &target,
                Source::Host,
                message.clone(),
                Options::default(),
                SECOND,
                Waiter::Nobody,
            )
            .expect("there is room");
        if claimed {
            echo.run_claimed();
        }
        while !asked.is_done() {
            std::thread::yield_now();
        }
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    row("ask from a thread, mean", micros / COUNT as f64, "us");
    let begun = Instant::now();
    for _ in 0..COUNT {
        while shared
            .send_now(
                &target,
                Source::Host,
                payload(3, 0, 6),
                Options::default(),
                0,
            )
            .is_err()
        {
            std::thread::yield_now();
        }
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    row("tell from a thread, mean", micros / COUNT as f64, "us");
}

struct Silent;

impl PortSink for Silent {
    fn ready(&self) {}
}

fn to_a_port(component: &Arc<Component>) {
    const BURST: u32 = 50_000;
    let plane = Plane::new(PlaneSpec {
        threads: 1,
        ..PlaneSpec::default()
    });
    let spec = PortSpec {
        capacity: BURST as usize,
        bytes: 64 << 20,
        message_size: 1 << 20,
        accepts: Vec::new(),
    };
    let port = plane
        .port("outside/port", spec, Arc::new(Silent))
        .expect("the address is free");
    let source = spawn(&plane, component, "outside/source", "outside/port");
    let begun = Instant::now();
    let mut taken = 0;
    for _ in 0..20 {
        ask(&plane, &source, payload(5, BURST, 6));
        loop {
            let (batch, more) = port.take(256);
            taken += batch.len() as u64;
            port.credit(batch.len(), batch.iter().map(|one| one.payload.len()).sum());
            if !more {
                break;
            }
        }
    }
    row(
        "component to a port, batches of 256",
        rate(taken, begun.elapsed()),
        "messages/s",
    );
}

fn restarts(component: &Arc<Component>) {
    const COUNT: u32 = 1000;
    let plane = Plane::new(PlaneSpec::default());
    let actor = spawn(&plane, component, "restart/a", "");
    let mut times: Vec<Duration> = (0..COUNT)
        .map(|_| {
            let begun = Instant::now();
            let claimed = actor.claim();
            let restarted = actor.restart(None, Waiter::Nobody);
            if claimed {
                actor.run_claimed();
            }
            while !restarted.is_done() {
                std::thread::yield_now();
            }
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let micros = times[times.len() / 2].as_secs_f64() * 1e6;
    row("restart, drop to running, p50", micros, "us");
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number of pages");
    pages * 4096
}

fn live(component: &Arc<Component>, count: usize) {
    let plane = Plane::new(PlaneSpec::default());
    let before = resident();
    let made = blueprint(component, "live/a0");
    let begun = Instant::now();
    let mut live = 0;
    for number in 0..count {
        let cell = plane
            .spawn(
                &format!("live/a{number}"),
                made.clone(),
                Bounds::default(),
                rights(),
            )
            .expect("the address is free");
        let started = cell.start(None, Waiter::Nobody);
        wait(|| started.is_done());
        match started.take() {
            Some(Ok(_)) => live += 1,
            other => {
                println!(
                    "{}",
                    serde_json::json!({"row": "live actors", "note": format!("{other:?}")})
                );
                break;
            }
        }
        tell(&plane, &cell, payload(3, 0, 64));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    {
        row("live actors", live as f64, "actors");
        row(
            "live actor, resident",
            (resident() - before) as f64 / live as f64 / 1024.0,
            "KiB",
        );
        row(
            "spawn to running, mean",
            begun.elapsed().as_secs_f64() * 1e6 / live as f64,
            "us",
        );
    }
}

/// The floor: the same payloads through a bounded channel of tokio, on one thread.
fn floor() {
    const COUNT: u64 = 2_000_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be made");
    let begun = Instant::now();
    runtime.block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(1000);
        let receiving = tokio::spawn(async move {
            let mut count = 0;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            count
        });
        for _ in 0..COUNT {
            sender
                .send(payload(3, 0, 64))
                .await
                .expect("the receiver lives");
        }
        drop(sender);
        let received: u64 = receiving.await.expect("the receiver ends in order");
        assert_eq!(received, COUNT);
    });
    row(
        "floor: tokio mpsc, 64 bytes, 1 thread",
        rate(COUNT, begun.elapsed()),
        "messages/s",
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.iter().find_map(|argument| argument.parse().ok());
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| argument.parse::<usize>().is_err())
        .collect();
    let measures = |part: &str| wanted.is_empty() || wanted.iter().any(|one| *one == part);
    let component = load();
    if measures("floor") {
        floor();
    }
    if measures("ring") {
        ring(&component, 100);
        ring(&component, 1);
    }
    if measures("flood") {
        flood(&component);
    }
    if measures("asks") {
        asks(&component);
    }
    if measures("thread") {
        from_a_thread(&component);
    }
    if measures("port") {
        to_a_port(&component);
    }
    if measures("restarts") {
        restarts(&component);
    }
    if measures("live") {
        live(&component, count.unwrap_or(1000));
    }
    if measures("floor") {
        floor();
    }
}
