//! A file and a connection, used step by step.

wit_bindgen::generate!({
    path: ["../../wit/deps/config", "wit"],
    world: "demo:file-reader/file-reader",
    generate_all,
});

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
    static STREAM: RefCell<Option<TcpStream>> = const { RefCell::new(None) };
}

fn kind(error: std::io::Error) -> String {
    format!("{:?}", error.kind())
}

struct Reader;

impl Guest for Reader {
    fn variable(name: String) -> Option<String> {
        // `std::env` would keep its first answer.
        let variables = wasip2::cli::environment::get_environment();
        let found = variables.into_iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value)
    }

    fn setting(key: String) -> Option<String> {
        wasi::config::store::get(&key).expect("the host has its configuration at hand")
    }

    fn open_file(path: String) -> Result<(), String> {
        let file = File::open(path).map_err(kind)?;
        FILE.set(Some(file));
        Ok(())
    }

    fn read_file(length: u32) -> Result<Vec<u8>, String> {
        FILE.with_borrow_mut(|file| {
            let file = file.as_mut().ok_or("nothing is open")?;
            let mut bytes = vec![0; length as usize];
            let count = file.read(&mut bytes).map_err(kind)?;
            bytes.truncate(count);
            Ok(bytes)
        })
    }

    fn look_up(name: String) -> Result<Vec<String>, String> {
        let addresses = (name, 0).to_socket_addrs().map_err(kind)?;
        Ok(addresses.map(|address| address.ip().to_string()).collect())
    }

    fn open_connection(address: String) -> Result<(), String> {
        let stream = TcpStream::connect(address).map_err(kind)?;
        STREAM.set(Some(stream));
        Ok(())
    }

    fn exchange(line: String) -> Result<String, String> {
        STREAM.with_borrow_mut(|stream| {
            let stream = stream.as_mut().ok_or("nothing is connected")?;
            writeln!(stream, "{line}").map_err(kind)?;
            let mut answer = Vec::new();
            let mut byte = [0];
            while stream.read(&mut byte).map_err(kind)? == 1 && byte[0] != b'\n' {
                answer.push(byte[0]);
            }
            Ok(String::from_utf8_lossy(&answer).into_owned())
        })
    }
}

export!(Reader);
