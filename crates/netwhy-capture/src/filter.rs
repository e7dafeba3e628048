//! Which packets belong to a flow, as a predicate and as a kernel filter.
//!
//! The kernel's filter may let through more than [`FlowFilter::wants`]: later fragments, whose ports it cannot
//! see, come through by their addresses alone, and so does everything an IPv6 neighbour solicits. It never lets
//! through less, unless an ICMP error quotes less of a packet than the eight bytes RFC 792 asks for.
//!
//! Everything is loaded relative to the network header (`SKF_NET_OFF`), so one program serves devices with and
//! without a link-layer header. The kernel takes the outer VLAN tag off before a filter sees a packet; a tag that
//! is still in the frame (sent through a device without tag offload, or the inner one of two) is looked behind.

mod asm;
mod expression;
mod flow;
#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod tests;

pub use asm::TooLong;
pub use expression::{ExpressionError, expression};
pub use netwhy_sys::filter::Instruction;

use std::net::IpAddr;

use netwhy_wire::packet::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use netwhy_wire::packet::{Ip, Quoted, arp, icmp, icmpv6, protocol};

/// One direction of a flow; packets of the other direction match as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// TCP, UDP, ICMP or ICMPv6 by number. The two ICMPs mean echo.
    pub protocol: u8,
    /// Source, `None` for any.
    pub src: Option<IpAddr>,
    /// Source port, or identifier of an echo; `None` for any.
    pub sport: Option<u16>,
    /// Destination.
    pub dst: IpAddr,
    /// Destination port; not looked at for echo.
    pub dport: u16,
}

/// The packets of a question: flows, ICMP errors that quote them, address resolution of neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowFilter {
    /// The flow before and after each translation on the way.
    pub tuples: Vec<Tuple>,
    /// Next hops whose ARP or neighbour discovery belongs to the question.
    pub neighbours: Vec<IpAddr>,
}

/// A tuple as one direction of packets has it.
#[derive(Debug, Clone, Copy)]
struct Direction {
    protocol: u8,
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    /// Source and destination port of TCP and UDP.
    ports: (Option<u16>, Option<u16>),
    /// Type and identifier of an echo.
    echo: Option<(u8, Option<u16>)>,
}

impl Tuple {
    /// Forward, then backward. A tuple of mixed families matches nothing and gives none.
    fn directions(&self) -> impl Iterator<Item = Direction> + use<> {
        let Tuple { protocol, src, sport, dst, dport } = *self;
        let echo = match protocol {
            protocol::ICMP => Some((icmp::ECHO, icmp::ECHO_REPLY)),
            protocol::ICMPV6 => Some((icmpv6::ECHO, icmpv6::ECHO_REPLY)),
            _ => None,
        };
        let ports = |a, b| if echo.is_some() { (None, None) } else { (a, b) };
        let fits = src.is_none_or(|src| src.is_ipv4() == dst.is_ipv4())
            && (protocol != protocol::ICMP || dst.is_ipv4())
            && (protocol != protocol::ICMPV6 || dst.is_ipv6());
        let forward = Direction {
            protocol,
            src,
            dst: Some(dst),
            ports: ports(sport, Some(dport)),
            echo: echo.map(|(request, _)| (request, sport)),
        };
        let back = Direction {
            protocol,
            src: Some(dst),
            dst: src,
            ports: ports(Some(dport), sport),
            echo: echo.map(|(_, reply)| (reply, sport)),
        };
        [forward, back].into_iter().filter(move |_| fits)
    }
}

impl Direction {
    fn is_ipv4(&self) -> bool {
        // One of the two is always known.
        self.src.or(self.dst).is_some_and(|address| address.is_ipv4())
    }

    fn wants(&self, src: IpAddr, dst: IpAddr, protocol: u8, ports: (u16, u16), word: Option<u32>) -> bool {
        let is = |want: Option<u16>, have: u16| want.is_none_or(|want| want == have);
        protocol == self.protocol
            && self.src.is_none_or(|want| want == src)
            && self.dst.is_none_or(|want| want == dst)
            && match self.echo {
                // Type and code are the first two bytes; the identifier is half of the second word.
                Some((kind, id)) => {
                    ports.0 >> 8 == u16::from(kind)
                        && id.is_none_or(|id| word.is_some_and(|word| word >> 16 == u32::from(id)))
                }
                None => is(self.ports.0, ports.0) && is(self.ports.1, ports.1),
            }
    }
}

impl FlowFilter {
    /// Whether a packet belongs to the question: its EtherType and the bytes from the network header on.
    #[must_use]
    pub fn wants(&self, ethertype: u16, packet: &[u8]) -> bool {
        match ethertype {
            ETHERTYPE_ARP => arp::Arp::parse(packet).is_ok_and(|arp| {
                self.resolves(arp.sender.into(), arp.target.into(), arp.operation == arp::REPLY)
            }),
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => self.wants_ip(packet),
            _ => false,
        }
    }

    fn wants_ip(&self, packet: &[u8]) -> bool {
        let (Ok(ip), Ok(as_quoted)) = (Ip::parse(packet), Quoted::parse(packet)) else { return false };
        if self.wants_quoted(&as_quoted) {
            return true;
        }
        match ip.upper() {
            Some((protocol::ICMP, payload)) if ip.src().is_ipv4() => icmp::Icmp::parse(payload)
                .ok()
                .and_then(|icmp| icmp.quoted())
                .is_some_and(|quoted| self.wants_quoted(&quoted)),
            Some((protocol::ICMPV6, payload)) if ip.src().is_ipv6() => {
                let Ok(icmp) = icmpv6::Icmpv6::parse(payload) else { return false };
                icmp.quoted().is_some_and(|quoted| self.wants_quoted(&quoted))
                    || icmp.neighbour().is_some_and(|nd| {
                        // An advertisement is about its target, whoever sent it.
                        let sender = if nd.advert { nd.target.into() } else { ip.src() };
                        self.resolves(sender, nd.target.into(), nd.advert)
                    })
            }
            _ => false,
        }
    }

    /// Whether a packet, or one that an ICMP error quotes, is of one of the flows.
    #[must_use]
    pub fn wants_quoted(&self, packet: &Quoted) -> bool {
        let Some(ports) = packet.ports else { return false };
        self.tuples
            .iter()
            .flat_map(Tuple::directions)
            .any(|way| way.wants(packet.src, packet.dst, packet.protocol, ports, packet.word))
    }

    /// A neighbour is asked for, answers, or asks for an address of the flow.
    fn resolves(&self, sender: IpAddr, target: IpAddr, reply: bool) -> bool {
        self.neighbours.contains(&target)
            || self.neighbours.contains(&sender)
                && (reply || self.own_addresses().any(|address| address == target))
    }

    fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.tuples.iter().flat_map(|tuple| [tuple.src, Some(tuple.dst)]).flatten()
    }
}
