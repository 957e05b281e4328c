//! Endings of a handler that are no answer.

use crate::airssys::core::host;
use crate::airssys::core::types::Error;
use crate::play::Call;

pub fn act(call: &Call) -> Result<bool, Error> {
    let text = || call.text(1).to_owned();
    match call.name() {
        "refuse" => return Err(Error::Refused(text())),
        "fail" => return Err(Error::Failed(text())),
        "undecodable" => return Err(Error::Undecodable(text())),
        "unhandled" => return Err(Error::Unhandled(text())),
        "trap" => std::arch::wasm32::unreachable(),
        "panic" => panic!("{}", call.text(1)),
        "exit" => std::process::exit(call.integer(1) as i32),
        "spin" => spin(call),
        "sleep" => host::sleep(call.time(1)),
        "recurse" => {
            std::hint::black_box(recurse(0));
        }
        "allocate" => {
            let bytes = call.integer(1) as usize;
            std::hint::black_box(vec![1_u8; bytes]).leak();
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Compute for some time, or without end.
fn spin(call: &Call) {
    if call.argument(1).is_null() {
        loop {
            std::hint::black_box(());
        }
    }
    let end = host::monotonic_now() + call.time(1);
    while host::monotonic_now() < end {}
}

#[expect(unconditional_recursion, reason = "the end of the stack is the point")]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    1 + recurse(depth + 1) + frame[7]
}
