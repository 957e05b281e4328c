//! Returns every WIT type as it was given.

wit_bindgen::generate!({ path: "wit" });

use exports::demo::echo::{lists, options, parameters, records, results, scalars, variants};

struct Echo;

/// The functions of a `Guest` trait, each returning its only argument.
macro_rules! echo {
    ($($name:ident: $type:ty,)*) => { $(fn $name(v: $type) -> $type { v })* };
}

impl scalars::Guest for Echo {
    echo! {
        echo_bool: bool,
        echo_s8: i8,
        echo_u8: u8,
        echo_s16: i16,
        echo_u16: u16,
        echo_s32: i32,
        echo_u32: u32,
        echo_s64: i64,
        echo_u64: u64,
        echo_f32: f32,
        echo_f64: f64,
        echo_char: char,
        echo_string: String,
    }

    fn nothing() {}
}

impl lists::Guest for Echo {
    echo! {
        echo_bytes: Vec<u8>,
        echo_bools: Vec<bool>,
        echo_s8s: Vec<i8>,
        echo_s16s: Vec<i16>,
        echo_u16s: Vec<u16>,
        echo_s32s: Vec<i32>,
        echo_u32s: Vec<u32>,
        echo_s64s: Vec<i64>,
        echo_u64s: Vec<u64>,
        echo_f32s: Vec<f32>,
        echo_f64s: Vec<f64>,
        echo_chars: Vec<char>,
        echo_strings: Vec<String>,
        echo_chunks: Vec<Vec<u8>>,
        echo_matrix: Vec<Vec<u32>>,
        echo_deep: Vec<Vec<Vec<String>>>,
        echo_pairs: Vec<(u8, String)>,
        echo_optional_items: Vec<Option<u16>>,
    }
}

impl records::Guest for Echo {
    echo! {
        echo_point: records::Point,
        echo_person: records::Person,
        echo_people: Vec<records::Person>,
        echo_wide: records::Wide,
        echo_wides: Vec<records::Wide>,
        echo_pair: (u8, String),
        echo_single: (u64,),
        echo_nested_tuple: ((u8, Vec<u8>), records::Point, (String,)),
    }

    fn check_order(order: records::Order) -> Result<records::Order, String> {
        if order.amount < 0.0 {
            return Err(format!("order {}: negative amount", order.id));
        }
        Ok(order)
    }
}

impl variants::Guest for Echo {
    echo! {
        echo_color: variants::Color,
        echo_colors: Vec<variants::Color>,
        echo_shape: variants::Shape,
        echo_shapes: Vec<variants::Shape>,
        echo_permission: variants::Permission,
        echo_flags8: variants::Flags8,
        echo_flags9: variants::Flags9,
        echo_flags32: variants::Flags32,
        echo_flag_list: Vec<variants::Flags9>,
    }
}

impl options::Guest for Echo {
    echo! {
        echo_u32: Option<u32>,
        echo_bool: Option<bool>,
        echo_string: Option<String>,
        echo_bytes: Option<Vec<u8>>,
        echo_twice: Option<Option<u32>>,
        echo_thrice: Option<Option<Option<String>>>,
        echo_point: Option<options::Point>,
        echo_person: Option<options::Person>,
        echo_shape: Option<options::Shape>,
        echo_pair: Option<(Option<u8>, Option<Option<u8>>)>,
        echo_strings: Option<Vec<Option<String>>>,
    }
}

impl results::Guest for Echo {
    echo! {
        echo_empty: Result<(), ()>,
        echo_ok: Result<u32, ()>,
        echo_err: Result<(), String>,
        echo_both: Result<u32, String>,
        echo_bytes: Result<Vec<u8>, u8>,
        echo_shape: Result<results::Shape, Vec<u8>>,
        echo_nested: Result<Result<u32, String>, Result<(), u8>>,
        echo_of_option: Result<Option<u8>, Option<String>>,
        echo_in_option: Option<Result<u8, String>>,
        echo_in_list: Vec<Result<u32, String>>,
        echo_in_tuple: (Result<(), ()>, Result<u64, ()>, Result<(), bool>),
    }
}

/// All arguments in Rust's own notation, so that one that moved or was cut shows.
macro_rules! shown {
    ($($argument:ident)*) => { [$(format!("{:?}", $argument)),*].join(" ") };
}

impl parameters::Guest for Echo {
    #[rustfmt::skip]
    fn sixteen(
        a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64,
        i: f32, j: f64, k: bool, l: char, m: u8, n: u16, o: u32, p: u64,
    ) -> String {
        shown!(a b c d e f g h i j k l m n o p)
    }

    #[rustfmt::skip]
    fn seventeen(
        a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64,
        i: f32, j: f64, k: bool, l: char, m: u8, n: u16, o: u32, p: u64, q: u8,
    ) -> String {
        shown!(a b c d e f g h i j k l m n o p q)
    }

    #[rustfmt::skip]
    fn many(
        a: String, b: Vec<u8>, c: parameters::Point, d: Option<String>, e: Vec<String>,
        f: Option<Vec<u8>>, g: u8, h: u64, i: u8,
    ) -> (String, Vec<u8>, parameters::Point, Option<String>, Vec<String>, Option<Vec<u8>>, u8, u64, u8) {
        (a, b, c, d, e, f, g, h, i)
    }
}

export!(Echo);
