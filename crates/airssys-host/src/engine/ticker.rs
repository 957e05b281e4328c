//! The epoch ticker: one thread that advances every engine's epoch each millisecond while calls run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(1);
/// Quiet ticks after which the thread sleeps until the next call.
const LINGER: u32 = 64;

static ENGINES: Mutex<Vec<wasmtime::Engine>> = Mutex::new(Vec::new());
static RUNNING: AtomicU64 = AtomicU64::new(0);
static PARKED: AtomicBool = AtomicBool::new(false);
static THREAD: OnceLock<Thread> = OnceLock::new();

/// Keeps the ticker awake while it lives: one per guest slice that can compute.
pub struct Running(());

impl Running {
    #[must_use]
    pub fn begin() -> Self {
        // SeqCst pairs with the ticker's store to PARKED: one of the two sees the other.
        RUNNING.fetch_add(1, Ordering::SeqCst);
        if PARKED.load(Ordering::SeqCst)
            && let Some(thread) = THREAD.get()
        {
            thread.unpark();
        }
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Release);
    }
}

/// Advance `engine`'s epochs from now on.
pub fn tick(engine: &wasmtime::Engine) {
    ENGINES.lock().expect("the ticker does not panic").push(engine.clone());
    THREAD.get_or_init(|| {
        std::thread::Builder::new()
            .name("airssys-epoch".into())
            .spawn(run)
            .expect("a thread can be started when an engine is made")
            .thread()
            .clone()
    });
}

fn run() {
    let mut quiet = 0;
    loop {
        std::thread::sleep(TICK);
        for engine in ENGINES.lock().expect("the ticker does not panic").iter() {
            engine.increment_epoch();
        }
        quiet = if RUNNING.load(Ordering::Acquire) == 0 { quiet + 1 } else { 0 };
        if quiet > LINGER {
            PARKED.store(true, Ordering::SeqCst);
            while RUNNING.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            PARKED.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}
