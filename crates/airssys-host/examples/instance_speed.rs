//! What calls and fresh instances cost, beside the bare engine in the same run.
//!
//! `python tools/guests.py --only calculator`, then
//! `cargo run --release -p airssys-host --example instance_speed [-- --json]`. `-- NAME TIMES` runs one row so many
//! times and prints nothing, for tools that count instructions.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use airssys_host::component::{Component, Loading};
use airssys_host::engine::Native;
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::gate::{AllowList, Gate};
use airssys_host::instance::{Call, Live, Progress};
use airssys_host::limits::Limits;
use airssys_host::value::Value;
use airssys_host::wasi::Builder;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker, TypedFunc};

const ROUNDS: u32 = 20;

fn load(bytes: &[u8]) -> Arc<Component> {
    let loading = Loading {
        limits: StaticLimits::default(),
        cache: None,
        in_process: true,
        progress: &mut |_| {},
        interrupted: &mut || false,
        report: &mut |_| {},
    };
    Arc::new(Component::load(bytes, loading).expect("the guest is a valid component"))
}

/// Nothing in here waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the calculator waits for nothing"),
    }
}

fn ended(mut call: Call) -> (Box<Live>, Value) {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match call.slice(&mut context, true) {
            Progress::Done(Some(live), Ok(Some(value))) => return (live, value),
            Progress::Done(_, result) => panic!("the call failed: {result:?}"),
            // A tick of the epoch.
            Progress::Suspended | Progress::HostFunctions => {}
        }
    }
}

/// The engine with nothing of the project around it: no WASI, no limits, no deadline.
struct Bare {
    native: &'static Native,
    prepared: InstancePre<()>,
}

impl Bare {
    fn new(bytes: &[u8], native: &'static Native) -> Bare {
        let component =
            wasmtime::component::Component::new(&native.engine, bytes).expect("a component");
        let mut linker = Linker::new(&native.engine);
        linker
            .define_unknown_imports_as_traps(&component)
            .expect("defined");
        let prepared = linker.instantiate_pre(&component).expect("linked");
        Bare { native, prepared }
    }

    fn instance(&self) -> (Store<()>, TypedFunc<(u32, u32), (u32,)>) {
        let mut store = Store::new(&self.native.engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance = at_once(self.prepared.instantiate_async(&mut store)).expect("an instance");
        let add = instance
            .get_typed_func(&mut store, "add")
            .expect("the function");
        (store, add)
    }
}

/// What a row does so many times.
type Row<'a> = (&'static str, &'static str, Box<dyn FnMut(u32) + 'a>);

fn rows<'a>(component: &'a Arc<Component>, bare: &'a Bare) -> Vec<Row<'a>> {
    let add = component.export("add").expect("the function");
    let arguments = || vec![Value::U32(2), Value::U32(3)];
    let gate: Arc<dyn Gate> = Arc::new(AllowList::default());
    let limits = Arc::new(Limits::default());
    let fresh = {
        let (gate, limits) = (Arc::clone(&gate), Arc::clone(&limits));
        move || {
            let wasi = Builder::new(Arc::clone(&gate)).build().expect("a state");
            let call = Some((add, arguments()));
            ended(Call::fresh(
                Arc::clone(component),
                wasi,
                Arc::clone(&limits),
                call,
            ))
            .0
        }
    };
    let mut live = Some(fresh());
    let (mut store, typed) = bare.instance();
    vec![
        (
            "fresh",
            "fresh instance, WASI, limits and one call",
            Box::new(move |times| (0..times).for_each(|_| drop(fresh()))),
        ),
        (
            "fresh_bare",
            "the engine alone: store, instance and typed call",
            Box::new(move |times| {
                for _ in 0..times {
                    let (mut store, add) = bare.instance();
                    at_once(add.call_async(&mut store, (2, 3))).expect("a sum");
                }
            }),
        ),
        (
            "call",
            "call of add(u32, u32), with its deadline",
            Box::new(move |times| {
                for _ in 0..times {
                    let idle = live.take().expect("given back");
                    live = Some(ended(Call::export(idle, add, arguments())).0);
                }
            }),
        ),
        (
            "call_bare",
            "the engine alone: typed call",
            Box::new(move |times| {
                for _ in 0..times {
                    at_once(typed.call_async(&mut store, (2, 3))).expect("a sum");
                }
            }),
        ),
    ]
}

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/components/calculator.wasm");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build it with: python tools/guests.py --only calculator",
            path.display()
        )
    });
    let component = load(&bytes);
    let bare = Bare::new(&bytes, component.native);
    let mut rows = rows(&component, &bare);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, times] = &arguments[..] {
        let row = rows.iter_mut().find(|(known, ..)| known == name);
        row.expect("a row").2(times.parse().expect("a number"));
        return;
    }
    // Rounds of all rows take turns, so that each has its share of a busy machine.
    let mut best = vec![f64::INFINITY; rows.len()];
    for _ in 0..ROUNDS {
        for ((_, _, run), best) in rows.iter_mut().zip(&mut best) {
            let begun = Instant::now();
            run(5_000);
            *best = best.min(begun.elapsed().as_nanos() as f64 / 5e3);
        }
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let figures = rows.iter().zip(&best);
    if json {
        let figures = figures.map(|((name, ..), best)| ((*name).to_owned(), (*best).into()));
        println!("{}", serde_json::Value::Object(figures.collect()));
    } else {
        for ((_, what, _), best) in figures {
            println!("{what:<50} {best:9.0} ns");
        }
    }
}
