//! etcds under test: one of the library's own making, or a cluster of three that the test may hurt.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdzv::server::{Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::http;
use super::peers::{Isolated, Peer};
use super::proxy::Proxy;

/// Which API the clients of a test speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    V2,
    V3,
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// Those that the etcd under test and `RDZV_TEST_API` offer.
    pub(crate) fn all() -> Vec<Self> {
        let wanted = std::env::var("RDZV_TEST_API").unwrap_or_default();
        let mut all = Vec::new();
        if wanted != "v3" && knows_v2() {
            all.push(Self::V2);
        }
        if wanted != "v2" {
            all.push(Self::V3);
        }
        all
    }
}

/// The etcd under test.
pub(crate) fn binary() -> PathBuf {
    let named = std::env::var_os("RDZV_ETCD_BINARY").map(PathBuf::from);
    let dirs = || std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let found = named.or_else(|| dirs().into_iter().map(|dir| dir.join("etcd")).find(|path| path.is_file()));
    found.expect("no etcd: set RDZV_ETCD_BINARY")
}

fn help() -> &'static str {
    static HELP: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HELP.get_or_init(|| {
        let help = Command::new(binary()).arg("--help").output().unwrap();
        String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).into_owned()
    })
}

pub(crate) fn knows_v2() -> bool {
    help().contains("--enable-v2")
}

/// What makes a test server fast, where it can.
pub(crate) fn fast_arguments() -> &'static [&'static str] {
    if help().contains("--unsafe-no-fsync") { &["--unsafe-no-fsync"] } else { &[] }
}

/// One etcd on a free port, and where it keeps its data.
pub(crate) struct Single {
    // First, so that it stops before its data go.
    server: Server,
    _dir: Scratch,
}

impl std::ops::Deref for Single {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Starts one with the arguments given.
pub(crate) fn start(arguments: &[&str]) -> Single {
    let dir = Scratch::new();
    let mut options = ServerOptions::new();
    options.set("data_dir", dir.0.join("data").to_str().unwrap()).unwrap();
    let all: Vec<_> = fast_arguments().iter().chain(arguments).copied().collect();
    options.set("args", &all.join(" ")).unwrap();
    options.set("host", "127.0.0.1").unwrap();
    let server = Server::start(&options).unwrap_or_else(|error| panic!("{error}: {}", error.cause()));
    Single { server, _dir: dir }
}

/// A child that is killed with this process, and by the end of the thread that started it.
pub(crate) fn spawn(mut command: Command) -> Child {
    let die = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: one system call.
    #[allow(unsafe_code, reason = "the parent-death signal can only be set in the child itself")]
    unsafe {
        command.pre_exec(die)
    };
    command.stdin(Stdio::null()).spawn().unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A directory of its own, removed on drop; in memory where that can be, since etcd waits for its disk.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = parent.join(format!("rdzv-test-{}-{:x}", std::process::id(), fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Several members, each with a proxy before it that clients go through, and another one for its peers.
pub(crate) struct Cluster {
    members: Vec<Member>,
    isolated: Isolated,
    dir: Scratch,
}

struct Member {
    name: String,
    client: u16,
    listen_peer: u16,
    peer: Peer,
    proxy: Proxy,
    process: Mutex<Option<Child>>,
}

impl Cluster {
    pub(crate) fn start(size: usize) -> Self {
        let isolated = Isolated::default();
        let member = |at: usize| {
            let (client, listen_peer) = (free_port(), free_port());
            let (proxy, peer) = (Proxy::start(&format!("127.0.0.1:{client}")), Peer::start(listen_peer, &isolated));
            Member { name: format!("m{at}"), client, listen_peer, peer, proxy, process: Mutex::new(None) }
        };
        let members = (0..size).map(member).collect();
        let cluster = Self { members, isolated, dir: Scratch::new() };
        for at in 0..size {
            cluster.launch(at);
        }
        for at in 0..size {
            cluster.await_healthy(at);
            let id: u64 = cluster.status(at)["header"]["member_id"].as_str().unwrap().parse().unwrap();
            cluster.members[at].peer.name(&format!("{id:x}"));
        }
        cluster
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The proxied endpoints, comma-separated.
    pub(crate) fn endpoints(&self) -> String {
        self.members.iter().map(|member| member.proxy.endpoint()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn proxy(&self, at: usize) -> &Proxy {
        &self.members[at].proxy
    }

    /// `host:port` of a member, past its proxy.
    pub(crate) fn direct(&self, at: usize) -> String {
        format!("127.0.0.1:{}", self.members[at].client)
    }

    pub(crate) fn directs(&self) -> String {
        (0..self.len()).map(|at| self.direct(at)).collect::<Vec<_>>().join(",")
    }

    /// Starts a member that does not run.
    pub(crate) fn launch(&self, at: usize) {
        let member = &self.members[at];
        let all: Vec<_> = self
            .members
            .iter()
            .map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer.port()))
            .collect();
        let mut command = Command::new(binary());
        command.args(["--name", &member.name, "--data-dir"]).arg(self.dir.0.join(&member.name));
        command.args(["--listen-client-urls", &format!("http://127.0.0.1:{}", member.client)]);
        command.args(["--advertise-client-urls", &format!("http://{}", member.proxy.endpoint())]);
        command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{}", member.listen_peer)]);
        command.args(["--initial-advertise-peer-urls", &format!("http://127.0.0.1:{}", member.peer.port())]);
        command.args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"]);
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.args(fast_arguments());
        if knows_v2() {
            command.arg("--enable-v2");
        }
        let log = fs::File::options().create(true).append(true).open(self.dir.0.join(format!("{}.log", member.name)));
        let log = log.unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        *member.process.lock().unwrap() = Some(spawn(command));
    }

    pub(crate) fn await_healthy(&self, at: usize) {
        let start = Instant::now();
        while !self.is_healthy(at) {
            assert!(start.elapsed() < Duration::from_secs(60), "member {at} is not healthy");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_healthy(&self, at: usize) -> bool {
        let health = http::ask(&self.direct(at), "GET", "/health", "", "");
        matches!(health, Ok((200, text)) if text.contains("true"))
    }

    /// What a member says of itself; null where it does not answer.
    fn status(&self, at: usize) -> serde_json::Value {
        match http::ask(&self.direct(at), "POST", "/v3/maintenance/status", "", "{}") {
            Ok((200, text)) => serde_json::from_str(&text).unwrap_or_default(),
            _ => serde_json::Value::Null,
        }
    }

    /// Which member leads, as far as a member that answers knows.
    pub(crate) fn leader(&self) -> usize {
        let start = Instant::now();
        loop {
            for at in 0..self.len() {
                let status = self.status(at);
                let id = status["header"]["member_id"].as_str();
                if id.is_some() && id == status["leader"].as_str() {
                    return at;
                }
            }
            assert!(start.elapsed() < Duration::from_secs(60), "nobody leads");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Cuts a member off from the others; clients still reach it.
    pub(crate) fn isolate(&self, at: usize) {
        self.isolated.add(&self.members[at].peer.id().expect("the member's id"));
    }

    /// Ends every isolation.
    pub(crate) fn rejoin(&self) {
        self.isolated.clear();
    }

    pub(crate) fn follower(&self) -> usize {
        (self.leader() + 1) % self.len()
    }

    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        if let Some(child) = self.members[at].process.lock().unwrap().as_ref() {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(&self, at: usize) {
        self.signal(at, Signal::KILL);
        if let Some(mut child) = self.members[at].process.lock().unwrap().take() {
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&self, at: usize) {
        self.signal(at, Signal::TERM);
        if let Some(mut child) = self.members[at].process.lock().unwrap().take() {
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&self, at: usize) {
        self.launch(at);
        self.await_healthy(at);
    }

    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.members[at].client))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for at in 0..self.members.len() {
            // A stopped process does not end by SIGKILL's sibling alone, but SIGKILL ends stopped ones too.
            self.signal(at, Signal::KILL);
            if let Some(mut child) = self.members[at].process.lock().unwrap().take() {
                _ = child.wait();
            }
        }
    }
}
