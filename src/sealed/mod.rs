//! Sealing: what the database keeps encrypted, because it has to be read again: the signing secrets of webhooks.
//!
//! A sealed value is AES-256-GCM under a key derived from the secret key: one byte of version, four that name the key, twelve
//! of nonce, then the ciphertext with its tag. The context, which says what it is and whose, is authenticated with it, so that
//! a value moved to another row does not open.
//!
//! A [`Keyring`] holds the secret keys of a deployment, the newest first: that one seals, each of them opens. Turning the
//! secret key over is then: put a new one in front, seal everything again, drop the old one.
//!
//! A server that runs meanwhile need not be started again, where its keys are in a [`KeyFile`]. It looks into the file whenever
//! it seals, so that nothing is sealed with a key that is on its way out, and when it meets a value of a key that it does not
//! know. What it has known it goes on opening.

mod file;

pub use file::{KeyFile, parse_keys};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha512};

use crate::error::{Error, Result};
use crate::secret::random_32;

const VERSION: u8 = 1;
const NAME: usize = 4;
const HEAD: usize = 1 + NAME + NONCE_LEN;

/// A file with keys is looked into at most so often for the sake of what does not open.
const LOOK: Duration = Duration::from_secs(1);

/// 32 bytes that never leave the process.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 32]);

impl SecretKey {
    /// 64 bytes for one purpose, independent of those for any other.
    pub fn derive(&self, purpose: &str) -> [u8; 64] {
        Sha512::new().chain_update(b"latchkey ").chain_update(purpose).chain_update([0]).chain_update(self.0).finalize().into()
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The secret keys of a deployment, the newest first; never empty. Clones share what they learn from the file.
#[derive(Clone)]
pub struct Keyring(Arc<Ring>);

struct Ring {
    /// The newest when this process began.
    first: SecretKey,
    known: Mutex<Known>,
    file: Option<KeyFile>,
}

struct Known {
    keys: Vec<SecretKey>,
    /// When the file was last looked into because something did not open.
    looked: Option<Instant>,
}

impl From<SecretKey> for Keyring {
    fn from(key: SecretKey) -> Self {
        Self::new(key, [])
    }
}

impl Keyring {
    /// The newest key, followed by those that only open.
    pub fn new(newest: SecretKey, older: impl IntoIterator<Item = SecretKey>) -> Self {
        Self::with(newest, older, None)
    }

    /// The keys of a file, which is looked into again as it changes.
    ///
    /// # Errors
    /// `Internal` when it can't be read, or holds something else.
    pub fn of_file(file: KeyFile) -> Result<Self> {
        let mut keys = file.read().map_err(Error::Internal)?.into_iter();
        let newest = keys.next().ok_or_else(|| Error::Internal("a file of secret keys is empty".into()))?;
        Ok(Self::with(newest, keys, Some(file)))
    }

    fn with(newest: SecretKey, older: impl IntoIterator<Item = SecretKey>, file: Option<KeyFile>) -> Self {
        let keys = std::iter::once(newest.clone()).chain(older).collect();
        Self(Arc::new(Ring { first: newest, known: Mutex::new(Known { keys, looked: None }), file }))
    }

    /// The newest key when this process began: what cookies are signed with, so that turning the key over signs nobody out
    /// before the next start.
    pub fn newest(&self) -> &SecretKey {
        &self.0.first
    }

    /// How many keys it knows.
    pub fn size(&self) -> usize {
        self.known(|known| known.keys.len())
    }

    /// Whether the newest key sealed this, so that there is no need to do it again.
    pub fn is_fresh(&self, sealed: &[u8]) -> bool {
        self.known(|known| sealed.get(1..=NAME) == Some(&name(&known.keys[0])[..]))
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the file says, where there is one, and keeps what else it knew behind that.
    fn read_again(&self) -> Result<()> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let keys = file.read().map_err(Error::Internal)?;
        self.known(|known| {
            let former = std::mem::replace(&mut known.keys, keys);
            for key in former {
                if !known.keys.contains(&key) {
                    known.keys.push(key);
                }
            }
        });
        Ok(())
    }

    fn key_named(&self, wanted: &[u8]) -> Option<SecretKey> {
        self.known(|known| known.keys.iter().find(|key| name(key) == wanted).cloned())
    }

    /// The key of this name, if need be after a look into the file.
    fn find(&self, wanted: &[u8]) -> Option<SecretKey> {
        self.key_named(wanted).or_else(|| {
            let now = Instant::now();
            let due = self.known(|known| {
                let due = known.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK);
                known.looked = if due { Some(now) } else { known.looked };
                due
            });
            if due && let Err(error) = self.read_again() {
                tracing::warn!(%error, "looking for a secret key");
            }
            // Whoever was not due may have been overtaken by somebody who was.
            self.key_named(wanted)
        })
    }

    /// Encrypts, bound to `context`, with the newest key that there is at this moment.
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give, or the file with the keys can't be read: what is sealed
    /// with a key that is in no file would be lost at the next start.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        self.read_again()?;
        let key = &self.known(|known| known.keys[0].clone());
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&random_32()?[..NONCE_LEN]);
        let mut sealed = plain.to_vec();
        cipher(key)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .map_err(|e| Error::internal("sealing", e))?;
        Ok([&[VERSION], &name(key)[..], &nonce, &sealed].concat())
    }

    /// Decrypts what [`Keyring::seal`] made with the same `context`.
    ///
    /// # Errors
    /// `Internal` when none of the keys made it, or it is not what was made.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let broken = |what: &str| Error::Internal(format!("opening {context}: {what}"));
        if sealed.len() < HEAD || sealed[0] != VERSION {
            return Err(broken("not a sealed value"));
        }
        let key = self.find(&sealed[1..=NAME]).ok_or_else(|| broken("it was sealed with another secret key"))?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + NAME..HEAD]).map_err(|_| broken("its nonce is cut off"))?;
        let mut text = sealed[HEAD..].to_vec();
        let plain = cipher(&key)?.open_in_place(nonce, Aad::from(context), &mut text).map_err(|_| broken("it was changed"))?;
        Ok(plain.to_vec())
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.size())
    }
}

fn cipher(key: &SecretKey) -> Result<LessSafeKey> {
    let bytes = key.derive("sealing");
    let key = UnboundKey::new(&AES_256_GCM, &bytes[..AES_256_GCM.key_len()]).map_err(|e| Error::internal("sealing key", e))?;
    Ok(LessSafeKey::new(key))
}

/// What tells two keys apart without telling anything about them.
fn name(key: &SecretKey) -> [u8; NAME] {
    let bytes = key.derive("name of the sealing key");
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_each_of_its_keys_and_never_elsewhere() {
        let (old, new) = (SecretKey([1; 32]), SecretKey([2; 32]));
        let sealed = Keyring::from(old.clone()).seal("whose", b"secret").expect("sealed");
        let ring = Keyring::new(new.clone(), [old]);
        assert_eq!(ring.open("whose", &sealed).expect("opened"), b"secret");
        assert!(!ring.is_fresh(&sealed) && ring.is_fresh(&ring.seal("whose", b"x").expect("sealed")));
        assert!(ring.open("another's", &sealed).is_err());
        assert!(Keyring::from(new).open("whose", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(ring.open("whose", &changed).is_err(), "byte {place}");
        }
        assert!(ring.open("whose", &sealed[..HEAD]).is_err() && ring.open("whose", b"").is_err());
        assert!(!String::from_utf8_lossy(&sealed).contains("secret"));
    }
    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder() -> Folder {
        let name = crate::secret::random_base62(10).expect("randomness");
        let folder = Folder(std::env::temp_dir().join(format!("latchkey-sealed-{name}")));
        std::fs::create_dir(&folder.0).expect("a folder");
        folder
    }

    #[test]
    fn a_ring_follows_its_file_and_forgets_nothing() {
        let folder = folder();
        let file = KeyFile::at(folder.0.join("key"));
        file.ensure().expect("a key");
        let ring = Keyring::of_file(file.clone()).expect("a ring");
        let old = ring.seal("whose", b"old").expect("sealed");
        let new = SecretKey([2; 32]);
        file.replace(std::slice::from_ref(&new)).expect("replaced");
        let of_new = Keyring::from(new.clone());
        assert_eq!(ring.open("whose", &of_new.seal("whose", b"new").expect("sealed")).expect("opened"), b"new");
        assert_eq!(ring.open("whose", &old).expect("opened"), b"old", "what it knew it goes on opening");
        assert!(of_new.open("whose", &ring.seal("whose", b"x").expect("sealed")).is_ok(), "it seals with the newest");
        assert_ne!(*ring.newest(), new, "cookies stay signed with what they were");
        // A file that is gone keeps nothing shut, but nothing is sealed that might be lost.
        std::fs::remove_file(file.path()).expect("removed");
        assert!(ring.open("whose", &old).is_ok() && ring.seal("whose", b"x").is_err());
        let stranger = Keyring::from(SecretKey([9; 32])).seal("whose", b"x").expect("sealed");
        assert!(ring.open("whose", &stranger).is_err());
    }

    #[test]
    fn looks_for_unknown_keys_are_a_second_apart() {
        let folder = folder();
        let file = KeyFile::at(folder.0.join("key"));
        file.ensure().expect("a key");
        let ring = Keyring::of_file(file.clone()).expect("a ring");
        let late = SecretKey([3; 32]);
        let sealed = Keyring::from(late.clone()).seal("whose", b"late").expect("sealed");
        assert!(ring.open("whose", &sealed).is_err());
        file.replace(&[late]).expect("replaced");
        assert!(ring.open("whose", &sealed).is_err(), "it looked a moment ago");
        ring.known(|known| known.looked = known.looked.and_then(|looked| looked.checked_sub(LOOK)));
        assert!(ring.open("whose", &sealed).is_ok());
    }

    #[test]
    fn keys_are_hex_on_lines_or_between_commas() {
        let (a, b) = ("0a".repeat(32), "B0".repeat(32));
        let both = [SecretKey([0x0a; 32]), SecretKey([0xb0; 32])];
        for text in [format!("{a},{b}"), format!("{a}\n{b}\n"), format!(" {a} , {b} "), format!("{a}\r\n\n{b}")] {
            assert!(parse_keys(&text).is_some_and(|keys| keys == both), "{text:?}");
        }
        for text in ["".to_owned(), ",".into(), format!("{a}{b}"), format!("{a} {b}"), format!("{a},x"), [&a[..]; 11].join(",")] {
            assert!(parse_keys(&text).is_none(), "{text:?}");
        }
    }
}
