//! The epoch ticker: one thread that advances every engine's epoch each millisecond while calls run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(1);
/// Quiet ticks after which the thread sleeps until the next call.
const LINGER: u32 = 64;

/// How long the thread may sleep through a call that began just as it parked.
const NAP: Duration = Duration::from_millis(20);

static ENGINES: Mutex<Vec<wasmtime::Engine>> = Mutex::new(Vec::new());
static ACTIVE: AtomicBool = AtomicBool::new(false);
static PARKED: AtomicBool = AtomicBool::new(false);
static THREAD: OnceLock<Thread> = OnceLock::new();

/// Say that a guest's slice begins: the ticker stays awake for a while.
///
/// Two plain memory accesses, because this stands in every call. The ticker may just be parking and miss it; it
/// looks again after a nap, so the only harm is a first tick that comes late.
pub fn slice_begins() {
    ACTIVE.store(true, Ordering::Relaxed);
    if PARKED.load(Ordering::Relaxed)
        && let Some(thread) = THREAD.get()
    {
        thread.unpark();
    }
}

/// Advance `engine`'s epochs from now on.
pub fn tick(engine: &wasmtime::Engine) {
    ENGINES
        .lock()
        .expect("the ticker does not panic")
        .push(engine.clone());
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
        // A slice lasts one tick, so whoever computes says so again within the linger.
        quiet = if ACTIVE.swap(false, Ordering::Relaxed) {
            0
        } else {
            quiet + 1
        };
        if quiet > LINGER {
            PARKED.store(true, Ordering::SeqCst);
            while !ACTIVE.load(Ordering::SeqCst) {
                std::thread::park_timeout(NAP);
            }
            PARKED.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}
