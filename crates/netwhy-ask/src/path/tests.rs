//! Through a router in namespaces.

use std::net::{IpAddr, TcpListener, UdpSocket};

use netwhy_sys::caps;

use super::*;
use crate::testing::{route, routed, sysctl};

fn flow(proto: Proto, dst: &str, dport: u16) -> Flow {
    Flow { proto, src: None, sport: None, dst: dst.parse().unwrap(), dport, mark: 0, uid: None, dev: None }
}

fn traced(flow: &Flow, budget: &Budget) -> Path {
    let wait = Wait::until(Instant::now() + millis(900));
    match trace(flow, budget, &wait) {
        Reading::Known { value, .. } => value,
        absent => panic!("{absent:?}"),
    }
}

fn kinds(path: &Path) -> Vec<(u8, IpAddr, HopReplyKind)> {
    let of_hop = |hop: &Hop| {
        hop.replies.iter().map(|reply| (hop.ttl, reply.from, reply.kind.clone())).collect::<Vec<_>>()
    };
    path.hops.iter().flat_map(of_hop).collect()
}

#[test]
fn one_router_and_the_target_by_every_protocol_and_family() {
    let Some(net) = routed() else { return };
    let (_tcp, udp) = net
        .server
        .run(|| (TcpListener::bind("[::]:8080").unwrap(), UdpSocket::bind("[::]:5353").unwrap()))
        .unwrap();
    // More errors than a host sends to one peer in a short time.
    for namespace in [&net.router, &net.server] {
        namespace
            .run(|| {
                sysctl("net.ipv4.icmp_ratelimit", "0");
                sysctl("net.ipv6.icmp.ratelimit", "0");
            })
            .unwrap();
    }
    // Answers until nobody has asked for a while.
    udp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&buffer[..length], from);
        }
    });
    for privileged in [true, false] {
        net.client
            .run(|| {
                if !privileged {
                    sysctl("net.ipv4.ping_group_range", "0 2147483647");
                    caps::keep_only(caps::CapSet::EMPTY).unwrap();
                }
                for (router, server) in
                    [("198.51.100.254", "203.0.113.1"), ("2001:db8:1::254", "2001:db8:2::1")]
                {
                    one_router_and(router, server, privileged);
                }
            })
            .unwrap();
    }
}

fn one_router_and(router: &str, server: &str, privileged: bool) {
    let (gateway, end): (IpAddr, IpAddr) = (router.parse().unwrap(), server.parse().unwrap());
    let closed = match end {
        IpAddr::V4(_) => HopReplyKind::Icmp { icmp_type: 3, code: 3, mtu: None },
        IpAddr::V6(_) => HopReplyKind::Icmp { icmp_type: 1, code: 4, mtu: None },
    };
    for (proto, port, last) in [
        (Proto::Tcp, 8080, HopReplyKind::SynAck),
        (Proto::Tcp, 81, HopReplyKind::Rst),
        (Proto::Udp, 81, closed),
        (Proto::Udp, 5353, HopReplyKind::UdpReply),
        (Proto::Icmp, 0, HopReplyKind::EchoReply),
    ] {
        let budget = Budget::new(60);
        let asked = Flow { sport: Some(45_678), ..flow(proto, server, port) };
        let path = traced(&asked, &budget);
        assert_eq!(
            kinds(&path),
            [(1, gateway, HopReplyKind::TimeExceeded), (2, end, last)],
            "{proto:?} {server} {port} {privileged}"
        );
        assert_eq!((path.reached_at, path.sent), (Some(2), 8));
        assert!(budget.spent() >= 8);
        assert!(path.hops.iter().all(|hop| hop.replies[0].rtt_us < 500_000));
        // With the privilege the flow's own port is used, and the source is known.
        assert_eq!(path.flow.sport, Some(45_678));
        assert_eq!(path.flow.src.is_some(), privileged);
    }
}

#[test]
fn a_port_in_use_is_left_alone() {
    let Some(net) = routed() else { return };
    net.client
        .run(|| {
            let used = UdpSocket::bind("0.0.0.0:45678").unwrap();
            let asked = Flow { sport: Some(45_678), ..flow(Proto::Udp, "203.0.113.1", 81) };
            let path = traced(&asked, &Budget::new(60));
            assert_eq!(path.reached_at, Some(2));
            assert_ne!(path.flow.sport, Some(45_678));
            drop(used);
        })
        .unwrap();
}

#[test]
fn where_packets_made_by_hand_do_not_leave_ordinary_ones_are_sent() {
    let Some(net) = routed() else { return };
    net.client
        .run(|| {
            // Translated on the way out: the capture cannot know them by their source.
            let rules = "table ip t { chain p { type nat hook postrouting priority 100; \
                         ip daddr 203.0.113.1 tcp dport 81 snat to 198.51.100.1:20000-20100; }; }";
            if !crate::testing::nft(rules) {
                return;
            }
            let path = traced(&flow(Proto::Tcp, "203.0.113.1", 81), &Budget::new(60));
            assert_eq!(path.reached_at, Some(2));
            assert_eq!(path.flow.src, None);
        })
        .unwrap();
}

#[test]
fn a_path_that_ends_in_silence_names_the_last_hop() {
    let Some(net) = routed() else { return };
    // A route to an address behind the router that nobody has and that does not resolve in time.
    net.router.run(|| route("192.0.2.0", 24, "203.0.113.77")).unwrap();
    net.client
        .run(|| {
            route("192.0.2.0", 24, "198.51.100.254");
            let budget = Budget::new(40);
            let path = traced(&flow(Proto::Tcp, "192.0.2.1", 80), &budget);
            assert_eq!(kinds(&path), [(1, "198.51.100.254".parse().unwrap(), HopReplyKind::TimeExceeded)]);
            assert_eq!((path.reached_at, path.sent, path.hops.len()), (None, 16, 16));
        })
        .unwrap();
}

#[test]
fn a_router_that_refuses_ends_the_path_without_being_the_target() {
    let Some(net) = routed() else { return };
    net.client
        .run(|| {
            route("192.0.2.0", 24, "198.51.100.254");
            let path = traced(&flow(Proto::Udp, "192.0.2.1", 80), &Budget::new(40));
            let refused = HopReplyKind::Icmp { icmp_type: 3, code: 0, mtu: None };
            let router: IpAddr = "198.51.100.254".parse().unwrap();
            let found = kinds(&path);
            // It looks for a route before it looks at the TTL.
            assert_eq!(found[0], (1, router, refused.clone()));
            assert!(found.iter().all(|(_, from, kind)| *from == router && *kind == refused));
            assert_eq!(path.reached_at, None);
        })
        .unwrap();
}

#[test]
fn nothing_leaves_without_a_route_or_a_budget() {
    let Some(net) = routed() else { return };
    net.client
        .run(|| {
            let budget = Budget::new(3);
            let path = traced(&flow(Proto::Tcp, "192.0.2.1", 80), &budget);
            assert_eq!((path.sent, path.hops.len()), (0, 0));
            let path = traced(&flow(Proto::Icmp, "203.0.113.1", 0), &Budget::new(1));
            assert_eq!((path.sent, path.reached_at), (1, None));
            sysctl("net.ipv4.ping_group_range", "1 0");
            caps::keep_only(caps::CapSet::EMPTY).unwrap();
            let wait = Wait::until(Instant::now() + millis(200));
            let reading = trace(&flow(Proto::Icmp, "203.0.113.1", 0), &Budget::new(3), &wait);
            assert!(matches!(reading, Reading::Denied { .. }), "{reading:?}");
        })
        .unwrap();
}
