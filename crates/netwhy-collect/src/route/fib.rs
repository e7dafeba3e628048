//! The kernel's own answers to routing questions (RTM_GETROUTE with the full key).

use std::net::IpAddr;

use netwhy_facts::Reading;
use netwhy_facts::route::{FibAnswer, FibAnswers, FibKey, FibResult, FibRoute, RouteType};
use netwhy_sys::Errno;
use netwhy_sys::netlink::{NetlinkError, Protocol, Reply, Socket};
use netwhy_wire::netlink::Builder;

use super::{
    AF_INET, AF_INET6, HEADER, RTM_F_CLONED, RTM_GETROUTE, RTM_NEWROUTE, decode_any_route, decode_route,
};
use crate::collector::Collector;
use crate::decode::Decoded;
use crate::error::CollectError;

/// `RTM_F_LOOKUP_TABLE`: say which table the answer is from. IPv6 always does, and refuses the flag.
const LOOKUP_TABLE: u32 = 0x1000;
/// `RTM_F_FIB_MATCH`: answer with the entry that matched (since 4.13 and 5.4 for IPv6).
const FIB_MATCH: u32 = 0x2000;
/// `RTCF_REDIRECTED` in the answer's flags: an ICMP redirect changed the gateway.
const REDIRECTED: u32 = 0x0004_0000;

impl Collector {
    /// Asks the kernel each question: what it would do, and which entry decides.
    ///
    /// A refusal by the routing table is an answer: `FibResult::Error`, without the entry that refused, which
    /// the kernel does not tell. A question with an input device asks as if the packet arrived there, and so
    /// meets forwarding, martian and reverse-path checks (one that fails the latter reads EXDEV until Linux 6.13
    /// and EINVAL since). Without a user id the kernel takes this process's.
    pub fn fib(&self, keys: &[FibKey]) -> Reading<FibAnswers> {
        Self::reading("RTM_GETROUTE with the full key", "access to the network namespace", || {
            self.netlink(Protocol::Route, |socket| {
                let answers =
                    keys.iter().map(|key| Ok(FibAnswer { key: key.clone(), result: ask(socket, key)? }));
                answers.collect::<Result<_, CollectError>>().map(FibAnswers)
            })
        })
    }
}

fn ask(socket: &mut Socket, key: &FibKey) -> Result<FibResult, CollectError> {
    let wrong = CollectError::attribute("RTM_GETROUTE");
    let replies = match socket.request(RTM_GETROUTE, 0, &request(key, 0)?) {
        Ok(replies) => replies,
        Err(NetlinkError::Refused(refusal)) => {
            return Ok(error(refusal.errno, refusal.message.unwrap_or_default()));
        }
        Err(other) => return Err(other.into()),
    };
    let Some(answer) = route_message(&replies) else {
        return Err(CollectError::malformed("RTM_GETROUTE", "no route in the answer"));
    };
    let Some(answer) = decode_answer(answer).map_err(&wrong)? else {
        return Err(CollectError::malformed("RTM_GETROUTE", "an answer of another family"));
    };
    let mut route = match answer {
        Answer::Route(route) => route,
        Answer::Error(errno, text) => return Ok(error(errno, text)),
    };
    // The table may change between the two questions; a failing second one only leaves out the match.
    if let Ok(replies) = socket.request(RTM_GETROUTE, 0, &request(key, FIB_MATCH)?)
        && let Some(matched) = route_message(&replies)
    {
        route.matched = decode_route(matched).map_err(&wrong)?;
    }
    Ok(FibResult::Route(route))
}

fn error(errno: Errno, text: String) -> FibResult {
    FibResult::Error { errno: errno.number(), name: errno.name().to_owned(), text }
}

fn route_message(replies: &[Reply]) -> Option<&[u8]> {
    replies.iter().find(|reply| reply.kind == RTM_NEWROUTE).map(|reply| reply.payload.as_slice())
}

/// The question as the kernel wants it: `struct rtmsg` and one attribute for every part of the key.
fn request(key: &FibKey, flags: u32) -> Result<Vec<u8>, CollectError> {
    let (family, bits) = match key.dst {
        IpAddr::V4(_) => (AF_INET, 32),
        IpAddr::V6(_) => (AF_INET6, 128),
    };
    let mut header = [0; HEADER];
    header[0] = family;
    header[1] = bits;
    header[2] = if key.src.is_some() { bits } else { 0 };
    // The kernel refuses the two bits that belong to congestion notification.
    header[3] = key.tos & 0xfc;
    let flags = if family == AF_INET { flags | LOOKUP_TABLE } else { flags };
    header[8..].copy_from_slice(&flags.to_ne_bytes());
    let mut request = Builder::with_header(&header);
    request.ip(1, key.dst);
    if let Some(src) = key.src {
        request.ip(2, src);
    }
    if let Some(iif) = key.iif {
        request.u32(3, iif);
    }
    if let Some(oif) = key.oif {
        request.u32(4, oif);
    }
    if key.mark != 0 {
        request.u32(16, key.mark);
    }
    if let Some(uid) = key.uid {
        request.u32(25, uid);
    }
    // The kernel takes TCP, UDP and the family's own ICMP here and refuses others; ports only mean something
    // with the first two, and zero is refused.
    let icmp = if family == AF_INET { 1 } else { 58 };
    let protocol = key.ip_proto.filter(|number| [6, 17, icmp].contains(number));
    if let Some(number) = protocol {
        request.u8(27, number);
    }
    if protocol != Some(icmp) {
        if let Some(port) = key.sport.filter(|port| *port != 0) {
            request.be16(28, port);
        }
        if let Some(port) = key.dport.filter(|port| *port != 0) {
            request.be16(29, port);
        }
    }
    Ok(request.finish()?)
}

/// A decoded answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A route to use.
    Route(Box<FibRoute>),
    /// An entry that refuses (no kernel known answers so): the error it stands for, and the entry in words.
    Error(Errno, String),
}

/// The answer in an RTM_NEWROUTE message; `None` if it is neither IPv4 nor IPv6.
pub fn decode_answer(payload: &[u8]) -> Decoded<Option<Answer>> {
    let Some(decoded) = decode_any_route(payload)? else { return Ok(None) };
    let route = decoded.route;
    let refused = match route.kind {
        RouteType::Blackhole => Some(Errno::EINVAL),
        RouteType::Unreachable => Some(Errno::EHOSTUNREACH),
        RouteType::Prohibit => Some(Errno::EACCES),
        RouteType::Throw => Some(Errno::EAGAIN),
        _ => None,
    };
    if let Some(errno) = refused {
        let errno = if decoded.error != 0 { Errno::new(decoded.error) } else { errno };
        let text = format!("{} {} table {}", route.kind.name(), route.dst, route.table);
        return Ok(Some(Answer::Error(errno, text)));
    }
    let hop = route.hops.first();
    let v4 = matches!(route.dst.addr, IpAddr::V4(_));
    // IPv4 calls every answer a copy; there an exception shows by its age or the redirect flag.
    let cached = if v4 {
        route.expires_s.is_some() || route.flags & REDIRECTED != 0
    } else {
        route.flags & RTM_F_CLONED != 0
    };
    Ok(Some(Answer::Route(Box::new(FibRoute {
        kind: route.kind,
        table: route.table,
        oif: hop.and_then(|hop| hop.oif),
        gateway: hop.and_then(|hop| hop.gateway),
        prefsrc: route.prefsrc,
        matched: None,
        mtu: route.mtu,
        expires_s: route.expires_s,
        cached,
    }))))
}
