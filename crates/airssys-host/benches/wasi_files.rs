//! Opening, reading and closing a file from a guest: governed, and with the engine's own WASI.
//!
//! `cargo bench -p airssys-host --bench wasi_files`; the two alternate in one run, the best of each counts.

use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airssys_host::engine::Profile;
use airssys_host::gate::{AllowList, Allowed};
use airssys_host::wasi::link::add_to_linker;
use airssys_host::wasi::{Builder, Governed, WasiState};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

const CYCLES: u32 = 20_000;
const ROUNDS: u32 = 7;

struct Ours(WasiState);

impl Governed for Ours {
    fn wasi(&mut self) -> &mut WasiState {
        &mut self.0
    }
}

struct Stock {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Stock {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }
}

fn arguments(cycles: u32) -> [String; 2] {
    [
        "bench".to_owned(),
        format!("repeat|{cycles}|cycle|a/b/file"),
    ]
}

async fn timed<T: Send>(
    mut store: Store<T>,
    component: &Component,
    linker: &Linker<T>,
) -> Duration {
    let command = Command::instantiate_async(&mut store, component, linker)
        .await
        .expect("the guest is linked");
    let begun = Instant::now();
    command
        .wasi_cli_run()
        .call_run(&mut store)
        .await
        .expect("no trap")
        .expect("exit code 0");
    begun.elapsed()
}

async fn ours(engine: &Engine, component: &Component, dir: &Path, cycles: u32) -> Duration {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, Profile::Plain).expect("nothing is linked twice");
    let mut allowed = Allowed::default();
    allowed.directory(dir, false).expect("it exists");
    let mut builder = Builder::new(Arc::new(AllowList::new(allowed)));
    builder
        .arguments(arguments(cycles))
        .mount(dir, "/data", false);
    let state = Ours(builder.build().expect("it can be mounted"));
    timed(Store::new(engine, state), component, &linker).await
}

async fn stock(engine: &Engine, component: &Component, dir: &Path, cycles: u32) -> Duration {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("nothing is linked twice");
    let mut builder = WasiCtx::builder();
    builder
        .args(&arguments(cycles))
        .allow_blocking_current_thread(true);
    builder
        .preopened_dir(dir, "/data", FsPerms::ReadOnly)
        .expect("it can be mounted");
    let state = Stock {
        ctx: builder.build(),
        table: ResourceTable::new(),
    };
    timed(Store::new(engine, state), component, &linker).await
}

#[tokio::main]
async fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Process::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--package",
            "file-access",
        ])
        .arg("--manifest-path")
        .arg(root.join("components/Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target/guests"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the guest does not build");
    let mut config = Config::new();
    config
        .wasm_component_model_async(false)
        .concurrency_support(false);
    let engine = Engine::new(&config).expect("the configuration is valid");
    let wasm = root.join("target/guests/wasm32-wasip2/release/file-access.wasm");
    let component = Component::from_file(&engine, wasm).expect("it was just built");
    let dir = std::env::temp_dir().join(format!("airssys-bench-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("a/b")).expect("the temporary folder is writable");
    std::fs::write(dir.join("a/b/file"), [b'x'; 64]).expect("the temporary folder is writable");

    let (mut best_ours, mut best_stock) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best_ours = best_ours.min(ours(&engine, &component, &dir, CYCLES).await);
        best_stock = best_stock.min(stock(&engine, &component, &dir, CYCLES).await);
    }
    let _ = std::fs::remove_dir_all(&dir);
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(CYCLES);
    println!("open + read + close of a file, 3 components deep, best of {ROUNDS} x {CYCLES}:");
    println!("  governed        {:.2} us", micros(best_ours));
    println!("  engine's own    {:.2} us", micros(best_stock));
    println!(
        "  ratio           {:.2}",
        best_ours.as_secs_f64() / best_stock.as_secs_f64()
    );
}
