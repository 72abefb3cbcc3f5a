//! The parameters of a rendezvous, and the options that go with them.
//!
//! [`Params`] holds text, as PyTorch's `RendezvousParameters` does, and keeps what it does not know. What the library
//! makes of it is [`Settings`]: values are checked there, when a backend is created, in PyTorch's order and words.

mod config;
mod endpoint;
pub(crate) mod handler_options;
mod options;
mod python;
mod settings;

pub use endpoint::{DEFAULT_PORT, Endpoint};
pub use options::{MAX_SECONDS, OPTIONS, OptionInfo, OptionKind};
pub use settings::{ApiChoice, Secret, Settings};

use crate::{Error, Result};
use std::{collections::BTreeMap, fmt};

/// Who meets, where, and the options for it.
///
/// A plain value: reading from many threads is fine, changing needs `&mut`. Backends copy what they need.
#[derive(Clone)]
pub struct Params {
    backend: String,
    endpoint: String,
    run_id: String,
    min_nodes: i64,
    max_nodes: i64,
    config: BTreeMap<String, String>,
}

impl Params {
    /// Parameters without options.
    ///
    /// - `backend`: a label for the caller's own registry; any text but the empty one.
    /// - `endpoint`: `<host>[:<port>]`, or several, comma-separated; blank means `localhost:2379`. IPv6 addresses go
    ///   in brackets. Checked by [`settings`](Self::settings).
    /// - `run_id`: what this rendezvous is called. The empty one is refused by [`settings`](Self::settings).
    /// - `min_nodes`, `max_nodes`: how many nodes it takes, `1 <= min_nodes <= max_nodes`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in PyTorch's words where the label or a number is not allowed.
    pub fn new(backend: &str, endpoint: &str, run_id: &str, min_nodes: i64, max_nodes: i64) -> Result<Self> {
        let problem = if backend.is_empty() {
            "The rendezvous backend name must be a non-empty string.".to_owned()
        } else if min_nodes < 1 {
            format!("The minimum number of rendezvous nodes ({min_nodes}) must be greater than zero.")
        } else if max_nodes < min_nodes {
            format!(
                "The maximum number of rendezvous nodes ({max_nodes}) must be greater than or equal to the minimum \
                 number of rendezvous nodes ({min_nodes})."
            )
        } else {
            return Ok(Self {
                backend: backend.to_owned(),
                endpoint: endpoint.to_owned(),
                run_id: run_id.to_owned(),
                min_nodes,
                max_nodes,
                config: BTreeMap::new(),
            });
        };
        Err(Error::InvalidArgument(problem))
    }

    /// The label given at creation.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The endpoint as given at creation.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The run id given at creation.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The fewest nodes of the rendezvous.
    #[must_use]
    pub fn min_nodes(&self) -> i64 {
        self.min_nodes
    }

    /// The most nodes of the rendezvous.
    #[must_use]
    pub fn max_nodes(&self) -> i64 {
        self.max_nodes
    }

    /// Sets the option `key` to `value`, replacing what it was. The value is checked by [`settings`](Self::settings);
    /// options that the library does not know ([`OPTIONS`]) are kept and ignored.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the key is empty, or key or value holds a NUL.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        check_entry(key, value)?;
        self.config.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Takes the option `key` back to its default. Says whether it was set.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the key is one that [`set`](Self::set) refuses.
    pub fn unset(&mut self, key: &str) -> Result<bool> {
        check_entry(key, "")?;
        Ok(self.config.remove(key).is_some())
    }

    /// What the option `key` was set to; `None` where it was not, whatever its default is.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.value(key).map(str::to_owned)
    }

    /// The option `key` as an integer in the notation of Python's `int()`; `None` where it is not set.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in PyTorch's words where it is none, or beyond 64 bits.
    pub fn get_as_int(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = python::integer(value).and_then(|number| i64::try_from(number).ok());
        number.map(Some).ok_or_else(|| settings::not_an_integer(key))
    }

    /// The option `key` as a boolean: 1, true, t, yes, y or 0, false, f, no, n in any case; `None` where it is not set.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in PyTorch's words where it is none of these.
    pub fn get_as_bool(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        python::boolean(value).map(Some).ok_or_else(|| {
            Error::InvalidArgument(format!(
                "The rendezvous configuration option '{key}' does not represent a valid boolean value."
            ))
        })
    }

    /// Sets the options of a configuration string, `<key1>=<value1>,...,<keyN>=<valueN>`: all of them, or none where
    /// it is refused. White space around keys and values is dropped, the last of equal keys counts, a blank string
    /// sets nothing. A value that holds a comma cannot be said this way: [`set`](Self::set) it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in PyTorch's words where the string does not have that format, or holds a NUL.
    pub fn set_config(&mut self, config: &str) -> Result<()> {
        let pairs = config::parse(config)?;
        pairs.iter().try_for_each(|(key, value)| check_entry(key, value))?;
        self.config.extend(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        Ok(())
    }

    /// Everything checked, with defaults for what is not set. Touches neither files nor the network.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for the first value that is not allowed, in PyTorch's words where PyTorch has the
    /// option.
    pub fn settings(&self) -> Result<Settings> {
        Settings::of(self)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// Shows no password.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| (key, if options::is_secret(key) { "***" } else { value });
        let config: BTreeMap<&str, &str> =
            self.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).map(shown).collect();
        f.debug_struct("Params")
            .field("backend", &self.backend)
            .field("endpoint", &endpoint::without_credentials(&self.endpoint))
            .field("run_id", &self.run_id)
            .field("min_nodes", &self.min_nodes)
            .field("max_nodes", &self.max_nodes)
            .field("config", &config)
            .finish()
    }
}

/// Refuses what can never be an option, and what C could not read back.
fn check_entry(key: &str, value: &str) -> Result<()> {
    let problem = if key.is_empty() {
        "The name of a rendezvous configuration option must be a non-empty string."
    } else if key.contains('\0') || value.contains('\0') {
        "A rendezvous configuration option must not hold a NUL character."
    } else {
        return Ok(());
    };
    Err(Error::InvalidArgument(problem.into()))
}

/// The number that Python's `int()` reads in `text`, where it is a 64-bit one.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    python::integer(text).and_then(|number| i64::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::Params;

    fn params() -> Params {
        Params::new("dummy_backend", "dummy:1234", "dummy_run_id", 1, 2).unwrap()
    }

    #[test]
    fn holds_what_it_was_given() {
        let params = params();
        assert_eq!(params.backend(), "dummy_backend");
        assert_eq!(params.endpoint(), "dummy:1234");
        assert_eq!(params.run_id(), "dummy_run_id");
        assert_eq!((params.min_nodes(), params.max_nodes()), (1, 2));
    }

    #[test]
    fn is_created_as_in_pytorch() {
        let max = i64::MAX;
        for (backend, endpoint, run_id, min_nodes, max_nodes, message) in [
            ("b", "", "", 1, 1, ""),
            (" ", "~", "", 1, max, ""),
            ("b", "e", "r", max, max, ""),
            ("", "e", "r", 0, 0, "The rendezvous backend name must be a non-empty string."),
            ("b", "e", "r", 0, 1, "The minimum number of rendezvous nodes (0) must be greater than zero."),
            ("b", "e", "r", -1, -2, "The minimum number of rendezvous nodes (-1) must be greater than zero."),
            (
                "b",
                "e",
                "r",
                2,
                1,
                "The maximum number of rendezvous nodes (1) must be greater than or equal to the minimum number of \
                 rendezvous nodes (2).",
            ),
        ] {
            let told = Params::new(backend, endpoint, run_id, min_nodes, max_nodes).err().map(|e| e.to_string());
            assert_eq!(told.unwrap_or_default(), message, "{backend:?} {min_nodes} {max_nodes}");
        }
    }

    #[test]
    fn options_are_set_and_unset() {
        let mut params = params();
        assert_eq!(params.get("protocol"), None);
        params.set("protocol", "dummy").unwrap();
        params.set("protocol", "hTTp").unwrap();
        params.set("unknown", "").unwrap();
        assert_eq!(params.get("protocol").as_deref(), Some("hTTp"));
        assert_eq!(params.get("unknown").as_deref(), Some(""));
        assert!(params.unset("protocol").unwrap());
        assert!(!params.unset("protocol").unwrap());
        assert_eq!(params.get("protocol"), None);
    }

    #[test]
    fn impossible_options_are_refused() {
        for (key, value) in [("", "v"), ("k\0", "v"), ("k", "v\0")] {
            assert!(params().set(key, value).is_err(), "{key:?} {value:?}");
        }
        assert!(params().unset("").is_err());
        assert!(params().set_config("a=1,b=2\0").is_err());
    }

    #[test]
    fn a_configuration_string_is_set_whole_or_not_at_all() {
        let mut params = params();
        params.set("a", "0").unwrap();
        assert!(params.set_config("a=1,b=2,c").is_err());
        assert!(params.set_config("a=1,b=2\0,c=3").is_err());
        assert_eq!((params.get("a").as_deref(), params.get("b")), (Some("0"), None));
        params.set_config("a = 1, b=2 ,a=3").unwrap();
        params.set_config(" ").unwrap();
        assert_eq!((params.get("a").as_deref(), params.get("b").as_deref()), (Some("3"), Some("2")));
    }

    #[test]
    fn options_are_read_as_integers() {
        for (value, number) in
            [(" 7 ", Some(7)), ("-9223372036854775808", Some(i64::MIN)), ("9223372036854775808", None), ("x", None)]
        {
            let mut params = params();
            params.set("k", value).unwrap();
            match params.get_as_int("k") {
                Ok(read) => assert_eq!(read, number, "{value:?}"),
                Err(error) => {
                    assert_eq!(number, None, "{value:?}");
                    assert_eq!(
                        error.to_string(),
                        "The rendezvous configuration option 'k' does not represent a valid integer value."
                    );
                }
            }
        }
        assert_eq!(params().get_as_int("k").unwrap(), None);
    }

    #[test]
    fn options_are_read_as_booleans() {
        let mut params = params();
        assert_eq!(params.get_as_bool("k").unwrap(), None);
        params.set("k", "Yes").unwrap();
        assert_eq!(params.get_as_bool("k").unwrap(), Some(true));
        params.set("k", "dummy").unwrap();
        assert_eq!(
            params.get_as_bool("k").unwrap_err().to_string(),
            "The rendezvous configuration option 'k' does not represent a valid boolean value."
        );
    }

    #[test]
    fn debug_shows_no_password() {
        let mut params = Params::new("b", "http://me:hunter2@h:1", "r", 1, 1).unwrap();
        params.set_config("password=hunter2,username=me").unwrap();
        let shown = format!("{params:?}");
        assert!(!shown.contains("hunter2") && shown.contains("***@h:1") && shown.contains("username"), "{shown}");
    }
}
