//! The kernel's program against the predicate, over packets made for the purpose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netwhy_wire::packet::arp::Arp;
use netwhy_wire::packet::ethernet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Mac,
};
use netwhy_wire::packet::icmp::{self, Icmp};
use netwhy_wire::packet::icmpv6::{self, Icmpv6, Neighbour};
use netwhy_wire::packet::ipv4::Ipv4;
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::tcp::{Tcp, flag};
use netwhy_wire::packet::udp::Udp;
use netwhy_wire::packet::{Ip, protocol};
use proptest::prelude::*;
use proptest::sample::select;

use super::interpreter::{View, run};
use super::{FlowFilter, Instruction, Tuple};

const SNAP: u32 = 128;

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, last)
}

fn v6(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last))
}

fn tcp(src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> Vec<u8> {
    Tcp {
        src: ports.0,
        dst: ports.1,
        seq: 1,
        ack: 0,
        flags: flag::SYN,
        window: 1,
        urgent: 0,
        options: &[1; 12],
        payload: &[],
    }
    .emit(src, dst)
}

fn udp(src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> Vec<u8> {
    Udp { src: ports.0, dst: ports.1, length: 0, payload: &[0; 8] }.emit(src, dst)
}

fn ip(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> (u16, Vec<u8>) {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            (ETHERTYPE_IPV4, Ipv4::new(src, dst, protocol, 64, payload).emit())
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            (ETHERTYPE_IPV6, Ipv6::new(src, dst, protocol, 64, payload).emit())
        }
        _ => panic!("two families"),
    }
}

fn accepts(program: &[Instruction], protocol: u16, network: &[u8]) -> bool {
    match run(program, &View { network, protocol }) {
        0 => false,
        SNAP => true,
        other => panic!("accepted {other} bytes"),
    }
}

/// The ways a packet can meet the filter: plain (tag stripped or never there), sent with a tag in place,
/// received with a second tag.
fn everyway(program: &[Instruction], ethertype: u16, network: &[u8]) -> bool {
    let plain = accepts(program, ethertype, network);
    let mut inner = vec![0x20, 100];
    inner.extend(ethertype.to_be_bytes());
    inner.extend(network);
    for tag in [ETHERTYPE_VLAN, ETHERTYPE_QINQ] {
        assert_eq!(accepts(program, tag, network), plain, "sent with a tag");
        assert_eq!(accepts(program, tag, &inner), plain, "received with two tags");
    }
    plain
}

fn flow(protocol: u8, src: IpAddr, dst: IpAddr) -> Tuple {
    Tuple { protocol, src: Some(src), sport: Some(40_000), dst, dport: 443 }
}

#[test]
fn both_directions_and_no_neighbouring_flow() {
    for (src, dst) in [(v4(1).into(), v4(2).into()), (IpAddr::from(v6(1)), IpAddr::from(v6(2)))] {
        let filter = FlowFilter { tuples: vec![flow(protocol::TCP, src, dst)], neighbours: vec![] };
        let program = filter.program(SNAP).unwrap();
        let sees = |src, dst, protocol, payload: &[u8]| {
            let (ethertype, packet) = ip(src, dst, protocol, payload);
            let seen = everyway(&program, ethertype, &packet);
            assert_eq!(seen, filter.wants(ethertype, &packet));
            seen
        };
        assert!(sees(src, dst, 6, &tcp(src, dst, (40_000, 443))));
        assert!(sees(dst, src, 6, &tcp(dst, src, (443, 40_000))));
        assert!(!sees(src, dst, 6, &tcp(src, dst, (40_001, 443))));
        assert!(!sees(src, dst, 6, &tcp(src, dst, (40_000, 444))));
        assert!(!sees(dst, src, 6, &tcp(dst, src, (40_000, 443))));
        assert!(!sees(src, dst, 17, &udp(src, dst, (40_000, 443))));
        assert!(!sees(src, src, 6, &tcp(src, src, (40_000, 443))));
    }
}

#[test]
fn an_unknown_source_matches_every_client() {
    let tuple = Tuple { protocol: 17, src: None, sport: None, dst: v4(2).into(), dport: 53 };
    let filter = FlowFilter { tuples: vec![tuple], neighbours: vec![] };
    let program = filter.program(SNAP).unwrap();
    for (src, dst, ports, want) in [
        (v4(1), v4(2), (1, 53), true),
        (v4(9), v4(2), (2, 53), true),
        (v4(2), v4(9), (53, 2), true),
        (v4(2), v4(9), (54, 2), false),
        (v4(9), v4(3), (1, 53), false),
    ] {
        let (ethertype, packet) = ip(src.into(), dst.into(), 17, &udp(src.into(), dst.into(), ports));
        assert_eq!(everyway(&program, ethertype, &packet), want, "{src} {dst} {ports:?}");
        assert_eq!(filter.wants(ethertype, &packet), want);
    }
}

#[test]
fn an_echo_by_its_identifier() {
    for (number, a, b) in
        [(1, IpAddr::from(v4(1)), IpAddr::from(v4(2))), (58, IpAddr::from(v6(1)), IpAddr::from(v6(2)))]
    {
        let tuple = Tuple { protocol: number, src: Some(a), sport: Some(77), dst: b, dport: 0 };
        let filter = FlowFilter { tuples: vec![tuple], neighbours: vec![] };
        let program = filter.program(SNAP).unwrap();
        let (request, reply) =
            if number == 1 { (icmp::ECHO, icmp::ECHO_REPLY) } else { (icmpv6::ECHO, icmpv6::ECHO_REPLY) };
        for (src, dst, kind, id, want) in [
            (a, b, request, 77_u16, true),
            (b, a, reply, 77, true),
            (a, b, request, 78, false),
            (a, b, reply, 77, false),
            (b, a, request, 77, false),
        ] {
            let mut message = vec![kind, 0, 0, 0];
            message.extend(id.to_be_bytes());
            message.extend([0, 1, 9, 9]);
            let (ethertype, packet) = ip(src, dst, number, &message);
            assert_eq!(everyway(&program, ethertype, &packet), want, "{src} {kind} {id}");
            assert_eq!(filter.wants(ethertype, &packet), want);
        }
    }
}

#[test]
fn errors_that_quote_the_flow_from_whomever() {
    let (a, b) = (IpAddr::from(v4(1)), IpAddr::from(v4(2)));
    let filter = FlowFilter { tuples: vec![flow(protocol::TCP, a, b)], neighbours: vec![] };
    let program = filter.program(SNAP).unwrap();
    let options = [1; 8];
    for (quoted, want) in [((40_000, 443), true), ((40_001, 443), false), ((443, 40_000), false)] {
        let inner = Ipv4 { options: &options, ..Ipv4::new(v4(1), v4(2), 6, 1, &tcp(a, b, quoted)) }.emit();
        for (kind, is_error) in [(3, true), (11, true), (12, true), (0, false), (8, false), (13, false)] {
            // Only eight bytes behind the quoted header, and a router with options in its own.
            let error = Icmp { kind, code: 1, rest: [0; 4], payload: &inner[..36] }.emit();
            let packet = Ipv4 { options: &options, ..Ipv4::new(v4(9), v4(1), 1, 64, &error) }.emit();
            assert_eq!(everyway(&program, ETHERTYPE_IPV4, &packet), want && is_error, "{quoted:?} {kind}");
            assert_eq!(filter.wants(ETHERTYPE_IPV4, &packet), want && is_error);
        }
    }
    let (a, b) = (IpAddr::from(v6(1)), IpAddr::from(v6(2)));
    let filter = FlowFilter { tuples: vec![flow(protocol::TCP, a, b)], neighbours: vec![] };
    let program = filter.program(SNAP).unwrap();
    for (quoted, want) in [((40_000, 443), true), ((40_001, 443), false)] {
        let inner = Ipv6::new(v6(1), v6(2), 6, 1, &tcp(a, b, quoted)).emit();
        for (kind, is_error) in [(1, true), (2, true), (3, true), (128, false), (135, false)] {
            let error = Icmpv6 { kind, code: 0, rest: [0; 4], payload: &inner }.emit(v6(9), v6(1));
            let packet = Ipv6::new(v6(9), v6(1), 58, 64, &error).emit();
            assert_eq!(everyway(&program, ETHERTYPE_IPV6, &packet), want && is_error, "{quoted:?} {kind}");
            assert_eq!(filter.wants(ETHERTYPE_IPV6, &packet), want && is_error);
        }
    }
}

#[test]
fn address_resolution_of_the_next_hop_only() {
    let filter = FlowFilter {
        tuples: vec![flow(protocol::TCP, v4(1).into(), v4(2).into())],
        neighbours: vec![v4(254).into(), v6(254).into()],
    };
    let program = filter.program(SNAP).unwrap();
    for (operation, sender, target, want) in [
        (1, 1, 254, true),   // we ask
        (2, 254, 1, true),   // it answers
        (1, 254, 1, true),   // it asks for us
        (1, 254, 77, false), // it asks for somebody else
        (1, 254, 254, true), // it announces itself
        (1, 77, 254, true),  // somebody asks for it
        (1, 77, 1, false),   // somebody asks for us
        (2, 77, 1, false),   // somebody answers us
    ] {
        let arp = Arp {
            operation,
            sender_mac: Mac([2, 0, 0, 0, 0, sender]),
            sender: v4(sender),
            target_mac: Mac::default(),
            target: v4(target),
        };
        assert_eq!(everyway(&program, ETHERTYPE_ARP, &arp.emit()), want, "{operation} {sender} {target}");
        assert_eq!(filter.wants(ETHERTYPE_ARP, &arp.emit()), want);
    }
    let filter = FlowFilter { tuples: vec![flow(protocol::TCP, v6(1).into(), v6(2).into())], ..filter };
    let program = filter.program(SNAP).unwrap();
    for (advert, sender, target, want) in [
        (false, 1, 254, true),
        (true, 254, 254, true),
        (true, 9, 254, true), // a proxy answers for it
        (false, 254, 1, true),
        (false, 254, 77, false),
        (false, 77, 1, false),
        (true, 1, 1, false),
    ] {
        let link = Some(Mac([2, 0, 0, 0, 0, sender]));
        let message = Neighbour { advert, target: v6(target), link }.emit(v6(sender), v6(1));
        let packet = Ipv6::new(v6(sender), v6(1), 58, 255, &message).emit();
        // Whatever the neighbour solicits comes through.
        let seen = want || (!advert && sender == 254);
        assert_eq!(everyway(&program, ETHERTYPE_IPV6, &packet), seen, "{advert} {sender} {target}");
        assert_eq!(filter.wants(ETHERTYPE_IPV6, &packet), want);
    }
}

#[test]
fn a_tagged_packet_whose_length_looks_like_an_ethertype() {
    let (a, b) = (IpAddr::from(v4(1)), IpAddr::from(v4(2)));
    let filter = FlowFilter { tuples: vec![flow(protocol::TCP, a, b)], neighbours: vec![] };
    let mut segment = tcp(a, b, (40_000, 443));
    segment.resize(0x0800 - 20, 0);
    let packet = Ipv4::new(v4(1), v4(2), 6, 64, &segment).emit();
    assert_eq!(packet[2..4], [0x08, 0x00]);
    assert!(everyway(&filter.program(SNAP).unwrap(), ETHERTYPE_IPV4, &packet));
}

#[test]
fn later_fragments_come_through_by_their_addresses() {
    let filter =
        FlowFilter { tuples: vec![flow(protocol::UDP, v4(1).into(), v4(2).into())], neighbours: vec![] };
    let program = filter.program(SNAP).unwrap();
    let later = |dst| Ipv4 { fragment_offset: 1480, ..Ipv4::new(v4(1), dst, 17, 64, &[9; 8]) }.emit();
    assert!(accepts(&program, ETHERTYPE_IPV4, &later(v4(2))));
    assert!(!accepts(&program, ETHERTYPE_IPV4, &later(v4(3))));
    assert!(!filter.wants(ETHERTYPE_IPV4, &later(v4(2))), "the predicate wants ports");
}

#[test]
fn an_empty_filter_wants_nothing_and_is_still_a_program() {
    let program = FlowFilter::default().program(SNAP).unwrap();
    let (ethertype, packet) = ip(v4(1).into(), v4(2).into(), 6, &tcp(v4(1).into(), v4(2).into(), (1, 2)));
    assert!(!everyway(&program, ethertype, &packet));
    let mixed = flow(protocol::TCP, v4(1).into(), v6(2).into());
    let filter = FlowFilter { tuples: vec![mixed], neighbours: vec![] };
    assert_eq!(filter.program(SNAP).unwrap(), program, "a tuple of two families matches nothing");
}

#[test]
fn too_many_flows_are_refused_by_name() {
    let tuples = (0..200).map(|n| flow(protocol::TCP, v4(n).into(), v4(250).into())).collect();
    let error = FlowFilter { tuples, neighbours: vec![] }.program(SNAP).unwrap_err();
    assert!(error.to_string().ends_with("the kernel takes 4096"), "{error}");
    // As many as a question can have fit.
    let tuples = (0..8)
        .flat_map(|n| {
            [
                flow(protocol::TCP, v4(n).into(), v4(250).into()),
                flow(protocol::TCP, v6(n).into(), v6(250).into()),
            ]
        })
        .collect();
    let neighbours = (0..4).flat_map(|n| [IpAddr::from(v4(n)), IpAddr::from(v6(n))]).collect();
    FlowFilter { tuples, neighbours }.program(SNAP).unwrap();
}

fn address(ipv4: bool, last: u8) -> IpAddr {
    if ipv4 { v4(last).into() } else { v6(last).into() }
}

fn tuples() -> impl Strategy<Value = Tuple> {
    (any::<bool>(), 0u8..3, select(vec![6u8, 17, 1]), any::<bool>(), any::<bool>(), 0u16..3, 0u16..3)
        .prop_map(|(ipv4, src, number, any_src, any_port, sport, dport)| Tuple {
            protocol: if number == 1 && !ipv4 { 58 } else { number },
            src: (!any_src).then(|| address(ipv4, src)),
            sport: (!any_port).then_some(sport),
            dst: address(ipv4, 3),
            dport,
        })
}

/// A packet of a few addresses and ports, so that many meet the filter: TCP, UDP, echo, or an error about one.
fn packets() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let plain = (any::<bool>(), 0u8..4, 0u8..4, 0u8..3, 0u16..3, 0u16..3);
    (plain, any::<bool>(), 0u8..4, select(vec![1u8, 3, 8, 11, 128, 2, 0]), 0usize..3, 0u16..2).prop_map(
        |((ipv4, a, b, kind, p, q), quoted, router, error, cut, fragment)| {
            let (src, dst) = (address(ipv4, a), address(ipv4, b));
            let (number, payload) = match kind {
                0 => (6, tcp(src, dst, (p, q))),
                1 => (17, udp(src, dst, (p, q))),
                _ => {
                    let kind = match (ipv4, p) {
                        (true, 0) => 0,
                        (true, _) => 8,
                        (false, 0) => 129,
                        (false, _) => 128,
                    };
                    let [id0, id1] = q.to_be_bytes();
                    (if ipv4 { 1 } else { 58 }, [&[kind, 0, 0, 0, id0, id1, 0, 1][..], &[7; 8]].concat())
                }
            };
            let (ethertype, mut packet) = ip(src, dst, number, &payload);
            if ipv4 && fragment != 0 {
                packet[7] = 4;
            }
            if !quoted {
                return (ethertype, packet);
            }
            // At least eight bytes of the transport header are left.
            packet.truncate(packet.len() - cut * 4);
            let message = [&[error, 0, 0, 0, 0, 0, 0, 0][..], &packet].concat();
            ip(address(ipv4, router), src, if ipv4 { 1 } else { 58 }, &message)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_lets_through_what_is_wanted(tuples in prop::collection::vec(tuples(), 1..4), packet in packets()) {
        let filter = FlowFilter { tuples, neighbours: vec![] };
        let program = filter.program(SNAP).unwrap();
        let (ethertype, packet) = packet;
        let seen = everyway(&program, ethertype, &packet);
        let wanted = filter.wants(ethertype, &packet);
        if wanted {
            prop_assert!(seen);
        }
        // More than wanted only where the ports cannot be seen.
        let whole = Ip::parse(&packet).unwrap().upper().is_some();
        if whole {
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn any_bytes_end_in_a_verdict(ethertype in select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100]), bytes in prop::collection::vec(any::<u8>(), 0..120), tuples in prop::collection::vec(tuples(), 0..3)) {
        let filter = FlowFilter { tuples, neighbours: vec![v4(1).into(), v6(1).into()] };
        let seen = accepts(&filter.program(SNAP).unwrap(), ethertype, &bytes);
        if filter.wants(ethertype, &bytes) {
            prop_assert!(seen);
        }
    }
}
