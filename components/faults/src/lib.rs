//! A component that misbehaves in every way that a host has to contain.

wit_bindgen::generate!({ path: "wit" });

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use demo::faults::sink;
use wasip2::clocks::monotonic_clock;

struct Faults;

const MEBIBYTE: usize = 1 << 20;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn descend(depth: u32) -> u32 {
    // The array makes frames large; black_box keeps the recursion a recursion.
    let frame = black_box([depth; 16]);
    if depth == 0 {
        return frame[15];
    }
    descend(depth - 1) + black_box(frame[0].min(1))
}

impl Guest for Faults {
    fn spin() {
        let mut number = 0_u64;
        loop {
            number = black_box(number.wrapping_add(1));
        }
    }

    fn sleep_forever() {
        monotonic_clock::subscribe_duration(u64::MAX).block();
    }

    fn sleep_in_slices() {
        loop {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn memory_bomb() {
        loop {
            Self::allocate(1);
        }
    }

    fn recurse(depth: u32) -> u32 {
        descend(depth)
    }

    fn trap() {
        core::arch::wasm32::unreachable()
    }

    fn panic(message: String) {
        panic!("{message}");
    }

    fn read_out_of_bounds() -> u8 {
        let last = black_box(usize::MAX - 16) as *const u8;
        // SAFETY: none; reading outside the memory is what this function is for. The engine traps.
        unsafe { last.read_volatile() }
    }

    fn divide(dividend: i32, divisor: i32) -> i32 {
        dividend / divisor
    }

    fn flood(times: u64, size: u32) {
        let bytes = vec![0x5a; size as usize];
        for _ in 0..times {
            sink::push(&bytes);
        }
    }

    fn drain(times: u64, size: u32) -> u64 {
        (0..times).map(|_| sink::pull(size).len() as u64).sum()
    }

    fn produce(size: u32) -> Vec<u8> {
        vec![0x5a; size as usize]
    }

    fn handle_bomb(count: u32) {
        for _ in 0..count {
            std::mem::forget(monotonic_clock::subscribe_duration(0));
        }
    }

    fn write_output(size: u64) {
        let line = [b'x'; 4096];
        let mut output = std::io::stdout();
        let mut left = size as usize;
        while left > 0 {
            let part = left.min(line.len());
            output.write_all(&line[..part]).expect("stdout takes it");
            left -= part;
        }
        output.flush().expect("stdout takes it");
    }

    fn allocate(mebibytes: u32) -> u32 {
        KEPT.with_borrow_mut(|kept| {
            for _ in 0..mebibytes {
                kept.push(vec![1; MEBIBYTE]);
            }
            kept.len() as u32
        })
    }

    fn compute(steps: u64) -> u64 {
        (0..steps).fold(0, |sum, step| black_box(sum ^ step))
    }

    fn count() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }
}

export!(Faults);
