//! Makes the recordings the decoders' unit tests read: `cargo test --test rt record -- --ignored`.

use std::fmt::Write;
use std::path::Path;

use netwhy_sys::bpf::ProgramType;
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_wire::netlink::Builder;

use crate::programs::{attach_filter, program};
use crate::space::{in_namespace, run, try_run, without_ipv6};

/// Adds every answer to a dump request, under a comment that says what was asked.
fn dump(text: &mut String, kind: &str, about: &str, protocol: Protocol, message: u16, payload: &[u8]) {
    let _ = writeln!(text, "# {about}");
    let mut socket = Socket::open(protocol).unwrap();
    for reply in socket.dump_vec(message, 0, payload).unwrap() {
        add(text, kind, &reply.payload);
    }
}

fn add(text: &mut String, kind: &str, payload: &[u8]) {
    let hex = payload.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let _ = writeln!(text, "{kind} {hex}");
}

fn tcmsg(ifindex: u32, parent: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    header
}

#[test]
#[ignore = "writes the recording"]
fn record() {
    in_namespace(&["ip", "tc", "bridge"], || {
        without_ipv6();
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0").unwrap();
        run("ip link set lo up
             ip link add v0 index 10 address 02:00:00:00:00:10 type veth peer name v1 index 11 address 02:00:00:00:00:11
             ip link set v0 addrgenmode none
             ip link set v1 addrgenmode none
             ip link add br0 index 12 address 02:00:00:00:00:12 type bridge
             ip link set v1 master br0
             ip link set v1 type bridge_slave isolated on cost 77
             ip link add vx0 index 13 address 02:00:00:00:00:13 type vxlan id 42 remote 198.51.100.9 dstport 4789 dev v0
             ip link add mv0 index 14 address 02:00:00:00:00:14 link v0 type macvlan mode vepa
             ip link set v0 up alias recorded
             ip link set v1 up
             ip addr add 198.51.100.1/24 dev v0
             ip addr add 198.51.100.3 peer 198.51.100.4/32 dev v0
             ip addr add 2001:db8::1/64 dev v0 nodad preferred_lft 100 valid_lft 200
             ip route add default via 198.51.100.254 dev v0 src 198.51.100.1 mtu 1300 table 4711
             ip route add 10.1.0.0/16 nexthop via 198.51.100.10 dev v0 weight 3 nexthop via 198.51.100.11 dev v0
             ip route add 2001:db8:9::/64 nexthop via 2001:db8::a dev v0 nexthop via 2001:db8::b dev v0
             ip route add 10.2.0.0/16 via inet6 2001:db8::77 dev v0
             ip route add unreachable 192.0.2.0/24 metric 9
             ip rule add pref 100 not from 198.51.100.0/25 to 203.0.113.7 iif v0 fwmark 0x10/0xff tos 0x10 lookup 10
             ip rule add pref 130 uidrange 1000-2000 ipproto tcp sport 1000-2000 dport 443 lookup 4294967294
             ip rule add pref 190 lookup main suppress_prefixlength 0
             ip nexthop add id 1 via 198.51.100.10 dev v0
             ip nexthop add id 4 via 198.51.100.11 dev v0
             ip nexthop add id 10 group 1,5/4
             ip neigh add 198.51.100.10 lladdr 02:00:00:00:00:aa dev v0 nud permanent
             ip neigh add 198.51.100.13 dev v0 nud failed
             ip neigh add proxy 198.51.100.99 dev v0
             bridge fdb add 02:00:00:00:00:bb dev v1 master static
             bridge fdb add 02:00:00:00:00:cc dev vx0 dst 198.51.100.7
             tc qdisc add dev v0 root handle 1: htb default 30
             tc class add dev v0 parent 1: classid 1:1 htb rate 10mbit ceil 20mbit burst 15k
             tc qdisc add dev v1 root handle 2: tbf rate 1mbit burst 4000 limit 30000
             tc qdisc add dev v0 clsact
             tc filter add dev v0 ingress pref 10 protocol ip u32 match ip src 198.51.100.0/24 match ip dport 443 0xffff");
        try_run(
            "tc filter add dev v0 egress pref 20 protocol all u32 match u32 0 0 action mirred egress redirect dev v1",
        );
        if let Some(program) = program(ProgramType::SCHED_CLS, "recorded", 0) {
            attach_filter(10, 0xffff_fff2, &program);
        }

        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let version = release.trim().split('-').next().unwrap();
        let mut text = format!("# Answers of rtnetlink, kernel {version}. Made by tests/rt/record.rs.\n");
        let text = &mut text;
        let route = Protocol::Route;
        dump(
            text,
            "link",
            "Links: lo, veth v0 and v1 (a bridge port), bridge, vxlan, macvlan.",
            route,
            18,
            &[0; 16],
        );
        dump(text, "address", "Addresses: plain, with a peer, with lifetimes.", route, 22, &[0; 8]);
        let family = |number: u8, length: usize| {
            let mut header = vec![0; length];
            header[0] = number;
            header
        };
        dump(text, "route", "IPv4 routes of all tables.", route, 26, &family(2, 12));
        dump(text, "route", "IPv6 routes of all tables.", route, 26, &family(10, 12));
        dump(text, "rule", "IPv4 rules.", route, 34, &family(2, 12));
        dump(text, "rule", "IPv6 rules.", route, 34, &family(10, 12));
        dump(text, "nexthop", "Two nexthops and a weighted group.", route, 106, &[0; 8]);
        dump(text, "neighbour", "Neighbours.", route, 30, &[0; 12]);
        dump(text, "neighbour", "Proxies (NTF_PROXY).", route, 30, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        dump(
            text,
            "table",
            "Neighbour tables, each followed by its devices' parameters.",
            route,
            66,
            &[0; 4],
        );
        dump(text, "fdb", "Forwarding entries of bridge and vxlan.", route, 30, &family(7, 12));
        dump(text, "qdisc", "htb and clsact on v0, tbf on v1.", route, 38, &[0; 20]);
        dump(text, "class", "One htb class.", route, 42, &tcmsg(10, 0));
        dump(text, "filter", "u32 and bpf at ingress.", route, 46, &tcmsg(10, 0xffff_fff2));
        dump(text, "filter", "u32 with mirred at egress.", route, 46, &tcmsg(10, 0xffff_fff3));
        text.push_str("# Lookups: through the multipath route; the entry that matches (RTM_F_FIB_MATCH).\n");
        for flags in [0x1000_u32, 0x3000] {
            let mut header = family(2, 12);
            header[1] = 32;
            header[8..].copy_from_slice(&flags.to_ne_bytes());
            let mut request = Builder::with_header(&header);
            request.ip(1, "10.1.2.3".parse().unwrap());
            let mut socket = Socket::open(route).unwrap();
            for reply in socket.request(26, 0, &request.finish().unwrap()).unwrap() {
                add(text, if flags == 0x1000 { "answer" } else { "route" }, &reply.payload);
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rt.txt");
        std::fs::write(&path, text).unwrap();
        println!("written: {}", path.display());
    });
}
