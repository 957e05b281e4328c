//! HTTP requests and TCP connections from a guest: under rules and an audit log, and with the engine's own
//! WASI.
//!
//! `cargo bench -p airssys-host --features engine-http --bench wasi_network`; the two alternate in one run, the best
//! of each counts.

mod side_by_side;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use airssys_host::wasi::Builder;
use side_by_side::{Best, Folder, WHO, authority, engine, gate, guest, ours, sides, stock, timed};
use wasmtime_wasi::WasiCtx;

const CYCLES: u32 = 500;
const ROUNDS: u32 = 15;

/// Answers a line, or a request.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A guest that goes away is not this one's trouble.
            let _ = stream.and_then(answer);
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut sent = [0; 1024];
    let mut length = 0;
    loop {
        let read = stream.read(&mut sent[length..])?;
        length += read;
        if sent.starts_with(b"GET") {
            if sent[..length].ends_with(b"\r\n\r\n") {
                return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        } else if read == 0 || sent[..length].ends_with(b"\n") {
            return stream.write_all(b"ok\n");
        }
        if read == 0 {
            return Ok(());
        }
    }
}

#[tokio::main]
async fn main() {
    let engine = engine();
    let server = server();
    let log = Folder::new("bench-network");
    let rules = serde_json::json!([
        {"id": "http", "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "http",
         "targets": [format!("http://{server}/**")], "access": ["GET"]},
        {"id": "tcp", "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "network",
         "targets": [server.to_string()], "access": ["connect"]},
    ]);
    let authority = authority(&log, &rules);
    let (govern, plain) = sides();
    for (name, command) in [
        ("http-client", format!("GET|http|{server}|/a/b")),
        ("net-client", format!("tcp|{server}|x")),
    ] {
        let component = guest(&engine, name);
        let mut arguments = vec!["bench".to_owned()];
        arguments.extend((0..CYCLES).map(|_| command.clone()));
        let mut best = Best::new();
        for _ in 0..ROUNDS {
            if govern {
                let mut builder = Builder::new(gate(&authority));
                builder.arguments(arguments.as_slice());
                best.ours(timed(ours(&engine, &mut builder), &component).await);
            }
            if plain {
                let mut builder = WasiCtx::builder();
                builder.args(&arguments).inherit_network();
                best.stock(timed(stock(&engine, &component, &mut builder), &component).await);
            }
        }
        best.print(&format!("{name}, best of {ROUNDS} x {CYCLES}"), CYCLES);
    }
}
