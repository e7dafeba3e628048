//! Received datagrams and what came with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use super::Socket;
use crate::address;
use crate::error::Result;
use crate::fd::{self, Control, ControlMessage};

/// One datagram. What is `None` was not asked for ([`Socket::receive_details`]) or is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datagram {
    /// Bytes in the buffer; 0 on a stream means that the peer has ended.
    pub length: usize,
    /// Bytes it had; more than `length` if the buffer was too small.
    pub full_length: usize,
    /// Who sent it; `None` on a stream.
    pub source: Option<SocketAddr>,
    /// Hops it had left.
    pub ttl: Option<u8>,
    /// DSCP and ECN.
    pub traffic_class: Option<u8>,
    /// The address it was sent to.
    pub destination: Option<IpAddr>,
    /// The device it came in by.
    pub ifindex: Option<u32>,
    /// When the kernel received it, since 1970.
    pub at: Option<Duration>,
}

impl Socket {
    /// Takes what has arrived; `None` if nothing has. An error that ICMP brought is returned once, as `Err`.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Datagram>> {
        self.receive_with(buffer, 0)
    }

    /// As [`Self::receive`], but what has arrived stays there to be received.
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Option<Datagram>> {
        self.receive_with(buffer, libc::MSG_PEEK)
    }

    fn receive_with(&self, buffer: &mut [u8], flags: i32) -> Result<Option<Datagram>> {
        let mut control = Control::new();
        // On a stream MSG_TRUNC would throw the data away instead of telling its length.
        let stream = matches!(self.kind, super::Kind::Tcp | super::Kind::Mptcp);
        let flags = flags | libc::MSG_DONTWAIT | if stream { 0 } else { libc::MSG_TRUNC };
        let Some(received) = fd::receive(self.as_fd(), buffer, Some(&mut control), flags)? else {
            return Ok(None);
        };
        let mut datagram = Datagram {
            length: received.length,
            full_length: received.full,
            source: address::decode(received.source.bytes()),
            ..Datagram::default()
        };
        for message in control.messages(received.control) {
            datagram.note(&message);
        }
        Ok(Some(datagram))
    }
}

impl Datagram {
    pub(super) fn note(&mut self, message: &ControlMessage<'_>) {
        let data = message.data;
        match (message.level, message.kind) {
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                self.ttl = int(data).and_then(|value| u8::try_from(value).ok());
            }
            // One byte with IPv4, an int with IPv6.
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.traffic_class = int(data).and_then(|value| u8::try_from(value).ok());
            }
            // struct in_pktinfo: device, the address routed to, the address in the header.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                self.ifindex = int(data).and_then(|index| u32::try_from(index).ok());
                let octets = data.get(8..).and_then(|rest| rest.first_chunk::<4>());
                self.destination = octets.map(|octets| Ipv4Addr::from(*octets).into());
            }
            // struct in6_pktinfo: address, device.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let octets = data.first_chunk::<16>();
                self.destination = octets.map(|octets| Ipv6Addr::from(*octets).into());
                self.ifindex = data.get(16..).and_then(int).and_then(|index| u32::try_from(index).ok());
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => self.at = timespec(data),
            _ => {}
        }
    }
}

fn int(data: &[u8]) -> Option<i32> {
    data.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

/// Two longs: seconds and nanoseconds.
fn timespec(data: &[u8]) -> Option<Duration> {
    let word = |bytes: &[u8]| match bytes.len() {
        8 => bytes.first_chunk().map(|bytes| i64::from_ne_bytes(*bytes)),
        _ => int(bytes).map(i64::from),
    };
    let (seconds, nanos) = data.split_at(data.len() / 2);
    let nanos = u32::try_from(word(nanos)?).ok()?;
    Some(Duration::new(u64::try_from(word(seconds)?).ok()?, nanos))
}
