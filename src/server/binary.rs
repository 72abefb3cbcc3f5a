//! Which etcd to run, and whether it knows the v2 API.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::log::Log;
use super::process::Process;
use crate::error::Cause;
use crate::{Error, Result};

/// The variables that name the program, the first that is set and not empty being taken.
const VARIABLES: [&str; 2] = ["RDZV_ETCD_BINARY", "TORCHELASTIC_ETCD_BINARY_PATH"];

/// How long `etcd --help` may take before the answer is given up; it takes 30 ms.
const HELP_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds the program: the option, then the environment (read through `variable`), then `PATH`. A path that is named
/// but wrong is an error, so that no other etcd is started in its place.
pub(super) fn find(option: Option<&str>, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    if let Some(path) = option {
        return named(Path::new(path), "the server option 'binary'");
    }
    for name in VARIABLES {
        if let Some(path) = variable(name).filter(|path| !path.is_empty()) {
            return named(Path::new(&path), &format!("the environment variable {name}"));
        }
    }
    let path = variable("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty());
    let found = dirs.map(|dir| dir.join("etcd")).find(|candidate| is_program(candidate));
    found.map_or_else(|| Err(nowhere(&path)), |found| absolute(&found))
}

fn named(path: &Path, origin: &str) -> Result<PathBuf> {
    let path = absolute(path)?;
    let fault = match path.metadata() {
        Err(error) => error.to_string(),
        Ok(data) if data.is_dir() => "it is a directory".to_owned(),
        Ok(_) if !is_program(&path) => "it is not an executable file".to_owned(),
        Ok(_) => return Ok(path),
    };
    Err(Error::InvalidArgument(format!("no etcd at '{}', where {origin} says it is: {fault}", path.display())))
}

fn nowhere(path: &OsString) -> Error {
    let [first, second] = VARIABLES;
    Error::Start(Cause::new(format!(
        "no etcd found: the server option 'binary' and the environment variables {first} and {second} are not set, and \
         PATH ({}) holds no program 'etcd'",
        path.display()
    )))
}

/// Makes a path independent of the working directory, and of `PATH` where it has no slash.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::InvalidArgument(format!("the path '{}' is of no use: {error}", path.display())))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Whether the program has the flag `--enable-v2`: etcd 3.6 has not. `None` where it will not say.
pub(super) fn knows_v2(binary: &Path, log: &Log, deadline: Instant) -> Option<bool> {
    let mut command = Command::new(binary);
    command.arg("--help");
    log.attach(&mut command).ok()?;
    let process = Process::spawn(command, None).ok()?;
    let patience = HELP_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
    let succeeded = process.wait(patience)?.is_success();
    let help = log.take();
    succeeded.then(|| help.contains("--enable-v2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment of a test: pairs instead of the process's own.
    fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        move |name| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_option_comes_before_the_variables_and_these_before_path() {
        let own = "RDZV_ETCD_BINARY";
        let torch = "TORCHELASTIC_ETCD_BINARY_PATH";
        let all = [(own, "/bin/cat"), (torch, "/bin/ls"), ("PATH", "/nowhere")];
        assert_eq!(find(Some("/bin/sh"), env(&all)).unwrap(), Path::new("/bin/sh"));
        assert_eq!(find(None, env(&all)).unwrap(), Path::new("/bin/cat"));
        assert_eq!(find(None, env(&all[1..])).unwrap(), Path::new("/bin/ls"));
        assert_eq!(find(None, env(&[(own, ""), (torch, "/bin/ls")])).unwrap(), Path::new("/bin/ls"));
    }

    #[test]
    fn a_wrong_path_says_who_named_it_and_nothing_else_is_tried() {
        let good = ("TORCHELASTIC_ETCD_BINARY_PATH", "/bin/ls");
        for (path, fault) in [("/no/such/etcd", "No such file"), ("/bin", "directory"), ("/etc/passwd", "executable")] {
            let error = find(None, env(&[("RDZV_ETCD_BINARY", path), good])).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
            assert!(text.contains(path) && text.contains("RDZV_ETCD_BINARY") && text.contains(fault), "{text}");
            let text = find(Some(path), env(&[good])).unwrap_err().to_string();
            assert!(text.contains(path) && text.contains("option 'binary'"), "{text}");
        }
    }

    #[test]
    fn path_is_searched_in_order_and_named_when_it_holds_none() {
        let error = find(None, env(&[("PATH", "/no/such:/also/not")])).unwrap_err();
        assert!(error.cause().contains("/no/such:/also/not"), "{}", error.cause());
        assert!(error.cause().contains("RDZV_ETCD_BINARY"), "{}", error.cause());
        assert!(matches!(error, Error::Start(_)));
    }
}
