//! Headers of the question's own flow as they left and arrived. Filled by a filtered AF_PACKET capture.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::flow::Flow;
use crate::store::Fact;

/// The capture of one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowCapture {
    /// Packets in order.
    pub packets: Vec<CapturedPacket>,
    /// Packets the kernel could not deliver to us (tp_drops).
    pub dropped: u64,
    /// Packets beyond the bound that were counted but not kept.
    pub beyond_bound: u64,
    /// Packets left out because they belong to other connections to the same target.
    #[serde(default)]
    pub of_others: u64,
}

impl Fact for FlowCapture {
    const KIND: &'static str = "capture";
}

/// One packet of the flow (or an ICMP error that quotes it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedPacket {
    /// Nanoseconds of CLOCK_MONOTONIC, or of the wall clock made relative to the window.
    pub at: u64,
    /// Device index.
    pub ifindex: u32,
    /// True when it left this host (PACKET_OUTGOING).
    pub out: bool,
    /// PACKET_* type: 0 host, 1 broadcast, 2 multicast, 3 other host, 4 outgoing.
    pub pkttype: u8,
    /// Source address (ARP: sender).
    pub src: IpAddr,
    /// Destination address (ARP: target).
    pub dst: IpAddr,
    /// Protocol number; 0x0806 for ARP.
    pub proto: u16,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// TCP flags.
    pub tcp_flags: u8,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// TCP window.
    pub window: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IP total length in bytes.
    pub len: u32,
    /// For an ICMP error: type, code, MTU word, and the quoted tuple matches the flow.
    pub icmp: Option<(u8, u8, u32)>,
    /// For ARP: opcode (1 request, 2 reply) and sender's hardware address; for ND: ICMPv6 type and target link-layer address.
    pub arp: Option<(u16, String)>,
    /// Link-layer source address.
    pub mac_src: Option<String>,
    /// Link-layer destination address.
    pub mac_dst: Option<String>,
    /// VLAN id when the frame was tagged.
    pub vlan: Option<u16>,
}

impl CapturedPacket {
    /// SYN without ACK.
    pub fn is_syn(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x12 == 0x02
    }
    /// SYN and ACK.
    pub fn is_syn_ack(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x12 == 0x12
    }
    /// RST.
    pub fn is_rst(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x04 != 0
    }
}

impl FlowCapture {
    /// Leaves out what belongs to other connections with the same target: the filter cannot know the source port
    /// the kernel will choose, and a host may talk to its database all the time. `ends` are the local ends of our
    /// own attempts. Where the source `may_be_translated` on its way out, packets from other addresses stay, and
    /// all stay if neither those nor any with an end of ours are seen.
    pub fn keep_own(&mut self, ends: &[SocketAddr], may_be_translated: bool) {
        let is_transport =
            |p: &CapturedPacket| p.icmp.is_none() && p.arp.is_none() && matches!(p.proto, 6 | 17);
        let is = |addr: IpAddr, port: u16, end: &SocketAddr| {
            end.port() == port && end.ip().to_canonical() == addr.to_canonical()
        };
        let is_own =
            |p: &CapturedPacket| ends.iter().any(|end| is(p.src, p.sport, end) || is(p.dst, p.dport, end));
        let from_our_address = |p: &CapturedPacket| {
            let ours = |addr: IpAddr| ends.iter().any(|end| end.ip().to_canonical() == addr.to_canonical());
            ours(p.src) || ours(p.dst)
        };
        let surely = |p: &CapturedPacket| is_transport(p) && (is_own(p) || !from_our_address(p));
        if ends.is_empty() || (may_be_translated && !self.packets.iter().any(surely)) {
            return;
        }
        let before = self.packets.len();
        self.packets.retain(|p| !is_transport(p) || is_own(p) || (may_be_translated && !from_our_address(p)));
        self.of_others += (before - self.packets.len()) as u64;
    }

    /// Packets from the flow's source to its destination (before translation), and back.
    pub fn toward<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a CapturedPacket> + 'a {
        self.packets.iter().filter(move |p| {
            p.icmp.is_none() && p.arp.is_none() && p.dst == flow.dst && p.dport == flow.dport
        })
    }
    /// Packets from the flow's destination.
    pub fn back<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a CapturedPacket> + 'a {
        self.packets.iter().filter(move |p| {
            p.icmp.is_none() && p.arp.is_none() && p.src == flow.dst && p.sport == flow.dport
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(src: &str, dst: &str) -> CapturedPacket {
        let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        CapturedPacket {
            at: 0,
            ifindex: 2,
            out: true,
            pkttype: 4,
            src: src.ip(),
            dst: dst.ip(),
            proto: 6,
            sport: src.port(),
            dport: dst.port(),
            tcp_flags: 0x10,
            seq: 0,
            ack: 0,
            window: 0,
            ttl: 64,
            len: 52,
            icmp: None,
            arp: None,
            mac_src: None,
            mac_dst: None,
            vlan: None,
        }
    }

    fn kept(packets: &[CapturedPacket], may_be_translated: bool) -> (Vec<u16>, u64) {
        let mut capture = FlowCapture { packets: packets.to_vec(), ..FlowCapture::default() };
        capture.keep_own(&["198.51.100.1:40000".parse().unwrap()], may_be_translated);
        (capture.packets.iter().map(|p| p.sport).collect(), capture.of_others)
    }

    #[test]
    fn packets_of_another_connection_to_the_same_target_are_left_out() {
        let own = packet("198.51.100.1:40000", "203.0.113.2:80");
        let other = packet("198.51.100.1:51000", "203.0.113.2:80");
        let answer = packet("203.0.113.2:80", "198.51.100.1:40000");
        let error = CapturedPacket { icmp: Some((3, 1, 0)), sport: 1, ..own.clone() };
        let all = [own, other.clone(), answer, error];
        assert_eq!(kept(&all, false), (vec![40000, 80, 1], 1));
        // None of ours left: then what the others sent is not ours either.
        assert_eq!(kept(&[other], false), (vec![], 1));
    }

    #[test]
    fn a_translated_source_is_still_ours() {
        let own = packet("198.51.100.1:40000", "203.0.113.2:80");
        let translated = packet("192.0.2.7:1024", "203.0.113.2:80");
        let other = packet("198.51.100.1:51000", "203.0.113.2:80");
        assert_eq!(kept(&[own, translated.clone(), other.clone()], true), (vec![40000, 1024], 1));
        // With a port chosen anew on the same address nothing tells ours from others.
        assert_eq!(kept(&[other], true), (vec![51000], 0));
    }
}
