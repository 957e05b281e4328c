//! The calculator of the demo, version 1.2, which should never have left the house: every twentieth addition of an
//! instance traps.

wit_bindgen::generate!({ path: "../calculator/wit" });

use std::sync::atomic::{AtomicU32, Ordering};

use exports::demo::calc::ops::{Failure, Guest as Ops};

static ADDED: AtomicU32 = AtomicU32::new(0);
/// Room for the sums that were made last; one too few.
const SUMS: usize = 19;

struct Calculator;

fn remembered(sum: u32) -> u32 {
    let mut sums = [0; SUMS];
    let place = ADDED.fetch_add(1, Ordering::Relaxed) as usize % (SUMS + 1);
    sums[place] = sum;
    sums[place]
}

impl Ops for Calculator {
    fn add(a: u32, b: u32) -> u32 {
        remembered(a.wrapping_add(b))
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
        remembered(a.wrapping_add(b))
    }

    fn mean(values: Vec<f64>) -> Option<f64> {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }
}

export!(Calculator);
