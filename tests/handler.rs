//! The handler from many threads at once, against a real etcd: three nodes go from round to round while others ask,
//! listen and cancel. `scripts/sanitize.sh threads` runs it under ThreadSanitizer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rdzv::handler::{Callback, Handler, Info};
use rdzv::params::Params;
use support::{Api, etcd, label, unique};

const NODES: u64 = 3;
const ROUNDS: u64 = 3;

fn handler(endpoint: &str, api: Api, run_id: &str) -> Handler {
    let nodes = i64::try_from(NODES).unwrap();
    let mut params = Params::new("etcd", endpoint, run_id, nodes, nodes).unwrap();
    params.set("api", api.name()).unwrap();
    params.set_config("local_addr=localhost,join_timeout=60,keep_alive_interval=1").unwrap();
    Handler::new(&params).unwrap()
}

/// Asks and listens until all is `over`.
fn look_on(handler: &Handler, over: &AtomicBool, heard: &'static AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let callback: Callback = Box::new(|_| _ = heard.fetch_add(1, Ordering::Relaxed));
        handler.set_event_callback(Some(callback)).unwrap();
        assert!(handler.status_json().contains(handler.run_id()));
        assert!(handler.num_nodes_waiting().unwrap() <= NODES);
        thread::sleep(Duration::from_millis(20));
    }
    handler.set_event_callback(None).unwrap();
}

/// What a launcher does: it joins round by round, works for longer than a heartbeat, and meets the others.
fn work(handler: &Handler) -> Vec<Info> {
    let mut places = Vec::new();
    for _ in 0..ROUNDS {
        let (info, store) = handler.next_rendezvous().unwrap();
        thread::sleep(Duration::from_millis(1300));
        store.barrier(b"worked", info.world_size, Some(Duration::from_secs(30))).unwrap();
        places.push(info);
    }
    places
}

#[test]
fn many_threads_share_the_handlers_of_a_run() {
    static HEARD: AtomicU64 = AtomicU64::new(0);
    for api in Api::all() {
        let (server, run_id) = (etcd::start(&[]), unique("run"));
        let handlers: Vec<Handler> = (0..NODES).map(|_| handler(server.endpoint(), api, &run_id)).collect();
        let over = AtomicBool::new(false);
        let places: Vec<Vec<Info>> = thread::scope(|scope| {
            for handler in &handlers {
                scope.spawn(|| look_on(handler, &over, &HEARD));
            }
            let workers: Vec<_> = handlers.iter().map(|handler| scope.spawn(|| work(handler))).collect();
            let places = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            over.store(true, Ordering::Relaxed);
            places
        });
        for round in 0..ROUNDS {
            let index = usize::try_from(round).unwrap();
            let infos = || places.iter().filter_map(|of_node| of_node.get(index));
            let mut ranks: Vec<u64> = infos().map(|info| info.rank).collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..NODES).collect::<Vec<_>>(), "{api:?}");
            assert!(infos().all(|info| (info.round, info.world_size) == (round, NODES)), "{api:?}");
        }
        assert!(HEARD.swap(0, Ordering::Relaxed) > 0, "{api:?}: nobody heard of anything");

        // One waits for the others, who do not come; it is cancelled, and another closes the run meanwhile.
        let [one, other, ..] = handlers.as_slice() else { panic!() };
        thread::scope(|scope| {
            let waiting = scope.spawn(|| one.next_rendezvous());
            let closing = scope.spawn(|| other.shutdown());
            thread::sleep(Duration::from_millis(100));
            one.cancel();
            assert!(closing.join().unwrap().unwrap());
            let told = label(&waiting.join().unwrap());
            assert!(["CANCELLED", "CLOSED"].contains(&told), "{told}");
        });
    }
}
