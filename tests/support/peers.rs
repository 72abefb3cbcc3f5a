//! What stands between the members of a cluster: one proxy before each member's peer port, so that a member can be
//! cut off from the others. Who is calling stands in the first request of each connection (`X-Server-From`).

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The members that hear nobody and are heard by nobody, by id in hexadecimal.
#[derive(Clone, Default)]
pub(crate) struct Isolated(Arc<Mutex<HashSet<String>>>);

impl Isolated {
    pub(crate) fn add(&self, id: &str) {
        self.0.lock().unwrap().insert(id.to_owned());
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn parts(&self, from: &str, to: Option<&str>) -> bool {
        let isolated = self.0.lock().unwrap();
        isolated.contains(from) || to.is_some_and(|to| isolated.contains(to))
    }
}

/// The proxy before one member.
pub(crate) struct Peer {
    port: u16,
    ended: Arc<AtomicBool>,
    /// The id of the member behind it, once it is known.
    id: Arc<Mutex<Option<String>>>,
}

impl Peer {
    pub(crate) fn start(upstream: u16, isolated: &Isolated) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ended, id) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (over, to, isolated) = (Arc::clone(&ended), Arc::clone(&id), isolated.clone());
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (over, to, isolated) = (Arc::clone(&over), Arc::clone(&to), isolated.clone());
                thread::spawn(move || serve(client, upstream, &isolated, &to, &over));
            }
        });
        Self { port, ended, id }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn id(&self) -> Option<String> {
        self.id.lock().unwrap().clone()
    }

    pub(crate) fn name(&self, id: &str) {
        *self.id.lock().unwrap() = Some(id.to_owned());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    client: TcpStream,
    upstream: u16,
    isolated: &Isolated,
    to: &Arc<Mutex<Option<String>>>,
    over: &Arc<AtomicBool>,
) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let from = text.lines().find_map(|line| line.strip_prefix("x-server-from:")).unwrap_or_default().trim().to_owned();
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).ok()?;
    head.extend_from_slice(reader.buffer());
    let gate = {
        let (isolated, to, over) = (isolated.clone(), Arc::clone(to), Arc::clone(over));
        move || {
            while isolated.parts(&from, to.lock().unwrap().as_deref()) && !over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    };
    gate();
    server.write_all(&head).ok()?;
    let (back_from, back_to, back_gate) = (server.try_clone().ok()?, client.try_clone().ok()?, gate.clone());
    thread::spawn(move || pump(back_from, back_to, back_gate));
    pump(client, server, gate);
    Some(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, gate: impl Fn()) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        gate();
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}
