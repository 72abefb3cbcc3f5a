//! Waking the calls that are blocked on a handle, from any thread or from a signal handler.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::fork::PerProcess;

/// A switch that is thrown once: every call that looks at it, now or later, ends.
#[derive(Debug)]
pub(crate) struct Cancel {
    thrown: AtomicBool,
    /// Readable once thrown, so that a blocked poll returns. A forked child polls its own.
    wake: PerProcess<io::Result<OwnedFd>>,
}

impl Cancel {
    pub(crate) fn new() -> Self {
        Self { thrown: AtomicBool::new(false), wake: PerProcess::new(make()) }
    }

    /// Throws the switch. Async-signal-safe: one store and one write.
    pub(crate) fn throw(&self) {
        self.thrown.store(true, Ordering::SeqCst);
        if let Some(Ok(wake)) = self.wake.existing() {
            // The counter can only overflow after 2^64 throws, and the flag is what counts.
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }

    pub(crate) fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::SeqCst)
    }

    /// What to poll for. Look at [`Cancel::is_thrown`] after taking it and before polling.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        match self.wake.get(make) {
            Ok(wake) => Ok(wake.as_fd()),
            Err(error) => Err(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)),
        }
    }
}

fn make() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}
