//! The direct path against the `Val` path.
//!
//! For a type `T` a component is made that passes what its export is given to an import of the same
//! signature and returns what that returns. One call lowers and lifts `T` as parameter and as result,
//! flat and through memory, in both directions. Types and values are drawn from seeds that a failure
//! names.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use super::types::{Case, Enum, Field, Flags, Record, ResultType, Variant};
use super::{Callable, FuncType, Path, Type, Value, define_import};

/// Repeatable random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

const SCALARS: [Type; 13] = [
    Type::Bool,
    Type::S8,
    Type::U8,
    Type::S16,
    Type::U16,
    Type::S32,
    Type::U32,
    Type::S64,
    Type::U64,
    Type::F32,
    Type::F64,
    Type::Char,
    Type::String,
];

fn names(random: &mut Random, most: usize) -> Vec<Box<str>> {
    (0..=random.below(most))
        .map(|index| format!("n{index}").into())
        .collect()
}

fn any_type(random: &mut Random, depth: usize) -> Type {
    let scalar = |random: &mut Random| SCALARS[random.below(SCALARS.len())].clone();
    if depth == 0 {
        return scalar(random);
    }
    let inner = |random: &mut Random| any_type(random, depth - 1);
    let optional = |random: &mut Random| random.flip().then(|| any_type(random, depth - 1));
    match random.below(13) {
        0 => scalar(random),
        1 => Type::List(Arc::new(Type::U8)),
        2 => Type::List(Arc::new(inner(random))),
        3 => {
            let fields = names(random, 6);
            let fields = fields
                .into_iter()
                .map(|name| Field {
                    name,
                    ty: inner(random),
                })
                .collect();
            Type::Record(Arc::new(Record { name: None, fields }))
        }
        4 => Type::Tuple((0..=random.below(5)).map(|_| inner(random)).collect()),
        5 => {
            // More than 256 cases need a discriminant of two bytes.
            let most = if random.below(8) == 0 { 300 } else { 5 };
            let cases = names(random, most);
            let cases = (cases.into_iter().enumerate())
                .map(|(index, name)| Case {
                    name,
                    ty: if index < 6 { optional(random) } else { None },
                })
                .collect();
            Type::Variant(Arc::new(Variant { name: None, cases }))
        }
        6 => {
            let most = if random.below(8) == 0 { 300 } else { 5 };
            Type::Enum(Arc::new(Enum {
                name: None,
                cases: names(random, most),
            }))
        }
        7 => Type::Flags(Arc::new(Flags {
            name: None,
            flags: names(random, 31),
        })),
        8 | 9 => Type::Option(Arc::new(inner(random))),
        10 => Type::Result(Arc::new(ResultType {
            ok: optional(random),
            err: optional(random),
        })),
        11 => Type::FixedList(
            Arc::new(inner(random)),
            1 + u32::try_from(random.below(4)).unwrap(),
        ),
        _ => {
            let key = [Type::String, Type::U8, Type::S64, Type::Char][random.below(4)].clone();
            Type::Map(Arc::new((key, inner(random))))
        }
    }
}

fn any_value(random: &mut Random, ty: &Type) -> Value {
    let bits = random.next();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "any bits do"
    )]
    match ty {
        Type::Bool => Value::Bool(bits & 1 == 1),
        Type::S8 => Value::S8(bits as i8),
        Type::U8 => Value::U8(bits as u8),
        Type::S16 => Value::S16(bits as i16),
        Type::U16 => Value::U16(bits as u16),
        Type::S32 => Value::S32(bits as i32),
        Type::U32 => Value::U32(bits as u32),
        Type::S64 => Value::S64(bits as i64),
        Type::U64 => Value::U64(bits),
        // Not a NaN, which would not equal itself.
        Type::F32 => Value::F32(f32::from_bits(bits as u32 & 0xbfff_ffff)),
        Type::F64 => Value::F64(f64::from_bits(bits & 0xbfff_ffff_ffff_ffff)),
        Type::Char => Value::Char(['a', '\0', 'é', '€', '🦀', char::MAX][random.below(6)]),
        Type::String => {
            let text: String = (0..random.below(20))
                .map(|_| ['a', 'é', '€', '🦀'][random.below(4)])
                .collect();
            Value::String(text.into())
        }
        Type::List(element) => many(random, element, None),
        Type::FixedList(element, length) => many(random, element, Some(*length as usize)),
        Type::Map(entry) => Value::Map(
            (0..random.below(4))
                .map(|_| (any_value(random, &entry.0), any_value(random, &entry.1)))
                .collect(),
        ),
        Type::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| any_value(random, &field.ty))
                .collect(),
        ),
        Type::Tuple(types) => Value::Record(types.iter().map(|ty| any_value(random, ty)).collect()),
        Type::Variant(variant) => {
            let case = edge(random, variant.cases.len());
            let payload = variant.cases[case]
                .ty
                .as_ref()
                .map(|ty| Box::new(any_value(random, ty)));
            Value::Variant(case as u32, payload)
        }
        Type::Enum(ty) => Value::Enum(edge(random, ty.cases.len()) as u32),
        Type::Flags(ty) => Value::Flags((bits as u32) & ((1_u64 << ty.flags.len()) - 1) as u32),
        Type::Option(ty) => Value::Option((bits & 1 == 1).then(|| Box::new(any_value(random, ty)))),
        Type::Result(ty) => {
            let mut payload =
                |ty: &Option<Type>| ty.as_ref().map(|ty| Box::new(any_value(random, ty)));
            Value::Result(if bits & 1 == 1 {
                Ok(payload(&ty.ok))
            } else {
                Err(payload(&ty.err))
            })
        }
        _ => unreachable!("no handles are drawn"),
    }
}

/// A case, the last as often as all others.
fn edge(random: &mut Random, count: usize) -> usize {
    if random.flip() {
        count - 1
    } else {
        random.below(count)
    }
}

fn many(random: &mut Random, element: &Type, length: Option<usize>) -> Value {
    let length = length.unwrap_or_else(|| random.below(5));
    match element.number_size() {
        Some(size) => {
            let bytes: Vec<u8> = (0..length * size)
                .map(|_| random.next().to_le_bytes()[0])
                .collect();
            Value::Bytes(bytes.into())
        }
        None => Value::List((0..length).map(|_| any_value(random, element)).collect()),
    }
}

/// Writes the definition of `ty` as an imported type and returns how it is referred to.
fn define(ty: &Type, out: &mut String, count: &mut usize) -> String {
    let mut optional =
        |ty: &Option<Type>, out: &mut String| ty.as_ref().map(|ty| define(ty, out, count));
    let body = match ty {
        Type::List(element) => format!("(list {})", define(element, out, count)),
        Type::FixedList(element, length) => {
            format!("(list {} {length})", define(element, out, count))
        }
        Type::Map(entry) => {
            format!(
                "(map {} {})",
                define(&entry.0, out, count),
                define(&entry.1, out, count)
            )
        }
        Type::Option(ty) => format!("(option {})", define(ty, out, count)),
        Type::Tuple(types) => {
            let types: Vec<_> = types.iter().map(|ty| define(ty, out, count)).collect();
            format!("(tuple {})", types.join(" "))
        }
        Type::Record(record) => {
            let fields: Vec<_> = (record.fields.iter())
                .map(|field| {
                    format!(
                        "(field \"{}\" {})",
                        field.name,
                        define(&field.ty, out, count)
                    )
                })
                .collect();
            format!("(record {})", fields.join(" "))
        }
        Type::Variant(variant) => {
            let cases: Vec<_> = (variant.cases.iter())
                .map(|case| {
                    format!(
                        "(case \"{}\" {})",
                        case.name,
                        optional(&case.ty, out).unwrap_or_default()
                    )
                })
                .collect();
            format!("(variant {})", cases.join(" "))
        }
        Type::Enum(ty) => format!("(enum {})", quoted(&ty.cases)),
        Type::Flags(ty) => format!("(flags {})", quoted(&ty.flags)),
        Type::Result(ty) => {
            let ok = optional(&ty.ok, out).unwrap_or_default();
            let err = optional(&ty.err, out)
                .map(|err| format!("(error {err})"))
                .unwrap_or_default();
            format!("(result {ok} {err})")
        }
        scalar => return scalar.to_string(),
    };
    *count += 1;
    writeln!(out, "(type $raw{count} {body})").unwrap();
    writeln!(
        out,
        "(import \"t{count}\" (type $t{count} (eq $raw{count})))"
    )
    .unwrap();
    format!("$t{count}")
}

fn quoted(names: &[Box<str>]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The core types of the flat form.
fn flat(ty: &Type) -> Vec<&'static str> {
    fn joined<'a>(cases: impl Iterator<Item = &'a Type>) -> Vec<&'static str> {
        let mut all = Vec::new();
        for case in cases {
            for (index, core) in flat(case).into_iter().enumerate() {
                match all.get(index).copied() {
                    None => all.push(core),
                    Some(known) if known == core => {}
                    Some("i32" | "f32") if core == "i32" || core == "f32" => all[index] = "i32",
                    Some(_) => all[index] = "i64",
                }
            }
        }
        all.insert(0, "i32");
        all
    }
    match ty {
        Type::F32 => vec!["f32"],
        Type::F64 => vec!["f64"],
        Type::S64 | Type::U64 => vec!["i64"],
        Type::String | Type::List(_) | Type::Map(_) => vec!["i32", "i32"],
        Type::FixedList(ty, length) => flat(ty).repeat(*length as usize),
        Type::Record(record) => record
            .fields
            .iter()
            .flat_map(|field| flat(&field.ty))
            .collect(),
        Type::Tuple(types) => types.iter().flat_map(flat).collect(),
        Type::Variant(variant) => joined(variant.cases.iter().filter_map(|case| case.ty.as_ref())),
        Type::Option(ty) => joined(std::iter::once(&**ty)),
        Type::Result(ty) => joined(ty.ok.iter().chain(&ty.err)),
        _ => vec!["i32"],
    }
}

const LIBC: &str = r#"
    (memory (export "memory") 64)
    (global $top (mut i32) (i32.const 1024))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        ;; round up to the alignment, never move
        (local.set $at (i32.and
            (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get 2))))
        (global.set $top (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
"#;

/// A component whose export `run(v: T) -> T` returns what its import `host(v: T) -> T` returns.
fn trampoline(ty: &Type) -> String {
    let mut types = String::new();
    let name = define(ty, &mut types, &mut 0);
    let flat = flat(ty);
    let params = if flat.len() > 16 {
        vec!["i32"]
    } else {
        flat.clone()
    };
    let gets: String = (0..params.len())
        .map(|index| format!("(local.get {index}) "))
        .collect();
    let params = params.join(" ");
    let (host, body, result) = if flat.len() == 1 {
        (
            format!("(param {params}) (result {})", flat[0]),
            format!("(call $host {gets})"),
            flat[0],
        )
    } else {
        let area = format!(
            "(local $at i32)
             (local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 65536)))
             (call $host {gets} (local.get $at))
             (local.get $at)"
        );
        (format!("(param {params} i32)"), area, "i32")
    };
    format!(
        r#"(component
            {types}
            (import "host" (func $host (param "v" {name}) (result {name})))
            (core module $libc {LIBC})
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            (core func $lowered (canon lower (func $host) (memory $memory) (realloc $realloc)))
            (core module $main
                (import "" "host" (func $host {host}))
                (import "" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
                (func (export "run") (param {params}) (result {result}) {body}))
            (core instance $main (instantiate $main
                (with "" (instance
                    (export "host" (func $lowered))
                    (export "realloc" (func $realloc))))))
            (func (export "run") (param "v" {name}) (result {name})
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc))))"#
    )
}

fn engine(concurrent: bool) -> Engine {
    let mut config = Config::new();
    config
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent);
    Engine::new(&config).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn shape(ty: &Type) -> String {
    let mut shape = String::new();
    ty.write_shape(&mut shape).unwrap();
    shape
}

/// What a host function was given, and what it is to return.
type Exchange = Arc<Mutex<(Option<Value>, Option<Value>)>>;

struct Trampoline {
    store: Store<()>,
    run: Callable,
    exchange: Exchange,
}

impl Trampoline {
    fn new(component: &Component, engine: &Engine, calls: Path, imports: Path) -> Self {
        let ty = component.component_type();
        let func = |item| match item {
            wasmtime::component::types::ComponentItem::ComponentFunc(ty) => {
                Arc::new(FuncType::from_component_func(&ty))
            }
            item => panic!("not a function: {item:?}"),
        };
        let host = func(ty.get_import(engine, "host").unwrap().ty);
        let run = func(ty.get_export(engine, "run").unwrap().ty);
        assert_eq!(
            shape(&run.params[0].ty),
            shape(run.result.as_ref().unwrap())
        );
        let exchange = Exchange::default();
        let mut linker = Linker::new(engine);
        let shared = exchange.clone();
        define_import(
            imports,
            &mut linker.root(),
            "host",
            &host,
            move |_store, mut args| {
                let shared = shared.clone();
                Box::pin(async move {
                    // Suspends the guest once, as a host function that waits does.
                    tokio::task::yield_now().await;
                    let mut exchange = shared.lock().unwrap();
                    exchange.0 = args.pop();
                    Ok(exchange.1.take())
                })
            },
        )
        .unwrap();
        let mut store = Store::new(engine, ());
        let instance = block_on(linker.instantiate_async(&mut store, component)).unwrap();
        let func = instance.get_func(&mut store, "run").unwrap();
        let run = Callable::by(calls, func, &store, run).unwrap();
        Self {
            store,
            run,
            exchange,
        }
    }

    fn call(&mut self, argument: Value, result: Value) -> wasmtime::Result<(Value, Value)> {
        *self.exchange.lock().unwrap() = (None, Some(result));
        let returned = block_on(self.run.call(&mut self.store, vec![argument]))?;
        let received = self.exchange.lock().unwrap().0.take();
        Ok((
            received.expect("the import was called"),
            returned.expect("there is a result"),
        ))
    }
}

const PATHS: [(Path, Path); 4] = [
    (Path::Direct, Path::Direct),
    (Path::Direct, Path::Val),
    (Path::Val, Path::Direct),
    (Path::Val, Path::Val),
];

/// Passes values of `ty` through every combination of paths and profiles.
fn round_trip(engines: &[Engine], ty: &Type, values: &[(Value, Value)], context: &str) {
    let text = trampoline(ty);
    for engine in engines {
        let component = Component::new(engine, &text)
            .unwrap_or_else(|error| panic!("{context}: {error:#}\n{text}"));
        for (calls, imports) in PATHS {
            let mut trampoline = Trampoline::new(&component, engine, calls, imports);
            assert_eq!(
                shape(&trampoline.run.ty().params[0].ty),
                shape(ty),
                "{context}"
            );
            for (argument, result) in values {
                let context = format!("{context}, calls {calls:?}, imports {imports:?}, type {ty}");
                let (received, returned) = trampoline
                    .call(argument.clone(), result.clone())
                    .unwrap_or_else(|error| panic!("{context}: {error:#}\n{argument:?}"));
                assert_eq!(&received, argument, "argument, {context}");
                assert_eq!(&returned, result, "result, {context}");
            }
        }
    }
}

#[test]
fn every_scalar_and_list_of_scalars_crosses_alike_on_both_paths() {
    let engines = [engine(false), engine(true)];
    let mut random = Random(1);
    for scalar in SCALARS {
        let types = [
            scalar.clone(),
            Type::List(Arc::new(scalar.clone())),
            Type::Option(Arc::new(scalar.clone())),
            Type::List(Arc::new(Type::List(Arc::new(scalar.clone())))),
            Type::Option(Arc::new(Type::List(Arc::new(scalar)))),
        ];
        for ty in types {
            let values: Vec<_> = (0..8)
                .map(|_| (any_value(&mut random, &ty), any_value(&mut random, &ty)))
                .collect();
            round_trip(&engines, &ty, &values, "scalars");
        }
    }
}

#[test]
fn random_types_cross_alike_on_both_paths() {
    let engines = [engine(false), engine(true)];
    let count = std::env::var("AIRSSYS_FUZZ_TYPES").map_or(150, |count| count.parse().unwrap());
    for seed in 0..count {
        let mut random = Random(seed);
        let depth = 1 + random.below(4);
        let ty = any_type(&mut random, depth);
        let values: Vec<_> = (0..6)
            .map(|_| (any_value(&mut random, &ty), any_value(&mut random, &ty)))
            .collect();
        round_trip(&engines, &ty, &values, &format!("seed {seed}"));
    }
}

#[test]
fn types_at_the_edges_of_the_abi_cross_alike_on_both_paths() {
    let engines = [engine(false), engine(true)];
    let named = |count: usize| {
        (0..count)
            .map(|index| format!("n{index}").into())
            .collect::<Vec<Box<str>>>()
    };
    let list = |ty: Type| Type::List(Arc::new(ty));
    let cases = |count| {
        let case = |(index, name)| Case {
            name,
            ty: (index % 2 == 1).then_some(Type::U64),
        };
        let cases = named(count).into_iter().enumerate().map(case).collect();
        Type::Variant(Arc::new(Variant { name: None, cases }))
    };
    let mut types = vec![
        // The last count that travels as core values, and the first that does not.
        Type::Tuple(vec![Type::U64; 16].into()),
        Type::Tuple(vec![Type::U64; 17].into()),
        Type::Tuple(vec![list(Type::U8); 8].into()),
        Type::Tuple(vec![list(Type::U8); 9].into()),
        Type::Option(Arc::new(Type::Option(Arc::new(Type::Option(Arc::new(
            Type::F32,
        )))))),
        Type::Result(Arc::new(ResultType {
            ok: None,
            err: None,
        })),
        Type::Result(Arc::new(ResultType {
            ok: Some(Type::F32),
            err: Some(Type::F64),
        })),
        Type::Result(Arc::new(ResultType {
            ok: Some(Type::F32),
            err: Some(Type::S64),
        })),
        Type::Result(Arc::new(ResultType {
            ok: Some(Type::F32),
            err: Some(Type::String),
        })),
    ];
    for count in [1, 255, 256, 257, 300] {
        types.push(Type::Enum(Arc::new(Enum {
            name: None,
            cases: named(count),
        })));
        types.push(list(Type::Enum(Arc::new(Enum {
            name: None,
            cases: named(count),
        }))));
        types.push(cases(count));
        types.push(list(cases(count)));
    }
    for count in [1, 8, 9, 16, 17, 31, 32] {
        types.push(Type::Flags(Arc::new(Flags {
            name: None,
            flags: named(count),
        })));
        types.push(list(Type::Flags(Arc::new(Flags {
            name: None,
            flags: named(count),
        }))));
    }
    let mut random = Random(2);
    for ty in types {
        let values: Vec<_> = (0..8)
            .map(|_| (any_value(&mut random, &ty), any_value(&mut random, &ty)))
            .collect();
        round_trip(&engines, &ty, &values, "edges");
    }
}

#[test]
fn a_value_of_another_type_is_an_error_and_nothing_worse() {
    let engine = engine(false);
    let mut refused = 0;
    for seed in 0..100 {
        let mut random = Random(seed);
        let ty = any_type(&mut random, 2);
        let component = Component::new(&engine, trampoline(&ty)).unwrap();
        for _ in 0..4 {
            let other = any_type(&mut random, 2);
            let (wrong, right) = (any_value(&mut random, &other), any_value(&mut random, &ty));
            for (argument, result) in [(wrong.clone(), right.clone()), (right, wrong)] {
                let mut direct = Trampoline::new(&component, &engine, Path::Direct, Path::Direct);
                match direct.call(argument.clone(), result.clone()) {
                    Err(_) => refused += 1,
                    // What the other type has in common with this one passes on both paths.
                    Ok(passed) => {
                        let mut by_val = Trampoline::new(&component, &engine, Path::Val, Path::Val);
                        let reference = by_val.call(argument, result).unwrap();
                        assert_eq!(
                            format!("{passed:?}"),
                            format!("{reference:?}"),
                            "seed {seed}, {ty}"
                        );
                    }
                }
            }
        }
    }
    assert!(
        refused > 600,
        "only {refused} of 800 wrong values were refused"
    );
}

/// A component whose export `give(at: u32) -> tuple<T, u8, u8>` returns what its memory, filled with
/// noise in which lengths are often short and pointers often valid, holds at `at`.
fn noise(ty: &Type, seed: u64) -> String {
    let mut types = String::new();
    let name = define(ty, &mut types, &mut 0);
    let seed = seed | 1;
    format!(
        r#"(component
            {types}
            (core module $main
                (memory (export "memory") 1)
                (global $state (mut i64) (i64.const {seed}))
                (func $next (result i32)
                    (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 13))))
                    (global.set $state (i64.xor (global.get $state) (i64.shr_u (global.get $state) (i64.const 7))))
                    (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 17))))
                    (i32.wrap_i64 (global.get $state)))
                (func $fill
                    (local $at i32) (local $word i32) (local $kind i32)
                    (loop $more
                        (local.set $word (call $next))
                        (local.set $kind (i32.and (call $next) (i32.const 3)))
                        (if (i32.le_u (local.get $kind) (i32.const 1)) (then
                            (local.set $word (i32.and (local.get $word) (i32.const 3)))))
                        (if (i32.eq (local.get $kind) (i32.const 2)) (then
                            (local.set $word (i32.and (local.get $word) (i32.const 0xfff8)))))
                        (i32.store (local.get $at) (local.get $word))
                        (local.set $at (i32.add (local.get $at) (i32.const 4)))
                        (br_if $more (i32.lt_u (local.get $at) (i32.const 65536)))))
                (start $fill)
                (func (export "give") (param i32) (result i32) (local.get 0)))
            (core instance $main (instantiate $main))
            (alias core export $main "memory" (core memory $memory))
            (func (export "give") (param "at" u32) (result (tuple {name} u8 u8))
                (canon lift (core func $main "give") (memory $memory))))"#
    )
}

#[test]
fn what_a_hostile_guest_returns_is_judged_alike_on_both_paths() {
    let count = std::env::var("AIRSSYS_FUZZ_TYPES").map_or(100, |count| count.parse().unwrap());
    let engine = engine(false);
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..count {
        let mut random = Random(seed);
        let ty = any_type(&mut random, 3);
        let component = Component::new(&engine, noise(&ty, random.next() >> 1)).unwrap();
        let item = component
            .component_type()
            .get_export(&engine, "give")
            .unwrap()
            .ty;
        let wasmtime::component::types::ComponentItem::ComponentFunc(give) = item else {
            panic!("not a function")
        };
        let give = Arc::new(FuncType::from_component_func(&give));
        for _ in 0..40 {
            let at = Value::U32(u32::try_from(random.below(65536)).unwrap() & !7);
            let outcome = |path| {
                let mut store = Store::new(&engine, ());
                store.set_hostcall_fuel(1 << 20);
                let instance =
                    block_on(Linker::new(&engine).instantiate_async(&mut store, &component))
                        .unwrap();
                let func = instance.get_func(&mut store, "give").unwrap();
                let callable = Callable::by(path, func, &store, give.clone()).unwrap();
                block_on(callable.call(&mut store, vec![at.clone()]))
                    .map(|value| format!("{value:?}"))
                    .map_err(|error| format!("{error:#}"))
            };
            match (outcome(Path::Direct), outcome(Path::Val)) {
                (Ok(direct), Ok(reference)) => {
                    assert_eq!(direct, reference, "seed {seed}, at {at:?}, type {ty}");
                    accepted += 1;
                }
                (Err(_), Err(_)) => refused += 1,
                // The paths need different amounts of memory for one value.
                (_, Err(error)) | (Err(error), _) if error.contains("fuel") => {}
                (direct, reference) => {
                    panic!("seed {seed}, at {at:?}, type {ty}: {direct:?} against {reference:?}")
                }
            }
        }
    }
    assert!(
        accepted > 100 && refused > 100,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn resources_cross_as_handles_and_as_the_embedders_own() {
    use wasmtime::component::ResourceType;
    let text = format!(
        r#"(component
            (import "thing" (type $thing (sub resource)))
            (import "make" (func $make (param "seed" u32) (result (own $thing))))
            (import "look" (func $look (param "thing" (borrow $thing)) (result u32)))
            (core module $libc {LIBC})
            (core instance $libc (instantiate $libc))
            (core func $make (canon lower (func $make)))
            (core func $look (canon lower (func $look)))
            (core func $drop (canon resource.drop $thing))
            (type $counter' (resource (rep i32)))
            (export $counter "counter" (type $counter'))
            (core func $new (canon resource.new $counter'))
            (core module $main
                (import "" "make" (func $make (param i32) (result i32)))
                (import "" "look" (func $look (param i32) (result i32)))
                (import "" "drop" (func $drop (param i32)))
                (import "" "new" (func $new (param i32) (result i32)))
                (func (export "made") (param i32) (result i32)
                    (local $thing i32) (local $seen i32)
                    (local.set $thing (call $make (local.get 0)))
                    (local.set $seen (call $look (local.get $thing)))
                    (call $drop (local.get $thing))
                    (local.get $seen))
                (func (export "pass") (param i32) (result i32) (local.get 0))
                (func (export "start") (param i32) (result i32) (call $new (local.get 0)))
                (func (export "read") (param i32) (result i32) (local.get 0)))
            (core instance $main (instantiate $main (with "" (instance
                (export "make" (func $make)) (export "look" (func $look))
                (export "drop" (func $drop)) (export "new" (func $new))))))
            (func (export "made") (param "seed" u32) (result u32) (canon lift (core func $main "made")))
            (func (export "pass") (param "v" (own $thing)) (result (own $thing))
                (canon lift (core func $main "pass")))
            (func (export "start") (param "rep" u32) (result (own $counter))
                (canon lift (core func $main "start")))
            (func (export "read") (param "v" (borrow $counter)) (result u32)
                (canon lift (core func $main "read"))))"#
    );
    for engine in [engine(false), engine(true)] {
        let component = Component::new(&engine, &text).unwrap();
        for (calls, imports) in PATHS {
            let ty = |item: Option<wasmtime::component::types::ComponentExtern<'_>>| match item
                .unwrap()
                .ty
            {
                wasmtime::component::types::ComponentItem::ComponentFunc(ty) => {
                    Arc::new(FuncType::from_component_func(&ty))
                }
                item => panic!("not a function: {item:?}"),
            };
            let component_type = component.component_type();
            let import = |name| ty(component_type.get_import(&engine, name));
            let mut linker = Linker::new(&engine);
            let dropped = Arc::new(Mutex::new(Vec::new()));
            let drops = dropped.clone();
            linker
                .root()
                .resource("thing", ResourceType::host_dynamic(5), move |_, rep| {
                    drops.lock().unwrap().push(rep);
                    Ok(())
                })
                .unwrap();
            define_import(
                imports,
                &mut linker.root(),
                "make",
                &import("make"),
                |_, args| {
                    let Some(Value::U32(rep)) = args.first().cloned() else {
                        panic!("{args:?}")
                    };
                    Box::pin(async move {
                        Ok(Some(Value::HostResource {
                            rep,
                            kind: 5,
                            owned: true,
                        }))
                    })
                },
            )
            .unwrap();
            define_import(
                imports,
                &mut linker.root(),
                "look",
                &import("look"),
                |_, args| {
                    let Some(Value::HostResource {
                        rep,
                        kind: 5,
                        owned: false,
                    }) = args.first().cloned()
                    else {
                        panic!("{args:?}")
                    };
                    Box::pin(async move { Ok(Some(Value::U32(rep + 1))) })
                },
            )
            .unwrap();
            let mut store = Store::new(&engine, ());
            let instance = block_on(linker.instantiate_async(&mut store, &component)).unwrap();
            let mut call = |name: &str, argument: Value| {
                let func = instance.get_func(&mut store, name).unwrap();
                let callable = Callable::by(
                    calls,
                    func,
                    &store,
                    ty(component_type.get_export(&engine, name)),
                )
                .unwrap();
                block_on(callable.call(&mut store, vec![argument]))
            };
            assert_eq!(call("made", Value::U32(8)).unwrap(), Some(Value::U32(9)));
            assert_eq!(*dropped.lock().unwrap(), [8]);
            let own = Value::HostResource {
                rep: 3,
                kind: 5,
                owned: true,
            };
            assert_eq!(call("pass", own.clone()).unwrap(), Some(own));
            let counter = call("start", Value::U32(77)).unwrap().unwrap();
            assert_eq!(call("read", counter.clone()).unwrap(), Some(Value::U32(77)));
            let foreign = Value::HostResource {
                rep: 3,
                kind: 6,
                owned: true,
            };
            assert!(
                format!("{:#}", call("pass", foreign).unwrap_err())
                    .contains("mismatched resource types")
            );
        }
    }
}

#[test]
fn bytes_of_megabytes_cross_within_the_default_limits() {
    let ty = Type::List(Arc::new(Type::U8));
    let component = |engine: &Engine| Component::new(engine, trampoline(&ty)).unwrap();
    for engine in [engine(false), engine(true)] {
        let mut direct = Trampoline::new(&component(&engine), &engine, Path::Direct, Path::Direct);
        let bytes = Value::Bytes(Bytes::from(vec![7; 1 << 20]));
        let (received, returned) = direct.call(bytes.clone(), bytes.clone()).unwrap();
        assert_eq!((received, returned), (bytes.clone(), bytes));
    }
}
