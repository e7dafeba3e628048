//! Questions about IP sockets: `SOCK_DIAG_BY_FAMILY` of sock_diag (uapi `linux/inet_diag.h`).
//!
//! A [`Request`] names sockets by what every kernel can compare itself (states, ports, a cookie); a
//! [`Filter`] is turned into the program the kernel runs over the sockets of a listing.

mod answer;
mod filter;

use std::net::IpAddr;

pub use answer::{Answer, AnswerError, attribute};
pub use filter::{Compare, End, Filter, TooLarge};

use crate::netlink::{Builder, TooLong};

/// `SOCK_DIAG_BY_FAMILY`, the message type.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `TCPDIAG_GETSOCK`, the older message type: TCP sockets of both families in one listing.
pub const TCPDIAG_GETSOCK: u16 = 18;
/// Length of `struct inet_diag_req_v2`.
pub const REQUEST: usize = 56;
/// Length of `struct inet_diag_msg`, which starts every answer.
pub const ANSWER: usize = 72;
/// `INET_DIAG_REQ_BYTECODE`.
const BYTECODE: u16 = 1;
/// `INET_DIAG_REQ_PROTOCOL`.
const PROTOCOL: u16 = 3;

/// What to ask for beside the socket's identity: bits of `idiag_ext`, each `1 << (INET_DIAG_* - 1)`.
pub mod extension {
    /// `INET_DIAG_MEMINFO`.
    pub const MEMINFO: u8 = 1;
    /// `INET_DIAG_INFO`: tcp_info.
    pub const INFO: u8 = 1 << 1;
    /// `INET_DIAG_VEGASINFO`, and in its place those of BBR and DCTCP.
    pub const VEGASINFO: u8 = 1 << 2;
    /// `INET_DIAG_CONG`: the name of the congestion control.
    pub const CONG: u8 = 1 << 3;
    /// `INET_DIAG_TOS`.
    pub const TOS: u8 = 1 << 4;
    /// `INET_DIAG_TCLASS`, and with it the class and the cgroup.
    pub const TCLASS: u8 = 1 << 5;
    /// `INET_DIAG_SKMEMINFO`.
    pub const SKMEMINFO: u8 = 1 << 6;
    /// `INET_DIAG_SHUTDOWN`.
    pub const SHUTDOWN: u8 = 1 << 7;
}

/// Socket states as bits of `idiag_states`: `1 << TCP_*` of the kernel. UDP sockets are `ESTABLISHED` or `CLOSE`.
pub mod state {
    /// Connected.
    pub const ESTABLISHED: u32 = 1 << 1;
    /// The first SYN is out.
    pub const SYN_SENT: u32 = 1 << 2;
    /// A SYN came; with it those not yet full sockets that the kernel counts as such.
    pub const SYN_RECV: u32 = 1 << 3;
    /// Our FIN is out.
    pub const FIN_WAIT1: u32 = 1 << 4;
    /// Our FIN is acknowledged.
    pub const FIN_WAIT2: u32 = 1 << 5;
    /// Closed by both, waiting.
    pub const TIME_WAIT: u32 = 1 << 6;
    /// Not connected.
    pub const CLOSE: u32 = 1 << 7;
    /// The peer closed, the program has not.
    pub const CLOSE_WAIT: u32 = 1 << 8;
    /// Our FIN after the peer's.
    pub const LAST_ACK: u32 = 1 << 9;
    /// Listening.
    pub const LISTEN: u32 = 1 << 10;
    /// FINs crossed.
    pub const CLOSING: u32 = 1 << 11;
    /// Bound to a port and neither listening nor connected (since Linux 6.8; ignored before).
    pub const BOUND_INACTIVE: u32 = 1 << 13;
    /// Every state but LISTEN and those only newer kernels know.
    pub const CONNECTED: u32 = 0xfff & !(LISTEN | CLOSE | 1);
}

/// Which sockets, as the kernel compares them without a program. What is unset matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    /// Local port.
    pub sport: u16,
    /// Remote port.
    pub dport: u16,
    /// Local address; only looked at when a single socket is asked for.
    pub src: Option<IpAddr>,
    /// Remote address; likewise.
    pub dst: Option<IpAddr>,
    /// Bound device; likewise.
    pub ifindex: u32,
    /// The socket's cookie; likewise.
    pub cookie: Option<u64>,
}

impl SocketId {
    /// Everything.
    pub const ANY: SocketId = SocketId { sport: 0, dport: 0, src: None, dst: None, ifindex: 0, cookie: None };

    fn bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        let (ports, rest) = out.split_at_mut(4);
        ports.copy_from_slice(&[self.sport.to_be_bytes(), self.dport.to_be_bytes()].concat());
        let (addresses, rest) = rest.split_at_mut(32);
        for (place, address) in addresses.chunks_exact_mut(16).zip([self.src, self.dst]) {
            match address {
                Some(IpAddr::V4(four)) => place[..4].copy_from_slice(&four.octets()),
                Some(IpAddr::V6(six)) => place.copy_from_slice(&six.octets()),
                None => {}
            }
        }
        // INET_DIAG_NOCOOKIE in both halves: any.
        let cookie = self.cookie.unwrap_or(u64::MAX);
        rest[..4].copy_from_slice(&self.ifindex.to_ne_bytes());
        rest[4..8].copy_from_slice(&(cookie as u32).to_ne_bytes());
        rest[8..].copy_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
        out
    }
}

/// A question: one socket if it is sent as a request, a listing if it is sent as a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// AF_INET (2) or AF_INET6 (10).
    pub family: u8,
    /// IPPROTO_*. Above 255 (MPTCP is 262) it travels in an attribute.
    pub protocol: u16,
    /// Bits of [`extension`].
    pub extensions: u8,
    /// Bits of [`state`]; not looked at when a single socket is asked for.
    pub states: u32,
    /// Which sockets.
    pub id: SocketId,
    /// Which of a listing's sockets; `None` for all.
    pub filter: Option<Filter>,
}

/// Why a question cannot be put into a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The filter's program is too large.
    #[error(transparent)]
    Filter(#[from] TooLarge),
    /// An attribute is too long.
    #[error(transparent)]
    Attribute(#[from] TooLong),
}

impl Request {
    /// The message's payload: `struct inet_diag_req_v2` and its attributes.
    pub fn payload(&self) -> Result<Vec<u8>, RequestError> {
        let narrow = u8::try_from(self.protocol);
        let mut header = vec![self.family, narrow.unwrap_or(u8::MAX), self.extensions, 0];
        header.extend_from_slice(&self.states.to_ne_bytes());
        header.extend_from_slice(&self.id.bytes());
        let mut builder = Builder::with_header(&header);
        if let Some(program) = self.filter.as_ref().map(Filter::program).transpose()?
            && !program.is_empty()
        {
            builder.bytes(BYTECODE, &program);
        }
        if narrow.is_err() {
            builder.u32(PROTOCOL, self.protocol.into());
        }
        Ok(builder.finish()?)
    }

    /// The payload of a [`TCPDIAG_GETSOCK`] dump: `struct inet_diag_req` and its attributes. The kernel then
    /// walks its tables once for IPv4 and IPv6 where [`Self::payload`] makes it walk them once for each.
    pub fn both_families(&self) -> Result<Vec<u8>, RequestError> {
        let mut header = vec![0, 0, 0, self.extensions];
        header.extend_from_slice(&self.id.bytes());
        header.extend_from_slice(&self.states.to_ne_bytes());
        // idiag_dbs: not looked at.
        header.extend_from_slice(&[0; 4]);
        let mut builder = Builder::with_header(&header);
        if let Some(program) = self.filter.as_ref().map(Filter::program).transpose()?
            && !program.is_empty()
        {
            builder.bytes(BYTECODE, &program);
        }
        Ok(builder.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Attributes, Fixed};

    #[test]
    fn a_request_has_the_kernels_layout() {
        let request = Request {
            family: 2,
            protocol: 6,
            extensions: extension::INFO,
            states: state::LISTEN,
            id: SocketId {
                sport: 443,
                dport: 0x1234,
                src: Some("192.0.2.1".parse().unwrap()),
                dst: Some("2001:db8::1".parse().unwrap()),
                ifindex: 7,
                cookie: Some(0x1_0000_0002),
            },
            filter: None,
        };
        let bytes = request.payload().unwrap();
        assert_eq!(bytes.len(), REQUEST);
        let fixed = Fixed(&bytes);
        assert_eq!((fixed.u32(4), fixed.be16(8), fixed.be16(10)), (Some(1 << 10), Some(443), Some(0x1234)));
        assert_eq!(fixed.bytes(12, 8), Some(&[192, 0, 2, 1, 0, 0, 0, 0][..]));
        assert_eq!(fixed.be16(28), Some(0x2001));
        assert_eq!((fixed.u32(44), fixed.u32(48), fixed.u32(52)), (Some(7), Some(2), Some(1)));
    }

    #[test]
    fn the_older_request_has_its_own_layout() {
        let request = Request {
            family: 0,
            protocol: 6,
            extensions: extension::INFO,
            states: state::LISTEN,
            id: SocketId { sport: 443, ..SocketId::ANY },
            filter: Some(Filter::Port(End::Local, Compare::Eq, 443)),
        };
        let bytes = request.both_families().unwrap();
        let fixed = Fixed(&bytes);
        assert_eq!((bytes[3], fixed.be16(4), fixed.u32(52)), (extension::INFO, Some(443), Some(1 << 10)));
        assert!(Attributes::after(&bytes, 60).find(BYTECODE).is_some());
    }

    #[test]
    fn a_protocol_beyond_a_byte_travels_in_an_attribute() {
        let request = Request {
            family: 2,
            protocol: 262,
            extensions: 0,
            states: u32::MAX,
            id: SocketId::ANY,
            filter: Some(Filter::All(vec![])),
        };
        let bytes = request.payload().unwrap();
        let attributes: Vec<_> = Attributes::after(&bytes, REQUEST).map(Result::unwrap).collect();
        assert_eq!(attributes.len(), 1, "a filter that lets all through is left out");
        assert_eq!((attributes[0].kind, attributes[0].u32()), (PROTOCOL, Ok(262)));
        assert_eq!(bytes[48..56], [0xff; 8], "any cookie");
    }
}
