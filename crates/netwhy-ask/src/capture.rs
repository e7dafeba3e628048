//! The question's own packets as facts.
//!
//! ```text
//! let window = FlowWindow::open(filter_for(&flows, &[], &next_hops), &Options::default());
//! ... ask ...                 window.saw(|packet| packet.is_rst())
//! let reading = window.close();      // Reading<FlowCapture>; Denied {needs: "CAP_NET_RAW"} for an ordinary user
//! ```

use std::net::IpAddr;
use std::time::Duration;

use netwhy_capture::{CaptureError, FlowFilter, Frame, Options, Session, Tuple};
use netwhy_facts::capture::{CapturedPacket, FlowCapture};
use netwhy_facts::flow::{Flow, Proto};
use netwhy_facts::reading::Reading;
use netwhy_sys::clock;
use netwhy_sys::packet::Direction;
use netwhy_wire::packet::ethernet::ETHERTYPE_ARP;
use netwhy_wire::packet::icmp::{self, Icmp};
use netwhy_wire::packet::icmpv6::{self, Icmpv6};
use netwhy_wire::packet::tcp::Tcp;
use netwhy_wire::packet::udp::Udp;
use netwhy_wire::packet::{Ip, arp, protocol};

/// The door, as a reading names it.
const SOURCE: &str = "AF_PACKET";

/// The packets of these flows, of the same flows as translations change them, and the address resolution of the
/// next hops. A flow without a source port matches any.
#[must_use]
pub fn filter_for(flows: &[Flow], translated: &[Tuple], next_hops: &[IpAddr]) -> FlowFilter {
    let mut tuples: Vec<Tuple> = flows
        .iter()
        .map(|flow| Tuple {
            protocol: flow.proto_number(),
            src: flow.src,
            // A flow's echo has no identifier before it is asked.
            sport: if flow.proto == Proto::Icmp { None } else { flow.sport },
            dst: flow.dst,
            dport: flow.dport,
        })
        .collect();
    tuples.extend(translated);
    tuples.dedup();
    FlowFilter { tuples, neighbours: next_hops.to_vec() }
}

/// A capture for the time of the question, or the reason why there is none.
#[derive(Debug)]
pub struct FlowWindow {
    session: Result<Session, CaptureError>,
    /// The wall clock less the monotonic one when it began, nanoseconds.
    offset: i128,
}

impl FlowWindow {
    /// Begins in the calling thread's network namespace.
    #[must_use]
    pub fn open(filter: FlowFilter, options: &Options) -> Self {
        let offset = nanos(clock::realtime()) - i128::from(clock::monotonic());
        FlowWindow { session: Session::start(filter, options), offset }
    }

    /// Whether a packet captured so far is one that `want` looks for; `false` where there is no capture.
    pub fn saw(&self, mut want: impl FnMut(&CapturedPacket) -> bool) -> bool {
        self.session.as_ref().is_ok_and(|session| {
            session.saw(|frame| decode(frame, self.offset).is_some_and(|packet| want(&packet)))
        })
    }

    /// What has been captured so far, `None` where there is no capture.
    #[must_use]
    pub fn so_far(&self) -> Option<FlowCapture> {
        let captured = self.session.as_ref().ok()?.so_far();
        Some(self.facts(&captured))
    }

    /// Ends and hands over.
    #[must_use]
    pub fn close(self) -> Reading<FlowCapture> {
        let Self { session, offset } = self;
        let stopped = session.and_then(Session::stop);
        match stopped {
            Ok(captured) => {
                let window = FlowWindow { session: Err(CaptureError::Thread), offset };
                Reading::known(window.facts(&captured), SOURCE, clock::monotonic())
            }
            Err(error) if error.is_denied() => Reading::denied("CAP_NET_RAW"),
            Err(CaptureError::Sys(error)) if error.is_unsupported() => {
                Reading::unsupported(format!("no packet sockets: {error}"))
            }
            Err(error) => Reading::failed(error),
        }
    }

    fn facts(&self, captured: &netwhy_capture::Captured) -> FlowCapture {
        FlowCapture {
            packets: captured.frames.iter().filter_map(|frame| decode(frame, self.offset)).collect(),
            dropped: captured.dropped,
            beyond_bound: captured.beyond_bound,
            of_others: 0,
        }
    }
}

fn nanos(time: Duration) -> i128 {
    // A duration's nanoseconds are far below the limit.
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// A frame as a fact; `None` for what the filter should not have let through.
fn decode(frame: &Frame, offset: i128) -> Option<CapturedPacket> {
    let (mac_dst, mac_src) = frame.macs.unzip();
    let mut packet = CapturedPacket {
        at: u64::try_from(nanos(frame.at) - offset).unwrap_or(0),
        ifindex: frame.ifindex,
        out: frame.direction == Direction::Outgoing,
        pkttype: kind(frame.direction),
        src: IpAddr::from([0; 4]),
        dst: IpAddr::from([0; 4]),
        proto: 0,
        sport: 0,
        dport: 0,
        tcp_flags: 0,
        seq: 0,
        ack: 0,
        window: 0,
        ttl: 0,
        len: 0,
        icmp: None,
        arp: None,
        mac_src: mac_src.map(|mac| mac.to_string()),
        mac_dst: mac_dst.map(|mac| mac.to_string()),
        vlan: frame.vlan,
    };
    if frame.ethertype == ETHERTYPE_ARP {
        let arp = arp::Arp::parse(&frame.packet).ok()?;
        (packet.src, packet.dst) = (arp.sender.into(), arp.target.into());
        packet.proto = ETHERTYPE_ARP;
        packet.len = arp::LENGTH as u32;
        packet.arp = Some((arp.operation, arp.sender_mac.to_string()));
        return Some(packet);
    }
    let ip = Ip::parse(&frame.packet).ok()?;
    (packet.src, packet.dst) = (ip.src(), ip.dst());
    (packet.ttl, packet.len) = (ip.ttl(), ip.length());
    let (number, payload) = ip.upper()?;
    packet.proto = number.into();
    match number {
        protocol::TCP => {
            let tcp = Tcp::parse(payload).ok()?;
            (packet.sport, packet.dport) = (tcp.src, tcp.dst);
            (packet.seq, packet.ack) = (tcp.seq, tcp.ack);
            (packet.tcp_flags, packet.window) = (tcp.flags, tcp.window);
        }
        protocol::UDP => {
            let udp = Udp::parse(payload).ok()?;
            (packet.sport, packet.dport) = (udp.src, udp.dst);
        }
        protocol::ICMP => {
            let icmp = Icmp::parse(payload).ok()?;
            if let Some((id, _)) = icmp.echo_id() {
                echo(&mut packet, id, icmp.kind == icmp::ECHO);
            } else {
                error(&mut packet, (icmp.kind, icmp.code), icmp.mtu().map(u32::from), icmp.quoted());
            }
        }
        protocol::ICMPV6 => {
            let icmp = Icmpv6::parse(payload).ok()?;
            if let Some((id, _)) = icmp.echo_id() {
                echo(&mut packet, id, icmp.kind == icmpv6::ECHO);
            } else if let Some(nd) = icmp.neighbour() {
                packet.dst = nd.target.into();
                let link = nd.link.map(|mac| mac.to_string()).unwrap_or_default();
                packet.arp = Some((icmp.kind.into(), link));
            } else {
                error(&mut packet, (icmp.kind, icmp.code), icmp.mtu(), icmp.quoted());
            }
        }
        _ => return None,
    }
    Some(packet)
}

/// The identifier stands where the asker's port would: source of a request, destination of a reply.
fn echo(packet: &mut CapturedPacket, id: u16, request: bool) {
    if request { packet.sport = id } else { packet.dport = id }
}

/// An error with the ports of the packet it quotes.
fn error(
    packet: &mut CapturedPacket,
    (kind, code): (u8, u8),
    mtu: Option<u32>,
    quoted: Option<netwhy_wire::packet::Quoted>,
) {
    packet.icmp = Some((kind, code, mtu.unwrap_or(0)));
    if let Some((sport, dport)) = quoted.and_then(|quoted| quoted.ports) {
        (packet.sport, packet.dport) = (sport, dport);
    }
}

/// `sll_pkttype` (uapi `linux/if_packet.h`).
fn kind(direction: Direction) -> u8 {
    match direction {
        Direction::Host => 0,
        Direction::Broadcast => 1,
        Direction::Multicast => 2,
        Direction::OtherHost => 3,
        Direction::Outgoing => 4,
        Direction::Other(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Try, run};
    use crate::{Budget, Victim, Wait};
    use netwhy_sys::caps;
    use netwhy_wire::packet::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Mac};
    use netwhy_wire::packet::icmpv6::Neighbour;
    use netwhy_wire::packet::ipv4::Ipv4;
    use netwhy_wire::packet::ipv6::Ipv6;
    use std::net::{Ipv6Addr, TcpListener};
    use std::time::Instant;

    fn flow(dst: std::net::SocketAddr) -> Flow {
        Flow {
            proto: Proto::Tcp,
            src: None,
            sport: None,
            dst: dst.ip(),
            dport: dst.port(),
            mark: 0,
            uid: None,
            dev: None,
        }
    }

    fn frame(ethertype: u16, packet: Vec<u8>) -> Frame {
        Frame {
            at: Duration::from_nanos(1_000_000_500),
            ifindex: 2,
            direction: Direction::Host,
            ethertype,
            vlan: Some(7),
            macs: Some((Mac([2; 6]), Mac([4; 6]))),
            length: 60,
            packet,
        }
    }

    #[test]
    fn a_handshake_is_seen_as_it_happened() {
        let Some(namespace) = crate::testing::namespace() else { return };
        namespace
            .run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let dst = listener.local_addr().unwrap();
                let window = FlowWindow::open(filter_for(&[flow(dst)], &[], &[]), &Options::default());
                let before = clock::monotonic();
                let wait = Wait::until(Instant::now() + Duration::from_secs(5));
                let what = Try { linger: Duration::ZERO, ..Try::plain(Proto::Tcp, dst) };
                let tried = run(&[what], &Victim::default(), &Budget::new(9), &wait);
                let Reading::Known { value, source, .. } = window.close() else { panic!("no capture") };
                assert_eq!((value.dropped, value.beyond_bound, source.as_str()), (0, 0, "AF_PACKET"));
                let flow = Flow { sport: Some(tried[0].attempt.local.unwrap().port()), ..flow(dst) };
                let out: Vec<_> = value.packets.iter().filter(|packet| packet.out).collect();
                assert!(out[0].is_syn() && out[1].is_syn_ack() && !out[2].is_syn());
                assert_eq!(out[1].ack, out[0].seq.wrapping_add(1));
                assert_eq!((out[0].len, out[0].ttl, out[0].pkttype), (60, 64, 4));
                assert!(value.toward(&flow).count() >= 2 && value.back(&flow).count() >= 1);
                assert!(value.packets.iter().all(|packet| packet.at >= before));
                assert!(value.packets[0].at < before + 5_000_000_000);
            })
            .unwrap();
    }

    #[test]
    fn without_the_privilege_it_says_which_one() {
        let dst = "127.0.0.1:1".parse().unwrap();
        let filter = filter_for(&[flow(dst)], &[], &[]);
        let reading = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    caps::keep_only(caps::CapSet::EMPTY).unwrap();
                    FlowWindow::open(filter, &Options::default()).close()
                })
                .join()
                .unwrap()
        });
        assert!(matches!(&reading, Reading::Denied { needs } if needs == "CAP_NET_RAW"), "{reading:?}");
    }

    #[test]
    fn echoes_errors_and_neighbours_become_facts() {
        let (a, b) = ([198, 51, 100, 1].into(), [198, 51, 100, 2].into());
        let request = Icmp::echo(77, 1, &[0; 8]).emit();
        let packet = decode(&frame(ETHERTYPE_IPV4, Ipv4::new(a, b, 1, 64, &request).emit()), 500).unwrap();
        assert_eq!((packet.at, packet.vlan, packet.sport, packet.dport), (1_000_000_000, Some(7), 77, 0));
        assert_eq!(packet.mac_src.unwrap(), "04:04:04:04:04:04");

        let udp = Udp { src: 9, dst: 53, length: 0, payload: &[] }.emit(a.into(), b.into());
        let quoted = Ipv4::new(a, b, 17, 1, &udp).emit();
        let too_big = Icmp { kind: 3, code: 4, rest: [0, 0, 5, 0], payload: &quoted }.emit();
        let packet = decode(&frame(ETHERTYPE_IPV4, Ipv4::new(b, a, 1, 64, &too_big).emit()), 0).unwrap();
        assert_eq!((packet.icmp, packet.sport, packet.dport), (Some((3, 4, 1280)), 9, 53));

        let target: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let nd = Neighbour { advert: true, target, link: Some(Mac([6; 6])) }.emit(target, target);
        let packet =
            decode(&frame(ETHERTYPE_IPV6, Ipv6::new(target, target, 58, 255, &nd).emit()), 0).unwrap();
        assert_eq!(packet.arp, Some((136, "06:06:06:06:06:06".to_owned())));
        assert_eq!(packet.dst, IpAddr::from(target));
        assert!(decode(&frame(ETHERTYPE_IPV4, vec![0x45]), 0).is_none());
        assert!(decode(&frame(ETHERTYPE_ARP, vec![0; 20]), 0).is_none());
    }
}
