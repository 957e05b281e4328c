//! A connection to an address that was decided about.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::target::Target;
use crate::wasi::net::names::Host;

/// A byte stream in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

pub(super) type Stream = std::pin::Pin<Box<dyn Duplex>>;

/// Connect to `address`, with TLS in the name of the target where it is `https`.
pub(super) async fn connect(
    address: SocketAddr,
    target: &Target,
    tls: Arc<ClientConfig>,
) -> Result<Stream, Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    if !target.tls {
        return Ok(Box::pin(stream));
    }
    let name = match &target.host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?
        }
    };
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(Error::Tls)?;
    Ok(Box::pin(stream))
}

/// TLS that trusts the certificate authorities of the web, made once per process.
pub fn default_tls() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| Arc::new(tls_with_roots(web_roots()))))
}

/// TLS that trusts the certificates of `pem` beside the authorities of the web.
///
/// # Errors
/// Says what is wrong with `pem`.
pub fn tls_trusting(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = web_roots();
    let known = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("not PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("not a certificate to trust: {error}"))?;
    }
    if roots.len() == known {
        return Err("there is no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(Arc::new(tls_with_roots(roots)))
}

fn web_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.into(),
    }
}

fn tls_with_roots(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
