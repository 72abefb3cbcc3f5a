//! Where keys live in etcd. Under v2 this is PyTorch's own layout; `v3` uses the same paths with raw bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::printable;
use crate::error::{Error, Result};

/// What a path must not hold as it is.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'|')
    .add(b'\\')
    .add(b'^')
    .add(b'[')
    .add(b']');

/// The longest path that a first request on a new connection to etcd may ask for, with room for its query: beyond
/// 4096 bytes of request line etcd resets the connection without a word.
const LONGEST_PATH: usize = 3900;

/// Stands before the names of keys whose base64 cannot be a path of its own.
const ESCAPED: char = '~';

/// The paths of one run under v2.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) state: String,
    /// Without a slash at its end.
    pub(super) store: String,
    pub(super) queues: String,
}

impl Layout {
    pub(super) fn new(key_prefix: &str, run_id: &str, store_prefix: &str) -> Result<Self> {
        check_run_id(run_id)?;
        let state = checked(format!("/v2/keys{}/{}", encode(key_prefix), encode(run_id)), "run id", run_id.as_bytes())?;
        let store = format!("/v2/keys{}", encode(store_prefix));
        let queues = format!("{store}_queues");
        Ok(Self { state, store, queues })
    }

    /// The path of a store key. Where the base64 of the key has a `/`, etcd takes it for a directory, as it does
    /// for PyTorch; the key goes there too unless that could collide with another key or lose a part of it.
    pub(super) fn store_key(&self, key: &[u8]) -> Result<String> {
        let mut path = String::with_capacity(self.store.len() + 2 + key.len().div_ceil(3) * 4);
        path.push_str(&self.store);
        path.push('/');
        let name = path.len();
        STANDARD.encode_string(key, &mut path);
        if !is_lossless(path.get(name..).unwrap_or_default()) {
            path.truncate(name);
            path.push(ESCAPED);
            URL_SAFE.encode_string(key, &mut path);
        }
        checked(path, "key", key)
    }

    /// The directory of a queue.
    pub(super) fn queue(&self, queue: &[u8]) -> Result<String> {
        checked(format!("{}/{ESCAPED}{}", self.queues, URL_SAFE.encode(queue)), "key", queue)
    }

    /// The store key that lives at `name` below the store's directory, if one does.
    pub(super) fn key_of(name: &str) -> Option<Vec<u8>> {
        match name.strip_prefix(ESCAPED) {
            Some(escaped) => URL_SAFE.decode(escaped).ok().filter(|key| !is_lossless(&STANDARD.encode(key))),
            None => STANDARD.decode(name).ok().filter(|_| is_lossless(name)),
        }
    }
}

/// The keys of one run under v3: the same paths, with raw bytes.
#[derive(Debug)]
pub(super) struct RawLayout {
    pub(super) state: Vec<u8>,
    /// With a slash at its end, as the next two.
    pub(super) store: Vec<u8>,
    queues: Vec<u8>,
    /// Where the processes keep the marks by which they recognise their own writes.
    pub(super) slots: Vec<u8>,
}

impl RawLayout {
    pub(super) fn new(key_prefix: &str, run_id: &str, store_prefix: &str) -> Result<Self> {
        check_run_id(run_id)?;
        Ok(Self {
            state: format!("{key_prefix}/{run_id}").into_bytes(),
            store: format!("{store_prefix}/").into_bytes(),
            queues: format!("{store_prefix}_queues/").into_bytes(),
            slots: format!("{store_prefix}_slots/").into_bytes(),
        })
    }

    pub(super) fn store_key(&self, key: &[u8]) -> Vec<u8> {
        [&self.store, key].concat()
    }

    /// What the keys of a queue's elements begin with. A store key has no NUL, so no two queues share any.
    pub(super) fn queue(&self, queue: &[u8]) -> Vec<u8> {
        [&self.queues, queue, b"\0"].concat()
    }
}

/// Whether `name`, the base64 of a key, can be a path below the store's directory that is no other key's path, nor
/// its directory: no empty component, and no component that ends where another key's base64 could end.
fn is_lossless(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && !name.ends_with('/')
        && !name.contains("//")
        && name.bytes().enumerate().all(|(at, byte)| byte != b'/' || at % 4 != 0)
}

/// Refuses the run ids that etcd or PyTorch would turn into another run's key.
fn check_run_id(run_id: &str) -> Result<()> {
    if run_id.is_empty() {
        return Err(Error::InvalidArgument("The run id must be a non-empty string.".to_owned()));
    }
    if run_id.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let text = "must not have '/' at its start or end, '//', or a '.' or '..' between slashes";
        return Err(Error::InvalidArgument(format!("the run id {} {text}", printable(run_id.as_bytes()))));
    }
    Ok(())
}

fn encode(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

fn checked(path: String, what: &str, name: &[u8]) -> Result<String> {
    if path.len() <= LONGEST_PATH {
        return Ok(path);
    }
    let most = LONGEST_PATH.saturating_sub(path.len().saturating_sub(name.len() * 4 / 3)) * 3 / 4;
    let text = "is too long for etcd's v2 API, which takes about";
    Err(Error::InvalidArgument(format!("the {what} {} {text} {most} bytes", printable(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new("/torch/elastic/rendezvous", "job", "/torch/elastic/store").unwrap()
    }

    #[test]
    fn keys_live_where_pytorch_puts_them() {
        let store = "/v2/keys/torch/elastic/store/";
        let cases: [(&[u8], &str); 8] = [
            (b"dummy_key", "ZHVtbXlfa2V5"),
            (b"ab?x", "YWI/eA=="),         // a directory, and lossless
            (b"ab?", "~YWI_"),             // PyTorch loses the slash
            (b"", "~"),                    // PyTorch fails
            (b"\xff\xff\xff", "~____"),    // PyTorch fails
            (b"ab1\xfc\x00", "~YWIx_AA="), // PyTorch's path goes through the key "ab1"
            (b"a?/b??/", "YT8vYj8/Lw=="),
            (b"\xfb\xef\xbe", "++++"),
        ];
        for (key, path) in cases {
            let name = layout().store_key(key).unwrap();
            assert_eq!(name, format!("{store}{path}"));
            assert_eq!(Layout::key_of(path).as_deref(), Some(key), "{path}");
        }
    }

    #[test]
    fn foreign_names_are_no_keys() {
        for name in ["YWI", "no-base64!", "~ZHVtbXlfa2V5", "YWIx/AA="] {
            assert_eq!(Layout::key_of(name), None, "{name}");
        }
    }

    #[test]
    fn run_ids_never_share_a_key() {
        let path = |run_id: &str| Layout::new("/p", run_id, "/s").map(|layout| layout.state);
        for (run_id, expected) in [
            ("job", "job"),
            ("a b", "a%20b"),
            ("job?x", "job%3Fx"),
            ("job#x", "job%23x"),
            ("50%", "50%25"),
            ("a/b", "a/b"),
            ("a+b", "a+b"),
            ("a\\b", "a%5Cb"),
            ("é", "%C3%A9"),
            ("_x", "_x"),
            ("...", "..."),
        ] {
            assert_eq!(path(run_id).unwrap(), format!("/v2/keys/p/{expected}"));
        }
        for refused in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.", &"x".repeat(5000)] {
            assert!(matches!(path(refused), Err(Error::InvalidArgument(_))), "{refused}");
        }
    }

    #[test]
    fn long_keys_are_refused_with_a_hint() {
        assert!(layout().store_key(&[b'k'; 2800]).is_ok());
        let error = layout().store_key(&[b'k'; 3000]).unwrap_err();
        assert!(error.to_string().contains("(3000 bytes)"), "{error}");
    }
}
