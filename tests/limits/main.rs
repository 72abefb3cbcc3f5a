//! Time: every blocking call ends in time, whatever the server does; cancel, fork, free and signals. Resources too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod resources;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdzv::Result;
use rdzv::backend::Backend;
use rdzv::store::Store;
use rustix::process::Signal;
use support::etcd::Cluster;
use support::fault::{self, Fault, Rule};
use support::{Api, Proxy, SLACK, connect, etcd, label, told, try_connect, unique};

/// The best of three tries keeps the bound: the machine may be busy, the library may not.
fn within(bound: Duration, what: &str, mut run: impl FnMut() -> Duration) {
    let mut tries = Vec::new();
    for _ in 0..3 {
        let took = run();
        if took <= bound {
            return;
        }
        tries.push(took);
    }
    panic!("{what}: {tries:?} of {bound:?}");
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

type Waits = fn(&Store, Duration) -> Result<()>;

const WAITS: [(&str, Waits); 5] = [
    ("get", |store, timeout| {
        store.set_timeout(timeout);
        store.get(b"never").map(drop)
    }),
    ("wait", |store, timeout| store.wait(&[b"never", b"nor this"], Some(timeout))),
    ("multi_get", |store, timeout| {
        store.set_timeout(timeout);
        store.multi_get(&[b"never"]).map(drop)
    }),
    ("queue_pop", |store, timeout| {
        store.set_timeout(timeout);
        store.queue_pop(b"never", true).map(drop)
    }),
    ("barrier", |store, timeout| store.barrier(unique("barrier").as_bytes(), 2, Some(timeout))),
];

#[test]
fn waits_end_at_their_deadline_with_and_without_an_answer() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (_backend, store) = connect(&proxy.endpoint(), api, &unique("run"), "");
        for frozen in [false, true] {
            for (name, wait) in WAITS {
                for timeout in [1, 30, 200, 700].map(Duration::from_millis) {
                    let what = format!("{api:?} {name} {timeout:?} frozen: {frozen}");
                    within(timeout + SLACK, &what, || {
                        proxy.freeze(frozen);
                        let took = timed(|| {
                            let error = wait(&store, timeout).unwrap_err();
                            let expected: &[&str] =
                                if name == "barrier" { &["TIMEOUT", "UNKNOWN"] } else { &["TIMEOUT"] };
                            assert!(expected.contains(&label::<()>(&Err(error))), "{what}");
                        });
                        assert!(took >= timeout, "{what} ended after {took:?}");
                        took
                    });
                }
            }
        }
        // Now or never: one look, which is answered.
        proxy.freeze(false);
        for (name, wait) in WAITS {
            within(Duration::from_millis(200), name, || {
                timed(|| assert_eq!(label(&wait(&store, Duration::ZERO)), "TIMEOUT", "{name}"))
            });
        }
    }
}

#[test]
fn first_contact_ends_within_the_connect_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    // TEST-NET-1: nobody is there, and nobody says so.
    for (endpoint, at_most) in
        [(silent.as_str(), 2), ("192.0.2.1:2379", 2), ("127.0.0.1:1", 1), ("no.such.host.invalid", 2)]
    {
        let start = Instant::now();
        let error = try_connect(endpoint, Api::V2, "run", "connect_timeout=1").err().unwrap();
        assert_eq!(label::<()>(&Err(error)), "CONNECTION", "{endpoint}");
        let bound = Duration::from_secs(at_most) + Duration::from_millis(100);
        assert!(start.elapsed() < bound, "{endpoint}: {:?}", start.elapsed());
    }
}

#[test]
fn cancel_wakes_all_who_wait_and_nobody_else() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        for frozen in [false, true] {
            within(Duration::from_millis(50), &format!("{api:?} cancel, frozen: {frozen}"), || {
                proxy.freeze(false);
                let (_backend, store) = connect(&proxy.endpoint(), api, &unique("run"), "");
                let other = store.clone();
                let woken = AtomicU64::new(0);
                thread::scope(|scope| {
                    for (_, wait) in WAITS.iter().cycle().take(20) {
                        let (store, woken) = (&store, &woken);
                        scope.spawn(move || {
                            let ended = wait(store, Duration::from_secs(30));
                            // What was in doubt stays in doubt.
                            assert!(matches!(label(&ended), "CANCELLED"), "{ended:?}");
                            woken.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    thread::sleep(Duration::from_millis(400));
                    proxy.freeze(frozen);
                    thread::sleep(Duration::from_millis(50));
                    let start = Instant::now();
                    store.cancel();
                    while woken.load(Ordering::SeqCst) < 20 {
                        assert!(start.elapsed() < Duration::from_secs(10), "{}", woken.load(Ordering::SeqCst));
                        thread::sleep(Duration::from_micros(200));
                    }
                    let took = start.elapsed();
                    assert_eq!(label(&store.set(b"k", b"v")), "CANCELLED");
                    proxy.freeze(false);
                    other.set(b"k", b"v").unwrap();
                    took
                })
            });
        }
    }
}

#[test]
fn handles_are_let_go_at_once_though_etcd_is_dead_or_hangs() {
    for api in Api::all() {
        for state in ["well", "frozen", "dead"] {
            within(Duration::from_millis(100), &format!("{api:?} {state}"), || {
                let cluster = Cluster::start(1);
                let (backend, store) = connect(&cluster.direct(0), api, &unique("run"), "read_timeout=5");
                store.set(b"k", b"v").unwrap();
                match state {
                    "frozen" => cluster.signal(0, Signal::STOP),
                    "dead" => cluster.kill(0),
                    _ => {}
                }
                timed(|| drop((backend, store)))
            });
        }
    }
}

/// This program again with one test, which needs a process of its own.
pub(crate) fn alone(test: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    print!("{text}");
}

#[test]
fn forks_alone() {
    alone("children_and_parent_go_on");
}

/// Forks while threads are in the middle of calls. Each child uses the handles that it was born with.
#[test]
#[ignore = "run by forks_alone, in a process of its own"]
#[allow(unsafe_code, reason = "fork is what is tested")]
fn children_and_parent_go_on() {
    let forks = std::env::var("RDZV_FORKS").ok().and_then(|forks| forks.parse().ok()).unwrap_or(100u64);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (backend, store) = connect(server.endpoint(), api, &unique("run"), "read_timeout=20");
        let over = AtomicBool::new(false);
        let calls = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..4u8 {
                let (store, over, calls) = (&store, &over, &calls);
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        store.add(&[b'l', b'0' + thread], 1).unwrap();
                        _ = store.wait(&[b"never"], Some(Duration::from_millis(3)));
                        calls.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let mut children = Vec::new();
            for _ in 0..forks {
                // SAFETY: the child runs the library's calls, which say that they may be used after a fork, and ends.
                match unsafe { libc::fork() } {
                    0 => {
                        let done = child(&backend, &store);
                        // SAFETY: ends the child without running what is the parent's.
                        unsafe { libc::_exit(i32::from(!done)) };
                    }
                    pid => children.push(pid),
                }
                while children.len() >= 4 {
                    reap(children.remove(0));
                }
            }
            children.into_iter().for_each(reap);
            over.store(true, Ordering::SeqCst);
        });
        assert!(calls.load(Ordering::SeqCst) > 0);
        assert_eq!(store.get(b"forked").unwrap(), forks.to_string().as_bytes(), "each child counted once");
    }
}

fn child(backend: &Backend, store: &Store) -> bool {
    let counted = store.add(b"forked", 1).is_ok();
    let looked = matches!(label(&backend.get_state()), "ok" | "NOT_FOUND");
    let waited = label(&store.wait(&[b"never"], Some(Duration::from_millis(5)))) == "TIMEOUT";
    counted && looked && waited
}

#[allow(unsafe_code, reason = "std waits for no child that it has not made")]
fn reap(pid: i32) {
    let mut status = 0;
    let start = Instant::now();
    loop {
        // SAFETY: `status` is ours.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
            0 => {
                assert!(start.elapsed() < Duration::from_secs(30), "a child hangs");
                thread::sleep(Duration::from_millis(1));
            }
            reaped => {
                assert_eq!(reaped, pid);
                assert_eq!(status, 0, "a child failed");
                return;
            }
        }
    }
}

/// Signals that are handled without SA_RESTART come all the time.
#[test]
#[allow(unsafe_code, reason = "std has no signals")]
fn interrupted_calls_go_on() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing; the structure is whole.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (_backend, store) = connect(&proxy.endpoint(), api, &unique("run"), "");
        let over = AtomicBool::new(false);
        // SAFETY: the thread's own id.
        let target = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // SAFETY: the target waits for this scope, so it is there.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    thread::sleep(Duration::from_micros(300));
                }
            });
            let run = || {
                for at in 0..50u8 {
                    store.set(&[b'k', at + 1], b"v")?;
                    store.add(b"counter", 1)?;
                }
                proxy.arm(Rule::once(fault::any, Fault::Delay(Duration::from_millis(100))));
                store.get(b"counter")
            };
            let counted = run();
            let timeout = Duration::from_millis(300);
            let took = timed(|| assert_eq!(label(&store.wait(&[b"never"], Some(timeout))), "TIMEOUT"));
            over.store(true, Ordering::SeqCst);
            assert_eq!(counted.map_err(|error| told(&error)).unwrap(), b"50");
            assert!(took >= timeout && took < timeout + Duration::from_millis(200), "{took:?}");
        });
    }
}
