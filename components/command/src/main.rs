//! A `wasi:cli` command. Each subcommand shows one thing a shell expects of a program.

use std::env;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    match args.next().as_deref() {
        // One argument a line.
        Some("args") => args.for_each(|arg| println!("{arg}")),
        Some("env") => env::vars().for_each(|(key, value)| println!("{key}={value}")),
        Some("cat") => {
            let mut input = Vec::new();
            io::stdin().read_to_end(&mut input).expect("stdin reads");
            io::stdout().write_all(&input).expect("stdout writes");
        }
        // Line by line, so that an interactive host can be told from a batch one.
        Some("upper") => {
            for line in io::stdin().lock().lines() {
                println!("{}", line.expect("stdin is UTF-8").to_uppercase());
            }
        }
        Some("exit") => {
            let code = args.next().and_then(|code| code.parse().ok()).unwrap_or(0);
            return ExitCode::from(code);
        }
        Some("stderr") => args.for_each(|arg| eprintln!("{arg}")),
        Some("panic") => panic!("asked to panic"),
        Some("spin") => loop {
            std::hint::black_box(());
        },
        Some("sleep") => {
            let seconds = args
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0);
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
        }
        Some("read-file") => {
            for path in args {
                match std::fs::read_to_string(&path) {
                    Ok(text) => print!("{text}"),
                    Err(error) => {
                        eprintln!("{path}: {error}");
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
        other => {
            eprintln!(
                "error: unknown subcommand {other:?}\n\
                 hint: args, env, cat, upper, exit N, stderr, panic, spin, sleep SECONDS, read-file PATH"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
