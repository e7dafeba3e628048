//! Against the running kernel, on loopback only.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::time::Instant;

use super::*;
use crate::caps::{self, Capability};
use crate::netns::{NetnsRef, in_new_netns};
use crate::poll::{Interest, wait};
use crate::testing::{
    NewNet, add_address, add_default_route, make_veth, move_link, new_netns, set_mtu, set_up,
};

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(5))
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn any_port() -> SocketAddr {
    loopback(0)
}

/// A port nobody listens on: taken, noted and given back.
fn closed_port() -> u16 {
    UdpSocket::bind(any_port()).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_connection_is_made_without_blocking() {
    let listener = listen_tcp(any_port(), ListenOptions { backlog: 1, ..Default::default() }).unwrap();
    let remote = listener.local_addr().unwrap();
    let socket = Socket::open(Family::V4, Kind::Tcp).unwrap();
    socket.set_late_port().unwrap();
    socket.set_ttl(7).unwrap();
    socket.set_syn_retries(1).unwrap();
    socket.bind(any_port()).unwrap();
    socket.connect(remote).unwrap();
    assert!(wait(socket.as_fd(), Interest::WRITE, soon()).unwrap());
    assert_eq!(socket.take_error().unwrap(), None);
    assert_eq!(socket.peer().unwrap(), remote);
    let (mut accepted, from) = listener.accept().unwrap();
    assert_eq!(from, socket.local().unwrap());
    accepted.write_all(b"hello").unwrap();
    assert!(wait(socket.as_fd(), Interest::READ, soon()).unwrap());
    let mut buffer = [0; 16];
    assert_eq!(socket.peek(&mut buffer).unwrap().unwrap().length, 5);
    assert_eq!(socket.receive(&mut buffer).unwrap().unwrap().length, 5);
    assert_eq!(socket.receive(&mut buffer).unwrap(), None);
    let info = socket.tcp_info().unwrap();
    assert_eq!(info[0], 1, "established");
    assert!(info.len() >= 104);
    assert_ne!(socket.cookie().unwrap(), 0);
    socket.reset_on_close().unwrap();
    drop(socket);
    let error = accepted.read(&mut buffer).unwrap_err();
    assert_eq!(Errno::from(&error), Errno::ECONNRESET);
}

#[test]
fn a_refused_connection_says_so() {
    let socket = Socket::open(Family::V4, Kind::Tcp).unwrap();
    let port = closed_port();
    match socket.connect(loopback(port)) {
        Ok(_) => {
            assert!(wait(socket.as_fd(), Interest::WRITE, soon()).unwrap());
            assert_eq!(socket.take_error().unwrap(), Some(Errno::ECONNREFUSED));
        }
        Err(error) => {
            assert_eq!(
                error.to_string(),
                format!("connect 127.0.0.1:{port}: ECONNREFUSED (Connection refused)")
            );
        }
    }
    // The error is told once.
    assert_eq!(socket.take_error().unwrap(), None);
}

#[test]
fn an_icmp_error_comes_with_its_sender() {
    for (family, ip) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
        let socket = Socket::open(family, Kind::Udp).unwrap();
        socket.queue_errors(true).unwrap();
        socket.receive_details().unwrap();
        let remote = SocketAddr::new(ip.parse().unwrap(), closed_port());
        // Not connected: without the queue this error would be lost.
        match socket.send_to(b"anybody there", remote) {
            Err(error) if family == Family::V6 && error.errno == Errno::EADDRNOTAVAIL => {
                println!("skipped for IPv6: no loopback address");
                continue;
            }
            sent => assert_eq!(sent.unwrap(), 13),
        }
        assert!(wait(socket.as_fd(), Interest::ERRORS, soon()).unwrap());
        let error = socket.take_queued_error().unwrap().unwrap();
        assert_eq!((error.errno, error.offender), (Errno::ECONNREFUSED, Some(remote.ip())));
        let expected = if family == Family::V4 { (Origin::Icmp, 3, 3) } else { (Origin::Icmp6, 1, 4) };
        assert_eq!((error.origin, error.kind, error.code), expected);
        assert_eq!(error.destination.unwrap().port(), remote.port());
        assert_eq!(error.payload, b"anybody there");
        assert_eq!(socket.take_queued_error().unwrap(), None);
    }
}

#[test]
fn a_datagram_too_large_for_any_packet_is_refused() {
    let socket = Socket::open(Family::V4, Kind::Udp).unwrap();
    let sink = UdpSocket::bind(any_port()).unwrap();
    socket.connect(sink.local_addr().unwrap()).unwrap();
    assert_eq!(socket.send(&vec![0; 65_508]).unwrap_err().errno, Errno::EMSGSIZE);
}

/// Runs `test` on a host 198.51.100.1 behind a router 198.51.100.2, which knows nothing but a network
/// 203.0.113.0/24 over a device that carries 1300 bytes.
fn behind_a_router(test: impl FnOnce() + Send) -> NewNet<()> {
    new_netns(|| {
        let router = in_new_netns(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            let (out, _) = make_veth("out0", "out1");
            set_mtu(out, 1300);
            add_address(out, [203, 0, 113, 1], 24);
            NetnsRef::Current.open().unwrap()
        })
        .unwrap();
        set_up(1);
        let (near, far) = make_veth("nwt0", "nwt1");
        move_link(far, &router);
        router
            .run(|| {
                let far = crate::ioctl::index_of("nwt1").unwrap();
                add_address(far, [198, 51, 100, 2], 24);
                set_up(far);
            })
            .unwrap();
        add_address(near, [198, 51, 100, 1], 24);
        add_default_route([198, 51, 100, 2]);
        test();
    })
}

#[test]
fn what_a_router_says_comes_with_its_address() {
    let router = IpAddr::from([198, 51, 100, 2]);
    let NewNet::Here(()) = behind_a_router(|| {
        let open = |kind| {
            let socket = Socket::open(Family::V4, kind).unwrap();
            socket.queue_errors(true).unwrap();
            socket
        };
        let heard = |socket: &Socket| {
            assert!(wait(socket.as_fd(), Interest::ERRORS, soon()).unwrap(), "no answer");
            socket.take_queued_error().unwrap().unwrap()
        };
        let beyond: SocketAddr = "203.0.113.9:33434".parse().unwrap();
        let nowhere: SocketAddr = "192.0.2.9:33434".parse().unwrap();

        let short = open(Kind::Udp);
        short.receive_details().unwrap();
        short.set_ttl(1).unwrap();
        short.send_to(b"hop", beyond).unwrap();
        let error = heard(&short);
        assert_eq!((error.errno, error.origin), (Errno::EHOSTUNREACH, Origin::Icmp));
        assert_eq!((error.kind, error.code, error.offender), (11, 0, Some(router)));
        assert_eq!((error.destination, error.payload.as_slice()), (Some(beyond), &b"hop"[..]));
        assert_eq!(error.ttl, Some(64), "the answer itself came over one hop");
        assert!(error.at.is_some() && error.mtu().is_none());

        let lost = open(Kind::Udp);
        lost.send_to(b"x", nowhere).unwrap();
        let error = heard(&lost);
        assert_eq!((error.errno, error.kind, error.code), (Errno::ENETUNREACH, 3, 0));

        let large = open(Kind::Udp);
        large.set_path_mtu(PathMtu::Do).unwrap();
        large.connect(beyond).unwrap();
        assert_eq!(large.path_mtu().unwrap(), 1500);
        large.send(&[0; 1400]).unwrap();
        let error = heard(&large);
        assert_eq!((error.errno, error.kind, error.code), (Errno::EMSGSIZE, 3, 4));
        assert_eq!((error.mtu(), error.offender), (Some(1300), Some(router)));
        assert_eq!(large.path_mtu().unwrap(), 1300);
        // Now it is this host that refuses, and says why in the same queue.
        assert_eq!(large.send(&[0; 1400]).unwrap_err().errno, Errno::EMSGSIZE);
        let error = heard(&large);
        assert_eq!((error.origin, error.mtu()), (Origin::Local, Some(1300)));
        // A probe goes out all the same.
        large.set_path_mtu(PathMtu::Probe).unwrap();
        large.send(&[0; 1400]).unwrap();
        assert_eq!(heard(&large).origin, Origin::Icmp);

        let tcp = open(Kind::Tcp);
        tcp.set_ttl(1).unwrap();
        assert_eq!(tcp.connect(beyond).unwrap(), Connect::InProgress);
        let error = heard(&tcp);
        assert_eq!((error.errno, error.kind, error.offender), (Errno::EHOSTUNREACH, 11, Some(router)));
        assert_eq!(tcp.take_error().unwrap(), Some(Errno::EHOSTUNREACH));
    }) else {
        return;
    };
}

#[test]
fn details_come_with_a_datagram() {
    for (family, ip) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
        let here = SocketAddr::new(ip.parse().unwrap(), 0);
        let receiver = Socket::open(family, Kind::Udp).unwrap();
        receiver.receive_details().unwrap();
        if let Err(error) = receiver.bind(here) {
            assert_eq!((family, error.errno), (Family::V6, Errno::EADDRNOTAVAIL));
            println!("skipped for IPv6: no loopback address");
            continue;
        }
        let sender = Socket::open(family, Kind::Udp).unwrap();
        sender.set_ttl(33).unwrap();
        sender.set_traffic_class(0x28).unwrap();
        sender.bind(here).unwrap();
        sender.send_to(b"0123456789", receiver.local().unwrap()).unwrap();
        assert!(wait(receiver.as_fd(), Interest::READ, soon()).unwrap());
        let mut buffer = [0; 4];
        let datagram = receiver.receive(&mut buffer).unwrap().unwrap();
        assert_eq!((datagram.length, datagram.full_length), (4, 10));
        assert_eq!(datagram.source, Some(sender.local().unwrap()));
        assert_eq!((datagram.ttl, datagram.traffic_class), (Some(33), Some(0x28)));
        assert_eq!(datagram.destination, Some(here.ip()));
        assert_eq!(datagram.ifindex, Some(1));
        assert!(datagram.at.unwrap().as_secs() > 1_600_000_000);
    }
}

/// One echo to oneself; `Err` if ping sockets are not for this group.
fn echo() -> Result<()> {
    let socket = Socket::open(Family::V4, Kind::Ping)?;
    socket.receive_details().unwrap();
    socket.bind(any_port()).unwrap();
    let mut request = vec![8, 0, 0, 0, 0, 0, 0, 1];
    request.extend_from_slice(b"payload");
    socket.send_to(&request, any_port()).unwrap();
    assert!(wait(socket.as_fd(), Interest::READ, soon()).unwrap());
    let mut buffer = [0; 64];
    let datagram = socket.receive(&mut buffer).unwrap().unwrap();
    assert_eq!(datagram.length, request.len());
    assert_eq!(buffer[0], 0, "an echo reply");
    assert_eq!(u16::from_be_bytes([buffer[4], buffer[5]]), socket.local().unwrap().port());
    Ok(())
}

#[test]
fn echo_without_privilege_where_it_is_allowed() {
    if let Err(error) = echo() {
        assert!(error.is_denied(), "{error}");
        println!("not tried in this namespace: net.ipv4.ping_group_range keeps this group out");
    }
    let NewNet::Here(()) = new_netns(|| {
        set_up(1);
        // A new namespace starts with an empty range.
        assert_eq!(echo().unwrap_err().errno, Errno::EACCES);
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
        echo().unwrap();
    }) else {
        return;
    };
}

#[test]
fn a_raw_socket_hears_the_types_it_passes() {
    if !caps::effective().unwrap().has(Capability::NetRaw) {
        println!("skipped: needs CAP_NET_RAW");
        return;
    }
    for (family, ip, protocol, request, reply) in
        [(Family::V4, "127.0.0.1", 1, 8, 0), (Family::V6, "::1", 58, 128, 129)]
    {
        let remote = SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = Socket::open(family, Kind::Raw(protocol)).unwrap();
        socket.pass_icmp_types(&[reply]).unwrap();
        let mut packet = vec![request, 0, 0, 0, 0x12, 0x34, 0, 1];
        if family == Family::V4 {
            let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            packet[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
        match socket.send_to(&packet, remote) {
            Err(error) if family == Family::V6 && error.errno == Errno::EADDRNOTAVAIL => continue,
            sent => assert_eq!(sent.unwrap(), 8),
        }
        assert!(wait(socket.as_fd(), Interest::READ, soon()).unwrap());
        let mut buffer = [0; 64];
        let length = socket.receive(&mut buffer).unwrap().unwrap().length;
        let icmp = if family == Family::V4 { &buffer[20..length] } else { &buffer[..length] };
        assert_eq!(icmp[0], reply, "only replies pass");
    }
}

#[test]
fn listeners_share_a_port_only_if_they_say_so() {
    let share = ListenOptions { reuse_port: true, ..Default::default() };
    let first = listen_tcp(any_port(), share).unwrap();
    let here = first.local_addr().unwrap();
    listen_tcp(here, share).unwrap();
    let error = listen_tcp(here, ListenOptions::default()).unwrap_err();
    assert_eq!((error.operation, error.errno), ("bind", Errno::EADDRINUSE));
}

#[test]
fn the_source_address_is_asked_without_sending() {
    let source = source_for("127.0.0.9".parse().unwrap(), None, None).unwrap();
    assert!(source.is_loopback());
}

#[test]
fn a_filter_keeps_datagrams_out() {
    let receiver = Socket::open(Family::V4, Kind::Udp).unwrap();
    receiver.bind(any_port()).unwrap();
    // Accept only what has 'y' after the UDP header.
    let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let program =
        [step(0x30, 0, 0, 8), step(0x15, 0, 1, u32::from(b'y')), step(0x06, 0, 0, 64), step(0x06, 0, 0, 0)];
    receiver.attach_filter(&program).unwrap();
    assert_eq!(receiver.attach_filter(&[]).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(receiver.attach_filter(&program[..2]).unwrap_err().errno, Errno::EINVAL);
    let sender = Socket::open(Family::V4, Kind::Udp).unwrap();
    sender.connect(receiver.local().unwrap()).unwrap();
    sender.send(b"no").unwrap();
    sender.send(b"yes").unwrap();
    assert!(wait(receiver.as_fd(), Interest::READ, soon()).unwrap());
    let mut buffer = [0; 8];
    assert_eq!(receiver.receive(&mut buffer).unwrap().unwrap().length, 3);
    assert_eq!(receiver.receive(&mut buffer).unwrap(), None);
}
