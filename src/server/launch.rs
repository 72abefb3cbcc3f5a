//! One attempt to start etcd: the command line, and the wait until it serves.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::log::Log;
use super::options::{EnableV2, ServerOptions, Stderr};
use super::ports::{self, Ports};
use super::process::Process;
use super::{binary, ready};
use crate::error::Cause;
use crate::{Error, Result};

/// The pause between two looks at a starting etcd, which takes 100 ms and more. Its end is seen without delay.
const POLL: Duration = Duration::from_millis(5);

/// What etcd says when another program has its port.
const IN_USE: &str = "address already in use";

/// Everything that is the same in each attempt.
pub(super) struct Launch<'a> {
    pub(super) options: &'a ServerOptions,
    pub(super) binary: PathBuf,
    pub(super) v2: bool,
    /// The temporary directory.
    pub(super) dir: &'a Path,
    pub(super) started: Instant,
}

/// An etcd that serves.
pub(super) struct Launched {
    pub(super) process: Process,
    pub(super) log: Log,
    pub(super) port: u16,
    pub(super) version: String,
}

/// Why an attempt failed, and whether another one may do better.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) port_taken: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, port_taken: false }
    }
}

impl Launch<'_> {
    /// Prepares the attempts: finds the program and what it can do.
    pub(super) fn prepare<'a>(options: &'a ServerOptions, dir: &'a Path) -> Result<Launch<'a>> {
        let started = Instant::now();
        let binary = binary::find(options.binary.as_deref(), |name| std::env::var_os(name))?;
        let known = || binary::knows_v2(&binary, &Log::file(dir.join("help")), started + options.timeout);
        let v2 = match options.enable_v2 {
            EnableV2::False => false,
            EnableV2::Auto => known() == Some(true),
            EnableV2::True if known() == Some(false) => return Err(no_v2(&binary)),
            EnableV2::True => true,
        };
        Ok(Launch { options, binary, v2, dir, started })
    }

    /// Starts etcd once and waits until it serves.
    pub(super) fn attempt(&self, number: u32) -> std::result::Result<Launched, Failure> {
        let host = self.options.host;
        let ports = ports::hold(host, self.options.port).map_err(|error| self.no_port(&error))?;
        let log = match self.options.stderr {
            Stderr::Inherit => Log::inherit(),
            Stderr::Discard => Log::file(self.dir.join(format!("etcd-{number}.log"))),
        };
        let mut command = self.command(&ports, number)?;
        let process = log
            .attach(&mut command)
            .and_then(|()| Process::spawn(command, log.path().map(Path::to_owned)))
            .map_err(|error| failed(format!("could not run '{}'", self.binary.display()), error))?;
        let version = self.wait_until_ready(&process, &log, &ports)?;
        let port = ports.addresses.first().map_or(0, std::net::SocketAddr::port);
        Ok(Launched { process, log, port, version })
    }

    fn command(&self, ports: &Ports, number: u32) -> Result<Command> {
        let urls: Vec<_> = ports.addresses.iter().map(|address| format!("http://{address}")).collect();
        let address =
            ports.addresses.first().copied().ok_or_else(|| failed("no address", io::ErrorKind::Other.into()))?;
        let data = match &self.options.data_dir {
            Some(path) => std::path::absolute(path).map_err(|error| failed(format!("no directory '{path}'"), error))?,
            None => self.dir.join(format!("data-{number}")),
        };
        let mut command = Command::new(&self.binary);
        command.arg("--data-dir").arg(data);
        command.arg("--listen-client-urls").arg(urls.join(","));
        command.arg("--advertise-client-urls");
        command.arg(format!("http://{}", self.options.host.with_port(address.port())));
        // The only member talks to no peer, so it may listen for them anywhere.
        command.arg("--listen-peer-urls").arg(format!("http://{}", std::net::SocketAddr::new(address.ip(), 0)));
        // It elects itself, and need not wait a second for it. Starting takes half the time so.
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        // Or every etcd that is started so has the same id, and a client cannot tell a new one from its old one.
        command.arg("--initial-cluster-token").arg(crate::random::unique_name());
        // Without compaction every write of a long run would stay on the disk until etcd refuses more.
        command.args(["--auto-compaction-mode", "revision", "--auto-compaction-retention", "10000"]);
        if self.v2 {
            command.arg("--enable-v2");
        }
        command.args(self.options.args.split_whitespace());
        for name in std::env::vars_os().map(|(name, _)| name).filter(configures_etcd) {
            command.env_remove(name);
        }
        Ok(command)
    }

    fn wait_until_ready(&self, process: &Process, log: &Log, ports: &Ports) -> std::result::Result<String, Failure> {
        let deadline = self.started + self.options.timeout;
        let mut last: Option<io::Error> = None;
        loop {
            if let Some(exit) = process.wait(POLL) {
                let excerpt = log.excerpt();
                let told = format!("'{}' ended by itself ({exit}), {excerpt}", self.binary.display());
                return Err(Failure { port_taken: excerpt.contains(IN_USE), error: Error::Start(Cause::new(told)) });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.late(log, last).into());
            }
            let Some(address) = ports.addresses.first() else { continue };
            match ready::version(*address, left) {
                Ok(version) => return Ok(version),
                Err(error) => last = Some(error),
            }
        }
    }

    fn late(&self, log: &Log, last: Option<io::Error>) -> Error {
        let told = format!("'{}' was stopped again, {}", self.binary.display(), log.excerpt());
        let cause = match last {
            Some(error) => Cause::with_source(told, error),
            None => Cause::new(told),
        };
        let message = format!("etcd was not ready within {} ms", self.options.timeout.as_millis());
        Error::Timeout { message, source: Some(cause) }
    }

    fn no_port(&self, error: &io::Error) -> Failure {
        let told = match self.options.port {
            0 => format!("no free port on {}", self.options.host),
            _ => format!("cannot listen on {}", self.options.host.with_port(self.options.port)),
        };
        failed(told, io::Error::new(error.kind(), error.to_string())).into()
    }
}

/// Whether etcd would read the variable as a setting. It takes none beside a flag that says the same.
fn configures_etcd(name: &OsString) -> bool {
    name != OsStr::new("ETCD_UNSUPPORTED_ARCH") && name.as_encoded_bytes().starts_with(b"ETCD_")
}

fn failed(told: impl Into<String>, error: io::Error) -> Error {
    Error::Start(Cause::with_source(told, error))
}

fn no_v2(binary: &Path) -> Error {
    Error::Unsupported(format!(
        "the etcd at '{}' has no v2 API, which etcd 3.6 removed: set the server option enable_v2 to auto and use the v3 \
         API, or name an etcd 3.4 or 3.5",
        binary.display()
    ))
}
