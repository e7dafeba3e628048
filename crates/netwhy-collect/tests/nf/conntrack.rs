//! Connection tracking against conntrack(8) and /proc.

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

use netwhy_collect::Collector;
use netwhy_facts::conntrack::{CtEntries, CtEntry};
use netwhy_facts::{Flow, Proto};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_sys::socket::{Family, Kind, Socket as Own};
use netwhy_wire::netlink::Builder;

use crate::record::Recording;
use crate::space::{known, run, try_run, with};

fn flow(proto: Proto, src: Option<(&str, Option<u16>)>, dst: &str, dport: u16) -> Flow {
    Flow {
        proto,
        src: src.map(|(address, _)| address.parse().unwrap()),
        sport: src.and_then(|(_, port)| port),
        dst: dst.parse().unwrap(),
        dport,
        mark: 0,
        uid: None,
        dev: None,
    }
}

fn entries(flow: &Flow) -> CtEntries {
    known(Collector::here().unwrap().ct_entries(flow))
}

fn ids(found: &CtEntries) -> Vec<u32> {
    found.entries.iter().map(|entry| entry.id).collect()
}

/// What conntrack(8) says of an entry, found by its id.
fn said(entry: &CtEntry) -> String {
    let all = run("conntrack", &["-L", "-o", "id,extended"]);
    let id = format!("id={}", entry.id);
    all.lines()
        .find(|line| line.split(' ').any(|word| word == id))
        .unwrap_or_else(|| panic!("{id} in {all}"))
        .to_owned()
}

/// Every number of ours is in the line.
fn agrees(entry: &CtEntry) {
    let line = said(entry);
    let mut words = Vec::new();
    for tuple in [&entry.orig, &entry.reply] {
        words.push(format!("src={} dst={}", tuple.src, tuple.dst));
        if tuple.proto != 1 && tuple.proto != 58 {
            words.push(format!("sport={} dport={}", tuple.sport, tuple.dport));
        } else {
            words.push(format!("type={} code={} id={}", tuple.dport >> 8, tuple.dport & 255, tuple.sport));
        }
    }
    words.extend(entry.tcp_state.clone());
    if entry.zone != 0 {
        words.push(format!("zone={}", entry.zone));
    }
    if let Some((there, back)) = entry.packets {
        words.extend([format!("packets={there}"), format!("packets={back}")]);
    }
    words.push(format!("mark={}", entry.mark));
    assert_eq!(entry.status & 4 != 0, line.contains("[ASSURED]"), "{entry:?}: {line}");
    assert_eq!(!entry.seen_reply(), line.contains("[UNREPLIED]"), "{entry:?}: {line}");
    for word in words {
        assert!(line.contains(&word), "{word} of {entry:?} in {line}");
    }
}

/// Sends one echo request; the kernel answers before the call returns.
fn echo(address: &str) {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
    let address: IpAddr = address.parse().unwrap();
    let socket = Own::open(Family::of(address), Kind::Ping).unwrap();
    let request = [if address.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 0, 0, 1];
    socket.send_to(&request, (address, 0).into()).unwrap();
}

const NAT: &str = "
table ip nat {
    chain out {
        type nat hook output priority -100
        ip daddr 127.0.0.9 tcp dport 80 dnat to 127.0.0.1:8080
    }
    chain post {
        type nat hook postrouting priority 100
        ip daddr 127.0.0.1 tcp dport 8080 snat to 127.0.0.5
    }
    chain in {
        type filter hook input priority 0
        ct mark set 5
    }
}
table inet track {
    chain c {
        type filter hook output priority 0
        ct state new counter
    }
}
";

fn translate() {
    let (fine, text) = try_run("nft", &["-f", "-"], NAT);
    assert!(fine, "{text}");
}

#[test]
fn a_translated_connection_is_found_from_every_side() {
    with(&["nft", "ip", "conntrack"], || {
        translate();
        run("sysctl", &["-qw", "net.netfilter.nf_conntrack_acct=1"]);
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.9:80").unwrap();
        let (_served, peer) = server.accept().unwrap();
        assert_eq!(peer.ip(), "127.0.0.5".parse::<IpAddr>().unwrap(), "translated");
        let sport = client.local_addr().unwrap().port();
        let from = client.local_addr().unwrap().ip().to_string();
        let questions = [
            ("by the client's tuple", flow(Proto::Tcp, Some((&from, Some(sport))), "127.0.0.9", 80), 2),
            ("by the client's target", flow(Proto::Tcp, None, "127.0.0.9", 80), 1),
            (
                "by the server's tuple",
                flow(Proto::Tcp, Some(("127.0.0.5", Some(peer.port()))), "127.0.0.1", 8080),
                2,
            ),
            ("by the server's address", flow(Proto::Tcp, None, "127.0.0.1", 8080), 1),
            (
                "by the server and its client",
                flow(Proto::Tcp, Some(("127.0.0.5", None)), "127.0.0.1", 8080),
                1,
            ),
        ];
        for (how, question, examined) in questions {
            let found = entries(&question);
            assert_eq!(found.entries.len(), 1, "{how}: {found:?}");
            assert!(found.complete && found.examined >= examined, "{how}: {found:?}");
            let entry = &found.entries[0];
            assert!(entry.is_dnat() && entry.is_snat() && entry.seen_reply(), "{how}: {entry:?}");
            assert_eq!(entry.tcp_state.as_deref(), Some("ESTABLISHED"));
            assert_eq!((entry.mark, entry.packets.is_some()), (5, true));
            assert!(entry.timeout_s > 1000);
            agrees(entry);
        }
        for nothing in [
            flow(Proto::Tcp, Some((&from, Some(sport))), "127.0.0.9", 81),
            flow(Proto::Udp, None, "127.0.0.9", 80),
            flow(Proto::Tcp, None, "::1", 80),
            flow(Proto::Tcp, Some(("127.0.0.6", None)), "127.0.0.1", 8080),
        ] {
            let found = entries(&nothing);
            assert!(found.entries.is_empty() && found.complete, "{nothing:?}: {found:?}");
        }
    });
}

#[test]
fn datagrams_echoes_zones_and_ipv6() {
    with(&["nft", "ip", "conntrack"], || {
        let rules = "table inet t { chain pre { type filter hook output priority -300; udp dport 7000 ct zone set 9;\n}
            chain c { type filter hook output priority 0; ct state new counter;\n}\n}";
        let (fine, text) = try_run("nft", &["-f", "-"], rules);
        assert!(fine, "{text}");
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client.send_to(b"x", "[::1]:53").unwrap();
        let port = client.local_addr().unwrap().port();
        let found = entries(&flow(Proto::Udp, Some(("::1", Some(port))), "::1", 53));
        assert_eq!(found.entries.len(), 1, "{found:?}");
        agrees(&found.entries[0]);
        client.send_to(b"x", "[::1]:54").unwrap();
        assert_eq!(ids(&entries(&flow(Proto::Udp, None, "::1", 53))), ids(&found));
        assert_eq!(ids(&entries(&flow(Proto::Udp, Some(("::1", None)), "::1", 53))), ids(&found));
        assert!(entries(&flow(Proto::Udp, Some(("::2", None)), "::1", 53)).entries.is_empty());
        echo("127.0.0.1");
        echo("::1");
        for address in ["127.0.0.1", "::1"] {
            let found = entries(&flow(Proto::Icmp, None, address, 0));
            assert_eq!(found.entries.len(), 1, "{found:?} in {}", run("conntrack", &["-L"]));
            let entry = &found.entries[0];
            agrees(entry);
            // And by the identifier alone.
            let exact = entries(&flow(Proto::Icmp, Some((address, Some(entry.orig.sport))), address, 0));
            assert_eq!((ids(&exact), exact.examined), (ids(&found), 2));
        }
        let zoned = UdpSocket::bind("127.0.0.1:0").unwrap();
        zoned.send_to(b"x", "127.0.0.1:7000").unwrap();
        let found = entries(&flow(Proto::Udp, None, "127.0.0.1", 7000));
        assert_eq!(found.entries.iter().map(|one| one.zone).collect::<Vec<_>>(), [9], "{found:?}");
    });
}

/// An entry of `number` in 10.0.0.0/8 to a target, made as conntrack(8) would.
pub(crate) fn make(socket: &mut Socket, number: u32, target: (&str, u16)) {
    let (source, port) =
        (std::net::Ipv4Addr::from(0x0a00_0000 + number / 50_000), (number % 50_000 + 1024) as u16);
    let target: (IpAddr, u16) = (target.0.parse().unwrap(), target.1);
    let mut message = Builder::with_header(&[2, 0, 0, 0]);
    let mut tuple = |kind, src: IpAddr, dst: IpAddr, sport, dport| {
        message.nest(kind, |t| {
            t.nest(1, |ip| _ = ip.ip(1, src).ip(2, dst));
            t.nest(2, |proto| _ = proto.u8(1, 6).be16(2, sport).be16(3, dport));
        });
    };
    tuple(1, source.into(), target.0, port, target.1);
    tuple(2, target.0, source.into(), target.1, port);
    // Seen from both sides, assured, confirmed.
    message.be32(7, 600).be32(3, 2 | 4 | 8).nest(4, |info| {
        info.nest(1, |tcp| _ = tcp.u8(1, 3));
    });
    // CREATE and EXCL.
    socket.request(1 << 8, 0x600, &message.finish().unwrap()).unwrap();
}

#[test]
fn only_the_flows_entries_come_out_of_a_full_table() {
    with(&["nft", "ip", "conntrack"], || {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        for number in 0..3000 {
            make(&mut socket, number, ("198.51.100.1", 443));
        }
        for number in 0..3 {
            make(&mut socket, number, ("198.51.100.2", 443));
        }
        let found = entries(&flow(Proto::Tcp, None, "198.51.100.2", 443));
        assert_eq!((found.entries.len(), found.complete), (3, true));
        assert!(found.examined >= 3003);
        found.entries.iter().for_each(agrees);
        // More than are kept.
        let found = entries(&flow(Proto::Tcp, None, "198.51.100.1", 443));
        assert_eq!((found.entries.len(), found.complete), (256, false));
        let found = entries(&flow(Proto::Tcp, Some(("10.0.0.0", Some(1024 + 77))), "198.51.100.1", 443));
        assert_eq!((found.entries.len(), found.examined), (1, 2));
        let table = known(Collector::here().unwrap().conntrack());
        assert_eq!((table.count, table.active), (3003, true));
    });
}

#[test]
fn the_table_as_a_whole() {
    with(&["nft", "ip", "conntrack", "sysctl"], || {
        let collector = Collector::here().unwrap();
        let before = known(collector.conntrack());
        assert!(!before.active && before.count == 0, "{before:?}");
        let sysctl = |name: &str| run("sysctl", &["-n", &format!("net.netfilter.nf_conntrack_{name}")]);
        assert_eq!(before.max.to_string(), sysctl("max").trim());
        assert_eq!(before.buckets.to_string(), sysctl("buckets").trim());
        for name in ["tcp_loose", "tcp_be_liberal", "tcp_timeout_established", "udp_timeout"] {
            assert_eq!(before.settings[name].to_string(), sysctl(name).trim());
        }
        translate();
        assert!(known(collector.conntrack()).active, "a rule asks for it");
        // A segment without any flag: no connection has such.
        let raw = Own::open(Family::V4, Kind::Raw(6)).unwrap();
        let segment = [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0];
        raw.send_to(&segment, "127.0.0.1:0".parse().unwrap()).unwrap();
        let after = known(collector.conntrack());
        let theirs = run("conntrack", &["-S"]);
        let sum = |name: &str| -> u64 {
            let words =
                theirs.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            words.map(|number| number.parse::<u64>().unwrap()).sum()
        };
        assert_eq!((after.stats.invalid, before.stats.invalid), (sum("invalid"), 0));
        assert!(after.stats.invalid > 0);
        assert_eq!(after.stats.insert_failed, sum("insert_failed"));
        assert_eq!(after.stats.found, sum("found"));
        let file = std::fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack").unwrap();
        let by_file = netwhy_collect::conntrack::parse_stats(&file).unwrap();
        assert_eq!(
            (by_file.found, by_file.invalid, by_file.drop),
            (after.stats.found, after.stats.invalid, after.stats.drop)
        );
    });
}

#[test]
fn a_legacy_rule_can_ask_for_tracking_too() {
    with(&["iptables-legacy", "ip"], || {
        let collector = Collector::here().unwrap();
        run("iptables-legacy", &["-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"]);
        assert!(!known(collector.conntrack()).active);
        run("iptables-legacy", &["-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"]);
        assert!(known(collector.conntrack()).active);
    });
}

#[test]
#[ignore = "rewrites fixtures/conntrack.txt"]
fn record() {
    with(&["nft", "ip", "conntrack"], || {
        translate();
        run("sysctl", &["-qw", "net.netfilter.nf_conntrack_acct=1"]);
        let _server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = TcpStream::connect("127.0.0.9:80").unwrap();
        UdpSocket::bind("[::1]:0").unwrap().send_to(b"x", "[::1]:53").unwrap();
        echo("127.0.0.1");
        echo("::1");
        let mut recording = Recording::new("conntrack.txt", "Answers of ctnetlink");
        recording.dump("entry", Protocol::Netfilter, 1 << 8 | 1, &[0, 0, 0, 0]);
        recording.dump("stats", Protocol::Netfilter, 1 << 8 | 4, &[0, 0, 0, 0]);
        recording.save();
    });
}
