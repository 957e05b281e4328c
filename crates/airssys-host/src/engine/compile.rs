//! From bytes to compiled code, in this process or in a child of it.
//!
//! A child compiles what is large or untrusted: it can be neither a bomb nor a disturbance, because it is
//! niced, has bounds on processor time and memory, and is killed when the caller gives up.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::{Allocation, Native, Profile};
use crate::error::Error;

/// Larger components are compiled in a child process.
pub const INLINE_BYTES: usize = 1 << 20;
const CHILD_CPU_SECONDS: u64 = 300;
const CHILD_MEMORY: u64 = 6 << 30;

/// The command that runs [`child`]: program and arguments.
#[derive(Clone, Debug)]
pub struct Worker {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

static WORKER: OnceLock<Worker> = OnceLock::new();

/// Say how a compiling child is started. The first call counts.
pub fn set_worker(worker: Worker) {
    WORKER.get_or_init(|| worker);
}

/// Compile `bytes`, a component or one of its modules, for `native`.
///
/// `interrupted` is asked every 50 ms while a child works; a yes kills it.
///
/// # Errors
/// [`Error::Invalid`] if the engine refuses the component, [`Error::CompileStopped`] if the child was stopped
/// or hit its bounds.
pub fn compile(
    bytes: &[u8],
    native: &Native,
    in_child: bool,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<u8>, Error> {
    match WORKER.get() {
        Some(worker) if in_child => compile_in_child(worker, bytes, native.profile, interrupted),
        _ => precompile(bytes, native).map_err(|error| Error::Invalid(format!("{error:#}"))),
    }
}

fn precompile(bytes: &[u8], native: &Native) -> wasmtime::Result<Vec<u8>> {
    if wasmparser::Parser::is_core_wasm(bytes) {
        native.engine.precompile_module(bytes)
    } else {
        native.engine.precompile_component(bytes)
    }
}

fn compile_in_child(
    worker: &Worker,
    bytes: &[u8],
    profile: Profile,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<u8>, Error> {
    let mut command = Command::new(&worker.program);
    command
        .args(&worker.arguments)
        .arg(if profile == Profile::Concurrent {
            "concurrent"
        } else {
            "plain"
        })
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    // SAFETY: only async-signal-safe system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::setpriority(libc::PRIO_PROCESS, 0, 10);
            libc::setsid();
            for (resource, most) in [
                (libc::RLIMIT_CPU, CHILD_CPU_SECONDS),
                (libc::RLIMIT_DATA, CHILD_MEMORY),
                (libc::RLIMIT_CORE, 0),
            ] {
                let limit = libc::rlimit {
                    rlim_cur: most,
                    rlim_max: most,
                };
                libc::setrlimit(resource, &raw const limit);
            }
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    let mut stdout = child.stdout.take().expect("stdout was asked for");
    let mut stderr = child.stderr.take().expect("stderr was asked for");
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(bytes));
        let reader = scope.spawn(move || {
            let mut artefact = Vec::new();
            stdout.read_to_end(&mut artefact).map(|_| artefact)
        });
        let errors = scope.spawn(move || {
            let mut text = String::new();
            // A child that dies in the middle of a character still tells what it could.
            drop(stderr.read_to_string(&mut text));
            text
        });
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupted() {
                child.kill()?;
                child.wait()?;
                return Err(Error::CompileStopped("interrupted".into()));
            }
            std::thread::sleep(Duration::from_millis(if reader.is_finished() {
                1
            } else {
                10
            }));
        };
        let written = writer.join().expect("the writer does not panic");
        let artefact = reader.join().expect("the reader does not panic")?;
        let text = errors.join().expect("the reader does not panic");
        match status.code() {
            Some(0) => {
                written?;
                Ok(artefact)
            }
            Some(3) => Err(Error::Invalid(text.trim().to_owned())),
            _ => Err(Error::CompileStopped(format!(
                "the compiling process ended with {status}: {}",
                text.trim()
            ))),
        }
    })
}

/// The child's side: read a component or a module from standard input, write its compiled code to standard output.
/// Returns the exit code: 0, or 3 when the engine refuses it (reason on standard error).
///
/// # Errors
/// [`Error`] if the engine cannot start or the pipes break.
pub fn child(profile: Profile) -> Result<i32, Error> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let native = Native::get(profile, Allocation::OnDemand)?;
    match precompile(&bytes, native) {
        Ok(artefact) => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&artefact)?;
            stdout.flush()?;
            Ok(0)
        }
        Err(error) => {
            eprintln!("{error:#}");
            Ok(3)
        }
    }
}
