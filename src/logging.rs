//! Where the library's own log lines go: one callback for the process, off until someone sets it.
//!
//! A line is written on the thread that the event happened on, inside the call that it belongs to. Lines name
//! operations, keys, endpoints and times; never a password, a token or a value.
//!
//! The callback runs under a read lock, so that whoever replaces it knows, when [`set_callback`] returns, that the
//! old one runs no more. A lock held by another thread at the time of a `fork()` stays held in the child for ever.
//! Therefore every process has a slot of its own and a forked child starts with logging off.

use std::cell::Cell;
use std::fmt;
use std::process;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::{Error, Result};

/// How much a line matters; a callback gets its own level and all above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed that the caller may not see otherwise.
    Error = 1,
    /// Something went wrong and was made good: a retry, another endpoint, a server killed because it would not stop.
    Warn = 2,
    /// Rare and of interest: connected, server started.
    Info = 3,
    /// One line for each operation.
    Debug = 4,
    /// One line for each request on the wire.
    Trace = 5,
}

/// What receives the lines.
pub type Callback = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Sink {
    level: Level,
    callback: Callback,
}

/// The callback of one process. Slots of ancestors are never touched again, and stay reachable through the chain.
struct Slot {
    /// The process that owns the slot; 0 where nobody has claimed it yet.
    process: AtomicU32,
    sink: RwLock<Option<Sink>>,
    next: OnceLock<Box<Slot>>,
}

/// The most talkative level that anybody listens to, so that a line nobody wants costs one load.
static LEVEL: AtomicU8 = AtomicU8::new(0);

static FIRST: Slot = Slot::new(0);

thread_local! {
    /// Whether this thread is inside the callback.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Slot {
    const fn new(process: u32) -> Self {
        Self { process: AtomicU32::new(process), sink: RwLock::new(None), next: OnceLock::new() }
    }

    /// The slot of `process`, where it has one.
    fn find(&self, process: u32) -> Option<&Slot> {
        let mut slot = self;
        while slot.process.load(Ordering::Acquire) != process {
            slot = slot.next.get()?;
        }
        Some(slot)
    }

    /// The slot of `process`, made where it has none.
    fn claim(&self, process: u32) -> &Slot {
        let mut slot = self;
        loop {
            let owner = slot.process.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire);
            if owner.is_ok() || owner == Err(process) {
                return slot;
            }
            slot = slot.next.get_or_init(|| Box::new(Slot::new(process)));
        }
    }
}

/// Marks this thread as inside the callback for as long as it lives.
struct Turn;

impl Turn {
    fn take() -> Option<Self> {
        if INSIDE.replace(true) { None } else { Some(Self) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Sends the lines of a level and all above it to a callback, or with `None` nowhere, which is the default.
///
/// When it returns, the previous callback is not running in any thread and will not run again. The callback may use
/// the library; what it causes there is not logged. It must not wait for a thread that is in `set_callback`.
///
/// A forked child starts with logging off.
///
/// # Errors
/// `InvalidArgument` when called from within the callback.
pub fn set_callback(target: Option<(Level, Callback)>) -> Result<()> {
    if INSIDE.get() {
        return Err(Error::InvalidArgument("the log callback cannot be replaced from within itself".to_owned()));
    }
    let level = target.as_ref().map_or(0, |(level, _)| *level as u8);
    let mut sink = FIRST.claim(process::id()).sink.write().unwrap_or_else(PoisonError::into_inner);
    LEVEL.store(level, Ordering::Relaxed);
    let previous = std::mem::replace(&mut *sink, target.map(|(level, callback)| Sink { level, callback }));
    drop(sink);
    drop(previous);
    Ok(())
}

/// Whether anybody listens at this level: to be asked before a line that is expensive to make.
pub(crate) fn enabled(level: Level) -> bool {
    LEVEL.load(Ordering::Relaxed) >= level as u8
}

/// Sends one line, without a line break, to the callback if it wants it.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let Some(slot) = FIRST.find(process::id()) else { return };
    let Some(_turn) = Turn::take() else { return };
    let sink = slot.sink.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = sink.as_ref().filter(|sink| level <= sink.level) {
        (sink.callback)(level, &line.to_string());
    }
}

/// [`log()`] at [`Level::Error`].
pub(crate) fn error(line: fmt::Arguments<'_>) {
    log(Level::Error, line);
}

/// [`log()`] at [`Level::Warn`].
pub(crate) fn warn(line: fmt::Arguments<'_>) {
    log(Level::Warn, line);
}

/// [`log()`] at [`Level::Info`].
pub(crate) fn info(line: fmt::Arguments<'_>) {
    log(Level::Info, line);
}

/// [`log()`] at [`Level::Debug`].
pub(crate) fn debug(line: fmt::Arguments<'_>) {
    log(Level::Debug, line);
}

/// [`log()`] at [`Level::Trace`].
pub(crate) fn trace(line: fmt::Arguments<'_>) {
    log(Level::Trace, line);
}

/// One test at a time may hold the callback of the process.
#[cfg(test)]
pub(crate) static TEST_TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn collect(level: Level) -> Arc<Mutex<Vec<(Level, String)>>> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let callback = move |level, line: &str| {
            if line.contains("logging test") {
                seen.lock().unwrap().push((level, line.to_owned()));
            }
        };
        set_callback(Some((level, Box::new(callback)))).unwrap();
        lines
    }

    #[test]
    fn lines_of_the_level_and_above_arrive() {
        let _turn = TEST_TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = collect(Level::Info);
        error(format_args!("logging test {}", 1));
        info(format_args!("logging test {}", 2));
        debug(format_args!("logging test {}", 3));
        assert!(enabled(Level::Info) && !enabled(Level::Debug));
        set_callback(None).unwrap();
        assert!(!enabled(Level::Error));
        error(format_args!("logging test {}", 4));
        let expected = [(Level::Error, "logging test 1".to_owned()), (Level::Info, "logging test 2".to_owned())];
        assert_eq!(*lines.lock().unwrap(), expected);
    }

    #[test]
    fn a_callback_that_logs_or_replaces_itself_does_not_deadlock() {
        let _turn = TEST_TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = Arc::new(AtomicU32::new(0));
        let refused = Arc::new(AtomicBool::new(false));
        let (seen, replaced) = (Arc::clone(&calls), Arc::clone(&refused));
        let callback = move |_: Level, line: &str| {
            if line == "outer logging test" {
                seen.fetch_add(1, Ordering::Relaxed);
                error(format_args!("outer logging test"));
                replaced.store(set_callback(None).is_err(), Ordering::Relaxed);
            }
        };
        set_callback(Some((Level::Trace, Box::new(callback)))).unwrap();
        error(format_args!("outer logging test"));
        set_callback(None).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(refused.load(Ordering::Relaxed));
    }

    #[test]
    fn replacing_waits_for_the_callback_that_runs() {
        let _turn = TEST_TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&finished);
        let (started, entered) = mpsc::sync_channel(1);
        let callback = move |_: Level, line: &str| {
            if line == "slow logging test" {
                started.send(()).unwrap();
                thread::sleep(Duration::from_millis(100));
                done.store(true, Ordering::SeqCst);
            }
        };
        set_callback(Some((Level::Error, Box::new(callback)))).unwrap();
        let writer = thread::spawn(|| error(format_args!("slow logging test")));
        entered.recv().unwrap();
        set_callback(None).unwrap();
        assert!(finished.load(Ordering::SeqCst));
        writer.join().unwrap();
    }

    #[test]
    fn every_process_has_a_slot_of_its_own() {
        let first = Slot::new(0);
        assert!(first.find(7).is_none());
        let parent: *const Slot = first.claim(7);
        let child: *const Slot = first.claim(8);
        assert_eq!(parent, &raw const first);
        assert_ne!(parent, child);
        assert_eq!(first.find(7).map(|slot| &raw const *slot), Some(parent));
        assert_eq!(first.find(8).map(|slot| &raw const *slot), Some(child));
        assert_eq!(&raw const *first.claim(8), child);
        assert!(first.find(9).is_none());
    }
}
