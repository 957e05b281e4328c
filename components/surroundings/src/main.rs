//! Each argument is a command, its parts separated by `|`; each prints one line: `ok:…` or `err:…`.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use wasi::config::store;
use wasip2::random::{insecure, insecure_seed, random};

wit_bindgen::generate!({
    inline: "
        package acme:surroundings;
        world surroundings { import wasi:config/store@0.2.0-rc.1; }
    ",
    path: "../../wit/deps/config",
    world: "acme:surroundings/surroundings",
    generate_all,
});

type Outcome = Result<String, String>;

fn listed(pairs: impl Iterator<Item = (String, String)>) -> String {
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(command: &[&str]) -> Outcome {
    match *command {
        // Asked of the host each time, unlike `std::env`, which keeps its first answer.
        ["env"] => Ok(listed(
            wasip2::cli::environment::get_environment().into_iter(),
        )),
        ["config", key] => match store::get(key) {
            Ok(value) => value.ok_or("none".to_owned()),
            Err(error) => Err(format!("{error:?}")),
        },
        ["config-all"] => store::get_all()
            .map(|all| listed(all.into_iter()))
            .map_err(|error| format!("{error:?}")),
        ["wall"] => Ok(SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("no clock is before 1970")
            .as_nanos()
            .to_string()),
        ["slept", milliseconds] => {
            let begin = Instant::now();
            let time = Duration::from_millis(milliseconds.parse().map_err(|_| "not a number")?);
            std::thread::sleep(time);
            Ok(begin.elapsed().as_nanos().to_string())
        }
        ["random"] => Ok(format!(
            "{} {} {} {} {:?}",
            hexadecimal(&random::get_random_bytes(8)),
            random::get_random_u64(),
            hexadecimal(&insecure::get_insecure_random_bytes(8)),
            insecure::get_insecure_random_u64(),
            insecure_seed::insecure_seed(),
        )),
        _ => Err(format!("unknown command: {command:?}")),
    }
}

fn main() {
    for argument in std::env::args().skip(1) {
        let command: Vec<&str> = argument.split('|').collect();
        let line = match run(&command) {
            Ok(text) => format!("ok:{text}"),
            Err(text) => format!("err:{text}"),
        };
        println!("{line}");
        std::io::stdout().flush().expect("stdout takes everything");
    }
}
