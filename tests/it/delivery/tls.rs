//! Secure connections, and those that do not come about.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey::courier::FailureClass;
use latchkey::delivery::{Sender, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Endpoint, OK, always, assert_failed, parcel, read_request, rules, sender};

/// An endpoint with a certificate for these names, and the authority that issued it.
fn secure(names: &[&str], expired: bool) -> (Endpoint, CertificateDer<'static>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    if expired {
        (leaf.not_before, leaf.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    }
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let endpoint = Endpoint::raw(move |stream, _, asked| {
        let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        while let Some(request) = read_request(&mut stream) {
            assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
            asked.lock().unwrap().push(request);
            stream.write_all(OK).unwrap();
        }
    });
    (endpoint, authority.der().clone())
}

fn trusting(authorities: &[CertificateDer<'static>]) -> Sender {
    sender(rules(&["127.0.0.0/8"]), World { authorities: authorities.to_vec(), ..always(&["127.0.0.1"]) })
}

#[actix_web::test]
async fn a_secure_connection_is_measured_and_kept() {
    let (endpoint, authority) = secure(&["hooks.example", "127.0.0.1"], false);
    let sender = trusting(&[authority]);
    let first = sender.send(&parcel(&endpoint.named("hooks.example"))).await;
    assert!(first.is_success(), "{first:?}");
    let laps = first.laps;
    let sum = laps.dns.unwrap() + laps.connect.unwrap() + laps.tls.unwrap() + laps.first_byte.unwrap();
    assert!(sum <= laps.total, "{laps:?}");
    assert!(first.request.contains(&format!("host: hooks.example:{}\n", endpoint.address.port())));
    let second = sender.send(&parcel(&endpoint.named("hooks.example"))).await;
    assert!(second.is_success() && second.laps.tls.is_none() && second.laps.connect.is_none());
    assert_eq!(endpoint.accepted(), 1);
    assert!(endpoint.asked()[0].starts_with("POST /hook HTTP/1.1\r\n"));
    // By its address too, which the certificate names, and over a connection of its own.
    let third = sender.send(&parcel(&endpoint.named("127.0.0.1"))).await;
    assert!(third.is_success() && third.laps.dns.is_none(), "{third:?}");
    assert_eq!(endpoint.accepted(), 2);
}

#[actix_web::test]
async fn who_is_not_who_it_should_be_gets_nothing() {
    let (endpoint, authority) = secure(&["hooks.example"], false);
    let wrong_name = trusting(std::slice::from_ref(&authority)).send(&parcel(&endpoint.named("other.example"))).await;
    assert_failed(&wrong_name, FailureClass::Tls, "The certificate is not for other.example.");
    assert!(wrong_name.laps.connect.is_some() && wrong_name.laps.tls.is_some() && wrong_name.request.is_empty());
    let wrong_address = trusting(&[authority]).send(&parcel(&endpoint.named("127.0.0.1"))).await;
    assert_failed(&wrong_address, FailureClass::Tls, "The certificate is not for 127.0.0.1.");
    let unknown = trusting(&[]).send(&parcel(&endpoint.named("hooks.example"))).await;
    assert_failed(&unknown, FailureClass::Tls, "not issued by an authority that is trusted here");
    let (old, authority) = secure(&["hooks.example"], true);
    let expired = trusting(&[authority]).send(&parcel(&old.named("hooks.example"))).await;
    assert_failed(&expired, FailureClass::Tls, "has expired");
    assert!(endpoint.asked().is_empty() && old.asked().is_empty());
}

#[actix_web::test]
async fn plain_where_it_should_be_secure_and_the_other_way_round() {
    let plain = Endpoint::raw(|mut stream, _, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        super::hold(stream);
    });
    let attempt = trusting(&[]).send(&parcel(&plain.named("hooks.example"))).await;
    assert_failed(&attempt, FailureClass::Tls, "does not speak TLS");
    let closing = Endpoint::raw(|stream, _, _| drop(stream));
    let attempt = trusting(&[]).send(&parcel(&closing.named("hooks.example"))).await;
    assert_failed(&attempt, FailureClass::Tls, "was closed while it was being secured");
    let (endpoint, _) = secure(&["hooks.example"], false);
    let attempt = trusting(&[]).send(&parcel(&endpoint.url())).await;
    assert_failed(&attempt, FailureClass::Reset, "");
    assert!(endpoint.asked().is_empty());
}

/// A process reads its environment once and for all, so this test is its own second process.
#[actix_web::test]
async fn the_environment_names_a_companys_own_authority() {
    const URL: &str = "LATCHKEY_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let attempt = trusting(&[]).send(&parcel(&url)).await;
        assert!(attempt.is_success(), "{attempt:?}");
        return;
    }
    let (endpoint, authority) = secure(&["hooks.example"], false);
    let file = std::env::temp_dir().join(format!("latchkey-test-{}.pem", endpoint.address.port()));
    let base64 = BASE64_STANDARD.encode(authority);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    std::fs::write(&file, format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))).unwrap();
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "delivery::tls::the_environment_names_a_companys_own_authority"])
        .env("SSL_CERT_FILE", &file)
        .env(URL, endpoint.named("hooks.example"))
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    assert_eq!(endpoint.asked().len(), 1);
}
