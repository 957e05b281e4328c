//! The calculator of the demo, version 2.0: another contract, which an update must refuse.

wit_bindgen::generate!({ path: "wit" });

use exports::demo::calc::ops::{Failure, Guest as Ops};

struct Calculator;

impl Ops for Calculator {
    fn add(a: i64, b: i64) -> Result<i64, Failure> {
        a.checked_add(b)
            .ok_or_else(|| Failure::Overflow(format!("{a} + {b}")))
    }

    fn divide(dividend: i64, divisor: i64) -> Result<i64, Failure> {
        if divisor == 0 {
            return Err(Failure::DivisionByZero);
        }
        dividend
            .checked_div(divisor)
            .ok_or_else(|| Failure::Overflow(format!("{dividend} / {divisor}")))
    }
}

impl Guest for Calculator {
    fn add(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    fn version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }
}

export!(Calculator);
