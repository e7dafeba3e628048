//! ipsets against ipset(8).

use std::collections::BTreeSet;

use netwhy_collect::Collector;
use netwhy_facts::Reading;
use netwhy_facts::ipset::Ipset;
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::Builder;

use crate::record::Recording;
use crate::space::{known, run, try_run, with};

/// Type and options, members to add, and how each is written; the kernel may lack a type.
const SETS: &[(&str, &str, &[&str])] = &[
    ("ip4", "hash:ip", &["198.51.100.7", "198.51.100.8"]),
    ("ip6", "hash:ip family inet6", &["2001:db8::1"]),
    ("net4", "hash:net timeout 0", &["198.51.100.0/24", "203.0.113.5", "10.0.0.0/8 nomatch"]),
    ("net6", "hash:net family inet6", &["2001:db8::/32"]),
    ("ipport", "hash:ip,port", &["198.51.100.7,tcp:80", "198.51.100.7,udp:53", "198.51.100.7,icmp:ping"]),
    ("ipportip", "hash:ip,port,ip", &["198.51.100.7,tcp:80,203.0.113.1"]),
    ("ipportnet", "hash:ip,port,net", &["198.51.100.7,tcp:80,203.0.113.0/24"]),
    ("netport", "hash:net,port", &["198.51.100.0/24,sctp:9"]),
    ("netiface", "hash:net,iface", &["198.51.100.0/24,eth0", "203.0.113.0/24,physdev:eth1"]),
    ("netnet", "hash:net,net", &["198.51.100.0/24,203.0.113.0/24"]),
    ("ipmark", "hash:ip,mark", &["198.51.100.7,0x10"]),
    ("macs", "hash:mac", &["02:00:00:00:00:0A"]),
    ("ipmac", "hash:ip,mac", &["198.51.100.7,02:00:00:00:00:0A"]),
    ("bits", "bitmap:ip range 198.51.100.0/24", &["198.51.100.3", "198.51.100.200"]),
    ("bitmac", "bitmap:ip,mac range 198.51.100.0/24", &["198.51.100.3,02:00:00:00:00:0A", "198.51.100.4"]),
    ("ports", "bitmap:port range 0-1000", &["80", "443"]),
    ("lists", "list:set", &["ip4", "net4"]),
];

fn make() -> Vec<&'static str> {
    let mut made = Vec::new();
    for (name, kind, members) in SETS {
        let (fine, said) =
            try_run("ipset", &[&["create", *name][..], &kind.split(' ').collect::<Vec<_>>()].concat(), "");
        if !fine {
            println!("refused here: {kind}: {}", said.trim());
            continue;
        }
        for member in *members {
            run("ipset", &[&["add", *name][..], &member.split(' ').collect::<Vec<_>>()].concat());
        }
        made.push(*name);
    }
    made
}

fn read(names: &[&str]) -> Vec<Ipset> {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    known(Collector::here().unwrap().ipsets(&names)).0
}

/// Members as `ipset save` writes them; it names types of ICMP, we number them.
fn theirs(name: &str) -> BTreeSet<String> {
    let said = run("ipset", &["save", name]);
    let lines = said.lines().filter_map(|line| line.strip_prefix(&format!("add {name} ")));
    lines.map(|line| line.replace("icmp:echo-request", "icmp:8/0")).collect()
}

#[test]
fn members_of_every_type_as_ipset_writes_them() {
    with(&["ipset", "ip"], || {
        let made = make();
        assert!(made.len() >= 10);
        let sets = read(&made);
        assert_eq!(sets.len(), made.len());
        for set in &sets {
            let (_, kind, _) = SETS.iter().find(|(name, ..)| *name == set.name).unwrap();
            assert_eq!(Some(set.set_type.as_str()), kind.split(' ').next());
            // nomatch and timeout may stand in either order.
            let words = |text: &String| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
            let ours: BTreeSet<_> = set.members.iter().map(words).collect();
            assert_eq!(ours, theirs(&set.name).iter().map(words).collect(), "{}", set.name);
            assert!(set.complete && set.index.is_some());
        }
        let family = |name: &str| sets.iter().find(|set| set.name == name).unwrap().family;
        assert_eq!((family("ip4"), family("ip6"), family("ports")), (2, 10, 0));
    });
}

#[test]
fn a_set_of_sets_brings_those_it_holds() {
    with(&["ipset", "ip"], || {
        make();
        let names: Vec<String> = read(&["lists", "nobody"]).into_iter().map(|set| set.name).collect();
        assert_eq!(names, ["ip4", "lists", "net4"]);
    });
}

#[test]
fn a_large_set_is_cut_and_says_so() {
    with(&["ipset", "ip"], || {
        let mut text = String::from("create big hash:ip maxelem 200000\n");
        (0..70_000u32)
            .for_each(|n| text.push_str(&format!("add big 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)));
        let (fine, said) = try_run("ipset", &["restore"], &text);
        assert!(fine, "{said}");
        let sets = read(&["big"]);
        assert_eq!((sets[0].members.len(), sets[0].complete), (65_536, false));
    });
}

#[test]
fn without_rules_nothing_is_asked() {
    with(&["ip"], || {
        let none = Collector::here().unwrap().ipsets_of(&Reading::NotAsked, &Reading::NotAsked);
        assert!(known(none).0.is_empty());
    });
}

#[test]
#[ignore = "rewrites fixtures/ipset.txt"]
fn record() {
    with(&["ipset", "ip"], || {
        let mut recording = Recording::new("ipset.txt", "Answers of ip_set");
        for name in make() {
            let mut request = Builder::with_header(&[2, 0, 0, 0]);
            request.u8(1, 7).str(2, name);
            recording.dump("set", Protocol::Netfilter, 6 << 8 | 7, &request.finish().unwrap());
        }
        recording.save();
    });
}
