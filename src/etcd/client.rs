//! A cluster of members: which one to ask, what to do when it does not answer, and when to give up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::http::uri::Authority;

use super::backoff::Backoff;
use super::call::Call;
use super::net::Stop;
use super::transport::{Address, Fault, Headers, Http, Reply, Request, Stream};
use crate::error::{Cause, Error, Result};
use crate::logging;

/// The longest that one member is waited for while there are others to ask.
const PATIENCE: Duration = Duration::from_secs(3);

/// The shortest, so that many members do not make each attempt hopeless.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// How long, at least and at most, the silence of a member is trusted by those who wait for a change there, while
/// there are others.
const SILENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// What may be done with a request that was sent and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing: ask again, ask another member.
    Read,
    /// Applied twice it leaves what it leaves applied once: send it again.
    Write,
    /// Its caller must find out first.
    Never,
}

/// What an answer means to the operation.
#[derive(Debug)]
pub(super) enum Verdict<T> {
    /// The answer.
    Answer(T),
    /// etcd could not do it now; a write may still be applied.
    Retry(String),
    /// Trying again would not help.
    Fail(Refusal, String),
}

/// Why trying again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    InvalidArgument,
    Auth,
    Connection,
    Server,
    Unsupported,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request was sent, and what became of it is not known.
    Doubt(String),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Where the cluster's id stands in the answer to a harmless request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) request: fn() -> Request<'static>,
    pub(super) cluster_of: fn(&Reply) -> Option<String>,
}

#[derive(Debug)]
struct Member {
    address: Address,
    /// Named by the user, or learnt from etcd and since seen to be of the same cluster.
    trusted: AtomicBool,
}

/// Everything that the calls of all handles of one cluster share.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    members: Vec<Member>,
    /// The member that answered last.
    preferred: AtomicUsize,
    probe: Probe,
    cluster: OnceLock<String>,
    reconnect_timeout: Duration,
}

impl Client {
    /// A client of the members that the user named. They are never forgotten.
    pub(super) fn new(http: Http, named: Vec<Authority>, probe: Probe) -> Self {
        let trusted = |authority| Member { address: Address::new(authority), trusted: AtomicBool::new(true) };
        Self {
            http,
            members: named.into_iter().map(trusted).collect(),
            preferred: AtomicUsize::new(0),
            probe,
            cluster: OnceLock::new(),
            reconnect_timeout: Duration::ZERO,
        }
    }

    /// How long an operation goes on trying while nothing answers. Zero: each member is tried once.
    pub(super) fn set_reconnect_timeout(&mut self, timeout: Duration) {
        self.reconnect_timeout = timeout;
    }

    pub(super) fn set_probe(&mut self, probe: Probe) {
        self.probe = probe;
    }

    /// Adds members that etcd told of. They are asked only where those before them do not answer, and only once
    /// they are seen to be of this cluster: what a cluster advertises may be some other host seen from here.
    pub(super) fn learn(&mut self, authorities: impl IntoIterator<Item = Authority>) {
        for authority in authorities {
            if self.members.iter().all(|member| *member.address.authority() != authority) {
                self.members.push(Member { address: Address::new(authority), trusted: AtomicBool::new(false) });
            }
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.http.requests()
    }

    /// Where the last answer came from, for messages.
    pub(super) fn endpoint(&self) -> String {
        let index = self.preferred.load(Ordering::Relaxed);
        self.members.get(index).map(|member| self.name(member)).unwrap_or_default()
    }

    fn name(&self, member: &Member) -> String {
        format!("{}://{}", self.http.scheme(), member.address.authority())
    }

    /// Fails where an answer comes from another cluster than those before it: indices and revisions mean nothing then.
    pub(super) fn check_cluster(&self, id: &str) -> std::result::Result<(), String> {
        let first = self.cluster.get_or_init(|| id.to_owned());
        if first == id {
            return Ok(());
        }
        Err(format!("the endpoint belongs to another etcd cluster than before (its id was {first}, now it is {id})"))
    }

    /// Asks until there is an answer, the deadline passes, or nothing can be reached for too long.
    pub(super) fn exchange<T>(
        &self,
        call: &Call,
        request: &Request,
        headers: &Headers,
        repeat: Repeat,
        read: impl Fn(&Reply) -> Verdict<T>,
    ) -> std::result::Result<T, Failure> {
        let mut attempts = Attempts::new(repeat);
        loop {
            let first = self.preferred.load(Ordering::Relaxed);
            for turn in 0..self.members.len() {
                call.check()?;
                let index = (first + turn) % self.members.len();
                let Some(member) = self.members.get(index) else { continue };
                let until = self.patience(call, self.members.len() - turn);
                if !self.trust(call, member, headers, until) {
                    continue;
                }
                let outcome = self.http.send(call, &member.address, request, headers, until);
                let verdict = match outcome {
                    Ok(reply) => read(&reply),
                    Err(fault) => {
                        attempts.fault(call, &self.name(member), fault)?;
                        continue;
                    }
                };
                match verdict {
                    Verdict::Answer(answer) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Verdict::Retry(text) => attempts.refused(&self.name(member), &text)?,
                    Verdict::Fail(refusal, text) => {
                        let error = refuse(call, refusal, &self.name(member), &text);
                        return Err(attempts.told_no(call, error).into());
                    }
                }
            }
            attempts.rest(call, self.reconnect_timeout)?;
        }
    }

    /// Like [`Client::exchange`] for requests that nobody need find out about.
    pub(super) fn ask<T>(
        &self,
        call: &Call,
        request: &Request,
        headers: &Headers,
        repeat: Repeat,
        read: impl Fn(&Reply) -> Verdict<T>,
    ) -> Result<T> {
        self.exchange(call, request, headers, repeat, read).map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Doubt(text) => Error::UnknownOutcome(call.cause(text)),
        })
    }

    /// Sends a request whose answer begins or comes only when something happens, to the member that answered last.
    /// `Ok(None)`: nothing within `bound`, or the member was lost; the caller reads again, which finds another.
    pub(super) fn poll(
        &self,
        call: &Call,
        request: &Request,
        headers: &Headers,
        bound: Duration,
    ) -> Result<Option<Reply>> {
        let until = call.deadline().min(Instant::now() + bound);
        self.follow(call, |http, member| http.send(call, member, request, headers, until))
    }

    /// How long to wait for a change, at most `longest`, before looking again. A member that hangs is as silent as one
    /// that has nothing to tell: the look finds another, in time.
    pub(super) fn longest_silence(&self, call: &Call, longest: Duration) -> Duration {
        if self.members.len() == 1 {
            return longest;
        }
        longest.min((call.remaining() / 3).clamp(SILENCE.0, SILENCE.1))
    }

    /// Opens an answer that goes on, at the member that answered last. `Ok(None)` as in [`Client::poll`].
    pub(super) fn open(
        &self,
        call: &Call,
        request: &Request,
        headers: &Headers,
        bound: Duration,
    ) -> Result<Option<Stream>> {
        let until = call.deadline().min(Instant::now() + bound);
        self.follow(call, |http, member| http.open(call, member, request, headers, until))
    }

    fn follow<T>(
        &self,
        call: &Call,
        send: impl Fn(&Http, &Address) -> std::result::Result<T, Fault>,
    ) -> Result<Option<T>> {
        call.check()?;
        let index = self.preferred.load(Ordering::Relaxed);
        let Some(member) = self.members.get(index) else { return Ok(None) };
        match send(&self.http, &member.address) {
            Ok(answer) => Ok(Some(answer)),
            Err(fault) if fault.stop == Some(Stop::Cancelled) => Err(call.cancelled()),
            Err(fault) if fault.stop == Some(Stop::Deadline) => Ok(None),
            Err(fault) => {
                logging::info(format_args!("{call}: {}: {}", self.name(member), fault.text));
                self.preferred.store(self.trusted_after(index), Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// The next member that is known to be of this cluster; the named ones always are.
    fn trusted_after(&self, index: usize) -> usize {
        let count = self.members.len();
        let others = (1..=count).map(|turn| (index + turn) % count);
        let is_trusted =
            |at: &usize| self.members.get(*at).is_some_and(|member| member.trusted.load(Ordering::Relaxed));
        others.into_iter().find(is_trusted).unwrap_or(index)
    }

    /// Until when a member is waited for while `left` of them, this one included, have not been asked.
    fn patience(&self, call: &Call, left: usize) -> Instant {
        if self.members.len() == 1 {
            return call.deadline();
        }
        let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        let share = (call.remaining() / left).clamp(LEAST_PATIENCE, PATIENCE);
        call.deadline().min(Instant::now() + share)
    }

    fn trust(&self, call: &Call, member: &Member, headers: &Headers, until: Instant) -> bool {
        if member.trusted.load(Ordering::Relaxed) {
            return true;
        }
        let reply = self.http.send(call, &member.address, &(self.probe.request)(), headers, until);
        let cluster = reply.ok().and_then(|reply| (self.probe.cluster_of)(&reply));
        let same = cluster.is_some() && cluster.as_ref() == self.cluster.get();
        if same {
            member.trusted.store(true, Ordering::Relaxed);
        }
        same
    }
}

/// What was tried so far for one request.
struct Attempts {
    repeat: Repeat,
    /// A write was sent and may have been applied.
    sent: bool,
    last: Option<String>,
    /// Since when no member has given a sign of life.
    silent_since: Option<Instant>,
    backoff: Backoff,
}

impl Attempts {
    fn new(repeat: Repeat) -> Self {
        Self { repeat, sent: false, last: None, silent_since: None, backoff: Backoff::new() }
    }

    fn fault(&mut self, call: &Call, endpoint: &str, fault: Fault) -> std::result::Result<(), Failure> {
        let Fault { sent, stop, too_large, text } = fault;
        let text = format!("{endpoint}: {text}");
        logging::info(format_args!("{call}: {text}"));
        if stop == Some(Stop::Cancelled) {
            return Err(call.cancelled().into());
        }
        // The answer to a write is short: one that is not was not etcd's.
        if too_large && self.repeat == Repeat::Read {
            return Err(Error::Server(call.cause(text)).into());
        }
        if stop == Some(Stop::Deadline) && !sent && self.last.is_some() {
            // The time ended between two tries: what was wrong is known from the one before.
            return Ok(());
        }
        if stop.is_none() {
            self.silent_since.get_or_insert_with(Instant::now);
        }
        self.doubt(sent, text)
    }

    fn refused(&mut self, endpoint: &str, text: &str) -> std::result::Result<(), Failure> {
        self.silent_since = None;
        self.doubt(true, format!("{endpoint}: {text}"))
    }

    /// A write that was sent before may have been applied, whatever is said to the next one.
    fn told_no(&self, call: &Call, error: Error) -> Error {
        match &self.last {
            Some(last) if self.sent => {
                Error::UnknownOutcome(call.cause(format_args!("{last}; then: {}", error.cause())))
            }
            _ => error,
        }
    }

    fn doubt(&mut self, sent: bool, text: String) -> std::result::Result<(), Failure> {
        if sent && self.repeat == Repeat::Never {
            return Err(Failure::Doubt(text));
        }
        self.sent |= sent && self.repeat == Repeat::Write;
        self.last = Some(text);
        Ok(())
    }

    /// After each member was asked: gives up, or waits a little before the next round.
    fn rest(&mut self, call: &Call, reconnect_timeout: Duration) -> Result<()> {
        call.check()?;
        let last = || self.last.clone().unwrap_or_else(|| "no member of the cluster answered".to_owned());
        let silent = self.silent_since.is_some_and(|since| since.elapsed() >= reconnect_timeout);
        let over = call.is_over();
        if !over && !silent {
            return call.sleep(self.backoff.next());
        }
        if self.sent {
            return Err(Error::UnknownOutcome(call.cause(last())));
        }
        if over && call.waits() {
            return Err(call.timed_out("an answer from etcd", Some(last())));
        }
        Err(Error::Connection(call.cause(last())))
    }
}

fn refuse(call: &Call, refusal: Refusal, endpoint: &str, text: &str) -> Error {
    let cause = call.cause(format_args!("{endpoint}: {text}"));
    match refusal {
        Refusal::InvalidArgument => Error::InvalidArgument(cause.to_string()),
        Refusal::Auth => Error::Auth(cause),
        Refusal::Connection => Error::Connection(cause),
        Refusal::Server => Error::Server(cause),
        Refusal::Unsupported => Error::Unsupported(Cause::to_string(&cause)),
    }
}
