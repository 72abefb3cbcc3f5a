//! The endpoint grammar: PyTorch's `<host>[:<port>]`, and a comma-separated list of such.
//!
//! Where this differs from PyTorch's `parse_rendezvous_endpoint`:
//! - A bare IPv6 literal means that address at the default port, where PyTorch would cut it at its last colon into
//!   something that is no host: `::1` (there host `:`, port 1), `2001:db8::abcd` (there a port error). Where PyTorch's
//!   cut leaves an address, it stands: `::1:80` is `::1` at port 80. Brackets say it without doubt.
//! - A host that holds a colon and is no IPv6 address is refused here instead of failing to resolve later.

use super::python::strip;
use crate::{Error, Result};
use std::{fmt, net::Ipv6Addr};

/// The port of an endpoint that names none: etcd's client port.
pub const DEFAULT_PORT: u16 = 2379;

/// Where one member of etcd listens.
///
/// `Display` gives `host:port`, with an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, 0 to 65535. PyTorch accepts 0 too; nothing can be reached there.
    pub port: u16,
}

impl Endpoint {
    /// The `host:port` of a URL or a `Host` header; the same text as `Display`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The endpoints of `text` in order, each once; `localhost` at the default port where it is blank.
pub(super) fn parse_list(text: &str) -> Result<Vec<Endpoint>> {
    let text = strip(text);
    if text.is_empty() {
        return Ok(vec![Endpoint { host: "localhost".into(), port: DEFAULT_PORT }]);
    }
    let mut endpoints = Vec::new();
    for item in text.split(',').map(strip) {
        // What holds an `@`, or nothing at all, is best understood from the whole text.
        let culprit = if item.is_empty() || text.contains('@') { text } else { item };
        let endpoint = parse_one(item).map_err(|problem| problem.told_of(culprit))?;
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(endpoints)
}

/// `text` without what may be a user name and a password: everything before its last `@`.
pub(super) fn without_credentials(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("***@{rest}"))
}

enum Problem {
    Host,
    Port,
}

impl Problem {
    fn told_of(&self, endpoint: &str) -> Error {
        let endpoint = without_credentials(endpoint);
        Error::InvalidArgument(match self {
            Self::Host => format!(
                "The hostname of the rendezvous endpoint '{endpoint}' must be a dot-separated list of labels, an IPv4 \
                 address, or an IPv6 address."
            ),
            Self::Port => format!(
                "The port number of the rendezvous endpoint '{endpoint}' must be an integer between 0 and 65536."
            ),
        })
    }
}

fn parse_one(item: &str) -> std::result::Result<Endpoint, Problem> {
    let (host, port) = split(item);
    let port = port.map_or(Some(DEFAULT_PORT), parse_port);
    match port {
        Some(port) if is_host(host) => Ok(Endpoint { host: host.into(), port }),
        _ if is_ipv6(item) => Ok(Endpoint { host: item.into(), port: DEFAULT_PORT }),
        Some(_) => Err(Problem::Host),
        None => Err(Problem::Port),
    }
}

/// Host and port of `item`, cut at the last colon unless the whole is in brackets; brackets around the host removed.
fn split(item: &str) -> (&str, Option<&str>) {
    if let Some(host) = unbracketed(item) {
        return (host, None);
    }
    match item.rsplit_once(':') {
        Some((host, port)) => (unbracketed(host).unwrap_or(host), Some(port)),
        None => (item, None),
    }
}

fn unbracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn is_host(text: &str) -> bool {
    if text.contains(':') {
        return is_ipv6(text);
    }
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, parse_list};

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }

    #[test]
    fn reads_one_endpoint() {
        for (text, host, port) in [
            ("", "localhost", 2379),
            (" ", "localhost", 2379),
            ("\t\n", "localhost", 2379),
            ("dummy.com", "dummy.com", 2379),
            ("dummy-1.com", "dummy-1.com", 2379),
            ("dummy.com:0", "dummy.com", 0),
            ("dummy-1.com:123", "dummy-1.com", 123),
            ("dummy.com:65535", "dummy.com", 65535),
            ("dummy.com:00080", "dummy.com", 80),
            (" dummy.com:123 ", "dummy.com", 123),
            ("etcd_0", "etcd_0", 2379),
            ("bücher.example:1", "bücher.example", 1),
            ("123.123.123.123", "123.123.123.123", 2379),
            ("123.123.123.123:123", "123.123.123.123", 123),
            ("[host]", "host", 2379),
            ("[host]:80", "host", 80),
            ("[2001:db8::1]", "2001:db8::1", 2379),
            ("[2001:db8::1]:0", "2001:db8::1", 0),
            ("[::1]:2379", "::1", 2379),
            ("[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", 80),
            // As PyTorch cuts them.
            ("::1:80", "::1", 80),
            ("fe80::1:2379", "fe80::1", 2379),
            // Where PyTorch's cut makes no sense.
            ("::1", "::1", 2379),
            ("::", "::", 2379),
            ("2001:db8::1", "2001:db8::1", 2379),
            ("2001:db8::abcd", "2001:db8::abcd", 2379),
            ("2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", 2379),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4", 2379),
        ] {
            assert_eq!(parse_list(text).unwrap(), [endpoint(host, port)], "{text:?}");
        }
    }

    #[test]
    fn reads_a_list() {
        assert_eq!(
            parse_list(" h1:1 ,h2,[::1]:3 , ::1,h1:1").unwrap(),
            [endpoint("h1", 1), endpoint("h2", 2379), endpoint("::1", 3), endpoint("::1", 2379)]
        );
    }

    /// (endpoint, what the sentence quotes)
    #[test]
    fn refuses_a_port_in_pytorchs_words() {
        for (text, quoted) in [
            ("h:", "h:"),
            (" h: ", "h:"),
            ("h:-", "h:-"),
            ("h:-1", "h:-1"),
            ("h:+1", "h:+1"),
            ("h: 1", "h: 1"),
            ("h:abc", "h:abc"),
            ("h:1_0", "h:1_0"),
            ("h:\u{661}", "h:\u{661}"),
            ("host:2379/", "host:2379/"),
            ("h:65536", "h:65536"),
            ("h:70000", "h:70000"),
            ("h:000080", "h:000080"),
            ("h:99999999999999999999", "h:99999999999999999999"),
            ("[::1]:", "[::1]:"),
            ("[::1]x:", "[::1]x:"),
            (":", ":"),
            ("::1:99999", "::1:99999"),
            ("~:", "~:"),
            ("h1:1, h2:x ,h3:3", "h2:x"),
        ] {
            assert_eq!(
                parse_list(text).unwrap_err().to_string(),
                format!(
                    "The port number of the rendezvous endpoint '{quoted}' must be an integer between 0 and 65536."
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_a_host_in_pytorchs_words() {
        for (text, quoted) in [
            ("~", "~"),
            ("~:123", "~:123"),
            (":123", ":123"),
            ("dummy.com :123", "dummy.com :123"),
            ("h\n:80", "h\n:80"),
            ("http://h:2379", "http://h:2379"),
            ("[", "["),
            ("]", "]"),
            ("[]", "[]"),
            ("[]:80", "[]:80"),
            ("[::1", "[::1"),
            ("[::1]:80:80", "[::1]:80:80"),
            ("[fe80::1%eth0]", "[fe80::1%eth0]"),
            ("[a:b]:80", "[a:b]:80"),
            ("a:b:80", "a:b:80"),
            ("::1::2:80", "::1::2:80"),
            (",", ","),
            ("h1,", "h1,"),
            ("h1,,h2", "h1,,h2"),
            ("h1, h 2", "h 2"),
        ] {
            assert_eq!(
                parse_list(text).unwrap_err().to_string(),
                format!(
                    "The hostname of the rendezvous endpoint '{quoted}' must be a dot-separated list of labels, an \
                     IPv4 address, or an IPv6 address."
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn never_shows_credentials() {
        for text in [
            "http://me:hunter2@h:2379",
            "me:hunter2@h",
            "me:hunter2@h:x",
            "me:hunter2,hunter2@h:1",
            "a:hunter2@h1,b:hunter2@h2",
            "h1:1,me:hunter2@h2",
        ] {
            let message = parse_list(text).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains("'***@h"), "{message}");
        }
    }

    #[test]
    fn displays_the_authority() {
        for (host, port, text) in [("h", 1, "h:1"), ("127.0.0.1", 2379, "127.0.0.1:2379"), ("::1", 2379, "[::1]:2379")]
        {
            assert_eq!(endpoint(host, port).to_string(), text);
            assert_eq!(endpoint(host, port).authority(), text);
            assert_eq!(parse_list(text).unwrap(), [endpoint(host, port)]);
        }
    }
}
