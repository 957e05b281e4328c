//! The only place that links an interface of WASI.
//!
//! What touches files, sockets, names, HTTP, variables, configuration, clocks or random numbers is linked to
//! [`Governance`]; the rest is linked to the stock implementation and has no reach outside the instance but
//! the standard streams that the [`Builder`](super::Builder) was given: what these lead to is the operator's
//! choice. Interfaces that are neither are not linked.

use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView};
use wasmtime_wasi::p2::bindings as p2;
use wasmtime_wasi::p3::bindings as p3;
use wasmtime_wasi_http::p2::bindings as p2_http;
use wasmtime_wasi_http::p3::bindings::http as p3_http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpCtxView};

use super::settings::{config, own_p2, own_p3};
use super::state::{Governance, Governed, WasiState};
use crate::engine::Profile;

/// What has no version of WASI 0.2 yet, by its exact name.
const CONFIG: &str = "wasi:config/store@0.2.0-rc.1";

/// As the stock implementation names it.
const HTTP_TYPES: &str = "wasi:http/types@0.2.12";

/// Interfaces of WASI 0.2 that [`add_to_linker`] links in both profiles.
const P2: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Interfaces of WASI 0.3 that [`add_to_linker`] links in the concurrent profile.
const P3: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str, profile: Profile) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if version.starts_with("0.2.") {
        P2.contains(&interface) || import == CONFIG
    } else {
        version.starts_with("0.3.") && profile == Profile::Concurrent && P3.contains(&interface)
    }
}

/// Link every governed or expressly allowed interface of WASI.
///
/// # Errors
/// When one of them is already defined in `linker`.
pub fn add_to_linker<T: Governed>(
    linker: &mut Linker<T>,
    profile: Profile,
) -> wasmtime::Result<()> {
    link_p2(linker)?;
    if profile == Profile::Concurrent {
        link_p3(linker)?;
    }
    Ok(())
}

fn cli<T: Governed>(state: &mut T) -> WasiCliCtxView<'_> {
    let wasi = state.wasi();
    WasiCliCtxView {
        ctx: wasi.ctx.cli(),
        table: &mut wasi.table,
    }
}

fn http<T: Governed>(state: &mut T) -> WasiHttpCtxView<'_> {
    state.wasi().http_view()
}

/// The table alone, for `wasi:io`: streams and pollables bring their own decisions.
struct Io;

impl wasmtime::component::HasData for Io {
    type Data<'a> = &'a mut wasmtime::component::ResourceTable;
}

fn link_p2<T: Governed>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let l = linker;
    p2::io::error::add_to_linker::<T, Io>(l, |state| &mut state.wasi().table)?;
    p2::io::poll::add_to_linker::<T, Io>(l, |state| &mut state.wasi().table)?;
    p2::io::streams::add_to_linker::<T, Io>(l, |state| &mut state.wasi().table)?;

    p2::clocks::wall_clock::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::clocks::monotonic_clock::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::random::random::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::random::insecure::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::random::insecure_seed::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::cli::exit::add_to_linker::<T, WasiCli>(l, cli)?;
    own_p2::cli::environment::add_to_linker::<T, Governance>(l, T::wasi)?;
    config::store::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::cli::stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::stderr::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::terminal_input::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::terminal_output::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    p2::cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, cli)?;

    p2::filesystem::preopens::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::filesystem::types::add_to_linker::<T, Governance>(l, T::wasi)?;
    let options = p2::sockets::network::LinkOptions::default();
    p2::sockets::network::add_to_linker::<T, Governance>(l, &options, T::wasi)?;
    p2::sockets::instance_network::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::sockets::ip_name_lookup::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::sockets::tcp_create_socket::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::sockets::tcp::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::sockets::udp_create_socket::add_to_linker::<T, Governance>(l, T::wasi)?;
    p2::sockets::udp::add_to_linker::<T, Governance>(l, T::wasi)?;

    // Every request passes through the hooks that the view carries.
    let options = p2_http::LinkOptions::default();
    p2_http::http::types::add_to_linker::<T, WasiHttp>(l, &(&options).into(), http)?;
    p2_http::http::outgoing_handler::add_to_linker::<T, WasiHttp>(l, http)?;
    // The stock function knows no errors of bodies, which is where most limits and revocations show.
    l.allow_shadowing(true);
    l.instance(HTTP_TYPES)?
        .func_wrap("http-error-code", |mut store, (error,)| {
            let wasi: &mut WasiState = T::wasi(store.data_mut());
            Ok((wasi.http_error_code(error)?,))
        })?;
    l.allow_shadowing(false);
    Ok(())
}

fn link_p3<T: Governed>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let l = linker;
    p3::clocks::types::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::clocks::monotonic_clock::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::clocks::system_clock::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::random::random::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::random::insecure::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::random::insecure_seed::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::cli::exit::add_to_linker::<T, WasiCli>(l, cli)?;
    own_p3::cli::environment::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::cli::stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::stderr::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::terminal_input::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::terminal_output::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    p3::cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, cli)?;

    p3::filesystem::types::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::filesystem::preopens::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::sockets::ip_name_lookup::add_to_linker::<T, Governance>(l, T::wasi)?;
    p3::sockets::types::add_to_linker::<T, Governance>(l, T::wasi)?;

    p3_http::types::add_to_linker::<T, WasiHttp>(l, http)?;
    p3_http::client::add_to_linker::<T, WasiHttp>(l, http)?;
    Ok(())
}
