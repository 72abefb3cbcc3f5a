//! The handler from many threads at once, against a real etcd: three nodes go from round to round while others ask,
//! listen and cancel. `scripts/sanitize.sh threads` runs it under ThreadSanitizer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdzv::handler::{Callback, Handler, Info};
use rdzv::params::Params;
use support::fault::{Fault, Rule};
use support::http::Request;
use support::{Api, Proxy, etcd, label, unique};

const NODES: u64 = 3;
const ROUNDS: u64 = 3;

fn handler(endpoint: &str, api: Api, run_id: &str, nodes: u64, config: &str) -> Handler {
    let nodes = i64::try_from(nodes).unwrap();
    let mut params = Params::new("etcd", endpoint, run_id, nodes, nodes).unwrap();
    params.set("api", api.name()).unwrap();
    params.set_config("local_addr=localhost,join_timeout=60").unwrap();
    params.set_config(config).unwrap();
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
        let join = |_| handler(server.endpoint(), api, &run_id, NODES, "keep_alive_interval=1");
        let handlers: Vec<Handler> = (0..NODES).map(join).collect();
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

/// Whether it is about a key of the store, in v2's words or v3's.
fn asks_the_store(request: &Request) -> bool {
    let is_named = |name: &[u8]| request.raw.windows(name.len()).any(|window| window == name);
    is_named(b"/torch/elastic/store/") || is_named(b"L3RvcmNoL2VsYXN0aWMvc3RvcmUv")
}

/// The first node of a run looks for keys of an earlier one. That is no reason to hang, or to fail.
#[test]
fn a_join_is_cancelled_while_it_looks_for_old_keys() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let proxy = Proxy::start(server.endpoint());
        let node = handler(&proxy.endpoint(), api, &unique("run"), 1, "read_timeout=60");
        proxy.arm(Rule::always(asks_the_store, Fault::Silent));
        thread::scope(|scope| {
            let joining = scope.spawn(|| node.next_rendezvous());
            while proxy.fired() == 0 {
                thread::sleep(Duration::from_millis(10));
            }
            let start = Instant::now();
            node.cancel();
            assert_eq!(label(&joining.join().unwrap()), "CANCELLED", "{api:?}");
            assert!(start.elapsed() < Duration::from_secs(5), "{api:?}: {:?}", start.elapsed());
        });
        proxy.heal();
        proxy.arm(Rule::always(asks_the_store, Fault::Status(403, support::fault::Dialect::Plain)));
        let node = handler(&proxy.endpoint(), api, &unique("run"), 1, "");
        assert_eq!(node.next_rendezvous().unwrap().0.world_size, 1, "{api:?}");
    }
}

/// While etcd says nothing nobody can tell who lives: a late node takes no place of those who are in the round.
#[test]
fn nobody_is_taken_for_dead_because_etcd_is_silent() {
    for api in Api::all() {
        let server = etcd::start(&[]);
        let (proxy, run_id) = (Proxy::start(server.endpoint()), unique("run"));
        // A run of PyTorch 1.13 has no spares: the late node waits in no list, for the round to break up.
        let config = "keep_alive_interval=2,keep_alive_max_attempt=2,state_dialect=1.13";
        let join = |_| handler(&proxy.endpoint(), api, &run_id, 2, config);
        let members: Vec<Handler> = (0..2).map(join).collect();
        let late = join(2);
        thread::scope(|scope| {
            let joining: Vec<_> = members.iter().map(|node| scope.spawn(|| node.next_rendezvous().unwrap())).collect();
            assert!(joining.into_iter().all(|node| node.join().unwrap().0.round == 0));
            let waiting = scope.spawn(|| late.next_rendezvous());
            thread::sleep(Duration::from_secs(1));
            proxy.freeze(true);
            thread::sleep(Duration::from_secs(9));
            proxy.freeze(false);
            thread::sleep(Duration::from_secs(3));
            for node in &members {
                let status: serde_json::Value = serde_json::from_str(&node.status_json()).unwrap();
                let there = status["participants"].as_array().map(Vec::len);
                assert_eq!((status["round"].as_u64(), there), (Some(0), Some(2)), "{api:?}: {status}");
            }
            late.cancel();
            assert_eq!(label(&waiting.join().unwrap()), "CANCELLED", "{api:?}");
        });
    }
}
