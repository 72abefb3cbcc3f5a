//! The operations under test: how each begins, what it does, and how it is seen from outside whether it was done.

use std::thread;
use std::time::Duration;

use rdzv::backend::Backend;
use rdzv::store::Store;
use rdzv::{Error, Result};

use crate::support::fault::{self, When};

/// How long operations that wait are given; the others have `read_timeout`.
pub(crate) const WAIT: Duration = Duration::from_millis(800);

/// What `read_timeout` is set to: the least that there is.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// One run: handles that go through the proxy, and handles that do not.
pub(crate) struct World {
    pub(crate) backend: Backend,
    pub(crate) store: Store,
    pub(crate) direct_backend: Backend,
    pub(crate) direct: Store,
    /// The token of the state that was there before.
    pub(crate) token: u64,
}

/// What an operation may do to etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// Done twice it is as if it were done once.
    Set,
    /// Compare-and-set and create: decided by reading back.
    Swap,
    /// Counts: done once, or unknown.
    Count,
}

pub(crate) struct Op {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it waits: its deadline is [`WAIT`], and TIMEOUT is how it ends.
    pub(crate) waits: bool,
    /// Whether its long-poll is spoilt, and not its first request.
    pub(crate) polls: bool,
    /// The request that is spoilt.
    pub(crate) target: When,
    pub(crate) prepare: fn(&mut World),
    /// Does it and returns what it said, for comparison with `says`.
    pub(crate) run: fn(&World) -> Result<String>,
    pub(crate) says: &'static str,
    /// How often it was done, as etcd itself tells.
    pub(crate) done: fn(&World) -> u64,
    /// How often it is done by one call.
    pub(crate) once: u64,
}

const OLD: &[u8] = b"old";
const NEW: &[u8] = b"new";
const K: &[u8] = b"key";

pub(crate) const OPS: &[Op] = &[
    read("get_state", prepare_state, |w| Ok(text(&w.backend.get_state()?.value)), "old"),
    Op {
        name: "set_state, create",
        kind: Kind::Swap,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| Ok(w.backend.set_state(NEW, None)?.has_set.to_string()),
        says: "true",
        done: state_is_new,
        once: 1,
    },
    Op {
        name: "set_state, replace",
        kind: Kind::Swap,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: prepare_state,
        run: |w| Ok(w.backend.set_state(NEW, Some(w.token))?.has_set.to_string()),
        says: "true",
        done: state_is_new,
        once: 1,
    },
    Op {
        name: "set",
        kind: Kind::Set,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| w.store.set(K, NEW).map(|()| "done".to_owned()),
        says: "done",
        done: key_is_new,
        once: 1,
    },
    waiting("get", false, prepare_key, |w| Ok(text(&w.store.get(K)?)), "old"),
    waiting("get, later", true, prepare_later, |w| Ok(text(&w.store.get(K)?)), "late"),
    waiting("wait, later", true, prepare_later, |w| Ok(format!("{:?}", w.store.wait(&[K], None)?)), "()"),
    waiting("wait, never", true, |_| {}, |w| Ok(format!("{:?}", w.store.wait(&[K], None)?)), "never"),
    read("check", prepare_key, |w| Ok(w.store.check(&[K])?.to_string()), "true"),
    waiting("multi_get", false, prepare_key, |w| Ok(w.store.multi_get(&[K, K])?.len().to_string()), "2"),
    Op {
        name: "multi_set",
        kind: Kind::Set,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| w.store.multi_set(&[(K, NEW), (b"other", NEW)]).map(|()| "done".to_owned()),
        says: "done",
        done: |w| key_is_new(w) + u64::from(w.direct.check(&[b"other"]).unwrap()),
        once: 2,
    },
    Op {
        name: "add, first",
        kind: Kind::Count,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| Ok(w.store.add(K, 3)?.to_string()),
        says: "3",
        done: |w| counter(&w.direct) / 3,
        once: 1,
    },
    Op {
        name: "add, again",
        kind: Kind::Count,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |w| assert_eq!(w.store.add(K, 4).unwrap(), 4),
        run: |w| Ok(w.store.add(K, 3)?.to_string()),
        says: "7",
        done: |w| (counter(&w.direct) - 4) / 3,
        once: 1,
    },
    Op {
        name: "compare_set",
        kind: Kind::Swap,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: prepare_key,
        run: |w| Ok(text(&w.store.compare_set(K, OLD, NEW)?)),
        says: "new",
        done: key_is_new,
        once: 1,
    },
    Op {
        name: "compare_set, create",
        kind: Kind::Swap,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| Ok(text(&w.store.compare_set(K, b"", NEW)?)),
        says: "new",
        done: key_is_new,
        once: 1,
    },
    Op {
        name: "append",
        kind: Kind::Count,
        waits: false,
        polls: false,
        target: |request| fault::write(request),
        prepare: |_| {},
        run: |w| w.store.append(K, b"12345").map(|()| "done".to_owned()),
        says: "done",
        done: |w| value(&w.direct).map_or(0, |value| value.len() as u64) / 5,
        once: 1,
    },
    Op {
        name: "delete_key",
        kind: Kind::Count,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: prepare_key,
        run: |w| Ok(w.store.delete_key(K)?.to_string()),
        says: "true",
        done: |w| u64::from(value(&w.direct).is_none()),
        once: 1,
    },
    read("num_keys", prepare_key, |w| Ok(w.store.num_keys()?.to_string()), "1"),
    read("list_keys", prepare_key, |w| Ok(text(&w.store.list_keys()?.concat())), "key"),
    Op {
        name: "queue_push",
        kind: Kind::Count,
        waits: false,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| w.store.queue_push(K, NEW).map(|()| "done".to_owned()),
        says: "done",
        done: |w| w.direct.queue_len(K).unwrap(),
        once: 1,
    },
    Op {
        name: "queue_pop",
        kind: Kind::Count,
        waits: true,
        polls: false,
        target: fault::write,
        prepare: |w| (0..3).for_each(|at| w.direct.queue_push(K, &[b'0' + at]).unwrap()),
        run: |w| Ok(text(&w.store.queue_pop(K, true)?)),
        says: "0",
        done: |w| 3 - w.direct.queue_len(K).unwrap(),
        once: 1,
    },
    read("queue_len", |w| w.direct.queue_push(K, NEW).unwrap(), |w| Ok(w.store.queue_len(K)?.to_string()), "1"),
    Op {
        name: "barrier",
        kind: Kind::Count,
        waits: true,
        polls: false,
        target: fault::write,
        prepare: |_| {},
        run: |w| w.store.barrier(b"b", 1, None).map(|()| "done".to_owned()),
        says: "done",
        done: |w| value_of(&w.direct, b"b/num_members").map_or(0, |text| text.parse().unwrap()),
        once: 1,
    },
];

const fn read(
    name: &'static str,
    prepare: fn(&mut World),
    run: fn(&World) -> Result<String>,
    says: &'static str,
) -> Op {
    let (kind, target) = (Kind::Read, fault::any);
    Op { name, kind, waits: false, polls: false, target, prepare, run, says, done: |_| 0, once: 0 }
}

const fn waiting(
    name: &'static str,
    polls: bool,
    prepare: fn(&mut World),
    run: fn(&World) -> Result<String>,
    says: &'static str,
) -> Op {
    let target = if polls { fault::poll } else { fault::any };
    Op { name, kind: Kind::Read, waits: true, polls, target, prepare, run, says, done: |_| 0, once: 0 }
}

fn prepare_state(world: &mut World) {
    let set = world.direct_backend.set_state(OLD, None).unwrap();
    assert!(set.has_set);
    world.token = set.state.token;
}

fn prepare_key(world: &mut World) {
    world.direct.set(K, OLD).unwrap();
}

/// The key comes a little after the operation has begun.
fn prepare_later(world: &mut World) {
    let store = world.direct.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(150));
        store.set(K, b"late").unwrap();
    });
}

fn state_is_new(world: &World) -> u64 {
    match world.direct_backend.get_state() {
        Ok(state) => u64::from(state.value == NEW),
        Err(Error::NotFound(_)) => 0,
        Err(error) => panic!("{error}"),
    }
}

fn key_is_new(world: &World) -> u64 {
    u64::from(value(&world.direct).as_deref() == Some("new"))
}

fn counter(store: &Store) -> u64 {
    value(store).map_or(0, |value| value.parse().unwrap())
}

fn value(store: &Store) -> Option<String> {
    value_of(store, K)
}

fn value_of(store: &Store, key: &[u8]) -> Option<String> {
    if store.check(&[key]).unwrap() { Some(text(&store.get(key).unwrap())) } else { None }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
