//! Known packets, byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::arp::{Arp, REQUEST};
use super::ethernet::{BROADCAST, ETHERTYPE_ARP, ETHERTYPE_IPV4, Ethernet, Mac};
use super::icmp::Icmp;
use super::icmpv6::{Icmpv6, Neighbour};
use super::ipv4::Ipv4;
use super::ipv6::Ipv6;
use super::tcp::{Tcp, TcpOption, flag};
use super::udp::Udp;
use super::{Ip, PacketError, Quoted, Sum, protocol};

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, last)
}

fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

#[test]
fn the_checksum_of_rfc_1071() {
    // The example of section 3: the sum is 0xddf2.
    let sum = Sum::default().plus(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).finish();
    assert_eq!(sum, !0xddf2);
    assert_eq!(Sum::default().plus(&[0xab]).finish(), !0xab00);
}

#[test]
fn a_header_with_a_known_checksum() {
    let packet = Ipv4 {
        id: 0x1c46,
        ..Ipv4::new(Ipv4Addr::new(172, 16, 10, 99), Ipv4Addr::new(172, 16, 10, 12), 6, 64, &[0; 40])
    };
    let bytes = packet.emit();
    assert_eq!(
        bytes[..20],
        [
            0x45, 0x00, 0x00, 0x3c, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0xb1, 0xe6, 0xac, 0x10, 0x0a, 0x63,
            0xac, 0x10, 0x0a, 0x0c
        ]
    );
    assert_eq!(Sum::default().plus(&bytes[..20]).finish(), 0);
}

#[test]
fn a_syn_with_the_options_linux_sends() {
    let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
    let syn = Tcp {
        src: 40_000,
        dst: 443,
        seq: 7,
        ack: 0,
        flags: flag::SYN,
        window: 64_240,
        urgent: 0,
        options: &options,
        payload: &[],
    };
    let bytes = syn.emit(v4(1).into(), v4(2).into());
    assert_eq!(bytes.len(), 40);
    let sum = Sum::default().pseudo(v4(1).into(), v4(2).into(), protocol::TCP, bytes.len());
    assert_eq!(sum.plus(&bytes).finish(), 0);
    let back = Tcp::parse(&bytes).unwrap();
    assert_eq!(back, syn);
    let seen: Vec<_> = back.options().collect();
    assert_eq!(
        seen,
        [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 9, echo: 0 },
            TcpOption::WindowScale(7),
        ]
    );
    // Cut inside the options: what is there is read.
    let cut = Tcp::parse(&bytes[..24]).unwrap();
    assert_eq!(cut.options().collect::<Vec<_>>(), [TcpOption::MaximumSegmentSize(1460)]);
}

#[test]
fn an_option_that_lies_about_its_length_ends_the_list() {
    for options in [&[2u8, 0][..], &[2, 1], &[8, 10, 1], &[5]] {
        let tcp = Tcp { options, ..Tcp::parse(&[0x50; 20]).unwrap() };
        assert_eq!(tcp.options().count(), 0, "{options:?}");
    }
}

#[test]
fn an_error_quotes_its_packet_even_when_cut_after_eight_bytes() {
    let udp = Udp { src: 5000, dst: 53, length: 0, payload: b"question" }.emit(v4(1).into(), v4(2).into());
    let packet = Ipv4::new(v4(1), v4(2), protocol::UDP, 1, &udp).emit();
    let error = Icmp { kind: 3, code: 4, rest: [0, 0, 0x05, 0x14], payload: &packet[..28] }.emit();
    let error = Icmp::parse(&error).unwrap();
    assert_eq!(error.mtu(), Some(1300));
    let quoted = error.quoted().unwrap();
    assert_eq!((quoted.src, quoted.dst), (IpAddr::from(v4(1)), IpAddr::from(v4(2))));
    assert_eq!((quoted.ports, quoted.length), (Some((5000, 53)), 36));
    assert_eq!(Icmp::parse(&Icmp::echo(7, 9, b"x").emit()).unwrap().quoted(), None);
}

#[test]
fn a_quote_behind_extension_headers_and_of_a_later_fragment() {
    let udp = Udp { src: 1, dst: 2, length: 0, payload: &[] }.emit(v6(1).into(), v6(2).into());
    let mut chain = vec![44, 0, 1, 4, 0, 0, 0, 0]; // Hop-by-hop, then fragment 0, then UDP.
    chain.extend([17, 0, 0, 1, 0, 0, 0, 1]);
    chain.extend(&udp);
    let bytes = Ipv6::new(v6(1), v6(2), 0, 64, &chain).emit();
    let quoted = Quoted::parse(&bytes).unwrap();
    assert_eq!((quoted.protocol, quoted.ports), (17, Some((1, 2))));
    // The same with a fragment offset of 8 bytes: the words there are no ports.
    chain[11] = 9;
    let bytes = Ipv6::new(v6(1), v6(2), 0, 64, &chain).emit();
    assert_eq!(Quoted::parse(&bytes).unwrap().ports, None);
}

#[test]
fn segmentation_offload_declares_no_length() {
    let mut bytes = Ipv4::new(v4(1), v4(2), protocol::UDP, 64, &[1, 2, 3]).emit();
    bytes[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(Ipv4::parse(&bytes).unwrap().payload, [1, 2, 3]);
}

#[test]
fn padding_behind_the_packet_is_not_payload() {
    let mut bytes = Ipv4::new(v4(1), v4(2), protocol::ICMP, 64, &[9; 8]).emit();
    bytes.resize(46, 0);
    assert_eq!(Ipv4::parse(&bytes).unwrap().payload, [9; 8]);
}

#[test]
fn a_request_in_a_tagged_frame() {
    let arp = Arp {
        operation: REQUEST,
        sender_mac: Mac([2, 0, 0, 0, 0, 1]),
        sender: v4(1),
        target_mac: Mac::default(),
        target: v4(2),
    };
    let bytes = arp.emit();
    let frame = Ethernet {
        dst: BROADCAST,
        src: arp.sender_mac,
        vlan: Some(100),
        ethertype: ETHERTYPE_ARP,
        payload: &bytes,
    };
    let bytes = frame.emit();
    let back = Ethernet::parse(&bytes).unwrap();
    assert_eq!(back, frame);
    assert_eq!(Arp::parse(back.payload).unwrap(), arp);
    assert_eq!(back.src.to_string(), "02:00:00:00:00:01");
}

#[test]
fn an_arp_packet_of_another_medium_is_refused_by_field() {
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&[0, 6, 8, 0, 6, 4, 0, 1]);
    assert_eq!(Arp::parse(&bytes).unwrap_err().to_string(), "arp: hardware type is 6");
    assert_eq!(Arp::parse(&bytes[..27]).unwrap_err(), PacketError::Cut { layer: "arp", need: 28, have: 27 });
}

#[test]
fn a_solicitation_and_its_answer() {
    let target = v6(0xab12);
    let group = Neighbour::solicited_node(target);
    assert_eq!(group, "ff02::1:ff00:ab12".parse::<Ipv6Addr>().unwrap());
    assert_eq!(Neighbour::multicast_mac(group), Mac([0x33, 0x33, 0xff, 0x00, 0xab, 0x12]));
    for advert in [false, true] {
        let link = Some(Mac([2, 0, 0, 0, 0, 9]));
        let sent = Neighbour { advert, target, link };
        let bytes = sent.emit(v6(1), group);
        let sum = Sum::default().pseudo(v6(1).into(), group.into(), protocol::ICMPV6, bytes.len());
        assert_eq!(sum.plus(&bytes).finish(), 0);
        assert_eq!(Icmpv6::parse(&bytes).unwrap().neighbour(), Some(sent));
    }
}

#[test]
fn versions_are_told_apart() {
    assert_eq!(Ip::parse(&[]).unwrap_err(), PacketError::Cut { layer: "ip", need: 20, have: 0 });
    assert_eq!(Ip::parse(&[0x50]).unwrap_err().to_string(), "ip: version is 5");
    let bytes = Ipv6::new(v6(1), v6(2), protocol::TCP, 3, &[1; 20]).emit();
    let ip = Ip::parse(&bytes).unwrap();
    assert_eq!((ip.ttl(), ip.length(), ip.upper().unwrap().0), (3, 60, protocol::TCP));
    let bytes = Ipv4::new(v4(1), v4(2), protocol::TCP, 3, &[1; 20]).emit();
    let frame =
        Ethernet { dst: BROADCAST, src: BROADCAST, vlan: None, ethertype: ETHERTYPE_IPV4, payload: &bytes };
    assert_eq!(Ip::parse(Ethernet::parse(&frame.emit()).unwrap().payload).unwrap().length(), 40);
}
