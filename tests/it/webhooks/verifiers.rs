//! The official verifiers of Standard Webhooks, of npm and of PyPI, on deliveries as they came in.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{PATIENCE, Stage};
use crate::support::receiver::{Receiver, Reply, Request, always};
use crate::support::root;

/// One delivery, and the secret that its receiver holds.
#[derive(Debug, Clone)]
pub struct Exhibit {
    secret: String,
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
    /// The receiver's clock, in seconds, where it isn't now.
    now: Option<i64>,
}

impl Exhibit {
    pub fn of(secret: &str, request: &Request) -> Self {
        Self {
            secret: secret.into(),
            id: request.header("webhook-id"),
            timestamp: request.header("webhook-timestamp"),
            signature: request.header("webhook-signature"),
            body: request.body.to_vec(),
            now: None,
        }
    }

    fn line(&self) -> Value {
        let headers = json!({"webhook-id": self.id, "webhook-timestamp": self.timestamp, "webhook-signature": self.signature});
        let mut line = json!({"secret": self.secret, "headers": headers, "body": STANDARD.encode(&self.body)});
        if let Some(now) = self.now {
            line["now"] = now.into();
        }
        line
    }

    /// Each with one byte changed, in everything that a signature is for and in the signature.
    fn forgeries(&self) -> [Self; 4] {
        let change = |text: &str, at: usize| {
            // Digits and letters stay such, so that nothing else is wrong with it.
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            String::from_utf8(bytes).unwrap()
        };
        let mut body = self.body.clone();
        let middle = body.len() / 2;
        body[middle] ^= 1;
        [
            Self { body, ..self.clone() },
            Self { id: change(&self.id, self.id.len() - 1), ..self.clone() },
            Self { timestamp: change(&self.timestamp, self.timestamp.len() - 1), ..self.clone() },
            // Of all signatures, where there are several.
            Self { signature: self.signature.split(' ').map(|one| change(one, 5)).collect::<Vec<_>>().join(" "), ..self.clone() },
        ]
    }
}

/// Both accept each of these, and none with a byte changed.
pub fn assert_genuine(exhibits: &[Exhibit]) {
    assert!(!exhibits.is_empty());
    let forged: Vec<Exhibit> = exhibits.iter().flat_map(Exhibit::forgeries).collect();
    for (who, verdicts) in both(exhibits) {
        for (exhibit, verdict) in exhibits.iter().zip(verdicts) {
            assert_eq!(verdict, "accepted", "{who}: {exhibit:?}");
        }
    }
    for (who, verdicts) in both(&forged) {
        for (exhibit, verdict) in forged.iter().zip(verdicts) {
            assert!(verdict.starts_with("refused: "), "{who} {verdict} {exhibit:?}");
        }
    }
}

fn both(exhibits: &[Exhibit]) -> [(&'static str, Vec<String>); 2] {
    let (scripts, installed) = (root().join("tests/outside"), installed());
    let mut node = Command::new("node");
    node.arg(scripts.join("verify.mjs")).arg(&installed);
    let mut python = Command::new(installed.join("python/bin/python"));
    python.arg(scripts.join("verify.py"));
    let input: String = exhibits.iter().map(|exhibit| format!("{}\n", exhibit.line())).collect();
    [("npm's", node), ("PyPI's", python)].map(|(who, command)| {
        let text = run(command, &input);
        let verdicts: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        assert_eq!(verdicts.len(), exhibits.len(), "{who} said {text}");
        (who, verdicts)
    })
}

fn installed() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside");
    assert!(place.join("installed").exists(), "the webhook verifiers are not in {}: run bin/test, which installs them", place.display());
    place
}

fn run(mut command: Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
        panic!("{:?} does not start ({error}): run bin/test, which installs what the tests need", command.get_program());
    });
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // Beside reading: neither side's pipe holds everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{:?} ended with {}", command.get_program(), output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// `v1,…` by Python's own library: neither by the code under test nor by a verifier.
fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    const SCRIPT: &str = "import base64, hashlib, hmac, sys\n\
        key, text = (base64.b64decode(line) for line in sys.stdin)\n\
        print('v1,' + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode())";
    let text = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let mut python = Command::new(installed().join("python/bin/python"));
    python.args(["-c", SCRIPT]);
    let key = secret.strip_prefix("whsec_").unwrap();
    run(python, &format!("{key}\n{}\n", STANDARD.encode(text))).trim_end().to_owned()
}

/// The standard's own vector.
fn vector() -> Exhibit {
    Exhibit {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
        timestamp: "1614265330".into(),
        signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into(),
        body: br#"{"test": 2432232314}"#.to_vec(),
        now: Some(1_614_265_330),
    }
}

#[test]
fn the_verifiers_know_the_standards_vector_and_refuse_what_is_old() {
    let vector = vector();
    assert_eq!(sign(&vector.secret, &vector.id, &vector.timestamp, &vector.body), vector.signature);
    assert_genuine(std::slice::from_ref(&vector));
    for (who, verdicts) in both(&[Exhibit { now: None, ..vector }]) {
        assert_eq!(verdicts, ["refused: Message timestamp too old"], "{who}");
    }
}

#[test]
fn the_verifiers_take_either_secret_where_two_sign() {
    let vector = vector();
    let newer = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let both_sign = format!("{} {}", sign(newer, &vector.id, &vector.timestamp, &vector.body), vector.signature);
    let overlap = Exhibit { signature: both_sign, ..vector };
    assert_genuine(&[overlap.clone(), Exhibit { secret: newer.into(), ..overlap.clone() }]);
    let stranger = Exhibit { secret: "whsec_BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(), ..overlap };
    for (who, verdicts) in both(&[stranger]) {
        assert_eq!(verdicts, ["refused: No matching signature found"], "{who}");
    }
}

#[actix_web::test]
async fn the_verifiers_accept_every_delivery_also_while_two_secrets_sign() {
    let stage = Stage::start().await;
    let mut failed = HashSet::new();
    // Each event fails once: its retry is signed anew.
    let receiver = Receiver::start(Box::new(move |request| Reply::Status(if failed.insert(request.id.clone()) { 500 } else { 200 })));
    let tenant = stage.tenant(&receiver).await;
    stage.produce(&[(&tenant, 10)]).await;
    stage.until_sent(&[&tenant]).await;
    let exhibits: Vec<Exhibit> = receiver.look(|log| log.requests.iter().map(|request| Exhibit::of(&tenant.secret, request)).collect());
    assert!(exhibits.len() >= 2 * 20, "{}", exhibits.len());
    assert_genuine(&exhibits);
    // Rotated, both secrets sign, the deliveries of either.
    let newer = stage.rotate_secret(&tenant);
    receiver.behave(always(Reply::Status(200)));
    let seen = receiver.look(|log| log.requests.len());
    stage.produce(&[(&tenant, 3)]).await;
    stage.until_sent(&[&tenant]).await;
    let signed = receiver.look(|log| log.requests[seen..].to_vec());
    assert!(signed.iter().all(|request| request.header("webhook-signature").split(' ').count() == 2));
    assert_genuine(
        &signed.iter().flat_map(|request| [&tenant.secret, &newer].map(|secret| Exhibit::of(secret, request))).collect::<Vec<_>>(),
    );
    let seen = receiver.look(|log| log.requests.len());
    let answer = stage.client(&tenant).post("/webhook/test").json(&json!({})).send().await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(200)), "{}", answer.text());
    receiver.wait_for("the test event", PATIENCE, move |log| log.requests.len() > seen).await;
    assert_genuine(&[receiver.look(|log| Exhibit::of(&tenant.secret, log.requests.last().unwrap()))]);
}
