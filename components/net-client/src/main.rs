//! Each argument is a command, its parts separated by `|`; each prints one line: `ok:…` or `err:…`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

type Outcome = std::io::Result<String>;

/// Tell the host that it can act.
fn tell(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("stdout takes everything");
}

fn read_line(stream: &mut TcpStream) -> Outcome {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn exchange(mut stream: TcpStream, text: &str) -> Outcome {
    stream.write_all(text.as_bytes())?;
    stream.write_all(b"\n")?;
    read_line(&mut stream)
}

fn run(command: &[&str]) -> Outcome {
    match *command {
        ["tcp", address, text] => exchange(TcpStream::connect(address)?, text),
        // Holds as many connections as it gets, tells how many and what the next one said, and closes them.
        ["tcp-many", address, most] => {
            let most = most.parse::<usize>().map_err(std::io::Error::other)?;
            let mut held = Vec::new();
            while held.len() < most {
                match TcpStream::connect(address) {
                    Ok(stream) => held.push(stream),
                    Err(error) => return Ok(format!("{} {error}", held.len())),
                }
            }
            Ok(held.len().to_string())
        }
        ["resolve", name] => {
            let addresses: Vec<SocketAddr> = (name, 0).to_socket_addrs()?.collect();
            Ok(addresses
                .iter()
                .map(|address| address.ip().to_string())
                .collect::<Vec<_>>()
                .join(","))
        }
        ["resolve-many", name, count] => {
            for _ in 0..count.parse::<usize>().map_err(std::io::Error::other)? {
                let _ = (name, 0).to_socket_addrs()?;
            }
            Ok(String::new())
        }
        ["udp", address, text] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(text.as_bytes(), address)?;
            let mut answer = [0; 1024];
            let (length, _) = socket.recv_from(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        }
        ["udp-connected", address, text] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(address)?;
            socket.send(text.as_bytes())?;
            let mut answer = [0; 1024];
            let length = socket.recv(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        }
        ["listen", address] => {
            let listener = TcpListener::bind(address)?;
            tell(&format!("listening {}", listener.local_addr()?));
            let (mut stream, _) = listener.accept()?;
            read_line(&mut stream)
        }
        ["bind-udp", address] => {
            let socket = UdpSocket::bind(address)?;
            tell(&format!("listening {}", socket.local_addr()?));
            let mut text = [0; 1024];
            let (length, _) = socket.recv_from(&mut text)?;
            Ok(String::from_utf8_lossy(&text[..length]).into_owned())
        }
        // The peer answers the first line and is silent afterwards.
        ["hold-read", address] => {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"first\n")?;
            read_line(&mut stream)?;
            tell("held");
            read_line(&mut stream)
        }
        ["hold-write", address] => {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"first\n")?;
            read_line(&mut stream)?;
            tell("held");
            stream.write_all(b"second\n")?;
            Ok(String::new())
        }
        ["hold-udp", address] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(b"silent", address)?;
            tell("held");
            let mut text = [0; 1024];
            let (length, _) = socket.recv_from(&mut text)?;
            Ok(String::from_utf8_lossy(&text[..length]).into_owned())
        }
        ["hold-accept", address] => {
            let listener = TcpListener::bind(address)?;
            tell(&format!("listening {}", listener.local_addr()?));
            let (mut stream, _) = listener.accept()?;
            let line = read_line(&mut stream)?;
            tell("held");
            read_line(&mut stream).map(|second| format!("{line} {second}"))
        }
        _ => Err(std::io::Error::other(format!(
            "unknown command: {command:?}"
        ))),
    }
}

fn main() {
    for argument in std::env::args().skip(1) {
        let command: Vec<&str> = argument.split('|').collect();
        match run(&command) {
            Ok(text) => println!("ok:{text}"),
            Err(error) => println!("err:{:?}", error.kind()),
        }
    }
}
