//! The first contact: is there an etcd, which API does it offer, and who are its members?

use std::sync::Arc;

use ureq::http::Uri;
use ureq::http::uri::Authority;

use super::Kv;
use super::call::{Call, Subject};
use super::cancel::Cancel;
use super::client::{Client, Refusal, Repeat, Verdict};
use super::tls::Tls;
use super::transport::{Headers, Http, Reply, Request};
use super::{v2, v3};
use crate::error::{Cause, Error, Result};
use crate::params::{ApiChoice, Settings};

/// Contacts etcd, in at most three requests, and returns the API to use.
pub(crate) fn connect(settings: &Settings) -> Result<Arc<dyn Kv>> {
    let tls = settings.https.then(|| {
        let (ca, cert, key) = (&settings.ca_cert, &settings.ssl_cert, &settings.ssl_cert_key);
        Tls::load(ca.as_deref(), cert.as_deref(), key.as_deref())
    });
    let http = Http::new(tls.transpose()?, settings.connect_timeout);
    let mut named = Vec::new();
    for endpoint in &settings.endpoints {
        let authority = Authority::try_from(endpoint.authority()).map_err(|error| {
            let text = format!("the host of the endpoint '{endpoint}' cannot be asked for");
            Error::Connection(Cause::with_source(text, error))
        })?;
        named.push(authority);
    }
    let mut client = Client::new(http, named, v2::PROBE);
    let cancel = Arc::new(Cancel::new());
    // An endpoint that answers does so at once, with or without a leader.
    let endpoints = u32::try_from(settings.endpoints.len()).unwrap_or(u32::MAX);
    let limit = settings.connect_timeout.saturating_mul(endpoints.saturating_add(1)).min(settings.read_timeout);
    let call = Call::new("connecting to etcd", Subject::Nothing, limit, &cancel);
    let offered = match settings.api {
        ApiChoice::V3 => None,
        ApiChoice::Auto | ApiChoice::V2 => ask_v2(&client, &call)?,
    };
    match (offered, settings.api) {
        (Some(members), _) => {
            ready(&mut client, members, settings);
            Ok(Arc::new(v2::V2::new(client, settings)?))
        }
        (None, ApiChoice::V2) => Err(no_v2(&client)),
        (None, _) => {
            client.set_probe(v3::PROBE);
            let members = ask_v3(&client, &call)?;
            ready(&mut client, members, settings);
            Ok(Arc::new(v3::V3::new(client, settings)?))
        }
    }
}

/// From now on a member that does not answer is tried again for a while.
fn ready(client: &mut Client, members: Vec<Authority>, settings: &Settings) {
    // As many as the user named are most likely the same under other names.
    if members.len() > settings.endpoints.len() {
        client.learn(members);
    }
    client.set_reconnect_timeout(settings.reconnect_timeout);
}

/// The members by the v2 API, none where it is switched off. This needs no credentials, and a member without a leader
/// answers it too.
fn ask_v2(client: &Client, call: &Call) -> Result<Option<Vec<Authority>>> {
    client.ask(call, &Request::get("/v2/machines"), &Headers::new(), Repeat::Read, read_machines)
}

/// The members by the v3 API; an empty list where they are not told without credentials.
fn ask_v3(client: &Client, call: &Call) -> Result<Vec<Authority>> {
    let read = |reply: &Reply| v3::read_members(client, reply);
    client.ask(call, &(v3::PROBE.request)(), &Headers::new(), Repeat::Read, read)
}

fn read_machines(reply: &Reply) -> Verdict<Option<Vec<Authority>>> {
    if v2::is_switched_off(reply) {
        return Verdict::Answer(None);
    }
    let text = String::from_utf8_lossy(&reply.body);
    let is_list = text.starts_with("http") || text.starts_with("unix");
    match reply.status {
        200 if is_list => Verdict::Answer(Some(text.split(',').filter_map(|url| authority_of(url.trim())).collect())),
        500.. => Verdict::Retry(reply.excerpt()),
        _ => Verdict::Fail(Refusal::Connection, format!("this is no etcd: {}", reply.excerpt())),
    }
}

/// The authority of a client URL.
pub(super) fn authority_of(url: &str) -> Option<Authority> {
    url.parse::<Uri>().ok()?.into_parts().authority.filter(|authority| authority.port_u16().is_some())
}

fn no_v2(client: &Client) -> Error {
    Error::Unsupported(format!(
        "the etcd at {} does not offer the v2 API; start it with --enable-v2 (3.4, 3.5) or use api=auto",
        client.endpoint()
    ))
}
