//! The validated view of the parameters, which backend and store are built from.

use super::{
    Params,
    endpoint::{self, Endpoint},
    options::{self, MAX_SECONDS, OptionInfo, OptionKind},
    python,
};
use crate::{Error, Result};
use std::{fmt, path::PathBuf, time::Duration};

/// The parameters of a rendezvous, every value checked and in its own type. Defaults: [`OPTIONS`](super::OPTIONS).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where etcd listens, in the order given; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Whether to speak TLS.
    pub https: bool,
    /// The id of the rendezvous, not empty. Whether it makes a key of etcd is for the backend to say.
    pub run_id: String,
    /// The fewest nodes of the rendezvous, at least 1.
    pub min_nodes: i64,
    /// The most nodes of the rendezvous, at least `min_nodes`.
    pub max_nodes: i64,
    /// How long one operation on etcd may take, at least 1 s.
    pub read_timeout: Duration,
    /// How long to try to connect to one endpoint, at least 1 s.
    pub connect_timeout: Duration,
    /// How long an operation goes on trying while no endpoint can be reached; may be 0.
    pub reconnect_timeout: Duration,
    /// The client certificate.
    pub ssl_cert: Option<PathBuf>,
    /// The key of `ssl_cert`; `None` where it is in the same file, or there is no certificate.
    pub ssl_cert_key: Option<PathBuf>,
    /// The authorities to trust instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// Which of etcd's APIs to use.
    pub api: ApiChoice,
    /// Whether reads must see every finished write.
    pub linearizable: bool,
    /// How long the state lives after its last write, in seconds, at least 1.
    pub ttl: u64,
    /// How long a key of the store lives after its last write, in seconds, at least 1; `None` is for ever.
    pub store_ttl: Option<u64>,
    /// The user to authenticate as; given if and only if `password` is.
    pub username: Option<String>,
    /// The password of `username`.
    pub password: Option<Secret>,
    /// Where the states are: begins with `/`, does not end with it.
    pub key_prefix: String,
    /// Where the store's keys are: begins with `/`, does not end with it, is not `key_prefix`.
    pub store_prefix: String,
    /// The store's own timeout; 0 looks once.
    pub store_timeout: Duration,
}

/// Which of etcd's APIs to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiChoice {
    /// v2 where the server offers it, else v3.
    Auto,
    /// v2, PyTorch's own.
    V2,
    /// v3.
    V3,
}

/// Text that does not show itself: `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for where it must be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Settings {
    /// Checks in PyTorch's order, so that the first sentence is the same where several apply; then the options that
    /// PyTorch does not have.
    pub(super) fn of(params: &Params) -> Result<Self> {
        let read = Reader(params);
        let endpoints = endpoint::parse_list(params.endpoint())?;
        let read_timeout = read.read_timeout()?;
        let https = read.https()?;
        if params.run_id().is_empty() {
            return Err(invalid("The run id must be a non-empty string."));
        }
        let ssl_cert = read.path(&options::SSL_CERT);
        let ssl_cert_key = ssl_cert.as_ref().and_then(|_| read.path(&options::SSL_CERT_KEY));
        let (username, password) = read.credentials()?;
        let (key_prefix, store_prefix) = read.prefixes()?;
        Ok(Self {
            endpoints,
            https,
            run_id: params.run_id().to_owned(),
            min_nodes: params.min_nodes(),
            max_nodes: params.max_nodes(),
            read_timeout,
            connect_timeout: read.duration(&options::CONNECT_TIMEOUT)?,
            reconnect_timeout: read.duration(&options::RECONNECT_TIMEOUT)?,
            ssl_cert,
            ssl_cert_key,
            ca_cert: read.path(&options::CA_CERT),
            api: match read.choice(&options::API)? {
                "v2" => ApiChoice::V2,
                "v3" => ApiChoice::V3,
                _ => ApiChoice::Auto,
            },
            linearizable: read.choice(&options::CONSISTENCY)? == "linearizable",
            ttl: read.seconds(&options::TTL)?.unwrap_or_default(),
            store_ttl: read.seconds(&options::STORE_TTL)?,
            username,
            password,
            key_prefix,
            store_prefix,
            store_timeout: read.duration(&options::STORE_TIMEOUT)?,
        })
    }
}

/// Reads options out of the parameters as the table says.
struct Reader<'a>(&'a Params);

impl Params {
    /// The number that `option` of the table is set to, or its default.
    pub(crate) fn number_of(&self, option: &OptionInfo) -> Result<u64> {
        Ok(Reader(self).seconds(option)?.unwrap_or_default())
    }

    /// The text that `option` of the table is set to, or its default; none where that is empty.
    pub(crate) fn text_of(&self, option: &OptionInfo) -> Option<&str> {
        Reader(self).text(option)
    }
}

impl<'a> Reader<'a> {
    /// The value as it was set, else the default.
    fn raw(&self, option: &OptionInfo) -> Option<&'a str> {
        self.0.value(option.name).or(option.default)
    }

    /// The value, where it is set and not empty.
    fn text(&self, option: &OptionInfo) -> Option<&'a str> {
        self.raw(option).filter(|value| !value.is_empty())
    }

    fn path(&self, option: &OptionInfo) -> Option<PathBuf> {
        self.text(option).map(PathBuf::from)
    }

    /// The word of the table that was chosen.
    fn choice(&self, option: &OptionInfo) -> Result<&'static str> {
        let OptionKind::Choice(words) = option.kind else { return Err(not_one_of(option, &[])) };
        let value = python::strip(self.raw(option).unwrap_or_default()).to_lowercase();
        words.iter().copied().find(|word| *word == value).ok_or_else(|| not_one_of(option, words))
    }

    fn https(&self) -> Result<bool> {
        match self.choice(&options::PROTOCOL) {
            Ok(protocol) => Ok(protocol == "https"),
            Err(_) => Err(invalid("The protocol must be HTTP or HTTPS.")),
        }
    }

    /// The number of seconds; `None` where it is neither set nor has a default.
    fn seconds(&self, option: &OptionInfo) -> Result<Option<u64>> {
        let Some(value) = self.raw(option) else { return Ok(None) };
        let number = python::integer(value).ok_or_else(|| not_an_integer(option.name))?;
        let (min, max, unit) = match option.kind {
            OptionKind::Count { min } => (min, 1_000_000, ""),
            OptionKind::Seconds { min } => (min, MAX_SECONDS, " seconds (100 years)"),
            _ => (0, MAX_SECONDS, ""),
        };
        match u64::try_from(number) {
            Ok(seconds) if (min..=max).contains(&seconds) => Ok(Some(seconds)),
            _ if option.name == options::READ_TIMEOUT.name && number <= 0 => {
                Err(invalid("The read timeout must be a positive integer."))
            }
            _ => Err(invalid(format!(
                "The rendezvous configuration option '{}' must be between {min} and {max}{unit}.",
                option.name
            ))),
        }
    }

    fn duration(&self, option: &OptionInfo) -> Result<Duration> {
        Ok(Duration::from_secs(self.seconds(option)?.unwrap_or_default()))
    }

    fn read_timeout(&self) -> Result<Duration> {
        self.duration(&options::READ_TIMEOUT)
    }

    /// Both or neither: etcd knows no user without a password that could be sent to it.
    fn credentials(&self) -> Result<(Option<String>, Option<Secret>)> {
        match (self.text(&options::USERNAME), self.text(&options::PASSWORD)) {
            (Some(username), Some(password)) => Ok((Some(username.to_owned()), Some(Secret(password.to_owned())))),
            (None, None) => Ok((None, None)),
            _ => Err(invalid("The rendezvous configuration options 'username' and 'password' must be given together.")),
        }
    }

    /// Where states and store keys are: never in one place, where the one could be taken for the other.
    fn prefixes(&self) -> Result<(String, String)> {
        let (states, store) = (self.prefix(&options::KEY_PREFIX)?, self.prefix(&options::STORE_PREFIX)?);
        if states == store {
            return Err(invalid("The rendezvous configuration options 'key_prefix' and 'store_prefix' must differ."));
        }
        Ok((states.to_owned(), store.to_owned()))
    }

    fn prefix(&self, option: &OptionInfo) -> Result<&'a str> {
        let prefix = self.raw(option).unwrap_or_default().trim_end_matches('/');
        let sound = prefix.strip_prefix('/').is_some_and(|path| path.split('/').all(|part| !is_lost(part)));
        if sound { Ok(prefix) } else { Err(not_a_prefix(option)) }
    }
}

/// Whether etcd drops this segment of a path, so that the key would be another than the one asked for.
fn is_lost(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::InvalidArgument(message.into())
}

pub(super) fn not_an_integer(name: &str) -> Error {
    invalid(format!("The rendezvous configuration option '{name}' does not represent a valid integer value."))
}

fn not_one_of(option: &OptionInfo, words: &[&str]) -> Error {
    invalid(format!("The rendezvous configuration option '{}' must be one of {}.", option.name, words.join(", ")))
}

fn not_a_prefix(option: &OptionInfo) -> Error {
    invalid(format!(
        "The rendezvous configuration option '{}' must be a path like {} with no empty, '.' or '..' segment.",
        option.name,
        option.default.unwrap_or("/a/b")
    ))
}

#[cfg(test)]
mod tests;
