//! The file with the secret keys: 64 hex digits a line, the newest first.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::SecretKey;
use crate::secret::{random_32, random_base62};

/// Most keys of one deployment: a turnover leaves one behind, and a list is for its length.
const MOST: usize = 10;

/// A file with secret keys.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

/// The keys of a text, each 64 hex digits, between commas or on lines of their own; none for anything else.
pub fn parse_keys(text: &str) -> Option<Vec<SecretKey>> {
    let keys: Option<Vec<SecretKey>> = text.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty()).map(parse_key).collect();
    keys.filter(|keys| (1..=MOST).contains(&keys.len()))
}

fn parse_key(hex: &str) -> Option<SecretKey> {
    let mut key = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(SecretKey(key))
}

impl SecretKey {
    /// A fresh one.
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give.
    pub fn generate() -> crate::error::Result<Self> {
        random_32().map(Self)
    }

    /// Its 64 hex digits, for the file and for the one who is to keep it.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl KeyFile {
    /// The file at this path, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Its keys, the newest first; never empty.
    ///
    /// # Errors
    /// A sentence, when it can't be read or holds something else.
    pub fn read(&self) -> Result<Vec<SecretKey>, String> {
        let text = std::fs::read_to_string(&self.0).map_err(|e| format!("Cannot read {}: {e}.", self.0.display()))?;
        parse_keys(&text).ok_or_else(|| format!("{} does not hold 64 hex digits a line.", self.0.display()))
    }

    /// Makes it with a fresh key, unless it is there. Several processes may do so at once: one key results.
    ///
    /// # Errors
    /// A sentence, when it can't be made.
    pub fn ensure(&self) -> Result<(), String> {
        if self.exists() {
            return Ok(());
        }
        self.make().map_err(|e| format!("Cannot create {}: {e}.", self.0.display()))
    }

    fn make(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.folder())?;
        let key = SecretKey::generate().map_err(|e| io::Error::other(e.to_string()))?;
        let (unfinished, _) = self.write_beside(&[key])?;
        // Unlike a rename, a link never replaces the key that another process made meanwhile.
        let linked = std::fs::hard_link(&unfinished, &self.0);
        std::fs::remove_file(&unfinished)?;
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => File::open(self.folder())?.sync_all(),
        }
    }

    /// Puts these keys in place of those it has, the newest first. At every instant, a power cut included, it holds the ones or
    /// the others whole. It stays its owner's.
    ///
    /// # Errors
    /// A sentence, when it can't be written; it is then as it was.
    pub fn replace(&self, keys: &[SecretKey]) -> Result<(), String> {
        self.exchange(keys).map_err(|e| format!("Cannot write {}: {e}.", self.0.display()))
    }

    fn exchange(&self, keys: &[SecretKey]) -> io::Result<()> {
        // What a link leads to is replaced, and not the link.
        let real = Self(std::fs::canonicalize(&self.0)?);
        let before = std::fs::metadata(&real.0)?;
        let (unfinished, file) = real.write_beside(keys)?;
        let put = || {
            let ours = file.metadata()?;
            // Written by root for a server that runs as somebody else, it must stay readable to that one.
            if (ours.uid(), ours.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            std::fs::rename(&unfinished, &real.0)?;
            File::open(real.folder())?.sync_all()
        };
        put().inspect_err(|_| drop(std::fs::remove_file(&unfinished)))
    }

    fn write_beside(&self, keys: &[SecretKey]) -> io::Result<(PathBuf, File)> {
        let tail = random_base62(8).map_err(|e| io::Error::other(e.to_string()))?;
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = self.folder().join(format!("{name}.{tail}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let lines: String = keys.iter().map(|key| key.hex() + "\n").collect();
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        Ok((unfinished, file))
    }

    fn folder(&self) -> &Path {
        self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}
