//! What this node last knew, kept where other threads can read it, and who is told of changes.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::handler::events::{self, Event, node_json};
use crate::handler::replica::Replica;
use crate::handler::state::{Node, State, WallMicros};
use crate::{Error, Result};

/// What receives events, on the thread on which they are noticed.
pub type Callback = Box<dyn Fn(&Event) + Send + Sync>;

thread_local! {
    /// Whether this thread is inside a callback.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The latest news of one handler in one process.
#[derive(Default)]
pub(super) struct Board {
    news: Mutex<News>,
    callback: RwLock<Option<Callback>>,
}

/// What this node is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Idle,
    Joining,
    Joined,
    ShutDown,
}

#[derive(Default)]
struct News {
    state: State,
    phase: Phase,
    /// Until when a join goes on.
    until: Option<Instant>,
    /// When the last call is over.
    last_call_over: Option<Instant>,
    skew: WallMicros,
    lost: Vec<Node>,
    last_error: Option<String>,
    warned_of_skew: bool,
}

impl Board {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `callback` the one that is told. When this returns, the previous one is not running any more.
    pub(super) fn set_callback(&self, callback: Option<Callback>) -> Result<()> {
        if INSIDE.get() {
            let text = "the event callback cannot be replaced from within itself";
            return Err(Error::InvalidArgument(text.to_owned()));
        }
        *self.callback.write().unwrap_or_else(PoisonError::into_inner) = callback;
        Ok(())
    }

    pub(super) fn tell(&self, event: &Event) {
        // Who is inside holds the lock, and whoever takes it again behind one that waits to write waits for ever.
        if INSIDE.get() {
            return;
        }
        let callback = self.callback.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(callback) = callback.as_ref() {
            INSIDE.set(true);
            callback(event);
            INSIDE.set(false);
        }
    }

    pub(super) fn enter(&self, phase: Phase, time: Option<Duration>) {
        let mut news = self.news();
        news.phase = phase;
        news.until = time.map(|time| Instant::now() + time);
        if phase == Phase::Joining {
            news.lost.clear();
        }
    }

    pub(super) fn failed(&self, error: &Error) {
        self.news().last_error = Some(match error.cause() {
            cause if cause.is_empty() => error.to_string(),
            cause => format!("{error} {cause}"),
        });
    }

    /// Takes over what `replica` has just read or written, at `now` on its clock, and tells of what is new in it.
    pub(super) fn publish(&self, replica: &Replica, now: Duration) {
        let state = replica.state();
        let mut news = self.news();
        let mut events = events::between(&news.state, state, replica.dead());
        news.lost.extend(events.iter().filter_map(|event| match event {
            Event::Died(node) => Some(node.clone()),
            _ => None,
        }));
        news.state = state.clone();
        news.skew = replica.observer().largest_skew();
        let over = replica.observer().last_call_over();
        news.last_call_over = over.map(|over| Instant::now() + over.saturating_sub(now));
        if replica.observer().skew_endangers_python() && !news.warned_of_skew {
            news.warned_of_skew = true;
            events.push(Event::Skew(seconds(news.skew)));
        }
        drop(news);
        events.iter().for_each(|event| self.tell(event));
    }

    /// The status as JSON: see `rdzv_handler_status_json` for its fields.
    pub(super) fn status(
        &self,
        run_id: &str,
        node: &Node,
        endpoint: &str,
        bounds: (usize, usize),
        now: WallMicros,
    ) -> Value {
        let news = self.news();
        let state = &news.state;
        let entry = |node: &Node| {
            let mut entry = node_json(node);
            let age = state.last_heartbeats.get(node).map(|beat| seconds(now.saturating_sub(*beat)));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("heartbeat_age_s".to_owned(), json!(age));
                if let Some(rank) = state.participants.get(node).filter(|_| state.complete) {
                    entry.insert("rank".to_owned(), json!(rank));
                }
            }
            entry
        };
        let joined = state.participants.len();
        let left =
            |until: Option<Instant>| until.map(|until| until.saturating_duration_since(Instant::now()).as_secs_f64());
        json!({
            "run_id": run_id,
            "node": node_json(node),
            "phase": match news.phase {
                Phase::Idle => "idle",
                Phase::Joining => "joining",
                Phase::Joined => "joined",
                Phase::ShutDown => "shut down",
            },
            "round": state.round,
            "complete": state.complete,
            "closed": state.closed,
            "min_nodes": bounds.0,
            "max_nodes": bounds.1,
            "participants": state.participants.keys().map(entry).collect::<Vec<_>>(),
            "waiting": state.wait_list.iter().map(entry).collect::<Vec<_>>(),
            "spares": state.redundancy_list.iter().map(entry).collect::<Vec<_>>(),
            "missing": if state.complete { 0 } else { bounds.0.saturating_sub(joined) },
            "lost": news.lost.iter().map(node_json).collect::<Vec<_>>(),
            "seconds_left": left(news.until),
            "last_call_seconds_left": left(news.last_call_over),
            "clock_skew_s": seconds(news.skew),
            "endpoint": endpoint,
            "last_error": news.last_error,
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people to read; microseconds of a century fit in 52 bits")]
fn seconds(micros: WallMicros) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    /// What a callback causes is not told; above all not by taking a lock again for which another thread waits.
    #[test]
    fn a_callback_may_cause_events_while_another_thread_replaces_it() {
        let board = Arc::new(Board::default());
        let (inside, entered) = mpsc::channel();
        let (theirs, done) = (Arc::clone(&board), mpsc::channel());
        let callback: Callback = Box::new(move |_| {
            inside.send(()).unwrap();
            thread::sleep(Duration::from_millis(200));
            theirs.tell(&Event::Closed);
        });
        board.set_callback(Some(callback)).unwrap();
        let (telling, replacing) = (Arc::clone(&board), Arc::clone(&board));
        let (told, replaced) = (done.0.clone(), done.0);
        thread::spawn(move || {
            telling.tell(&Event::Round(1));
            told.send(()).unwrap();
        });
        entered.recv().unwrap();
        thread::spawn(move || {
            replacing.set_callback(None).unwrap();
            replaced.send(()).unwrap();
        });
        for _ in 0..2 {
            done.1.recv_timeout(Duration::from_secs(20)).expect("one waits for the other");
        }
    }
}
