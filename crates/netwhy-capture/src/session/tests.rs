//! On loopback, in a namespace of its own.

use std::net::UdpSocket;

use netwhy_sys::packet::Direction;
use netwhy_sys::{caps, netns};
use netwhy_wire::packet::{Ip, udp::Udp};

use super::*;
use crate::filter::Tuple;

/// Runs `test` in a namespace with loopback up.
fn with_loopback(test: impl FnOnce() + Send) {
    let made = netns::in_new_netns(|| {
        up();
        test();
    });
    if let Err(error) = made {
        let able = caps::effective().is_ok_and(|held| held.has(caps::Capability::SysAdmin));
        assert!(!able, "could not make a network namespace: {error}");
        println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
    }
}

/// `ip link set lo up`.
fn up() {
    use netwhy_sys::netlink::{Protocol, Socket};
    let mut payload = vec![0; 16];
    payload[4..8].copy_from_slice(&1u32.to_ne_bytes());
    payload[8..12].copy_from_slice(&1u32.to_ne_bytes());
    payload[12..16].copy_from_slice(&1u32.to_ne_bytes());
    Socket::open(Protocol::Route).unwrap().ack(16, 0, &payload).unwrap();
}

fn filter(port: u16) -> FlowFilter {
    let dst = "127.0.0.1".parse().unwrap();
    FlowFilter {
        tuples: vec![Tuple { protocol: 17, src: None, sport: None, dst, dport: port }],
        neighbours: vec![],
    }
}

#[test]
fn every_packet_of_the_flow_and_no_other_in_order_and_both_ways() {
    with_loopback(|| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = server.local_addr().unwrap();
        let session = Session::start(filter(here.port()), &Options::default()).unwrap();
        for number in 0..50_u8 {
            client.send_to(&[number], here).unwrap();
            client.send_to(&[number], client.local_addr().unwrap()).unwrap();
            server.send_to(&[number], client.local_addr().unwrap()).unwrap();
        }
        let captured = session.stop().unwrap();
        assert_eq!((captured.beyond_bound, captured.dropped), (0, 0));
        let seen: Vec<(Direction, bool, u8)> = captured
            .frames
            .iter()
            .map(|frame| {
                assert_eq!((frame.ifindex, frame.vlan), (1, None));
                let ip = Ip::parse(&frame.packet).unwrap();
                let udp = Udp::parse(ip.upper().unwrap().1).unwrap();
                (frame.direction, udp.dst == here.port(), udp.payload[0])
            })
            .collect();
        let expected: Vec<_> = (0..50)
            .flat_map(|number| {
                [true, false].into_iter().flat_map(move |forth| {
                    [Direction::Outgoing, Direction::Host].map(|way| (way, forth, number))
                })
            })
            .collect();
        assert_eq!(seen, expected);
    });
}

#[test]
fn what_exceeds_the_bound_is_counted() {
    with_loopback(|| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = server.local_addr().unwrap();
        let options = Options { packets: 3, devices: vec![1], ..Options::default() };
        let session = Session::start(filter(here.port()), &options).unwrap();
        for _ in 0..10 {
            server.send_to(&[0; 500], here).unwrap();
        }
        let captured = session.stop().unwrap();
        assert_eq!((captured.frames.len(), captured.beyond_bound), (3, 17));
        assert!(captured.frames.iter().all(|frame| frame.packet.len() + 14 == 128 && frame.length == 542));
    });
}

#[test]
fn a_look_at_what_has_come_so_far() {
    with_loopback(|| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = server.local_addr().unwrap();
        let session = Session::start(filter(here.port()), &Options::default()).unwrap();
        assert!(!session.saw(|_| true));
        server.send_to(b"x", here).unwrap();
        let late = Instant::now() + Duration::from_secs(5);
        assert_eq!(session.wait_beyond(1, late).len(), 1, "the second frame");
        assert!(session.saw(|frame| frame.direction == Direction::Host));
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(session.wait_beyond(2, soon), []);
        assert!(Instant::now() >= soon);
        assert_eq!(session.so_far().frames.len(), 2);
    });
}

#[test]
fn another_device_is_not_heard() {
    with_loopback(|| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = server.local_addr().unwrap();
        let options = Options { devices: vec![77, 78], ..Options::default() };
        let session = Session::start(filter(here.port()), &options).unwrap();
        server.send_to(b"x", here).unwrap();
        assert_eq!(session.stop().unwrap(), Captured::default());
    });
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    with_loopback(|| {
        let options = Options { devices: vec![77], ..Options::default() };
        let error = Session::start(filter(1), &options).unwrap_err();
        assert_eq!(error.to_string(), "bind ifindex 77: ENODEV (No such device)");
        assert!(!error.is_denied());
    });
}
