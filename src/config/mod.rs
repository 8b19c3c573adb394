//! Settings: each an environment variable and a flag, checked all at once, every mistake named.

mod read;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum as _};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::error::{Error, FieldError, Result};
use crate::profile::Profile;
use crate::sealed::{KeyFile, Keyring, SecretKey, parse_keys};
use crate::mail::Mailer;
use crate::site::{LeakRules, LeakedKeys, Retention, WebhookRules};
use read::{addresses, days, pauses, port_ranges, proxies, ranges, truth};

/// Where the data is: for every command that looks into the database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Place {
    /// PostgreSQL to use, as a URL; without it a private server is started in the data directory
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where the private database and the secret key live
    #[arg(long, env = "LATCHKEY_DATA_DIR", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,
}

impl Place {
    /// `DATABASE_URL`, unless it is empty.
    pub fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref().filter(|url| !url.is_empty())
    }
}

/// Where people reach it: for commands that print links too.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Reach {
    /// Address and port to listen on
    #[arg(long, env = "LATCHKEY_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Where browsers and partners reach it: https://keys.example.com [default: http://LISTEN]
    #[arg(long, env = "LATCHKEY_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

impl Reach {
    fn is_public_url_given(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| !url.is_empty())
    }

    /// The public URL, without a slash at its end.
    ///
    /// # Errors
    /// `Invalid`, naming the setting.
    pub fn public_url(&self) -> Result<String> {
        let given = self.public_url.as_deref().filter(|url| !url.is_empty());
        let url = given.map_or_else(|| format!("http://{}", self.listen), |url| url.trim_end_matches('/').to_owned());
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let good = host
            .is_some_and(|host| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#@\\".contains(c)));
        if good || given.is_none() {
            Ok(url)
        } else {
            Err(Error::field("LATCHKEY_PUBLIC_URL", format!("{url:?} is not a URL like https://keys.example.com, without a path.")))
        }
    }
}

/// The contract: for commands that need to know it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Contract {
    /// Name of a built-in profile, or path of a TOML file
    #[arg(long, env = "LATCHKEY_PROFILE", value_name = "NAME|FILE", default_value = "analysis")]
    pub profile: String,
}

/// The secret key: for commands that open or seal.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Secret {
    /// 64 hex digits, the root of what is signed and encrypted; several, the newest first, while it is turned over
    #[arg(long, env = "LATCHKEY_SECRET_KEY", value_name = "HEX,…", hide_env_values = true)]
    secret_key: Option<String>,
    /// File with the secret key, or several, one a line [default: made once in the data directory]
    #[arg(long, env = "LATCHKEY_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

/// Where the secret key is.
#[derive(Debug, Clone)]
pub enum KeyPlace {
    /// In a setting: these, the newest first; never empty.
    Setting(Vec<SecretKey>),
    /// In a file that was named, and that holds some.
    Named(KeyFile),
    /// In the data directory, where the first start makes it.
    Kept(KeyFile),
}

impl Secret {
    /// Where the secret key is; for `place`, unless a setting says something else.
    ///
    /// # Errors
    /// `Invalid`, naming the setting.
    pub fn check(&self, place: &Place) -> Result<KeyPlace> {
        let key = self.secret_key.as_deref().filter(|key| !key.is_empty());
        let file = self.secret_key_file.as_deref().filter(|file| !file.as_os_str().is_empty());
        match (key, file) {
            (Some(_), Some(_)) => Err(Error::field("LATCHKEY_SECRET_KEY", "It is set beside LATCHKEY_SECRET_KEY_FILE; set one of them.")),
            (Some(key), None) => match parse_keys(key) {
                Some(keys) => Ok(KeyPlace::Setting(keys)),
                None => Err(Error::field("LATCHKEY_SECRET_KEY", "It is not 64 hex digits (`openssl rand -hex 32` makes some).")),
            },
            (None, Some(file)) => {
                let file = KeyFile::at(file);
                file.read().map_err(|why| Error::field("LATCHKEY_SECRET_KEY_FILE", why))?;
                Ok(KeyPlace::Named(file))
            }
            (None, None) => Ok(KeyPlace::Kept(KeyFile::at(place.data_dir.join("secret.key")))),
        }
    }
}

impl KeyPlace {
    /// The keys. The one of the data directory is made at the first call; several processes may make that call at once.
    ///
    /// # Errors
    /// `Invalid` when the file can't be made or read, or holds something else.
    pub fn keyring(&self) -> Result<Keyring> {
        let file = match self {
            Self::Setting(keys) => {
                let (newest, older) = keys.split_first().ok_or_else(|| Error::Internal("a setting without a key".into()))?;
                return Ok(Keyring::new(newest.clone(), older.iter().cloned()));
            }
            Self::Named(file) => file,
            Self::Kept(file) => {
                // Read once more by what follows: here for its name in the sentence.
                file.ensure().and_then(|()| file.read()).map_err(|why| Error::field("LATCHKEY_DATA_DIR", why))?;
                file
            }
        };
        Keyring::of_file(file.clone())
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For eyes.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything `latchkey serve` can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    contract: Contract,
    #[command(flatten)]
    secret: Secret,
    /// Private addresses that webhooks may reach: 10.1.0.0/16,192.168.7.9/32
    #[arg(long, env = "LATCHKEY_WEBHOOK_ALLOW", value_name = "CIDR,…", default_value = "")]
    webhook_allow: String,
    /// Whether webhooks may go to http:// too
    #[arg(long, env = "LATCHKEY_WEBHOOK_ALLOW_HTTP", value_name = "true|false", default_value = "false")]
    webhook_allow_http: String,
    /// Ports that webhooks may reach
    #[arg(long, env = "LATCHKEY_WEBHOOK_PORTS", value_name = "PORT|FROM-TO,…", default_value = "80,443,1024-65535")]
    webhook_ports: String,
    /// Seconds between the tries of a webhook delivery
    #[arg(long, env = "LATCHKEY_WEBHOOK_RETRY_S", value_name = "S,…", default_value = "5,300,1800,7200,18000,36000,36000")]
    webhook_retry_s: String,
    /// Days that the request history is kept
    #[arg(long, env = "LATCHKEY_HISTORY_DAYS", value_name = "DAYS", default_value = "90")]
    history_days: String,
    /// Days that the charts are kept
    #[arg(long, env = "LATCHKEY_ROLLUP_DAYS", value_name = "DAYS", default_value = "730")]
    rollup_days: String,
    /// Server for e-mail with links: smtps://user:password@mail.example.com; without it links are shown alone
    #[arg(long, env = "LATCHKEY_SMTP_URL", value_name = "URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// Whom e-mail is from
    #[arg(long, env = "LATCHKEY_SMTP_FROM", value_name = "ADDRESS")]
    smtp_from: Option<String>,
    /// What is done to a key that was found in public: revoke or flag
    #[arg(long, env = "LATCHKEY_LEAKED_KEYS", value_name = "revoke|flag", default_value = "revoke")]
    leaked_keys: String,
    /// File with the public keys that sign GitHub's reports, as GitHub publishes them; without it reports need no signature
    #[arg(long, env = "LATCHKEY_LEAK_SIGNERS_FILE", value_name = "FILE")]
    leak_signers_file: Option<PathBuf>,
    /// Proxies in front, whose X-Forwarded-For is believed: 10.1.0.0/16,::1
    #[arg(long, env = "LATCHKEY_TRUSTED_PROXIES", value_name = "CIDR,…", default_value = "")]
    trusted_proxies: String,
    /// What is logged: info, warn, latchkey=debug, latchkey::request=off
    #[arg(long, env = "LATCHKEY_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// text or json
    #[arg(long, env = "LATCHKEY_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: String,
}

/// Checked settings.
#[derive(Debug)]
pub struct Config {
    /// Resolved addresses to listen on; never empty.
    pub listen: Vec<SocketAddr>,
    /// Without a slash at the end; none: where it listens.
    pub public_url: Option<String>,
    /// Where the data is.
    pub place: Place,
    /// The contract.
    pub profile: Arc<Profile>,
    /// Where the root of what is signed and encrypted is.
    pub secret_key: KeyPlace,
    /// Where webhooks may go, and when they are tried again.
    pub webhooks: Arc<WebhookRules>,
    /// How long usage is kept.
    pub retention: Retention,
    /// What sends links by e-mail.
    pub mail: Option<Mailer>,
    /// What becomes of keys that were found in public.
    pub leaks: Arc<LeakRules>,
    /// Proxies in front.
    pub proxies: Arc<[IpNet]>,
    /// What is logged.
    pub log: EnvFilter,
    /// And how.
    pub log_format: LogFormat,
}

impl Settings {
    /// Where the data is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    fn mailer(&self) -> Result<Option<Mailer>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.smtp_url), given(&self.smtp_from)) {
            (Some(url), Some(from)) => Mailer::new(&url, &from).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::field("LATCHKEY_SMTP_FROM", "It is missing beside LATCHKEY_SMTP_URL: whom are messages from?")),
            (None, Some(_)) => Err(Error::field("LATCHKEY_SMTP_URL", "It is missing beside LATCHKEY_SMTP_FROM.")),
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// `Invalid` with one entry for every mistake, named by its environment variable.
    pub fn check(self) -> Result<Config> {
        let mut mistakes = Mistakes::default();
        let listen = mistakes.note("LATCHKEY_LISTEN", addresses(&self.reach.listen));
        let public_url = mistakes.keep(self.reach.public_url());
        let database = self.place.database_url().is_none_or(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"));
        // Not repeated in the message: it may hold a password.
        mistakes.note("DATABASE_URL", if database { Ok(()) } else { Err("It does not start with postgres:// or postgresql://.") });
        let profile = mistakes.keep(Profile::load(&self.contract.profile).map_err(|e| named("LATCHKEY_PROFILE", e)));
        let secret_key = mistakes.keep(self.secret.check(&self.place));
        let allow = mistakes.note("LATCHKEY_WEBHOOK_ALLOW", ranges(&self.webhook_allow));
        let allow_http = mistakes.note("LATCHKEY_WEBHOOK_ALLOW_HTTP", truth(&self.webhook_allow_http));
        let ports = mistakes.note("LATCHKEY_WEBHOOK_PORTS", port_ranges(&self.webhook_ports));
        let retries = mistakes.note("LATCHKEY_WEBHOOK_RETRY_S", pauses(&self.webhook_retry_s));
        let history_days = mistakes.note("LATCHKEY_HISTORY_DAYS", days(&self.history_days, 1));
        let rollup_days = mistakes.note("LATCHKEY_ROLLUP_DAYS", days(&self.rollup_days, history_days.unwrap_or(1)));
        let retention = history_days.zip(rollup_days).map(|(history_days, rollup_days)| Retention { history_days, rollup_days });
        let mail = mistakes.keep(self.mailer());
        let then = LeakedKeys::from_str(&self.leaked_keys, true).map_err(|_| format!("{:?} is neither revoke nor flag.", self.leaked_keys));
        let then = mistakes.note("LATCHKEY_LEAKED_KEYS", then);
        let proxies = mistakes.note("LATCHKEY_TRUSTED_PROXIES", proxies(&self.trusted_proxies));
        let log = EnvFilter::try_new(format!("actix_server=warn,{}", self.log))
            .map_err(|e| format!("{:?} is not a filter like info or latchkey=debug: {e}.", self.log));
        let log = mistakes.note("LATCHKEY_LOG", log);
        let format = LogFormat::from_str(&self.log_format, true).map_err(|_| format!("{:?} is neither text nor json.", self.log_format));
        let log_format = mistakes.note("LATCHKEY_LOG_FORMAT", format);
        let webhooks = allow.zip(allow_http).zip(ports.zip(retries));
        let people = mail.zip(then).zip(proxies);
        match (listen, public_url, profile, secret_key, webhooks, retention, people, log, log_format) {
            (
                Some(listen),
                Some(public_url),
                Some(profile),
                Some(secret_key),
                Some(((allow, allow_http), (ports, retries))),
                Some(retention),
                Some(((mail, then), proxies)),
                Some(log),
                Some(log_format),
            ) if mistakes.0.is_empty() => Ok(Config {
                listen,
                public_url: self.reach.is_public_url_given().then_some(public_url),
                place: self.place,
                profile: Arc::new(profile),
                secret_key,
                webhooks: Arc::new(WebhookRules { allow, allow_http, ports, retries }),
                retention,
                mail,
                leaks: Arc::new(LeakRules { then, signers: self.leak_signers_file.filter(|file| !file.as_os_str().is_empty()) }),
                proxies: proxies.into(),
                log,
                log_format,
            }),
            _ => Err(Error::Invalid(mistakes.0)),
        }
    }
}

/// What was wrong so far.
#[derive(Default)]
struct Mistakes(Vec<FieldError>);

impl Mistakes {
    fn note<T>(&mut self, name: &'static str, checked: Result<T, impl Display>) -> Option<T> {
        checked.map_err(|e| self.0.push(FieldError { field: name.into(), message: e.to_string() })).ok()
    }

    fn keep<T>(&mut self, checked: Result<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(Error::Invalid(fields)) => {
                self.0.extend(fields);
                None
            }
            Err(other) => self.note("settings", Err(other)),
        }
    }
}

fn named(name: &'static str, error: Error) -> Error {
    match error {
        Error::Invalid(fields) => {
            let entry = |FieldError { field, message }| {
                let message = if field == "profile" { message } else { format!("{field} {message}.") };
                FieldError { field: name.into(), message }
            };
            Error::Invalid(fields.into_iter().map(entry).collect())
        }
        other => other,
    }
}
