//! The packet as it is carried: header fields, tracking entry, and the header bytes rules look into.

use std::net::IpAddr;

use netwhy_facts::conntrack::{CtEntry, CtTuple};

use crate::bits::Bits;
use crate::packet::Packet;

/// PACKET_* of if_packet.h.
pub(crate) const PACKET_HOST: u8 = 0;

/// What conntrack attached to the packet (nf_ct_get).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CtSlot {
    /// Nothing: not looked at yet, tracking inactive, or invalid.
    None,
    /// notrack.
    Untracked,
    /// An entry.
    Entry(Box<Conn>),
}

/// IP_CT_* without the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CtInfo {
    Established,
    Related,
    New,
}

/// An entry and the packet's place in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conn {
    pub(crate) entry: CtEntry,
    /// The packet goes in reply direction.
    pub(crate) reply: bool,
    pub(crate) info: CtInfo,
    /// The entry is of this packet: not confirmed.
    pub(crate) fresh: bool,
    /// Source or destination translation was decided (IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE).
    pub(crate) src_done: bool,
    pub(crate) dst_done: bool,
    /// Labels, packet counts and the like are known to be those of a fresh entry.
    pub(crate) mark_known: bool,
}

impl Conn {
    pub(crate) fn tuple(&self, reply: bool) -> &CtTuple {
        if reply { &self.entry.reply } else { &self.entry.orig }
    }
}

/// Mirror of a tuple (nf_ct_invert_tuple): ports for TCP and UDP, echo types for ICMP.
pub(crate) fn invert(t: &CtTuple) -> CtTuple {
    if t.proto == 1 || t.proto == 58 {
        let kind = match t.dport >> 8 {
            8 => 0,
            0 if t.proto == 1 => 8,
            128 => 129,
            129 => 128,
            13 => 14,
            14 => 13,
            other => other,
        };
        return CtTuple {
            src: t.dst,
            dst: t.src,
            proto: t.proto,
            sport: t.sport,
            dport: kind << 8 | (t.dport & 0xff),
        };
    }
    CtTuple { src: t.dst, dst: t.src, proto: t.proto, sport: t.dport, dport: t.sport }
}

/// The tuple a packet has for conntrack.
pub(crate) fn tuple_of(p: &Packet) -> CtTuple {
    let dport = if is_icmp(p.proto) { u16::from(p.icmp_type) << 8 | u16::from(p.icmp_code) } else { p.dport };
    CtTuple { src: p.src, dst: p.dst, proto: p.proto, sport: p.sport, dport }
}

pub(crate) fn is_icmp(proto: u8) -> bool {
    proto == 1 || proto == 58
}

/// The packet on its way.
#[derive(Debug, Clone)]
pub(crate) struct Skb {
    pub(crate) p: Packet,
    pub(crate) ct: CtSlot,
    /// skb->priority.
    pub(crate) priority: u32,
    pub(crate) pkttype: u8,
    /// A full socket is attached (made here, not yet through loopback).
    pub(crate) has_sk: bool,
    /// The link-layer header is set (not for packets on their way out).
    pub(crate) has_mac: bool,
    /// The sender's address is not known (placeholder in `p.src`).
    pub(crate) src_unknown: bool,
    /// Made by this host.
    pub(crate) local: bool,
    /// Socket a tproxy rule assigned: address and port looked up.
    pub(crate) tproxy: Option<(IpAddr, u16)>,
    /// Next hop of the attached route, for `rt nexthop`.
    pub(crate) nexthop: Option<IpAddr>,
    /// MTU of the attached route.
    pub(crate) mtu: Option<u32>,
    /// Physical bridge ports (br_netfilter, bridge tables).
    pub(crate) physin: Option<u32>,
    pub(crate) physout: Option<u32>,
    /// Zone chosen by a raw rule.
    pub(crate) zone: u16,
    /// Bytes the rules changed that no field of `p` holds; `None` when all do.
    pub(crate) odd_payload: bool,
}

impl Skb {
    pub(crate) fn new(p: Packet, local: bool) -> Self {
        let src_unknown = !local && p.src.is_unspecified();
        Self {
            p,
            ct: CtSlot::None,
            priority: 0,
            pkttype: PACKET_HOST,
            has_sk: local,
            has_mac: !local,
            src_unknown,
            local,
            tproxy: None,
            nexthop: None,
            mtu: None,
            physin: None,
            physout: None,
            zone: 0,
            odd_payload: false,
        }
    }
    pub(crate) fn v6(&self) -> bool {
        self.p.dst.is_ipv6()
    }
    /// Bytes of the network header.
    pub(crate) fn network_header_len(&self) -> usize {
        if self.v6() { 40 } else { 20 }
    }

    /// Header and the start of the payload from the network header on.
    pub(crate) fn network(&self) -> Bits {
        let mut b = Bits::default();
        let p = &self.p;
        let total = u16::try_from(p.len).unwrap_or(u16::MAX);
        match (p.src, p.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                b.push(&[0x45, p.tos]);
                b.push(&total.to_be_bytes());
                b.push_unknown(2); // identification
                if self.local && (!is_icmp(p.proto) || p.icmp_type == 8) {
                    b.push(&[0x40, 0]);
                } else {
                    b.push_masked(&[0, 0], &[0xbf, 0xff]); // whether DF is set is the sender's choice
                }
                b.push(&[p.ttl, p.proto]);
                b.push_unknown(2);
                if self.src_unknown {
                    b.push_unknown(4)
                } else {
                    b.push(&src.octets())
                }
                b.push(&dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                b.push(&[0x60 | p.tos >> 4]);
                b.push_masked(&[p.tos << 4], &[0xf0]);
                b.push_unknown(2); // flow label
                b.push(&total.saturating_sub(40).to_be_bytes());
                b.push(&[p.proto, p.ttl]);
                if self.src_unknown {
                    b.push_unknown(16)
                } else {
                    b.push(&src.octets())
                }
                b.push(&dst.octets());
            }
            // A rewritten packet never mixes families; treat it as opaque.
            _ => b.push_unknown(40),
        }
        let t = self.transport();
        b.value.extend_from_slice(&t.value);
        b.known.extend_from_slice(&t.known);
        b
    }

    /// From the transport header on.
    pub(crate) fn transport(&self) -> Bits {
        let p = &self.p;
        let mut b = Bits::default();
        let room = (p.len as usize).saturating_sub(self.network_header_len()).min(2048);
        match p.proto {
            6 => {
                b.push(&p.sport.to_be_bytes());
                b.push(&p.dport.to_be_bytes());
                b.push_unknown(4);
                if p.tcp_flags & 0x10 == 0 {
                    b.push(&[0; 4])
                } else {
                    b.push_unknown(4)
                }
                let syn = p.tcp_flags & 0x02 != 0;
                if syn {
                    b.push(&[u8::try_from((room / 4).clamp(5, 15)).unwrap_or(5) << 4]);
                } else if p.tcp_flags & 0x04 != 0 {
                    b.push(&[0x50]);
                } else {
                    b.push_unknown(1);
                }
                b.push(&[p.tcp_flags]);
                b.push_unknown(4);
                b.push(&[0, 0]);
                if syn && room == 40 {
                    // The options a Linux SYN carries: MSS, SACK permitted, timestamps, window scale.
                    b.push(&[2, 4]);
                    b.push_unknown(2);
                    b.push(&[4, 2, 8, 10]);
                    b.push_unknown(8);
                    b.push(&[1, 3, 3]);
                    b.push_unknown(1);
                }
            }
            17 => {
                b.push(&p.sport.to_be_bytes());
                b.push(&p.dport.to_be_bytes());
                b.push(&u16::try_from(room).unwrap_or(u16::MAX).to_be_bytes());
                b.push_unknown(2);
            }
            1 | 58 => {
                b.push(&[p.icmp_type, p.icmp_code]);
                b.push_unknown(2);
                b.push(&p.sport.to_be_bytes());
                b.push_unknown(2);
            }
            _ => {}
        }
        let have = b.len();
        if room > have {
            b.push_unknown(room - have);
        }
        b.value.truncate(room);
        b.known.truncate(room);
        b
    }

    /// The Ethernet header; `None` when none is set.
    pub(crate) fn link(&self) -> Option<Bits> {
        if !self.has_mac {
            return None;
        }
        let mut b = Bits::default();
        for mac in [&self.p.mac_dst, &self.p.mac_src] {
            match mac {
                Some(m) if m.len() == 6 => b.push(m),
                _ => b.push_unknown(6),
            }
        }
        b.push(if self.v6() { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        Some(b)
    }

    /// Takes changed header bytes back into the fields. Returns false when a change has no field to live in.
    pub(crate) fn take_network(&mut self, b: &Bits) -> bool {
        let before = self.network();
        let p = &mut self.p;
        let h = |i: usize| b.value.get(i).copied().unwrap_or(0);
        let off = if p.dst.is_ipv6() { 40 } else { 20 };
        let mut covered: Vec<std::ops::Range<usize>> = Vec::new();
        if p.dst.is_ipv4() {
            p.tos = h(1);
            p.ttl = h(8);
            let four = |i: usize| IpAddr::from([h(i), h(i + 1), h(i + 2), h(i + 3)]);
            if !self.src_unknown {
                p.src = four(12);
            }
            p.dst = four(16);
            covered.extend([1..2, 8..9, 12..20]);
        } else {
            p.tos = h(0) << 4 | h(1) >> 4;
            p.ttl = h(7);
            let sixteen = |i: usize| {
                let mut a = [0u8; 16];
                for (n, slot) in a.iter_mut().enumerate() {
                    *slot = h(i + n);
                }
                IpAddr::from(a)
            };
            if !self.src_unknown {
                p.src = sixteen(8);
            }
            p.dst = sixteen(24);
            covered.extend([0..2, 7..8, 8..40]);
        }
        let port = |i: usize| u16::from_be_bytes([h(off + i), h(off + i + 1)]);
        match p.proto {
            6 => {
                p.sport = port(0);
                p.dport = port(2);
                p.tcp_flags = h(off + 13);
                covered.extend([off..off + 4, off + 13..off + 14]);
            }
            17 => {
                p.sport = port(0);
                p.dport = port(2);
                covered.extend(std::iter::once(off..off + 4));
            }
            1 | 58 => {
                p.icmp_type = h(off);
                p.icmp_code = h(off + 1);
                p.sport = port(4);
                covered.extend([off..off + 2, off + 4..off + 6]);
            }
            _ => {}
        }
        let mut whole = true;
        for i in 0..b.len() {
            let changed = b.value.get(i) != before.value.get(i) || b.known.get(i) != before.known.get(i);
            let unknown_now = b.known.get(i) != Some(&0xff);
            if changed && (unknown_now || !covered.iter().any(|r| r.contains(&i))) {
                whole = false;
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::{Flow, Proto};

    fn skb(proto: Proto, dst: &str, src: &str) -> Skb {
        let flow = Flow {
            proto,
            src: None,
            sport: None,
            dst: dst.parse().unwrap(),
            dport: 443,
            mark: 0,
            uid: None,
            dev: None,
        };
        Skb::new(Packet::first_of(&flow, src.parse().unwrap(), 40000), true)
    }

    #[test]
    fn header_bytes_are_where_the_protocols_put_them() {
        let s = skb(Proto::Tcp, "203.0.113.9", "198.51.100.1");
        let n = s.network();
        assert_eq!(n.len(), 60);
        assert_eq!(n.get(9, 1).unwrap().equals(&[6]), Some(true));
        assert_eq!(n.get(16, 4).unwrap().equals(&[203, 0, 113, 9]), Some(true));
        assert_eq!(s.transport().get(2, 2).unwrap().equals(&443u16.to_be_bytes()), Some(true));
        assert_eq!(s.transport().get(13, 1).unwrap().equals(&[2]), Some(true));
        assert_eq!(s.transport().get(4, 4).unwrap().equals(&[0; 4]), None);
        let s6 = skb(Proto::Udp, "2001:db8::9", "2001:db8::1");
        assert_eq!(s6.network().get(6, 1).unwrap().equals(&[17]), Some(true));
        assert_eq!(s6.network().len(), 49);
        assert_eq!(s6.transport().get(4, 2).unwrap().equals(&9u16.to_be_bytes()), Some(true));
    }

    #[test]
    fn changed_bytes_come_back_as_fields() {
        let mut s = skb(Proto::Tcp, "203.0.113.9", "198.51.100.1");
        let mut b = s.network();
        b.value[8] = 3;
        b.value[22..24].copy_from_slice(&80u16.to_be_bytes());
        assert!(s.take_network(&b));
        assert_eq!((s.p.ttl, s.p.dport), (3, 80));
        let mut b = s.network();
        b.value[4] = 1;
        b.known[4] = 0xff;
        assert!(!s.take_network(&b));
    }

    #[test]
    fn tuples_mirror() {
        let s = skb(Proto::Icmp, "203.0.113.9", "198.51.100.1");
        let t = tuple_of(&s.p);
        assert_eq!(t.dport, 8 << 8);
        assert_eq!(invert(&t).dport, 0);
        assert_eq!(invert(&invert(&t)), t);
    }
}
