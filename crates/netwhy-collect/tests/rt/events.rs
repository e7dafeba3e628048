//! Kernel events of a flow, brought about in a namespace of one's own.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use netwhy_collect::Collector;
use netwhy_collect::event::{EventFilter, EventFlow};
use netwhy_facts::Reading;
use netwhy_facts::event::{EventPacket, EventWay, KernelEvent, KernelEvents};
use netwhy_sys::netns;

use crate::space::{in_namespace, run};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn flow(protocol: u8, target: SocketAddr) -> EventFilter {
    let flow = EventFlow { protocol, target: target.ip(), port: target.port(), other: None };
    EventFilter { flows: vec![flow], next_hops: Vec::new() }
}

/// What is seen of these flows while `work` runs. `None`, said aloud, on a kernel without types.
fn watched(filter: &EventFilter, work: impl FnOnce()) -> Option<KernelEvents> {
    let watch = Collector::here().unwrap().prepare_events(filter.flows[0].protocol).watch(filter.clone());
    work();
    match watch.end() {
        Reading::Known { value, source, at } => {
            assert!(at > 0 && !source.is_empty());
            assert_eq!(value.lost, 0);
            Some(value)
        }
        Reading::Unsupported { why } if !Path::new("/sys/kernel/btf/vmlinux").exists() => {
            println!("skipped: {why}");
            None
        }
        other => panic!("{other:?}"),
    }
}

fn drops(seen: &KernelEvents) -> Vec<(&str, &str, EventWay, EventPacket)> {
    seen.events
        .iter()
        .filter_map(|event| match event {
            KernelEvent::Drop { reason, location, way, packet, .. } => {
                Some((reason.as_str(), location.as_str(), *way, (*packet)?))
            }
            _ => None,
        })
        .collect()
}

fn connect(target: &str) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&target.parse().unwrap(), Duration::from_millis(50))
}

#[test]
fn a_refused_connection_shows_the_drop_the_resets_and_the_states() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        for (target, other) in [("127.0.0.1:81", "127.0.0.1:82"), ("[::1]:81", "[::1]:82")] {
            let target: SocketAddr = target.parse().unwrap();
            let Some(seen) = watched(&flow(TCP, target), || {
                connect(other).unwrap_err();
                connect(&target.to_string()).unwrap_err();
            }) else {
                return;
            };
            let drops = drops(&seen);
            let [(reason, location, way, packet), ..] = *drops else { panic!("{seen:?}") };
            assert_eq!((reason, way), ("NO_SOCKET", EventWay::Forward));
            assert!(location.starts_with("tcp_v"), "{location}");
            assert_eq!((packet.proto, packet.dst, packet.dport), (6, target.ip(), 81));
            assert_eq!((packet.src, packet.flags, packet.quoted), (target.ip(), 2, false));
            assert!(drops.iter().all(|(.., p)| p.dport == 81 || p.sport == 81), "{drops:?}");
            let reset = |e: &KernelEvent| matches!(e, KernelEvent::ResetSent { reason, way: EventWay::Reply, .. } if reason == "NO_SOCKET");
            assert_eq!(seen.events.iter().filter(|e| reset(e)).count(), 1, "{seen:?}");
            let got = |e: &KernelEvent| matches!(e, KernelEvent::ResetReceived { way: EventWay::Reply, .. });
            assert_eq!(seen.events.iter().filter(|e| got(e)).count(), 1, "{seen:?}");
            let about = |e: &KernelEvent| e.target() == Some(target);
            assert!(seen.events.iter().all(about), "{seen:?}");
            let states: Vec<&str> = seen.events.iter().filter_map(state).collect();
            assert_eq!(states, ["SYN-SENT", "UNCONN"]);
            let error = |e: &KernelEvent| matches!(e, KernelEvent::SocketError { error, .. } if error == "ECONNREFUSED");
            assert_eq!(seen.events.iter().filter(|e| error(e)).count(), 1, "{seen:?}");
        }
    });
}

fn state(event: &KernelEvent) -> Option<&str> {
    match event {
        KernelEvent::State { to, .. } => Some(to),
        _ => None,
    }
}

#[test]
fn a_rule_of_nftables_is_where_it_freed_the_packet_both_ways() {
    in_namespace(&["ip", "nft"], || {
        run("ip link set lo up\nnft add table inet f");
        run("nft add chain inet f out { type filter hook output priority 0 ; }");
        run("nft add rule inet f out tcp dport 81 drop\nnft add rule inet f out tcp sport 82 drop");
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            // A socket of IPv6 that talks IPv4 is the same flow.
            let plain = host.replace("[::ffff:127.0.0.1]", "127.0.0.1");
            let target = format!("{plain}:81").parse().unwrap();
            let Some(seen) = watched(&flow(TCP, target), || {
                connect(&format!("{host}:81")).unwrap_err();
            }) else {
                return;
            };
            let dropped = drops(&seen);
            let [(reason, location, way, packet)] = *dropped else { panic!("{seen:?}") };
            assert_eq!((reason, location, way), ("NETFILTER_DROP", "nft_do_chain", EventWay::Forward));
            assert_eq!((packet.dport, packet.flags), (81, 2));
            assert!(seen.events.iter().any(|e| state(e) == Some("SYN-SENT")), "{host}: {seen:?}");

            let target: SocketAddr = format!("{plain}:82").parse().unwrap();
            let _listener = TcpListener::bind(target).unwrap();
            let seen = watched(&flow(TCP, target), || {
                connect(&format!("{host}:82")).unwrap_err();
            });
            let seen = seen.unwrap();
            let dropped = drops(&seen);
            let back = |(reason, location, way, packet): &(&str, &str, EventWay, EventPacket)| {
                (*reason, *location, *way) == ("NETFILTER_DROP", "nft_do_chain", EventWay::Reply)
                    && packet.flags == 0x12
            };
            assert!(dropped.iter().any(back), "{seen:?}");
        }
    });
}

#[test]
fn a_closed_port_of_udp_shows_the_error_that_is_sent_and_reported_or_what_became_of_it() {
    in_namespace(&["ip", "nft"], || {
        run("ip link set lo up\nnft add table inet f");
        run("nft add chain inet f out { type filter hook output priority 0 ; }");
        let target: SocketAddr = "127.0.0.1:83".parse().unwrap();
        let ask = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(target).unwrap();
            socket.send(b"x").unwrap();
        };
        let Some(seen) = watched(&flow(UDP, target), ask) else { return };
        let sent = |e: &KernelEvent| {
            matches!(e, KernelEvent::IcmpSent { icmp_type: 3, code: 3, way: EventWay::Forward, .. })
        };
        assert!(seen.events.iter().any(sent), "{seen:?}");
        let told =
            |e: &KernelEvent| matches!(e, KernelEvent::SocketError { error, .. } if error == "ECONNREFUSED");
        assert!(seen.events.iter().any(told), "{seen:?}");
        assert!(drops(&seen).iter().any(|(reason, ..)| *reason == "NO_SOCKET"), "{seen:?}");
        run("nft add rule inet f out icmp type destination-unreachable drop");
        let seen = watched(&flow(UDP, target), ask).unwrap();
        let quoted = drops(&seen).into_iter().find(|(.., packet)| packet.quoted);
        let Some((reason, location, way, packet)) = quoted else { panic!("{seen:?}") };
        assert_eq!((reason, location, way), ("NETFILTER_DROP", "nft_do_chain", EventWay::Forward));
        assert_eq!((packet.dport, packet.icmp), (83, Some((3, 3))));
    });
}

#[test]
fn a_neighbour_that_does_not_answer_fails_and_takes_the_packet_with_it() {
    in_namespace(&["ip"], || {
        run("ip link add va type veth peer name vb\nip link set va up\nip link set vb up");
        run("ip addr add 198.51.100.1/24 dev va\nip link set lo up");
        // One question, answered by nobody within a tenth of a second.
        for (name, value) in [("mcast_solicit", "1"), ("retrans_time_ms", "100")] {
            std::fs::write(format!("/proc/sys/net/ipv4/neigh/va/{name}"), value).unwrap();
        }
        let target: SocketAddr = "198.51.100.2:81".parse().unwrap();
        let hop: IpAddr = target.ip();
        let filter = EventFilter { next_hops: vec![hop], ..flow(TCP, target) };
        let Some(seen) = watched(&filter, || {
            TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap_err();
        }) else {
            return;
        };
        let failed = seen.events.iter().find_map(|e| match e {
            KernelEvent::NeighFailed { dev, address, .. } => Some((dev.is_some(), *address)),
            _ => None,
        });
        assert_eq!(failed, Some((true, Some(hop))), "{seen:?}");
        let taken = |(reason, _, way, _): &(&str, &str, EventWay, EventPacket)| {
            (*reason, *way) == ("NEIGH_FAILED", EventWay::Forward)
        };
        assert!(drops(&seen).iter().any(taken), "{seen:?}");
    });
}

#[test]
fn a_rule_that_stops_the_question_for_a_next_hop_is_seen() {
    in_namespace(&["ip", "nft"], || {
        run("ip link add va type veth peer name vb\nip link set va up\nip link set vb up");
        run("ip addr add 198.51.100.1/24 dev va\nip link set lo up\nnft add table arp f");
        run("nft add chain arp f out { type filter hook output priority 0 ; policy drop ; }");
        let target: SocketAddr = "198.51.100.2:81".parse().unwrap();
        let filter = EventFilter { next_hops: vec![target.ip()], ..flow(TCP, target) };
        let Some(seen) = watched(&filter, || {
            connect("198.51.100.2:81").unwrap_err();
        }) else {
            return;
        };
        let arp = drops(&seen).into_iter().find(|(.., way, _)| *way == EventWay::NextHop);
        let Some((reason, _, _, packet)) = arp else { panic!("{seen:?}") };
        assert_eq!((reason, packet.proto, packet.dst), ("NETFILTER_DROP", 0x806, target.ip()));
    });
}

#[test]
fn the_same_flow_of_another_namespace_is_not_seen() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let target: SocketAddr = "127.0.0.1:84".parse().unwrap();
        let Some(seen) = watched(&flow(TCP, target), || {
            netns::in_new_netns(|| {
                run("ip link set lo up");
                connect("127.0.0.1:84").unwrap_err();
            })
            .unwrap();
        }) else {
            return;
        };
        assert_eq!(seen.events, []);
        assert!(seen.complete("drop") && seen.complete("state"), "{seen:?}");
    });
}

#[test]
fn the_other_end_counts_when_it_is_known() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let target: SocketAddr = "127.0.0.1:85".parse().unwrap();
        let of = |other: &str| {
            let mut filter = flow(TCP, target);
            filter.flows[0].other = Some(other.parse().unwrap());
            filter
        };
        let ask = || drop(connect("127.0.0.1:85").unwrap_err());
        let Some(seen) = watched(&of("127.0.0.9"), ask) else { return };
        assert_eq!(seen.events, []);
        assert!(!watched(&of("127.0.0.1"), ask).unwrap().events.is_empty());
    });
}
