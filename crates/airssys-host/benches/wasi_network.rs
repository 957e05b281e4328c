//! HTTP requests and TCP connections from a guest: under rules and an audit log, and with the engine's own
//! WASI.
//!
//! `cargo bench -p airssys-host --bench wasi_network`; the two alternate in one run, the best of each counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
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
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

const CYCLES: usize = 500;
const ROUNDS: u32 = 15;
const WHO: &str = "acme/bench";

struct Ours(WasiState);

impl Governed for Ours {
    fn wasi(&mut self) -> &mut WasiState {
        &mut self.0
    }
}

struct Stock {
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

impl WasiHttpView for Stock {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: default_hooks(),
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Answers a line, or a request.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|stream| answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut sent = [0; 1024];
    let mut length = 0;
    loop {
        length += stream.read(&mut sent[length..])?;
        if sent.starts_with(b"GET") {
            if sent[..length].ends_with(b"\r\n\r\n") {
                return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        } else if length == 0 || sent[..length].ends_with(b"\n") {
            return stream.write_all(b"ok\n");
        }
    }
}

fn rules(authority: &Arc<Authority>, server: SocketAddr) {
    let document = serde_json::json!({"schema": 1, "rules": [
        {"id": "http", "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "http",
         "targets": [format!("http://{server}/**")], "access": ["GET"]},
        {"id": "tcp", "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "network",
         "targets": [server.to_string()], "access": ["connect"]},
    ]});
    authority
        .load(document.to_string().as_bytes())
        .expect("the rules are valid");
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

async fn ours(
    engine: &Engine,
    component: &Component,
    gate: &Arc<RuleGate>,
    arguments: &[String],
) -> Duration {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, Profile::Plain).expect("nothing is linked twice");
    let mut builder = Builder::new(gate.clone());
    builder.arguments(arguments);
    let state = Ours(builder.build().expect("nothing is mounted"));
    timed(Store::new(engine, state), component, &linker).await
}

async fn stock(engine: &Engine, component: &Component, arguments: &[String]) -> Duration {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("nothing is linked twice");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
        .expect("nothing is linked twice");
    // Configuration, which is not read here.
    linker
        .define_unknown_imports_as_traps(component)
        .expect("nothing is linked twice");
    let mut builder = WasiCtx::builder();
    builder.args(arguments).inherit_network();
    let state = Stock {
        ctx: builder.build(),
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
    };
    timed(Store::new(engine, state), component, &linker).await
}

fn build(root: &Path, guest: &str) {
    let built = Process::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
        .args(["--package", guest])
        .arg("--manifest-path")
        .arg(root.join("components/Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target/guests"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the guest does not build");
}

#[tokio::main]
async fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut config = Config::new();
    config
        .wasm_component_model_async(false)
        .concurrency_support(false);
    let engine = Engine::new(&config).expect("the configuration is valid");
    let server = server();
    let log = std::env::temp_dir().join(format!("airssys-bench-{}", std::process::id()));
    let audit = AuditLog::open(&log, Options::default()).expect("the folder is writable");
    let authority = Arc::new(Authority::new(Arc::new(audit)).expect("/proc is there"));
    rules(&authority, server);
    for (guest, command) in [
        ("http-client", format!("GET|http|{server}|/a/b")),
        ("net-client", format!("tcp|{server}|x")),
    ] {
        build(&root, guest);
        let wasm = root.join(format!("target/guests/wasm32-wasip2/release/{guest}.wasm"));
        let component = Component::from_file(&engine, wasm).expect("it was just built");
        let mut arguments = vec!["bench".to_owned()];
        arguments.resize(CYCLES + 1, command);
        let (mut best_ours, mut best_stock) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let subject = Arc::new(Subject::named(WHO));
            let gate = Arc::new(RuleGate::new(Arc::clone(&authority), subject, None));
            best_ours = best_ours.min(ours(&engine, &component, &gate, &arguments).await);
            best_stock = best_stock.min(stock(&engine, &component, &arguments).await);
        }
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / CYCLES as f64;
        println!("{guest}, best of {ROUNDS} x {CYCLES}:");
        println!("  governed        {:.2} us", micros(best_ours));
        println!("  engine's own    {:.2} us", micros(best_stock));
        println!(
            "  ratio           {:.2}",
            best_ours.as_secs_f64() / best_stock.as_secs_f64()
        );
    }
    let _ = std::fs::remove_dir_all(&log);
}
