//! Faults that come in pairs, and what etcd has forgotten.

use std::time::Duration;

use crate::support::fault::{self, Dialect, Fault, Rule};
use crate::support::{Api, Proxy, connect, etcd, label, unique};

const CONFIG: &str = "read_timeout=2,reconnect_timeout=1";

#[test]
fn a_write_that_may_be_done_is_not_called_refused() {
    let denied = Fault::Status(401, Dialect::Plain);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (backend, store) = connect(&proxy.endpoint(), api, &unique("run"), CONFIG);
        // Under v3 the first write makes a lease.
        store.add(b"first", 1).unwrap();
        let spoil = || {
            proxy.heal();
            proxy.arm(Rule::once(fault::write, Fault::DropReply));
            proxy.arm(Rule::always(fault::any, denied));
        };
        spoil();
        assert_eq!(label(&store.set(b"set", b"1")), "UNKNOWN");
        proxy.heal();
        assert_eq!(store.get(b"set").unwrap(), b"1");
        store.set(b"deleted", b"1").unwrap();
        spoil();
        assert_eq!(label(&store.delete_key(b"deleted")), "UNKNOWN");
        spoil();
        assert_eq!(label(&backend.set_state(b"1", None)), "UNKNOWN");
        spoil();
        assert_eq!(label(&store.add(b"counter", 1)), "AUTH", "adding begins with a look");
        spoil();
        assert_eq!(label(&store.queue_push(b"queue", b"1")), "UNKNOWN");
    }
}

/// The write was done, its repetition is refused, and nobody answers the look that is to find out.
#[test]
fn a_write_in_doubt_stays_in_doubt_when_nobody_can_look() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (backend, store) = connect(&proxy.endpoint(), api, &unique("run"), CONFIG);
        let token = backend.set_state(b"1", None).unwrap().state.token;
        assert_eq!(store.add(b"counter", 1).unwrap(), 1);
        let spoil = || {
            proxy.heal();
            proxy.arm(Rule::once(fault::write, Fault::DropReply));
            // The first look, after the lost answer, finds a member that answers.
            proxy.arm(Rule { skip: 1, ..Rule::always(fault::look, Fault::ResetBefore) });
        };
        // On v3 the refusal itself tells.
        let expected = if api == Api::V2 { "UNKNOWN" } else { "ok" };
        spoil();
        assert_eq!(label(&store.add(b"counter", 1)), expected, "{api:?}");
        spoil();
        assert_eq!(label(&backend.set_state(b"2", Some(token))), expected, "{api:?}");
        proxy.heal();
        assert_eq!((store.add(b"counter", 0).unwrap(), backend.get_state().unwrap().value), (2, b"2".to_vec()));
    }
}

/// What another sets after a delete whose answer was lost is not deleted by its repetition.
#[test]
fn a_delete_is_not_repeated_on_what_has_come_since() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let run = unique("run");
        let (_backend, store) = connect(&proxy.endpoint(), api, &run, CONFIG);
        let (_other, direct) = connect(server.endpoint(), api, &run, "");
        for _ in 0..5 {
            store.set(b"key", b"old").unwrap();
            proxy.arm(Rule::once(fault::write, Fault::DropReply));
            let deleted = std::thread::scope(|scope| {
                let deleting = scope.spawn(|| store.delete_key(b"key"));
                while direct.check(&[b"key"]).unwrap() {}
                direct.set(b"key", b"new").unwrap();
                deleting.join().unwrap()
            });
            // On v3 what was done is known.
            assert_eq!(label(&deleted), if api == Api::V2 { "UNKNOWN" } else { "ok" });
            assert!(direct.check(&[b"key"]).unwrap() && store.get(b"key").unwrap() == b"new", "{api:?}");
            // What was there before may be deleted by the repetition.
            proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
            assert!(store.delete_key(b"key").unwrap(), "{api:?}");
        }
    }
}

#[test]
fn a_lost_swap_is_decided_by_what_is_there_when_etcd_has_forgotten() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (backend, store) = connect(&proxy.endpoint(), api, &unique("run"), CONFIG);
        let (_other, busy) = connect(server.endpoint(), api, &unique("run"), "");
        // v2 remembers a thousand events.
        for at in 0..1100u32 {
            busy.set(b"busy", &at.to_be_bytes()).unwrap();
        }
        proxy.arm(Rule::once(fault::write, Fault::DropReply));
        let set = backend.set_state(b"mine", None).unwrap();
        assert!(set.has_set && backend.get_state().unwrap() == set.state, "{api:?}");
        proxy.arm(Rule::once(fault::write, Fault::DropReply));
        assert_eq!(store.compare_set(b"key", b"", b"mine").unwrap(), b"mine");
        proxy.arm(Rule::once(fault::write, Fault::DropReply));
        assert_eq!(store.compare_set(b"key", b"mine", b"next").unwrap(), b"next");
        // Not done, and somebody else's is there.
        store.set(b"taken", b"theirs").unwrap();
        proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
        assert_eq!(store.compare_set(b"taken", b"", b"mine").unwrap(), b"theirs");
    }
}

#[test]
fn a_swap_that_lost_is_told_so_after_a_lost_answer() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let run = unique("run");
        let (backend, _store) = connect(&proxy.endpoint(), api, &run, CONFIG);
        let (other, _store) = connect(server.endpoint(), api, &run, "");
        let first = other.set_state(b"1", None).unwrap().state;
        let second = other.set_state(b"2", Some(first.token)).unwrap().state;
        proxy.arm(Rule::once(fault::write, Fault::DropReply));
        let set = backend.set_state(b"3", Some(first.token)).unwrap();
        assert!(!set.has_set && set.state == second, "{set:?}");
        proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
        let set = backend.set_state(b"3", None).unwrap();
        assert!(!set.has_set && set.state == second, "{set:?}");
        proxy.arm(Rule::once(fault::write, Fault::DropReply));
        let set = backend.set_state(b"3", Some(second.token)).unwrap();
        assert!(set.has_set && set.state == other.get_state().unwrap(), "{set:?}");
    }
}

/// Somebody else has written the very same before; this call's own write never came to be.
#[test]
fn an_older_write_of_the_same_value_is_not_taken_for_this_one() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let run = unique("run");
        let (other, direct) = connect(server.endpoint(), api, &run, "");
        let (_early, early) = connect(&proxy.endpoint(), api, &run, CONFIG);
        assert!(!early.check(&[b"key"]).unwrap());
        let first = other.set_state(b"1", None).unwrap().state;
        direct.set(b"key", b"a").unwrap();
        assert_eq!(direct.compare_set(b"key", b"a", b"b").unwrap(), b"b");
        direct.set(b"key", b"c").unwrap();

        let (backend, store) = connect(&proxy.endpoint(), api, &run, CONFIG);
        proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
        let set = backend.set_state(b"1", None).unwrap();
        assert!(!set.has_set && set.state == first, "{api:?}: {set:?}");
        for store in [early, store] {
            proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
            let now = store.compare_set(b"key", b"a", b"b");
            let right = now.as_ref().is_ok_and(|now| now == b"c");
            assert!(right || label(&now) == "UNKNOWN", "{api:?}: {now:?}");
        }
    }
}

/// The same step from the same value, which this handle remembers, was taken by another before this call began.
#[test]
fn a_step_that_another_took_before_is_not_taken_for_this_one() {
    for api in Api::all() {
        for has_looked in [true, false] {
            let server = etcd::start(&[]);
            let proxy = Proxy::start(server.endpoint());
            let run = unique("run");
            let (_backend, store) = connect(&proxy.endpoint(), api, &run, CONFIG);
            let (_other, direct) = connect(server.endpoint(), api, &run, "");
            direct.set(b"key", b"a").unwrap();
            assert_eq!(store.compare_set(b"key", b"no", b"never").unwrap(), b"a");
            assert_eq!(direct.compare_set(b"key", b"a", b"b").unwrap(), b"b");
            direct.set(b"key", b"c").unwrap();
            if has_looked {
                assert!(!store.check(&[b"another"]).unwrap());
            }
            proxy.arm(Rule::once(fault::write, Fault::ResetBefore));
            let now = store.compare_set(b"key", b"a", b"b");
            let right = now.as_ref().is_ok_and(|now| now == b"c");
            assert!(right || !has_looked && label(&now) == "UNKNOWN", "{api:?}, {has_looked}: {now:?}");
        }
    }
}

/// v2 compares, and then looks what is there instead: it may be the expected value again, and again.
#[test]
fn what_is_expected_and_there_is_replaced_however_often_it_was_written() {
    if !etcd::knows_v2() {
        return;
    }
    let server = etcd::start(&[]);
    let proxy = Proxy::start(server.endpoint());
    let run = unique("run");
    let (_backend, store) = connect(&proxy.endpoint(), Api::V2, &run, "");
    let (_other, direct) = connect(server.endpoint(), Api::V2, &run, "");
    direct.set(b"key", b"other").unwrap();
    let slow = Fault::Delay(Duration::from_millis(300));
    proxy.arm(Rule::once(|request| request.method == "GET", slow));
    proxy.arm(Rule::once(fault::write, slow));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(200));
                direct.set(b"key", b"expected").unwrap();
            }
        });
        assert_eq!(store.compare_set(b"key", b"expected", b"new").unwrap(), b"new");
    });
    assert_eq!(direct.get(b"key").unwrap(), b"new");
}

/// A member that was cut off may pass on what it was sent when the call is long over.
#[test]
fn a_swap_that_reaches_etcd_late_changes_nothing_any_more() {
    const LATE: Duration = Duration::from_millis(700);
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let run = unique("run");
        let (_backend, store) = connect(&proxy.endpoint(), api, &run, CONFIG);
        let (_other, direct) = connect(server.endpoint(), api, &run, "");
        direct.set(b"done", b"old").unwrap();
        direct.set(b"lost", b"other").unwrap();
        direct.set(b"created", b"other").unwrap();
        for key in [b"done".as_slice(), b"lost"] {
            proxy.arm(Rule::once(fault::write, Fault::Late(LATE)));
            let now = store.compare_set(key, b"old", b"new").unwrap();
            assert_eq!(now, if key == b"done" { b"new".as_slice() } else { b"other" }, "{api:?}");
            proxy.heal();
            direct.set(key, b"old").unwrap();
        }
        proxy.arm(Rule::once(fault::write, Fault::Late(LATE)));
        assert_eq!(store.compare_set(b"created", b"", b"new").unwrap(), b"other");
        assert!(direct.delete_key(b"created").unwrap());
        std::thread::sleep(LATE + Duration::from_millis(300));
        assert_eq!(direct.get(b"done").unwrap(), b"old", "{api:?}");
        assert_eq!(direct.get(b"lost").unwrap(), b"old", "{api:?}");
        // v2 cannot tell an absence from another one.
        assert_eq!(direct.check(&[b"created"]).unwrap(), matches!(api, Api::V2), "{api:?}");
    }
}

#[test]
fn a_body_of_a_gigabyte_in_chunks_is_not_kept() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let (backend, store) = connect(&proxy.endpoint(), api, &unique("run"), "read_timeout=60");
        proxy.arm(Rule::once(fault::any, Fault::HugeChunked));
        let before = memory();
        assert_eq!(label(&backend.get_state()), "SERVER");
        assert!(peak() - before < 600 << 20, "{} MiB", (peak() - before) >> 20);
        proxy.heal();
        std::thread::sleep(Duration::from_millis(10));
        store.set(b"after", b"1").unwrap();
    }
}

fn memory() -> usize {
    status("VmRSS:")
}

fn peak() -> usize {
    status("VmHWM:")
}

fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
