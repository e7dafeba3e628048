//! In network namespaces of their own.

use std::net::UdpSocket;

use super::*;
use crate::errno::Errno;
use crate::testing::{NewNet, add_address, make_veth, new_netns, set_up};

const ARP: u16 = 0x0806;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn step(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Accepts IPv4 UDP to `port`, on Ethernet.
fn udp_to(port: u16) -> Vec<Instruction> {
    vec![
        step(0x28, 0, 0, 12),
        step(0x15, 0, 6, 0x0800),
        step(0x30, 0, 0, 23),
        step(0x15, 0, 4, 17),
        step(0x28, 0, 0, 36),
        step(0x15, 0, 2, u32::from(port)),
        step(0x06, 0, 0, 0x0004_0000),
        step(0x06, 0, 0, 0),
        step(0x06, 0, 0, 0),
    ]
}

#[test]
fn only_what_the_filter_accepts_is_seen_both_ways() {
    let NewNet::Here(()) = new_netns(|| {
        set_up(1);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let config = Config { ifindex: Some(1), filter: udp_to(port), snap_length: 50, ..Config::default() };
        let mut capture = Capture::open(&config).unwrap();
        for text in ["first", "second"] {
            other.send_to(b"not this", other.local_addr().unwrap()).unwrap();
            other.send_to(text.as_bytes(), receiver.local_addr().unwrap()).unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let frame = capture.next(soon()).unwrap().expect("four frames");
            assert_eq!((frame.ifindex, frame.protocol, frame.hardware), (1, 0x0800, 772));
            assert!(frame.at.as_secs() > 1_600_000_000 && frame.vlan.is_none());
            assert_eq!(frame.data.len(), 50.min(frame.length as usize));
            assert_eq!(frame.network_offset, 14);
            seen.push((frame.direction, frame.data[42..].to_vec()));
        }
        let expected: Vec<_> = ["first", "second"]
            .iter()
            .flat_map(|text| {
                [Direction::Outgoing, Direction::Host].map(|way| (way, text.as_bytes().to_vec()))
            })
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(capture.next(Instant::now() + Duration::from_millis(60)).unwrap(), None);
        assert_eq!(capture.statistics().unwrap(), Statistics { accepted: 4, dropped: 0, freezes: 0 });
    }) else {
        return;
    };
}

#[test]
fn what_was_lost_is_counted() {
    let NewNet::Here(()) = new_netns(|| {
        set_up(1);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = receiver.local_addr().unwrap();
        let config = Config {
            filter: udp_to(here.port()),
            block_size: 4096,
            blocks: 2,
            snap_length: 2000,
            ignore_outgoing: true,
            ..Config::default()
        };
        let mut capture = Capture::open(&config).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[7; 1000], here).unwrap();
        }
        let mut got = 0;
        while let Some(frame) = capture.next(Instant::now() + Duration::from_millis(100)).unwrap() {
            assert_eq!((frame.direction, frame.data[42]), (Direction::Host, 7));
            got += 1;
        }
        let counted = capture.statistics().unwrap();
        assert_eq!(counted.accepted, 100);
        assert_eq!(counted.dropped, 100 - got);
        assert!((2..100).contains(&got), "{got}");
        // The ring goes on afterwards.
        sender.send_to(&[8; 10], here).unwrap();
        assert_eq!(capture.next(soon()).unwrap().unwrap().data[42], 8);
        assert_eq!(capture.statistics().unwrap().accepted, 101);
    }) else {
        return;
    };
}

#[test]
fn thousands_of_frames_pass_in_order() {
    let NewNet::Here(()) = new_netns(|| {
        set_up(1);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = receiver.local_addr().unwrap();
        let filter = udp_to(here.port());
        let config = Config { filter, ignore_outgoing: true, layer: Layer::Link, ..Config::default() };
        let mut capture = Capture::open(&config).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut next = 0u32;
        for batch in 0..20u32 {
            for number in batch * 500..(batch + 1) * 500 {
                sender.send_to(&number.to_be_bytes(), here).unwrap();
            }
            while next < (batch + 1) * 500 {
                let frame = capture.next(soon()).unwrap().expect("a frame");
                assert_eq!(frame.data[42..46], next.to_be_bytes());
                next += 1;
            }
        }
        assert_eq!(capture.statistics().unwrap(), Statistics { accepted: 10_000, dropped: 0, freezes: 0 });
    }) else {
        return;
    };
}

#[test]
fn a_frame_that_was_sent_raw_arrives_at_the_other_end() {
    let NewNet::Here(()) = new_netns(|| {
        let (near, far) = make_veth("nwt0", "nwt1");
        add_address(far, [198, 51, 100, 2], 24);
        let config =
            Config { ifindex: Some(near), protocol: ARP, layer: Layer::Network, ..Config::default() };
        let mut capture = Capture::open(&config).unwrap();
        // Who has 198.51.100.2? Asked by 198.51.100.1, which nobody is: the kernel answers all the same.
        let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9];
        request.extend_from_slice(&[198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 198, 51, 100, 2]);
        let sender = Sender::open(near, Layer::Network).unwrap();
        assert_eq!(sender.send(&request, ARP, &[0xff; 6]).unwrap(), request.len());
        let reply = loop {
            let frame = capture.next(soon()).unwrap().expect("a reply");
            if frame.direction == Direction::OtherHost || frame.direction == Direction::Host {
                break frame;
            }
        };
        // The answer goes to the link address the question claimed, which is not this device's.
        assert_eq!((reply.direction, reply.protocol), (Direction::OtherHost, ARP));
        assert_eq!(reply.data[..8], [0, 1, 8, 0, 6, 4, 0, 2]);
        assert_eq!(reply.data[14..18], [198, 51, 100, 2]);
        assert_eq!(reply.network_offset, 0);
        assert_eq!(reply.data[8..14], *reply.link_address);
    }) else {
        return;
    };
}

#[test]
fn a_device_that_goes_away_ends_the_capture_with_an_error() {
    let NewNet::Here(()) = new_netns(|| {
        let (near, _) = make_veth("nwt0", "nwt1");
        let mut capture = Capture::open(&Config { ifindex: Some(near), ..Config::default() }).unwrap();
        let mut payload = vec![0; 16];
        payload[4..8].copy_from_slice(&near.to_ne_bytes());
        let mut socket = crate::netlink::Socket::open(crate::netlink::Protocol::Route).unwrap();
        socket.ack(17, 0, &payload).unwrap();
        let error = loop {
            match capture.next(soon()) {
                Ok(frame) => assert!(frame.is_some(), "neither a frame nor an error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.errno, Errno::ENETDOWN);
    }) else {
        return;
    };
}

#[test]
fn a_ring_of_no_size_or_too_much_is_refused() {
    let NewNet::Here(()) = new_netns(|| {
        for (block_size, blocks) in [(0, 1), (4096, 0), (1 << 31, 1 << 20), (5000, 1)] {
            let error = Capture::open(&Config { block_size, blocks, ..Config::default() }).unwrap_err();
            assert_eq!(error.errno, Errno::EINVAL);
        }
    }) else {
        return;
    };
}
