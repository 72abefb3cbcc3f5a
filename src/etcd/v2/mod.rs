//! etcd's v2 API, with PyTorch's layout: directories of base64 names, base64 values.

mod answer;
mod compare;
mod history;
mod queue;
mod wait;

use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::header::HeaderValue;

pub(super) use self::answer::is_switched_off;
use self::answer::{Answer, Node, read};
use self::compare::Seen;
use super::backoff::Backoff;
use super::call::Call;
use super::client::{Client, Failure, Probe, Repeat};
use super::layout::Layout;
use super::transport::{self, Headers, Reply, Request};
use super::{Entry, Expect, Identity, Key, Kv, Swap, Want};
use crate::base64::{decode_lenient, encode};
use crate::error::{Error, Result};
use crate::params::Settings;

/// What makes a read see all that was written before.
const QUORUM: &str = "?quorum=true";

/// What a form field must not hold as it is; the values are base64.
const FORM: &AsciiSet = &CONTROLS.add(b'+').add(b'%').add(b'&').add(b';').add(b' ');

/// The longest form that etcd reads; it resets the connection in the middle of one that is much longer.
const LONGEST_FORM: usize = 10 << 20;

/// A harmless request whose answer names the cluster, also where the key is not there.
pub(super) const PROBE: Probe = Probe {
    request: || Request::get("/v2/keys/torch"),
    cluster_of: |reply: &Reply| reply.header("x-etcd-cluster-id").map(str::to_owned),
};

/// Reads an answer in every way that it may be read.
#[cfg(fuzzing)]
pub(super) fn fuzz(client: &Client, call: &Call, reply: &Reply) {
    use super::client::Verdict;
    let node = match read(client, reply) {
        Verdict::Answer(answer) => {
            _ = (answer.done(call), answer.deleted(call), answer.refused(call));
            answer.into_node(call)
        }
        _ => Ok(None),
    };
    if let Verdict::Answer(answer) = read(client, reply) {
        _ = answer.into_event();
    }
    if let Ok(Some(node)) = node {
        _ = entry(call, Key::State, &node);
        node.walk(&mut |node| _ = entry(call, Key::Store(b"k"), node));
    }
}

/// The v2 API of one cluster, for one run.
pub(super) struct V2 {
    client: Client,
    layout: Layout,
    headers: Headers,
    /// What a read adds to its path.
    read_query: &'static str,
    state_ttl: u64,
    store_ttl: Option<u64>,
    /// The highest index that an answer has shown: what happened up to there is not ours to come.
    seen: AtomicU64,
    compared: Seen,
}

/// What etcd is to compare.
#[derive(Clone, Copy, Debug)]
enum Condition {
    Absent,
    Index(u64),
}

/// What became of one conditional request.
enum Attempt {
    Done(u64),
    Conflict,
    Missing,
}

impl V2 {
    pub(super) fn new(client: Client, settings: &Settings) -> Result<Self> {
        let layout = Layout::new(&settings.key_prefix, &settings.run_id, &settings.store_prefix)?;
        let mut headers = Headers::new();
        if let Some(name) = &settings.username {
            let password = settings.password.as_ref().map_or("", |password| password.expose());
            headers.push(transport::authorization(basic(name, password)?));
        }
        Ok(Self {
            client,
            layout,
            headers,
            read_query: if settings.linearizable { QUORUM } else { "" },
            state_ttl: settings.ttl,
            store_ttl: settings.store_ttl,
            seen: AtomicU64::new(0),
            compared: Seen::new(),
        })
    }

    fn path(&self, key: Key) -> Result<String> {
        match key {
            Key::State => Ok(self.layout.state.clone()),
            Key::Store(key) => self.layout.store_key(key),
        }
    }

    fn ask(&self, call: &Call, request: &Request, repeat: Repeat) -> Result<Answer> {
        let answer = self.client.ask(call, request, &self.headers, repeat, |reply| read(&self.client, reply))?;
        self.saw(answer.index);
        Ok(answer)
    }

    /// Sends a write whose answer, if it is lost, must be found out about.
    fn send_once(&self, call: &Call, request: &Request) -> std::result::Result<Answer, Failure> {
        let answer =
            self.client.exchange(call, request, &self.headers, Repeat::Never, |reply| read(&self.client, reply))?;
        self.saw(answer.index);
        Ok(answer)
    }

    fn saw(&self, index: u64) {
        self.seen.fetch_max(index, Ordering::Relaxed);
    }

    /// The node at `path`, or none, and the index of the store at that time.
    fn look(&self, call: &Call, path: &str) -> Result<(Option<Node>, u64)> {
        self.look_with(call, path, self.read_query)
    }

    fn look_with(&self, call: &Call, path: &str, query: &str) -> Result<(Option<Node>, u64)> {
        let answer = self.ask(call, &Request::get(&[path, query].concat()), Repeat::Read)?;
        let index = answer.index;
        Ok((answer.into_node(call)?, index))
    }

    /// What is at `key`, with all that was written before: what a conditional write depends on.
    fn look_surely(&self, call: &Call, key: Key) -> Result<(Option<Entry>, u64)> {
        let (node, index) = self.look_with(call, &self.path(key)?, QUORUM)?;
        Ok((node.map(|node| entry(call, key, &node)).transpose()?, index))
    }

    fn look_at(&self, call: &Call, key: Key) -> Result<(Option<Entry>, u64)> {
        let (node, index) = self.look(call, &self.path(key)?)?;
        Ok((node.map(|node| entry(call, key, &node)).transpose()?, index))
    }

    fn form(&self, key: Key, value: &[u8], condition: &str) -> Result<String> {
        let ttl = match key {
            Key::State => Some(self.state_ttl),
            Key::Store(_) => self.store_ttl,
        };
        form(value, ttl, condition)
    }

    fn try_swap(&self, call: &Call, path: &str, form: &str) -> std::result::Result<Attempt, Failure> {
        let answer = self.send_once(call, &Request::put_form(path, form))?;
        match (answer.status, answer.code) {
            (200 | 201, None) => Ok(Attempt::Done(answer.index)),
            (_, Some(answer::KEY_NOT_FOUND)) => Ok(Attempt::Missing),
            (_, Some(answer::COMPARE_FAILED | answer::KEY_EXISTS)) => Ok(Attempt::Conflict),
            _ => Err(answer.refused(call).into()),
        }
    }

    fn condition(call: &Call, expect: Condition) -> Result<String> {
        match expect {
            Condition::Absent => Ok("&prevExist=false".to_owned()),
            // etcd takes an index of 0 for none at all.
            Condition::Index(0) => Err(Error::InvalidArgument(format!("{call}: there is no revision 0"))),
            Condition::Index(index) => Ok(format!("&prevIndex={index}")),
        }
    }

    /// The store's index before a write under this condition is sent, or less; 0 where it cannot be told. By it a write
    /// whose answer is lost is told from older ones of the same value.
    fn since(&self, call: &Call, path: &str, expect: Condition) -> Result<u64> {
        if self.seen.load(Ordering::Relaxed) == 0 && matches!(expect, Condition::Absent) {
            // The first request of this handle. Whoever may not read may still write.
            match self.look(call, path) {
                Err(Error::Auth(_) | Error::Server(_)) | Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.seen.load(Ordering::Relaxed))
    }

    fn swap_where(&self, call: &Call, key: Key, expect: Condition, value: &[u8], identity: Identity) -> Result<Swap> {
        let path = self.path(key)?;
        let form = self.form(key, value, &Self::condition(call, expect)?)?;
        let since = self.since(call, &path, expect)?;
        let mut doubt: Option<String> = None;
        let mut backoff = Backoff::new();
        loop {
            // A conditional write may be sent again: at most one of the two can be done.
            match self.try_swap(call, &path, &form) {
                Ok(Attempt::Done(index)) => return Ok(Swap::Done(index)),
                Ok(Attempt::Missing) if doubt.is_none() => return Ok(Swap::Lost(None)),
                Ok(Attempt::Conflict | Attempt::Missing) => {
                    let looked = self.look_surely(call, key);
                    let Some(doubt) = doubt else { return Ok(Swap::Lost(looked?.0)) };
                    let (current, index) = match looked {
                        Ok(found) => found,
                        Err(error) => return Err(call.doubtful(Some(doubt), Some(error))),
                    };
                    let lost = history::Lost { key, expect, value, identity, since, index, doubt };
                    return self.find_out(call, &path, &lost, current);
                }
                Err(Failure::Doubt(text)) => {
                    // A look finds a member that answers, or says that there is none.
                    let look = call.sleep(backoff.next()).and_then(|()| self.look(call, &path));
                    if call.is_over() || look.is_err() {
                        return Err(call.doubtful(Some(text), look.err()));
                    }
                    doubt = Some(text);
                }
                Err(Failure::Final(error)) => return Err(call.doubtful(doubt, Some(error))),
            }
        }
    }
}

impl Kv for V2 {
    fn name(&self) -> &'static str {
        "etcd-v2"
    }

    fn endpoint(&self) -> String {
        self.client.endpoint()
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }

    fn get(&self, call: &Call, key: Key) -> Result<Option<Entry>> {
        Ok(self.look_at(call, key)?.0)
    }

    fn get_many(&self, call: &Call, keys: &[Key], _: Want) -> Result<Vec<Option<Entry>>> {
        keys.iter().map(|key| self.get(call, *key)).collect()
    }

    fn await_all(&self, call: &Call, keys: &[Key], _: Want, found: &mut Vec<Option<Entry>>) -> Result<()> {
        // All are looked at before any is waited for, so that a timeout names those that are missing and no others.
        let mut missing = Vec::new();
        found.clear();
        for (at, key) in keys.iter().enumerate() {
            let (entry, index) = self.look_at(call, *key)?;
            if entry.is_none() {
                missing.push((at, *key, index));
            }
            found.push(entry);
        }
        for (at, key, index) in missing {
            let entry = self.await_key(call, key, index)?;
            if let Some(place) = found.get_mut(at) {
                *place = Some(entry);
            }
        }
        Ok(())
    }

    fn await_change(&self, call: &Call, key: Key, since: u64) -> Result<Option<Entry>> {
        self.await_other(call, key, since)
    }

    fn put(&self, call: &Call, key: Key, value: &[u8]) -> Result<()> {
        let path = self.path(key)?;
        let answer = self.ask(call, &Request::put_form(&path, &self.form(key, value, "")?), Repeat::Write)?;
        answer.done(call)
    }

    fn put_many(&self, call: &Call, items: &[(Key, &[u8])]) -> Result<()> {
        items.iter().try_for_each(|(key, value)| self.put(call, *key, value))
    }

    fn swap(&self, call: &Call, key: Key, expect: Expect, value: &[u8], identity: Identity) -> Result<Swap> {
        let condition = match expect {
            Expect::Value(expected) => return self.swap_value(call, key, expected, value, identity),
            Expect::Revision(revision) => Condition::Index(revision),
            Expect::Absent => Condition::Absent,
        };
        let outcome = self.swap_where(call, key, condition, value, identity)?;
        if identity == Identity::ByValue {
            self.compared.note(key, value, &outcome);
        }
        Ok(outcome)
    }

    fn delete(&self, call: &Call, key: Key) -> Result<bool> {
        let path = self.path(key)?;
        let since = self.since(call, &path, Condition::Absent)?;
        let mut target = path.clone();
        let mut doubt: Option<String> = None;
        let mut backoff = Backoff::new();
        loop {
            match self.send_once(call, &Request::delete(&target)) {
                Ok(answer) => {
                    return match answer.deleted(call) {
                        // Gone after another try, but by whose hand cannot be told.
                        Ok(false) if doubt.is_some() => Err(call.doubtful(doubt, None)),
                        Ok(deleted) => Ok(deleted),
                        Err(error) => Err(call.doubtful(doubt, Some(error))),
                    };
                }
                Err(Failure::Doubt(text)) => {
                    let look = call.sleep(backoff.next()).and_then(|()| self.look_with(call, &path, QUORUM));
                    match look {
                        // What was there before is there still, and is the only thing that may be deleted now.
                        Ok((Some(node), _)) if node.modified_index <= since && !call.is_over() => {
                            target = format!("{path}?prevIndex={}", node.modified_index);
                            doubt = Some(text);
                        }
                        look => return Err(call.doubtful(Some(text), look.err())),
                    }
                }
                Err(Failure::Final(error)) => return Err(call.doubtful(doubt, Some(error))),
            }
        }
    }

    fn list(&self, call: &Call, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut keys = self.list_all(call)?;
        keys.retain(|key| key.starts_with(prefix));
        Ok(keys)
    }

    fn count(&self, call: &Call) -> Result<u64> {
        Ok(u64::try_from(self.list_all(call)?.len()).unwrap_or(u64::MAX))
    }

    fn queue_push(&self, call: &Call, queue: &[u8], value: &[u8]) -> Result<()> {
        self.push(call, queue, value)
    }

    fn queue_pop(&self, call: &Call, queue: &[u8], block: bool) -> Result<Option<Vec<u8>>> {
        self.pop(call, queue, block)
    }

    fn queue_len(&self, call: &Call, queue: &[u8]) -> Result<u64> {
        self.len(call, queue)
    }
}

impl V2 {
    /// v2 counts and lists nothing without sending all of it.
    fn list_all(&self, call: &Call) -> Result<Vec<Vec<u8>>> {
        let quorum = if self.read_query.is_empty() { "" } else { "&quorum=true" };
        let target = format!("{}?recursive=true{quorum}", self.layout.store);
        let answer = self.ask(call, &Request::get(&target), Repeat::Read)?;
        let mut keys = Vec::new();
        if let Some(root) = answer.into_node(call)? {
            let from = root.key.len() + 1;
            root.walk(&mut |node| keys.extend(node.key.get(from..).and_then(Layout::key_of)));
        }
        Ok(keys)
    }
}

fn entry(call: &Call, key: Key, node: &Node) -> Result<Entry> {
    let Some(text) = &node.value else {
        return Err(Error::Server(call.cause(format_args!("{} is a directory", node.key))));
    };
    let Some(value) = decode_lenient(text.as_bytes()) else {
        let cause = call.cause(format_args!("the value at {} is not base64", node.key));
        return Err(if key == Key::State { Error::State(cause) } else { Error::Server(cause) });
    };
    Ok(Entry { value, revision: node.modified_index })
}

/// The form of a write, whose answer need not repeat the value.
fn form(value: &[u8], ttl: Option<u64>, condition: &str) -> Result<String> {
    let too_large = || {
        let text = "is too large for etcd's v2 API, which takes about 7.5 MiB";
        Error::InvalidArgument(format!("the value of {} bytes {text}", value.len()))
    };
    if value.len() > LONGEST_FORM / 4 * 3 {
        return Err(too_large());
    }
    let text = encode(value);
    let ttl = ttl.map(|ttl| format!("&ttl={ttl}")).unwrap_or_default();
    let form = format!("value={}{ttl}{condition}&noValueOnSuccess=true", utf8_percent_encode(&text, FORM));
    if form.len() > LONGEST_FORM { Err(too_large()) } else { Ok(form) }
}

fn basic(name: &str, password: &str) -> Result<HeaderValue> {
    let text = format!("Basic {}", encode(format!("{name}:{password}").as_bytes()));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::InvalidArgument("the user name cannot be sent to etcd".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
