//! The store, many keys at a time: lists, waits, queues, the barrier.

use std::ffi::c_char;

use super::args;
use super::bytes::{rdzv_bytes, rdzv_bytes_list};
use super::guard::guard;
use super::status::rdzv_status;
use super::store::rdzv_store;

/// Waits until all `count` keys are there, for at most `timeout_ms`: 0 looks once, `RDZV_STORE_TIMEOUT` takes the
/// store's own. No keys are all there at once; one named twice counts once.
///
/// Returns `RDZV_STATUS_TIMEOUT` with a message that names the missing keys.
///
/// # Safety
/// `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_wait(
    store: *const rdzv_store,
    keys: *const *const c_char,
    count: usize,
    timeout_ms: u64,
) -> rdzv_status {
    guard("rdzv_store_wait", || {
        // SAFETY: this function's own clause.
        let (store, keys) = unsafe { (args::borrow(store, "store")?, args::keys(keys, count, "keys")?) };
        Ok(store.0.wait(&keys, args::timeout(timeout_ms))?)
    })
}

/// Tells in `*present` whether all `count` keys are there, without waiting. No keys are.
///
/// # Safety
/// `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `present` must be NULL
/// or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_check(
    store: *const rdzv_store,
    keys: *const *const c_char,
    count: usize,
    present: *mut bool,
) -> rdzv_status {
    guard("rdzv_store_check", || {
        // SAFETY: this function's own clause.
        let (store, keys, present) = unsafe {
            (args::borrow(store, "store")?, args::keys(keys, count, "keys")?, args::out(present, "present")?)
        };
        present.write(store.0.check(&keys)?);
        Ok(())
    })
}

/// Waits until all `count` keys are there and reads them, in the order given. Free `*values` with
/// `rdzv_bytes_list_free()`.
///
/// Returns `RDZV_STATUS_TIMEOUT` where they have not all come within the store's timeout.
///
/// # Safety
/// `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `values` must be NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_multi_get(
    store: *const rdzv_store,
    keys: *const *const c_char,
    count: usize,
    values: *mut rdzv_bytes_list,
) -> rdzv_status {
    guard("rdzv_store_multi_get", || {
        // SAFETY: this function's own clause.
        let (store, keys, values) =
            unsafe { (args::borrow(store, "store")?, args::keys(keys, count, "keys")?, args::out(values, "values")?) };
        values.write(store.0.multi_get(&keys)?.into());
        Ok(())
    })
}

/// Sets `count` keys to the values at the same places in `values`. On failure some of them may be set.
///
/// # Safety
/// `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `values` must be NULL or
/// hold `count` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_multi_set(
    store: *const rdzv_store,
    keys: *const *const c_char,
    values: *const rdzv_bytes,
    count: usize,
) -> rdzv_status {
    guard("rdzv_store_multi_set", || {
        // SAFETY: this function's own clause.
        let (store, keys, values) = unsafe {
            (args::borrow(store, "store")?, args::keys(keys, count, "keys")?, args::values(values, count, "values")?)
        };
        let items: Vec<_> = keys.into_iter().zip(values).collect();
        Ok(store.0.multi_set(&items)?)
    })
}

/// Counts the keys of the whole store, of all runs; through a prefix too, as c10d's `PrefixStore` does. Queues are not
/// keys.
///
/// # Safety
/// `store` must be NULL or live; `count` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_num_keys(store: *const rdzv_store, count: *mut u64) -> rdzv_status {
    guard("rdzv_store_num_keys", || {
        // SAFETY: this function's own clause.
        let (store, count) = unsafe { (args::borrow(store, "store")?, args::out(count, "count")?) };
        count.write(store.0.num_keys()?);
        Ok(())
    })
}

/// Lists the keys, sorted by their bytes; a handle with a prefix lists those under its prefix, without it.
///
/// Free `*keys` with `rdzv_bytes_list_free()`. A key is a C string unless a peer wrote one with a NUL inside, which
/// only its `len` tells and which no call that takes a C string can name.
///
/// # Safety
/// `store` must be NULL or live; `keys` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_list_keys(store: *const rdzv_store, keys: *mut rdzv_bytes_list) -> rdzv_status {
    guard("rdzv_store_list_keys", || {
        // SAFETY: this function's own clause.
        let (store, keys) = unsafe { (args::borrow(store, "store")?, args::out(keys, "keys")?) };
        keys.write(store.0.list_keys()?.into());
        Ok(())
    })
}

/// Puts a value at the end of the queue `key`.
///
/// Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether the value is in the queue; it never is
/// there twice.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
/// bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_queue_push(
    store: *const rdzv_store,
    key: *const c_char,
    value: *const u8,
    value_len: usize,
) -> rdzv_status {
    guard("rdzv_store_queue_push", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::bytes(value, value_len, "value")?) };
        Ok(store.0.queue_push(key, value)?)
    })
}

/// Takes the first value of the queue `key`. Where there is none it waits with `block` true until the store's
/// timeout. Free `*value` with `rdzv_bytes_free()`.
///
/// Returns `RDZV_STATUS_NOT_FOUND` where the queue is empty and `block` is false, `RDZV_STATUS_TIMEOUT` where it
/// stayed empty, `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether a value was taken.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_queue_pop(
    store: *const rdzv_store,
    key: *const c_char,
    block: bool,
    value: *mut rdzv_bytes,
) -> rdzv_status {
    guard("rdzv_store_queue_pop", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::out(value, "value")?) };
        value.write(store.0.queue_pop(key, block)?.into());
        Ok(())
    })
}

/// Counts the values in the queue `key`; 0 where there is no such queue.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `len` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_queue_len(
    store: *const rdzv_store,
    key: *const c_char,
    len: *mut u64,
) -> rdzv_status {
    guard("rdzv_store_queue_len", || {
        // SAFETY: this function's own clause.
        let (store, key, len) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::out(len, "len")?) };
        len.write(store.0.queue_len(key)?);
        Ok(())
    })
}

/// Waits until `world_size` callers are at the barrier `key`, for at most `timeout_ms`: 0 looks once,
/// `RDZV_STORE_TIMEOUT` takes the store's own. A key serves once: take another for the next barrier.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_barrier(
    store: *const rdzv_store,
    key: *const c_char,
    world_size: u64,
    timeout_ms: u64,
) -> rdzv_status {
    guard("rdzv_store_barrier", || {
        // SAFETY: this function's own clause.
        let (store, key) = unsafe { (args::borrow(store, "store")?, args::key(key, "key")?) };
        Ok(store.0.barrier(key, world_size, args::timeout(timeout_ms))?)
    })
}
