//! A TCP proxy in front of one etcd that understands requests well enough to spoil the right one.
//!
//! One thread accepts, one serves each connection: it reads a request, asks the script what is to happen to it, and
//! passes it on over a connection of its own. `freeze` is a partition: nothing gets through in either direction and
//! connections stay open. `refuse` is a dead process: connections are reset and new ones refused.

use std::io::{self, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::{Fault, Rule};
use super::http::{self, Request};
use super::socket::{flood, is_closed, reset, resolve, respond};

const TICK: Duration = Duration::from_millis(20);

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    rules: Mutex<Vec<Rule>>,
    fired: AtomicUsize,
    requests: AtomicUsize,
    frozen: AtomicBool,
    refused: AtomicBool,
    /// Whether the acceptor listens.
    listening: Mutex<bool>,
    changed: Condvar,
    ended: AtomicBool,
    /// The number of connections.
    serving: AtomicUsize,
    clients: Mutex<Vec<TcpStream>>,
}

enum Next {
    Again,
    Close,
    Reset,
}

impl Proxy {
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(resolve(upstream)),
            rules: Mutex::new(Vec::new()),
            fired: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            listening: Mutex::new(false),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            serving: AtomicUsize::new(0),
            clients: Mutex::new(Vec::new()),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = thread::spawn(move || theirs.accept(listener, address));
        let proxy = Self { shared, address, acceptor: Some(acceptor) };
        proxy.await_listening(true);
        proxy
    }

    /// `host:port`, for parameters.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Adds a rule. Of several that fit, the first counts.
    pub(crate) fn arm(&self, rule: Rule) {
        if rule.fault == Fault::Refuse {
            self.refuse(true);
        }
        self.shared.rules.lock().unwrap().push(rule);
    }

    /// No faults any more, and a listening port.
    pub(crate) fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
        self.freeze(false);
        self.refuse(false);
    }

    /// Another etcd answers from now on.
    pub(crate) fn redirect(&self, upstream: &str) {
        *self.shared.upstream.lock().unwrap() = resolve(upstream);
        self.refuse(true);
        self.refuse(false);
    }

    /// How often a rule has hit.
    pub(crate) fn fired(&self) -> usize {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.shared.frozen.store(frozen, Ordering::SeqCst);
    }

    pub(crate) fn refuse(&self, refused: bool) {
        self.shared.set_refused(refused, self.address);
        self.await_listening(!refused);
        // What was connected has seen the reset when this returns.
        let start = Instant::now();
        while refused && self.shared.serving.load(Ordering::SeqCst) > 0 && start.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn await_listening(&self, wanted: bool) {
        let listening = self.shared.listening.lock().unwrap();
        let (listening, _) = self
            .shared
            .changed
            .wait_timeout_while(listening, Duration::from_secs(10), |listening| *listening != wanted)
            .unwrap();
        assert_eq!(*listening, wanted, "the proxy's acceptor");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake(self.address);
        self.shared.reset_clients();
        self.acceptor.take().unwrap().join().unwrap();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, first: TcpListener, address: SocketAddr) {
        let mut first = Some(first);
        while !self.ended.load(Ordering::SeqCst) {
            if self.refused.load(Ordering::SeqCst) {
                self.tell_listening(false);
                let guard = self.listening.lock().unwrap();
                let stay = || self.refused.load(Ordering::SeqCst) && !self.ended.load(Ordering::SeqCst);
                drop(self.changed.wait_while(guard, |_| stay()).unwrap());
                continue;
            }
            let listener = first.take().unwrap_or_else(|| listen_again(address));
            self.tell_listening(true);
            while !self.ended.load(Ordering::SeqCst) && !self.refused.load(Ordering::SeqCst) {
                let Ok((client, _)) = listener.accept() else { continue };
                if self.refused.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst) {
                    reset(&client);
                    break;
                }
                let theirs = Arc::clone(self);
                theirs.serving.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    theirs.serve(&client);
                    drop(client);
                    theirs.serving.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
        self.tell_listening(false);
    }

    fn tell_listening(&self, listening: bool) {
        *self.listening.lock().unwrap() = listening;
        self.changed.notify_all();
    }

    fn set_refused(&self, refused: bool, address: SocketAddr) {
        let before = self.refused.swap(refused, Ordering::SeqCst);
        if refused && !before {
            self.wake(address);
            self.reset_clients();
        } else if !refused {
            // Under the lock, so that the acceptor is either before its look or in its wait.
            let _guard = self.listening.lock().unwrap();
            self.changed.notify_all();
        }
    }

    /// Makes the acceptor look at the flags.
    fn wake(&self, address: SocketAddr) {
        _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        let _guard = self.listening.lock().unwrap();
        self.changed.notify_all();
    }

    fn reset_clients(&self) {
        for client in self.clients.lock().unwrap().drain(..) {
            reset(&client);
        }
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::SeqCst) || self.refused.load(Ordering::SeqCst)
    }

    /// Waits while the proxy is frozen; an error where it or the client has ended.
    fn pass(&self, client: &TcpStream) -> io::Result<()> {
        while self.frozen.load(Ordering::SeqCst) && !self.is_over() {
            thread::sleep(Duration::from_millis(5));
        }
        if self.is_over() || is_closed(client) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn serve(&self, client: &TcpStream) {
        _ = client.set_nodelay(true);
        let Ok(ours) = client.try_clone() else { return };
        if let Ok(registered) = client.try_clone() {
            self.clients.lock().unwrap().push(registered);
        }
        let mut reader = BufReader::new(ours);
        let mut upstream = None;
        let next = loop {
            let Ok(Some(request)) = Request::read(&mut reader) else { break Next::Close };
            match self.answer(client, &request, &mut upstream) {
                Ok(Next::Again) => {}
                Ok(next) => break next,
                Err(_) => break Next::Close,
            }
        };
        let address = client.peer_addr().ok();
        self.clients.lock().unwrap().retain(|other| other.peer_addr().ok() != address);
        if matches!(next, Next::Reset) || self.is_over() {
            reset(client);
        } else {
            _ = client.shutdown(std::net::Shutdown::Both);
        }
    }

    /// What is to happen to this request, and whether the endpoint is to die of it.
    fn fault(&self, request: &Request) -> Option<(Fault, bool)> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.times > 0 && (rule.when)(request))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        self.fired.fetch_add(1, Ordering::SeqCst);
        Some((rule.fault, rule.then_dead && rule.times == 0))
    }

    fn answer(
        &self,
        client: &TcpStream,
        request: &Request,
        upstream: &mut Option<BufReader<TcpStream>>,
    ) -> io::Result<Next> {
        self.pass(client)?;
        let Some((fault, dies)) = self.fault(request) else {
            self.relay(client, request, upstream)?;
            return Ok(Next::Again);
        };
        if dies {
            // The port is closed before the client can notice anything and come again.
            self.refused.store(true, Ordering::SeqCst);
            let address = client.local_addr()?;
            let captured = if fault.is_after() { Some(self.forward(request, upstream)?) } else { None };
            _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
            let listening = self.listening.lock().unwrap();
            drop(self.changed.wait_timeout_while(listening, Duration::from_secs(1), |listening| *listening).unwrap());
            return self.spoil(client, fault, captured);
        }
        if let Fault::Late(time) = fault {
            let (raw, upstream) = (request.raw.clone(), *self.upstream.lock().unwrap());
            thread::spawn(move || {
                thread::sleep(time);
                let mut late = TcpStream::connect(upstream).unwrap();
                late.write_all(&raw).unwrap();
                // Closed sooner, etcd may drop it.
                _ = late.read(&mut [0; 1024]);
            });
        }
        if let Fault::Delay(time) = fault {
            self.hold(client, time);
            self.relay(client, request, upstream)?;
            return Ok(Next::Again);
        }
        let captured = if fault.is_after() { Some(self.forward(request, upstream)?) } else { None };
        self.spoil(client, fault, captured)
    }

    /// Sends the request on and passes the answer back as it comes.
    fn relay(
        &self,
        client: &TcpStream,
        request: &Request,
        upstream: &mut Option<BufReader<TcpStream>>,
    ) -> io::Result<()> {
        let reader = self.send(request, upstream)?;
        let mut out = client;
        let (head, framing) = loop {
            match http::response_head(reader) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pass(client)?,
                result => break result?,
            }
        };
        self.pass(client)?;
        out.write_all(&head)?;
        http::body(
            reader,
            framing,
            &mut |bytes| {
                self.pass(client)?;
                out.write_all(bytes)
            },
            &mut || self.pass(client),
        )
    }

    fn send<'a>(
        &self,
        request: &Request,
        upstream: &'a mut Option<BufReader<TcpStream>>,
    ) -> io::Result<&'a mut BufReader<TcpStream>> {
        if upstream.is_none() {
            let stream = TcpStream::connect(*self.upstream.lock().unwrap())?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TICK))?;
            *upstream = Some(BufReader::new(stream));
        }
        let reader = upstream.as_mut().unwrap();
        reader.get_mut().write_all(&request.raw)?;
        Ok(reader)
    }

    /// Sends the request on and keeps the answer.
    fn forward(
        &self,
        request: &Request,
        upstream: &mut Option<BufReader<TcpStream>>,
    ) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (head, body, whole) = http::capture(self.send(request, upstream)?)?;
        if !whole {
            *upstream = None;
        }
        Ok((head, body))
    }

    fn spoil(&self, client: &TcpStream, fault: Fault, captured: Option<(Vec<u8>, Vec<u8>)>) -> io::Result<Next> {
        let (head, body) = captured.unwrap_or_default();
        let mut out = client;
        match fault {
            Fault::Refuse | Fault::ResetBefore | Fault::ResetAfter | Fault::Late(_) => return Ok(Next::Reset),
            Fault::CloseBefore | Fault::DropReply => {}
            Fault::Silent => self.hold(client, Duration::MAX),
            Fault::ResetMidBody => {
                out.write_all(&head)?;
                out.write_all(&body[..body.len() / 2])?;
                // Or the reset overtakes what was sent.
                thread::sleep(Duration::from_millis(20));
                return Ok(Next::Reset);
            }
            Fault::Trickle => {
                for byte in head.iter().chain(&body) {
                    out.write_all(&[*byte])?;
                    self.hold(client, Duration::from_secs(1));
                }
            }
            Fault::TruncatedChunk => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Index: 5\r\n")?;
                out.write_all(b"Transfer-Encoding: chunked\r\n\r\n100\r\n{\"action\":\"get\",\"no")?;
            }
            Fault::TruncatedBody => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Index: 5\r\n")?;
                out.write_all(b"Content-Length: 300\r\n\r\n{\"action\":\"get\",\"no")?;
            }
            Fault::Garbage => out.write_all(b"\x16\x03\x01\x00\xff SSH-2.0-what is this\r\n\r\n\x00\xff")?,
            Fault::GarbageBody => respond(client, 200, "application/json", b"{\"action\":\"get\",\"node\":{\"key")?,
            Fault::WrongType => respond(client, 200, "text/html", b"<html>Please log in to the Wi-Fi</html>")?,
            Fault::EmptyBody => respond(client, 200, "application/json", b"")?,
            Fault::Redirect => {
                out.write_all(b"HTTP/1.1 301 Moved Permanently\r\nLocation: /v2/keys/other\r\n")?;
                out.write_all(b"Content-Length: 0\r\n\r\n")?;
            }
            Fault::Status(status, dialect) | Fault::StatusAfter(status, dialect) => {
                let (media_type, body) = Fault::body(status, dialect);
                respond(client, status, media_type, body.as_bytes())?;
                return Ok(Next::Again);
            }
            Fault::Huge => flood(client, false, &self.ended)?,
            Fault::HugeChunked => flood(client, true, &self.ended)?,
            Fault::Delay(time) => {
                self.hold(client, time);
                out.write_all(&head)?;
                out.write_all(&body)?;
                return Ok(Next::Again);
            }
            Fault::HalfClose => {
                out.write_all(&head)?;
                out.write_all(&body)?;
                client.shutdown(std::net::Shutdown::Write)?;
                self.hold(client, Duration::MAX);
            }
            Fault::Duplicate => {
                for _ in 0..2 {
                    out.write_all(&head)?;
                    out.write_all(&body)?;
                }
                return Ok(Next::Again);
            }
        }
        Ok(Next::Close)
    }

    /// Keeps the connection for a time, or until somebody ends it.
    fn hold(&self, client: &TcpStream, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.ended.load(Ordering::SeqCst) && !is_closed(client) {
            thread::sleep(Duration::from_millis(10).min(time));
        }
    }
}

/// The port was ours a moment ago; somebody's connection may have it as its near end, for as long as it lasts.
fn listen_again(address: SocketAddr) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(9), "{address}: {error}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}
