//! Host names to addresses, cached, and never for longer than the call under way.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::net::time_left;

/// How long an answer of the system's resolver is used again.
const FRESH: Duration = Duration::from_secs(60);

/// How often a look-up that is waited for looks at the deadline and the cancel switch.
const SLICE: Duration = Duration::from_millis(10);

type Cache = Arc<Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>>;

/// IP literals and `localhost` are answered here. For other names the system's resolver runs in a thread of its own,
/// since it cannot be interrupted; its answer is kept for a minute.
#[derive(Debug, Default)]
pub(super) struct Names {
    cache: Cache,
}

/// ureq asks for the addresses of every request's host, and needs them only for a new connection: the connector looks
/// them up itself.
#[derive(Debug)]
pub(super) struct OnConnect;

impl Resolver for OnConnect {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(ResolvedSocketAddrs::from_fn(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
    }
}

impl Names {
    /// The addresses of the host that `uri` names.
    pub(super) fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?.trim_matches(['[', ']']);
        let port = uri.port_u16().ok_or(ureq::Error::HostNotFound)?;
        let found = if let Ok(address) = host.parse::<IpAddr>() {
            vec![address]
        } else if host.eq_ignore_ascii_case("localhost") {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            self.look_up(host)?
        };
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ureq::Error> {
        let now = Instant::now();
        if let Some((at, addresses)) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(host)
            && now.duration_since(*at) < FRESH
        {
            return Ok(addresses.clone());
        }
        let (tell, told) = channel();
        let (cache, name) = (Arc::clone(&self.cache), host.to_owned());
        thread::Builder::new().name("rdzv-resolve".into()).spawn(move || {
            let answer = (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
            if let Ok(addresses) = &answer {
                let entry = (Instant::now(), Vec::clone(addresses));
                cache.lock().unwrap_or_else(PoisonError::into_inner).insert(name, entry);
            }
            // Nobody may be left to tell.
            let _ = tell.send(answer);
        })?;
        loop {
            match told.recv_timeout(time_left()?.min(SLICE)) {
                Ok(Ok(addresses)) => return Ok(addresses),
                Ok(Err(error)) => {
                    let text = format!("the host name '{host}' cannot be resolved: {error}");
                    return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ureq::Error::HostNotFound),
            }
        }
    }
}
