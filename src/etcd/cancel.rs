//! Waking the calls that are blocked on a handle, from any thread or from a signal handler.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::fork::PerProcess;

/// A switch that is thrown once: every call that looks at it, now or later, ends.
#[derive(Debug)]
pub(crate) struct Cancel {
    thrown: AtomicBool,
    /// Readable once thrown, so that a blocked poll returns. A forked child polls its own. Empty as long as there were
    /// no descriptors left for it: then nobody polls it either.
    wake: PerProcess<OnceLock<OwnedFd>>,
}

impl Cancel {
    pub(crate) fn new() -> Self {
        let wake = make().map_or_else(|_| OnceLock::new(), OnceLock::from);
        Self { thrown: AtomicBool::new(false), wake: PerProcess::new(wake) }
    }

    /// Throws the switch. Async-signal-safe: one store and one write.
    pub(crate) fn throw(&self) {
        self.thrown.store(true, Ordering::SeqCst);
        if let Some(wake) = self.wake.existing().and_then(OnceLock::get) {
            // The counter can only overflow after 2^64 throws, and the flag is what counts.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    pub(crate) fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::SeqCst)
    }

    /// What to poll for. Look at [`Cancel::is_thrown`] after taking it and before polling.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        let wake = self.wake.get(OnceLock::new);
        if let Some(wake) = wake.get() {
            return Ok(wake.as_fd());
        }
        let made = make()?;
        Ok(wake.get_or_init(|| made).as_fd())
    }
}

fn make() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}
