//! Each argument is a command, its parts separated by `|`; each prints one line: `ok:…` or `err:…`.

use std::io::Write;
use std::net::SocketAddr;

use wasip3::cli::environment::get_arguments;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip3::http::client;
use wasip3::http::types::{Fields, Request, Response, Scheme};
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::cli::command::export!(Guest);

struct Guest;

type Outcome = Result<String, String>;

/// The name of an error code, without what it carries.
fn code(error: impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let text = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    text.split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap_or(text)
        .to_owned()
}

/// Tell the host that it can act.
fn tell(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("stdout takes everything");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn address(text: &str) -> Result<IpSocketAddress, String> {
    match text.parse().map_err(code)? {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            Ok(IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: (a, b, c, d),
            }))
        }
        SocketAddr::V6(_) => Err("IPv6".to_owned()),
    }
}

async fn open(
    path: &str,
    open_flags: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, String> {
    let (dir, _) = get_directories().into_iter().next().ok_or("no mount")?;
    dir.open_at(
        PathFlags::SYMLINK_FOLLOW,
        path.to_owned(),
        open_flags,
        flags,
    )
    .await
    .map_err(code)
}

async fn connect(to: &str) -> Result<TcpSocket, String> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(code)?;
    socket.connect(address(to)?).await.map_err(code)?;
    Ok(socket)
}

async fn request(authority: &str, path: &str) -> Result<Response, String> {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, trailers, None);
    request
        .set_scheme(Some(&Scheme::Http))
        .map_err(|()| "scheme")?;
    request
        .set_authority(Some(authority))
        .map_err(|()| "authority")?;
    request
        .set_path_with_query(Some(path))
        .map_err(|()| "path")?;
    client::send(request).await.map_err(code)
}

async fn run(command: &[&str]) -> Outcome {
    match *command {
        ["read", path] => {
            let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
            let (bytes, end) = file.read_via_stream(0);
            let bytes = bytes.collect().await;
            end.await.map_err(code)?;
            Ok(text(&bytes))
        }
        ["write", path, content] => {
            let file = open(path, OpenFlags::CREATE, DescriptorFlags::WRITE).await?;
            let (mut sender, bytes) = wit_stream::new();
            let end = file.write_via_stream(bytes, 0);
            let content = content.as_bytes().to_vec();
            spawn_local(async move {
                sender.write_all(content).await;
            });
            end.await.map(|()| String::new()).map_err(code)
        }
        ["stat", path] => {
            let (dir, _) = get_directories().into_iter().next().ok_or("no mount")?;
            let stat = dir
                .stat_at(PathFlags::SYMLINK_FOLLOW, path.to_owned())
                .await
                .map_err(code)?;
            Ok(stat.size.to_string())
        }
        ["list", path] => {
            let dir = open(path, OpenFlags::DIRECTORY, DescriptorFlags::empty()).await?;
            let (entries, end) = dir.read_directory();
            let mut names: Vec<_> = entries
                .collect()
                .await
                .into_iter()
                .map(|entry| entry.name)
                .collect();
            end.await.map_err(code)?;
            names.sort();
            Ok(names.join(","))
        }
        ["hold-read", path] => {
            let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
            let (mut bytes, end) = file.read_via_stream(0);
            bytes.next().await.ok_or("nothing to read")?;
            tell("held");
            let rest = bytes.collect().await;
            end.await.map_err(code)?;
            Ok(text(&rest))
        }
        ["tcp", to, line] => {
            let socket = connect(to).await?;
            let (mut sender, outgoing) = wit_stream::new();
            let _sent = socket.send(outgoing);
            sender.write_all(format!("{line}\n").into_bytes()).await;
            let (mut incoming, _end) = socket.receive();
            let mut answer = Vec::new();
            while let Some(byte) = incoming.next().await {
                if byte == b'\n' {
                    break;
                }
                answer.push(byte);
            }
            Ok(text(&answer))
        }
        // The peer answers the first line and is silent afterwards.
        ["hold-tcp", to] => {
            let socket = connect(to).await?;
            let (mut sender, outgoing) = wit_stream::new();
            let _sent = socket.send(outgoing);
            sender.write_all(b"first\n".to_vec()).await;
            let (mut incoming, end) = socket.receive();
            while incoming.next().await != Some(b'\n') {}
            tell("held");
            let rest = incoming.collect().await;
            end.await.map_err(code)?;
            Ok(text(&rest))
        }
        ["hold-send", to] => {
            let socket = connect(to).await?;
            let (mut sender, outgoing) = wit_stream::new();
            let sent = socket.send(outgoing);
            sender.write_all(b"first\n".to_vec()).await;
            let (mut incoming, _end) = socket.receive();
            while incoming.next().await != Some(b'\n') {}
            tell("held");
            let left = sender.write_all(b"second\n".to_vec()).await;
            drop(sender);
            sent.await.map_err(code)?;
            Ok(left.len().to_string())
        }
        ["listen", at] => {
            let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(code)?;
            socket.bind(address(at)?).map_err(code)?;
            let mut connections = socket.listen().map_err(code)?;
            let IpSocketAddress::Ipv4(local) = socket.get_local_address().map_err(code)? else {
                return Err("IPv6".to_owned());
            };
            tell(&format!("listening 127.0.0.1:{}", local.port));
            let connection = connections.next().await.ok_or("no connection")?;
            let (mut incoming, _end) = connection.receive();
            let mut line = Vec::new();
            while let Some(byte) = incoming.next().await {
                if byte == b'\n' {
                    break;
                }
                line.push(byte);
            }
            Ok(text(&line))
        }
        ["udp", to, content] => {
            let socket = UdpSocket::create(IpAddressFamily::Ipv4).map_err(code)?;
            let to = address(to)?;
            socket
                .send(content.as_bytes().to_vec(), Some(to))
                .await
                .map_err(code)?;
            let (answer, _) = socket.receive().await.map_err(code)?;
            Ok(text(&answer))
        }
        ["hold-udp", to] => {
            let socket = UdpSocket::create(IpAddressFamily::Ipv4).map_err(code)?;
            let to = address(to)?;
            socket
                .send(b"silent".to_vec(), Some(to))
                .await
                .map_err(code)?;
            tell("held");
            let (answer, _) = socket.receive().await.map_err(code)?;
            Ok(text(&answer))
        }
        ["resolve", name] => {
            let addresses = resolve_addresses(name.to_owned()).await.map_err(code)?;
            Ok(addresses.len().to_string())
        }
        ["env"] => {
            let pairs = wasip3::cli::environment::get_environment();
            let pairs: Vec<_> = pairs
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Ok(pairs.join(","))
        }
        ["clocks"] => {
            let wall = wasip3::clocks::system_clock::now();
            let begin = wasip3::clocks::monotonic_clock::now();
            wasip3::clocks::monotonic_clock::wait_for(1_000_000).await;
            let waited = wasip3::clocks::monotonic_clock::now() - begin;
            Ok(format!("{} {waited}", wall.seconds))
        }
        ["random"] => Ok(format!(
            "{:?} {:?}",
            wasip3::random::random::get_random_u64(),
            wasip3::random::insecure_seed::get_insecure_seed(),
        )),
        ["http", authority, path] => {
            let response = request(authority, path).await?;
            let status = response.get_status_code();
            let (_, end) = wit_future::new(|| Ok(()));
            let (body, trailers) = Response::consume_body(response, end);
            let body = body.collect().await;
            trailers.await.map_err(code)?;
            Ok(format!("{status} {}", text(&body)))
        }
        ["hold-http", authority, path] => {
            let response = request(authority, path).await?;
            let (_, end) = wit_future::new(|| Ok(()));
            let (mut body, trailers) = Response::consume_body(response, end);
            body.next().await.ok_or("no body")?;
            tell("held");
            let rest = body.collect().await;
            trailers.await.map_err(code)?;
            Ok(text(&rest))
        }
        _ => Err(format!("unknown command: {command:?}")),
    }
}

impl wasip3::exports::cli::run::Guest for Guest {
    async fn run() -> Result<(), ()> {
        for argument in get_arguments().into_iter().skip(1) {
            let command: Vec<&str> = argument.split('|').collect();
            match run(&command).await {
                Ok(text) => tell(&format!("ok:{text}")),
                Err(text) => tell(&format!("err:{text}")),
            }
        }
        Ok(())
    }
}
