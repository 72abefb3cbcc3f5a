//! The store, one key at a time, and the life of its handles.

use std::ffi::c_char;
use std::time::Duration;

use super::args;
use super::bytes::rdzv_bytes;
use super::guard::{Failure, guard};
use super::status::rdzv_status;
use crate::store::Store;

/// In place of a timeout: the store's own, as set by `rdzv_store_set_timeout()`.
pub const RDZV_STORE_TIMEOUT: u64 = u64::MAX;

/// A key/value store in etcd, as torch.distributed knows it. One handle serves many threads at once, and a thread
/// that waits blocks no other.
///
/// Keys are NUL-terminated and may hold any other byte; they need not be text. Values hold any bytes. Every call
/// may also return `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_TIMEOUT`, `RDZV_STATUS_CANCELLED`, `RDZV_STATUS_AUTH`,
/// `RDZV_STATUS_SERVER`, and `RDZV_STATUS_INVALID_ARGUMENT` for a key or value that etcd could not hold.
pub struct rdzv_store(pub(super) Store);

const _: () = args::shared_by_threads::<rdzv_store>();

/// Sets `key` to a value, replacing what it was.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
/// bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_set(
    store: *const rdzv_store,
    key: *const c_char,
    value: *const u8,
    value_len: usize,
) -> rdzv_status {
    guard("rdzv_store_set", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::bytes(value, value_len, "value")?) };
        Ok(store.0.set(key, value)?)
    })
}

/// Waits until `key` is there and reads it. Free `*value` with `rdzv_bytes_free()`.
///
/// Returns `RDZV_STATUS_TIMEOUT` where the key has not come within the store's timeout.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_get(
    store: *const rdzv_store,
    key: *const c_char,
    value: *mut rdzv_bytes,
) -> rdzv_status {
    guard("rdzv_store_get", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::out(value, "value")?) };
        value.write(store.0.get(key)?.into());
        Ok(())
    })
}

/// Adds `amount` to the counter `key`, which starts at 0, and puts the sum into `*value`. An `amount` of 0 only
/// reads.
///
/// Returns `RDZV_STATUS_INVALID_ARGUMENT` where the key holds something that is not a number or the sum does not fit,
/// `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether this call has counted; it never counts twice.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_add(
    store: *const rdzv_store,
    key: *const c_char,
    amount: i64,
    value: *mut i64,
) -> rdzv_status {
    guard("rdzv_store_add", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::out(value, "value")?) };
        value.write(store.0.add(key, amount)?);
        Ok(())
    })
}

/// Sets `key` to `desired` if it holds `expected`, or if it is absent and `expected` is empty.
///
/// `*value` is what the key holds then: `desired` where it was set, else what is there; where the key is absent and
/// `expected` is not empty it is `expected`, as in TCPStore. Free it with `rdzv_bytes_free()`.
///
/// Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where the write was sent and its fate cannot be known.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `expected` and `desired` must be NULL or hold
/// as many bytes as their lengths say; `value` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_compare_set(
    store: *const rdzv_store,
    key: *const c_char,
    expected: *const u8,
    expected_len: usize,
    desired: *const u8,
    desired_len: usize,
    value: *mut rdzv_bytes,
) -> rdzv_status {
    guard("rdzv_store_compare_set", || {
        // SAFETY: this function's own clause.
        let (store, key, expected) = unsafe {
            (args::borrow(store, "store")?, args::key(key, "key")?, args::bytes(expected, expected_len, "expected")?)
        };
        // SAFETY: this function's own clause.
        let (desired, value) = unsafe { (args::bytes(desired, desired_len, "desired")?, args::out(value, "value")?) };
        value.write(store.0.compare_set(key, expected, desired)?.into());
        Ok(())
    })
}

/// Appends to the value of `key`, or creates it.
///
/// Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether this call has appended; it never does so
/// twice.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
/// bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_append(
    store: *const rdzv_store,
    key: *const c_char,
    value: *const u8,
    value_len: usize,
) -> rdzv_status {
    guard("rdzv_store_append", || {
        // SAFETY: this function's own clause.
        let (store, key, value) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::bytes(value, value_len, "value")?) };
        Ok(store.0.append(key, value)?)
    })
}

/// Deletes `key`; `*deleted` says whether there was one.
///
/// # Safety
/// `store` must be NULL or live; `key` must be NULL or NUL-terminated; `deleted` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_delete_key(
    store: *const rdzv_store,
    key: *const c_char,
    deleted: *mut bool,
) -> rdzv_status {
    guard("rdzv_store_delete_key", || {
        // SAFETY: this function's own clause.
        let (store, key, deleted) =
            unsafe { (args::borrow(store, "store")?, args::key(key, "key")?, args::out(deleted, "deleted")?) };
        deleted.write(store.0.delete_key(key)?);
        Ok(())
    })
}

/// Sets the timeout that the calls on this handle use, in milliseconds. 0 means now or never. Defaults to 300000.
///
/// Returns `RDZV_STATUS_INVALID_ARGUMENT` for `RDZV_STORE_TIMEOUT`.
///
/// # Safety
/// `store` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_set_timeout(store: *const rdzv_store, timeout_ms: u64) -> rdzv_status {
    guard("rdzv_store_set_timeout", || {
        // SAFETY: this function's own clause.
        let store = unsafe { args::borrow(store, "store") }?;
        let rule = "must be a number of milliseconds, not RDZV_STORE_TIMEOUT";
        let timeout = args::timeout(timeout_ms).ok_or_else(|| Failure::Invalid("timeout_ms".to_owned(), rule))?;
        store.0.set_timeout(timeout);
        Ok(())
    })
}

/// Reads the timeout that the calls on this handle use, in milliseconds.
///
/// # Safety
/// `store` must be NULL or live; `timeout_ms` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_timeout(store: *const rdzv_store, timeout_ms: *mut u64) -> rdzv_status {
    guard("rdzv_store_timeout", || {
        // SAFETY: this function's own clause.
        let (store, timeout_ms) = unsafe { (args::borrow(store, "store")?, args::out(timeout_ms, "timeout_ms")?) };
        timeout_ms.write(milliseconds(store.0.timeout()));
        Ok(())
    })
}

/// Creates another handle on the same store, with a timeout and a cancellation of its own; the timeout starts as this
/// one's. Free it with `rdzv_free_store()`, before or after this one. Sends nothing.
///
/// # Safety
/// `store` must be NULL or live; `new_store` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_clone(store: *const rdzv_store, new_store: *mut *mut rdzv_store) -> rdzv_status {
    guard("rdzv_store_clone", || {
        // SAFETY: this function's own clause.
        let (store, new_store) = unsafe { (args::borrow(store, "store")?, args::out(new_store, "new_store")?) };
        args::give(new_store, rdzv_store(store.0.clone()));
        Ok(())
    })
}

/// Creates a handle like `rdzv_store_clone()` does, whose keys all have `prefix` and a "/" put before them, as c10d's
/// PrefixStore. Prefixes nest.
///
/// # Safety
/// `store` must be NULL or live; `prefix` must be NULL or NUL-terminated; `new_store` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_with_prefix(
    store: *const rdzv_store,
    prefix: *const c_char,
    new_store: *mut *mut rdzv_store,
) -> rdzv_status {
    guard("rdzv_store_with_prefix", || {
        // SAFETY: this function's own clause.
        let (store, prefix, new_store) = unsafe {
            (args::borrow(store, "store")?, args::key(prefix, "prefix")?, args::out(new_store, "new_store")?)
        };
        args::give(new_store, rdzv_store(store.0.with_prefix(prefix)));
        Ok(())
    })
}

/// Ends the calls that are blocked on this handle, and all later ones, with `RDZV_STATUS_CANCELLED`. For good.
///
/// Safe from any thread and from a signal handler. NULL is nothing to do. Clones are cancelled on their own.
///
/// # Safety
/// `store` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_store_cancel(store: *const rdzv_store) {
    // SAFETY: this function's own clause.
    if let Some(store) = unsafe { store.as_ref() } {
        store.0.cancel();
    }
}

/// Frees a handle. The keys in etcd stay. NULL is nothing to do; etcd need not be alive.
///
/// # Safety
/// `store` must be NULL, or live and not in use anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_store(store: *mut rdzv_store) {
    // SAFETY: this function's own clause.
    unsafe { args::free(store, "rdzv_free_store") };
}

fn milliseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(RDZV_STORE_TIMEOUT - 1).min(RDZV_STORE_TIMEOUT - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_never_reads_as_the_special_value() {
        assert_eq!(milliseconds(Duration::from_millis(1500)), 1500);
        assert_eq!(milliseconds(Duration::MAX), RDZV_STORE_TIMEOUT - 1);
        assert_eq!(milliseconds(Duration::from_millis(u64::MAX)), RDZV_STORE_TIMEOUT - 1);
    }
}
