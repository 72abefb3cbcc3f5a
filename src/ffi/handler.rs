//! The rendezvous handler: a rank, the world size and a store for each round of a run.

use std::ffi::{CString, c_char, c_void};

use super::args;
use super::bytes::rdzv_bytes;
use super::guard::guard;
use super::params::rdzv_params;
use super::status::rdzv_status;
use super::store::rdzv_store;
use crate::handler::events::Event;
use crate::handler::{Callback, Handler, Info};

/// A rendezvous handler: one node of a run. One handle serves many threads at once, but only one of them may be in
/// `rdzv_next_rendezvous()` or `rdzv_handler_shutdown()`; a second one gets `RDZV_STATUS_INVALID_ARGUMENT`.
///
/// From the end of a successful `rdzv_next_rendezvous()` until the next one, a shutdown or the free, one background
/// thread writes a heartbeat every `keep_alive_interval`. It ends within 100 ms of being told to. In a forked child
/// the handle is another node of the run, without that thread until it joins.
pub struct rdzv_handler {
    handler: Handler,
    run_id: CString,
}

const _: () = args::shared_by_threads::<rdzv_handler>();

/// A node's place in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct rdzv_rendezvous_info {
    /// The rank of this node, from 0 to `world_size` - 1.
    pub rank: u64,
    /// The number of nodes in the round.
    pub world_size: u64,
    /// The number of the round, from 0.
    pub round: u64,
}

impl From<Info> for rdzv_rendezvous_info {
    fn from(info: Info) -> Self {
        Self { rank: info.rank, world_size: info.world_size, round: info.round }
    }
}

/// Event: a node became a participant of the round that is being agreed on.
pub const RDZV_EVENT_JOINED: i32 = 1;
/// Event: a node waits for the next round.
pub const RDZV_EVENT_WAITING: i32 = 2;
/// Event: a node is spare, because the round is full.
pub const RDZV_EVENT_SPARE: i32 = 3;
/// Event: a node left, or another node found it dead first.
pub const RDZV_EVENT_LEFT: i32 = 4;
/// Event: this node found that another one gave no sign of life for too long.
pub const RDZV_EVENT_DIED: i32 = 5;
/// Event: a round is complete.
pub const RDZV_EVENT_COMPLETE: i32 = 6;
/// Event: a new round is being agreed on.
pub const RDZV_EVENT_ROUND: i32 = 7;
/// Event: the run was closed.
pub const RDZV_EVENT_CLOSED: i32 = 8;
/// Event: this node is no longer in its round, because the others took it for dead.
pub const RDZV_EVENT_EVICTED: i32 = 9;
/// Event: heartbeats in a row could not be written.
pub const RDZV_EVENT_HEARTBEAT_FAILED: i32 = 10;
/// Event: a heartbeat was written again.
pub const RDZV_EVENT_HEARTBEAT_RECOVERED: i32 = 11;
/// Event: a node's clock is so far off that Python nodes take it for dead.
pub const RDZV_EVENT_SKEW: i32 = 12;
/// Event: the store holds keys of an earlier run of the same id.
pub const RDZV_EVENT_STALE_KEYS: i32 = 13;

/// Receives one event: its kind (`RDZV_EVENT_…`; later versions may add kinds), the event as a JSON object (good for
/// the call) such as `{"event":"died","node":{"address":"n1","local_id":0,"pid":7}}`, and the `user_data` that the
/// callback was set with.
///
/// It runs on the thread that notices: the one in `rdzv_next_rendezvous()`, or the heartbeats' own. It must return,
/// not throw or jump out, and not call `rdzv_free_handler()`, `rdzv_next_rendezvous()` or `rdzv_handler_shutdown()`.
pub type rdzv_event_callback = Option<unsafe extern "C" fn(kind: i32, json: *const c_char, user_data: *mut c_void)>;

/// Connects to etcd and creates a handler for the run id of `params`, which also holds the bounds (`min_nodes`,
/// `max_nodes`) and the handler's options. It joins nothing yet.
///
/// On success `*handler` is owned by the caller: free it with `rdzv_free_handler()`. `params` is copied.
///
/// Returns what `rdzv_create_backend()` returns; `RDZV_STATUS_INVALID_ARGUMENT` also for the handler's own options.
///
/// # Safety
/// `params` must be NULL or live; `handler` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_create_handler(
    params: *const rdzv_params,
    handler: *mut *mut rdzv_handler,
) -> rdzv_status {
    guard("rdzv_create_handler", || {
        // SAFETY: this function's own clause.
        let (params, handler) = unsafe { (args::borrow(params, "params")?, args::out(handler, "handler")?) };
        let new_handler = Handler::new(&params.0)?;
        let run_id = CString::new(new_handler.run_id()).unwrap_or_default();
        args::give(handler, rdzv_handler { handler: new_handler, run_id });
        Ok(())
    })
}

/// Leaves the round that this node is in, if any, joins the next one, and returns this node's place in it.
///
/// Blocks until the round is complete: at once when `max_nodes` are there, `last_call_timeout` after `min_nodes` are.
/// A spare waits without a limit; every other node for `join_timeout` at the most, of which a first join begins with a
/// random pause: up to 0.3 s, as in PyTorch, or 2 ms for each of `min_nodes` where that is longer. On success `*store` is the round's
/// store, whose keys have the prefix "torch.rendezvous.RUN_ID.ROUND/"; free it with `rdzv_free_store()`.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_CLOSED`, `RDZV_STATUS_TIMEOUT` (too few nodes;
/// the message says how many), `RDZV_STATUS_STATE` (the state is not a rendezvous state), `RDZV_STATUS_CANCELLED`,
/// `RDZV_STATUS_INVALID_ARGUMENT` (another thread is joining), `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_AUTH` or
/// `RDZV_STATUS_SERVER`.
///
/// # Safety
/// `handler` must be NULL or live; `info` and `store` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_next_rendezvous(
    handler: *const rdzv_handler,
    info: *mut rdzv_rendezvous_info,
    store: *mut *mut rdzv_store,
) -> rdzv_status {
    guard("rdzv_next_rendezvous", || {
        // SAFETY: this function's own clause.
        let (handler, info, store) =
            unsafe { (args::borrow(handler, "handler")?, args::out(info, "info")?, args::out(store, "store")?) };
        let (place, round_store) = handler.handler.next_rendezvous()?;
        info.write(place.into());
        args::give(store, rdzv_store(round_store));
        Ok(())
    })
}

/// Tells whether the run is closed. Asks etcd at most once a second.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_STATE`, `RDZV_STATUS_CANCELLED`,
/// `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_AUTH` or `RDZV_STATUS_SERVER`.
///
/// # Safety
/// `handler` must be NULL or live; `is_closed` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_is_closed(handler: *const rdzv_handler, is_closed: *mut bool) -> rdzv_status {
    guard("rdzv_handler_is_closed", || {
        // SAFETY: this function's own clause.
        let (handler, is_closed) = unsafe { (args::borrow(handler, "handler")?, args::out(is_closed, "is_closed")?) };
        is_closed.write(handler.handler.is_closed()?);
        Ok(())
    })
}

/// Closes the run: every node that is joining, and every one that will, gets `RDZV_STATUS_CLOSED`.
///
/// Returns `RDZV_STATUS_OK`, also where it was closed already, `RDZV_STATUS_TIMEOUT` after `close_timeout`, or what
/// `rdzv_handler_is_closed()` returns.
///
/// # Safety
/// `handler` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_set_closed(handler: *const rdzv_handler) -> rdzv_status {
    guard("rdzv_handler_set_closed", || {
        // SAFETY: this function's own clause.
        let handler = unsafe { args::borrow(handler, "handler")? };
        Ok(handler.handler.set_closed()?)
    })
}

/// Counts the nodes that wait for the next round: not 0 means that this node should leave and join again. Asks etcd
/// at most once a second.
///
/// Returns what `rdzv_handler_is_closed()` returns.
///
/// # Safety
/// `handler` must be NULL or live; `count` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_num_nodes_waiting(handler: *const rdzv_handler, count: *mut u64) -> rdzv_status {
    guard("rdzv_handler_num_nodes_waiting", || {
        // SAFETY: this function's own clause.
        let (handler, count) = unsafe { (args::borrow(handler, "handler")?, args::out(count, "count")?) };
        count.write(handler.handler.num_nodes_waiting()?);
        Ok(())
    })
}

/// The run id; "" for NULL. Never NULL; good until the handler is freed.
///
/// # Safety
/// `handler` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_run_id(handler: *const rdzv_handler) -> *const c_char {
    // SAFETY: this function's own clause.
    let handler = unsafe { handler.as_ref() };
    handler.map_or(c"", |handler| handler.run_id.as_c_str()).as_ptr()
}

/// Stops the heartbeats and closes the run. `*has_closed` is false where the run could not be closed, as PyTorch has
/// it; `rdzv_handler_status_json()` says why.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` (another thread is joining:
/// cancel it first).
///
/// # Safety
/// `handler` must be NULL or live; `has_closed` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_shutdown(handler: *const rdzv_handler, has_closed: *mut bool) -> rdzv_status {
    guard("rdzv_handler_shutdown", || {
        // SAFETY: this function's own clause.
        let (handler, has_closed) =
            unsafe { (args::borrow(handler, "handler")?, args::out(has_closed, "has_closed")?) };
        has_closed.write(handler.handler.shutdown()?);
        Ok(())
    })
}

/// Tells what this node knows of the run, as a JSON object in UTF-8, NUL-terminated. Free it with `rdzv_bytes_free()`.
///
/// Its fields: `run_id`, `node`, `phase` (idle, joining, joined, shut down), `round`, `complete`, `closed`,
/// `min_nodes`, `max_nodes`; `participants`, `waiting` and `spares` (each with `address`, `pid`, `local_id`,
/// `heartbeat_age_s`, and `rank` in a complete round); `missing` (how many more nodes a round needs), `lost` (nodes that
/// died since the last join began), `seconds_left` (of a join), `last_call_seconds_left`, `clock_skew_s`, `endpoint`,
/// `last_error`. Later versions may add fields. It asks etcd only where this node has not joined, and reports a failure
/// of that in `last_error`.
///
/// Returns `RDZV_STATUS_OK` or `RDZV_STATUS_NULL_ARGUMENT`.
///
/// # Safety
/// `handler` must be NULL or live; `json` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_status_json(handler: *const rdzv_handler, json: *mut rdzv_bytes) -> rdzv_status {
    guard("rdzv_handler_status_json", || {
        // SAFETY: this function's own clause.
        let (handler, json) = unsafe { (args::borrow(handler, "handler")?, args::out(json, "json")?) };
        json.write(rdzv_bytes::from(handler.handler.status_json().into_bytes()));
        Ok(())
    })
}

/// Has `callback` told of what happens in the run; NULL switches that off, which is the default.
///
/// When this returns OK, the previous callback is not running in any thread and will not run again. A forked child
/// starts without one.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` from within a callback.
///
/// # Safety
/// `handler` must be NULL or live; `callback` must be NULL or callable from any thread with `user_data` until it is
/// replaced or the handler freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_set_event_callback(
    handler: *const rdzv_handler,
    callback: rdzv_event_callback,
    user_data: *mut c_void,
) -> rdzv_status {
    guard("rdzv_handler_set_event_callback", || {
        // SAFETY: this function's own clause.
        let handler = unsafe { args::borrow(handler, "handler")? };
        let callback = callback.map(|function| {
            let target = Target { function, user_data };
            Box::new(move |event: &Event| target.call(event)) as Callback
        });
        Ok(handler.handler.set_event_callback(callback)?)
    })
}

struct Target {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: `rdzv_handler_set_event_callback`'s clause lets any thread call the function with this pointer.
unsafe impl Send for Target {}
// SAFETY: as above; the library itself never looks behind the pointer.
unsafe impl Sync for Target {}

impl Target {
    fn call(&self, event: &Event) {
        let json = CString::new(event.to_json().to_string()).unwrap_or_default();
        // SAFETY: `rdzv_handler_set_event_callback`'s clause; the text lives until the callback returns.
        unsafe { (self.function)(event.kind().0, json.as_ptr(), self.user_data) };
    }
}

/// Ends the calls that are blocked on this handler, and every later one, with `RDZV_STATUS_CANCELLED`. NULL is ignored.
///
/// Heartbeats go on until the handler is shut down or freed. May be called from any thread and from a signal handler.
///
/// # Safety
/// `handler` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_handler_cancel(handler: *const rdzv_handler) {
    // SAFETY: this function's own clause.
    if let Some(handler) = unsafe { handler.as_ref() } {
        handler.handler.cancel();
    }
}

/// Frees the handler: its heartbeats end within 100 ms, and the run is not closed. NULL is ignored.
///
/// # Safety
/// `handler` must be NULL or live, and no other call may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_handler(handler: *mut rdzv_handler) {
    // SAFETY: this function's own clause.
    unsafe { args::free(handler, "rdzv_free_handler") };
}
