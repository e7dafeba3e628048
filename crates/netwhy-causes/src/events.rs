//! What the kernel's own events say about a flow: packets it freed, with reason and place.
//!
//! A reason alone proves little: packets are freed in healthy traffic too, and one reason has several places
//! (nftables frees in `nft_do_chain`, tracking in `nf_hook_slow`). An event counts for a flow only when its packet's
//! ends are those of the flow, as asked for or as translated here.

use std::net::SocketAddr;

use netwhy_facts::event::{EventPacket, EventWay, KernelEvent, KernelEvents};
use netwhy_facts::{Locus, Proto};

use crate::case::Case;
use crate::evidence::Evidence;
use crate::obstacle::Direction;

/// Packets of the flow that were freed for the same reason at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed<'a> {
    /// The kernel's reason by name (`NETFILTER_DROP`); empty where it tells none (before 5.17).
    pub reason: &'a str,
    /// The function that freed them.
    pub location: &'a str,
    /// The interface they had at that moment.
    pub dev: Option<u32>,
    /// Which packets.
    pub way: EventWay,
    /// The first of them.
    pub packet: Option<&'a EventPacket>,
    /// How many.
    pub count: u32,
}

impl Freed<'_> {
    /// Whether these are packets of a direction; those of which that is not told may be.
    pub fn is(&self, direction: Direction) -> bool {
        let quoted = self.packet.is_some_and(|packet| packet.quoted);
        !quoted
            && match self.way {
                EventWay::Unknown => true,
                EventWay::Forward => direction == Direction::Forward,
                EventWay::Reply => direction == Direction::Reply,
                EventWay::NextHop => false,
            }
    }
    /// Whether these are errors of ICMP about packets of the flow.
    pub fn is_error(&self) -> bool {
        self.packet.is_some_and(|packet| packet.quoted)
    }
    /// Freed by a rule or a policy, or by tracking and NAT: see [`by_rule`] and [`by_tracking`].
    pub fn by_netfilter(&self) -> bool {
        self.reason == "NETFILTER_DROP"
    }
    /// As evidence has it: reason and place.
    pub fn value(&self) -> String {
        match self.reason {
            "" => format!("@{}", self.location),
            reason => format!("{reason}@{}", self.location),
        }
    }
}

/// Reasons with which packets are freed in traffic that is well (duplicates, sockets that close, frames for others,
/// copies for those who listen).
const BENIGN: &[&str] = &[
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_OLD_ACK",
    "TCP_TOO_OLD_ACK",
    "TCP_OFOMERGE",
    "TCP_OFO_DROP",
    "TCP_OFO_QUEUE_PRUNE",
    "TCP_RESET",
    "TCP_CLOSE",
    "QUEUE_PURGE",
    "SOCKET_CLOSE",
    "PACKET_SOCK_ERROR",
    "OTHERHOST",
    "DUP_FRAG",
    "SKB_CONSUMED",
    "SKB_NOT_DROPPED_YET",
];

/// Whether a packet freed like this says nothing about a failure.
pub fn is_benign(reason: &str, location: &str) -> bool {
    // A packet for a connection that is over is freed without a reason.
    BENIGN.contains(&reason) || (matches!(reason, "NOT_SPECIFIED" | "") && is_tcp_receive(location))
}

fn is_tcp_receive(location: &str) -> bool {
    matches!(
        location,
        "tcp_v4_rcv"
            | "tcp_v6_rcv"
            | "tcp_rcv_state_process"
            | "tcp_v4_do_rcv"
            | "tcp_v6_do_rcv"
            | "__kfree_skb"
    ) || location.starts_with("inet_csk_destroy")
}

/// Whether this is where a rule or a policy of nftables, iptables or arptables frees packets. Older kernels free what
/// nftables drops where they free what tracking drops, so that place alone excludes nothing.
pub fn by_rule(locus: &Locus, location: &str) -> bool {
    let hook = location == "nf_hook_slow" || location.starts_with("nf_hook");
    match locus {
        Locus::NftRule { .. } | Locus::NftChain { .. } => {
            location.starts_with("nft_") || location.starts_with("netdev_") || hook
        }
        Locus::IptRule { .. } | Locus::IptChain { .. } => {
            ["ipt_", "ip6t_", "arpt_", "ebt_", "nft_"].iter().any(|prefix| location.starts_with(prefix))
                || hook
        }
        _ => false,
    }
}

/// Whether this is where connection tracking and NAT free packets, as opposed to a rule of nftables.
pub fn by_tracking(location: &str) -> bool {
    !["nft_", "ipt_", "ip6t_", "arpt_", "ebt_"].iter().any(|prefix| location.starts_with(prefix))
}

impl<'a> Case<'a> {
    /// Packets of this flow that the kernel freed, except as it does in healthy traffic; in the order they were.
    pub fn freed(&self) -> Vec<Freed<'a>> {
        let Some(events) = self.facts.latest::<KernelEvents>().value() else { return Vec::new() };
        let mut out: Vec<Freed<'a>> = Vec::new();
        for event in &events.events {
            let KernelEvent::Drop { reason, location, dev, way, packet, .. } = event else { continue };
            if is_benign(reason, location) || !self.is_ours(event) {
                continue;
            }
            let new = Freed { reason, location, dev: *dev, way: *way, packet: packet.as_ref(), count: 1 };
            let same = |f: &&mut Freed<'_>| {
                (f.reason, f.location, f.dev, f.way, f.is_error())
                    == (new.reason, new.location, new.dev, new.way, new.is_error())
            };
            match out.iter_mut().find(same) {
                Some(known) => known.count += 1,
                None => out.push(new),
            }
        }
        out
    }

    /// Whether events of a sort (`drop`, `reset_sent` ...) would have been seen had there been any.
    pub fn events_complete(&self, sort: &str) -> bool {
        self.facts.latest::<KernelEvents>().value().is_some_and(|events| events.complete(sort))
    }

    /// Events about this flow, and those that do not say what they are about.
    pub fn events(&self) -> impl Iterator<Item = &'a KernelEvent> + '_ {
        let events = self.facts.latest::<KernelEvents>().value();
        events.into_iter().flat_map(|all| &all.events).filter(|event| self.is_ours(event))
    }

    /// Whether an event names the flow's target, as asked for or as translated here.
    fn is_ours(&self, event: &KernelEvent) -> bool {
        let Some(target) = event.target() else { return true };
        let finally = &self.forward.finally;
        let portless = self.flow.proto == Proto::Icmp;
        let is = |addr, port: u16| target.ip() == addr && (portless || target == SocketAddr::new(addr, port));
        is(self.flow.dst, self.flow.dport) || is(finally.dst, finally.dport)
    }

    /// The first packets of the flow that were freed with a reason and at a place that satisfy a condition.
    pub fn drop_event(&self, wanted: impl Fn(&Freed<'a>) -> bool) -> Option<Freed<'a>> {
        self.freed().into_iter().find(wanted)
    }

    /// Evidence: the kernel freed packets of the flow with this reason at this place.
    pub fn ev_drop_event(&self, wanted: impl Fn(&Freed<'a>) -> bool) -> Option<Evidence> {
        self.drop_event(wanted).map(|freed| self.ev_freed(&freed))
    }

    /// These packets as evidence.
    pub fn ev_freed(&self, freed: &Freed<'_>) -> Evidence {
        let place = freed.location;
        let command = "perf trace -a -e skb:kfree_skb";
        Evidence::new("drop-event", self.freed_text(freed), "skb:kfree_skb")
            .value(freed.value())
            .command(if place.is_empty() { "" } else { command })
    }

    /// These packets in words: what they were, why and where they were freed.
    pub fn freed_text(&self, freed: &Freed<'_>) -> String {
        let target = self.flow.target();
        let some = |one: &str, several: &str| match freed.count {
            1 => format!("1 {one}"),
            n => format!("{n} {several}"),
        };
        let what = match (freed.way, freed.is_error()) {
            (_, true) => some("ICMP error", "ICMP errors") + &format!(" about packets of {target}"),
            (EventWay::Forward, _) => some("packet", "packets") + &format!(" to {target}"),
            (EventWay::Reply, _) => some("packet", "packets") + &format!(" of {target}"),
            (EventWay::NextHop, _) => {
                let about = freed.packet.map(|p| format!(" from {} to {}", p.src, p.dst)).unwrap_or_default();
                match freed.packet.map(|p| p.proto) {
                    Some(0x806) => some("ARP packet", "ARP packets") + &about,
                    _ => {
                        let about = freed.packet.map(|p| format!(" for {}", p.dst)).unwrap_or_default();
                        some("neighbour solicitation or answer", "neighbour solicitations or answers")
                            + &about
                    }
                }
            }
            (EventWay::Unknown, _) => some("packet", "packets") + " of the flow",
        };
        let reason = if freed.reason.is_empty() { String::new() } else { format!("{} ", freed.reason) };
        let dev = freed.dev.map(|dev| format!(", {}", self.dev_name(dev))).unwrap_or_default();
        format!("the kernel freed {what}: {reason}at {}{dev}", freed.location)
    }

    /// Evidence: this host sent resets for the flow, for a reason that satisfies a condition.
    pub fn ev_reset_sent(&self, wanted: impl Fn(&str) -> bool) -> Option<Evidence> {
        let reason = self.events().find_map(|event| match event {
            KernelEvent::ResetSent { reason, .. } if wanted(reason) => Some(reason.as_str()),
            _ => None,
        })?;
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        Some(
            Evidence::new(
                "reset-sent",
                format!("the kernel of this host sent a reset{why}"),
                "tcp:tcp_send_reset",
            )
            .value(reason)
            .command("perf trace -a -e tcp:tcp_send_reset"),
        )
    }

    /// Evidence: the kernel gave up asking for a next hop of the flow, or had no room for it.
    pub fn ev_neighbour_event(&self, address: Option<std::net::IpAddr>) -> Option<Evidence> {
        let about = |other: &Option<std::net::IpAddr>| address.is_none() || *other == address;
        self.events().find_map(|event| match event {
            KernelEvent::NeighFailed { dev, address, .. } if about(address) => {
                let dev = dev.map(|dev| format!(" on {}", self.dev_name(dev))).unwrap_or_default();
                let hop = address.map(|a| a.to_string()).unwrap_or_else(|| "the next hop".into());
                Some(
                    Evidence::new(
                        "neigh-event",
                        format!("{hop}{dev} became FAILED: nobody answered"),
                        "neigh:neigh_timer_handler",
                    )
                    .value(hop)
                    .command("ip -ts monitor neigh"),
                )
            }
            KernelEvent::NeighRefused { dev, address, .. } if about(address) => {
                let dev = dev.map(|dev| format!(" on {}", self.dev_name(dev))).unwrap_or_default();
                let hop = address.map(|a| a.to_string()).unwrap_or_else(|| "the next hop".into());
                Some(
                    Evidence::new(
                        "neigh-event",
                        format!("no room for an entry of {hop}{dev}"),
                        "neigh:neigh_create",
                    )
                    .value(hop)
                    .command("ip -s ntable show"),
                )
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
