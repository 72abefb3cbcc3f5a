//! The rendezvous backend: one state per run id, under a fencing token.

use std::ffi::{CString, c_char};

use super::args;
use super::bytes::rdzv_bytes;
use super::guard::guard;
use super::params::rdzv_params;
use super::status::rdzv_status;
use super::store::rdzv_store;
use crate::backend::{Backend, create_backend};

/// A rendezvous backend: the state of one run id in one etcd. One handle serves many threads at once.
pub struct rdzv_backend {
    backend: Backend,
    name: CString,
}

const _: () = args::shared_by_threads::<rdzv_backend>();

/// Connects to etcd and creates the backend of the run id in `params`, and the store that goes with it.
///
/// The connect timeout bounds how long it takes. On success `*backend` and `*store` are owned by the caller: free
/// them with `rdzv_free_backend()` and `rdzv_free_store()`, in any order. `params` is copied.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT` (an option is wrong),
/// `RDZV_STATUS_CONNECTION` (no endpoint answers), `RDZV_STATUS_AUTH`, `RDZV_STATUS_SERVER`, or
/// `RDZV_STATUS_UNSUPPORTED` (the etcd does not offer the API that the option `api` asks for).
///
/// # Safety
/// `params` must be NULL or live; `backend` and `store` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_create_backend(
    params: *const rdzv_params,
    backend: *mut *mut rdzv_backend,
    store: *mut *mut rdzv_store,
) -> rdzv_status {
    guard("rdzv_create_backend", || {
        // SAFETY: this function's own clause.
        let (params, backend, store) =
            unsafe { (args::borrow(params, "params")?, args::out(backend, "backend")?, args::out(store, "store")?) };
        let (new_backend, new_store) = create_backend(&params.0)?;
        let name = CString::new(new_backend.name()).unwrap_or_default();
        args::give(backend, rdzv_backend { backend: new_backend, name });
        args::give(store, rdzv_store(new_store));
        Ok(())
    })
}

/// The name of the API that the backend speaks: "etcd-v2" or "etcd-v3"; "" for NULL.
///
/// Never NULL; good until the backend is freed.
///
/// # Safety
/// `backend` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_backend_name(backend: *const rdzv_backend) -> *const c_char {
    // SAFETY: this function's own clause.
    let backend = unsafe { backend.as_ref() };
    backend.map_or(c"", |backend| backend.name.as_c_str()).as_ptr()
}

/// Reads the state and its token.
///
/// On success free `*state` with `rdzv_bytes_free()`; `*token` is never 0.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NOT_FOUND` where there is no state, `RDZV_STATUS_STATE` where there is one
/// that cannot be decoded, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_TIMEOUT`,
/// `RDZV_STATUS_CANCELLED`, `RDZV_STATUS_AUTH` or `RDZV_STATUS_SERVER`.
///
/// # Safety
/// `backend` must be NULL or live; `state` and `token` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_get_state(
    backend: *const rdzv_backend,
    state: *mut rdzv_bytes,
    token: *mut u64,
) -> rdzv_status {
    guard("rdzv_get_state", || {
        // SAFETY: this function's own clause.
        let (backend, state, token) =
            unsafe { (args::borrow(backend, "backend")?, args::out(state, "state")?, args::out(token, "token")?) };
        let current = backend.backend.get_state()?;
        state.write(current.value.into());
        token.write(current.token);
        Ok(())
    })
}

/// Replaces the state if `token` is current, or with `token` 0 creates it if there is none.
///
/// On success `*state_out`, `*token_out` and `*has_set` tell what is stored now: with `*has_set` true the new state
/// and its token, with false the state and token of whoever was there first. Losing is not a failure. Free
/// `*state_out` with `rdzv_bytes_free()`. Each write gives the state its full time to live, 7200 s unless the option
/// `ttl` says otherwise.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NOT_FOUND` where `token` is not 0 and the state has vanished,
/// `RDZV_STATUS_UNKNOWN_OUTCOME` where the write was sent and neither it nor its failure could be confirmed, or as
/// `rdzv_get_state()`.
///
/// # Safety
/// `backend` must be NULL or live; `state` must be NULL or hold `state_len` bytes; `state_out`, `token_out` and
/// `has_set` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_set_state(
    backend: *const rdzv_backend,
    state: *const u8,
    state_len: usize,
    token: u64,
    state_out: *mut rdzv_bytes,
    token_out: *mut u64,
    has_set: *mut bool,
) -> rdzv_status {
    guard("rdzv_set_state", || {
        // SAFETY: this function's own clause.
        let (backend, state) = unsafe { (args::borrow(backend, "backend")?, args::bytes(state, state_len, "state")?) };
        // SAFETY: this function's own clause.
        let (state_out, token_out, has_set) = unsafe {
            (args::out(state_out, "state_out")?, args::out(token_out, "token_out")?, args::out(has_set, "has_set")?)
        };
        let now = backend.backend.set_state(state, (token != 0).then_some(token))?;
        state_out.write(now.state.value.into());
        token_out.write(now.state.token);
        has_set.write(now.has_set);
        Ok(())
    })
}

/// Ends the calls that are blocked on this handle, and all later ones, with `RDZV_STATUS_CANCELLED`. For good.
///
/// Safe from any thread and from a signal handler. NULL is nothing to do. The store is cancelled on its own.
///
/// # Safety
/// `backend` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_backend_cancel(backend: *const rdzv_backend) {
    // SAFETY: this function's own clause.
    if let Some(backend) = unsafe { backend.as_ref() } {
        backend.backend.cancel();
    }
}

/// Frees a backend. The state in etcd stays. NULL is nothing to do; etcd need not be alive.
///
/// # Safety
/// `backend` must be NULL, or live and not in use anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_backend(backend: *mut rdzv_backend) {
    // SAFETY: this function's own clause.
    unsafe { args::free(backend, "rdzv_free_backend") };
}
