//! The one table of options: parsing takes names, defaults and limits from it, and so does the documentation.

use std::fmt;

use super::handler_options as handler;

/// The longest duration that an option can give: 100 years of 365.25 days, in seconds.
///
/// Far beyond use, and small enough that no sum of a clock and a duration, ours or etcd's, overflows.
pub const MAX_SECONDS: u64 = 3_155_760_000;

/// What an option is called, means and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The key for [`Params::set`](super::Params::set).
    pub name: &'static str,
    /// The value where the option is not set; `None` where it then has none.
    pub default: Option<&'static str>,
    /// The values that it takes.
    pub kind: OptionKind,
    /// One line for the table in the README.
    pub doc: &'static str,
}

/// The values that an option takes. `Display` says it in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// One of these words, in any case, white space around it ignored.
    Choice(&'static [&'static str]),
    /// A whole number of seconds in Python's notation, from `min` to [`MAX_SECONDS`].
    Seconds {
        /// The least that makes sense.
        min: u64,
    },
    /// A whole number in Python's notation, from `min` to a million.
    Count {
        /// The least that makes sense.
        min: u64,
    },
    /// The path of a file; empty means not given.
    Path,
    /// Any text; empty means not given.
    Text,
    /// Text that is never shown; empty means not given.
    Secret,
    /// A path in etcd: begins with `/`, no segment empty, `.` or `..`; `/` at its end is ignored.
    KeyPrefix,
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(words) => f.write_str(&words.join(", ")),
            Self::Seconds { min } => write!(f, "seconds, at least {min}"),
            Self::Count { min } => write!(f, "number, at least {min}"),
            Self::Path => f.write_str("file"),
            Self::Text => f.write_str("text"),
            Self::Secret => f.write_str("secret text"),
            Self::KeyPrefix => f.write_str("path in etcd"),
        }
    }
}

/// Every option that the library knows, PyTorch's own first. Others are kept for the caller and ignored.
pub const OPTIONS: &[OptionInfo] = &[
    PROTOCOL,
    READ_TIMEOUT,
    SSL_CERT,
    SSL_CERT_KEY,
    CA_CERT,
    API,
    CONSISTENCY,
    CONNECT_TIMEOUT,
    RECONNECT_TIMEOUT,
    TTL,
    STORE_TTL,
    STORE_TIMEOUT,
    USERNAME,
    PASSWORD,
    KEY_PREFIX,
    STORE_PREFIX,
    handler::JOIN_TIMEOUT,
    handler::LAST_CALL_TIMEOUT,
    handler::CLOSE_TIMEOUT,
    handler::HEARTBEAT_TIMEOUT,
    handler::KEEP_ALIVE_INTERVAL,
    handler::KEEP_ALIVE_MAX_ATTEMPT,
    handler::LOCAL_ADDR,
    handler::STATE_DIALECT,
];

pub(super) const PROTOCOL: OptionInfo = OptionInfo {
    name: "protocol",
    default: Some("http"),
    kind: OptionKind::Choice(&["http", "https"]),
    doc: "How to speak to etcd. With `https` its certificate is always verified.",
};

pub(super) const READ_TIMEOUT: OptionInfo = OptionInfo {
    name: "read_timeout",
    default: Some("60"),
    kind: OptionKind::Seconds { min: 1 },
    doc: "How long one operation on etcd may take.",
};

pub(super) const SSL_CERT: OptionInfo = OptionInfo {
    name: "ssl_cert",
    default: None,
    kind: OptionKind::Path,
    doc: "The client certificate (PEM) to present with `https`.",
};

pub(super) const SSL_CERT_KEY: OptionInfo = OptionInfo {
    name: "ssl_cert_key",
    default: None,
    kind: OptionKind::Path,
    doc: "The private key (PEM) of `ssl_cert`, where it is not in the same file. Ignored without `ssl_cert`.",
};

pub(super) const CA_CERT: OptionInfo = OptionInfo {
    name: "ca_cert",
    default: None,
    kind: OptionKind::Path,
    doc: "The authorities (PEM) to trust with `https` instead of the system's.",
};

pub(super) const API: OptionInfo = OptionInfo {
    name: "api",
    default: Some("auto"),
    kind: OptionKind::Choice(&["auto", "v2", "v3"]),
    doc: "Which of etcd's APIs to use; `auto` takes v2, PyTorch's, where the server offers it, and else v3.",
};

pub(super) const CONSISTENCY: OptionInfo = OptionInfo {
    name: "consistency",
    default: Some("linearizable"),
    kind: OptionKind::Choice(&["linearizable", "local"]),
    doc: "Whether reads see every finished write, or only what the member asked has seen so far, which is cheaper.",
};

pub(super) const CONNECT_TIMEOUT: OptionInfo = OptionInfo {
    name: "connect_timeout",
    default: Some("3"),
    kind: OptionKind::Seconds { min: 1 },
    doc: "How long to try to connect to one endpoint.",
};

pub(super) const RECONNECT_TIMEOUT: OptionInfo = OptionInfo {
    name: "reconnect_timeout",
    default: Some("5"),
    kind: OptionKind::Seconds { min: 0 },
    doc: "How long an operation goes on trying while no endpoint can be reached.",
};

pub(super) const TTL: OptionInfo = OptionInfo {
    name: "ttl",
    default: Some("7200"),
    kind: OptionKind::Seconds { min: 1 },
    doc: "How long the rendezvous state lives after its last write.",
};

pub(super) const STORE_TTL: OptionInfo = OptionInfo {
    name: "store_ttl",
    default: None,
    kind: OptionKind::Seconds { min: 1 },
    doc: "How long a key of the store lives after its last write; for ever where not set.",
};

pub(super) const STORE_TIMEOUT: OptionInfo = OptionInfo {
    name: "store_timeout",
    default: Some("300"),
    kind: OptionKind::Seconds { min: 0 },
    doc: "The store's own timeout for blocking calls; 0 looks once.",
};

pub(super) const USERNAME: OptionInfo = OptionInfo {
    name: "username",
    default: None,
    kind: OptionKind::Text,
    doc: "The user to authenticate as. Needs `password`.",
};

pub(super) const PASSWORD: OptionInfo = OptionInfo {
    name: "password",
    default: None,
    kind: OptionKind::Secret,
    doc: "The password of `username`. Never shown in messages or logs.",
};

pub(super) const KEY_PREFIX: OptionInfo = OptionInfo {
    name: "key_prefix",
    default: Some("/torch/elastic/rendezvous"),
    kind: OptionKind::KeyPrefix,
    doc: "Where in etcd the rendezvous states are. PyTorch's peers use the default.",
};

pub(super) const STORE_PREFIX: OptionInfo = OptionInfo {
    name: "store_prefix",
    default: Some("/torch/elastic/store"),
    kind: OptionKind::KeyPrefix,
    doc: "Where in etcd the store's keys are. PyTorch's peers use the default.",
};

/// Whether the value of the option `name` must never be shown.
pub(super) fn is_secret(name: &str) -> bool {
    OPTIONS.iter().any(|option| option.name == name && option.kind == OptionKind::Secret)
}

#[cfg(test)]
mod tests {
    use super::{OPTIONS, OptionKind, is_secret};

    #[test]
    fn the_table_is_sound() {
        for (index, option) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[..index].iter().all(|other| other.name != option.name), "{} twice", option.name);
            assert!(option.doc.ends_with('.') && !option.doc.contains(['\n', '|']), "{}", option.name);
        }
    }

    #[test]
    fn only_the_password_is_secret() {
        let secrets: Vec<_> = OPTIONS.iter().map(|option| option.name).filter(|name| is_secret(name)).collect();
        assert_eq!(secrets, ["password"]);
        assert!(!is_secret("unknown"));
    }

    #[test]
    fn kinds_read_well() {
        assert_eq!(OptionKind::Choice(&["a", "b"]).to_string(), "a, b");
        assert_eq!(OptionKind::Seconds { min: 1 }.to_string(), "seconds, at least 1");
    }
}
