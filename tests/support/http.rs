//! Just enough of HTTP/1.1 for a proxy that must know where a message ends.

use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Head and body, byte for byte.
    pub(crate) raw: Vec<u8>,
}

impl Request {
    /// Reads the next request of a connection; `None` at its end.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = head(reader)?;
        if raw.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut words = text.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let length = header(&text, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (method, target) = (method.to_owned(), target.to_owned());
        raw.extend_from_slice(&body);
        Ok(Some(Self { method, target, raw }))
    }

    /// Whether it is the open end of a wait: a long-poll of v2, a watch of v3.
    pub(crate) fn is_poll(&self) -> bool {
        self.target.contains("wait=true") || self.target.ends_with("/watch")
    }

    /// Whether it may change something.
    pub(crate) fn is_write(&self) -> bool {
        let writes = ["/kv/txn", "/kv/put", "/kv/deleterange"];
        match self.method.as_str() {
            "PUT" | "DELETE" => true,
            "POST" => writes.iter().any(|path| self.target.ends_with(path)) && self.has_write(),
            _ => false,
        }
    }

    /// Whether a v3 transaction holds anything but reads.
    fn has_write(&self) -> bool {
        let text = String::from_utf8_lossy(&self.raw);
        !self.target.ends_with("/txn")
            || ["request_put", "requestPut", "request_delete_range", "requestDeleteRange"]
                .iter()
                .any(|write| text.contains(write))
    }
}

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

/// The head of an answer and how its body ends.
pub(crate) fn response_head(reader: &mut impl BufRead) -> io::Result<(Vec<u8>, Framing)> {
    let head = head(reader)?;
    if head.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let framing = match header(&text, "content-length").and_then(|length| length.parse().ok()) {
        Some(length) => Framing::Length(length),
        None if text.to_ascii_lowercase().contains("transfer-encoding: chunked") => Framing::Chunked,
        None => Framing::Length(0),
    };
    Ok((head, framing))
}

/// Passes a body on as it comes, byte for byte. `idle` is called when nothing has come for a while.
pub(crate) fn body(
    reader: &mut BufReader<TcpStream>,
    framing: Framing,
    emit: &mut impl FnMut(&[u8]) -> io::Result<()>,
    idle: &mut impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    match framing {
        Framing::Length(length) => exactly(reader, length, emit, idle),
        Framing::Chunked => loop {
            let size = line(reader, idle)?;
            emit(&size)?;
            let text = String::from_utf8_lossy(&size).into_owned();
            let digits = text.trim().split(';').next().unwrap_or_default().to_owned();
            let size = usize::from_str_radix(&digits, 16).map_err(|_| io::Error::other("no chunk size"))?;
            if size > 0 {
                exactly(reader, size + 2, emit, idle)?;
                continue;
            }
            // Trailers, up to an empty line.
            loop {
                let trailer = line(reader, idle)?;
                emit(&trailer)?;
                if trailer == b"\r\n" {
                    return Ok(());
                }
            }
        },
    }
}

fn exactly(
    reader: &mut BufReader<TcpStream>,
    mut left: usize,
    emit: &mut impl FnMut(&[u8]) -> io::Result<()>,
    idle: &mut impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    while left > 0 {
        let piece = fill(reader, idle)?;
        let count = piece.min(left);
        let bytes = reader.buffer()[..count].to_vec();
        emit(&bytes)?;
        reader.consume(count);
        left -= count;
    }
    Ok(())
}

fn line(reader: &mut BufReader<TcpStream>, idle: &mut impl FnMut() -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        fill(reader, idle)?;
        line.push(reader.buffer()[0]);
        reader.consume(1);
    }
    Ok(line)
}

/// How many bytes are there, at least one; the socket has a read timeout after which `idle` is asked.
fn fill(reader: &mut BufReader<TcpStream>, idle: &mut impl FnMut() -> io::Result<()>) -> io::Result<usize> {
    loop {
        match reader.fill_buf() {
            Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => return Ok(bytes.len()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => idle()?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lines up to the empty one; empty at the end of the connection.
fn head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let start = Instant::now();
    loop {
        match reader.read_until(b'\n', &mut head) {
            Ok(0) => return Ok(Vec::new()),
            Ok(_) if head.ends_with(b"\r\n\r\n") => return Ok(head),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if start.elapsed() > Duration::from_secs(60) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Reads what an answer holds, or what of it comes before 50 ms of silence. True where it is the whole.
pub(crate) fn capture(reader: &mut BufReader<TcpStream>) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let (head, framing) = response_head(reader)?;
    let mut bytes = Vec::new();
    let mut silent = 0;
    let whole = body(
        reader,
        framing,
        &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        },
        &mut || {
            silent += 1;
            if silent > 2 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
        },
    );
    Ok((head, bytes, whole.is_ok()))
}

/// One request on a connection of its own, straight to etcd: status and body.
pub(crate) fn ask(address: &str, method: &str, target: &str, headers: &str, body: &str) -> io::Result<(u16, String)> {
    use std::io::Write as _;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {target} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
