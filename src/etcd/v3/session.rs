//! One request to the v3 gateway: credentials where they are wanted, and what each error means.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use ureq::http::header::HeaderValue;

use super::wire::{Answer, Credentials, MembersReply, TokenReply, grpc_error};
use crate::error::{Cause, Error, Result};
use crate::etcd::call::Call;
use crate::etcd::client::{Client, Failure, Probe, Refusal, Repeat, Verdict};
use crate::etcd::transport::{self, Headers, Reply, Request};
use crate::fork::PerProcess;
use crate::params::Secret;

/// A harmless request whose answer names the cluster.
pub(in crate::etcd) const PROBE: Probe = Probe {
    request: || Request::post_json("/v3/cluster/member/list", b"{}"),
    cluster_of: |reply: &Reply| {
        let members: MembersReply = serde_json::from_slice(&reply.body).ok()?;
        (members.header.cluster_id != 0).then(|| members.header.cluster_id.to_string())
    },
};

/// How often a token is renewed for one request before the credentials are blamed.
const RENEWALS: usize = 2;

/// An answer, or an error that its caller knows what to do about.
#[derive(Debug)]
pub(super) enum Said<T> {
    Ok(T),
    LeaseGone,
    LeaseExists,
    /// The old state asked for is no longer kept.
    Compacted,
    /// Credentials are wanted, or new ones are.
    BadToken,
    /// Credentials are not wanted.
    AuthOff,
}

/// The requests of one client.
pub(super) struct Session {
    client: Client,
    user: Option<(String, Secret)>,
    token: PerProcess<Mutex<Option<HeaderValue>>>,
}

impl Session {
    pub(super) fn new(client: Client, user: Option<(String, Secret)>) -> Self {
        Self { client, user, token: PerProcess::new(Mutex::default()) }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for something that may be asked again.
    pub(super) fn ask<T: Answer>(
        &self,
        call: &Call,
        target: &str,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Said<T>> {
        self.exchange(call, target, body, repeat).map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Doubt(text) => Error::UnknownOutcome(call.cause(text)),
        })
    }

    /// Asks for something that has no errors of its own.
    pub(super) fn get<T: Answer>(&self, call: &Call, target: &str, body: &impl Serialize) -> Result<T> {
        match self.ask(call, target, body, Repeat::Read)? {
            Said::Ok(answer) => Ok(answer),
            other => Err(Error::Server(call.cause(format_args!("unexpected answer: {}", other.name())))),
        }
    }

    pub(super) fn exchange<T: Answer>(
        &self,
        call: &Call,
        target: &str,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> std::result::Result<Said<T>, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| call.local(error.into()))?;
        let request = Request::post_json(target, &body);
        for _ in 0..=RENEWALS {
            let headers = self.headers();
            match self.client.exchange(call, &request, &headers, repeat, |reply| read(&self.client, reply))? {
                Said::BadToken | Said::AuthOff => self.renew(call)?,
                said => return Ok(said),
            }
        }
        Err(Error::Auth(call.cause("etcd does not accept the token that it gave")).into())
    }

    /// The token, where one was asked for.
    pub(super) fn headers(&self) -> Headers {
        let token = self.slot().lock().unwrap_or_else(PoisonError::into_inner).clone();
        token.map(transport::authorization).into_iter().collect()
    }

    fn slot(&self) -> &Mutex<Option<HeaderValue>> {
        self.token.get(Mutex::default)
    }

    /// Logs in; where etcd wants no credentials, none are sent any more.
    fn renew(&self, call: &Call) -> Result<()> {
        let Some((name, password)) = &self.user else {
            let text = "etcd requires authentication (set the options username and password)";
            return Err(Error::Auth(call.cause(text)));
        };
        let body = serde_json::to_vec(&Credentials { name, password: password.expose() })
            .map_err(|error| call.local(error.into()))?;
        let request = Request::post_json("/v3/auth/authenticate", &body);
        let read = |reply: &Reply| read::<TokenReply>(&self.client, reply);
        let token = match self.client.ask(call, &request, &Headers::new(), Repeat::Read, read)? {
            Said::Ok(reply) => {
                let mut value = HeaderValue::from_str(&reply.token)
                    .map_err(|error| Error::Server(Cause::with_source("etcd gave an unusable token", error)))?;
                value.set_sensitive(true);
                Some(value)
            }
            Said::AuthOff => None,
            other => return Err(Error::Auth(call.cause(format_args!("logging in failed: {}", other.name())))),
        };
        *self.slot().lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }
}

impl<T> Said<T> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::LeaseGone => "the lease is gone",
            Self::LeaseExists => "the lease exists already",
            Self::Compacted => "the revision has been compacted",
            Self::BadToken => "the credentials are not accepted",
            Self::AuthOff => "authentication is not enabled",
        }
    }
}

/// Sorts out what `reply` means.
pub(super) fn read<T: Answer>(client: &Client, reply: &Reply) -> Verdict<Said<T>> {
    if reply.status != 200 {
        return refused(reply);
    }
    match serde_json::from_slice::<T>(&reply.body) {
        Ok(answer) => match check_cluster(client, answer.header().cluster_id) {
            Ok(()) => Verdict::Answer(Said::Ok(answer)),
            Err(text) => Verdict::Fail(Refusal::Connection, text),
        },
        // An error in the midst of a stream comes with a status of 200.
        Err(_) if grpc_error(&reply.body).is_some() => refused(reply),
        Err(_) => Verdict::Retry(reply.excerpt()),
    }
}

fn check_cluster(client: &Client, id: u64) -> std::result::Result<(), String> {
    if id == 0 { Ok(()) } else { client.check_cluster(&id.to_string()) }
}

fn refused<T>(reply: &Reply) -> Verdict<Said<T>> {
    let Some(error) = grpc_error(&reply.body) else { return foreign(reply) };
    let message = error.message;
    let says = |part: &str| message.contains(part);
    match error.code {
        3 if says("user name is empty") || says("auth store is old") => Verdict::Answer(Said::BadToken),
        3 if says("authentication failed") => Verdict::Fail(Refusal::Auth, message),
        3 if says("too large") => Verdict::Fail(Refusal::InvalidArgument, message),
        8 if says("larger than max") => Verdict::Fail(Refusal::InvalidArgument, message),
        5 if says("lease not found") => Verdict::Answer(Said::LeaseGone),
        5 if reply.status == 404 && !says("etcdserver") => Verdict::Fail(Refusal::Unsupported, no_gateway(&message)),
        9 if says("lease already exists") => Verdict::Answer(Said::LeaseExists),
        9 if says("authentication is not enabled") => Verdict::Answer(Said::AuthOff),
        11 if says("compacted") => Verdict::Answer(Said::Compacted),
        16 => Verdict::Answer(Said::BadToken),
        7 => Verdict::Fail(Refusal::Auth, message),
        12 => Verdict::Fail(Refusal::Unsupported, no_gateway(&message)),
        8 if says("space exceeded") => Verdict::Fail(Refusal::Server, message),
        14 if says("tls:") || says("certificate") => {
            let hint = "the gateway could not reach its own server, whose certificate must allow client use too";
            Verdict::Fail(Refusal::Connection, format!("{message}: {hint}"))
        }
        1 | 4 | 8 | 14 => Verdict::Retry(message),
        2 if says("context deadline exceeded") || says("context canceled") => Verdict::Retry(message),
        _ => Verdict::Fail(Refusal::Server, format!("{message} (gRPC code {})", error.code)),
    }
}

/// An answer that etcd's gateway does not give.
fn foreign<T>(reply: &Reply) -> Verdict<Said<T>> {
    let text = reply.excerpt();
    match reply.status {
        400 if reply.body.starts_with(b"CommonName") => {
            let text = "etcd takes no client certificate with a common name through its gateway while auth is enabled";
            Verdict::Fail(Refusal::Auth, text.to_owned())
        }
        401 | 403 => Verdict::Fail(Refusal::Auth, text),
        404 | 405 | 501 => Verdict::Fail(Refusal::Unsupported, no_gateway(&text)),
        413 => Verdict::Fail(Refusal::InvalidArgument, format!("the value is too large: {text}")),
        300..=399 => Verdict::Fail(Refusal::Server, format!("a redirect, which is never followed: {text}")),
        200..=299 | 429 | 500..=599 => Verdict::Retry(text),
        _ => Verdict::Fail(Refusal::Server, text),
    }
}

fn no_gateway(text: &str) -> String {
    format!("etcd does not offer the v3 JSON gateway (is it switched off, or older than 3.4?): {text}")
}
