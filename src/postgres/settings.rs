//! The server's settings. They are written at every start, so that an upgraded Latchkey brings its own. An operator
//! overrides them with `ALTER SYSTEM`, which PostgreSQL reads last.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::account::Account;
use super::error::Result;

/// Appended once to the `postgresql.conf` of a new cluster.
pub(super) const INCLUDE: &str = "\n# Latchkey's settings; ALTER SYSTEM overrides them.\ninclude_if_exists = 'latchkey.conf'\n";

/// The last log files kept; a start begins a new one.
pub(super) const LOGS_KEPT: usize = 12;

const CONF: &str = "\
# Written by Latchkey at every start: change settings with ALTER SYSTEM instead, which wins over this file.

# Reached through a unix socket in a private directory, never over a network.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 60
cluster_name = 'latchkey'

# What was acknowledged survives a power cut.
fsync = on
synchronous_commit = on
full_page_writes = on

# A small machine that PostgreSQL shares with Latchkey, on solid-state storage.
shared_buffers = 192MB
effective_cache_size = 768MB
work_mem = 8MB
maintenance_work_mem = 64MB
wal_buffers = 8MB
wal_compression = on
min_wal_size = 128MB
max_wal_size = 1GB
random_page_cost = 1.1
shared_preload_libraries = ''
# The statements are short: compiling them costs more than it gains.
jit = off

# log_destination is stderr, collected into files by the server itself.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%Y-%m-%d_%H%M%S.log'
log_file_mode = 0600
log_rotation_size = 10MB
log_rotation_age = 0
log_line_prefix = '%m [%p] '
log_min_duration_statement = -1
log_statement = none
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'
";

/// Trust, because the gate is the socket: it and its directory are 0700 and the server account's own, so only that
/// account and root get as far as being asked. A password would lie in a file readable by exactly those two, and `peer`
/// needs a map of account names that breaks when a data directory changes hands.
const HBA: &str = "\
# Written by Latchkey at every start. Only the account that runs the server, and root, can reach its socket.
local all latchkey trust
local replication latchkey trust
";

/// Writes the settings into a cluster that is not running.
pub(super) fn write(home: &Path, socket_dir: &Path, account: &Account) -> Result<()> {
    let mut conf = CONF.as_bytes().to_vec();
    conf.extend(b"unix_socket_directories = ");
    conf.extend(quoted(socket_directories(socket_dir).as_bytes(), b'\''));
    conf.push(b'\n');
    account.write(&home.join("latchkey.conf"), &conf)?;
    account.write(&home.join("pg_hba.conf"), HBA.as_bytes())
}

/// The settings that are also given on the command line, where nothing overrides them: all processes rely on them.
pub(super) fn fixed(socket_dir: &Path) -> [OsString; 6] {
    let mut directories = OsString::from("unix_socket_directories=");
    directories.push(socket_directories(socket_dir));
    let flag = || OsString::from("-c");
    [flag(), "listen_addresses=".into(), flag(), "port=5432".into(), flag(), directories]
}

/// The setting is a list: a name with a comma or a space needs quotes.
fn socket_directories(dir: &Path) -> OsString {
    OsString::from_vec(quoted(dir.as_os_str().as_bytes(), b'"'))
}

fn quoted(text: &[u8], quote: u8) -> Vec<u8> {
    let mut out = vec![quote];
    for &byte in text {
        // In a configuration file a backslash within single quotes begins an escape.
        if byte == quote || (byte == b'\\' && quote == b'\'') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(quote);
    out
}

/// A libpq address of a database behind the socket. The port is named because `PGPORT` would change it.
pub(super) fn url(socket_dir: &Path, database: &str) -> String {
    let database = percent_encoded(OsStr::new(database));
    let host = percent_encoded(socket_dir.as_os_str());
    format!("postgresql:///{database}?host={host}&port=5432&user=latchkey")
}

fn percent_encoded(text: &OsStr) -> String {
    let mut out = String::new();
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_any_path() {
        assert_eq!(url(Path::new("/a b/ü?&"), "x/y"), "postgresql:///x%2Fy?host=%2Fa%20b%2F%C3%BC%3F%26&port=5432&user=latchkey");
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quoted(br"a'b\c", b'\''), br"'a''b\\c'");
        assert_eq!(quoted(br#"a"b,c\"#, b'"'), br#""a""b,c\""#);
    }
}
