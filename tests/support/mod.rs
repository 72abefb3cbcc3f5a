//! What the tests against real and spoilt servers share. Each test program uses its part of it.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod etcd;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod peers;
pub(crate) mod proxy;
mod socket;

use std::time::Duration;

use rdzv::backend::{Backend, create_backend};
use rdzv::params::Params;
use rdzv::store::Store;
use rdzv::{Error, Result};

pub(crate) use etcd::Api;
#[allow(unused_imports, reason = "each test program uses a part")]
pub(crate) use proxy::Proxy;

/// What a blocking call may take beyond its deadline.
pub(crate) const SLACK: Duration = Duration::from_millis(20);

/// A name that nobody else uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:016x}", fastrand::u64(..))
}

/// Parameters of a run of its own whose store nobody else sees, with options as a configuration string.
pub(crate) fn params(endpoint: &str, api: Api, run_id: &str, config: &str) -> Params {
    let mut params = Params::new("dummy_backend", endpoint, run_id, 1, 4).unwrap();
    params.set("api", api.name()).unwrap();
    params.set("store_prefix", &format!("/test/{run_id}")).unwrap();
    params.set_config(config).unwrap();
    params
}

/// Backend and store of a run, as [`params`] has it.
pub(crate) fn connect(endpoint: &str, api: Api, run_id: &str, config: &str) -> (Backend, Store) {
    try_connect(endpoint, api, run_id, config).unwrap_or_else(|error| panic!("{error}: {}", error.cause()))
}

pub(crate) fn try_connect(endpoint: &str, api: Api, run_id: &str, config: &str) -> Result<(Backend, Store)> {
    create_backend(&params(endpoint, api, run_id, config))
}

/// The status that an outcome has in C.
pub(crate) fn label<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(Error::InvalidArgument(_)) => "INVALID_ARGUMENT",
        Err(Error::NotFound(_)) => "NOT_FOUND",
        Err(Error::Timeout { .. }) => "TIMEOUT",
        Err(Error::Connection(_)) => "CONNECTION",
        Err(Error::State(_)) => "STATE",
        Err(Error::Auth(_)) => "AUTH",
        Err(Error::UnknownOutcome(_)) => "UNKNOWN",
        Err(Error::Cancelled(_)) => "CANCELLED",
        Err(Error::Server(_)) => "SERVER",
        Err(Error::Closed(_)) => "CLOSED",
        Err(_) => "OTHER",
    }
}

/// Message and causes of an error.
pub(crate) fn told(error: &Error) -> String {
    format!("{error}: {}", error.cause())
}
