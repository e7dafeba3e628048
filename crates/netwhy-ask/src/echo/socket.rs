//! A socket that sends echo requests and hears their replies, whichever kind this user may open.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use netwhy_sys::Result;
use netwhy_sys::socket::{Family, Kind, Socket};
use netwhy_wire::packet::icmp::{self, Icmp};
use netwhy_wire::packet::icmpv6;
use netwhy_wire::packet::protocol;

use crate::Victim;

/// The socket, toward one address.
pub(crate) struct EchoSocket {
    socket: Socket,
    remote: SocketAddr,
    raw: bool,
    id: u16,
    /// Repeated at the start of the data, to know our own replies by.
    token: [u8; 8],
}

/// A reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EchoReply {
    /// The request's number.
    pub(crate) sequence: u16,
    /// Who replied.
    pub(crate) from: IpAddr,
}

impl EchoSocket {
    /// Opens a ping socket, or else a raw one; the error is the raw one's.
    pub(crate) fn open(remote: SocketAddr, victim: &Victim) -> Result<Self> {
        let family = Family::of(remote.ip());
        let number = if family == Family::V4 { protocol::ICMP } else { protocol::ICMPV6 };
        let (socket, raw) = match Socket::open(family, Kind::Ping) {
            Ok(socket) => (socket, false),
            Err(_) => (Socket::open(family, Kind::Raw(number))?, true),
        };
        socket.queue_errors(true)?;
        if raw {
            let reply = if family == Family::V4 { icmp::ECHO_REPLY } else { icmpv6::ECHO_REPLY };
            socket.pass_icmp_types(&[reply])?;
        }
        victim.dress(&socket, remote.ip(), 0)?;
        let random = RandomState::new().hash_one(remote);
        // 0 would be no identifier to speak of.
        let id = (random as u16).max(1);
        Ok(EchoSocket { socket, remote, raw, id, token: random.to_ne_bytes() })
    }

    pub(crate) fn inner(&self) -> &Socket {
        &self.socket
    }

    /// The identifier its requests carry.
    pub(crate) fn id(&self) -> u16 {
        if self.raw {
            return self.id;
        }
        // The kernel chose it at connect.
        self.socket.local().map_or(self.id, |local| local.port())
    }

    pub(crate) fn connect(&self) -> Result<()> {
        self.socket.connect(self.remote).map(drop)
    }

    /// Sends a request with `data` bytes behind the ICMP header.
    pub(crate) fn send(&self, sequence: u16, data: usize) -> Result<()> {
        let payload: Vec<u8> = self.token.iter().copied().cycle().take(data).collect();
        let mut request = Icmp::echo(self.id(), sequence, &payload);
        if self.remote.is_ipv6() {
            // The checksum over the pseudo header is the kernel's to fill in, for both kinds of socket.
            request.kind = icmpv6::ECHO;
        }
        self.socket.send(&request.emit()).map(drop)
    }

    /// Takes a reply of ours; `None` if there is none (yet).
    pub(crate) fn receive(&self) -> Result<Option<EchoReply>> {
        let mut buffer = [0; 2048];
        // Raw sockets hear the replies to others too.
        while let Some(datagram) = self.socket.receive(&mut buffer)? {
            let mut bytes = buffer.get(..datagram.length).unwrap_or(&[]);
            if self.raw && self.remote.is_ipv4() {
                match netwhy_wire::packet::ipv4::Ipv4::parse(bytes) {
                    Ok(ip) => bytes = ip.payload,
                    Err(_) => continue,
                }
            }
            // Echo has the same shape in both families.
            let Ok(reply) = Icmp::parse(bytes) else { continue };
            let kind = if self.remote.is_ipv4() { icmp::ECHO_REPLY } else { icmpv6::ECHO_REPLY };
            let [i0, i1, s0, s1] = reply.rest;
            let known = self
                .token
                .get(..reply.payload.len().min(8))
                .is_some_and(|token| reply.payload.starts_with(token));
            if reply.kind == kind && u16::from_be_bytes([i0, i1]) == self.id() && known {
                let from = datagram.source.map_or(self.remote.ip(), |source| source.ip());
                return Ok(Some(EchoReply { sequence: u16::from_be_bytes([s0, s1]), from }));
            }
        }
        Ok(None)
    }
}
