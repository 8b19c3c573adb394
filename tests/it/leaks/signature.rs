//! Reports that have to be signed.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use latchkey::secret::random_base62;
use latchkey::signers::Signers;
use latchkey::site::LeakRules;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::{actions, call};
use crate::support::{Answer, App};

/// Somebody who signs, known by a name.
struct Signer {
    id: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &SystemRandom::new()).unwrap();
        Self { id: random_base62(40).unwrap(), pair }
    }

    fn sign(&self, body: &str) -> String {
        BASE64.encode(self.pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap())
    }

    /// As GitHub publishes it.
    fn published(&self) -> serde_json::Value {
        let header = BASE64.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAA").unwrap();
        let der = [&header[..26], self.pair.public_key().as_ref()].concat();
        let key = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der));
        json!({"key_identifier": self.id, "key": key, "is_current": true})
    }
}

/// The file of public keys. Removed when dropped.
struct List(PathBuf);

impl List {
    fn of(signers: &[&Signer]) -> Self {
        let list = Self(std::env::temp_dir().join(format!("latchkey-signers-{}.json", random_base62(12).unwrap())));
        list.write(signers);
        list
    }

    fn write(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.published()).collect();
        std::fs::write(&self.0, json!({"public_keys": keys}).to_string()).unwrap();
    }

    fn app(&self) -> App {
        let signers = Some(Signers::open(self.0.clone()).unwrap());
        App::tweaked(|site| site.leaks = LeakRules { signers, ..LeakRules::default() }.into())
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn send(app: &App, body: &str, id: Option<&str>, signature: Option<&str>) -> Answer {
    let mut request = app.anon().post("/leaked-keys").header("content-type", "application/json").body(body);
    if let Some(id) = id {
        request = request.header("GITHUB-PUBLIC-KEY-IDENTIFIER", id);
    }
    if let Some(signature) = signature {
        request = request.header("GITHUB-PUBLIC-KEY-SIGNATURE", signature);
    }
    request.send().await
}

#[actix_web::test]
async fn only_what_is_signed_is_done() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let list = List::of(&[&Signer::new(), &signer]);
    let app = list.app();
    let scene = app.make().org().key();
    let text = &scene.a_key().text;
    let body = format!("[ {{\"token\":\"{text}\", \"type\":\"t\", \"url\":\"u\"}} ]");
    let (id, good) = (signer.id.as_str(), signer.sign(&body));
    let refused = [
        (body.clone(), None, None, 401),
        (body.clone(), Some(id), None, 401),
        (body.clone(), None, Some(good.clone()), 401),
        (body.clone(), Some(id), Some(stranger.sign(&body)), 403),
        (body.clone(), Some(stranger.id.as_str()), Some(stranger.sign(&body)), 403),
        (body.clone(), Some(id), Some(signer.sign(&body.replace("\"t\"", "\"s\""))), 403),
        (body.replace(" ]", "  ]"), Some(id), Some(good.clone()), 403),
        (body.clone(), Some(id), Some(good.trim_end_matches('=')[..80].to_owned()), 403),
        (body.clone(), Some(id), Some("not base64".into()), 403),
        (body.clone(), Some(id), Some(String::new()), 403),
        ("nonsense".into(), Some(id), Some(good.clone()), 403),
    ];
    for (body, id, signature, status) in refused {
        let answer = send(&app, &body, id, signature.as_deref()).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"), "{body} {signature:?}: {}", answer.text());
        assert!(!answer.text().contains("token_raw") && !answer.text().contains(&text[8..]), "{}", answer.text());
    }
    assert_eq!(call(&app, text).await, 200, "nothing was done");
    let answer = send(&app, &body, Some(id), Some(&good)).await;
    assert_eq!((answer.status, answer.json()[0]["label"].as_str()), (200, Some("true_positive")), "{}", answer.text());
    assert_eq!(call(&app, text).await, 403);
    assert_eq!(actions(&app, scene.here().id), ["key.leaked"]);
}

#[actix_web::test]
async fn a_new_signer_is_known_when_the_file_has_it() {
    let (older, newer) = (Signer::new(), Signer::new());
    let list = List::of(&[&older]);
    let app = list.app();
    let scene = app.make().org().key();
    let body = json!([{"token": scene.a_key().text}]).to_string();
    list.write(&[&older, &newer]);
    let answer = send(&app, &body, Some(&newer.id), Some(&newer.sign(&body))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(call(&app, &scene.a_key().text).await, 403);
    list.write(&[]);
    let answer = send(&app, &body, Some(&older.id), Some(&older.sign(&body))).await;
    assert_eq!(answer.status, 200, "a file that is broken takes nothing away: {}", answer.text());
}
