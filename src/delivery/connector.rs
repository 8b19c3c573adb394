//! From a URL to a connection: look up, check, connect, secure, each measured. The guard is the second step, and what
//! it lets pass is what the third connects to.
//!
//! awc would do TLS itself, but then in one step with connecting, and with a name of its own for failing. So it is handed
//! `http://` for either scheme, by one client a scheme: this connector secures the connections of one of the two.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_service::{Service, always_ready};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::Uri;
use actix_web::rt::net::TcpStream;
use futures_core::future::LocalBoxFuture;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use url::Host;

use super::line::{Line, Stream};
use super::resolver::LookUps;
use super::trip::{Phase, note};
use crate::courier::{Failure, FailureClass};
use crate::error::{Error, Result as OurResult};
use crate::site::WebhookRules;
use crate::webhooks::address::check_address;

/// Most addresses of one name that are tried.
const TRIED: usize = 4;
/// How long an address is tried while there is another.
const PATIENCE: Duration = Duration::from_secs(4);

/// Makes connections to addresses that webhooks may reach.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) rules: Arc<WebhookRules>,
    pub(super) names: Rc<LookUps>,
    /// None: the connections stay plain.
    pub(super) tls: Option<TlsConnector>,
}

impl Service<ConnectInfo<Uri>> for Connector {
    type Response = Connection<Uri, Line>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let (connector, uri) = (self.clone(), info.request().clone());
        Box::pin(async move {
            match connector.open(&uri).await {
                Ok(line) => Ok(Connection::new(uri, line)),
                Err(failure) => {
                    note(|trip| trip.failure = Some(failure));
                    Err(ConnectError::Unresolved)
                }
            }
        })
    }
}

impl Connector {
    async fn open(&self, uri: &Uri) -> Result<Line, Failure> {
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
        let addresses = self.permitted(host).await?;
        let (tcp, address) = connect(host, port, &addresses).await?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some(tls) => Stream::Secure(Box::new(secure(tls, host, tcp).await?)),
        };
        Ok(Line::new(stream, address))
    }

    /// The addresses that the host leads to and that may be reached; never empty.
    ///
    /// # Errors
    /// The failure `dns` when it leads nowhere, `blocked` when it leads only where webhooks may not go.
    pub(super) async fn permitted(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let dns = |why: &str| failure(FailureClass::Dns, format!("{host} has no address{why}. Check its spelling and its DNS records."));
        let addresses = match Host::parse(host) {
            Ok(Host::Ipv4(address)) => vec![address.into()],
            Ok(Host::Ipv6(address)) => vec![address.into()],
            Ok(Host::Domain(name)) => {
                let begun = Instant::now();
                let found = self.names.find(&name).await;
                note(|trip| trip.laps.dns = Some(begun.elapsed()));
                found.map_err(|why| dns(&format!(" ({})", why.trim_start_matches("failed to lookup address information: "))))?
            }
            Err(_) => return Err(dns("")),
        };
        let (mut permitted, mut refused) = (Vec::new(), None);
        for address in addresses {
            match check_address(address, &self.rules) {
                Ok(()) => permitted.push(address),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        match refused {
            _ if !permitted.is_empty() => Ok(permitted),
            Some(refused) => {
                let is_literal = Host::parse(host).is_ok_and(|host| !matches!(host, Host::Domain(_)));
                let message = if is_literal { refused.to_string() } else { refused.behind(host) };
                Err(failure(FailureClass::Blocked, message))
            }
            None => Err(dns("")),
        }
    }
}

/// Tries the addresses one after the other.
async fn connect(host: &str, port: u16, addresses: &[IpAddr]) -> Result<(TcpStream, IpAddr), Failure> {
    let begun = Instant::now();
    let addresses = &addresses[..addresses.len().min(TRIED)];
    let mut last = failure(FailureClass::Refused, format!("{host} could not be reached."));
    for (index, &address) in addresses.iter().enumerate() {
        note(|trip| (trip.phase, trip.address) = (Phase::Connecting, Some(address)));
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        // The last one has all the time that is left.
        let connected = match index + 1 == addresses.len() {
            true => connecting.await,
            false => tokio::time::timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        };
        match connected {
            Ok(tcp) => {
                note(|trip| trip.laps.connect = Some(begun.elapsed()));
                // A request is written at once; without this it might wait for an acknowledgement. Better slow than not at all.
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, address));
            }
            Err(error) => last = unconnected(address, port, &error),
        }
    }
    Err(last)
}

fn unconnected(address: IpAddr, port: u16, error: &io::Error) -> Failure {
    let (class, why) = match error.kind() {
        io::ErrorKind::TimedOut => (FailureClass::Timeout, "did not answer".to_owned()),
        io::ErrorKind::ConnectionRefused => (FailureClass::Refused, "refused the connection".to_owned()),
        _ => (FailureClass::Refused, format!("could not be reached ({error})")),
    };
    failure(class, format!("{address} {why} on port {port}."))
}

async fn secure(tls: &TlsConnector, host: &str, tcp: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let unsecured = |why: String| failure(FailureClass::Tls, why);
    // An IPv6 address stands in brackets in a URL, and without them in a certificate.
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|_| unsecured(format!("{host} is not a name that a certificate can have.")))?;
    note(|trip| trip.phase = Phase::Securing);
    let begun = Instant::now();
    let secured = tls.connect(name, tcp).await;
    note(|trip| trip.laps.tls = Some(begun.elapsed()));
    secured.map_err(|error| unsecured(insecure(host, &error)))
}

/// Why there is no secure connection, in the words of whoever has to put it right.
fn insecure(host: &str, error: &io::Error) -> String {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
            format!("The certificate is not for {host}.")
        }
        // A self-signed certificate, or one that an authority of the same name did not sign, comes out as any of these.
        Some(Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_))) => {
            "The certificate is self-signed or not issued by an authority that is trusted here, or the endpoint does not send its whole chain.".into()
        }
        Some(Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "The certificate has expired.".into()
        }
        Some(Tls::InvalidMessage(_)) => "What answered does not speak TLS.".into(),
        Some(other) => format!("No secure connection: {other}."),
        None => format!("The connection was closed while it was being secured ({error})."),
    }
}

fn failure(class: FailureClass, message: String) -> Failure {
    Failure { class, message }
}

/// What makes connections secure: TLS 1.2 and 1.3, HTTP/1.1 alone, Mozilla's authorities and the operating system's, which
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name where a company has one of its own.
///
/// # Errors
/// `Internal` when the cryptography can't do TLS, which would be a defect.
pub(super) fn tls(authorities: &[CertificateDer<'static>]) -> OurResult<TlsConnector> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "the operating system's certificate authorities");
    }
    roots.add_parsable_certificates(native.certs.into_iter().chain(authorities.iter().cloned()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.map_err(|e| Error::internal("TLS", e))?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
