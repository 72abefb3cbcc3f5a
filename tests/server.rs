//! The local server against a real etcd: the one that `RDZV_ETCD_BINARY` names, else the one in `PATH`.
//!
//! What needs a process of its own (its environment, its death, its forks) runs this program again with the test
//! `scenario` and the variable `RDZV_TEST_SCENARIO`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdzv::Error;
use rdzv::server::{Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};

fn options(settings: &[(&str, &str)]) -> ServerOptions {
    let mut options = ServerOptions::new();
    for (key, value) in settings {
        options.set(key, value).unwrap();
    }
    options
}

fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(&options(settings)).unwrap_or_else(|error| panic!("{error}: {}", error.cause()))
}

/// The etcd under test.
fn etcd() -> PathBuf {
    let named = std::env::var_os("RDZV_ETCD_BINARY").map(PathBuf::from);
    let dirs = || std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    named.or_else(|| dirs().into_iter().map(|dir| dir.join("etcd")).find(|path| path.is_file())).expect("an etcd")
}

fn knows_v2() -> bool {
    let help = Command::new(etcd()).arg("--help").output().unwrap();
    String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).contains("--enable-v2")
}

/// The status and body of a GET.
fn get(server: &Server, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.endpoint()).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The process that was started with this text among its arguments, shells that run this test excepted.
fn find_process(argument: &str) -> Option<i32> {
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| String::from_utf8_lossy(word).contains(argument))
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    entries.filter(|pid| i64::from(*pid) != i64::from(std::process::id())).find(has)
}

fn pid_of(server: &Server) -> i32 {
    find_process(&format!("http://{}", server.endpoint())).expect("the server's process")
}

/// Whether the process exists and is no zombie.
fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The temporary directory that the process's data are in.
fn data_dir(pid: i32) -> PathBuf {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let mut words = line.split('\0');
    words.find(|word| *word == "--data-dir").unwrap();
    PathBuf::from(words.next().unwrap())
}

/// A directory with a space in its name, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rdzv test {name} {}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A shell script in etcd's place.
    fn script(&self, text: &str) -> String {
        let path = self.path("etcd");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// This program again, doing one scenario.
fn scenario_command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["scenario", "--exact", "--ignored", "--nocapture"]).env("RDZV_TEST_SCENARIO", name);
    command
}

fn run_scenario(name: &str, variables: &[(&str, &str)]) {
    let output = scenario_command(name).envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn scenario() {
    match std::env::var("RDZV_TEST_SCENARIO").unwrap().as_str() {
        "wrong binary" => {
            let error = Server::start(&ServerOptions::new()).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("/no/such/etcd") && text.contains("RDZV_ETCD_BINARY"), "{text}");
        }
        "start and stop" => start(&[]).stop().unwrap(),
        "hold" => hold_until_killed(),
        "fork" => fork_and_drop(),
        "wait for any" => take_the_exit_status(),
        other => panic!("{other}"),
    }
}

/// Starts a server on a thread that ends, prints its process and its directory, and waits for the end.
fn hold_until_killed() {
    let server = std::thread::spawn(|| start(&[])).join().unwrap();
    println!("\nholds {} {}", pid_of(&server), data_dir(pid_of(&server)).display());
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[allow(unsafe_code, reason = "std and rustix cannot fork")]
fn fork_and_drop() {
    let server = start(&[]);
    let endpoint = server.endpoint().to_owned();
    let dir = data_dir(pid_of(&server));
    // SAFETY: the child runs nothing but the library and `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let same = server.endpoint() == endpoint && server.stop().is_ok();
        drop(server);
        // SAFETY: this ends the child without the test harness noticing.
        unsafe { libc::_exit(if same { 7 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(libc::WEXITSTATUS(status), 7);
    assert_eq!(get(&server, "/version").0, 200);
    assert!(dir.exists());
    server.stop().unwrap();
}

/// A launcher that waits for any child may reap etcd before the library does.
#[allow(unsafe_code, reason = "std and rustix cannot wait for any child")]
fn take_the_exit_status() {
    let server = start(&[]);
    let pid = pid_of(&server);
    let waiter = std::thread::spawn(|| {
        // SAFETY: a null status is allowed.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }
    });
    let begun = Instant::now();
    server.stop().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    waiter.join().unwrap();
    assert!(!is_alive(pid));
}

#[test]
fn it_serves_on_every_loopback_address_and_is_gone_after_stop() {
    for host in ["localhost", "127.0.0.1", "127.0.0.2", "::1"] {
        if host == "::1" && TcpListener::bind("[::1]:0").is_err() {
            eprintln!("no IPv6 on this machine");
            continue;
        }
        let server = start(&[("host", host)]);
        let pid = pid_of(&server);
        let dir = data_dir(pid).parent().unwrap().to_owned();
        let shown = if host == "::1" { "[::1]" } else { host };
        assert_eq!((server.host(), server.endpoint()), (host, &*format!("{shown}:{}", server.port())));
        assert!(get(&server, "/version").1.contains(&format!("\"etcdserver\":\"{}\"", server.version())));
        assert!(server.version().starts_with("3."), "{}", server.version());
        assert!(dir.exists());
        let begun = Instant::now();
        server.stop().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "etcd ends when it is asked to");
        assert!(!is_alive(pid) && !dir.exists());
        assert!(TcpStream::connect(server.endpoint()).is_err());
        server.stop().unwrap();
    }
}

#[test]
fn localhost_is_right_whichever_address_a_client_takes_for_it() {
    let server = start(&[]);
    for address in ["127.0.0.1", "[::1]"] {
        if TcpListener::bind(format!("{address}:0")).is_ok() {
            TcpStream::connect(format!("{address}:{}", server.port())).unwrap();
        }
    }
}

#[test]
fn dropping_stops() {
    let server = start(&[]);
    let pid = pid_of(&server);
    drop(server);
    assert!(!is_alive(pid));
}

#[test]
fn several_servers_serve_at_once() {
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(|| start(&[]))).collect();
    let servers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for server in &servers {
        assert_eq!(get(server, "/version").0, 200);
        assert_eq!(servers.iter().filter(|other| other.port() == server.port()).count(), 1);
    }
    servers[0].stop().unwrap();
    assert_eq!(get(&servers[1], "/version").0, 200);
}

#[test]
fn paths_may_hold_spaces_and_the_callers_data_are_kept() {
    let scratch = Scratch::new("spaces");
    std::os::unix::fs::symlink(etcd(), scratch.path("etcd")).unwrap();
    let settings = [("binary", &*scratch.path("etcd")), ("data_dir", &*scratch.path("the data"))];
    let server = start(&settings);
    let pid = pid_of(&server);
    let program = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(program.starts_with(&scratch.path("etcd")), "{program}");
    server.stop().unwrap();
    let member = Path::new(&scratch.path("the data")).join("member");
    assert!(member.exists());
    start(&settings).stop().unwrap();
    assert!(member.exists());
}

#[test]
fn v2_is_on_where_the_program_has_it_and_wanted() {
    let auto = start(&[]);
    let (status, body) = get(&auto, "/v2/keys/");
    assert_eq!(status == 200, knows_v2(), "{status} {body}");
    assert_eq!(get(&start(&[("enable_v2", "false")]), "/v2/keys/").0, 404);
    match Server::start(&options(&[("enable_v2", "true")])) {
        Ok(server) => assert_eq!(get(&server, "/v2/keys/").0, 200),
        Err(Error::Unsupported(text)) => {
            assert!(!knows_v2() && text.contains("enable_v2 to auto"), "{text}");
        }
        Err(error) => panic!("{error}: {}", error.cause()),
    }
}

#[test]
fn the_environment_names_the_program_and_a_wrong_name_is_an_error() {
    run_scenario("wrong binary", &[("RDZV_ETCD_BINARY", "/no/such/etcd")]);
}

#[test]
fn etcds_own_variables_do_not_disturb() {
    run_scenario("start and stop", &[("ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:1"), ("ETCD_DATA_DIR", "/no/such")]);
}

#[test]
fn a_failed_start_shows_how_etcd_ended_and_its_last_lines() {
    let scratch = Scratch::new("exit");
    let binary = scratch.script("echo to the output; echo 'the disk is on fire' >&2; exit 9");
    let begun = Instant::now();
    let error = Server::start(&options(&[("binary", &binary)])).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "an exit is seen at once");
    let cause = error.cause();
    assert!(matches!(error, Error::Start(_)), "{error:?}");
    for part in ["exit status: 9", "to the output\nthe disk is on fire", &binary] {
        assert!(cause.contains(part), "{cause}");
    }
    let error = Server::start(&options(&[("args", "--no-such-flag")])).unwrap_err();
    assert!(error.cause().contains("flag provided but not defined: -no-such-flag"), "{}", error.cause());
}

#[test]
fn what_cannot_be_run_says_so() {
    let scratch = Scratch::new("run");
    fs::write(scratch.path("etcd"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(scratch.path("etcd"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = Server::start(&options(&[("binary", &scratch.path("etcd"))])).unwrap_err();
    assert!(error.cause().contains("could not run") && error.cause().contains("No such file"), "{}", error.cause());
}

#[test]
fn a_start_that_takes_too_long_times_out_and_leaves_nothing() {
    let scratch = Scratch::new("late");
    // The script's own child is what a kill of the script alone would leave.
    let seconds = format!("987.{}", std::process::id());
    let binary =
        scratch.script(&format!("[ \"$1\" = --help ] && exit; echo thinking; sleep {seconds} & sleep {seconds}"));
    let begun = Instant::now();
    let error = Server::start(&options(&[("binary", &binary), ("timeout_ms", "300")])).unwrap_err();
    let took = begun.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_millis(800)).contains(&took), "{took:?}");
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("300 ms") && error.cause().contains("thinking"), "{error}: {}", error.cause());
    eventually("no process is left", || find_process(&seconds).is_none());
}

#[test]
fn a_port_taken_by_another_is_tried_again_as_often_as_allowed() {
    let scratch = Scratch::new("taken");
    let real = etcd();
    let binary = scratch.script(&format!(
        "[ \"$1\" = --help ] && exec '{real}' --help\ncd \"$(dirname \"$0\")\"; echo x >> tries\n\
         [ $(wc -l < tries) = 3 ] && exec '{real}' \"$@\"\n\
         echo 'listen tcp: bind: address already in use'; exit 1",
        real = real.display()
    ));
    let tries = || fs::read_to_string(scratch.path("tries")).unwrap().lines().count();
    let error = Server::start(&options(&[("binary", &binary), ("attempts", "2")])).unwrap_err();
    assert!(error.cause().contains("address already in use"), "{}", error.cause());
    assert_eq!(tries(), 2);
    let server = start(&[("binary", &binary)]);
    assert_eq!((tries(), get(&server, "/version").0), (3, 200));
}

#[test]
fn a_wanted_port_is_taken_or_refused() {
    let listener = TcpListener::bind("127.0.0.3:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = [("host", "127.0.0.3"), ("port", &*port.to_string())];
    let error = Server::start(&options(&settings)).unwrap_err();
    assert!(error.cause().contains(&format!("127.0.0.3:{port}")), "{}", error.cause());
    assert!(error.cause().contains("in use"), "{}", error.cause());
    drop(listener);
    assert_eq!(start(&settings).port(), port);
}

#[test]
fn a_stopped_etcd_is_killed_in_bounded_time() {
    let server = start(&[]);
    let pid = pid_of(&server);
    signal(pid, Signal::STOP);
    let begun = Instant::now();
    server.stop().unwrap();
    let took = begun.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(!is_alive(pid));
}

#[test]
fn an_etcd_that_died_by_itself_is_stopped_without_complaint() {
    let server = start(&[]);
    let dir = data_dir(pid_of(&server));
    signal(pid_of(&server), Signal::KILL);
    server.stop().unwrap();
    assert!(!dir.exists());
}

#[test]
fn etcd_survives_the_thread_that_started_it_and_dies_with_a_killed_process() {
    let mut parent = scenario_command("hold").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (etcd, data) = held(&mut parent);
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_alive(etcd), "the starting thread has ended long ago");
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("etcd dies with its parent", || !is_alive(etcd));
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

/// What a process that holds a server says of it.
fn held(parent: &mut Child) -> (i32, PathBuf) {
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("holds ")).expect("the server's process");
    let mut words = line.splitn(3, ' ').skip(1);
    (words.next().unwrap().parse().unwrap(), PathBuf::from(words.next().unwrap()))
}

#[test]
fn a_forked_child_reads_the_server_and_cannot_stop_it() {
    run_scenario("fork", &[]);
}

#[test]
fn a_foreign_wait_for_any_child_does_no_harm() {
    run_scenario("wait for any", &[]);
}

#[test]
fn etcd_inherits_no_descriptor_and_no_blocked_signal() {
    let scratch = Scratch::new("inherit");
    let file = fs::File::create(scratch.path("secret")).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let binary = scratch.script(
        // At last the shell itself, since it blocks signals for a moment whenever it starts a program.
        "[ \"$1\" = --help ] && exit\ncd \"$(dirname \"$0\")\"\nls -l /proc/self/fd > fds\n\
         exec grep Sig /proc/self/status > signals",
    );
    Server::start(&options(&[("binary", &binary)])).unwrap_err();
    let fds = fs::read_to_string(scratch.path("fds")).unwrap();
    assert!(fds.contains("0 -> /dev/null") && !fds.contains("secret"), "{fds}");
    let signals = fs::read_to_string(scratch.path("signals")).unwrap();
    assert!(signals.contains("SigBlk:\t0000000000000000"), "{signals}");
}
