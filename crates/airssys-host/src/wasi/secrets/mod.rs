//! Secrets that a guest can use and never read.
//!
//! A guest sees a placeholder, other for each instance, where a setting has a place for a secret
//! (`${secret:NAME}`). In the header of a request for which the gate allows it the placeholder becomes the
//! value, after the connection came about; nowhere else. What a server sends back of a value that was used
//! is blotted out ([`scrub`]).

pub(super) mod scrub;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use memchr::memmem;
use ring::rand::{SecureRandom, SystemRandom};
use wasmtime_wasi_http::Error;
use zeroize::Zeroize;

use crate::gate::kind::Kind;
use crate::gate::{Access, Gate};

/// The shortest value: in a shorter one a server's answer cannot be told from chance.
const SHORTEST: usize = 8;
const LONGEST: usize = 8 << 10;
/// How many values that were used are remembered, for when one is changed while instances run.
const MOST_USED: usize = 64;
const LONGEST_NAME: usize = 64;

/// The value of a secret. Its memory is overwritten when it goes.
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Keep a value; `value` itself is overwritten.
    ///
    /// # Errors
    /// Says what is wrong with it, without saying it: 8 bytes to 8 KiB of what a header may hold.
    pub fn new(mut value: Vec<u8>) -> Result<Self, String> {
        let fits = (SHORTEST..=LONGEST).contains(&value.len());
        let header = value
            .iter()
            .all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f);
        let bare = value.trim_ascii().len() == value.len();
        let kept = Box::from(value.as_slice());
        value.zeroize();
        let secret = Self(kept);
        if !fits {
            Err(format!(
                "a secret has {SHORTEST} to {LONGEST} bytes, not {}",
                secret.0.len()
            ))
        } else if !header || !bare {
            Err(
                "a secret consists of what a header may hold: no line breaks or other control \
                 characters, and no space at its ends"
                    .to_owned(),
            )
        } else {
            Ok(secret)
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// The value of a secret, or that there is none; the reason is for the operator's log.
pub type Value = Result<Arc<Secret>, String>;

/// Where the values of secrets come from.
pub trait Source: Send + Sync + 'static {
    /// The present value of the secret `name`; asked each time that it is used.
    fn value(&self, name: &str) -> Pin<Box<dyn Future<Output = Value> + Send + '_>>;
}

/// The secrets of any number of instances, and the values that they used.
pub struct Secrets {
    source: Box<dyn Source>,
    used: Mutex<Vec<Arc<Secret>>>,
    used_count: AtomicUsize,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(***)")
    }
}

impl Secrets {
    pub fn new(source: impl Source) -> Self {
        Self {
            source: Box::new(source),
            used: Mutex::default(),
            used_count: AtomicUsize::new(0),
        }
    }

    async fn value(&self, name: &str) -> Value {
        let value = self.source.value(name).await?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.iter().any(|known| known.0 == value.0) {
            if used.len() == MOST_USED {
                used.remove(0);
            }
            used.push(Arc::clone(&value));
            self.used_count.store(used.len(), Ordering::Release);
        }
        Ok(value)
    }

    /// The values that a server may know and send back.
    fn used(&self) -> Vec<Arc<Secret>> {
        if self.used_count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Whether `name` can name a secret: one segment of a rule, with nothing that a URL would end at.
pub fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !matches!(name, "." | "..")
}

/// A text with places for secrets: `Bearer ${secret:api_key}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

const OPENING: &str = "${secret:";

impl Template {
    /// Read a text.
    ///
    /// # Errors
    /// A place does not end, or what it names cannot be a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(OPENING) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let after = &rest[at + OPENING.len()..];
            let end = after
                .find('}')
                .ok_or_else(|| format!("`{OPENING}` without `}}`"))?;
            let name = &after[..end];
            if !is_name(name) {
                return Err(format!(
                    "{name:?} is no name of a secret (1 to {LONGEST_NAME} letters, digits, `-`, `_`, `.`)"
                ));
            }
            parts.push(Part::Secret(name.to_owned()));
            rest = &after[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    pub(super) fn shown(&self, handed: Option<&Handed>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match (part, handed) {
                (Part::Text(part), _) => text.push_str(part),
                (Part::Secret(name), Some(handed)) => text.push_str(&handed.placeholder(name)),
                // Nothing stands for a secret where none were given.
                (Part::Secret(_), None) => {}
            }
        }
        text
    }
}

/// The placeholders of one instance.
#[derive(Debug)]
pub(crate) struct Handed {
    secrets: Arc<Secrets>,
    names: Vec<String>,
    /// Made when the guest first sees a placeholder; before that there is nothing to look for.
    nonce: OnceLock<String>,
}

/// A secret in a header of one request.
pub(crate) struct Use {
    pub name: String,
    pub header: HeaderName,
}

/// Where a placeholder stands in a text.
struct Found<'a> {
    name: &'a str,
    start: usize,
    end: usize,
}

impl Handed {
    pub fn new(secrets: Arc<Secrets>, names: Vec<String>) -> Self {
        Self {
            secrets,
            names,
            nonce: OnceLock::new(),
        }
    }

    fn placeholder(&self, name: &str) -> String {
        let nonce = self.nonce.get_or_init(|| {
            let mut bytes = [0; 16];
            SystemRandom::new()
                .fill(&mut bytes)
                .expect("the system has random numbers");
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        });
        placeholder(name, nonce)
    }

    /// The placeholders in `text`, in order.
    fn find<'a>(&'a self, text: &[u8]) -> Vec<Found<'a>> {
        let Some(nonce) = self.nonce.get() else {
            return Vec::new();
        };
        memmem::find_iter(text, nonce)
            .filter_map(|at| {
                let end = at + nonce.len();
                // The longest, since the name of one secret may end as another.
                let name = self
                    .names
                    .iter()
                    .filter(|name| text[..end].ends_with(placeholder(name, nonce).as_bytes()))
                    .max_by_key(|name| name.len())?;
                let start = end - placeholder(name, nonce).len();
                Some(Found { name, start, end })
            })
            .collect()
    }

    /// Refuse a URL with a placeholder in it: URLs are kept in logs of servers and proxies.
    pub fn refuse_in_url(&self, gate: &dyn Gate, uri: &Uri, shown: &str) -> Result<(), Error> {
        if self.nonce.get().is_none() {
            return Ok(());
        }
        let found = self.find(uri.to_string().as_bytes());
        let Some(first) = found.first() else {
            return Ok(());
        };
        let decision = gate.decide(&Access::NoTarget {
            kind: Kind::Secret,
            access: "use",
            text: &format!("{}@{shown}", first.name),
            reason: "a secret is put into a header, never into a URL",
        });
        // There is nothing to approve.
        drop(decision);
        Err(Error::HttpRequestDenied)
    }

    /// Which secrets stand in which headers.
    pub fn uses(&self, headers: &HeaderMap) -> Vec<Use> {
        if self.nonce.get().is_none() {
            return Vec::new();
        }
        let mut uses = Vec::new();
        for (header, text) in headers {
            uses.extend(self.find(text.as_bytes()).iter().map(|found| Use {
                name: found.name.to_owned(),
                header: header.clone(),
            }));
        }
        uses
    }

    /// Put the values of secrets in place of their placeholders, which is allowed.
    pub async fn fill(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        for text in headers.values_mut() {
            let found = self.find(text.as_bytes());
            if found.is_empty() {
                continue;
            }
            let mut filled = Filled(Vec::with_capacity(text.len() + LONGEST));
            let mut end = 0;
            for found in found {
                let value = self.secrets.value(found.name).await.map_err(|reason| {
                    tracing::error!(secret = found.name, reason, "no value of a secret");
                    Error::InternalError(Some(format!("the secret {} has no value", found.name)))
                })?;
                filled.push(&text.as_bytes()[end..found.start]);
                filled.push(value.bytes());
                end = found.end;
            }
            filled.push(&text.as_bytes()[end..]);
            let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(filled))
                .map_err(|_| Error::HttpProtocolError)?;
            value.set_sensitive(true);
            *text = value;
        }
        Ok(())
    }

    /// What to blot out of responses; nothing while no secret was used.
    pub fn scrubber(&self) -> Option<scrub::Scrubber> {
        let used = self.secrets.used();
        (!used.is_empty()).then(|| scrub::Scrubber::new(used))
    }
}

/// Only what may stand in a header, a URL, JSON or a shell without being written differently.
fn placeholder(name: &str, nonce: &str) -> String {
    format!("secret-{name}-{nonce}")
}

/// The value of a header with secrets in it; its memory is overwritten when it goes.
struct Filled(Vec<u8>);

impl Filled {
    fn push(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            // Growing would leave a copy behind.
            let mut larger = Vec::with_capacity(2 * self.0.capacity() + bytes.len());
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
