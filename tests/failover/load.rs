//! Threads that work on one run, and the record of every call that they made.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rdzv::Error;
use rdzv::backend::Backend;
use rdzv::store::Store;
use serde_json::{Value, json};

use crate::support::{Api, connect, told, unique};

/// How many threads work at once.
const THREADS: usize = 8;

/// The values that `compare_set` goes round with: few, so that an old write done late would be taken for a new one.
const VALUES: [&str; 4] = ["a", "b", "c", "d"];

/// What the calls came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) ok: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Failed, and said that nothing was done.
    pub(crate) failed: AtomicU64,
    /// The longest time between two calls that were done, in milliseconds.
    pub(crate) longest_gap: AtomicU64,
    /// How long after its deadline a call ended at most, in milliseconds.
    pub(crate) latest: AtomicU64,
}

pub(crate) struct Load {
    calls: Mutex<Vec<Value>>,
    pub(crate) tally: Tally,
    began: Instant,
    last_ok: AtomicU64,
    over: AtomicBool,
}

/// What `read_timeout` is while there are faults.
const LIMIT: Duration = Duration::from_secs(3);

impl Load {
    /// Works on a run of its own from `THREADS` threads while `faults` goes on.
    pub(crate) fn run(endpoints: &str, api: Api, faults: impl FnOnce()) -> Self {
        let load = Self {
            calls: Mutex::default(),
            tally: Tally::default(),
            began: Instant::now(),
            last_ok: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let config = format!("read_timeout={},reconnect_timeout=3", LIMIT.as_secs());
        let (backend, store) = connect(endpoints, api, &unique("load"), &config);
        thread::scope(|scope| {
            for client in 0..THREADS {
                let (load, backend, store) = (&load, &backend, &store);
                scope.spawn(move || load.work(client, backend, store));
            }
            let _stop = StopOnDrop(&load.over);
            faults();
        });
        load
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    fn work(&self, client: usize, backend: &Backend, store: &Store) {
        let mut token = None;
        let mut seen = String::new();
        let mut count = 0;
        while !self.over.load(Ordering::SeqCst) {
            count += 1;
            let name = format!("{client}-{count}");
            match count % 4 {
                0 => token = self.get_state(client, backend).unwrap_or(token),
                1 => token = self.set_state(client, backend, &name, token).or(token),
                2 => self.add(client, store),
                _ => self.compare_set(client, store, &mut seen),
            }
            thread::sleep(Duration::from_micros(fastrand::u64(1000..15000)));
        }
    }

    /// Records one call: `told` adds what it returned.
    fn record<T>(
        &self,
        client: usize,
        mut call: Value,
        run: impl FnOnce() -> rdzv::Result<T>,
        told_by: impl FnOnce(&T, &mut Value),
    ) -> Option<T> {
        let start = self.now();
        let result = run();
        let end = self.now();
        let late = Duration::from_nanos(end - start).saturating_sub(LIMIT);
        self.tally.latest.fetch_max(u64::try_from(late.as_millis()).unwrap(), Ordering::SeqCst);
        call["client"] = json!(client);
        (call["start"], call["end"]) = (json!(start), json!(end));
        let tally = &self.tally;
        match &result {
            Ok(value) => {
                told_by(value, &mut call);
                tally.ok.fetch_add(1, Ordering::SeqCst);
                let before = self.last_ok.fetch_max(end, Ordering::SeqCst);
                tally.longest_gap.fetch_max(end.saturating_sub(before) / 1_000_000, Ordering::SeqCst);
            }
            Err(Error::UnknownOutcome(_)) => {
                call["unknown"] = json!(true);
                tally.unknown.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::Connection(_) | Error::Timeout { .. }) => {
                tally.failed.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            Err(error) => panic!("{}", told(error)),
        }
        self.calls.lock().unwrap().push(call);
        result.ok()
    }

    /// The token of the state; `Some(None)` where there is no state.
    fn get_state(&self, client: usize, backend: &Backend) -> Option<Option<u64>> {
        let run = || match backend.get_state() {
            Ok(state) => Ok(Some(state)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        };
        let call = json!({"op": "get_state", "key": "state"});
        let state = self.record(client, call, run, |state, call| {
            if let Some(state) = state {
                call["value"] = json!(String::from_utf8_lossy(&state.value));
                call["token"] = json!(state.token.to_string());
            }
        })?;
        Some(state.map(|state| state.token))
    }

    fn set_state(&self, client: usize, backend: &Backend, value: &str, token: Option<u64>) -> Option<u64> {
        let expect = token.map(|token| token.to_string()).unwrap_or_default();
        let call = json!({"op": "set_state", "key": "state", "write": value, "expect": expect});
        let run = || backend.set_state(value.as_bytes(), token);
        let set = self.record(client, call, run, |set, call| {
            call["set"] = json!(set.has_set);
            call["value"] = json!(String::from_utf8_lossy(&set.state.value));
            call["token"] = json!(set.state.token.to_string());
        })?;
        Some(set.state.token)
    }

    fn add(&self, client: usize, store: &Store) {
        let amount = fastrand::i64(1..4);
        let call = json!({"op": "add", "key": "counter", "amount": amount});
        self.record(client, call, || store.add(b"counter", amount), |sum, call| call["sum"] = json!(sum));
    }

    fn compare_set(&self, client: usize, store: &Store, seen: &mut String) {
        let write = VALUES[fastrand::usize(..VALUES.len())];
        let call = json!({"op": "compare_set", "key": "cell", "expect": seen.as_str(), "write": write});
        let run = || store.compare_set(b"cell", seen.as_bytes(), write.as_bytes());
        let now = self.record(client, call, run, |now, call| call["value"] = json!(String::from_utf8_lossy(now)));
        if let Some(now) = now {
            *seen = String::from_utf8_lossy(&now).into_owned();
        }
    }

    /// No call ended longer than that after its deadline.
    pub(crate) fn assert_in_time(&self, most: Duration) {
        let late = Duration::from_millis(self.tally.latest.load(Ordering::SeqCst));
        assert!(late <= most, "{late:?} late");
    }

    /// Writes the history to a file for the checker.
    pub(crate) fn write(&self, path: &Path) {
        let mut text = Vec::new();
        for call in self.calls.lock().unwrap().iter() {
            writeln!(text, "{call}").unwrap();
        }
        fs::write(path, text).unwrap();
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Where histories go.
pub(crate) fn histories() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("histories-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

/// Checks histories for linearizability with porcupine, which Go builds. Returns what it says.
pub(crate) fn check(paths: &[PathBuf]) -> String {
    static CHECKER: OnceLock<PathBuf> = OnceLock::new();
    let checker = CHECKER.get_or_init(|| {
        let binary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("porcupine-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/porcupine");
        let mut go = Command::new("go");
        go.current_dir(source).env("GOTOOLCHAIN", "local").args(["build", "-o"]).arg(&binary).arg(".");
        let built = go.output().expect("the checker of histories needs the Go toolchain");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        binary
    });
    let output = Command::new(checker).args(paths).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
