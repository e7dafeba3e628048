//! Frames and packets of every layer, and the filter's predicate over them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_capture::{FlowFilter, Tuple};
use netwhy_wire::packet::{Ip, Quoted, arp, ethernet, icmp, icmpv6, tcp, udp};

fuzz_target!(|bytes: &[u8]| {
    let _ = (arp::Arp::parse(bytes), udp::Udp::parse(bytes), Quoted::parse(bytes));
    if let Ok(frame) = ethernet::Ethernet::parse(bytes) {
        walk(frame.payload);
        let dst = "198.51.100.2".parse().unwrap();
        let tuple = Tuple { protocol: 6, src: None, sport: None, dst, dport: 443 };
        let filter = FlowFilter { tuples: vec![tuple], neighbours: vec![dst] };
        let _ = filter.wants(frame.ethertype, frame.payload);
    }
    walk(bytes);
});

fn walk(bytes: &[u8]) {
    let Ok(ip) = Ip::parse(bytes) else { return };
    let Some((_, payload)) = ip.upper() else { return };
    if let Ok(segment) = tcp::Tcp::parse(payload) {
        assert!(segment.options().count() <= 40);
    }
    if let Ok(message) = icmp::Icmp::parse(payload) {
        let _ = (message.quoted(), message.mtu(), message.echo_id());
    }
    if let Ok(message) = icmpv6::Icmpv6::parse(payload) {
        let _ = (message.quoted(), message.mtu(), message.neighbour());
    }
}
