use super::{ApiChoice, MAX_SECONDS, Settings};
use crate::{
    Error, Result,
    params::{OPTIONS, OptionKind, Params},
};
use std::{path::Path, time::Duration};

fn with(options: &[(&str, &str)]) -> Result<Settings> {
    settings("dummy:1234", "dummy_run_id", options)
}

fn settings(endpoint: &str, run_id: &str, options: &[(&str, &str)]) -> Result<Settings> {
    let mut params = Params::new("dummy_backend", endpoint, run_id, 1, 2).unwrap();
    for (key, value) in options {
        params.set(key, value).unwrap();
    }
    params.settings()
}

fn refusal(endpoint: &str, run_id: &str, options: &[(&str, &str)]) -> String {
    match settings(endpoint, run_id, options).unwrap_err() {
        Error::InvalidArgument(message) => message,
        other => panic!("{other:?}"),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn has_defaults_for_everything() {
    let settings = settings("", "dummy_run_id", &[]).unwrap();
    assert_eq!(settings.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(), ["localhost:2379"]);
    assert!(!settings.https);
    assert_eq!(settings.run_id, "dummy_run_id");
    assert_eq!((settings.min_nodes, settings.max_nodes), (1, 2));
    assert_eq!(settings.read_timeout, seconds(60));
    assert_eq!(settings.connect_timeout, seconds(3));
    assert_eq!(settings.reconnect_timeout, seconds(5));
    assert_eq!((settings.ssl_cert, settings.ssl_cert_key, settings.ca_cert), (None, None, None));
    assert_eq!(settings.api, ApiChoice::Auto);
    assert!(settings.linearizable);
    assert_eq!((settings.ttl, settings.store_ttl), (7200, None));
    assert_eq!((settings.username, settings.password), (None, None));
    assert_eq!(settings.key_prefix, "/torch/elastic/rendezvous");
    assert_eq!(settings.store_prefix, "/torch/elastic/store");
    assert_eq!(settings.store_timeout, seconds(300));
}

#[test]
fn takes_every_option() {
    let settings = settings(
        "h1:1,[::1]:2",
        "r",
        &[
            ("protocol", " hTTpS\n"),
            ("read_timeout", " 1_0 "),
            ("ssl_cert", "/c.pem"),
            ("ssl_cert_key", " k.pem"),
            ("ca_cert", "ca.pem"),
            ("api", " V3 "),
            ("consistency", "LOCAL"),
            ("connect_timeout", "+1"),
            ("reconnect_timeout", "0"),
            ("ttl", "5"),
            ("store_ttl", "6"),
            ("store_timeout", "0"),
            ("username", "me"),
            ("password", "hunter2"),
            ("key_prefix", "/a//"),
            ("store_prefix", "/a/..b"),
            ("unknown", "~"),
        ],
    )
    .unwrap();
    assert_eq!(settings.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(), ["h1:1", "[::1]:2"]);
    assert!(settings.https);
    assert_eq!(settings.read_timeout, seconds(10));
    assert_eq!(settings.connect_timeout, seconds(1));
    assert_eq!(settings.reconnect_timeout, Duration::ZERO);
    assert_eq!(settings.store_timeout, Duration::ZERO);
    assert_eq!(settings.ssl_cert.as_deref(), Some(Path::new("/c.pem")));
    assert_eq!(settings.ssl_cert_key.as_deref(), Some(Path::new(" k.pem")));
    assert_eq!(settings.ca_cert.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(settings.api, ApiChoice::V3);
    assert!(!settings.linearizable);
    assert_eq!((settings.ttl, settings.store_ttl), (5, Some(6)));
    assert_eq!(settings.username.as_deref(), Some("me"));
    assert_eq!(settings.password.as_ref().map(|secret| secret.expose()), Some("hunter2"));
    assert_eq!((settings.key_prefix.as_str(), settings.store_prefix.as_str()), ("/a", "/a/..b"));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn empty_texts_are_not_given() {
    let empty = ["ssl_cert", "ssl_cert_key", "ca_cert", "username", "password"].map(|name| (name, ""));
    let settings = with(&empty).unwrap();
    assert_eq!((settings.ssl_cert, settings.ssl_cert_key, settings.ca_cert), (None, None, None));
    assert_eq!((settings.username, settings.password), (None, None));
    assert_eq!(with(&[("ssl_cert_key", "k.pem")]).unwrap().ssl_cert_key, None);
}

#[test]
fn refuses_in_pytorchs_words() {
    const TIMEOUT: &str = "The read timeout must be a positive integer.";
    const PROTOCOL: &str = "The protocol must be HTTP or HTTPS.";
    const NO_INTEGER: &str =
        "The rendezvous configuration option 'read_timeout' does not represent a valid integer value.";
    for (option, value, message) in [
        ("read_timeout", "0", TIMEOUT),
        ("read_timeout", "-10", TIMEOUT),
        ("read_timeout", "-99999999999999999999999999999999999999999999", TIMEOUT),
        ("read_timeout", "", NO_INTEGER),
        ("read_timeout", "1.5", NO_INTEGER),
        ("read_timeout", "dummy", NO_INTEGER),
        ("protocol", "dummy", PROTOCOL),
        ("protocol", "", PROTOCOL),
        ("protocol", "http s", PROTOCOL),
        ("protocol", "https://", PROTOCOL),
    ] {
        assert_eq!(refusal("h", "r", &[(option, value)]), message, "{option}={value:?}");
    }
    assert_eq!(refusal("h", "", &[]), "The run id must be a non-empty string.");
}

#[test]
fn refuses_in_pytorchs_order() {
    let endpoint = refusal("~", "", &[("read_timeout", "0"), ("protocol", "dummy"), ("api", "dummy")]);
    assert!(endpoint.starts_with("The hostname of the rendezvous endpoint '~'"), "{endpoint}");
    let timeout = refusal("h", "", &[("read_timeout", "0"), ("protocol", "dummy"), ("api", "dummy")]);
    assert_eq!(timeout, "The read timeout must be a positive integer.");
    let protocol = refusal("h", "", &[("protocol", "dummy"), ("api", "dummy")]);
    assert_eq!(protocol, "The protocol must be HTTP or HTTPS.");
    assert_eq!(refusal("h", "", &[("api", "dummy")]), "The run id must be a non-empty string.");
}

#[test]
fn refuses_unknown_words() {
    for (option, value, words) in
        [("api", "v4", "auto, v2, v3"), ("api", "", "auto, v2, v3"), ("consistency", "quorum", "linearizable, local")]
    {
        assert_eq!(
            refusal("h", "r", &[(option, value)]),
            format!("The rendezvous configuration option '{option}' must be one of {words}.")
        );
    }
}

#[test]
fn every_duration_has_its_limits() {
    let mut count = 0;
    for option in OPTIONS {
        let OptionKind::Seconds { min } = option.kind else { continue };
        // The handler reads its own, in src/handler/setup.rs.
        if option.doc.starts_with("Handler:") {
            continue;
        }
        count += 1;
        for allowed in [min, MAX_SECONDS] {
            with(&[(option.name, &allowed.to_string())]).unwrap();
        }
        let below = (i128::from(min) - 1).to_string();
        let above = (MAX_SECONDS + 1).to_string();
        for refused in [below.as_str(), &above, "99999999999999999999", &"9".repeat(1000)] {
            let message = refusal("h", "r", &[(option.name, refused)]);
            let positive = option.name == "read_timeout" && refused == "0";
            let expected = if positive {
                "The read timeout must be a positive integer.".to_owned()
            } else {
                format!(
                    "The rendezvous configuration option '{}' must be between {min} and 3155760000 seconds (100 years).",
                    option.name
                )
            };
            assert_eq!(message, expected, "{}={refused}", option.name);
        }
        for nonsense in ["", "x", "1.0"] {
            assert_eq!(
                refusal("h", "r", &[(option.name, nonsense)]),
                format!(
                    "The rendezvous configuration option '{}' does not represent a valid integer value.",
                    option.name
                )
            );
        }
    }
    assert_eq!(count, 6);
}

#[test]
fn the_longest_duration_overflows_no_clock() {
    let longest = with(&[("read_timeout", &MAX_SECONDS.to_string())]).unwrap().read_timeout;
    assert!(std::time::Instant::now().checked_add(longest).is_some());
    assert!(i64::try_from(longest.as_nanos()).is_ok()); // Go's time.Duration
}

#[test]
fn credentials_go_together() {
    for options in [&[("username", "me")][..], &[("password", "hunter2")], &[("username", ""), ("password", "hunter2")]]
    {
        assert_eq!(
            refusal("h", "r", options),
            "The rendezvous configuration options 'username' and 'password' must be given together."
        );
    }
}

#[test]
fn prefixes_are_paths_that_etcd_keeps() {
    for option in ["key_prefix", "store_prefix"] {
        for (value, prefix) in [("/a", "/a"), ("/a/b/", "/a/b"), ("/a b/é?#%", "/a b/é?#%"), ("/.a/b..", "/.a/b..")] {
            let settings = with(&[(option, value)]).unwrap();
            let got = if option == "key_prefix" { settings.key_prefix } else { settings.store_prefix };
            assert_eq!(got, prefix, "{option}={value:?}");
        }
        for value in ["", "/", "//", "a", "a/b", "//a", "/a//b", "/./a", "/a/.", "/a/../b", "/..", " /a"] {
            let message = refusal("h", "r", &[(option, value)]);
            let start = format!("The rendezvous configuration option '{option}' must be a path like /torch/elastic/");
            assert!(message.starts_with(&start), "{option}={value:?}: {message}");
        }
    }
}

#[test]
fn states_and_store_never_share_a_place() {
    assert_eq!(
        refusal("h", "r", &[("key_prefix", "/a"), ("store_prefix", "/a/")]),
        "The rendezvous configuration options 'key_prefix' and 'store_prefix' must differ."
    );
}

#[test]
fn every_default_of_the_table_is_valid() {
    for option in OPTIONS {
        if let Some(default) = option.default {
            with(&[(option.name, default)]).unwrap();
        }
    }
}
