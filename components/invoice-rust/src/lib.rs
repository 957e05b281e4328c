//! Depends on another component: it adds and divides with what a calculator exports.

wit_bindgen::generate!({ path: "wit", generate_all });

use demo::calc::ops::{self, Failure};

struct Invoice;

impl Guest for Invoice {
    fn total(amounts: Vec<u32>) -> u32 {
        amounts.into_iter().fold(0, ops::add)
    }

    fn share(amount: i64, between: i64) -> Result<i64, String> {
        ops::divide(amount, between).map_err(|failure| match failure {
            Failure::DivisionByZero => "between nobody".into(),
            Failure::Overflow(what) => format!("{what} is too large"),
        })
    }
}

export!(Invoice);
