//! Random packets, as the walker sees them and as bytes.

use std::net::IpAddr;

use netwhy_facts::{Flow, Proto};
use netwhy_walk::Packet;
use netwhy_wire::packet::icmp::Icmp;
use netwhy_wire::packet::icmpv6::Icmpv6;
use netwhy_wire::packet::ipv4::Ipv4;
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::tcp::Tcp;
use netwhy_wire::packet::udp::Udp;

use crate::rng::Rng;
use crate::rules::PORTS;

/// A packet of the test.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) packet: Packet,
    /// Found again in answers: TCP sequence number, or payload.
    pub(crate) id: u32,
    /// Acknowledgement number of a TCP segment.
    pub(crate) ack: u32,
}

/// The options of a Linux SYN.
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];

fn flow(proto: Proto, dst: IpAddr, dport: u16) -> Flow {
    Flow { proto, src: None, sport: None, dst, dport, mark: 0, uid: None, dev: None }
}

fn proto(rng: &mut Rng) -> Proto {
    match rng.below(10) {
        0..=4 => Proto::Tcp,
        5..=8 => Proto::Udp,
        _ => Proto::Icmp,
    }
}

/// A packet that arrives from the client's side.
pub(crate) fn arriving(rng: &mut Rng, id: u32, sport: u16) -> Shot {
    let proto = proto(rng);
    let v6 = rng.chance(35);
    // A source that is not on the client's network gets no answer back, so only what goes through can be seen.
    let strange = rng.chance(8) && proto == Proto::Udp;
    let src = match (v6, strange) {
        (false, false) => rng.word("198.51.100.2 198.51.100.2 198.51.100.3 198.51.100.77"),
        (false, true) => rng.word("203.0.113.130 203.0.113.3 192.0.2.9 203.0.113.1 127.0.0.1"),
        (true, false) => rng.word("2001:db8:1::2 2001:db8:1::77"),
        (true, true) => rng.word("2001:db8:9::8 2001:db8:2::3"),
    };
    let dst = if v6 {
        rng.word("2001:db8:1::1 2001:db8:1::1 2001:db8:2::1 2001:db8:2::2 2001:db8:2::3 2001:db8:3::2 2001:db8:9::9 2001:db8:9::10")
    } else {
        rng.word("198.51.100.1 198.51.100.1 203.0.113.1 203.0.113.65 203.0.113.2 203.0.113.3 203.0.113.66 203.0.113.130 203.0.113.200")
    };
    let dport = if proto == Proto::Icmp { 0 } else { rng.word(PORTS).parse().unwrap() };
    let mut packet = Packet::first_of(&flow(proto, dst.parse().unwrap(), dport), src.parse().unwrap(), sport);
    packet.ttl = *rng.pick(&[64, 64, 64, 64, 2, 1]);
    packet.tos = *rng.pick(&[0, 0, 0, 0x10, 0xb8]);
    let payload = *rng.pick(&[4u32, 4, 40, 100]);
    match proto {
        Proto::Tcp => {
            packet.tcp_flags = *rng.pick(&[0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x10, 0x12, 0x04, 0x11]);
            if packet.tcp_flags & 0x02 == 0 {
                packet.len -= 20;
            }
        }
        Proto::Udp => packet.len = packet.len - 1 + payload,
        Proto::Icmp => {
            packet.len = if v6 { 48 } else { 28 } + payload;
            if rng.chance(15) {
                packet.icmp_type = if v6 { 129 } else { 0 };
            }
        }
    }
    Shot { packet, id, ack: id }
}

/// A packet of m's own sockets.
pub(crate) fn leaving(rng: &mut Rng, id: u32, sport: u16) -> Shot {
    let proto = proto(rng);
    let v6 = rng.chance(35);
    // A connection with oneself needs both directions; datagrams to oneself show one.
    let own = rng.chance(12) && proto != Proto::Tcp;
    let dst = match (v6, own) {
        (false, false) => {
            rng.word("203.0.113.2 203.0.113.3 203.0.113.66 203.0.113.130 203.0.113.200 198.51.100.2")
        }
        (true, false) => {
            rng.word("2001:db8:2::2 2001:db8:2::3 2001:db8:3::2 2001:db8:9::9 2001:db8:9::10 2001:db8:1::2")
        }
        (false, true) => rng.word("198.51.100.1 203.0.113.1 127.0.0.1"),
        (true, true) => rng.word("2001:db8:1::1 2001:db8:2::1 ::1"),
    };
    let dport = if proto == Proto::Icmp { 0 } else { rng.word(PORTS).parse().unwrap() };
    let none: IpAddr = if v6 { "::" } else { "0.0.0.0" }.parse().unwrap();
    let mut packet = Packet::first_of(&flow(proto, dst.parse().unwrap(), dport), none, sport);
    packet.uid = Some(0);
    packet.gid = Some(0);
    packet.mark = *rng.pick(&[0, 0, 0, 1, 5]);
    packet.tos = *rng.pick(&[0, 0, 0, 0x10, 0xb8]);
    match proto {
        Proto::Tcp => {}
        Proto::Udp => packet.len = packet.len - 1 + 4,
        Proto::Icmp => packet.len = if v6 { 48 } else { 28 } + 4,
    }
    Shot { packet, id, ack: id }
}

impl Shot {
    /// What a raw socket sends, or the whole transport part.
    pub(crate) fn transport(&self) -> Vec<u8> {
        let p = &self.packet;
        let header = match (p.proto, p.dst.is_ipv6()) {
            (6, false) => 40,
            (6, true) => 60,
            (_, false) => 28,
            (_, true) => 48,
        };
        let mut payload = vec![0u8; (p.len as usize).saturating_sub(header)];
        for (slot, b) in payload.iter_mut().zip(self.id.to_be_bytes()) {
            *slot = b;
        }
        match p.proto {
            6 => {
                let syn = p.tcp_flags & 0x02 != 0;
                Tcp {
                    src: p.sport,
                    dst: p.dport,
                    seq: self.id,
                    ack: if p.tcp_flags & 0x10 != 0 { self.ack } else { 0 },
                    flags: p.tcp_flags,
                    window: 64240,
                    urgent: 0,
                    options: if syn { &SYN_OPTIONS } else { &[] },
                    payload: &[],
                }
                .emit(p.src, p.dst)
            }
            17 => Udp { src: p.sport, dst: p.dport, length: 0, payload: &payload }.emit(p.src, p.dst),
            1 => Icmp { kind: p.icmp_type, ..Icmp::echo(p.sport, 1, &payload) }.emit(),
            _ => match (p.src, p.dst) {
                (IpAddr::V6(s), IpAddr::V6(d)) => {
                    Icmpv6 { kind: p.icmp_type, ..Icmpv6::echo(p.sport, 1, &payload) }.emit(s, d)
                }
                _ => unreachable!("ICMPv6 over IPv4"),
            },
        }
    }

    /// The payload of a datagram.
    pub(crate) fn payload(&self) -> [u8; 4] {
        self.id.to_be_bytes()
    }

    /// The packet from the network header on.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let p = &self.packet;
        let transport = self.transport();
        match (p.src, p.dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                Ipv4 { tos: p.tos, ..Ipv4::new(s, d, p.proto, p.ttl, &transport) }.emit()
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                Ipv6 { traffic_class: p.tos, ..Ipv6::new(s, d, p.proto, p.ttl, &transport) }.emit()
            }
            _ => unreachable!("mixed families"),
        }
    }
}
