//! Descriptors, threads and memory: what calls and handles leave behind, and what happens where there are none left.
//!
//! `scripts/soak.sh limits` sets `RDZV_CYCLES`, `RDZV_OPERATIONS` and `RDZV_WAITERS` to large numbers. Each test runs in
//! a process of its own, since it counts what the process has open.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdzv::store::Store;

use crate::alone;
use crate::support::{Api, connect, etcd, label, told, try_connect, unique};

/// How many threads make the many calls.
const THREADS: usize = 8;

/// What a process may grow by that has done the same a thousand times: the allocator's own. A sanitizer keeps books of
/// its own, and sets `RDZV_MOST_GROWTH`.
fn most_growth() -> usize {
    number("RDZV_MOST_GROWTH", 8 << 20)
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn count(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// What a process has: descriptors, threads and bytes of memory.
#[derive(Clone, Copy, Debug)]
struct Resources {
    descriptors: usize,
    threads: usize,
    memory: usize,
}

impl Resources {
    #[allow(unsafe_code, reason = "std does not know the allocator")]
    fn now() -> Self {
        // A thread is counted until a little after it was joined.
        let (start, mut threads) = (Instant::now(), count("/proc/self/task"));
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = count("/proc/self/task");
            if now >= threads || start.elapsed() > Duration::from_secs(5) {
                break;
            }
            threads = now;
        }
        // What was freed does not count.
        // SAFETY: glibc's own, callable at any time.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let memory = line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024;
        Self { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task"), memory }
    }

    /// Nothing has come since, apart from `idle` connections that are kept, and `memory` bytes.
    fn assert_back(self, idle: usize, memory: usize, what: &str) {
        let now = Self::now();
        println!("{what}: {self:?}, then {now:?}");
        assert_eq!(now.threads, self.threads, "{what}: threads");
        assert!(now.descriptors <= self.descriptors + idle, "{what}: {} of {self:?}", now.descriptors);
        let grown = now.memory.saturating_sub(self.memory);
        assert!(grown < memory, "{what}: {} KiB more", grown >> 10);
    }
}

/// Raises or lowers how many descriptors the process may have; returns what it was.
#[allow(unsafe_code, reason = "std has no limits")]
fn limit_descriptors(to: Option<u64>) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    let before = limit.rlim_cur;
    limit.rlim_cur = to.unwrap_or(limit.rlim_max);
    // SAFETY: `limit` is whole.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    before
}

#[test]
fn cycles_alone() {
    alone("resources::cycles_leave_nothing_behind");
}

#[test]
#[ignore = "run by cycles_alone"]
fn cycles_leave_nothing_behind() {
    let cycles = number("RDZV_CYCLES", 300);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let cycle = |count: usize| {
            for _ in 0..count {
                let (backend, store) = connect(server.endpoint(), api, "run", "");
                let clone = store.with_prefix(b"p");
                clone.add(b"counter", 1).unwrap();
                assert_eq!(label(&store.wait(&[b"never"], Some(Duration::from_millis(1)))), "TIMEOUT");
                drop((backend, store, clone));
            }
        };
        cycle(20);
        let before = Resources::now();
        cycle(cycles);
        before.assert_back(0, most_growth(), &format!("{api:?}, {cycles} handles"));
    }
}

#[test]
fn operations_alone() {
    alone("resources::operations_leave_nothing_behind");
}

#[test]
#[ignore = "run by operations_alone"]
fn operations_leave_nothing_behind() {
    let operations = number("RDZV_OPERATIONS", 4000);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (backend, store) = connect(server.endpoint(), api, "run", "read_timeout=60");
        let token = backend.set_state(b"state", None).unwrap().state.token;
        store.set(b"key", b"value").unwrap();
        let operate = |count: usize| {
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (backend, store) = (&backend, &store);
                    scope.spawn(move || {
                        for at in 0..count / THREADS {
                            let key = [b'k', u8::try_from(thread).unwrap() + 1];
                            match at % 10 {
                                0 => store.set(&key, b"value"),
                                1 => store.add(&[b"counter", key.as_slice()].concat(), 1).map(drop),
                                2 => backend.set_state(b"never", Some(token + 1)).map(drop),
                                3 => store.compare_set(&key, b"other", b"never").map(drop),
                                4 => backend.get_state().map(drop),
                                5 => store.check(&[&key, b"never"]).map(drop),
                                6 => {
                                    let waited = store.wait(&[b"never"], Some(Duration::ZERO));
                                    assert_eq!(label(&waited), "TIMEOUT");
                                    Ok(())
                                }
                                7 => store.multi_get(&[&key, b"key"]).map(drop),
                                _ => store.get(b"key").map(drop),
                            }
                            .map_err(|error| told(&error))
                            .unwrap();
                        }
                    });
                }
            });
        };
        operate(2000);
        let before = Resources::now();
        let start = Instant::now();
        operate(operations);
        before.assert_back(
            THREADS,
            most_growth(),
            &format!("{api:?}, {operations} operations in {:?}", start.elapsed()),
        );
    }
}

/// Waits for one key from that many threads at once, which is set after `meanwhile`. Returns how many were woken, and
/// what the others were told.
fn wait_together(store: &Store, waiters: usize, meanwhile: impl FnOnce()) -> (usize, Vec<String>) {
    let (woken, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..waiters {
            let wait = || match store.get(b"go") {
                Ok(value) => {
                    assert_eq!(value, b"1");
                    woken.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    let text = told(&error);
                    refused.lock().unwrap().push(format!("{} {text}", label::<()>(&Err(error))));
                }
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, wait).unwrap();
        }
        meanwhile();
        store.set(b"go", b"1").unwrap();
    });
    (woken.into_inner(), refused.into_inner().unwrap())
}

#[test]
fn many_waiters_alone() {
    alone("resources::many_waiters_are_all_woken");
}

/// As many as a large run has, each with a connection of its own.
#[test]
#[ignore = "run by many_waiters_alone"]
fn many_waiters_are_all_woken() {
    let waiters = number("RDZV_WAITERS", 400);
    limit_descriptors(None);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (_backend, store) = connect(server.endpoint(), api, &unique("run"), "read_timeout=60");
        store.set_timeout(Duration::from_secs(120));
        let together = || {
            let (woken, refused) = wait_together(&store, waiters, || {
                let start = Instant::now();
                while count("/proc/self/fd") < waiters && start.elapsed() < Duration::from_secs(60) {
                    thread::sleep(Duration::from_millis(50));
                }
            });
            assert_eq!((woken, refused.len()), (waiters, 0), "{:?}", refused.first());
            assert!(store.delete_key(b"go").unwrap());
        };
        // The idle connections that are kept come with the first round.
        together();
        let before = Resources::now();
        together();
        before.assert_back(64, most_growth(), &format!("{api:?}, {waiters} waiters"));
    }
}

#[test]
fn too_many_waiters_alone() {
    alone("resources::waiters_without_descriptors_are_told");
}

/// Who finds no descriptor is told so, and the others are woken.
#[test]
#[ignore = "run by too_many_waiters_alone"]
fn waiters_without_descriptors_are_told() {
    const WAITERS: usize = 300;
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (_backend, store) = connect(server.endpoint(), api, &unique("run"), "reconnect_timeout=1");
        store.set_timeout(Duration::from_secs(60));
        let most = u64::try_from(count("/proc/self/fd") + WAITERS / 2).unwrap();
        let before = limit_descriptors(Some(most));
        let (woken, refused) = wait_together(&store, WAITERS, || {
            thread::sleep(Duration::from_secs(4));
            limit_descriptors(Some(before));
        });
        assert_eq!(woken + refused.len(), WAITERS);
        assert!(woken > 0 && !refused.is_empty(), "{woken} woken");
        for text in refused {
            assert!(text.starts_with("CONNECTION") && text.contains("Too many open files"), "{text}");
        }
        store.set(b"key", b"value").unwrap();
    }
}

#[test]
fn no_descriptors_left_is_an_error_and_not_the_end() {
    alone("resources::without_descriptors");
}

#[test]
#[ignore = "run in a process of its own"]
fn without_descriptors() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (_backend, store) = connect(server.endpoint(), api, &unique("run"), "read_timeout=1,reconnect_timeout=0");
        let before = limit_descriptors(Some(3));
        let fresh = try_connect(server.endpoint(), api, "run", "read_timeout=1");
        let parallel: Vec<_> = thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| store.clone().set(b"k", b"v"))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let born_poor = store.clone();
        assert_eq!(label(&born_poor.set(b"k", b"v")), "CONNECTION");
        limit_descriptors(Some(before));
        assert_eq!(label(&fresh), "CONNECTION");
        for outcome in parallel {
            assert!(matches!(label(&outcome), "ok" | "CONNECTION"), "{outcome:?}");
        }
        store.set(b"k", b"v").unwrap();
        // Made without, it works with them, and can be cancelled.
        born_poor.set(b"k", b"v").unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| born_poor.wait(&[b"never"], Some(Duration::from_secs(30))));
            thread::sleep(Duration::from_millis(100));
            born_poor.cancel();
            assert_eq!(label(&waiter.join().unwrap()), "CANCELLED");
        });
    }
}
