//! Free ports that stay free until etcd has them.
//!
//! Asking the system for a free port and closing the socket again would leave the port to anyone until etcd listens on
//! it. So the socket stays bound, without listening, until etcd does: the system then gives the port to nobody who
//! asks for any free one, nor as the near end of a connection, while etcd, which names it, may still bind it, because both sockets
//! set `SO_REUSEADDR` and this one does not listen.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

use super::options::Host;

/// How often a port that is free on one address may be taken on the other before it is an error.
const TRIES: usize = 16;

/// One port, held on every address of a host.
#[derive(Debug)]
pub(super) struct Ports {
    /// Where etcd is to listen; never empty, and the port is the same everywhere.
    pub(super) addresses: Vec<SocketAddr>,
    _held: Vec<OwnedFd>,
}

/// Holds `port`, or any free one for 0, until the result is dropped.
pub(super) fn hold(host: Host, port: u16) -> io::Result<Ports> {
    let mut tries = if port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match hold_once(host, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            result => return result,
        }
    }
}

fn hold_once(host: Host, mut port: u16) -> io::Result<Ports> {
    let mut addresses = Vec::new();
    let mut held = Vec::new();
    let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for ip in host.addresses() {
        match hold_address(ip, port) {
            Ok((socket, address)) => {
                port = address.port();
                addresses.push(address);
                held.push(socket);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // A machine without IPv6, or without IPv4, serves localhost on the other alone.
            Err(error) => missing = error,
        }
    }
    if addresses.is_empty() { Err(missing) } else { Ok(Ports { addresses, _held: held }) }
}

fn hold_address(ip: IpAddr, port: u16) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if ip.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(ip, port))?;
    let address = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_held_port_can_be_listened_on_by_name_and_is_given_to_nobody_else() {
        let ports = hold(Host::Localhost, 0).unwrap();
        let port = ports.addresses[0].port();
        assert!(ports.addresses.iter().all(|address| address.port() == port && port != 0));
        assert!(hold(Host::Ip(Ipv4Addr::LOCALHOST.into()), 0).unwrap().addresses[0].port() != port);
        // std's listener sets SO_REUSEADDR, as Go's does.
        drop(TcpListener::bind(ports.addresses[0]).unwrap());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_in_use() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(hold(Host::Localhost, port).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        assert!(hold(Host::Ip("192.0.2.1".parse().unwrap()), 0).is_err());
    }
}
