//! What a local etcd can be told, as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::{Error, Result};

/// A day: far longer than any start takes, and short enough to add to any clock.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// The options of [`Server::start`](super::Server::start), set by name and checked as they are set.
///
/// | option | value | default |
/// | --- | --- | --- |
/// | `binary` | path of the etcd program | `RDZV_ETCD_BINARY`, then `TORCHELASTIC_ETCD_BINARY_PATH`, then `etcd` in `PATH` |
/// | `data_dir` | directory for etcd's data; it is never removed | a temporary one, removed by `stop` |
/// | `host` | `localhost`, or the IP address to listen on | `localhost` (127.0.0.1, and ::1 where there is one) |
/// | `port` | 0 to 65535, 0 meaning any free port | 0 |
/// | `timeout_ms` | 1 to 86400000, for the whole start | 60000 |
/// | `attempts` | 1 to 100, how often to start etcd when another program takes its port | 3 |
/// | `enable_v2` | `auto`, `true` or `false`; `auto` means wherever the program knows the v2 API | `auto` |
/// | `stderr` | `discard` keeps etcd's output for error messages; `inherit` sends it to standard error | `discard` |
/// | `args` | more arguments for etcd, separated by white space; they win over the library's own | none |
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub(super) binary: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) enable_v2: EnableV2,
    pub(super) stderr: Stderr,
    pub(super) args: String,
}

/// Where etcd listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// Every loopback address that `localhost` may stand for.
    Localhost,
    Ip(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnableV2 {
    Auto,
    True,
    False,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stderr {
    Inherit,
    Discard,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            binary: None,
            data_dir: None,
            host: Host::Localhost,
            port: 0,
            timeout: Duration::from_secs(60),
            attempts: 3,
            enable_v2: EnableV2::Auto,
            stderr: Stderr::Discard,
            args: String::new(),
        }
    }
}

impl ServerOptions {
    /// All options at their defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the option `key`. White space around numbers and words is ignored, and so is the case of words.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is no such option or `value` is outside its range; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if value.contains('\0') {
            return Err(refused(key, value, "text without a NUL character"));
        }
        match key {
            "binary" => self.binary = Some(path(key, value)?),
            "data_dir" => self.data_dir = Some(path(key, value)?),
            "host" => self.host = host(value)?,
            "port" => {
                self.port = value.trim().parse().map_err(|_| refused(key, value, "an integer between 0 and 65535"))?;
            }
            "timeout_ms" => self.timeout = Duration::from_millis(integer(key, value, MAX_TIMEOUT_MS)?),
            "attempts" => self.attempts = u32::try_from(integer(key, value, 100)?).unwrap_or(1),
            "enable_v2" => self.enable_v2 = enable_v2(value)?,
            "stderr" => self.stderr = stderr(value)?,
            "args" => value.clone_into(&mut self.args),
            _ => return Err(Error::InvalidArgument(unknown(key))),
        }
        Ok(())
    }

    /// The value of the option `key`, its default where it was not set. `None` for an option without a value, and for
    /// one that does not exist.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        match key {
            "binary" => self.binary.clone(),
            "data_dir" => self.data_dir.clone(),
            "host" => Some(self.host.to_string()),
            "port" => Some(self.port.to_string()),
            "timeout_ms" => Some(self.timeout.as_millis().to_string()),
            "attempts" => Some(self.attempts.to_string()),
            "enable_v2" => Some(self.enable_v2.name().to_owned()),
            "stderr" => Some(self.stderr.name().to_owned()),
            "args" => Some(self.args.clone()),
            _ => None,
        }
    }
}

impl Host {
    /// The addresses to listen on, the one to be asked first in front.
    pub(super) fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::Localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Ip(ip) => vec![ip],
        }
    }

    /// `host:port` as a URL and the endpoint grammar have it.
    pub(super) fn with_port(self, port: u16) -> String {
        match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            _ => format!("{self}:{port}"),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

impl EnableV2 {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::True => "true",
            Self::False => "false",
        }
    }
}

impl Stderr {
    fn name(self) -> &'static str {
        match self {
            Self::Inherit => "inherit",
            Self::Discard => "discard",
        }
    }
}

fn refused(key: &str, value: &str, wanted: &str) -> Error {
    Error::InvalidArgument(format!("the server option '{key}' must be {wanted}, not {value:?}"))
}

fn unknown(key: &str) -> String {
    format!(
        "there is no server option {key:?}; there are binary, data_dir, host, port, timeout_ms, attempts, enable_v2, \
         stderr and args"
    )
}

fn path(key: &str, value: &str) -> Result<String> {
    if value.is_empty() { Err(refused(key, value, "a path")) } else { Ok(value.to_owned()) }
}

fn integer(key: &str, value: &str, max: u64) -> Result<u64> {
    let number = value.trim().parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| refused(key, value, &format!("an integer between 1 and {max}")))
}

fn host(value: &str) -> Result<Host> {
    let text = value.trim();
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Host::Localhost);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Err(refused("host", value, "the one address that clients connect to")),
        Ok(ip) => Ok(Host::Ip(ip)),
        Err(_) => Err(refused("host", value, "localhost or an IP address")),
    }
}

fn enable_v2(value: &str) -> Result<EnableV2> {
    let text = value.trim();
    [EnableV2::Auto, EnableV2::True, EnableV2::False]
        .into_iter()
        .find(|choice| text.eq_ignore_ascii_case(choice.name()))
        .ok_or_else(|| refused("enable_v2", value, "auto, true or false"))
}

fn stderr(value: &str) -> Result<Stderr> {
    let text = value.trim();
    [Stderr::Inherit, Stderr::Discard]
        .into_iter()
        .find(|choice| text.eq_ignore_ascii_case(choice.name()))
        .ok_or_else(|| refused("stderr", value, "inherit or discard"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_its_default_and_reads_back() {
        let mut options = ServerOptions::new();
        let defaults = [
            ("binary", None),
            ("data_dir", None),
            ("host", Some("localhost")),
            ("port", Some("0")),
            ("timeout_ms", Some("60000")),
            ("attempts", Some("3")),
            ("enable_v2", Some("auto")),
            ("stderr", Some("discard")),
            ("args", Some("")),
            ("nonsense", None),
        ];
        for (key, value) in defaults {
            assert_eq!(options.get(key).as_deref(), value, "{key}");
        }
        let settings = [
            ("binary", "/a b/etcd", "/a b/etcd"),
            ("data_dir", " x", " x"),
            ("host", " LocalHost ", "localhost"),
            ("host", "127.0.0.2", "127.0.0.2"),
            ("host", "[::1]", "::1"),
            ("host", "::1", "::1"),
            ("port", "65535", "65535"),
            ("timeout_ms", " 86400000 ", "86400000"),
            ("attempts", "100", "100"),
            ("enable_v2", "True", "true"),
            ("enable_v2", "false", "false"),
            ("stderr", "INHERIT", "inherit"),
            ("args", "--a --b=c", "--a --b=c"),
        ];
        for (key, value, stored) in settings {
            options.set(key, value).unwrap();
            assert_eq!(options.get(key).as_deref(), Some(stored), "{key}={value}");
        }
    }

    #[test]
    fn values_outside_the_range_are_refused_and_change_nothing() {
        let refused = [
            ("binary", ""),
            ("data_dir", ""),
            ("host", ""),
            ("host", "example.com"),
            ("host", "0.0.0.0"),
            ("host", "[::]"),
            ("host", "::1%lo"),
            ("port", "65536"),
            ("port", "-1"),
            ("port", ""),
            ("timeout_ms", "0"),
            ("timeout_ms", "86400001"),
            ("timeout_ms", "99999999999999999999999"),
            ("attempts", "0"),
            ("attempts", "101"),
            ("enable_v2", "maybe"),
            ("stderr", "pipe"),
            ("args", "a\0b"),
            ("nonsense", "1"),
        ];
        let mut options = ServerOptions::new();
        let before = format!("{options:?}");
        for (key, value) in refused {
            let error = options.set(key, value).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{key}={value}: {error:?}");
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(format!("{options:?}"), before);
    }
}
