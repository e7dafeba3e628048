//! The error queue: what ICMP said about packets this socket sent, and who said it.
//!
//! uapi `linux/errqueue.h`, `struct sock_extended_err`, followed by the sender's `sockaddr`.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use super::{Datagram, Socket};
use crate::address;
use crate::errno::Errno;
use crate::error::Result;
use crate::fd::{self, Control};

/// Where an error came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This host's own stack: nothing was sent.
    Local,
    /// An ICMP message.
    Icmp,
    /// An ICMPv6 message.
    Icmp6,
    /// Something else (`SO_EE_ORIGIN_*`), such as a transmit time.
    Other(u8),
}

/// One entry of the error queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedError {
    /// What a call on the socket would fail with.
    pub errno: Errno,
    /// Where it came from.
    pub origin: Origin,
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// With `EMSGSIZE` the MTU, bytes.
    pub info: u32,
    /// Who sent the ICMP message; for local errors this host's address, if any.
    pub offender: Option<IpAddr>,
    /// Where the packet was going.
    pub destination: Option<SocketAddr>,
    /// The ICMP message's own remaining hops, if details were asked for.
    pub ttl: Option<u8>,
    /// When the kernel received it, since 1970, if details were asked for.
    pub at: Option<Duration>,
    /// What the ICMP message quotes of the payload sent: without IP and UDP headers.
    pub payload: Vec<u8>,
}

impl QueuedError {
    /// The MTU a router or this host reports.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        (self.errno == Errno::EMSGSIZE && self.info != 0).then_some(self.info)
    }
}

impl Socket {
    /// Takes the oldest error from the queue; `None` if it is empty. Needs [`Socket::queue_errors`].
    pub fn take_queued_error(&self) -> Result<Option<QueuedError>> {
        let mut buffer = [0; 2048];
        let mut control = Control::new();
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        let Some(received) = fd::receive(self.as_fd(), &mut buffer, Some(&mut control), flags)? else {
            return Ok(None);
        };
        let mut details = Datagram::default();
        let mut found = None;
        for message in control.messages(received.control) {
            match (message.level, message.kind) {
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    found = parse(message.data);
                }
                _ => details.note(&message),
            }
        }
        Ok(found.map(|error| QueuedError {
            destination: address::decode(received.source.bytes()),
            ttl: details.ttl,
            at: details.at,
            payload: buffer.get(..received.length).unwrap_or(&[]).to_vec(),
            ..error
        }))
    }
}

fn parse(data: &[u8]) -> Option<QueuedError> {
    let number = u32::from_ne_bytes(*data.first_chunk()?);
    let &[origin, kind, code] = data.get(4..)?.first_chunk()?;
    let info = u32::from_ne_bytes(*data.get(8..)?.first_chunk()?);
    Some(QueuedError {
        errno: Errno::new(i32::try_from(number).ok()?),
        origin: match origin {
            libc::SO_EE_ORIGIN_LOCAL => Origin::Local,
            libc::SO_EE_ORIGIN_ICMP => Origin::Icmp,
            libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp6,
            other => Origin::Other(other),
        },
        kind,
        code,
        info,
        // The family is 0 if there is nobody to name.
        offender: address::decode(data.get(16..)?).map(|address| address.ip()),
        destination: None,
        ttl: None,
        at: None,
        payload: Vec::new(),
    })
}
