//! Netlink sockets: requests, dumps, nfnetlink batches and events, with every way they can go wrong said.
//!
//! A socket belongs to the network namespace of the thread that opened it and stays there: open it inside
//! [`crate::netns::in_netns`] and use it anywhere. Payloads are the caller's business (see
//! `netwhy-wire`'s `netlink`); headers, sequence numbers, errors and losses are handled here.

mod dump;
mod error;
mod events;
mod message;
mod request;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub use self::error::{BatchError, NetlinkError, Refusal};
pub use self::events::Event;
pub use self::request::{BatchMessage, Reply};

use crate::errno::Errno;
use crate::error::{Result, SysError};
use crate::fd;
use crate::poll::{self, Interest};

/// The netlink protocols this program speaks (uapi `linux/netlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes, rules, neighbours, traffic control.
    Route = 0,
    /// `NETLINK_SOCK_DIAG`: sockets.
    SockDiag = 4,
    /// `NETLINK_XFRM`: IPsec.
    Xfrm = 6,
    /// `NETLINK_FIB_LOOKUP`: one question to the routing table.
    FibLookup = 10,
    /// `NETLINK_NETFILTER`: nftables, conntrack, ipset, logs and queues.
    Netfilter = 12,
    /// `NETLINK_KOBJECT_UEVENT`: device events, as text and not as messages.
    KobjectUevent = 15,
    /// `NETLINK_GENERIC`: families that are looked up by name.
    Generic = 16,
}

/// `NLM_F_REQUEST`, set on everything sent.
pub const NLM_F_REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: answer even if there is nothing to say.
pub const NLM_F_ACK: u16 = 0x4;
/// `NLM_F_ECHO`: send back what was made of the request.
pub const NLM_F_ECHO: u16 = 0x8;
/// `NLM_F_DUMP_INTR`: the listing changed while it was read.
pub const NLM_F_DUMP_INTR: u16 = 0x10;
/// `NLM_F_DUMP_FILTERED`: the kernel applied the filter in the request.
pub const NLM_F_DUMP_FILTERED: u16 = 0x20;
/// `NLM_F_DUMP`: everything there is.
pub const NLM_F_DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`: replace what exists.
pub const NLM_F_REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: refuse if it exists.
pub const NLM_F_EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: create if it does not exist.
pub const NLM_F_CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: add at the end of a list.
pub const NLM_F_APPEND: u16 = 0x800;

const SOL_NETLINK: i32 = 270;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// The kernel never builds a dump part above 32 KiB plus what one object needs; links with many virtual
/// functions need up to 64 KiB. Untouched pages cost nothing.
const BUFFER: usize = 256 * 1024;
/// The largest datagram the buffer grows to.
const BUFFER_LIMIT: usize = 16 * 1024 * 1024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A netlink socket, bound, talking to the kernel only.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    protocol: Protocol,
    port: u32,
    sequence: u32,
    timeout: Duration,
    strict: bool,
    /// A dump whose end was not read: the kernel refuses the next one until it is.
    unfinished: Option<u32>,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// Asks for extended error texts, short acknowledgements and strict checking of dump requests, and does
    /// without any of them on a kernel that is too old.
    pub fn open(protocol: Protocol) -> Result<Self> {
        let named = |error: SysError| SysError { object: format!("netlink {protocol:?}"), ..error };
        let fd = fd::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol as i32).map_err(named)?;
        // sockaddr_nl: family, padding, port 0 (the kernel chooses), no groups. Bound now and not by the
        // first send: a socket that joins a group before it is bound has port 0, which is the kernel's own,
        // and every broadcast skips it.
        let mut address = [0; 12];
        address[..2].copy_from_slice(&(libc::AF_NETLINK as u16).to_ne_bytes());
        fd::bind(fd.as_fd(), &address).map_err(named)?;
        let bound = fd::local_address(fd.as_fd()).map_err(named)?;
        let port = message::port_of(bound.bytes());
        let on = |name, operation| fd::set_int(fd.as_fd(), SOL_NETLINK, name, 1, operation).is_ok();
        on(NETLINK_EXT_ACK, "setsockopt NETLINK_EXT_ACK");
        on(NETLINK_CAP_ACK, "setsockopt NETLINK_CAP_ACK");
        let strict = on(NETLINK_GET_STRICT_CHK, "setsockopt NETLINK_GET_STRICT_CHK");
        Ok(Socket {
            fd,
            protocol,
            port,
            sequence: 0,
            timeout: DEFAULT_TIMEOUT,
            strict,
            unfinished: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// How long to wait for each datagram of an answer; 5 s if not set.
    pub const fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Our address on the netlink bus (`nl_pid`).
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// The kernel checks dump requests strictly and therefore honours the filters in them. If not, it may
    /// send more than was asked for: filter the answer in any case.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Turns strict checking of dump requests on or off (since Linux 4.20).
    pub fn set_strict(&mut self, strict: bool) -> Result<()> {
        let operation = "setsockopt NETLINK_GET_STRICT_CHK";
        fd::set_int(self.as_fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, i32::from(strict), operation)?;
        self.strict = strict;
        Ok(())
    }

    /// How much may wait in the kernel before events are lost. Beyond `net.core.rmem_max` only with
    /// `CAP_NET_ADMIN`; without it the limit is what one gets. Returns the size in force.
    pub fn set_receive_buffer(&mut self, bytes: usize) -> Result<usize> {
        let wanted = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
        let force = libc::SO_RCVBUFFORCE;
        if fd::set_int(self.as_fd(), libc::SOL_SOCKET, force, wanted, "setsockopt SO_RCVBUFFORCE").is_err() {
            fd::set_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, wanted, "setsockopt SO_RCVBUF")?;
        }
        let real = fd::get_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, "getsockopt SO_RCVBUF")?;
        Ok(usize::try_from(real).unwrap_or(0))
    }

    fn next_sequence(&mut self) -> u32 {
        // Events carry 0, so we do not.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.sequence
    }

    /// Sends one message and returns its sequence number. Reads away what is left of an abandoned dump first.
    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<u32, NetlinkError> {
        self.finish_dump()?;
        let sequence = self.next_sequence();
        let mut datagram = Vec::with_capacity(message::HEADER + payload.len());
        message::append(&mut datagram, kind, flags | NLM_F_REQUEST, sequence, payload);
        self.send_datagram(&datagram)?;
        Ok(sequence)
    }

    fn send_datagram(&mut self, datagram: &[u8]) -> Result<(), NetlinkError> {
        let object = || format!("netlink {:?}", self.protocol);
        let sent = fd::send_to(self.as_fd(), datagram, &[], 0)
            .map_err(|error| SysError { object: object(), ..error })?;
        if sent != datagram.len() {
            return Err(SysError::new("sendto", object(), Errno::EMSGSIZE).into());
        }
        Ok(())
    }

    /// The next datagram from the kernel, in `self.buffer`. Others may send to us; they are not heard.
    fn receive(&mut self, deadline: Instant) -> Result<usize, NetlinkError> {
        loop {
            match self.receive_now()? {
                Some(length) => return Ok(length),
                None if poll::wait(self.as_fd(), Interest::READ, Some(deadline))? => {}
                None => return Err(NetlinkError::TimedOut { protocol: self.protocol }),
            }
        }
    }

    /// As [`Self::receive`], without waiting.
    fn receive_now(&mut self) -> Result<Option<usize>, NetlinkError> {
        loop {
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            let received = match fd::receive(self.fd.as_fd(), &mut self.buffer, None, flags) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(None),
                Err(SysError { errno: Errno::ENOBUFS, .. }) => {
                    return Err(NetlinkError::Lost { protocol: self.protocol });
                }
                Err(error) => return Err(error.into()),
            };
            if message::port_of(received.source.bytes()) != 0 {
                continue;
            }
            if received.full > received.length {
                let had = received.length;
                if received.full <= BUFFER_LIMIT {
                    self.buffer.resize(received.full.next_power_of_two(), 0);
                }
                return Err(NetlinkError::Truncated { protocol: self.protocol, needed: received.full, had });
            }
            return Ok(Some(received.length));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
