//! Buffers that the library hands out, and how they come back.

use std::ptr;

use super::guard::quietly;

/// Bytes: as an output allocated by the library and owned by the caller, as an input borrowed for the call.
///
/// An output is freed with `rdzv_bytes_free()`, once, unchanged. Its `data` is never NULL, not even when `len` is 0,
/// and one more byte, a NUL, follows the `len` bytes, so that text can be used as a C string. An input needs no such
/// byte, and its `data` may be NULL where `len` is 0. The struct never grows.
#[derive(Debug)]
#[repr(C)]
pub struct rdzv_bytes {
    /// The first byte.
    pub data: *mut u8,
    /// The number of bytes, without the NUL that follows them.
    pub len: usize,
}

/// A list of byte strings, allocated by the library and owned by the caller.
///
/// Freed with `rdzv_bytes_list_free()`, which frees the items too. `items` is NULL where `count` is 0. The struct
/// never grows.
#[derive(Debug)]
#[repr(C)]
pub struct rdzv_bytes_list {
    /// The first item.
    pub items: *mut rdzv_bytes,
    /// The number of items.
    pub count: usize,
}

impl rdzv_bytes {
    const NONE: Self = Self { data: ptr::null_mut(), len: 0 };

    /// # Safety
    /// The content is what `From<Vec<u8>>` made, or `data` is NULL.
    unsafe fn release(&mut self) {
        let Self { data, len } = std::mem::replace(self, Self::NONE);
        if !data.is_null() {
            let whole = ptr::slice_from_raw_parts_mut(data, len.wrapping_add(1));
            // SAFETY: this function's own clause: a box of `len` bytes and their NUL.
            drop(unsafe { Box::from_raw(whole) });
        }
    }
}

impl From<Vec<u8>> for rdzv_bytes {
    fn from(mut value: Vec<u8>) -> Self {
        let len = value.len();
        value.reserve_exact(1);
        value.push(0);
        Self { data: Box::into_raw(value.into_boxed_slice()).cast(), len }
    }
}

impl From<Vec<Vec<u8>>> for rdzv_bytes_list {
    fn from(values: Vec<Vec<u8>>) -> Self {
        let items: Box<[rdzv_bytes]> = values.into_iter().map(rdzv_bytes::from).collect();
        let count = items.len();
        let items = if count == 0 { ptr::null_mut() } else { Box::into_raw(items).cast() };
        Self { items, count }
    }
}

/// Frees the bytes that the library put into `bytes`, and sets it to `{NULL, 0}`, so that freeing it again does
/// nothing.
///
/// # Safety
/// `bytes` must be NULL, or point to an `rdzv_bytes` that is all zero or as the library filled it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_bytes_free(bytes: *mut rdzv_bytes) {
    quietly("rdzv_bytes_free", || {
        // SAFETY: this function's own clause.
        if let Some(bytes) = unsafe { bytes.as_mut() } {
            // SAFETY: this function's own clause.
            unsafe { bytes.release() };
        }
    });
}

/// Frees the items of `list` and what they hold, and sets it to `{NULL, 0}`, so that freeing it again does nothing.
///
/// # Safety
/// `list` must be NULL, or point to an `rdzv_bytes_list` that is all zero or as the library filled it; items that
/// were freed one by one before are fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_bytes_list_free(list: *mut rdzv_bytes_list) {
    quietly("rdzv_bytes_list_free", || {
        // SAFETY: this function's own clause.
        let Some(list) = (unsafe { list.as_mut() }) else { return };
        let items = std::mem::replace(&mut list.items, ptr::null_mut());
        let count = std::mem::take(&mut list.count);
        if items.is_null() {
            return;
        }
        // SAFETY: this function's own clause: a box of `count` items.
        let mut items = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(items, count)) };
        for item in &mut items {
            // SAFETY: this function's own clause.
            unsafe { item.release() };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &rdzv_bytes) -> &[u8] {
        // SAFETY: made by `From<Vec<u8>>`: the bytes and one NUL.
        unsafe { std::slice::from_raw_parts(bytes.data, bytes.len + 1) }
    }

    #[test]
    fn bytes_are_followed_by_a_nul_and_freed_once() {
        for value in [&b""[..], b"x", b"a\0b", &[7; 4096]] {
            let mut bytes = rdzv_bytes::from(value.to_vec());
            assert_eq!(bytes.len, value.len());
            assert_eq!(content(&bytes), [value, b"\0"].concat());
            for _ in 0..2 {
                // SAFETY: as the library filled it, then all zero.
                unsafe { rdzv_bytes_free(&raw mut bytes) };
                assert!(bytes.data.is_null() && bytes.len == 0);
            }
        }
    }

    #[test]
    fn lists_are_freed_once_even_after_an_item_was() {
        let mut list = rdzv_bytes_list::from(vec![b"a".to_vec(), Vec::new(), b"c".to_vec()]);
        assert_eq!(list.count, 3);
        // SAFETY: as the library filled it.
        unsafe { rdzv_bytes_free(list.items.add(1)) };
        for _ in 0..2 {
            // SAFETY: as the library filled it but for an item freed before, then all zero.
            unsafe { rdzv_bytes_list_free(&raw mut list) };
            assert!(list.items.is_null() && list.count == 0);
        }
        let empty = rdzv_bytes_list::from(Vec::new());
        assert!(empty.items.is_null() && empty.count == 0);
    }

    #[test]
    fn null_is_nothing_to_free() {
        // SAFETY: NULL is allowed.
        unsafe {
            rdzv_bytes_free(ptr::null_mut());
            rdzv_bytes_list_free(ptr::null_mut());
        }
    }
}
