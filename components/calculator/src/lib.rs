//! The calculator of the demo, version 1.0.

wit_bindgen::generate!({ path: "wit" });

use exports::demo::calc::ops::{Failure, Guest as Ops};

struct Calculator;

impl Ops for Calculator {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
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
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn mean(values: Vec<f64>) -> Option<f64> {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }
}

export!(Calculator);
