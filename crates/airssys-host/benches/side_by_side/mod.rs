//! One guest on two linkers: the governed one, and the engine's own.

#![allow(
    dead_code,
    reason = "each benchmark is a program of its own, and uses its part"
)]

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airssys_host::engine::Profile;
use airssys_host::gate::audit::{AuditLog, Options};
use airssys_host::gate::authority::Authority;
use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::gate::subject::Subject;
use airssys_host::wasi::link::add_to_linker;
use airssys_host::wasi::{Builder, Governed, WasiState};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
#[cfg(feature = "engine-http")]
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView, default_hooks};

/// Who the guest is for rules.
pub const WHO: &str = "acme/bench";

/// The governed side's part of a store.
pub struct Ours(WasiState);

impl Governed for Ours {
    fn wasi(&mut self) -> &mut WasiState {
        &mut self.0
    }
}

/// The engine's own.
pub struct Stock {
    ctx: WasiCtx,
    http: WasiHttpCtx,
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

#[cfg(feature = "engine-http")]
impl WasiHttpView for Stock {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: default_hooks(),
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// A folder that is gone with the benchmark.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airssys-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(std::fs::canonicalize(path).expect("it was just made"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn engine() -> Engine {
    let mut config = Config::new();
    config
        .wasm_component_model_async(false)
        .concurrency_support(false);
    Engine::new(&config).expect("the configuration is valid")
}

/// Build a guest of the project and load it.
pub fn guest(engine: &Engine, name: &str) -> Component {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Process::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
        .args(["--package", name])
        .arg("--manifest-path")
        .arg(root.join("components/Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target/guests"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the guest does not build");
    let file = name.replace('-', "_");
    let folder = root.join("target/guests/wasm32-wasip2/release");
    let found = [name, &file].map(|name| folder.join(format!("{name}.wasm")));
    let found = found.iter().find(|path| path.exists());
    Component::from_file(engine, found.expect("it was just built")).expect("it was just built")
}

/// Rules and their log in a folder; `rules` say what [`WHO`] may do.
pub fn authority(folder: &Folder, rules: &serde_json::Value) -> Arc<Authority> {
    let audit = AuditLog::open(&folder.0, Options::default()).expect("the folder is writable");
    let authority = Arc::new(Authority::new(Arc::new(audit)).expect("/proc is there"));
    let document = serde_json::json!({"schema": 1, "rules": rules});
    authority
        .load(document.to_string().as_bytes())
        .expect("the rules are valid");
    authority
}

pub fn gate(authority: &Arc<Authority>) -> Arc<RuleGate> {
    let subject = Arc::new(Subject::named(WHO));
    Arc::new(RuleGate::new(Arc::clone(authority), subject, None))
}

pub fn ours(engine: &Engine, builder: &mut Builder) -> (Store<Ours>, Linker<Ours>) {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, Profile::Plain).expect("nothing is linked twice");
    let state = Ours(builder.build().expect("it can be mounted"));
    (Store::new(engine, state), linker)
}

pub fn stock(
    engine: &Engine,
    component: &Component,
    builder: &mut WasiCtxBuilder,
) -> (Store<Stock>, Linker<Stock>) {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("nothing is linked twice");
    #[cfg(feature = "engine-http")]
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
        .expect("nothing is linked twice");
    // What only this project links, and no benchmark calls.
    let engines = [
        "wasi:io/",
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:filesystem/",
        "wasi:sockets/",
        "wasi:random/",
        #[cfg(feature = "engine-http")]
        "wasi:http/",
    ];
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(missing) = import.ty else {
            continue;
        };
        if engines.iter().any(|engines| name.starts_with(engines)) {
            continue;
        }
        let mut instance = linker.instance(name).expect("it is not linked yet");
        for (name, export) in missing.exports(engine) {
            if let ComponentItem::ComponentFunc(_) = export.ty {
                instance
                    .func_new(name, |_, _, _, _| wasmtime::bail!("it is not there"))
                    .expect("it is not linked yet");
            }
        }
    }
    let state = Stock {
        ctx: builder.build(),
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
    };
    (Store::new(engine, state), linker)
}

/// How long a program of `wasi:cli` runs.
pub async fn timed<T: Send>(
    (mut store, linker): (Store<T>, Linker<T>),
    component: &Component,
) -> Duration {
    let command = Command::instantiate_async(&mut store, component, &linker)
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

/// The best of both sides.
pub struct Best {
    ours: Duration,
    stock: Duration,
}

impl Best {
    pub fn new() -> Self {
        Self {
            ours: Duration::MAX,
            stock: Duration::MAX,
        }
    }

    pub fn ours(&mut self, time: Duration) {
        self.ours = self.ours.min(time);
    }

    pub fn stock(&mut self, time: Duration) {
        self.stock = self.stock.min(time);
    }

    /// Print what one of `cycles` takes on either side, in nanoseconds or microseconds.
    pub fn print(&self, what: &str, cycles: u32) {
        println!("{what}:");
        for (side, time) in [("governed", self.ours), ("engine's own", self.stock)] {
            if time == Duration::MAX {
                println!("  {side:<15} not run");
                return;
            }
            let nanos = time.as_secs_f64() * 1e9 / f64::from(cycles);
            if nanos < 1000.0 {
                println!("  {side:<15} {nanos:.1} ns");
            } else {
                println!("  {side:<15} {:.2} us", nanos / 1000.0);
            }
        }
        let ratio = self.ours.as_secs_f64() / self.stock.as_secs_f64();
        println!("  ratio           {ratio:.3}");
    }
}

/// Which sides to run: both, or the one that the command line names, to count what it does.
pub fn sides() -> (bool, bool) {
    let named: Vec<String> = std::env::args().collect();
    let one = |side: &str| named.iter().any(|argument| argument == side);
    match (one("governed"), one("stock")) {
        (false, false) => (true, true),
        some => some,
    }
}
