//! C arguments to Rust ones: one helper for each shape, each naming the argument it refuses.
//!
//! All of them trust what C cannot be asked about: that a pointer which is not NULL points to what its type says, and
//! that it stays there for the call.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::time::Duration;

use super::bytes::rdzv_bytes;
use super::guard::{Failure, quietly};
use super::store::RDZV_STORE_TIMEOUT;

/// The longest value that is looked at: as much as a protocol buffer, and so etcd, can carry. More is a wrong length.
const MAX_LEN: usize = i32::MAX as usize;
/// The longest list that is looked at. More is a wrong count.
const MAX_COUNT: usize = 1 << 24;

/// Says at compile time that handles of this type serve many threads.
pub(super) const fn shared_by_threads<T: Send + Sync>() {}

fn null(name: &str) -> Failure {
    Failure::Null(name.to_owned())
}

fn invalid(name: &str, rule: &'static str) -> Failure {
    Failure::Invalid(name.to_owned(), rule)
}

/// A handle to read.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody writes to during the call.
pub(super) unsafe fn borrow<'a, T>(handle: *const T, name: &'static str) -> Result<&'a T, Failure> {
    // SAFETY: this function's own clause.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// A handle to change.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody else uses during the call.
pub(super) unsafe fn borrow_mut<'a, T>(handle: *mut T, name: &'static str) -> Result<&'a mut T, Failure> {
    // SAFETY: this function's own clause.
    unsafe { handle.as_mut() }.ok_or_else(|| null(name))
}

/// A place for an output, which may hold anything before.
///
/// # Safety
/// `place` is NULL or points to room for a `T` that nobody else uses during the call.
pub(super) unsafe fn out<'a, T>(place: *mut T, name: &'static str) -> Result<&'a mut MaybeUninit<T>, Failure> {
    // SAFETY: this function's own clause; `MaybeUninit<T>` has the layout of `T` and no demands on its content.
    unsafe { place.cast::<MaybeUninit<T>>().as_mut() }.ok_or_else(|| null(name))
}

/// A key: bytes up to a NUL, in any encoding.
///
/// # Safety
/// `key` is NULL or points to a NUL-terminated string that nobody writes to during the call.
pub(super) unsafe fn key<'a>(key: *const c_char, name: &'static str) -> Result<&'a [u8], Failure> {
    // SAFETY: this function's own clause.
    unsafe { key_at(key, || name.to_owned()) }
}

/// # Safety
/// As for [`key`].
unsafe fn key_at<'a>(key: *const c_char, name: impl FnOnce() -> String) -> Result<&'a [u8], Failure> {
    if key.is_null() {
        return Err(Failure::Null(name()));
    }
    // SAFETY: not NULL, and this function's own clause.
    Ok(unsafe { CStr::from_ptr(key) }.to_bytes())
}

/// Text in UTF-8.
///
/// # Safety
/// As for [`key`].
pub(super) unsafe fn text<'a>(text: *const c_char, name: &'static str) -> Result<&'a str, Failure> {
    // SAFETY: this function's own clause.
    let bytes = unsafe { key(text, name) }?;
    std::str::from_utf8(bytes).map_err(|_| invalid(name, "is not valid UTF-8"))
}

/// Text that may be left out with NULL.
///
/// # Safety
/// As for [`key`].
pub(super) unsafe fn optional_text<'a>(from: *const c_char, name: &'static str) -> Result<Option<&'a str>, Failure> {
    if from.is_null() {
        return Ok(None);
    }
    // SAFETY: this function's own clause.
    unsafe { text(from, name) }.map(Some)
}

/// A value: pointer and length, where NULL goes with a length of 0.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that nobody writes to during the call.
pub(super) unsafe fn bytes<'a>(data: *const u8, len: usize, name: &'static str) -> Result<&'a [u8], Failure> {
    // SAFETY: this function's own clause.
    unsafe { slice(data, len, MAX_LEN, || name.to_owned(), "is longer than 2147483647 bytes") }
}

/// A list of keys: pointer and count, where NULL goes with a count of 0.
///
/// # Safety
/// `keys` is NULL or points to `count` pointers, each as for [`key`].
pub(super) unsafe fn keys<'a>(
    keys: *const *const c_char,
    count: usize,
    name: &'static str,
) -> Result<Vec<&'a [u8]>, Failure> {
    // SAFETY: this function's own clause.
    let list = unsafe { slice(keys, count, MAX_COUNT, || name.to_owned(), "has more than 16777216 entries") }?;
    let key = |(index, key): (usize, &*const c_char)| {
        // SAFETY: this function's own clause.
        unsafe { key_at(*key, || format!("{name}[{index}]")) }
    };
    list.iter().enumerate().map(key).collect()
}

/// A list of values: pointer and count, where NULL goes with a count of 0.
///
/// # Safety
/// `values` is NULL or points to `count` entries, each as for [`bytes`].
pub(super) unsafe fn values<'a>(
    values: *const rdzv_bytes,
    count: usize,
    name: &'static str,
) -> Result<Vec<&'a [u8]>, Failure> {
    // SAFETY: this function's own clause.
    let list = unsafe { slice(values, count, MAX_COUNT, || name.to_owned(), "has more than 16777216 entries") }?;
    let value = |(index, value): (usize, &rdzv_bytes)| {
        let name = || format!("{name}[{index}]");
        // SAFETY: this function's own clause.
        unsafe { slice(value.data.cast_const(), value.len, MAX_LEN, name, "is longer than 2147483647 bytes") }
    };
    list.iter().enumerate().map(value).collect()
}

/// # Safety
/// `data` is NULL or points to `len` items that nobody writes to during the call.
unsafe fn slice<'a, T>(
    data: *const T,
    len: usize,
    max: usize,
    name: impl FnOnce() -> String,
    rule: &'static str,
) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::Null(name()));
    }
    if len > max {
        return Err(Failure::Invalid(name(), rule));
    }
    // SAFETY: not NULL, this function's own clause, and `max` keeps the size below `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// A timeout in milliseconds; none where the store's own is asked for.
pub(super) fn timeout(timeout_ms: u64) -> Option<Duration> {
    (timeout_ms != RDZV_STORE_TIMEOUT).then(|| Duration::from_millis(timeout_ms))
}

/// Hands a new handle to the caller.
pub(super) fn give<T>(place: &mut MaybeUninit<*mut T>, value: T) {
    place.write(Box::into_raw(Box::new(value)));
}

/// Takes a handle back and drops what it holds. NULL is nothing to do.
///
/// # Safety
/// `handle` is NULL or came from [`give`], was not freed before, and nobody uses it any more.
pub(super) unsafe fn free<T>(handle: *mut T, entry: &'static str) {
    if !handle.is_null() {
        // SAFETY: not NULL, and this function's own clause.
        quietly(entry, || drop(unsafe { Box::from_raw(handle) }));
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn refused<T>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::Null(name)) => format!("null {name}"),
            Err(Failure::Invalid(name, rule)) => format!("{name} {rule}"),
            Err(Failure::Core(error)) => error.to_string(),
            Ok(_) => "accepted".to_owned(),
        }
    }

    #[test]
    fn null_is_refused_by_name() {
        // SAFETY: NULL is what these calls are about.
        unsafe {
            assert_eq!(refused(borrow::<u8>(ptr::null(), "a")), "null a");
            assert_eq!(refused(borrow_mut::<u8>(ptr::null_mut(), "b")), "null b");
            assert_eq!(refused(out::<u8>(ptr::null_mut(), "c")), "null c");
            assert_eq!(refused(key(ptr::null(), "d")), "null d");
            assert_eq!(refused(text(ptr::null(), "e")), "null e");
            assert_eq!(refused(bytes(ptr::null(), 1, "f")), "null f");
            assert_eq!(refused(keys(ptr::null(), 1, "g")), "null g");
            assert_eq!(refused(keys([c"x".as_ptr(), ptr::null()].as_ptr(), 2, "h")), "null h[1]");
            assert_eq!(refused(values(ptr::null(), 1, "i")), "null i");
            assert_eq!(refused(values(&rdzv_bytes { data: ptr::null_mut(), len: 1 }, 1, "j")), "null j[0]");
        }
    }

    #[test]
    fn null_is_an_empty_value_or_list_or_nothing() {
        // SAFETY: NULL is what these calls are about.
        unsafe {
            assert!(bytes(ptr::null(), 0, "a").unwrap().is_empty());
            assert!(keys(ptr::null(), 0, "b").unwrap().is_empty());
            assert!(values(ptr::null(), 0, "c").unwrap().is_empty());
            assert_eq!(values(&rdzv_bytes { data: ptr::null_mut(), len: 0 }, 1, "d").unwrap(), [b""]);
            assert!(optional_text(ptr::null(), "e").unwrap().is_none());
            free::<u8>(ptr::null_mut(), "f");
        }
    }

    #[test]
    fn only_text_must_be_utf8() {
        let latin = c"caf\xe9".as_ptr();
        // SAFETY: a static C string.
        unsafe {
            assert_eq!(refused(text(latin, "a")), "a is not valid UTF-8");
            assert_eq!(refused(optional_text(latin, "b")), "b is not valid UTF-8");
            assert_eq!(key(latin, "c").unwrap(), b"caf\xe9");
            assert_eq!(text(c"caf\u{e9}".as_ptr(), "d").unwrap(), "caf\u{e9}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_unread() {
        let byte = 1_u8;
        // SAFETY: nothing beyond the first byte is read: that is what is tested.
        unsafe {
            for len in [usize::MAX, usize::MAX / 2, MAX_LEN + 1] {
                assert_eq!(refused(bytes(&raw const byte, len, "a")), "a is longer than 2147483647 bytes");
            }
            for count in [usize::MAX, usize::MAX / 16, MAX_COUNT + 1] {
                assert_eq!(refused(keys([c"x".as_ptr()].as_ptr(), count, "b")), "b has more than 16777216 entries");
            }
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!(timeout(RDZV_STORE_TIMEOUT), None);
        assert_eq!(timeout(0), Some(Duration::ZERO));
        assert_eq!(timeout(u64::MAX - 1), Some(Duration::from_millis(u64::MAX - 1)));
    }
}
