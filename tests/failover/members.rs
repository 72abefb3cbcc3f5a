//! Which member is asked: those that are silent, gone, learnt, or of another cluster.

use std::sync::PoisonError;
use std::time::Duration;

use crate::support::etcd::{self, Cluster};
use crate::support::{Api, Proxy, SLACK, connect, label, told, unique};
use crate::{TURN, timed};

#[test]
fn members_come_and_go() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for api in Api::all() {
        let cluster = Cluster::start(3);
        a_silent_member_costs_a_share(&cluster, api);
        learnt_members_take_over(&cluster, api);
        unreachable_members_make_nothing_worse(&cluster, api);
        a_waiter_is_woken_after_its_member_died(&cluster, api);
        a_waiter_is_woken_though_its_member_is_silent(&cluster, api);
    }
}

fn a_silent_member_costs_a_share(cluster: &Cluster, api: Api) {
    let (_backend, store) = connect(&cluster.endpoints(), api, &unique("run"), "read_timeout=6");
    store.set(b"key", b"1").unwrap();
    cluster.proxy(0).freeze(true);
    let (got, elapsed) = timed(|| store.check(&[b"key"]));
    assert!(got.unwrap());
    assert!(elapsed < Duration::from_millis(2000 + 500), "a third of 6 s, and not {elapsed:?}");
    let (got, elapsed) = timed(|| store.check(&[b"key"]));
    assert!(got.unwrap());
    assert!(elapsed < Duration::from_millis(500), "the next call asks the member that answered: {elapsed:?}");
    // With two of three silent it still comes through; with all three silent it ends in time.
    cluster.proxy(1).freeze(true);
    let (got, elapsed) = timed(|| store.check(&[b"key"]));
    assert!(got.unwrap());
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    cluster.proxy(2).freeze(true);
    let (got, elapsed) = timed(|| store.check(&[b"key"]));
    assert_eq!(label(&got), "CONNECTION");
    assert!(elapsed < Duration::from_secs(6) + SLACK, "{elapsed:?}");
    (0..3).for_each(|at| cluster.proxy(at).freeze(false));
}

fn learnt_members_take_over(cluster: &Cluster, api: Api) {
    let (_backend, store) = connect(&cluster.proxy(0).endpoint(), api, &unique("run"), "read_timeout=5");
    store.set(b"key", b"1").unwrap();
    cluster.proxy(0).refuse(true);
    let (got, elapsed) = timed(|| store.get(b"key"));
    assert_eq!(got.unwrap(), b"1");
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    store.set(b"key", b"2").unwrap();
    // The one that was named is not forgotten.
    cluster.proxy(0).refuse(false);
    cluster.proxy(1).refuse(true);
    cluster.proxy(2).refuse(true);
    assert_eq!(store.get(b"key").unwrap(), b"2");
    cluster.proxy(1).refuse(false);
    cluster.proxy(2).refuse(false);
}

/// What the cluster advertises cannot be reached from here.
fn unreachable_members_make_nothing_worse(cluster: &Cluster, api: Api) {
    (0..3).for_each(|at| cluster.proxy(at).refuse(true));
    let config = "read_timeout=5,reconnect_timeout=1";
    let front = Proxy::start(&cluster.direct(0));
    let (_backend, store) = connect(&front.endpoint(), api, &unique("run"), config);
    for at in 0..50u8 {
        let (set, elapsed) = timed(|| store.set(&[b'k', b'0' + at], b"1"));
        set.unwrap();
        assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
    }
    front.refuse(true);
    let (got, elapsed) = timed(|| store.check(&[b"k0"]));
    assert_eq!(label(&got), "CONNECTION");
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    front.refuse(false);
    assert!(store.check(&[b"k0"]).unwrap());
    (0..3).for_each(|at| cluster.proxy(at).refuse(false));
}

fn a_waiter_is_woken_after_its_member_died(cluster: &Cluster, api: Api) {
    let run = unique("run");
    let (_backend, store) = connect(&cluster.endpoints(), api, &run, "");
    let (_other, direct) = connect(&cluster.directs(), api, &run, "");
    store.set_timeout(Duration::from_secs(20));
    let waiter = std::thread::spawn(move || store.get(b"late"));
    std::thread::sleep(Duration::from_millis(200));
    cluster.kill(0);
    std::thread::sleep(Duration::from_millis(1500));
    direct.set(b"late", b"1").unwrap();
    let (got, elapsed) = timed(|| waiter.join().unwrap());
    assert_eq!(got.unwrap(), b"1");
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    cluster.restart(0);
}

fn a_waiter_is_woken_though_its_member_is_silent(cluster: &Cluster, api: Api) {
    let run = unique("run");
    let (_backend, store) = connect(&cluster.endpoints(), api, &run, "");
    let (_other, direct) = connect(&cluster.directs(), api, &run, "");
    store.set_timeout(Duration::from_secs(6));
    let waiter = std::thread::spawn(move || store.get(b"late"));
    std::thread::sleep(Duration::from_millis(200));
    cluster.proxy(0).freeze(true);
    direct.set(b"late", b"1").unwrap();
    let (got, elapsed) = timed(|| waiter.join().unwrap());
    assert_eq!(got.unwrap(), b"1");
    assert!(elapsed > Duration::from_millis(500), "the waiter was at another member");
    cluster.proxy(0).freeze(false);
}

#[test]
fn another_cluster_at_the_same_address_is_an_error() {
    for api in Api::all() {
        let (first, second) = (etcd::start(&[]), etcd::start(&[]));
        let proxy = Proxy::start(first.endpoint());
        let (backend, store) = connect(&proxy.endpoint(), api, &unique("run"), "read_timeout=2");
        backend.set_state(b"1", None).unwrap();
        store.set(b"key", b"1").unwrap();
        proxy.redirect(second.endpoint());
        let failures = [
            backend.get_state().map(drop),
            store.get(b"key").map(drop),
            store.set(b"key", b"2"),
            store.add(b"counter", 1).map(drop),
            backend.set_state(b"2", None).map(drop),
        ];
        for failure in failures {
            let error = failure.unwrap_err();
            let text = told(&error);
            assert!(matches!(error, rdzv::Error::Connection(_) | rdzv::Error::UnknownOutcome(_)), "{api:?} {text}");
            assert!(text.contains("another etcd cluster"), "{text}");
        }
        proxy.redirect(first.endpoint());
        assert_eq!(store.get(b"key").unwrap(), b"1");
    }
}
