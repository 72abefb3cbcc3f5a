//! The one background thread of a handler: it tells the others that this node lives.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::backend::Backend;
use crate::etcd::Cancel;
use crate::handler::board::Board;
use crate::handler::drive::{Clock, Driver};
use crate::handler::events::Event;
use crate::handler::operation::{Kind, Operation};
use crate::handler::replica::Replica;
use crate::{Error, Result, logging};

/// How long to wait after a heartbeat that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Heartbeats, until stopped or dropped.
pub(super) struct Heartbeat {
    stop: Arc<Cancel>,
    thread: Option<JoinHandle<Replica>>,
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) backend: Backend,
    pub(super) board: Arc<Board>,
    pub(super) clock: Clock,
    pub(super) run_id: String,
}

impl Heartbeat {
    /// Starts the thread, which owns `replica` until it is stopped.
    pub(super) fn start(parts: Parts, replica: Replica) -> Result<Self> {
        let stop = Arc::new(Cancel::new());
        let backend = parts.backend.with_cancel(Arc::clone(&stop));
        let body = move || beat(&Parts { backend, ..parts }, replica);
        let thread = thread::Builder::new().name("rdzv-heartbeat".to_owned()).spawn(body).map_err(|error| {
            Error::Connection(crate::error::Cause::with_source("the heartbeat thread could not be started", error))
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and returns what it owned; none if it failed.
    pub(super) fn stop(mut self) -> Option<Replica> {
        self.stop.throw();
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.throw();
        if let Some(thread) = self.thread.take() {
            // It logs its own failure.
            let _ = thread.join();
        }
    }
}

fn beat(parts: &Parts, mut replica: Replica) -> Replica {
    let Parts { backend, board, clock, run_id } = parts;
    let driver = Driver { backend, board, clock: *clock, run_id };
    let mut failed = 0;
    loop {
        let now = clock.now();
        let Some(due) = replica.next_heartbeat(now) else {
            board.tell(&Event::Evicted);
            return replica;
        };
        let pause = if failed > 0 { AGAIN } else { due.saturating_sub(now.mono) };
        if backend.sleep(pause).is_err() {
            return replica;
        }
        replica.doubt();
        let mut operation = Operation::new(Kind::KeepAlive, replica.settings(), clock.now());
        match driver.run(&mut operation, &mut replica) {
            Ok(()) if failed > 0 => {
                failed = 0;
                board.tell(&Event::HeartbeatRecovered);
            }
            Ok(()) => {}
            Err(Error::Cancelled(_)) => return replica,
            Err(error) => {
                failed += 1;
                logging::warn(format_args!("heartbeat of run '{run_id}' failed: {error} {}", error.cause()));
                board.tell(&Event::HeartbeatFailed(failed, format!("{error} {}", error.cause())));
            }
        }
    }
}
