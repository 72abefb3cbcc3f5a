//! Doing what an operation asks for: reading, writing and waiting at etcd, until it is done.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::backend::Backend;
use crate::handler::board::Board;
use crate::handler::events::Event;
use crate::handler::machine::Failure;
use crate::handler::operation::{Operation, Step};
use crate::handler::replica::Replica;
use crate::handler::state::Now;
use crate::random::fraction;
use crate::{Error, Result, error::Cause};

/// A clock that never steps, and beside it the time of day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.0.elapsed(), wall: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX) }
    }
}

/// What operations are done with.
pub(super) struct Driver<'a> {
    pub(super) backend: &'a Backend,
    pub(super) board: &'a Board,
    pub(super) clock: Clock,
    pub(super) run_id: &'a str,
}

impl Driver<'_> {
    /// Takes `operation` to its end.
    pub(super) fn run(&self, operation: &mut Operation, replica: &mut Replica) -> Result<()> {
        loop {
            let now = self.clock.now();
            let step = operation.next(replica, now, dice());
            let left = operation.deadline().saturating_sub(now.mono).max(Duration::from_millis(1));
            let done = match step {
                Step::Read => self.read(replica, left),
                Step::Write => self.write(operation, replica, left),
                Step::Wait { until } => self.wait(replica, until.saturating_sub(now.mono)),
                Step::BackOff { until } => self.backend.sleep(until.saturating_sub(now.mono)),
                Step::Finished => return Ok(()),
                Step::Failed(failure) => Err(self.failure(failure, replica)),
            };
            if let Err(error) = done {
                replica.doubt();
                self.board.failed(&error);
                return Err(self.in_time(error, operation, replica));
            }
        }
    }

    fn read(&self, replica: &mut Replica, left: Duration) -> Result<()> {
        match self.backend.within(left).get_state() {
            Ok(state) => self.load(replica, Some((&state.value, state.token))),
            Err(Error::NotFound(_)) => self.load(replica, None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, operation: &mut Operation, replica: &mut Replica, left: Duration) -> Result<()> {
        let (bytes, token) = replica.to_store();
        if token.is_none() {
            self.warn_of_stale_keys(left)?;
        }
        match self.backend.within(left).set_state(&bytes, token) {
            Ok(set) if set.has_set => {
                let now = self.clock.now();
                replica.stored(set.state.token, now);
                self.board.publish(replica, now.mono);
                Ok(())
            }
            Ok(set) => {
                operation.lost();
                self.load(replica, Some((&set.state.value, set.state.token)))
            }
            Err(Error::NotFound(_)) => {
                operation.lost();
                self.load(replica, None)
            }
            Err(Error::UnknownOutcome(_)) => {
                replica.doubt();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for a change, for `time` at the most. Where none came etcd may have been silent for another reason, so the
    /// state is read again before anything is decided: nobody is to be taken for dead because etcd is. Only a heartbeat
    /// needs no look, as it would cost each of many nodes another request.
    fn wait(&self, replica: &mut Replica, time: Duration) -> Result<()> {
        match self.backend.await_change(replica.token(), time)? {
            Some(Some(state)) => self.load(replica, Some((&state.value, state.token))),
            Some(None) => self.load(replica, None),
            None => {
                let now = self.clock.now();
                match replica.next_heartbeat(now) {
                    Some(due) if due <= now.mono => replica.presume(),
                    _ => replica.doubt(),
                }
                Ok(())
            }
        }
    }

    fn load(&self, replica: &mut Replica, stored: Option<(&[u8], u64)>) -> Result<()> {
        let now = self.clock.now();
        replica.load(stored, now)?;
        self.board.publish(replica, now.mono);
        Ok(())
    }

    /// Where nobody has made the state yet, a store that holds this run's first address is an earlier run's.
    /// That is no more than a warning: a look that fails is none.
    fn warn_of_stale_keys(&self, left: Duration) -> Result<()> {
        let key = format!("torch.rendezvous.{}.0/MASTER_ADDR", self.run_id);
        match self.backend.within(left).has_key(key.as_bytes()) {
            Ok(true) => {
                crate::logging::warn(format_args!("the store holds keys of an earlier run '{}'", self.run_id));
                self.board.tell(&Event::StaleKeys);
            }
            Err(error @ Error::Cancelled(_)) => return Err(error),
            _ => {}
        }
        Ok(())
    }

    fn failure(&self, failure: Failure, replica: &Replica) -> Error {
        let run = self.run_id.escape_default();
        match failure {
            Failure::Closed => Error::Closed(Cause::new(format!("run '{run}' has been closed"))),
            Failure::ClosedWhileSpare => Error::Closed(Cause::new(format!(
                "run '{run}' was closed while this node was a spare; leave gracefully"
            ))),
            Failure::Timeout => self.timeout(replica, None),
        }
    }

    fn timeout(&self, replica: &Replica, source: Option<String>) -> Error {
        let (state, settings) = (replica.state(), replica.settings());
        let message = format!(
            "timeout in rendezvous '{}': round {} has {} of at least {} nodes, {} waiting",
            self.run_id.escape_default(),
            state.round,
            state.participants.len(),
            settings.min_nodes,
            state.wait_list.len()
        );
        Error::Timeout { message, source: source.map(Cause::new) }
    }

    /// A connection that is lost until the operation's own deadline is that deadline's end.
    fn in_time(&self, error: Error, operation: &Operation, replica: &Replica) -> Error {
        match error {
            Error::Connection(cause) if self.clock.now().mono >= operation.deadline() => {
                self.timeout(replica, Some(cause.to_string()))
            }
            error => error,
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of 2^63 fits")]
fn dice() -> u64 {
    (fraction() * 9.2e18) as u64
}
