//! Kernel events on the flow: packets freed with reason and place, resets, retransmissions, states, errors.
//!
//! Delivered by probe scripts (netwhy-collect/probes), filtered in the kernel to the flows of the question.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Events of the window, filtered to the flow in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelEvents {
    /// Events in order.
    pub events: Vec<KernelEvent>,
    /// Events lost between kernel and reader, or beyond the bound of what is kept.
    pub lost: u64,
    /// Sorts of events that were watched for, by the tag they have in `events`: only of these the absence says
    /// something.
    #[serde(default)]
    pub watched: Vec<String>,
    /// What this kernel cannot tell, in words.
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Fact for KernelEvents {
    const KIND: &'static str = "kernel-events";
}

impl KernelEvents {
    /// Whether the absence of an event of this sort means that it did not happen.
    pub fn complete(&self, sort: &str) -> bool {
        self.lost == 0 && self.watched.iter().any(|w| w == sort)
    }

    /// Leaves out freed packets of other connections to the same target: the probes ask for the target alone, as the
    /// port the kernel will choose is not known yet. `ends` are the local ends of our own attempts; where a source
    /// `may_be_translated` on its way, packets from other addresses stay.
    pub fn keep_own(&mut self, ends: &[SocketAddr], may_be_translated: bool) {
        if ends.is_empty() {
            return;
        }
        let same = |addr: IpAddr, end: &SocketAddr| addr.to_canonical() == end.ip().to_canonical();
        self.events.retain(|event| {
            let KernelEvent::Drop { way, packet: Some(p), .. } = event else { return true };
            let (addr, port) = match way {
                EventWay::Forward => (p.src, p.sport),
                EventWay::Reply => (p.dst, p.dport),
                EventWay::NextHop | EventWay::Unknown => return true,
            };
            let portless = !matches!(p.proto, 6 | 17);
            let own = ends.iter().any(|end| same(addr, end) && (portless || port == end.port()));
            own || (may_be_translated && !ends.iter().any(|end| same(addr, end)))
        });
    }
}

/// Which packets of the question an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventWay {
    /// Not told.
    #[default]
    Unknown,
    /// Toward the target.
    Forward,
    /// Back from it.
    Reply,
    /// ARP or neighbour discovery about a next hop of the flow.
    NextHop,
}

/// The packet an event is about, as its headers said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPacket {
    /// IP protocol; 0x806 (2054) for ARP.
    pub proto: u16,
    /// Source address.
    pub src: IpAddr,
    /// Destination address; of neighbour discovery the address that is asked for.
    pub dst: IpAddr,
    /// Source port, 0 without ports.
    pub sport: u16,
    /// Destination port, 0 without ports.
    pub dport: u16,
    /// TCP flags (RFC 9293 section 3.1), 0 for other protocols.
    pub flags: u8,
    /// True for an error of ICMP: the rest describes the packet it quotes.
    pub quoted: bool,
    /// Type and code of ICMP; of the error when `quoted`.
    pub icmp: Option<(u8, u8)>,
}

/// One event. `at` is nanoseconds of CLOCK_MONOTONIC; `target` is the target's end as the packet or socket has it,
/// which behind a translation is another than the one asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum KernelEvent {
    /// skb:kfree_skb: reason by name (from BTF, never a fixed number; empty before 5.17) and the freeing function.
    /// `dev` is the interface the packet had at that moment, if any.
    Drop {
        at: u64,
        reason: String,
        location: String,
        dev: Option<u32>,
        #[serde(default)]
        way: EventWay,
        #[serde(default)]
        packet: Option<EventPacket>,
    },
    /// tcp:tcp_send_reset with the kernel's reason (empty before 6.10). `way` is that of the reset.
    ResetSent {
        at: u64,
        reason: String,
        #[serde(default)]
        way: EventWay,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// tcp:tcp_receive_reset at a socket in this state. `way` is that of the reset.
    ResetReceived {
        at: u64,
        #[serde(default)]
        way: EventWay,
        #[serde(default)]
        state: String,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// tcp:tcp_retransmit_skb and tcp:tcp_retransmit_synack, with the state of the socket.
    Retransmit {
        at: u64,
        state: String,
        #[serde(default)]
        way: EventWay,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// icmp:icmp_send: an error about a packet of this `way`.
    IcmpSent {
        at: u64,
        icmp_type: u8,
        code: u8,
        #[serde(default)]
        way: EventWay,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// sock:inet_sock_set_state.
    State {
        at: u64,
        from: String,
        to: String,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// sock:inet_sk_error_report: errno by name, and the one kept for later.
    SocketError {
        at: u64,
        error: String,
        soft: String,
        #[serde(default)]
        target: Option<SocketAddr>,
    },
    /// neigh:neigh_timer_handler and neigh:neigh_update: a next hop became FAILED.
    NeighFailed {
        at: u64,
        dev: Option<u32>,
        #[serde(default)]
        address: Option<IpAddr>,
    },
    /// neigh:neigh_create without an entry: no room for a next hop.
    NeighRefused { at: u64, dev: Option<u32>, address: Option<IpAddr> },
}

impl KernelEvent {
    /// The target's end as the event names it; `None` for events of neighbours and where it was not told.
    pub fn target(&self) -> Option<SocketAddr> {
        match self {
            Self::Drop { way, packet: Some(p), .. } => match way {
                EventWay::Forward => Some(SocketAddr::new(p.dst, p.dport)),
                EventWay::Reply => Some(SocketAddr::new(p.src, p.sport)),
                _ => None,
            },
            Self::ResetSent { target, .. }
            | Self::ResetReceived { target, .. }
            | Self::Retransmit { target, .. }
            | Self::IcmpSent { target, .. }
            | Self::State { target, .. }
            | Self::SocketError { target, .. } => *target,
            Self::Drop { .. } | Self::NeighFailed { .. } | Self::NeighRefused { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freed(way: EventWay, client: &str) -> KernelEvent {
        let (client, target): (SocketAddr, SocketAddr) =
            (client.parse().unwrap(), "203.0.113.2:80".parse().unwrap());
        let (from, to) = if way == EventWay::Reply { (target, client) } else { (client, target) };
        let packet = EventPacket {
            proto: 6,
            src: from.ip(),
            dst: to.ip(),
            sport: from.port(),
            dport: to.port(),
            flags: 2,
            quoted: false,
            icmp: None,
        };
        KernelEvent::Drop {
            at: 1,
            reason: "X".into(),
            location: "y".into(),
            dev: None,
            way,
            packet: Some(packet),
        }
    }

    fn kept(events: &[KernelEvent], may_be_translated: bool) -> usize {
        let mut all = KernelEvents { events: events.to_vec(), ..KernelEvents::default() };
        all.keep_own(&["198.51.100.1:40000".parse().unwrap()], may_be_translated);
        all.events.len()
    }

    #[test]
    fn drops_of_another_connection_to_the_same_target_are_not_ours() {
        let own =
            [freed(EventWay::Forward, "198.51.100.1:40000"), freed(EventWay::Reply, "198.51.100.1:40000")];
        assert_eq!(kept(&own, false), 2);
        let others =
            [freed(EventWay::Forward, "198.51.100.1:51000"), freed(EventWay::Reply, "198.51.100.1:51000")];
        assert_eq!(kept(&others, false), 0);
        assert_eq!(kept(&[freed(EventWay::NextHop, "198.51.100.1:0")], false), 1);
        let translated = [freed(EventWay::Forward, "192.0.2.7:1024")];
        assert_eq!((kept(&translated, false), kept(&translated, true)), (0, 1));
    }

    #[test]
    fn absence_says_something_only_of_what_was_watched_without_loss() {
        let seen = KernelEvents { watched: vec!["drop".into()], ..KernelEvents::default() };
        assert!(seen.complete("drop") && !seen.complete("state"));
        assert!(!KernelEvents { lost: 1, ..seen }.complete("drop"));
    }
}
