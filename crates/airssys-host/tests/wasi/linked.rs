//! What is linked, and why it may be.

use std::collections::BTreeMap;
use std::path::Path;

use airssys_host::engine::Profile;
use airssys_host::wasi::link::provides;

/// Each interface that is linked, by version and name, with what implements it.
///
/// `Governance` and the hooks behind `WasiHttp` ask the gate. The others are expressly allowed: they reach
/// nothing outside the instance but the standard streams that it was given.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "Governance",
        &[
            "config::store",
            "own_p2::cli::environment",
            "own_p3::cli::environment",
            "p2::clocks::monotonic_clock",
            "p2::clocks::wall_clock",
            "p2::filesystem::preopens",
            "p2::filesystem::types",
            "p2::random::insecure",
            "p2::random::insecure_seed",
            "p2::random::random",
            "p2::sockets::instance_network",
            "p2::sockets::ip_name_lookup",
            "p2::sockets::network",
            "p2::sockets::tcp",
            "p2::sockets::tcp_create_socket",
            "p2::sockets::udp",
            "p2::sockets::udp_create_socket",
            "p3::clocks::monotonic_clock",
            "p3::clocks::system_clock",
            "p3::clocks::types",
            "p3::filesystem::preopens",
            "p3::filesystem::types",
            "p3::random::insecure",
            "p3::random::insecure_seed",
            "p3::random::random",
            "p3::sockets::ip_name_lookup",
            "p3::sockets::types",
        ],
    ),
    ("Io", &["p2::io::error", "p2::io::poll", "p2::io::streams"]),
    (
        "WasiCli",
        &[
            "p2::cli::exit",
            "p2::cli::stderr",
            "p2::cli::stdin",
            "p2::cli::stdout",
            "p2::cli::terminal_input",
            "p2::cli::terminal_output",
            "p2::cli::terminal_stderr",
            "p2::cli::terminal_stdin",
            "p2::cli::terminal_stdout",
            "p3::cli::exit",
            "p3::cli::stderr",
            "p3::cli::stdin",
            "p3::cli::stdout",
            "p3::cli::terminal_input",
            "p3::cli::terminal_output",
            "p3::cli::terminal_stderr",
            "p3::cli::terminal_stdin",
            "p3::cli::terminal_stdout",
        ],
    ),
    (
        "WasiHttp",
        &[
            "p2_http::http::outgoing_handler",
            "p2_http::http::types",
            "p3_http::client",
            "p3_http::types",
        ],
    ),
];

/// The calls in a source text that link an interface: what implements it, and its path.
fn links(source: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (before, after) in source
        .match_indices("add_to_linker")
        .map(|(at, name)| (&source[..at], &source[at + name.len()..]))
    {
        let Some(path) = before.strip_suffix("::") else {
            continue;
        };
        let path = path
            .rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
            .next();
        let by = after
            .strip_prefix("::<T, ")
            .and_then(|rest| rest.split('>').next())
            .unwrap_or("unknown");
        found
            .entry(by.to_owned())
            .or_default()
            .push(path.unwrap_or_default().to_owned());
    }
    found.values_mut().for_each(|paths| paths.sort());
    found
}

#[test]
fn every_linked_interface_is_governed_or_expressly_allowed() {
    let found = links(include_str!("../../src/wasi/link.rs"));
    let expected: BTreeMap<String, Vec<String>> = EXPECTED
        .iter()
        .map(|(by, paths)| {
            (
                (*by).to_owned(),
                paths.iter().map(|path| (*path).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_linked_is_what_is_said_to_be_provided() {
    let mut said = 0;
    let paths = EXPECTED.iter().flat_map(|(_, paths)| *paths);
    for path in paths.filter(|path| **path != "config::store") {
        let path = path.trim_start_matches("own_");
        let (version, path) = path.split_once("::").unwrap();
        let path = if version.ends_with("_http") {
            format!("http::{}", path.trim_start_matches("http::"))
        } else {
            path.to_owned()
        };
        let name = format!("wasi:{}", path.replace("::", "/").replace('_', "-"));
        let second = version.starts_with("p2");
        let import = format!("{name}@{}", if second { "0.2.6" } else { "0.3.0" });
        assert_eq!(provides(&import, Profile::Plain), second, "{import}");
        assert!(provides(&import, Profile::Concurrent), "{import}");
        said += 1;
    }
    let source = include_str!("../../src/wasi/link.rs");
    assert_eq!(source.matches("    \"wasi:").count(), said);
    for profile in [Profile::Plain, Profile::Concurrent] {
        assert!(provides("wasi:config/store@0.2.0-rc.1", profile));
    }
    for import in [
        "wasi:config/store@0.2.0",
        "wasi:config/store@0.2.0-draft",
        "wasi:keyvalue/store@0.2.0",
        "wasi:sockets/tcp@0.1.0",
        "wasi:http/types",
    ] {
        assert!(!provides(import, Profile::Concurrent), "{import}");
    }
}

/// Packages beyond WASI 0.2 and 0.3: what implements each, and interfaces that it links. They are methods of an
/// instance's state, which ask the gate.
const SERVICES: &[(&str, &[&str])] = &[
    (
        "logging",
        &["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"],
    ),
    (
        "plane::link",
        &[
            "airssys:core/host@1.0.0",
            "airssys:core/timers@1.0.0",
            "airssys:core/types@1.0.0",
            "airssys:messaging/messaging@1.0.0",
            "airssys:messaging/topics@1.0.0",
        ],
    ),
    (
        "security",
        &[
            "airssys:security/audit@1.0.0",
            "airssys:security/capabilities@1.0.0",
            "airssys:security/types@1.0.0",
        ],
    ),
    (
        "storage::guest",
        &[
            "airssys:storage/batch@1.0.0",
            "airssys:storage/compare-and-set@1.0.0",
            "airssys:storage/store@1.0.0",
            "airssys:storage/types@1.0.0",
            "airssys:storage/watch@1.0.0",
            "wasi:keyvalue/atomics@0.2.0-draft2",
            "wasi:keyvalue/batch@0.2.0-draft2",
            "wasi:keyvalue/store@0.2.0-draft2",
        ],
    ),
];

#[test]
fn every_host_service_is_one_that_is_known_here() {
    let source = include_str!("../../src/services.rs");
    let linked: Vec<&str> = source
        .match_indices("add_to_linker: crate::")
        .map(|(at, found)| {
            let rest = &source[at + found.len()..];
            rest.split("::add_to_linker").next().unwrap()
        })
        .collect();
    let known: Vec<&str> = SERVICES.iter().map(|(by, _)| *by).collect();
    assert_eq!(linked, known);
    for import in SERVICES.iter().flat_map(|(_, imports)| *imports) {
        assert!(airssys_host::services::provides(import), "{import}");
    }
    for import in ["wasi:logging/logging@0.2.0", "wasi:keyvalue/store@0.2.0"] {
        assert!(!airssys_host::services::provides(import), "{import}");
    }
}

#[test]
fn no_other_file_links_an_interface() {
    fn visit(dir: &Path, offenders: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, offenders);
            } else if !path.ends_with("wasi/link.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let stock = text.contains("wasmtime_wasi::p2::add_to_linker")
                    || text.contains("wasmtime_wasi::p3::add_to_linker")
                    || text.contains("wasmtime_wasi_http::p2::add_")
                    || text.contains("wasmtime_wasi_http::p3::add_")
                    || links(&text).iter().any(|(by, _)| by != "unknown");
                if stock {
                    offenders.push(path.display().to_string());
                }
            }
        }
    }
    let mut offenders = Vec::new();
    visit(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut offenders,
    );
    assert!(offenders.is_empty(), "{offenders:?}");
}
