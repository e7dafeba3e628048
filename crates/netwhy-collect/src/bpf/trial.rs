//! Asks the kernel what an attached program does with a packet: the program is run on it (BPF_PROG_TEST_RUN).
//!
//! Nothing is sent and nothing is attached. As with any packet that passes, the program may note it in its own maps
//! (a counter, a table of flows); so this is asked only of a program that is suspected, with one packet of the
//! question's flow, and not when the user wants to look only.

use std::net::IpAddr;

use netwhy_facts::Reading;
use netwhy_sys::bpf::Program;
use netwhy_wire::packet::ethernet::{self, Ethernet, Mac};
use netwhy_wire::packet::icmp::Icmp;
use netwhy_wire::packet::icmpv6::Icmpv6;
use netwhy_wire::packet::ipv4::Ipv4;
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::tcp::Tcp;
use netwhy_wire::packet::udp::Udp;

use crate::collector::Collector;
use crate::error::CollectError;

/// The least an Ethernet frame is long, without its checksum.
const FRAME: usize = 60;

/// A packet of the flow, as a program is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialPacket {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Protocol number.
    pub proto: u8,
    /// Source port, or echo identifier.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type of an echo.
    pub icmp_type: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Link-layer source, zeroes when not known.
    pub mac_src: [u8; 6],
    /// Link-layer destination, zeroes when not known.
    pub mac_dst: [u8; 6],
}

impl TrialPacket {
    /// The frame as bytes; `None` for mixed families or a protocol this build does not make.
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        let id = self.sport.to_be_bytes();
        let rest = [id[0], id[1], 0, 1];
        let (src, dst) = (self.src, self.dst);
        let upper = match (self.proto, src, dst) {
            (6, ..) => {
                let (ack, seq) = (u32::from(self.tcp_flags & 0x10 != 0), 1);
                let (src_port, dst_port, flags) = (self.sport, self.dport, self.tcp_flags);
                Tcp {
                    src: src_port,
                    dst: dst_port,
                    seq,
                    ack,
                    flags,
                    window: 64240,
                    urgent: 0,
                    options: &[2, 4, 5, 180],
                    payload: &[],
                }
                .emit(src, dst)
            }
            (17, ..) => Udp { src: self.sport, dst: self.dport, length: 0, payload: &[0] }.emit(src, dst),
            (1, ..) => Icmp { kind: self.icmp_type, code: 0, rest, payload: &[0; 8] }.emit(),
            (58, IpAddr::V6(s), IpAddr::V6(d)) => {
                Icmpv6 { kind: self.icmp_type, code: 0, rest, payload: &[0; 8] }.emit(s, d)
            }
            _ => return None,
        };
        let (ethertype, packet) = match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                (ethernet::ETHERTYPE_IPV4, Ipv4::new(s, d, self.proto, self.ttl, &upper).emit())
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                (ethernet::ETHERTYPE_IPV6, Ipv6::new(s, d, self.proto, self.ttl, &upper).emit())
            }
            _ => return None,
        };
        let mut frame = Ethernet {
            dst: Mac(self.mac_dst),
            src: Mac(self.mac_src),
            vlan: None,
            ethertype,
            payload: &packet,
        }
        .emit();
        frame.resize(frame.len().max(FRAME), 0);
        Some(frame)
    }
}

impl Collector {
    /// What a program returns for a packet. A program with maps is not run: it may keep state there, and a question
    /// changes nothing.
    pub fn bpf_trial(&self, prog_id: u32, packet: &TrialPacket) -> Reading<u32> {
        let Some(frame) = packet.frame() else {
            return Reading::unsupported("this build makes no such packet");
        };
        Self::reading("BPF_PROG_TEST_RUN", "CAP_SYS_ADMIN", || {
            let program = Program::by_id(prog_id)?;
            if !program.info()?.maps.is_empty() {
                return Err(CollectError::Missing(
                    "the program keeps state in maps; running it could change them".into(),
                ));
            }
            Ok(program.test_run(&frame, 1)?.result)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(src: &str, dst: &str, proto: u8) -> TrialPacket {
        TrialPacket {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto,
            sport: 40000,
            dport: 80,
            tcp_flags: 2,
            icmp_type: if proto == 58 { 128 } else { 8 },
            ttl: 64,
            mac_src: [2, 0, 0, 0, 0, 1],
            mac_dst: [2, 0, 0, 0, 0, 2],
        }
    }

    #[test]
    fn frames_read_back_as_what_was_asked() {
        let frame = packet("198.51.100.7", "203.0.113.2", 6).frame().unwrap();
        let eth = Ethernet::parse(&frame).unwrap();
        let ip = Ipv4::parse(eth.payload).unwrap();
        let tcp = Tcp::parse(ip.payload).unwrap();
        assert_eq!((tcp.src, tcp.dst, tcp.flags, ip.protocol), (40000, 80, 2, 6));
        assert!(frame.len() >= FRAME);
        let frame = packet("2001:db8::7", "2001:db8::2", 58).frame().unwrap();
        assert_eq!(Ethernet::parse(&frame).unwrap().ethertype, ethernet::ETHERTYPE_IPV6);
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        assert_eq!(packet("198.51.100.7", "2001:db8::2", 6).frame(), None);
        assert_eq!(packet("198.51.100.7", "203.0.113.2", 132).frame(), None);
    }
}
