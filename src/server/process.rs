//! A child process that cannot outlive this one.
//!
//! Linux kills a child when its parent ends (`PR_SET_PDEATHSIG`), even by kill -9, but takes the *thread* that started
//! it for the parent: a child started from a worker thread would die with that thread. So each child has a thread of
//! its own, the keeper, which starts it, sleeps until it has ended, and reaps it. The keeper blocks all signals, runs
//! nothing of the caller's, and has ended when [`Process`] is dropped.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getppid, kill_process_group, pidfd_open,
    set_parent_process_death_signal, waitid,
};

use super::log;

/// How long a killed process may take to be gone. Only one that hangs in the kernel takes longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the keeper looks at the size of the log.
const TRIM_INTERVAL: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A running child, in a process group of its own, so that the terminal's Ctrl-C is the caller's alone.
#[derive(Debug)]
pub(super) struct Process {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

/// How a process ended; `None` where the caller's own `wait` took the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit(Option<ExitStatus>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    Starting,
    Failed(io::Error),
    Running(Pid),
    Ended(Exit),
}

impl Process {
    /// Starts `command`, whose log at `log` is kept from growing without limit.
    pub(super) fn spawn(mut command: Command, log: Option<PathBuf>) -> io::Result<Self> {
        command.stdin(std::process::Stdio::null()).process_group(0);
        prepare(&mut command);
        let shared = Arc::new(Shared { state: Mutex::new(State::Starting), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("rdzv-etcd".to_owned());
        let keeper = thread.spawn(move || theirs.keep(command, log.as_deref()))?;
        let process = Self { shared, keeper: Some(keeper) };
        let mut state = process.shared.lock();
        while matches!(*state, State::Starting) {
            state = process.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let failed = if let State::Failed(error) = &mut *state {
            Some(std::mem::replace(error, io::ErrorKind::Other.into()))
        } else {
            None
        };
        drop(state);
        failed.map_or(Ok(process), Err)
    }

    /// Waits for the process to end, for `patience` at most.
    pub(super) fn wait(&self, patience: Duration) -> Option<Exit> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        loop {
            match *state {
                State::Ended(exit) => return Some(exit),
                State::Failed(_) => return Some(Exit(None)),
                State::Starting | State::Running(_) => {}
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the process to end, kills it when `grace` has passed, and waits for it. `None` if even then it is not gone.
    pub(super) fn stop(&mut self, grace: Duration) -> Option<Exit> {
        if !grace.is_zero() {
            self.signal(Signal::TERM);
        }
        let mut exit = self.wait(grace);
        if exit.is_none() {
            self.signal(Signal::KILL);
            exit = self.wait(KILL_TIMEOUT);
        }
        if exit.is_some()
            && let Some(keeper) = self.keeper.take()
        {
            _ = keeper.join();
        }
        exit
    }

    fn signal(&self, signal: Signal) {
        // Under the lock the process is not reaped yet, and its number is nobody else's.
        if let State::Running(pid) = *self.shared.lock() {
            _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.stop(Duration::ZERO);
    }
}

impl Exit {
    /// Whether it is known to have ended well.
    pub(super) fn is_success(self) -> bool {
        self.0.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("exit status unknown, another wait of this program took it"),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn become_(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    /// The keeper's whole life.
    fn keep(&self, mut command: Command, log: Option<&std::path::Path>) {
        _ = mask_signals(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return self.become_(State::Failed(error)),
        };
        let pid = Pid::from_child(&child);
        self.become_(State::Running(pid));
        if let (Some(log), Ok(pidfd)) = (log, pidfd_open(pid, PidfdFlags::empty())) {
            while !has_ended(&pidfd) {
                log::trim(log);
            }
        }
        let ended = wait_unreaped(pid);
        let mut state = self.lock();
        if ended {
            // What a script in etcd's place has started. The number of the group is taken until the reaping below.
            _ = kill_process_group(pid, Signal::KILL);
        }
        *state = State::Ended(Exit(child.wait().ok()));
        drop(state);
        self.changed.notify_all();
    }
}

/// Waits for a while; whether the process ended meanwhile, or cannot be waited for so.
fn has_ended(pidfd: &OwnedFd) -> bool {
    match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&TRIM_INTERVAL)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => false,
        Ok(_) | Err(_) => true,
    }
}

/// Waits until the process has ended and leaves it to be reaped. False if another wait of this program reaped it.
fn wait_unreaped(pid: Pid) -> bool {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.is_ok(),
        }
    }
}

/// What the child does between fork and exec.
#[allow(unsafe_code, reason = "the parent-death signal can only be set in the child itself")]
fn prepare(command: &mut Command) {
    let parent = i32::try_from(std::process::id()).ok();
    let become_a_child = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that ended before that line sends no signal any more.
        if getppid().map(Pid::as_raw_pid) != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        mask_signals(false)?;
        close_on_exec();
        Ok(())
    };
    // SAFETY: `become_a_child` makes system calls only; it takes no lock and no memory.
    unsafe { command.pre_exec(become_a_child) };
}

/// Blocks every signal in the calling thread, or none.
#[allow(unsafe_code, reason = "std and rustix have no signal masks")]
fn mask_signals(all: bool) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let fill = if all { libc::sigfillset } else { libc::sigemptyset };
    // SAFETY: `set` is written by `fill` before it is read, and a null old mask is allowed.
    let error = unsafe {
        fill(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Keeps the caller's open files, sockets and devices out of the child.
#[allow(unsafe_code, reason = "std and rustix have no close_range")]
fn close_on_exec() {
    let first: libc::c_uint = 3;
    // SAFETY: this changes a flag of descriptors of the child only.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Linux before 5.11. The limit is the usual one; a higher descriptor would have to be inherited.
    for fd in 3..65_536 {
        // SAFETY: as above; a descriptor that is not open is answered with an error.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
