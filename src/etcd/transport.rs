//! HTTP to one etcd member at a time: one request, one answer, or the exact way in which it failed.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::config::AutoHeaderValue;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use ureq::http::uri::{self, Authority, PathAndQuery, Scheme};
use ureq::http::{self, Method, Response, Uri};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body, BodyReader};

use super::call::Call;
use super::cancel::Cancel;
use super::names::{Names, OnConnect};
use super::net::{self, Connected, Stop, TcpConnector, Trace};
use super::tls::Tls;
use crate::fork::PerProcess;
use crate::logging;

/// The largest answer that is read: etcd's own values end at 10 MiB, directory listings may be larger.
const LARGEST_BODY: u64 = 256 * 1024 * 1024;

/// How much of an announced body is made room for before any of it has come.
const ROOM: u64 = 1 << 20;

/// Room behind an announced body, in which the reader finds its end without asking for more.
const SPARE: usize = 64;

/// Connections that are kept for the next request. Waiters beyond that open and close their own.
const IDLE_CONNECTIONS: usize = 64;

/// How long an unused connection is kept: shorter than what firewalls on the way forget.
const IDLE_AGE: Duration = Duration::from_secs(60);

/// What is asked of a member.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Path and query, percent-encoded.
    pub(super) target: &'a str,
    /// Media type and bytes.
    pub(super) body: Option<(&'static str, &'a [u8])>,
}

impl<'a> Request<'a> {
    pub(super) fn get(target: &'a str) -> Self {
        Self { method: Method::GET, target, body: None }
    }

    pub(super) fn delete(target: &'a str) -> Self {
        Self { method: Method::DELETE, target, body: None }
    }

    /// A PUT of form fields, which etcd's v2 API takes only with the form's media type.
    pub(super) fn put_form(target: &'a str, form: &'a str) -> Self {
        let body = Some(("application/x-www-form-urlencoded", form.as_bytes()));
        Self { method: Method::PUT, target, body }
    }

    pub(super) fn post_json(target: &'a str, json: &'a [u8]) -> Self {
        Self { method: Method::POST, target, body: Some(("application/json", json)) }
    }
}

/// Extra headers of a request.
pub(super) type Headers = Vec<(&'static str, HeaderValue)>;

/// What a member answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The start of the body as text, for a message about something that is not etcd's.
    pub(super) fn excerpt(&self) -> String {
        let start = self.body.get(..self.body.len().min(80)).unwrap_or_default();
        format!("HTTP status {} with the body '{}'", self.status, start.escape_ascii())
    }
}

/// How a request failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// The server may have seen the request.
    pub(super) sent: bool,
    /// The wait was ended on this side.
    pub(super) stop: Option<Stop>,
    /// Another try cannot do better: the answer is larger than what is read.
    pub(super) too_large: bool,
    pub(super) text: String,
}

/// Where a member listens, in the forms that requests need.
#[derive(Debug)]
pub(super) struct Address {
    authority: Authority,
    /// What ureq would make of the authority anew for each request.
    host: Option<HeaderValue>,
}

impl Address {
    pub(super) fn new(authority: Authority) -> Self {
        let host = HeaderValue::from_str(authority.as_str()).ok();
        Self { authority, host }
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// Connections to the members of one cluster, shared by all threads of the process.
#[derive(Debug)]
pub(super) struct Http {
    agent: PerProcess<Agent>,
    scheme: Scheme,
    tls: Option<Tls>,
    connect_timeout: Duration,
    requests: AtomicU64,
}

impl Http {
    pub(super) fn new(tls: Option<Tls>, connect_timeout: Duration) -> Self {
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let agent = PerProcess::new(agent(tls.as_ref(), connect_timeout));
        Self { agent, scheme, tls, connect_timeout, requests: AtomicU64::new(0) }
    }

    pub(super) fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// How many requests were made.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Asks `member` and reads its whole answer, until `deadline`.
    pub(super) fn send(
        &self,
        call: &Call,
        member: &Address,
        request: &Request,
        headers: &Headers,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let (result, trace) = net::bounded(deadline, call.cancel(), || {
            let response = self.run(member, request, headers)?;
            let (head, answer) = response.into_parts();
            let announced = answer.content_length().unwrap_or(0).min(ROOM);
            let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0) + SPARE);
            answer.into_with_config().limit(LARGEST_BODY).reader().read_to_end(&mut body)?;
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        });
        result.map_err(|error| fault(&error, trace))
    }

    /// Asks `member` and returns as soon as its answer begins; the lines of the body come from the stream.
    pub(super) fn open(
        &self,
        call: &Call,
        member: &Address,
        request: &Request,
        headers: &Headers,
        deadline: Instant,
    ) -> Result<Stream, Fault> {
        let (result, trace) = net::bounded(deadline, call.cancel(), || self.run(member, request, headers));
        let (head, body) = result.map_err(|error| fault(&error, trace))?.into_parts();
        let reader = BufReader::with_capacity(4096, body.into_with_config().limit(LARGEST_BODY).reader());
        Ok(Stream { status: head.status.as_u16(), reader, cancel: Arc::clone(call.cancel()) })
    }

    fn run(&self, member: &Address, request: &Request, extra: &Headers) -> Result<Response<Body>, ureq::Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        logging::trace(format_args!("{} {}://{}{}", request.method, self.scheme, member.authority, request.target));
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(member.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(request.target).map_err(http::Error::from)?);
        let uri = Uri::from_parts(parts).map_err(http::Error::from)?;
        let agent = self.agent.get(|| agent(self.tls.as_ref(), self.connect_timeout));
        let response = match request.body {
            Some((media_type, bytes)) => {
                let mut message = message(uri, member, request, extra, bytes);
                message.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                agent.run(message)
            }
            None => agent.run(message(uri, member, request, extra, ())),
        }?;
        let length = response.body().content_length();
        if length.is_some_and(|length| length > LARGEST_BODY) {
            return Err(ureq::Error::BodyExceedsLimit(LARGEST_BODY));
        }
        Ok(response)
    }
}

fn message<T>(uri: Uri, member: &Address, request: &Request, extra: &Headers, body: T) -> http::Request<T> {
    let mut message = http::Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    let headers = message.headers_mut();
    if let Some(host) = &member.host {
        headers.insert(HOST, host.clone());
    }
    for (name, value) in extra {
        headers.insert(*name, value.clone());
    }
    message
}

/// An answer that goes on, line by line.
pub(super) struct Stream {
    status: u16,
    reader: BufReader<BodyReader<'static>>,
    cancel: Arc<Cancel>,
}

impl Stream {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The next line with its end, or what is left without one; empty at the end of the answer.
    pub(super) fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        let reader = &mut self.reader;
        let (result, trace) = net::bounded(deadline, &self.cancel, || reader.read_until(b'\n', &mut line));
        result.map_err(|error| fault(&ureq::Error::Io(error), trace))?;
        Ok(line)
    }
}

/// The header by which v2 takes a name and a password, and v3 a token.
pub(super) fn authorization(value: HeaderValue) -> (&'static str, HeaderValue) {
    (AUTHORIZATION.as_str(), value)
}

fn agent(tls: Option<&Tls>, connect_timeout: Duration) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS)
        .max_idle_age(IDLE_AGE);
    if let Some(tls) = tls {
        config = config.tls_config(tls.config());
    }
    let tcp = TcpConnector { connect_timeout, names: Names::default() };
    let connector = tcp.chain(RustlsConnector::default()).chain(Connected);
    Agent::with_parts(config.build(), connector, OnConnect)
}

fn fault(error: &ureq::Error, trace: Trace) -> Fault {
    let too_large = matches!(error, ureq::Error::BodyExceedsLimit(_))
        || matches!(error, ureq::Error::Io(error) if is_too_large(error));
    let text = match (trace.stop, trace.sent) {
        (Some(Stop::Deadline), true) => "no answer in time".to_owned(),
        (Some(Stop::Deadline), false) => "no connection in time".to_owned(),
        (Some(Stop::Cancelled), _) => "cancelled".to_owned(),
        (None, _) if too_large => format!("the answer is larger than {} MiB", LARGEST_BODY >> 20),
        (None, _) => super::tls::explain(error).unwrap_or_else(|| words(error, trace)),
    };
    let refused = trace.fresh && super::tls::is_refusal(error);
    let sent = trace.sent && !trace.connecting && !refused;
    Fault { sent, stop: trace.stop, too_large, text }
}

fn is_too_large(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::BodyExceedsLimit(_)))
}

fn words(error: &ureq::Error, trace: Trace) -> String {
    let ureq::Error::Io(error) = error else { return error.to_string() };
    let ended = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
    if ended && trace.connecting && trace.sent {
        return format!("the connection ended in the TLS handshake (is the endpoint's protocol http?): {error}");
    }
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return error.to_string();
    }
    if trace.fresh && !trace.received {
        return "the connection was closed without an answer (is the endpoint's protocol https?)".to_owned();
    }
    "the connection was closed before the answer was complete".to_owned()
}
