//! A call of a guest that accesses nothing, in an instance on the governed linker and in one on the engine's own:
//! what the gate costs whoever does not need it.
//!
//! `cargo bench -p airssys-host --bench idle_calls`; the two alternate in one run, the best of each counts. With
//! `-- governed` or `-- stock` one side runs alone: `perf stat -e instructions:u`, or callgrind, then counts what
//! no clock tells apart.

mod side_by_side;

use std::time::{Duration, Instant};

use airssys_host::wasi::Builder;
use side_by_side::{Best, Folder, authority, engine, gate, guest, ours, sides, stock};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::WasiCtx;

const CYCLES: u32 = 200_000;
const ROUNDS: u32 = 15;

async fn called<T: Send>(
    (mut store, linker): (Store<T>, Linker<T>),
    component: &Component,
) -> Duration {
    let instance = linker
        .instantiate_async(&mut store, component)
        .await
        .expect("the guest is linked");
    let add = instance
        .get_typed_func::<(u32, u32), (u32,)>(&mut store, "add")
        .expect("the calculator adds");
    let begun = Instant::now();
    for number in 0..CYCLES {
        let (sum,) = add
            .call_async(&mut store, (number, 1))
            .await
            .expect("no trap");
        assert_eq!(sum, number + 1);
    }
    begun.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let engine = engine();
    let component = guest(&engine, "calculator");
    let log = Folder::new("bench-idle");
    let authority = authority(&log, &serde_json::json!([]));
    let (govern, plain) = sides();
    let mut best = Best::new();
    for _ in 0..ROUNDS {
        if govern {
            let mut builder = Builder::new(gate(&authority));
            best.ours(called(ours(&engine, &mut builder), &component).await);
        }
        if plain {
            let mut builder = WasiCtx::builder();
            best.stock(called(stock(&engine, &component, &mut builder), &component).await);
        }
    }
    best.print(
        &format!("add(u32, u32), best of {ROUNDS} x {CYCLES}"),
        CYCLES,
    );
}
