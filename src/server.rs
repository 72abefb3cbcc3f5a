//! An etcd of one's own: started, waited for, and stopped; for a single machine and for tests.
//!
//! The map: `options` what can be said, `binary` which etcd, `ports` where it listens, `launch` one attempt to start it,
//! `ready` whether it serves yet, `process` the child and the thread that keeps it, `log` what it printed, `dir` its
//! temporary directory.
//!
//! **Lifetime.** etcd ends with this process, however that ends: on `kill -9`, on `exec`, and when a daemon's first
//! process exits after its fork. A process that is killed leaves the temporary directory (`rdzv-etcd-*`) behind.
//!
//! **Threads.** Each server has one thread, which sleeps until etcd ends and calls nothing of the caller's. In a child
//! that this process forks, the server's name and address can be read, and stopping or dropping it does nothing.

mod binary;
mod dir;
mod launch;
mod log;
mod options;
mod ports;
mod process;
mod ready;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use self::options::ServerOptions;

use self::dir::Dir;
use self::launch::{Failure, Launch, Launched};
use self::log::Log;
use self::process::Process;
use crate::error::Cause;
use crate::{Error, Result};

/// How long etcd has between being asked to end and being killed. It needs some ten milliseconds.
const GRACE: Duration = Duration::from_secs(2);

/// A local etcd that serves. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    host: String,
    port: u16,
    endpoint: String,
    version: String,
    /// The process that started it, and whose it is: not its forked children's.
    owner: u32,
    running: Mutex<Option<Running>>,
}

/// What there is to stop and to remove, in this order.
#[derive(Debug)]
struct Running {
    process: Process,
    log: Log,
    _dir: Dir,
}

impl Server {
    /// Starts an etcd and waits until it serves.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the program that the option or the environment names is not there.
    /// - [`Error::Unsupported`]: `enable_v2` is `true` and the program has no v2 API.
    /// - [`Error::Start`]: there is no etcd in `PATH` either, it could not be run, it ended by itself, or it has no port;
    ///   the cause holds how it ended and the last lines that it printed.
    /// - [`Error::Timeout`]: it did not serve within `timeout_ms`; the cause holds its last lines.
    pub fn start(options: &ServerOptions) -> Result<Self> {
        let dir = Dir::create().map_err(|error| Error::Start(Cause::with_source("no temporary directory", error)))?;
        let launch = Launch::prepare(options, dir.path())?;
        let mut number = 1;
        let launched = loop {
            match launch.attempt(number) {
                Ok(launched) => break launched,
                Err(Failure { port_taken: true, .. }) if number < options.attempts && options.port == 0 => number += 1,
                Err(failure) => return Err(failure.error),
            }
        };
        let Launched { process, log, port, version } = launched;
        Ok(Self {
            host: options.host.to_string(),
            port,
            endpoint: options.host.with_port(port),
            version,
            owner: std::process::id(),
            running: Mutex::new(Some(Running { process, log, _dir: dir })),
        })
    }

    /// `host:port`, as the endpoint of parameters takes it; an IPv6 address stands in brackets.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The host that was asked for: `localhost` or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that etcd serves clients on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// etcd's own version, such as `3.5.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Stops etcd: asks it to end, kills it after 2 s, and removes the temporary directory. Takes 4 s at most, apart
    /// from the removal. A server that is stopped already is left alone, and so is the parent's in a forked child.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the system keeps the killed process for 2 s more; calling it again tries again.
    pub fn stop(&self) -> Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut running) = slot.take() else { return Ok(()) };
        if let Some(exit) = running.process.wait(Duration::ZERO) {
            let excerpt = running.log.excerpt();
            crate::logging::warn(format_args!("etcd at {} had ended by itself ({exit}), {excerpt}", self.endpoint));
        }
        if running.process.stop(GRACE).is_some() {
            return Ok(());
        }
        *slot = Some(running);
        let message = format!("etcd at {} was killed, but the system has not ended it within 2 s", self.endpoint);
        Err(Error::Timeout { message, source: None })
    }

    fn is_ours(&self) -> bool {
        std::process::id() == self.owner
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_ours() {
            _ = self.stop();
        } else if let Ok(slot) = self.running.get_mut() {
            // The thread, the process and the directory are the parent's. Nothing here may touch them.
            _ = std::mem::ManuallyDrop::new(slot.take());
        }
    }
}
