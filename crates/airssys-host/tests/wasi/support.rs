//! Building guests, running them, and reading what they print.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use airssys_host::engine::Profile;
use airssys_host::gate::{AllowList, Allowed, Gate};
use airssys_host::wasi::link::add_to_linker;
use airssys_host::wasi::{Builder, Governed, Output, WasiState};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

/// The crates of `components/` that the tests here run.
const GUESTS: [&str; 5] = [
    "file-access",
    "net-client",
    "http-client",
    "p3-access",
    "surroundings",
];

/// Nothing here takes long; a guest that hangs fails its test instead of the whole run.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct State {
    pub wasi: WasiState,
}

impl Governed for State {
    fn wasi(&mut self) -> &mut WasiState {
        &mut self.wasi
    }
}

pub fn engine(profile: Profile) -> Engine {
    static PLAIN: LazyLock<Engine> = LazyLock::new(|| {
        let mut config = Config::new();
        config
            .wasm_component_model_async(false)
            .concurrency_support(false);
        Engine::new(&config).unwrap()
    });
    static CONCURRENT: LazyLock<Engine> = LazyLock::new(|| {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        Engine::new(&config).unwrap()
    });
    match profile {
        Profile::Plain => PLAIN.clone(),
        Profile::Concurrent => CONCURRENT.clone(),
    }
}

/// The component built from `components/<name>`.
pub fn guest(name: &str, profile: Profile) -> Component {
    static BUILT: LazyLock<Mutex<HashMap<(String, bool), Component>>> =
        LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap();
    built
        .entry((name.to_owned(), profile == Profile::Plain))
        .or_insert_with(|| Component::from_file(&engine(profile), build(name)).unwrap())
        .clone()
}

/// Where `tools/guests.py` puts the guests, built (or found in its cache) on first use, all at once.
fn build(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = std::env::var_os("PYO3_PYTHON").unwrap_or_else(|| "python3".into());
        let status = Command::new(python)
            .arg(root.join("tools/guests.py"))
            .args(GUESTS.iter().flat_map(|name| ["--only", name]))
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build");
        root.join("build/components")
    });
    FOLDER.join(format!("{name}.wasm"))
}

pub fn linker(profile: Profile) -> Linker<State> {
    let mut linker = Linker::new(&engine(profile));
    add_to_linker(&mut linker, profile).unwrap();
    linker
}

/// A gate that allows what `describe` lists.
pub fn gate(describe: impl FnOnce(&mut Allowed)) -> Arc<AllowList> {
    Arc::new(AllowList::new(allowed(describe)))
}

pub fn allowed(describe: impl FnOnce(&mut Allowed)) -> Allowed {
    let mut allowed = Allowed::default();
    describe(&mut allowed);
    allowed
}

/// A guest program that is about to run.
pub struct Program {
    component: Component,
    profile: Profile,
    builder: Builder,
    arguments: Vec<String>,
    on_line: Box<dyn Fn(&str) + Send + Sync>,
}

impl Program {
    pub fn new(name: &str, gate: Arc<dyn Gate>) -> Self {
        Self::in_profile(name, Profile::Plain, gate)
    }

    pub fn in_profile(name: &str, profile: Profile, gate: Arc<dyn Gate>) -> Self {
        Self {
            component: guest(name, profile),
            profile,
            builder: Builder::new(gate),
            arguments: vec![name.to_owned()],
            on_line: Box::new(|_| {}),
        }
    }

    pub fn mount(mut self, host: &Path, guest: &str, writable: bool) -> Self {
        self.builder.mount(host, guest, writable);
        self
    }

    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Call `act` with each line while the guest waits for its line to be taken.
    pub fn on_line(mut self, act: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_line = Box::new(act);
        self
    }

    pub fn with(mut self, adjust: impl FnOnce(&mut Builder)) -> Self {
        adjust(&mut self.builder);
        self
    }

    /// Run to the end; the lines it printed, and how the call ended.
    pub fn try_run(mut self) -> (Vec<String>, wasmtime::Result<()>) {
        let printed = Arc::new(Mutex::new(String::new()));
        let (writer, on_line) = (Arc::clone(&printed), self.on_line);
        self.builder
            .arguments(std::mem::take(&mut self.arguments))
            .stdout(Output::Callback(Arc::new(move |bytes| {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                writer.lock().unwrap().push_str(&text);
                text.lines().for_each(&on_line);
            })));
        let state = State {
            wasi: self.builder.build().unwrap(),
        };
        let (component, profile) = (self.component, self.profile);
        let result = block_on(async move {
            let mut store = Store::new(component.engine(), state);
            let linker = linker(profile);
            if is_version_3(&component) {
                let command = wasmtime_wasi::p3::bindings::Command::instantiate_async(
                    &mut store, &component, &linker,
                )
                .await?;
                let run = async move |store: &_| command.wasi_cli_run().call_run(store).await;
                let ended = store.run_concurrent(run).await??;
                return ended.map_err(|()| wasmtime::format_err!("exit code 1"));
            }
            let command = wasmtime_wasi::p2::bindings::Command::instantiate_async(
                &mut store, &component, &linker,
            )
            .await?;
            command
                .wasi_cli_run()
                .call_run(&mut store)
                .await?
                .map_err(|()| wasmtime::format_err!("exit code 1"))
        });
        let lines = printed.lock().unwrap().lines().map(str::to_owned).collect();
        (lines, result)
    }

    pub fn run(self) -> Vec<String> {
        let (lines, result) = self.try_run();
        result.unwrap_or_else(|error| panic!("{error:#}\n{lines:#?}"));
        lines
    }
}

/// Whether a program is one of WASI 0.3; the concurrent profile runs both.
fn is_version_3(component: &Component) -> bool {
    let exported = component.component_type();
    exported
        .exports(component.engine())
        .any(|(name, _)| name.starts_with("wasi:cli/run@0.3"))
}

/// Run a future on a runtime of its own, at most as long as anything here may take.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
    // A name look-up or a blocked read must not keep the test from ending.
    runtime.shutdown_background();
    result.expect("the guest neither ended nor failed")
}

/// A folder of its own for one test, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("airssys-wasi-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Write a file, with the directories that lead to it.
    pub fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server on a free port of this machine that is there until the process ends.
pub fn tcp_server(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Answers the first line with `echo <line>`, and then keeps silent until the other side closes.
pub fn echo_server() -> SocketAddr {
    tcp_server(|stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        if let Some(Ok(line)) = lines.next() {
            writeln!(&stream, "echo {line}").unwrap();
        }
        lines.map_while(Result::ok).for_each(drop);
    })
}

/// Answers each datagram with `echo <datagram>`, except `silent`.
pub fn udp_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            if &bytes[..length] != b"silent" {
                let answer = [b"echo ", &bytes[..length]].concat();
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

/// Answers each request with its own first line and `Host` header. `/redirect` redirects to `/elsewhere`;
/// `/endless` begins a body and then keeps silent.
pub fn http_server() -> SocketAddr {
    tcp_server(|stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let request = lines.next().unwrap().unwrap();
        let mut host = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("host: ") {
                host = value.to_owned();
            }
        }
        let body = format!("{request} host={host}");
        let (status, length, more) = if request.contains("/redirect") {
            ("302 Found", body.len(), "location: /elsewhere\r\n")
        } else if request.contains("/endless") {
            ("200 OK", body.len() + 1, "")
        } else {
            ("200 OK", body.len(), "")
        };
        let _ = write!(
            &stream,
            "HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n{body}"
        );
        lines.map_while(Result::ok).for_each(drop);
    })
}
