//! The calculator of the demo, version 1.1: the contract of 1.0, a mean that does not lose digits.

wit_bindgen::generate!({ path: "../calculator/wit" });

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
        // Kahan summation: 1.0 loses small values beside large ones.
        let (mut sum, mut lost) = (0.0, 0.0);
        for value in &values {
            let term = value - lost;
            let next = sum + term;
            lost = (next - sum) - term;
            sum = next;
        }
        (!values.is_empty()).then(|| sum / values.len() as f64)
    }

    fn version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }
}

export!(Calculator);
