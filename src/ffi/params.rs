//! Parameters: what a rendezvous is, and how etcd is reached.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::args;
use super::bytes::rdzv_bytes;
use super::guard::guard;
use super::status::rdzv_status;
use crate::Error;
use crate::params::Params;

/// The parameters of a rendezvous. Calls that change one handle must not overlap with any other call on it.
///
/// What is created from parameters copies them: they can be changed or freed at once.
pub struct rdzv_params(pub(super) Params);

const _: () = args::shared_by_threads::<rdzv_params>();

/// Creates parameters.
///
/// `backend` is a label for your own use, such as "etcd-v2": any text that is not empty. `endpoint` is `host`,
/// `host:port`, `[ipv6]:port` or a comma-separated list of them; the host defaults to `localhost` and the port to
/// 2379, NULL and "" to both. `run_id` names the rendezvous; those who use the same one meet. `min_nodes` must be
/// greater than zero and `max_nodes` not smaller. Endpoint and run id are checked where a backend is created.
///
/// On success `*params` is owned by the caller: free it with `rdzv_free_params()`.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` with the rule that is
/// broken.
///
/// # Safety
/// Each text must be NULL or NUL-terminated; `params` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_create_params(
    backend: *const c_char,
    endpoint: *const c_char,
    run_id: *const c_char,
    min_nodes: i64,
    max_nodes: i64,
    params: *mut *mut rdzv_params,
) -> rdzv_status {
    guard("rdzv_create_params", || {
        // SAFETY: this function's own clause.
        let (backend, endpoint, run_id, params) = unsafe {
            (
                args::text(backend, "backend")?,
                args::optional_text(endpoint, "endpoint")?.unwrap_or_default(),
                args::text(run_id, "run_id")?,
                args::out(params, "params")?,
            )
        };
        args::give(params, rdzv_params(Params::new(backend, endpoint, run_id, min_nodes, max_nodes)?));
        Ok(())
    })
}

/// Sets the option `key` to `value`, replacing what it was. Both are UTF-8.
///
/// The options and their defaults are listed in the README. Values are checked where a backend is created. Unknown
/// options are kept, can be read back, and have no effect.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` for an empty `key` and
/// for text that is not UTF-8; the option is then as it was.
///
/// # Safety
/// `params` must be NULL or live and not in use elsewhere; each text must be NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_params_set(
    params: *mut rdzv_params,
    key: *const c_char,
    value: *const c_char,
) -> rdzv_status {
    guard("rdzv_params_set", || {
        // SAFETY: this function's own clause.
        let (params, key, value) =
            unsafe { (args::borrow_mut(params, "params")?, args::text(key, "key")?, args::text(value, "value")?) };
        Ok(params.0.set(key, value)?)
    })
}

/// Sets several options at once from `config`, which reads `key1=value1,key2=value2`. White space around keys and
/// values is dropped, the last of equal keys counts, and a value cannot contain a comma.
///
/// Returns as `rdzv_params_set()` does, `RDZV_STATUS_INVALID_ARGUMENT` also where `config` does not have that format.
/// On failure no option is changed.
///
/// # Safety
/// `params` must be NULL or live and not in use elsewhere; `config` must be NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_params_set_config(params: *mut rdzv_params, config: *const c_char) -> rdzv_status {
    guard("rdzv_params_set_config", || {
        // SAFETY: this function's own clause.
        let (params, config) = unsafe { (args::borrow_mut(params, "params")?, args::text(config, "config")?) };
        Ok(params.0.set_config(config)?)
    })
}

/// Takes the option `key` back to its default. One that is not set is left so, with `RDZV_STATUS_OK`.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// `params` must be NULL or live and not in use elsewhere; `key` must be NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_params_unset(params: *mut rdzv_params, key: *const c_char) -> rdzv_status {
    guard("rdzv_params_unset", || {
        // SAFETY: this function's own clause.
        let (params, key) = unsafe { (args::borrow_mut(params, "params")?, args::text(key, "key")?) };
        params.0.unset(key)?;
        Ok(())
    })
}

/// Reads the option `key` as it was set. Free `*value` with `rdzv_bytes_free()`; its `data` is a C string.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT`, or `RDZV_STATUS_NOT_FOUND`
/// where the option is not set.
///
/// # Safety
/// `params` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_params_get(
    params: *const rdzv_params,
    key: *const c_char,
    value: *mut rdzv_bytes,
) -> rdzv_status {
    guard("rdzv_params_get", || {
        // SAFETY: this function's own clause.
        let (params, key, value): (_, _, &mut MaybeUninit<rdzv_bytes>) =
            unsafe { (args::borrow(params, "params")?, args::text(key, "key")?, args::out(value, "value")?) };
        let found = params.0.get(key).ok_or_else(|| Error::NotFound(format!("the option '{key}' is not set")))?;
        value.write(found.into_bytes().into());
        Ok(())
    })
}

/// Frees parameters. NULL is nothing to do.
///
/// # Safety
/// `params` must be NULL, or live and not in use anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_params(params: *mut rdzv_params) {
    // SAFETY: this function's own clause.
    unsafe { args::free(params, "rdzv_free_params") };
}
