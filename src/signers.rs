//! Who signs reports of leaked keys: GitHub's public keys, in a file as GitHub publishes them, and the check of a signature.
//!
//! A report's signature is ECDSA over P-256 and SHA-256 of the body as it came, in ASN.1 DER, in base64 (GitHub's secret-scanning
//! partner program). Its key is named by an identifier. GitHub changes keys: the file is read again when it has changed, so that a key
//! that was taken out is not good any more, and when it names none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

/// Between two looks at the file.
const PAUSE: Duration = Duration::from_secs(1);
/// What stands before the point of a P-256 key in its SubjectPublicKeyInfo (RFC 5480): the algorithm, the curve, the length.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];

/// The keys of one file. A clone shares what was read.
#[derive(Debug, Clone)]
pub struct Signers {
    file: Arc<Path>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    /// Uncompressed points by their identifiers.
    points: HashMap<String, Vec<u8>>,
    /// Of the file that they were read from.
    stamp: Option<Stamp>,
    /// When the file was looked at.
    looked_at: Option<Instant>,
}

/// What tells a changed file: its modification time, and its length, for who changes it twice in one tick of the clock.
type Stamp = (SystemTime, u64);

/// Why a signature is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// No key of this identifier is known.
    UnknownKey,
    /// It was not made with this key over this body.
    Wrong,
}

#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

impl Signers {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence: it can't be read, is something else, or has no key that can be used.
    pub fn open(file: PathBuf) -> Result<Self, String> {
        let stamp = stamp(&file);
        let points = read(&file)?;
        Ok(Self { file: file.into(), known: Arc::new(Mutex::new(Known { points, stamp, looked_at: None })) })
    }

    /// Checks the signature of a body. May read the file: call it on a thread that may block.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check(&self, now: Instant, identifier: &str, signature: &str, body: &[u8]) -> Result<(), Unsigned> {
        let point = self.point(now, identifier).ok_or(Unsigned::UnknownKey)?;
        let signature = BASE64.decode(signature).map_err(|_| Unsigned::Wrong)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(body, &signature).map_err(|_| Unsigned::Wrong)
    }

    fn point(&self, now: Instant, identifier: &str) -> Option<Vec<u8>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE) {
            known.looked_at = Some(now);
            self.look(&mut known, identifier);
        }
        known.points.get(identifier).cloned()
    }

    /// Reads the file again, where it has changed or somebody asks for a key that it did not have.
    fn look(&self, known: &mut Known, identifier: &str) {
        // Before the file is read: what changes meanwhile is seen at the next look.
        let stamp = stamp(&self.file);
        if stamp == known.stamp && known.points.contains_key(identifier) {
            return;
        }
        match read(&self.file) {
            Ok(points) => (known.points, known.stamp) = (points, stamp),
            // Those that are known stay good.
            Err(why) => tracing::warn!(file = %self.file.display(), why, "signers of leak reports"),
        }
    }
}

/// None where the file can't be looked at.
fn stamp(file: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

fn read(file: &Path) -> Result<HashMap<String, Vec<u8>>, String> {
    let text = std::fs::read(file).map_err(|e| format!("{} can't be read: {e}.", file.display()))?;
    let published: Published = serde_json::from_slice(&text)
        .map_err(|e| format!("{} does not hold {{\"public_keys\": […]}} as GitHub publishes it: {e}.", file.display()))?;
    // A key of another kind, should there be one some day, is no reason to do without the others.
    let keys = published.public_keys.into_iter().filter_map(|key| Some((key.key_identifier, point(&key.key)?)));
    let points: HashMap<_, _> = keys.collect();
    if points.is_empty() { Err(format!("{} has no ECDSA P-256 key.", file.display())) } else { Ok(points) }
}

/// The uncompressed point of a P-256 key in PEM.
fn point(pem: &str) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    let point = key.as_ref().strip_prefix(&P256)?;
    (point.len() == 65 && point[0] == 4).then(|| point.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d";
    const KEY: &str =
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==";
    const BODY: &[u8] = br#"[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]"#;
    const SIGNATURE: &str = "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY=";

    fn published(id: &str) -> String {
        let key = format!("-----BEGIN PUBLIC KEY-----\\n{KEY}\\n-----END PUBLIC KEY-----\\n");
        format!(r#"{{"public_keys":[{{"key_identifier":"{id}","key":"{key}","is_current":true}}]}}"#)
    }

    fn file(text: &str) -> PathBuf {
        let name = format!("latchkey-signers-{}.json", crate::secret::random_base62(12).expect("randomness"));
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, text).expect("a file");
        file
    }

    /// The sample of GitHub's own documentation.
    #[test]
    fn githubs_sample_is_signed() {
        let (file, now) = (file(&published(ID)), Instant::now());
        let signers = Signers::open(file.clone()).expect("keys");
        assert_eq!(signers.check(now, ID, SIGNATURE, BODY), Ok(()));
        let mut changed = BODY.to_vec();
        changed[30] ^= 1;
        assert_eq!(signers.check(now, ID, SIGNATURE, &changed), Err(Unsigned::Wrong));
        assert_eq!(signers.check(now, ID, &SIGNATURE.replace("MEUC", "MEUD"), BODY), Err(Unsigned::Wrong));
        for nothing in ["", "?", "AAAA"] {
            assert_eq!(signers.check(now, ID, nothing, BODY), Err(Unsigned::Wrong));
        }
        assert_eq!(signers.check(now, "another", SIGNATURE, BODY), Err(Unsigned::UnknownKey));
        let _ = std::fs::remove_file(file);
    }

    #[test]
    fn a_new_key_is_found_an_old_one_forgotten_and_a_broken_file_harms_nobody() {
        let (file, start) = (file(&published("older")), Instant::now());
        let signers = Signers::open(file.clone()).expect("keys");
        assert_eq!(signers.check(start, ID, SIGNATURE, BODY), Err(Unsigned::UnknownKey));
        std::fs::write(&file, published(ID)).expect("a file");
        assert_eq!(signers.check(start + PAUSE / 2, ID, SIGNATURE, BODY), Err(Unsigned::UnknownKey), "not looked into at each call");
        assert_eq!(signers.check(start + PAUSE, ID, SIGNATURE, BODY), Ok(()));
        std::fs::write(&file, "{").expect("a file");
        assert_eq!(signers.check(start + 3 * PAUSE, "other", SIGNATURE, BODY), Err(Unsigned::UnknownKey));
        assert_eq!(signers.check(start + 3 * PAUSE, ID, SIGNATURE, BODY), Ok(()));
        std::fs::write(&file, published("older")).expect("a file");
        assert_eq!(signers.check(start + 3 * PAUSE + PAUSE / 2, ID, SIGNATURE, BODY), Ok(()), "not looked at for each call");
        assert_eq!(signers.check(start + 4 * PAUSE, ID, SIGNATURE, BODY), Err(Unsigned::UnknownKey), "it was taken out");
        assert_eq!(signers.check(start + 4 * PAUSE, "older", SIGNATURE, BODY), Ok(()));
        let _ = std::fs::remove_file(file);
    }

    #[test]
    fn what_is_no_list_of_keys_is_told() {
        for (text, why) in [
            ("", "does not hold"),
            ("[]", "does not hold"),
            (r#"{"public_keys":[]}"#, "no ECDSA P-256 key"),
            (&published(ID).replace("MFkw", "MFkx"), "no ECDSA P-256 key"),
            (&published(ID).replace("AEsz9u", "AFsz9u"), "no ECDSA P-256 key"),
        ] {
            let file = file(text);
            let told = Signers::open(file.clone()).expect_err("no keys");
            assert!(told.contains(why), "{text}: {told}");
            let _ = std::fs::remove_file(file);
        }
        assert!(Signers::open("/no/such/file".into()).expect_err("no file").contains("can't be read"));
    }
}
