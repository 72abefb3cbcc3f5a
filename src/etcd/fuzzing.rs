//! Ways in for the fuzz targets in `fuzz/`; compiled for them alone.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::HeaderMap;
use ureq::http::header::HeaderValue;
use ureq::http::uri::Authority;

use super::call::{Call, Subject};
use super::cancel::Cancel;
use super::client::Client;
use super::layout::{Layout, RawLayout};
use super::transport::{Http, Reply};
use super::{Expect, Identity, Key, Kv, Want, v2, v3};
use crate::params::{Params, Settings};

/// How long one call may take against what a fuzzer answers.
const LIMIT: Duration = Duration::from_millis(20);

/// What a call may take beyond that before it counts as hanging. The machine may be busy.
const SLACK: Duration = Duration::from_secs(5);

fn client(authority: Option<Authority>) -> Client {
    Client::new(Http::new(None, LIMIT), authority.into_iter().collect(), v2::PROBE)
}

/// One for all replies that come from nowhere: making one takes longer than reading them.
fn nowhere() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| client(None))
}

/// The first two bytes are the status, the third chooses headers, the rest is the body.
fn reply(bytes: &[u8]) -> Option<Reply> {
    let ([high, low, flags], body) = bytes.split_first_chunk()?;
    let mut headers = HeaderMap::new();
    if flags & 1 != 0 {
        headers.insert("x-etcd-index", HeaderValue::from(u64::from(*flags)));
    }
    if flags & 2 != 0 {
        headers.insert("x-etcd-cluster-id", HeaderValue::from_static("cdf818194e3a8c32"));
    }
    let status = match flags >> 4 {
        0..4 => 200,
        4 => 201,
        5 => 404,
        6 => 412,
        7 => 500,
        _ => u16::from_be_bytes([*high, *low]),
    };
    Some(Reply { status, headers, body: body.to_vec() })
}

/// An answer of the v2 API.
pub fn v2_body(bytes: &[u8]) {
    let cancel = Arc::new(Cancel::new());
    let call = Call::new("fuzzing", Subject::Nothing, LIMIT, &cancel);
    if let Some(reply) = reply(bytes) {
        v2::fuzz(nowhere(), &call, &reply);
    }
}

/// An answer of the v3 gateway.
pub fn v3_body(bytes: &[u8]) {
    if let Some(reply) = reply(bytes) {
        v3::fuzz(nowhere(), &reply);
    }
}

/// An error in anybody's dialect, as both APIs see it.
pub fn error_body(bytes: &[u8]) {
    for status in [400, 401, 404, 412, 429, 500, 503] {
        let reply = Reply { status, headers: HeaderMap::new(), body: bytes.to_vec() };
        let cancel = Arc::new(Cancel::new());
        v2::fuzz(nowhere(), &Call::new("fuzzing", Subject::Key(bytes), LIMIT, &cancel), &reply);
        v3::fuzz(nowhere(), &reply);
    }
}

/// Keys come back from the names that they are stored under, and no two share one; run ids never leave their prefix.
pub fn layout(bytes: &[u8]) {
    let Ok(layout) = Layout::new("/states", "run", "/store") else { return };
    if let Ok(path) = layout.store_key(bytes) {
        let name = path.strip_prefix("/v2/keys/store/").unwrap_or_default();
        assert_eq!(Layout::key_of(name).as_deref(), Some(bytes), "{path}");
        assert!(!path.contains("//") && path.is_ascii() && !path.ends_with('/'), "{path}");
    }
    _ = layout.queue(bytes);
    let Ok(run_id) = std::str::from_utf8(bytes) else { return };
    _ = Layout::key_of(run_id);
    if let Ok(layout) = Layout::new("/states", run_id, "/store") {
        let state = &layout.state;
        assert!(state.starts_with("/v2/keys/states/") && state.is_ascii(), "{state}");
        assert!(!state.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")), "{state}");
        assert!(!state.contains(['?', '#', ' ']), "{state}");
    }
    _ = RawLayout::new("/states", run_id, "/store");
}

/// Where the answers come from, and what they are: one for each connection, the last one again and again.
type Answers = Arc<Mutex<Vec<Vec<u8>>>>;

fn server() -> Option<&'static (Authority, Answers)> {
    static SERVER: OnceLock<Option<(Authority, Answers)>> = OnceLock::new();
    let start = || {
        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
        let authority = listener.local_addr().ok()?.to_string().parse().ok()?;
        let answers = Answers::default();
        let theirs = Arc::clone(&answers);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut answers = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
                drop(answers);
                _ = stream.set_read_timeout(Some(LIMIT));
                _ = stream.read(&mut [0; 8192]);
                _ = stream.write_all(&answer.unwrap_or_default());
            }
        });
        Some((authority, answers))
    };
    SERVER.get_or_init(start).as_ref()
}

fn settings() -> Option<Settings> {
    Params::new("fuzz", "", "run", 1, 1).ok()?.settings().ok()
}

/// What a server sends, byte for byte, to a call of either API: the first byte chooses the call, and `|||` stands
/// between the answers on one connection and on the next. A call must end in time whatever comes.
pub fn wire(bytes: &[u8]) {
    let (Some((authority, answers)), Some(settings)) = (server(), settings()) else { return };
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut parts = Vec::new();
    let mut left = rest;
    while let Some(at) = left.windows(3).position(|window| window == b"|||") {
        parts.push(left.get(..at).unwrap_or_default().to_vec());
        left = left.get(at + 3..).unwrap_or_default();
    }
    parts.push(left.to_vec());
    parts.reverse();
    *answers.lock().unwrap_or_else(PoisonError::into_inner) = parts;
    let kv: Box<dyn Kv> = if choice & 0x80 == 0 {
        let Ok(kv) = v2::V2::new(client(Some(authority.clone())), &settings) else { return };
        Box::new(kv)
    } else {
        let Ok(kv) = v3::V3::new(client(Some(authority.clone())), &settings) else { return };
        Box::new(kv)
    };
    let cancel = Arc::new(Cancel::new());
    let call = Call::waiting("fuzzing", Subject::Nothing, LIMIT, &cancel);
    let started = Instant::now();
    run(kv.as_ref(), &call, *choice);
    assert!(started.elapsed() < LIMIT + SLACK, "a call hangs: {:?}", started.elapsed());
}

fn run(kv: &dyn Kv, call: &Call, choice: u8) {
    let key = Key::Store(b"key");
    match choice & 0x0f {
        0 => _ = kv.get(call, Key::State),
        1 => _ = kv.get_many(call, &[key, Key::Store(b"other")], Want::Values),
        2 => _ = kv.await_all(call, &[key], Want::Values, &mut Vec::new()),
        3 => _ = kv.put(call, key, b"value"),
        4 => _ = kv.put_many(call, &[(key, b"value"), (Key::Store(b"other"), b"value")]),
        5 => _ = kv.swap(call, Key::State, Expect::Absent, b"value", Identity::ByValue),
        6 => _ = kv.swap(call, key, Expect::Revision(5), b"value", Identity::Exact),
        7 => _ = kv.swap(call, key, Expect::Value(b"old"), b"value", Identity::ByValue),
        8 => _ = kv.delete(call, key),
        9 => _ = kv.list(call, b"k"),
        10 => _ = kv.count(call),
        11 => _ = kv.queue_push(call, b"queue", b"value"),
        12 => _ = kv.queue_pop(call, b"queue", true),
        _ => _ = kv.queue_len(call, b"queue"),
    }
}
