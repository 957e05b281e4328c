//! An access in the words of the rules.

use std::borrow::Cow;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

use super::super::condition::Attributes;
use super::super::kind::{AccessBits, Kind, OTHER_METHOD};
use super::super::matcher::Request;
use super::super::target::{LISTEN, TCP, Target, UDP};
use super::super::{Access, Transport};

/// What the record says of storage that is thrown away.
const APART: &str = "on trial: what is written is thrown away";

/// The target of an access in the words of the rules.
pub(crate) fn text_of(access: &Access<'_>) -> Vec<u8> {
    Described::of(access).text
}

/// An access in the words of the rules.
pub(super) struct Described {
    pub kind: Kind,
    pub access: AccessBits,
    pub text: Vec<u8>,
    /// What a name led to.
    address: Option<IpAddr>,
    transport: u8,
    pub detail: Option<String>,
    /// Why the text is no target.
    invalid: Option<&'static str>,
}

impl Described {
    pub fn of(access: &Access<'_>) -> Described {
        let plain = |kind, access, text: Vec<u8>| Described {
            kind,
            access,
            text,
            address: None,
            transport: TCP,
            detail: None,
            invalid: None,
        };
        match access {
            Access::File { path, access, .. } => plain(
                Kind::Filesystem,
                access.bit(),
                path.as_os_str().as_bytes().to_vec(),
            ),
            Access::Connect {
                transport,
                address,
                name,
            } => {
                let text = match name {
                    Some(name) => format!("{name}:{}", address.port()),
                    None => address.to_string(),
                };
                Described {
                    address: Some(address.ip()),
                    transport: bit_of(*transport),
                    detail: name.map(|_| address.to_string()),
                    ..plain(Kind::Network, 1, text.into_bytes())
                }
            }
            Access::Listen { transport, address } => Described {
                transport: bit_of(*transport),
                ..plain(Kind::Network, LISTEN, address.to_string().into_bytes())
            },
            Access::Message { access, target } => plain(
                Kind::Messaging,
                1 << *access as u8,
                target.as_bytes().to_vec(),
            ),
            Access::Resolve { name } => plain(Kind::Network, 1 << 2, name.as_bytes().to_vec()),
            Access::Http {
                method,
                scheme,
                host,
                port,
                path,
                ..
            } => {
                let host = bracketed(host);
                let text = format!("{scheme}://{host}:{port}{}", encoded(path));
                plain(
                    Kind::Http,
                    Kind::Http.access_bit(method).unwrap_or(OTHER_METHOD),
                    text.into_bytes(),
                )
            }
            Access::Environment { name } => plain(Kind::Environment, 1, name.as_bytes().to_vec()),
            Access::Config { key } => plain(Kind::Config, 1, key.as_bytes().to_vec()),
            Access::Secret {
                name,
                scheme,
                host,
                port,
                header,
            } => {
                let host = bracketed(host);
                let text = format!("{name}@{scheme}://{host}:{port}/{header}");
                plain(Kind::Secret, 1, text.into_bytes())
            }
            Access::Given { kind } => plain(*kind, 1, Vec::new()),
            Access::Storage {
                access,
                target,
                apart,
            } => Described {
                detail: apart.then(|| APART.to_owned()),
                ..plain(
                    Kind::Storage,
                    1 << *access as u8,
                    target.as_bytes().to_vec(),
                )
            },
            Access::Stated {
                kind,
                access,
                text,
                reason,
            } => Described {
                detail: (!reason.is_empty()).then(|| format!("reason: {reason}")),
                ..plain(
                    *kind,
                    kind.access_bit(access).unwrap_or(OTHER_METHOD),
                    text.as_bytes().to_vec(),
                )
            },
            Access::NoTarget {
                kind,
                access,
                text,
                reason,
            } => Described {
                invalid: Some(reason),
                ..plain(
                    *kind,
                    kind.access_bit(access).unwrap_or(OTHER_METHOD),
                    text.as_bytes().to_vec(),
                )
            },
        }
    }

    pub fn request<'a>(&'a self, attributes: &'a Attributes) -> Result<Request<'a>, String> {
        if let Some(reason) = self.invalid {
            return Err(reason.to_owned());
        }
        let target = Target::parse(self.kind, self.access, &self.text)?;
        let request = Request {
            transport: self.transport,
            ..Request::new(self.kind, self.access, target, attributes)
        };
        match self.address {
            Some(address) => request.leading_to(address),
            None => Ok(request),
        }
    }
}

/// The host as it stands in a URL.
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') {
        Cow::Owned(format!("[{host}]"))
    } else {
        Cow::Borrowed(host)
    }
}

/// The path of a URL, decoded once, as text that decodes to it.
fn encoded(path: &str) -> Cow<'_, str> {
    if path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#'))
    {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len() * 2);
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    Cow::Owned(text)
}

fn bit_of(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    }
}
