//! What a socket of the proxy can be made to do.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{RecvFlags, recv, sockopt};

const HUGE: usize = 1 << 30;

/// A body of 1 GB that begins like an answer.
pub(super) fn flood(client: &TcpStream, chunked: bool, ended: &AtomicBool) -> io::Result<()> {
    let mut out = client;
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {HUGE}") };
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n")?;
    let piece = vec![b' '; 1 << 20];
    for _ in 0..HUGE / piece.len() {
        if ended.load(Ordering::SeqCst) {
            break;
        }
        if chunked {
            write!(out, "{:x}\r\n", piece.len())?;
        }
        out.write_all(&piece)?;
        if chunked {
            out.write_all(b"\r\n")?;
        }
    }
    if chunked { out.write_all(b"0\r\n\r\n") } else { Ok(()) }
}

pub(super) fn respond(client: &TcpStream, status: u16, media_type: &str, body: &[u8]) -> io::Result<()> {
    let mut out = client;
    write!(out, "HTTP/1.1 {status} Said So\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    out.write_all(body)
}

pub(super) fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    match recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, count)) => count == 0,
        Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
    }
}

/// Ends a connection by RST.
pub(super) fn reset(stream: &TcpStream) {
    _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    // The close of the last copy of the descriptor sends it; the shutdown wakes whoever blocks in a read of a copy.
    _ = stream.shutdown(std::net::Shutdown::Read);
}

pub(super) fn resolve(address: &str) -> SocketAddr {
    use std::net::ToSocketAddrs as _;
    let found = address.to_socket_addrs().unwrap().find(SocketAddr::is_ipv4);
    found.unwrap_or_else(|| panic!("no IPv4 address of {address}"))
}
