//! The rendezvous backend: one state per run, replaced by compare-and-set under a fencing token.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::etcd::{self, Call, Cancel, Expect, Identity, Key, Kv, Subject, Swap, Want};
use crate::params::Params;
use crate::store::Store;

/// The shared state of one rendezvous. One backend serves many threads at once.
#[derive(Clone)]
pub struct Backend {
    kv: Arc<dyn Kv>,
    run_id: String,
    limit: Duration,
    cancel: Arc<Cancel>,
}

/// A state and the fencing token that stands for it, never 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The state, which only its users can read.
    pub value: Vec<u8>,
    /// What [`Backend::set_state`] takes to replace just this state.
    pub token: u64,
}

/// What came of [`Backend::set_state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetState {
    /// The state that is there now.
    pub state: State,
    /// Whether it is the one that was to be set.
    pub has_set: bool,
}

/// Contacts etcd and returns the backend and the store of a run.
///
/// # Errors
/// [`Error::InvalidArgument`] for parameters that PyTorch would refuse too, and for files that cannot be read;
/// [`Error::Connection`] where no endpoint answers; [`Error::Unsupported`] where etcd lacks the API asked for.
pub fn create_backend(params: &Params) -> Result<(Backend, Store)> {
    let settings = params.settings()?;
    let kv = etcd::connect(&settings)?;
    let store = Store::new(Arc::clone(&kv), settings.read_timeout, settings.store_timeout);
    let cancel = Arc::new(Cancel::new());
    Ok((Backend { kv, run_id: settings.run_id, limit: settings.read_timeout, cancel }, store))
}

impl Backend {
    /// `etcd-v2` or `etcd-v3`, by the API in use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kv.name()
    }

    /// The current state.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; [`Error::State`] where it is corrupt; and those of every call.
    pub fn get_state(&self) -> Result<State> {
        let call = self.call("get_state");
        match self.kv.get(&call, Key::State)? {
            Some(entry) => Ok(State { value: entry.value, token: entry.revision }),
            None => Err(self.vanished()),
        }
    }

    /// Sets the state: without a token (`None`, or 0) only where there is none, with a token only where it is the
    /// current state's. Where it is not set, what is there instead comes back.
    ///
    /// # Errors
    /// [`Error::NotFound`] where a token is given and the state has vanished; [`Error::State`] where the current
    /// state is corrupt; [`Error::UnknownOutcome`] where the answer was lost and etcd cannot tell any more; and those
    /// of every call.
    pub fn set_state(&self, state: &[u8], token: Option<u64>) -> Result<SetState> {
        let call = self.call("set_state");
        let expect = match token {
            None | Some(0) => Expect::Absent,
            Some(token) => Expect::Revision(token),
        };
        loop {
            match self.kv.swap(&call, Key::State, expect, state, Identity::ByValue)? {
                Swap::Done(token) => {
                    return Ok(SetState { state: State { value: state.to_vec(), token }, has_set: true });
                }
                Swap::Lost(Some(entry)) => {
                    let state = State { value: entry.value, token: entry.revision };
                    return Ok(SetState { state, has_set: false });
                }
                Swap::Lost(None) if matches!(expect, Expect::Revision(_)) => return Err(self.vanished()),
                // It was there, and expired before it could be read.
                Swap::Lost(None) => call.check()?,
            }
        }
    }

    /// Ends the calls that are blocked on this backend, and every later one, with [`Error::Cancelled`]. May be
    /// called from any thread and from a signal handler.
    pub fn cancel(&self) {
        self.cancel.throw();
    }

    /// The same backend, ended by another switch.
    pub(crate) fn with_cancel(&self, cancel: Arc<Cancel>) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// The same backend, whose operations take no longer than `time`.
    pub(crate) fn within(&self, time: Duration) -> Self {
        Self { limit: self.limit.min(time), ..self.clone() }
    }

    /// Where the last answer came from.
    pub(crate) fn endpoint(&self) -> String {
        self.kv.endpoint()
    }

    /// Waits until the state is another than the one that `token` stands for (none where there is no token), and
    /// returns it. `None` where nothing changed within `timeout`.
    pub(crate) fn await_change(&self, token: Option<u64>, timeout: Duration) -> Result<Option<Option<State>>> {
        let call = Call::waiting("await_change", Subject::Run(&self.run_id), timeout, &self.cancel);
        match self.kv.await_change(&call, Key::State, token.unwrap_or(0)) {
            Ok(entry) => Ok(Some(entry.map(|entry| State { value: entry.value, token: entry.revision }))),
            Err(Error::Timeout { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the store holds `key`, given with all its prefixes.
    pub(crate) fn has_key(&self, key: &[u8]) -> Result<bool> {
        let call = Call::new("check", Subject::Key(key), self.limit, &self.cancel);
        Ok(self.kv.get_many(&call, &[Key::Store(key)], Want::Presence)?.iter().all(Option::is_some))
    }

    /// Sleeps, less where the backend is cancelled.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let call = Call::waiting("sleep", Subject::Run(&self.run_id), time, &self.cancel);
        call.sleep(time)?;
        call.check()
    }

    fn call(&self, operation: &'static str) -> Call<'_> {
        Call::new(operation, Subject::Run(&self.run_id), self.limit, &self.cancel)
    }

    fn vanished(&self) -> Error {
        Error::NotFound(format!("there is no state of run '{}'", self.run_id.escape_default()))
    }
}
