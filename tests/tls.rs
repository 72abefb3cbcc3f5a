//! https and credentials against real etcds: what is let in, and what each refusal says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use rdzv::Error;
use rdzv::logging::{Level, set_callback};
use support::etcd::{Scratch, free_port};
use support::{Api, connect, etcd, http, label, params, told, try_connect, unique};

/// An authority, and files of what it issued.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    name: &'static str,
    dir: PathBuf,
}

/// What is odd about a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Oddity {
    None,
    Expired,
}

impl Authority {
    fn new(dir: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, name);
        let key = KeyPair::generate().unwrap();
        fs::write(dir.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), name, dir: dir.to_owned() }
    }

    fn certificate(&self) -> String {
        self.dir.join(format!("{}.pem", self.name)).to_str().unwrap().to_owned()
    }

    /// Certificate and key for these names, for servers and clients both: etcd's gateway is a client of its server.
    fn issue(&self, file: &str, names: &[&str], oddity: Oddity) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            });
        }
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "test");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if oddity == Oddity::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.dir.join(format!("{}-{file}.{end}", self.name)).to_str().unwrap().to_owned();
        fs::write(path("crt"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("crt"), path("key"))
    }
}

/// An etcd that speaks https.
struct Https {
    process: Child,
    port: u16,
    _dir: Scratch,
}

impl Https {
    fn start(certificate: &(String, String), client_authority: Option<&str>) -> Self {
        let (dir, port) = (Scratch::new(), free_port());
        let mut command = Command::new(etcd::binary());
        command.arg("--data-dir").arg(dir.0.join("data"));
        let url = format!("https://127.0.0.1:{port}");
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", "http://127.0.0.1:0"]);
        command.args(["--cert-file", &certificate.0, "--key-file", &certificate.1]);
        if let Some(authority) = client_authority {
            command.args(["--client-cert-auth", "--trusted-ca-file", authority]);
        }
        if etcd::knows_v2() {
            command.arg("--enable-v2");
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = etcd::spawn(command);
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "etcd does not listen");
            sleep(Duration::from_millis(10));
        }
        Self { process, port, _dir: dir }
    }

    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Uses the server, which may still be electing itself.
fn works(endpoint: &str, api: Api, config: &str) {
    let (backend, store) = connect(endpoint, api, &unique("run"), config);
    assert!(backend.set_state(b"1", None).unwrap().has_set);
    store.set(b"key", b"value").unwrap();
    assert_eq!(store.get(b"key").unwrap(), b"value");
    let timeout = Duration::from_millis(50);
    assert_eq!(label(&store.wait(&[b"never"], Some(timeout))), "TIMEOUT");
}

/// The status and the words of a refusal at first contact or at the first call.
fn refusal(endpoint: &str, api: Api, config: &str) -> (&'static str, String) {
    let config = format!("{config},read_timeout=3,reconnect_timeout=0");
    let outcome =
        try_connect(endpoint, api, &unique("run"), &config).and_then(|(_backend, store)| store.check(&[b"key"]));
    let error = outcome.expect_err("it should have been refused");
    (label::<()>(&Err(copy(&error))), told(&error))
}

/// Enough of an error for its label.
fn copy(error: &Error) -> Error {
    match error {
        Error::Connection(_) => Error::Connection(rdzv::error::Cause::new("")),
        Error::Auth(_) => Error::Auth(rdzv::error::Cause::new("")),
        Error::InvalidArgument(text) => Error::InvalidArgument(text.clone()),
        other => panic!("{}", told(other)),
    }
}

#[test]
fn who_is_trusted_and_who_is_not() {
    let dir = Scratch::new();
    let (ours, theirs) = (Authority::new(&dir.0, "ours"), Authority::new(&dir.0, "theirs"));
    let everywhere = ["localhost", "127.0.0.1"];
    let server = Https::start(&ours.issue("server", &everywhere, Oddity::None), None);
    let expired = Https::start(&ours.issue("expired", &everywhere, Oddity::Expired), None);
    let elsewhere = Https::start(&ours.issue("elsewhere", &["etcd.example.org", "192.0.2.1"], Oddity::None), None);
    let plain = etcd::start(&[]);
    let trust = |authority: &Authority| format!("protocol=https,ca_cert={}", authority.certificate());
    for api in Api::all() {
        works(&server.at("127.0.0.1"), api, &trust(&ours));
        works(&server.at("localhost"), api, &trust(&ours));
        let cases = [
            (server.at("localhost"), trust(&theirs), "not issued by a trusted authority (check ca_cert)"),
            (server.at("localhost"), "protocol=https".to_owned(), "not issued by a trusted authority"),
            (expired.at("localhost"), trust(&ours), "has expired"),
            (elsewhere.at("localhost"), trust(&ours), "not valid for the endpoint's host"),
            (elsewhere.at("127.0.0.1"), trust(&ours), "not valid for the endpoint's host"),
            (plain.endpoint().to_owned(), trust(&ours), "protocol http?)"),
            (server.at("localhost"), "protocol=http".to_owned(), "protocol https?)"),
        ];
        for (endpoint, config, words) in cases {
            let (status, text) = refusal(&endpoint, api, &config);
            assert_eq!(status, "CONNECTION", "{api:?} {config}: {text}");
            assert!(text.contains(words), "{api:?} {config}: {text}");
        }
    }
}

#[test]
fn client_certificates() {
    let dir = Scratch::new();
    let (ours, theirs) = (Authority::new(&dir.0, "ours"), Authority::new(&dir.0, "theirs"));
    let certificate = ours.issue("server", &["localhost", "127.0.0.1"], Oddity::None);
    let server = Https::start(&certificate, Some(&ours.certificate()));
    let base = format!("protocol=https,ca_cert={}", ours.certificate());
    let with = |(certificate, key): (String, String)| format!("{base},ssl_cert={certificate},ssl_cert_key={key}");
    for api in Api::all() {
        let endpoint = server.at("localhost");
        works(&endpoint, api, &with(ours.issue("client", &[], Oddity::None)));
        // Certificate and key in one file.
        let (certificate, key) = ours.issue("both", &[], Oddity::None);
        let both = dir.0.join("both.pem");
        fs::write(&both, [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat()).unwrap();
        works(&endpoint, api, &format!("{base},ssl_cert={}", both.display()));
        let client = "client certificate";
        for (config, words) in [
            (base.clone(), client),
            (with(theirs.issue("client", &[], Oddity::None)), client),
            (with(ours.issue("old", &[], Oddity::Expired)), client),
        ] {
            let (status, text) = refusal(&endpoint, api, &config);
            assert!(status == "CONNECTION" || status == "AUTH", "{api:?} {status}: {text}");
            assert!(text.contains(words), "{api:?} {config}: {text}");
        }
        let (certificate, _) = ours.issue("client", &[], Oddity::None);
        let (_, key) = ours.issue("another", &[], Oddity::None);
        let (status, text) = refusal(&endpoint, api, &with((certificate, key)));
        assert_eq!(status, "INVALID_ARGUMENT");
        assert!(text.contains("does not fit the certificate"), "{text}");
    }
}

/// What was said until a connection stands is not the request.
#[test]
fn a_handshake_that_fails_has_sent_nothing() {
    let dir = Scratch::new();
    let ours = Authority::new(&dir.0, "ours");
    let certificate = ours.issue("server", &["localhost"], Oddity::None);
    for api in Api::all() {
        let server = Https::start(&certificate, None);
        let (endpoint, port) = (server.at("localhost"), server.port);
        let config = format!("protocol=https,ca_cert={},read_timeout=2,reconnect_timeout=0", ours.certificate());
        let (_backend, store) = connect(&endpoint, api, &unique("run"), &config);
        store.add(b"counter", 1).unwrap();
        drop(server);
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // The client's first words are read, or it would see a reset.
                _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            }
        });
        for outcome in [store.set(b"key", b"1"), store.queue_push(b"queue", b"1")] {
            assert_eq!(label(&outcome), "CONNECTION", "{outcome:?}");
        }
    }
}

#[test]
fn no_option_switches_verification_off() {
    let words = ["insecure", "verify", "skip", "danger", "trust_all"];
    for option in rdzv::params::OPTIONS {
        assert!(words.iter().all(|word| !option.name.contains(word)), "{}", option.name);
    }
}

#[test]
fn the_systems_trust_store_is_used_without_ca_cert() {
    let dir = Scratch::new();
    let ours = Authority::new(&dir.0, "ours");
    let server = Https::start(&ours.issue("server", &["localhost"], Oddity::None), None);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["with_the_systems_trust", "--exact", "--ignored", "--nocapture"]);
    command.env("SSL_CERT_FILE", ours.certificate()).env("RDZV_TEST_ENDPOINT", server.at("localhost"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the_systems_trust_store_is_used_without_ca_cert, in a process of its own"]
fn with_the_systems_trust() {
    let endpoint = std::env::var("RDZV_TEST_ENDPOINT").unwrap();
    for api in Api::all() {
        works(&endpoint, api, "protocol=https");
    }
}

const PASSWORD: &str = "hunter2-secret";

/// Switches authentication on, with the user root.
fn enable_auth(endpoint: &str, api: Api) {
    let ask = |method: &str, target: &str, body: &str| {
        let (status, text) = http::ask(endpoint, method, target, "Content-Type: application/json\r\n", body).unwrap();
        assert!(matches!(status, 200 | 201), "{target}: {status} {text}");
    };
    match api {
        Api::V2 => {
            ask("PUT", "/v2/auth/users/root", &format!(r#"{{"user":"root","password":"{PASSWORD}"}}"#));
            ask("PUT", "/v2/auth/enable", "");
            // Guests may do everything until their role is gone.
            let root = format!("Authorization: Basic {}\r\n", base64("root:hunter2-secret"));
            let (status, text) = http::ask(endpoint, "DELETE", "/v2/auth/roles/guest", &root, "").unwrap();
            assert_eq!(status, 200, "{text}");
        }
        Api::V3 => {
            ask("POST", "/v3/auth/user/add", &format!(r#"{{"name":"root","password":"{PASSWORD}"}}"#));
            ask("POST", "/v3/auth/role/add", r#"{"name":"root"}"#);
            ask("POST", "/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#);
            ask("POST", "/v3/auth/enable", "{}");
        }
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn credentials() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    set_callback(Some((Level::Trace, Box::new(move |_, line: &str| seen.lock().unwrap().push(line.to_owned())))))
        .unwrap();
    for api in Api::all() {
        let server = etcd::start(&["--auth-token-ttl", "2"]);
        let good = format!("username=root,password={PASSWORD}");
        // Where nobody asks for them they do no harm.
        works(server.endpoint(), api, &good);
        enable_auth(server.endpoint(), api);
        works(server.endpoint(), api, &good);
        let mut texts = Vec::new();
        for config in
            ["read_timeout=5", "username=root,password=wrong-hunter2", "username=nobody,password=hunter2-secret"]
        {
            let (status, text) = refusal(server.endpoint(), api, config);
            assert_eq!(status, "AUTH", "{api:?} {config}: {text}");
            texts.push(text);
        }
        // A token that has expired is renewed.
        let (backend, store) = connect(server.endpoint(), api, &unique("run"), &good);
        store.add(b"counter", 1).unwrap();
        sleep(Duration::from_millis(4500));
        assert_eq!(store.add(b"counter", 1).unwrap(), 2);
        _ = backend.get_state();
        texts.push(format!("{:?}", params(server.endpoint(), api, "run", &good)));
        texts.push(format!("{:?}", params(server.endpoint(), api, "run", &good).settings().unwrap()));
        texts.append(&mut lines.lock().unwrap());
        assert!(texts.len() > 20, "the log was read");
        for text in &texts {
            for secret in ["hunter2", &base64("root:hunter2-secret"), &base64("root:wrong-hunter2")] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    set_callback(None).unwrap();
}
