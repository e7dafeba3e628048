//! Properties that hold for any bytes.

use proptest::prelude::*;

use super::arp::Arp;
use super::ethernet::Ethernet;
use super::icmp::Icmp;
use super::icmpv6::Icmpv6;
use super::ipv4::Ipv4;
use super::tcp::Tcp;
use super::udp::Udp;
use super::{Ip, Quoted, Sum, protocol};

/// Reads the bytes as every layer and touches what each offers.
fn exercise(bytes: &[u8]) {
    if let Ok(frame) = Ethernet::parse(bytes) {
        assert!(frame.payload.len() < bytes.len());
        upper(frame.payload);
    }
    upper(bytes);
    let _ = (Arp::parse(bytes), Quoted::parse(bytes), Udp::parse(bytes));
    if let Ok(tcp) = Tcp::parse(bytes) {
        assert!(tcp.options().count() <= 20);
        assert!(tcp.options.len() + tcp.payload.len() + 20 == bytes.len());
    }
    if let Ok(icmp) = Icmp::parse(bytes) {
        let _ = (icmp.quoted(), icmp.mtu(), icmp.echo_id());
    }
    if let Ok(icmp) = Icmpv6::parse(bytes) {
        let _ = (icmp.quoted(), icmp.mtu(), icmp.echo_id(), icmp.neighbour());
    }
}

fn upper(bytes: &[u8]) {
    let Ok(ip) = Ip::parse(bytes) else { return };
    let _ = (ip.src(), ip.dst(), ip.ttl(), ip.length(), ip.protocol());
    if let Some((_, payload)) = ip.upper() {
        assert!(payload.len() < bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0u8..16) {
        exercise(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x0f | version << 4;
        }
        exercise(&bytes);
    }

    #[test]
    fn long_chains_of_extension_headers_end(kinds in prop::collection::vec(prop::sample::select(vec![0u8, 43, 44, 51, 60, 17]), 0..40)) {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        bytes.resize(40, 1);
        for kind in kinds {
            bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        }
        exercise(&bytes);
    }

    #[test]
    fn an_emitted_packet_is_read_back_and_sums_to_zero(
        src in any::<[u8; 4]>(),
        dst in any::<[u8; 4]>(),
        ports in any::<(u16, u16)>(),
        numbers in any::<(u32, u32, u8)>(),
        options in prop::collection::vec(any::<u8>(), 0..10),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        // Options as whole words, so that padding does not add to them.
        let options: Vec<u8> = options.iter().flat_map(|byte| [1, 1, 1, *byte]).collect();
        let (seq, ack, flags) = numbers;
        let tcp = Tcp { src: ports.0, dst: ports.1, seq, ack, flags, window: 1, urgent: 2, options: &options, payload: &payload };
        let segment = tcp.emit(src.into(), dst.into());
        prop_assert_eq!(Tcp::parse(&segment).unwrap(), tcp);
        let sum = Sum::default().pseudo(src.into(), dst.into(), protocol::TCP, segment.len());
        prop_assert_eq!(sum.plus(&segment).finish(), 0);

        let packet = Ipv4 { options: &options, ..Ipv4::new(src.into(), dst.into(), protocol::TCP, 7, &segment) };
        let bytes = packet.emit();
        let back = Ipv4::parse(&bytes).unwrap();
        prop_assert_eq!(usize::from(back.total_length), bytes.len());
        prop_assert_eq!(back, Ipv4 { total_length: back.total_length, ..packet });

        let udp = Udp { src: ports.0, dst: ports.1, length: 0, payload: &payload };
        let bytes = udp.emit(src.into(), dst.into());
        let back = Udp::parse(&bytes).unwrap();
        prop_assert_eq!(back, Udp { length: back.length, ..udp });
    }
}
