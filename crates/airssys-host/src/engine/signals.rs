//! Keeps the engine's fault handlers in front when something else installs its own afterwards.
//!
//! The engine turns faults of compiled code into traps with process-wide handlers. A program that installs
//! handlers later (`faulthandler.enable()`) puts itself in front, and the next guest trap ends the process.
//! So a link of our own stands *behind* the engine's handlers from the beginning, and [`rearm`] puts the
//! engine's back in front, remembering what it displaced there. A fault that is not a guest's then goes:
//! engine, our link, the displaced handler.

use std::cell::UnsafeCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

struct Slot {
    engine: UnsafeCell<Option<libc::sigaction>>,
    displaced: UnsafeCell<Option<libc::sigaction>>,
    /// Set while the displaced handler runs; a second fault then takes the default action.
    entered: AtomicBool,
}

// SAFETY: the cells are written under LOCK only; a signal handler reads `displaced`, which `rearm` writes before
// it puts the engine's handler in front, so before any fault can reach the link through it.
unsafe impl Sync for Slot {}

static LOCK: Mutex<()> = Mutex::new(());
static SLOTS: [Slot; 4] = [const {
    Slot {
        engine: UnsafeCell::new(None),
        displaced: UnsafeCell::new(None),
        entered: AtomicBool::new(false),
    }
}; 4];

fn current(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: an all-zero sigaction is a valid value to be overwritten; a null new action only reads.
    unsafe {
        let mut action = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action
    }
}

fn install(signal: libc::c_int, action: &libc::sigaction) {
    // SAFETY: `action` came from the kernel or was filled completely by this module.
    unsafe {
        libc::sigaction(signal, action, std::ptr::null_mut());
    }
}

/// Put our link where the engine will find it as the handler before its own.
pub fn chain_before_engine() {
    let _guard = LOCK.lock().expect("no code under this lock panics");
    for (signal, slot) in SIGNALS.into_iter().zip(&SLOTS) {
        // SAFETY: under LOCK.
        if unsafe { &*slot.displaced.get() }.is_some() {
            continue; // the handlers are process-wide: the first engine installed them
        }
        let before = current(signal);
        // SAFETY: under LOCK, and nothing leads to the link yet.
        unsafe { *slot.displaced.get() = Some(before) };
        // SAFETY: an all-zero sigaction is valid; the fields that matter are set below.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = link as Handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        install(signal, &action);
    }
}

/// Note the handlers that the engine has just installed.
pub fn remember_engine_handlers() {
    let _guard = LOCK.lock().expect("no code under this lock panics");
    for (signal, slot) in SIGNALS.into_iter().zip(&SLOTS) {
        // SAFETY: under LOCK.
        let engine = unsafe { &mut *slot.engine.get() };
        let now = current(signal);
        if engine.is_none() && now.sa_sigaction != link as Handler as usize {
            *engine = Some(now);
        }
    }
}

/// Put the engine's handlers back in front if something displaced them. One system call when nothing did.
pub fn rearm() {
    // Whoever installs fault handlers takes SIGSEGV with them.
    // SAFETY: reading a Copy value that is written once, when the first engine is made.
    let Some(engine) = (unsafe { *SLOTS[0].engine.get() }) else {
        return;
    };
    if current(SIGNALS[0]).sa_sigaction == engine.sa_sigaction {
        return;
    }
    let _guard = LOCK.lock().expect("no code under this lock panics");
    for (signal, slot) in SIGNALS.into_iter().zip(&SLOTS) {
        // SAFETY: under LOCK.
        let Some(engine) = (unsafe { *slot.engine.get() }) else {
            continue;
        };
        let now = current(signal);
        if now.sa_sigaction != engine.sa_sigaction {
            // SAFETY: under LOCK; see the note on Sync.
            unsafe { *slot.displaced.get() = Some(now) };
            slot.entered.store(false, Ordering::Release);
            install(signal, &engine);
        }
    }
}

/// Runs for faults that are not a guest's.
unsafe extern "C" fn link(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let slot = SIGNALS
        .iter()
        .position(|known| *known == signal)
        .map(|index| &SLOTS[index]);
    // SAFETY: written before the link can be reached; see the note on Sync.
    let displaced = slot.and_then(|slot| unsafe { *slot.displaced.get() });
    let again = slot.is_some_and(|slot| slot.entered.swap(true, Ordering::AcqRel));
    match displaced {
        Some(action)
            if !again
                && action.sa_sigaction != libc::SIG_DFL
                && action.sa_sigaction != libc::SIG_IGN =>
        {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: SA_SIGINFO says that the address is a three-argument handler.
                let handler: Handler = unsafe { std::mem::transmute(action.sa_sigaction) };
                // SAFETY: called with what the kernel passed us.
                unsafe { handler(signal, info, context) };
            } else {
                // SAFETY: without SA_SIGINFO the address is a one-argument handler.
                let handler: unsafe extern "C" fn(libc::c_int) =
                    unsafe { std::mem::transmute(action.sa_sigaction) };
                // SAFETY: called with what the kernel passed us.
                unsafe { handler(signal) };
            }
        }
        _ => {
            // The instruction runs again under the default action, which ends the process as it should.
            // SAFETY: an all-zero sigaction is the default action.
            let default: libc::sigaction = unsafe { std::mem::zeroed() };
            install(signal, &default);
        }
    }
}
