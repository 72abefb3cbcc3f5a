//! Asks a starting etcd whether it serves yet.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one question may take; etcd answers in less than a millisecond once it serves.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest answer that is read.
const LIMIT: u64 = 16 * 1024;

#[derive(serde::Deserialize)]
struct Version {
    etcdserver: String,
}

/// The version of the etcd at `address` if it is healthy (it has a leader and can write), else why it is not known.
pub(super) fn version(address: SocketAddr, patience: Duration) -> io::Result<String> {
    let patience = patience.clamp(Duration::from_millis(1), PATIENCE);
    get(address, "/health", patience)?;
    let body = get(address, "/version", patience)?;
    Ok(serde_json::from_str::<Version>(&body)?.etcdserver)
}

/// The body of a plain GET that is answered with 200.
fn get(address: SocketAddr, path: &str, patience: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // With HTTP/1.0 the server ends the body by closing, and cuts it into no chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(LIMIT).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1);
    match (status, answer.split_once("\r\n\r\n")) {
        (Some("200"), Some((_, body))) => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("GET {path} was answered with {:?}", answer.lines().next().unwrap_or("")))),
    }
}
