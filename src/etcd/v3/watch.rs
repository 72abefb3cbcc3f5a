//! Waiting by a watch: it is open before the keys are looked at again, so that nothing is missed in between.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ureq::http::header::HeaderValue;

use super::V3;
use super::wire::{Event, KeyValue, Line, Raw, Watch as Body, WatchCreate, WatchReply};
use crate::error::Result;
use crate::etcd::call::Call;
use crate::etcd::transport::{Request, Stream};
use crate::logging;

/// How long one watch is kept before the keys are looked at again.
const LONGEST_WATCH: Duration = Duration::from_secs(60);

/// How long etcd may take to say that a watch is there. A gateway that does not understand never answers.
const LONGEST_CREATION: Duration = Duration::from_secs(5);

/// A watch that ends sooner than this was of no use: the next one waits a little.
pub(super) const BRIEF: Duration = Duration::from_secs(1);

/// A key, or all keys from it up to an end.
pub(super) type Span<'a> = (&'a [u8], Option<&'a [u8]>);

/// Which events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    Puts,
    All,
}

/// A watch that is open.
pub(super) struct Watch {
    stream: Stream,
    until: Instant,
    early: VecDeque<Event>,
}

impl V3 {
    /// Opens one watch on all of `spans`. None where that failed; another look tells why.
    pub(super) fn watch(&self, call: &Call, spans: &[Span], kinds: Kinds) -> Result<Option<Watch>> {
        let filters: &[&str] = if kinds == Kinds::Puts { &["NODELETE"] } else { &[] };
        let mut body = Vec::new();
        for (key, end) in spans {
            let create_request = WatchCreate { key: Raw(key), range_end: end.map(Raw), filters };
            serde_json::to_writer(&mut body, &Body { create_request }).map_err(|error| call.local(error.into()))?;
        }
        let bound = self.session.client().longest_silence(call, LONGEST_WATCH);
        let until = call.deadline().min(Instant::now() + bound);
        let mut headers = self.session.headers();
        // etcd ends the watch itself, a little later than we stop waiting for it.
        let millis = until.saturating_duration_since(Instant::now()).as_millis() + 1000;
        if let Ok(value) = HeaderValue::from_str(&format!("{millis}m")) {
            headers.push(("grpc-timeout", value));
        }
        // A member that loses its leader says so, instead of going silent.
        headers.push(("grpc-metadata-hasleader", HeaderValue::from_static("true")));
        let request = Request::post_json("/v3/watch", &body);
        let Some(stream) = self.session.client().open(call, &request, &headers, bound.min(LONGEST_CREATION))? else {
            return Ok(None);
        };
        if stream.status() != 200 {
            return Ok(None);
        }
        let mut watch = Watch { stream, until, early: VecDeque::new() };
        for _ in spans {
            let created = watch.read(call, until.min(Instant::now() + LONGEST_CREATION), |reply| reply.created)?;
            if !created {
                return Ok(None);
            }
        }
        Ok(Some(watch))
    }
}

impl Watch {
    /// The next key that was written or, where that is wanted, deleted. None where the watch has ended, or the call's time.
    pub(super) fn next(&mut self, call: &Call) -> Result<Option<KeyValue>> {
        while self.early.is_empty() {
            if !self.read(call, self.until, |reply| !reply.events.is_empty())? {
                return Ok(None);
            }
        }
        Ok(self.early.pop_front().map(|event| event.kv))
    }

    /// The last of the events that came together next, of a watch on one key: the others are outdated.
    pub(super) fn latest(&mut self, call: &Call) -> Result<Option<Event>> {
        if self.early.is_empty() && !self.read(call, self.until, |reply| !reply.events.is_empty())? {
            return Ok(None);
        }
        Ok(self.early.drain(..).next_back())
    }

    /// Reads lines until one is as wanted, keeping all events. False at the end of the stream or of the time.
    fn read(&mut self, call: &Call, until: Instant, wanted: impl Fn(&WatchReply) -> bool) -> Result<bool> {
        loop {
            let line = match self.stream.line(until) {
                Ok(line) => line,
                Err(fault) => {
                    call.check()?;
                    logging::debug(format_args!("{call}: the watch ended: {}", fault.text));
                    return Ok(false);
                }
            };
            let Ok(Line { result: Some(reply) }) = serde_json::from_slice::<Line<WatchReply>>(&line) else {
                return Ok(false);
            };
            if reply.canceled {
                logging::info(format_args!("{call}: etcd cancelled the watch: {}", reply.cancel_reason));
                return Ok(false);
            }
            let found = wanted(&reply);
            self.early.extend(reply.events);
            if found {
                return Ok(true);
            }
        }
    }
}
