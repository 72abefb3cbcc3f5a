//! The calling thread's last failure, in buffers of fixed size and place.
//!
//! The addresses handed to C stay good for the thread's life, even across later failures, because the slot is never
//! moved and never dropped. `printf("%d %s", call(), rdzv_last_error_message())` is therefore safe in either order of
//! evaluation.

use std::cell::Cell;
use std::ffi::c_char;
use std::fmt::{self, Write};

use super::status::rdzv_status;

/// The room for a message, its NUL included.
pub(super) const MESSAGE_ROOM: usize = 1024;
/// The room for a cause, its NUL included.
pub(super) const CAUSE_ROOM: usize = 2048;

thread_local! {
    static STATUS: Cell<rdzv_status> = const { Cell::new(rdzv_status::Ok) };
    static MESSAGE: Cell<[u8; MESSAGE_ROOM]> = const { Cell::new([0; MESSAGE_ROOM]) };
    static CAUSE: Cell<[u8; CAUSE_ROOM]> = const { Cell::new([0; CAUSE_ROOM]) };
}

/// A C string of limited size: what does not fit is cut between two characters.
struct Text<const ROOM: usize> {
    bytes: [u8; ROOM],
    len: usize,
    full: bool,
}

impl<const ROOM: usize> Text<ROOM> {
    /// `text` as a C string; a NUL inside it becomes a question mark.
    fn of(text: impl fmt::Display) -> [u8; ROOM] {
        let mut cut = Self { bytes: [0; ROOM], len: 0, full: false };
        // A text that stops in the middle is still the best there is to tell.
        let _ = write!(cut, "{text}");
        cut.bytes
    }
}

impl<const ROOM: usize> Write for Text<ROOM> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            let character = if character == '\0' { '?' } else { character };
            let end = self.len + character.len_utf8();
            let room = self.bytes.get_mut(self.len..end).filter(|_| end < ROOM && !self.full);
            let Some(room) = room else {
                self.full = true;
                return Err(fmt::Error);
            };
            character.encode_utf8(room);
            self.len = end;
        }
        Ok(())
    }
}

/// Makes this the thread's last failure.
pub(super) fn record(status: rdzv_status, message: impl fmt::Display, cause: impl fmt::Display) {
    let (message, cause) = (Text::of(message), Text::of(cause));
    STATUS.set(status);
    MESSAGE.set(message);
    CAUSE.set(cause);
}

/// The status of the thread's last failure; OK where there was none.
pub(super) fn status() -> rdzv_status {
    STATUS.get()
}

/// The address of the thread's message.
pub(super) fn message() -> *const c_char {
    MESSAGE.with(Cell::as_ptr).cast()
}

/// The address of the thread's cause.
pub(super) fn cause() -> *const c_char {
    CAUSE.with(Cell::as_ptr).cast()
}

#[cfg(test)]
pub(super) mod tests {
    use std::ffi::CStr;

    use super::*;

    /// The thread's last failure: status, message and cause.
    pub(in crate::ffi) fn last() -> (rdzv_status, String, String) {
        // SAFETY: both are NUL-terminated and live as long as the thread.
        let text = |address| unsafe { CStr::from_ptr(address) }.to_str().unwrap().to_owned();
        (status(), text(message()), text(cause()))
    }

    #[test]
    fn a_thread_starts_without_a_failure_and_keeps_its_own() {
        record(rdzv_status::State, "mine", "why");
        let address = message();
        let other = std::thread::spawn(last).join().unwrap();
        assert_eq!(other, (rdzv_status::Ok, String::new(), String::new()));
        assert_eq!(last(), (rdzv_status::State, "mine".to_owned(), "why".to_owned()));
        record(rdzv_status::Auth, "next", "");
        assert_eq!(last(), (rdzv_status::Auth, "next".to_owned(), String::new()));
        assert_eq!(message(), address);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        record(rdzv_status::Server, "é".repeat(2000), format_args!("a{}{}", "é".repeat(2000), "b"));
        let (_, message, cause) = last();
        assert_eq!(message, "é".repeat(511));
        assert_eq!(cause, format!("a{}", "é".repeat(1023)));
    }

    #[test]
    fn a_nul_inside_a_text_does_not_end_it() {
        record(rdzv_status::Server, "a\0b", "");
        assert_eq!(last().1, "a?b");
    }
}
