//! Sockets under ureq: every wait is a poll on the socket and on the call's cancel descriptor, up to its deadline.
//!
//! ureq runs a request on the calling thread from end to end, so what the socket must know of the call under way
//! (deadline, cancel) is kept in a thread-local for that time, and what the call must know of the socket (whether
//! any byte of the request was handed to the kernel) comes back the same way.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, connect, recv, send, shutdown, socket_with,
    sockopt,
};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use super::call::timespec;
use super::cancel::Cancel;
use super::names::Names;

/// The size of each of a connection's two buffers. Larger bodies pass through in pieces.
const BUFFER: usize = 16 * 1024;

/// How much is gathered before it is sent, so that head and body leave in one segment.
const GATHER: usize = 64 * 1024;

/// Why a request was given up on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Deadline,
    Cancelled,
}

/// What became of a request, as far as the socket knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace {
    /// Bytes of the request were handed to the kernel: the server may have seen it.
    pub(super) sent: bool,
    /// The wait was ended on this side.
    pub(super) stop: Option<Stop>,
    /// The connection was made for this request.
    pub(super) fresh: bool,
    /// It is not made yet: what was sent so far was TLS, and no request.
    pub(super) connecting: bool,
    /// Anything came back.
    pub(super) received: bool,
}

struct Scope {
    deadline: Instant,
    cancel: Arc<Cancel>,
    trace: Trace,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Runs `io` with every wait of this thread's sockets bounded by `deadline` and `cancel`.
pub(super) fn bounded<T>(deadline: Instant, cancel: &Arc<Cancel>, io: impl FnOnce() -> T) -> (T, Trace) {
    let scope = Scope { deadline, cancel: Arc::clone(cancel), trace: Trace::default() };
    let outer = SCOPE.replace(Some(scope));
    let result = io();
    let trace = SCOPE.replace(outer).map(|scope| scope.trace).unwrap_or_default();
    (result, trace)
}

fn note(change: impl FnOnce(&mut Trace)) {
    SCOPE.with_borrow_mut(|scope| {
        if let Some(scope) = scope {
            change(&mut scope.trace);
        }
    });
}

/// The time left of the request under way, or why there is none.
pub(super) fn time_left() -> Result<Duration, ureq::Error> {
    let (deadline, cancelled) = SCOPE.with_borrow(|scope| match scope {
        Some(scope) => (Some(scope.deadline), scope.cancel.is_thrown()),
        None => (None, false),
    });
    let Some(deadline) = deadline else { return Err(outside()) };
    if cancelled {
        return Err(stopped(Stop::Cancelled));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(stopped(Stop::Deadline)) } else { Ok(left) }
}

fn stopped(stop: Stop) -> ureq::Error {
    note(|trace| trace.stop = Some(stop));
    ureq::Error::Timeout(ureq::Timeout::Global)
}

fn outside() -> ureq::Error {
    io::Error::other("a socket was used outside of a call").into()
}

/// Waits until `fd` is ready for `events`, at most until `limit`. False where the limit came first.
fn wait(fd: impl AsFd, events: PollFlags, limit: Option<Instant>) -> Result<bool, ureq::Error> {
    loop {
        let cancel = SCOPE.with_borrow(|scope| scope.as_ref().map(|scope| Arc::clone(&scope.cancel)));
        let Some(cancel) = cancel else { return Err(outside()) };
        let wake = cancel.descriptor()?;
        let mut left = time_left()?;
        if let Some(limit) = limit {
            left = left.min(limit.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
        }
        let mut fds = [PollFd::new(&fd, events), PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if fds.first().is_some_and(|fd| !fd.revents().is_empty()) {
            return Ok(true);
        }
    }
}

/// Opens TCP connections that never outwait the call under way.
#[derive(Debug)]
pub(super) struct TcpConnector {
    /// The longest that one address is tried.
    pub(super) connect_timeout: Duration,
    pub(super) names: Names,
}

impl Connector<()> for TcpConnector {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Socket>, ureq::Error> {
        note(|trace| (trace.fresh, trace.connecting) = (true, true));
        let mut last = None;
        let addresses = self.names.addresses(details.uri)?;
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        for (tried, address) in (0..).zip(&addresses) {
            let share = time_left()? / (count - tried).max(1);
            match self.open(address, share.min(self.connect_timeout)) {
                Ok(socket) => return Ok(Some(socket)),
                Err(ureq::Error::Io(error)) => last = Some(io::Error::new(error.kind(), format!("{address}: {error}"))),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host name has no address")).into())
    }
}

impl TcpConnector {
    fn open(&self, address: &SocketAddr, share: Duration) -> Result<Socket, ureq::Error> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(family, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
        let limit = Instant::now() + share;
        match connect(&fd, address) {
            Ok(()) => {}
            Err(Errno::INPROGRESS | Errno::INTR) => {
                if !wait(&fd, PollFlags::OUT, Some(limit))? {
                    let text = format!("no connection within {} ms", share.as_millis());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
                }
                sockopt::socket_error(&fd).map_err(io::Error::from)?.map_err(io::Error::from)?;
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        tune(&fd).map_err(io::Error::from)?;
        let pid = process::id();
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Socket { fd, pid, buffers, gathered: Vec::new(), has_answered: false })
    }
}

/// No delay for small segments; a peer whose machine is gone is noticed within half a minute, also in a long-poll.
fn tune(fd: &OwnedFd) -> rustix::io::Result<()> {
    sockopt::set_tcp_nodelay(fd, true)?;
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(fd, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(fd, 3)
}

/// The end of the connector chain: whatever TLS said until here was not the request.
#[derive(Debug)]
pub(super) struct Connected;

impl<In: Transport> Connector<In> for Connected {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        note(|trace| (trace.sent, trace.connecting) = (false, false));
        Ok(chained)
    }
}

/// A connection in non-blocking mode.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    pid: u32,
    buffers: LazyBuffers,
    gathered: Vec<u8>,
    /// Something was read since the last look whether the connection is open.
    has_answered: bool,
}

impl Socket {
    fn flush(&mut self) -> Result<(), ureq::Error> {
        let mut rest = self.gathered.as_slice();
        while !rest.is_empty() {
            time_left()?;
            match send(&self.fd, rest, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    note(|trace| trace.sent = true);
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(Errno::AGAIN) => {
                    wait(&self.fd, PollFlags::OUT, None)?;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        self.gathered.clear();
        self.gathered.shrink_to(GATHER);
        Ok(())
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        self.gathered.extend_from_slice(self.buffers.output().get(..amount).unwrap_or_default());
        if self.gathered.len() >= GATHER { self.flush() } else { Ok(()) }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        self.flush()?;
        loop {
            wait(&self.fd, PollFlags::IN, None)?;
            match recv(&self.fd, self.buffers.input_append_buf(), RecvFlags::empty()) {
                Ok((_, count)) => {
                    note(|trace| trace.received |= count > 0);
                    self.has_answered = true;
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // ureq looks after each answer and again before the next request: the second look sees all that matters.
        if mem::take(&mut self.has_answered) {
            return true;
        }
        // Anything to read between two requests is either the end or not an answer to anything.
        let mut byte = [0];
        matches!(recv(&self.fd, &mut byte, RecvFlags::PEEK), Err(Errno::AGAIN))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The server must see the end also where a forked child still holds a copy of the descriptor.
        if self.pid == process::id() {
            let _ = shutdown(&self.fd, Shutdown::Both);
        }
    }
}
