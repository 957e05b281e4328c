//! Where a request goes, in one spelling: what the gate decides about is what the server is told.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use wasmtime_wasi_http::Error;

use crate::wasi::net::names::Host;

/// The destination of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub tls: bool,
    pub host: Host,
    pub port: u16,
    /// Decoded once, without empty segments and without the query.
    pub path: String,
}

impl Target {
    /// Read the target of a request.
    ///
    /// # Errors
    /// When it has user information, which servers and proxies read in different ways, or a path that
    /// servers may understand as another one: `.` and `..` segments, encoded slashes and NUL.
    pub fn read(uri: &Uri) -> Result<Self, Error> {
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri
            .authority()
            .ok_or(Error::HttpRequestUriInvalid)?
            .as_str();
        if authority.contains(['@', '%', '\\']) {
            return Err(Error::HttpRequestDenied);
        }
        let (host, port) = split_port(authority).ok_or(Error::HttpRequestUriInvalid)?;
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse() {
                Ok(port) if port != 0 && port_is_plain(authority) => port,
                _ => return Err(Error::HttpRequestUriInvalid),
            },
        };
        let host = Host::parse(host).ok_or(Error::HttpRequestUriInvalid)?;
        let path = read_path(uri.path()).ok_or(Error::HttpRequestDenied)?;
        Ok(Self {
            tls,
            host,
            port,
            path,
        })
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The host as the gate knows it: without brackets.
    pub fn host_text(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }
}

/// The `Host` header: the port only where it is not the scheme's own.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]")?,
            Host::Address(address) => write!(formatter, "{address}")?,
            Host::Name(name) => formatter.write_str(name)?,
        }
        if self.port == if self.tls { 443 } else { 80 } {
            Ok(())
        } else {
            write!(formatter, ":{}", self.port)
        }
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_host = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

/// `+80` is a number to the parser and to nobody else.
fn port_is_plain(authority: &str) -> bool {
    authority
        .rsplit(':')
        .next()
        .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The path decoded once, or `None` where different servers would make different paths of it.
fn read_path(path: &str) -> Option<String> {
    let mut result = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let decoded = decode(segment)?;
        // Some servers cut parameters off before they look for dot segments.
        let bare = decoded.split(';').next().unwrap_or_default();
        if matches!(bare, "." | "..") {
            return None;
        }
        result.push('/');
        result.push_str(&decoded);
    }
    if result.is_empty() || path.ends_with('/') {
        result.push('/');
    }
    Some(result)
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
        } else {
            byte
        };
        if matches!(byte, b'/' | b'\\' | 0) {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Option<(String, String)> {
        let target = Target::read(&uri.parse().ok()?).ok()?;
        Some((format!("{}://{target}", target.scheme()), target.path))
    }

    #[test]
    fn one_destination_has_one_spelling() {
        for (uri, origin, path) in [
            ("http://Example.com", "http://example.com", "/"),
            (
                "http://example.com.:80/a//b/",
                "http://example.com",
                "/a/b/",
            ),
            ("https://example.com:443/%61", "https://example.com", "/a"),
            (
                "http://example.com:8080/a?b=/../c",
                "http://example.com:8080",
                "/a",
            ),
            ("http://0x7f.1/", "http://127.0.0.1", "/"),
            ("http://[::1]:80/", "http://[::1]", "/"),
        ] {
            assert_eq!(
                read(uri),
                Some((origin.to_owned(), path.to_owned())),
                "{uri}"
            );
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for uri in [
            "http://user:pw@example.com/",
            "http://allowed.example@example.com/",
            "http://example.com/v1/../admin",
            "http://example.com/v1/%2e%2e/admin",
            "http://example.com/v1/..;/admin",
            "http://example.com/./a",
            "http://example.com/a%2fb",
            "http://example.com/a%5Cb",
            "http://example.com/a%00",
            "http://example.com/a%zz",
            "http://example.com/%ff",
            "http://example.com:0/",
            "http://example.com:/",
            "http://example%2ecom/",
            "ftp://example.com/",
        ] {
            assert_eq!(read(uri), None, "{uri}");
        }
    }
}
