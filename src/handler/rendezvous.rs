//! The handler: ranks for a launcher, over everything else in this folder.

use std::process;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, create_backend};
use crate::etcd::Cancel;
use crate::fork::PerProcess;
use crate::handler::board::{Board, Callback, Phase};
use crate::handler::drive::{Clock, Driver};
use crate::handler::heartbeat::{Heartbeat, Parts};
use crate::handler::operation::{Kind, Operation};
use crate::handler::replica::Replica;
use crate::handler::setup;
use crate::handler::state::{Node, Settings};
use crate::params::Params;
use crate::random::fraction;
use crate::store::Store;
use crate::{Error, Result};

/// The longest that a first join waits before it starts, so that a thousand nodes do not all write at once: this, as in
/// PyTorch, or where that is longer, about as long as the writes of all the nodes that the round needs take.
const JITTER: Duration = Duration::from_millis(300);
const JITTER_PER_NODE: Duration = Duration::from_millis(2);

/// For how long an answer to [`Handler::is_closed`] or [`Handler::num_nodes_waiting`] is used again.
const FRESH: Duration = Duration::from_secs(1);

/// Numbers the handlers of a process, as PyTorch does.
static NEXT_LOCAL_ID: AtomicI64 = AtomicI64::new(0);

/// One node of a run, which joins its rounds.
///
/// One handler serves many threads at once; only one of them may be in [`Handler::next_rendezvous`]. From the end of
/// that until the next join or shutdown one background thread writes heartbeats. In a forked child the handler is
/// another node, without that thread.
pub struct Handler {
    backend: Backend,
    store: Store,
    run_id: String,
    settings: Settings,
    address: String,
    local_id: i64,
    cancel: Arc<Cancel>,
    clock: Clock,
    here: PerProcess<Here>,
}

/// What belongs to one process.
#[derive(Default)]
struct Here {
    board: Arc<Board>,
    turn: Mutex<Turn>,
    looked: Mutex<Looked>,
}

impl Here {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Turn {
    replica: Option<Replica>,
    heartbeat: Option<Heartbeat>,
    has_joined: bool,
}

/// The last answer, and how often this handle has made all answers outdated.
#[derive(Clone, Copy, Default)]
struct Looked {
    last: Option<(Instant, Look)>,
    outdated: u64,
}

#[derive(Clone, Copy)]
struct Look {
    closed: bool,
    waiting: u64,
}

/// What a node that joined a round is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// This node's rank, from 0.
    pub rank: u64,
    /// The number of nodes in the round.
    pub world_size: u64,
    /// The round, from 0.
    pub round: u64,
}

impl Handler {
    /// Contacts etcd and makes a handler for the run of `params`. It joins nothing yet.
    ///
    /// # Errors
    /// Those of [`create_backend`], and [`Error::InvalidArgument`] for the handler's own options.
    pub fn new(params: &Params) -> Result<Self> {
        let (settings, address) = setup::read(params)?;
        let (backend, store) = create_backend(params)?;
        let cancel = Arc::new(Cancel::new());
        Ok(Self {
            backend: backend.with_cancel(Arc::clone(&cancel)),
            store,
            run_id: params.run_id().to_owned(),
            settings,
            address,
            local_id: NEXT_LOCAL_ID.fetch_add(1, Ordering::Relaxed),
            cancel,
            clock: Clock::new(),
            here: PerProcess::new(Here::default()),
        })
    }

    /// Leaves the round that this node is in, joins the next one, and returns its place in it and the store of the
    /// round (the keys have the prefix `torch.rendezvous.<run id>.<round>/`, as in PyTorch).
    ///
    /// # Errors
    /// [`Error::Closed`] where the run is closed; [`Error::Timeout`] after `join_timeout`; [`Error::InvalidArgument`]
    /// where another thread is joining; [`Error::State`] where the state is not a rendezvous state; and those of every
    /// call.
    pub fn next_rendezvous(&self) -> Result<(Info, Store)> {
        let here = self.here();
        let mut turn = self.take_turn(here)?;
        let mut replica = self.stop_heartbeats(&mut turn);
        here.board.enter(Phase::Joining, Some(self.settings.join_timeout));
        let joined = self.join(here, &mut turn, &mut replica);
        match joined {
            Ok(info) => {
                here.board.enter(Phase::Joined, None);
                turn.has_joined = true;
                let parts = Parts {
                    backend: self.backend.clone(),
                    board: Arc::clone(&here.board),
                    clock: self.clock,
                    run_id: self.run_id.clone(),
                };
                turn.heartbeat = Some(Heartbeat::start(parts, replica)?);
                let prefix = format!("torch.rendezvous.{}.{}", self.run_id, info.round);
                Ok((info, self.store.with_prefix(prefix.as_bytes())))
            }
            Err(error) => {
                here.board.enter(Phase::Idle, None);
                turn.replica = Some(replica);
                Err(error)
            }
        }
    }

    fn join(&self, here: &Here, turn: &mut Turn, replica: &mut Replica) -> Result<Info> {
        let deadline = self.clock.now().mono + self.settings.join_timeout;
        if !turn.has_joined {
            let nodes = u32::try_from(self.settings.min_nodes).unwrap_or(u32::MAX);
            let longest = JITTER.max(JITTER_PER_NODE.saturating_mul(nodes)).min(self.settings.join_timeout / 4);
            self.backend.sleep(longest.mul_f64(fraction()))?;
        }
        let driver = self.driver(here, &self.backend);
        replica.doubt();
        loop {
            driver.run(&mut Operation::with_deadline(Kind::Exit, deadline), replica)?;
            // What was just read or written is what to decide from.
            replica.confirm(self.clock.now());
            driver.run(&mut Operation::with_deadline(Kind::Join, deadline), replica)?;
            match replica.place() {
                // A round that somebody has left already is broken.
                Some(place) if place.missing == 0 => {
                    return Ok(Info { rank: place.rank, world_size: place.world_size, round: place.round });
                }
                _ => replica.doubt(),
            }
        }
    }

    /// Whether the run is closed. Asks etcd at most once a second.
    ///
    /// # Errors
    /// Those of every call.
    pub fn is_closed(&self) -> Result<bool> {
        Ok(self.look()?.closed)
    }

    /// How many nodes wait for the next round. Asks etcd at most once a second.
    ///
    /// # Errors
    /// Those of every call.
    pub fn num_nodes_waiting(&self) -> Result<u64> {
        Ok(self.look()?.waiting)
    }

    /// Closes the run: nobody joins it any more.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `close_timeout`, and those of every call that writes.
    pub fn set_closed(&self) -> Result<()> {
        let here = self.here();
        let mut replica = Replica::new(self.node(), self.settings.clone());
        let mut close = Operation::new(Kind::Close, &self.settings, self.clock.now());
        self.driver(here, &self.backend).run(&mut close, &mut replica)?;
        let mut looked = here.looked();
        *looked = Looked { last: None, outdated: looked.outdated + 1 };
        Ok(())
    }

    /// The id of the run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Stops the heartbeats and closes the run. False where it could not be closed (as PyTorch has it).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where another thread is joining.
    pub fn shutdown(&self) -> Result<bool> {
        let here = self.here();
        let mut turn = self.take_turn(here)?;
        let replica = self.stop_heartbeats(&mut turn);
        turn.replica = Some(replica);
        here.board.enter(Phase::ShutDown, None);
        Ok(self.set_closed().is_ok())
    }

    /// What is known of the run, as one JSON object. Asks etcd only where this node has not joined.
    #[must_use]
    pub fn status_json(&self) -> String {
        let here = self.here();
        let node = self.node();
        if self.try_idle(here) {
            let mut replica = Replica::new(node.clone(), self.settings.clone());
            if let Err(error) = self.read(here, &mut replica) {
                here.board.failed(&error);
            }
        }
        let bounds = (self.settings.min_nodes, self.settings.max_nodes);
        let endpoint = self.backend.endpoint();
        here.board.status(&self.run_id, &node, &endpoint, bounds, self.clock.now().wall).to_string()
    }

    /// Has `callback` told of what happens, on the thread that notices: the one in [`Handler::next_rendezvous`] or the
    /// heartbeats'. When this returns, the previous one is not running any more.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] from within the callback.
    pub fn set_event_callback(&self, callback: Option<Callback>) -> Result<()> {
        self.here().board.set_callback(callback)
    }

    /// Ends the calls that are blocked on this handler, and every later one, with [`Error::Cancelled`]. Heartbeats go
    /// on until the handler is shut down or freed. May be called from any thread and from a signal handler.
    pub fn cancel(&self) {
        self.cancel.throw();
    }

    fn here(&self) -> &Here {
        self.here.get(Here::default)
    }

    fn node(&self) -> Node {
        Node::new(self.address.as_str(), i64::from(process::id()), self.local_id)
    }

    fn take_turn<'a>(&self, here: &'a Here) -> Result<MutexGuard<'a, Turn>> {
        match here.turn.try_lock() {
            Ok(turn) => Ok(turn),
            Err(TryLockError::Poisoned(turn)) => Ok(turn.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let text = "another thread is joining or shutting down this handler";
                Err(Error::InvalidArgument(text.to_owned()))
            }
        }
    }

    /// Whether nothing keeps the board up to date.
    fn try_idle(&self, here: &Here) -> bool {
        here.turn.try_lock().is_ok_and(|turn| turn.heartbeat.is_none())
    }

    fn stop_heartbeats(&self, turn: &mut Turn) -> Replica {
        let replica = turn.heartbeat.take().and_then(Heartbeat::stop).or_else(|| turn.replica.take());
        replica.unwrap_or_else(|| Replica::new(self.node(), self.settings.clone()))
    }

    fn driver<'a>(&'a self, here: &'a Here, backend: &'a Backend) -> Driver<'a> {
        Driver { backend, board: &here.board, clock: self.clock, run_id: &self.run_id }
    }

    fn read(&self, here: &Here, replica: &mut Replica) -> Result<()> {
        let now = self.clock.now();
        match self.backend.get_state() {
            Ok(state) => replica.load(Some((&state.value, state.token)), now)?,
            Err(Error::NotFound(_)) => replica.load(None, now)?,
            Err(error) => return Err(error),
        }
        here.board.publish(replica, now.mono);
        Ok(())
    }

    fn look(&self) -> Result<Look> {
        let here = self.here();
        let before = *here.looked();
        if let Some((at, look)) = before.last
            && at.elapsed() < FRESH
        {
            return Ok(look);
        }
        // A copy of its own: others may be at work on this node's.
        let mut replica = Replica::new(self.node(), self.settings.clone());
        match self.backend.get_state() {
            Ok(state) => replica.load(Some((&state.value, state.token)), self.clock.now())?,
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let state = replica.state();
        let waiting = u64::try_from(state.wait_list.len()).unwrap_or(u64::MAX);
        let look = Look { closed: state.closed, waiting };
        let mut looked = here.looked();
        if looked.outdated == before.outdated {
            looked.last = Some((Instant::now(), look));
        }
        Ok(look)
    }
}
