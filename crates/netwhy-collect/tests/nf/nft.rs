//! Every expression this kernel accepts decodes; sets, elements, objects and hooks arrive whole.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netwhy_collect::Collector;
use netwhy_facts::Reading;
use netwhy_facts::nft::{Data, Expr, Nft, NftFamily, NftVerdict};
use netwhy_facts::xtables::XtTarget;
use netwhy_sys::netlink::{BatchMessage, Protocol, Socket};
use netwhy_wire::netlink::Builder;

use crate::record::Recording;
use crate::space::{known, run, try_run, with};

const CHAINS: &str = "
table inet t {
    set addrs { type ipv4_addr; flags interval; elements = { 198.51.100.0/24, 203.0.113.7 }; }
    set seen { type ipv4_addr; size 128; flags dynamic,timeout; timeout 5m; }
    set pairs { type ipv4_addr . inet_service; flags interval; elements = { 198.51.100.0-198.51.100.9 . 80-90 }; }
    set unused { type ipv4_addr; elements = { 192.0.2.1 }; }
    map marks { type inet_service : mark; elements = { 80 : 0x10, 443 : 0x20 }; }
    map counters { type ipv4_addr : counter; elements = { 198.51.100.1 : \"cnt\" }; }
    counter cnt { packets 7 bytes 700 }
    quota lots { over 10 mbytes }
    limit slow { rate 3/second burst 5 packets }
    ct helper ftp { type \"ftp\" protocol tcp; }
    ct timeout quick { protocol tcp; policy = { established : 100 }; }
    ct expectation exp {
        protocol tcp
        dport 9876
        timeout 2m
        size 12
        l3proto ip
    }
    synproxy proxy { mss 1460; wscale 7; timestamp sack-perm; }
    chain user { counter; }
    chain input { type filter hook input priority 0; policy drop; counter; }
    chain pre { type filter hook prerouting priority -300; }
    chain out { type filter hook output priority 0; }
    chain mangle { type filter hook prerouting priority -150; }
    chain forward { type filter hook forward priority 0; }
    chain dstnat { type nat hook prerouting priority -100; }
    chain srcnat { type nat hook postrouting priority 100; }
}
table arp a { chain in { type filter hook input priority 0; }; }
table bridge b {
    chain in { type filter hook input priority -200; }
    chain nat { type filter hook prerouting priority 0; }
}
table netdev n { chain ingress { type filter hook ingress device lo priority -500; policy accept; }; }
table ip six {
    flags dormant
    chain in { type filter hook input priority 0; }
}
";

/// Where, the rule, and the expressions it must be made of (among others).
const RULES: &[(&str, &str, &[&str])] = &[
    ("inet t input", "tcp dport 22 accept", &["meta", "cmp", "payload", "immediate"]),
    ("inet t input", "tcp dport != { 22, 80 } drop", &["lookup"]),
    ("inet t input", "tcp dport 1000-2000 counter", &["cmp", "counter"]),
    ("inet t input", "tcp dport != 1000-2000 counter", &["range"]),
    ("inet t input", "ip saddr 198.51.100.0/23 accept", &["bitwise"]),
    ("inet t input", "tcp flags & (syn | ack) == syn accept", &["bitwise"]),
    ("inet t input", "ip saddr @addrs drop", &["lookup"]),
    ("inet t input", "ip saddr . tcp dport @pairs accept", &["lookup"]),
    ("inet t input", "meta mark set tcp dport map @marks", &["lookup", "meta_set"]),
    (
        "inet t input",
        "tcp dport vmap { 1 : accept, 2 : drop, 3 : jump user, 4 : goto user, 5 : return, 6 : continue }",
        &["lookup"],
    ),
    ("inet t input", "ct state established,related accept", &["ct"]),
    ("inet t input", "ct original ip saddr 198.51.100.1 accept", &["ct"]),
    ("inet t input", "ct mark set 7", &["ct_set"]),
    ("inet t pre", "ct zone set 3", &["ct_set"]),
    ("inet t pre", "ct label 3 accept", &["ct"]),
    ("inet t input", "limit rate over 10/minute burst 3 packets drop", &["limit"]),
    ("inet t input", "limit rate 10 mbytes/second accept", &["limit"]),
    ("inet t input", "quota over 25 mbytes drop", &["quota"]),
    ("inet t input", "ct count over 3 drop", &["connlimit"]),
    ("inet t input", "meta mark set numgen inc mod 3 offset 1", &["numgen"]),
    ("inet t input", "meta mark set numgen random mod 4", &["numgen"]),
    ("inet t input", "meta mark set jhash ip saddr . tcp dport mod 8 seed 0xabcd offset 2", &["hash"]),
    ("inet t input", "meta mark set symhash mod 2", &["hash"]),
    ("inet t pre", "fib saddr . iif oif missing drop", &["fib"]),
    ("inet t pre", "fib daddr type local accept", &["fib"]),
    ("inet t pre", "fib daddr . mark oifname \"lo\" accept", &["fib"]),
    ("inet t out", "rt ip nexthop 198.51.100.1 accept", &["rt"]),
    ("inet t out", "tcp option maxseg size set rt mtu", &["rt", "exthdr_set"]),
    ("inet t out", "rt classid 1 accept", &["rt"]),
    ("inet t out", "rt ipsec exists accept", &["rt"]),
    ("inet t mangle", "socket transparent 1 mark set 1", &["socket"]),
    ("inet t mangle", "socket mark 3 accept", &["socket"]),
    ("inet t mangle", "socket wildcard 0 accept", &["socket"]),
    ("inet t mangle", "socket cgroupv2 level 1 \"user.slice\" accept", &["socket"]),
    ("inet t input", "exthdr frag exists drop", &["exthdr"]),
    ("inet t input", "ip option ra exists drop", &["exthdr"]),
    ("inet t input", "tcp option sack-perm exists accept", &["exthdr"]),
    ("inet t input", "tcp option maxseg size 536 accept", &["exthdr"]),
    ("inet t input", "sctp chunk init exists accept", &["exthdr"]),
    ("inet t mangle", "reset tcp option fastopen", &["exthdr_reset"]),
    ("inet t dstnat", "tcp dport 80 dnat ip to 198.51.100.9:8080", &["nat"]),
    ("inet t dstnat", "dnat ip to 198.51.100.9-198.51.100.12 persistent,random", &["nat"]),
    ("inet t srcnat", "snat ip6 to 2001:db8::1", &["nat"]),
    ("inet t srcnat", "masquerade random", &["masq"]),
    ("inet t srcnat", "meta l4proto tcp masquerade to :1024-2048", &["masq"]),
    ("inet t dstnat", "tcp dport 81 redirect to :3128", &["redir"]),
    ("inet t input", "reject with icmpx admin-prohibited", &["reject"]),
    ("inet t input", "meta l4proto tcp reject with tcp reset", &["reject"]),
    ("inet t input", "reject with icmp host-unreachable", &["reject"]),
    ("inet t mangle", "meta l4proto tcp tproxy ip to 127.0.0.1:50080", &["tproxy"]),
    ("inet t pre", "notrack", &["notrack"]),
    ("inet t input", "queue num 1-3 bypass,fanout", &["queue"]),
    ("inet t input", "log prefix \"hello \" level warn flags all", &["log"]),
    ("inet t input", "log group 5 snaplen 64 prefix \"n\"", &["log"]),
    ("ip six in", "dup to 198.51.100.77", &["dup"]),
    ("ip six in", "dup to 198.51.100.77 device \"lo\"", &["dup"]),
    ("netdev n ingress", "dup to lo", &["dup"]),
    ("netdev n ingress", "fwd to lo", &["fwd"]),
    ("netdev n ingress", "fwd ip to 198.51.100.1 device lo", &["fwd"]),
    ("inet t input", "add @seen { ip saddr timeout 1m }", &["dynset"]),
    ("inet t input", "update @seen { ip saddr limit rate 5/second } accept", &["dynset"]),
    ("inet t input", "meter m { ip saddr ct count 3 } accept", &["dynset"]),
    ("inet t input", "counter name cnt", &["objref"]),
    ("inet t input", "quota name lots drop", &["objref"]),
    ("inet t input", "limit name slow accept", &["objref"]),
    ("inet t input", "ct helper set \"ftp\"", &["objref"]),
    ("inet t input", "ct timeout set \"quick\"", &["objref"]),
    ("inet t input", "ct expectation set \"exp\"", &["objref"]),
    ("inet t input", "synproxy name proxy", &["objref"]),
    ("inet t input", "counter name ip saddr map @counters", &["objref_map"]),
    ("inet t input", "ct state invalid synproxy mss 1460 wscale 7 timestamp sack-perm", &["synproxy"]),
    ("inet t input", "osf name \"Linux\" accept", &["osf"]),
    ("inet t input", "osf ttl skip version \"Linux:3.0\" accept", &["osf"]),
    ("inet t forward", "flow add @ft", &["flow_offload"]),
    ("inet t input", "ipsec in ip saddr 198.51.100.1 accept", &["xfrm"]),
    ("inet t input", "ipsec in reqid 7 accept", &["xfrm"]),
    (
        "inet t input",
        "meta length 100-200 meta cpu 0 meta skuid 0 meta cgroup 1 accept",
        &["meta", "byteorder"],
    ),
    ("inet t input", "meta time \"2030-01-01\" meta hour \"10:00\" meta day Monday accept", &["meta"]),
    ("inet t input", "meta ibrname \"br0\" accept", &[]),
    ("inet t input", "iifname \"eth*\" oifname \"x\" accept", &["cmp"]),
    ("inet t input", "ip dscp set cs1", &["payload_set"]),
    ("inet t input", "tcp dport set 8080", &["payload_set"]),
    ("inet t input", "meta mark set mark << 4 and 0xff or 0x1", &["bitwise"]),
    ("inet t input", "meta mark set ct mark >> 8", &["bitwise"]),
    ("inet t input", "meta nftrace set 1", &["meta_set"]),
    ("inet t input", "@th,16,16 80 accept", &["payload"]),
    ("inet t input", "@ih,0,8 1 accept", &["payload"]),
    ("inet t input", "tcp dport 99 accept comment \"said of it\"", &["immediate"]),
    ("arp a in", "arp operation request arp saddr ip 198.51.100.1 drop", &["payload"]),
    ("bridge b in", "ether saddr 02:00:00:00:00:01 vlan id 5 drop", &["payload"]),
    ("bridge b in", "meta ibrname \"br0\" drop", &["meta"]),
    ("bridge b nat", "reject with tcp reset", &["reject"]),
    ("netdev n ingress", "vlan id 7 drop", &["payload"]),
];

/// What kernels may be built without: refused here are those marked so in the test's output.
const OPTIONAL: &[&str] = &[
    "queue num",             // CONFIG_NFT_QUEUE
    "flow add",              // CONFIG_NF_FLOW_TABLE
    "meta ibrname",          // CONFIG_NFT_BRIDGE_META; and not in inet
    "cgroupv2",              // needs the cgroup of that name
    "reject with tcp reset", // CONFIG_NFT_BRIDGE_REJECT for bridge
    "ct helper",
    "ct timeout",
    "ct expectation",
    "osf",
    "rt classid",
    "ipsec",
    "synproxy",
];

fn name(expr: &Expr) -> String {
    let value = serde_json::to_value(expr).unwrap();
    value["expression"].as_str().unwrap().to_owned()
}

fn unknown(exprs: &[Expr]) -> Vec<String> {
    let mut found = Vec::new();
    for expr in exprs {
        match expr {
            Expr::Unknown { name, raw } => found.push(format!("{name} {raw:02x?}")),
            Expr::Dynset { exprs, .. } => found.extend(unknown(exprs)),
            Expr::Inner { expr, .. } => found.extend(unknown(std::slice::from_ref(expr))),
            _ => {}
        }
    }
    found
}

fn read() -> Nft {
    known(Collector::here().unwrap().nft())
}

#[test]
fn every_expression_the_kernel_accepts_is_decoded() {
    with(&["nft", "ip"], || {
        let (fine, said) = try_run("nft", &["-f", "-"], CHAINS);
        assert!(fine, "{said}");
        let flowtables =
            try_run("nft", &["add flowtable inet t ft { hook ingress priority 3; devices = { lo }; }"], "");
        let (mut accepted, mut refused, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (place, text, wanted) in RULES {
            let (fine, said) = try_run("nft", &["-f", "-"], &format!("add rule {place} {text}\n"));
            if fine {
                accepted.push((place, text, wanted));
                continue;
            }
            println!("refused here: {place} {text}: {}", said.lines().next().unwrap_or(""));
            if !OPTIONAL.iter().any(|word| text.contains(word)) {
                refused.push(said);
            }
        }
        assert!(refused.is_empty(), "{}", refused.join(""));
        let nft = read();
        // Rules of one chain come in the order they were added; the chains' own first rules come before.
        for place in accepted.iter().map(|(place, ..)| place).collect::<BTreeSet<_>>() {
            let words: Vec<&str> = place.split(' ').collect();
            let here: Vec<_> = nft
                .rules
                .iter()
                .filter(|r| r.family.name() == words[0] && r.table == words[1] && r.chain == words[2])
                .collect();
            let texts: Vec<_> = accepted.iter().filter(|(at, ..)| at == place).collect();
            let own = here.len() - texts.len();
            for (rule, (_, text, wanted)) in here[own..].iter().zip(texts) {
                let unknown = unknown(&rule.exprs);
                assert!(unknown.is_empty(), "{place} {text}: {unknown:?}");
                let names: BTreeSet<String> = rule.exprs.iter().map(name).collect();
                for one in **wanted {
                    assert!(names.contains(*one), "{place} {text}: no {one} in {:?}", rule.exprs);
                }
                seen.extend(names);
            }
        }
        println!("decoded: {seen:?}");
        check(&nft);
        compare(&nft);
        match &nft.flowtables[..] {
            [] => assert!(!flowtables.0, "a flowtable was made and not read"),
            [one] => {
                assert_eq!(
                    (one.name.as_str(), one.priority, &one.devices[..]),
                    ("ft", 3, &["lo".to_owned()][..])
                );
            }
            more => panic!("{more:?}"),
        }
    });
}

/// nft's own view of the expressions: the same ones, in the same order, in every rule.
fn compare(nft: &Nft) {
    let said = run("nft", &["--debug=netlink", "list", "ruleset"]);
    let mut theirs: Vec<(String, Vec<String>)> = Vec::new();
    for line in said.lines().take_while(|line| !line.starts_with("table ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["[", name, ..] => theirs.last_mut().unwrap().1.push(name.to_owned()),
            [family, table, chain, ..] if NFT_FAMILIES.contains(&family) => {
                theirs.push((format!("{family} {table} {chain}"), Vec::new()));
            }
            _ => {}
        }
    }
    // Sets have headings like those of rules.
    theirs.retain(|(_, names)| !names.is_empty());
    assert!(theirs.len() > 80, "{said}");
    theirs.sort();
    let mut ours: Vec<(String, Vec<String>)> = nft
        .rules
        .iter()
        .map(|rule| {
            let names = rule.exprs.iter().map(|expr| match name(expr).as_str() {
                "objref_map" => "objref".to_owned(),
                "exthdr_reset" => "exthdr".to_owned(),
                other => other.trim_end_matches("_set").to_owned(),
            });
            (format!("{} {} {}", rule.family.name(), rule.table, rule.chain), names.collect())
        })
        .collect();
    ours.sort();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

const NFT_FAMILIES: [&str; 6] = ["inet", "ip", "ip6", "arp", "bridge", "netdev"];

fn check(nft: &Nft) {
    let inet = |name: &str| nft.set(NftFamily::Inet, "t", name).unwrap_or_else(|| panic!("no set {name}"));
    let input = nft.chain(NftFamily::Inet, "t", "input").unwrap();
    assert_eq!((input.policy, input.chain_type.as_deref()), (Some(0), Some("filter")));
    assert_eq!(input.hook.as_ref().map(|hook| (hook.num, hook.priority)), Some((1, 0)));
    let ingress = nft.chain(NftFamily::Netdev, "n", "ingress").unwrap();
    assert_eq!(ingress.hook.as_ref().unwrap().devices, ["lo"]);
    assert_eq!(ingress.hook.as_ref().unwrap().priority, -500);
    assert!(nft.chain(NftFamily::Inet, "t", "user").unwrap().hook.is_none());
    assert!(nft.tables.iter().any(|table| table.name == "six" && table.is_dormant()));

    let addrs = inet("addrs");
    assert!(addrs.elements_read);
    let starts: Vec<_> = addrs.elements.iter().filter(|e| e.flags & 1 == 0).map(|e| e.key.clone()).collect();
    assert!(starts.contains(&vec![198, 51, 100, 0]) && starts.contains(&vec![203, 0, 113, 7]), "{starts:?}");
    let pairs = inet("pairs");
    assert_eq!(pairs.field_lens, [4, 2]);
    assert_eq!(pairs.elements[0].key, [198, 51, 100, 0, 0, 80, 0, 0]);
    assert_eq!(pairs.elements[0].key_end.as_deref(), Some(&[198, 51, 100, 9, 0, 90, 0, 0][..]));
    assert!(!inet("unused").elements_read && inet("unused").elements.is_empty());
    let mark = |port: u16| {
        let marks = inet("marks");
        marks.elements.iter().find(|e| e.key == port.to_be_bytes()).unwrap().data.clone()
    };
    assert_eq!(mark(443), Some(Data::Value(0x20u32.to_ne_bytes().to_vec())));
    assert_eq!(inet("counters").elements[0].object.as_deref(), Some("cnt"));
    assert_eq!(inet("seen").timeout_ms, Some(300_000));
    assert_eq!(inet("seen").size, Some(128));

    let cnt = nft.objects.iter().find(|object| object.name == "cnt").unwrap();
    assert_eq!(cnt.expr, Some(Expr::Counter { packets: 7, bytes: 700 }));
    let verdicts: Vec<_> = nft
        .sets
        .iter()
        .filter(|set| set.data_type == Some(0xffff_ff00))
        .flat_map(|set| set.elements.iter().filter_map(|element| element.data.clone()))
        .collect();
    for wanted in [
        NftVerdict::Accept,
        NftVerdict::Drop,
        NftVerdict::Return,
        NftVerdict::Continue,
        NftVerdict::Jump("user".into()),
        NftVerdict::Goto("user".into()),
    ] {
        assert!(verdicts.contains(&Data::Verdict(wanted.clone())), "{wanted:?} in {verdicts:?}");
    }
    assert!(nft.rules.iter().any(|rule| rule.comment.as_deref() == Some("said of it")));
    let shifts = nft.rules.iter().flat_map(|rule| &rule.exprs).filter_map(|expr| match expr {
        Expr::Bitwise {
            op: netwhy_facts::nft::BitwiseOp::Lshift(n) | netwhy_facts::nft::BitwiseOp::Rshift(n),
            ..
        } => Some(*n),
        _ => None,
    });
    assert_eq!(shifts.collect::<Vec<_>>(), [4, 8]);
    let burst = nft
        .rules
        .iter()
        .flat_map(|rule| &rule.exprs)
        .find(|expr| matches!(expr, Expr::Limit { over: true, .. }));
    assert_eq!(burst, Some(&Expr::Limit { rate: 10, unit_s: 60, burst: 3, per_packet: true, over: true }));
}

/// An expression: `NFTA_LIST_ELEM` around name and data.
fn raw(list: &mut Builder, name: &str, data: impl FnOnce(&mut Builder)) {
    list.nest(1, |elem| {
        elem.str(1, name).nest(2, data);
    });
}

/// What nft(8) of the day has no words for, made as messages.
#[test]
fn expressions_without_words_are_decoded() {
    type Make = fn(&mut Builder);
    let cases: [(&str, Make, &str); 8] = [
        (
            "bitwise and",
            |l| raw(l, "bitwise", |d| _ = d.be32(1, 8).be32(8, 9).be32(2, 8).be32(3, 4).be32(6, 3)),
            "And",
        ),
        (
            "bitwise or",
            |l| raw(l, "bitwise", |d| _ = d.be32(1, 8).be32(8, 9).be32(2, 8).be32(3, 4).be32(6, 4)),
            "Or",
        ),
        (
            "bitwise xor",
            |l| raw(l, "bitwise", |d| _ = d.be32(1, 8).be32(8, 9).be32(2, 8).be32(3, 4).be32(6, 5)),
            "Xor",
        ),
        ("last", |l| raw(l, "last", |_| ()), "Last"),
        ("tunnel", |l| raw(l, "tunnel", |d| _ = d.be32(1, 1).be32(2, 8).be32(3, 1)), "Tunnel"),
        (
            "inner",
            |l| {
                raw(l, "inner", |d| {
                    d.be32(1, 0).be32(2, 1).be32(3, 15).be32(4, 8).nest(5, |e| {
                        e.str(1, "payload").nest(2, |p| _ = p.be32(1, 8).be32(2, 1).be32(3, 12).be32(4, 4));
                    });
                })
            },
            "Inner",
        ),
        (
            "match mark",
            |l| {
                raw(l, "match", |d| {
                    _ = d
                        .str(1, "mark")
                        .be32(2, 1)
                        .bytes(3, &[7, 0, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
                })
            },
            "Match",
        ),
        (
            "target MARK",
            |l| raw(l, "target", |d| _ = d.str(1, "MARK").be32(2, 2).bytes(3, &[7, 0, 0, 0, 255, 0, 0, 0])),
            "Target",
        ),
    ];
    with(&["nft", "ip"], || {
        let chains = "table ip t {\nchain c { type filter hook prerouting priority -150; }\n}
            table netdev t {\nchain c { type filter hook ingress device lo priority 0; }\n}";
        let (fine, said) = try_run("nft", &["-f", "-"], chains);
        assert!(fine, "{said}");
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        let mut kept = Vec::new();
        for (name, make, variant) in cases {
            // Tunnels are matched where devices receive.
            let family = if name == "tunnel" { NftFamily::Netdev } else { NftFamily::Ip };
            let mut rule = Builder::with_header(&[family.number(), 0, 0, 0]);
            rule.str(1, "t").str(2, "c").nest(4, |list| {
                // Registers 8 and 9 must hold something before they are read.
                raw(list, "meta", |d| _ = d.be32(1, 8).be32(2, 3));
                raw(list, "meta", |d| _ = d.be32(1, 9).be32(2, 3));
                make(list);
            });
            let message =
                BatchMessage { kind: NFTABLES << 8 | 6, flags: 0xc00, payload: rule.finish().unwrap() };
            match socket.batch(NFTABLES, &[message]) {
                Ok(_) => kept.push((family, name, variant)),
                // Two-register operations are of 6.14, `inner` of 6.2.
                Err(error) => println!("refused here: {name}: {error}"),
            }
        }
        assert!(kept.len() >= 4, "{kept:?}");
        let nft = read();
        assert_eq!(nft.rules.len(), kept.len());
        for family in [NftFamily::Ip, NftFamily::Netdev] {
            let kept = kept.iter().filter(|(at, ..)| *at == family);
            for (rule, (_, name, variant)) in nft.rules_of(family, "t", "c").zip(kept) {
                let last = rule.exprs.last().unwrap();
                assert!(format!("{last:?}").contains(variant), "{name}: {last:?}");
                assert!(unknown(&rule.exprs).is_empty(), "{name}: {:?}", rule.exprs);
            }
        }
        let found: Vec<&Expr> = nft.rules.iter().filter_map(|rule| rule.exprs.last()).collect();
        let info = vec![7, 0, 0, 0, 255, 0, 0, 0];
        let decoded = Some(Box::new(XtTarget::Mark { mark: 7, mask: 255 }));
        let target = Expr::Target { name: "MARK".into(), revision: 2, info, decoded };
        assert!(found.contains(&&target), "{found:?}");
    });
}

#[test]
fn rules_of_iptables_nft_are_marked_by_their_table() {
    with(&["iptables-nft", "nft", "ip"], || {
        run("nft", &["add table inet own; add chain inet own c; add rule inet own c tcp dport 1 drop"]);
        run("iptables-nft", &["-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "DROP"]);
        run("iptables-nft", &["-A", "INPUT", "-m", "u32", "--u32", "0=1", "-j", "DROP"]);
        let nft = read();
        let marks: Vec<_> = nft.rules.iter().map(|rule| (rule.table.as_str(), rule.compat)).collect();
        assert_eq!(marks, [("own", false), ("filter", true), ("filter", true)]);
        assert!(matches!(&nft.rules[2].exprs[0], Expr::Match { name, .. } if name == "u32"));
    });
}

#[test]
fn a_set_above_the_bound_is_not_read_and_says_so() {
    with(&["nft", "ip"], || {
        let mut text = String::from("table ip t { set big { type ipv4_addr; elements = { ");
        (0..3000u32).for_each(|n| text.push_str(&format!("10.0.{}.{},", n / 256, n % 256)));
        text.push_str(
            "}; }\nset small { type ipv4_addr; elements = { 10.9.9.9 }; }
            chain c { ip saddr @big accept; ip saddr @small accept; }\n}",
        );
        let (fine, said) = try_run("nft", &["-f", "-"], &text);
        assert!(fine, "{said}");
        let nft = known(Collector::here().unwrap().nft_bounded(1000));
        let set = |name: &str| nft.set(NftFamily::Ip, "t", name).unwrap();
        assert!(!set("big").elements_read && set("big").elements.is_empty());
        assert!(set("small").elements_read && set("small").elements.len() == 1);
        let all = read();
        assert_eq!(all.set(NftFamily::Ip, "t", "big").unwrap().elements.len(), 3000);
    });
}

const NFTABLES: u16 = 10;

/// A message to nftables in the table `ip t`: the attributes 1 and `second` hold the table and a name.
fn order(kind: u16, flags: u16, second: u16, name: &str) -> BatchMessage {
    let mut payload = Builder::with_header(&[2, 0, 0, 0]);
    payload.str(1, "t").str(second, name);
    BatchMessage { kind: NFTABLES << 8 | kind, flags, payload: payload.finish().unwrap() }
}

#[test]
fn a_ruleset_under_constant_change_is_read_whole_or_not_at_all() {
    const CREATE: u16 = 0x400;
    const APPEND: u16 = 0x800;
    with(&["nft", "ip"], || {
        run("nft", &["add", "table", "ip", "t"]);
        let stop = AtomicBool::new(false);
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Two chains with a rule each come and go, always together.
                let add =
                    ["a", "b"].map(|name| [order(3, CREATE, 3, name), order(6, CREATE | APPEND, 2, name)]);
                let delete = ["a", "b"].map(|name| order(5, 0, 3, name));
                while !stop.load(Ordering::Relaxed) {
                    socket.batch(NFTABLES, add.as_flattened()).unwrap();
                    std::thread::yield_now();
                    socket.batch(NFTABLES, &delete).unwrap();
                    std::thread::yield_now();
                }
            });
            let collector = Collector::here().unwrap();
            let (mut full, mut empty, mut given_up) = (0, 0, 0);
            let until = Instant::now() + Duration::from_secs(20);
            while (full < 20 || empty < 20) && Instant::now() < until {
                match collector.nft() {
                    Reading::Known { value, .. } => match (value.chains.len(), value.rules.len()) {
                        (2, 2) => full += 1,
                        (0, 0) => empty += 1,
                        other => panic!("half a commit: {other:?}"),
                    },
                    Reading::Failed { error } => {
                        assert!(error.contains("changed"), "{error}");
                        given_up += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            stop.store(true, Ordering::Relaxed);
            println!("{full} with the chains, {empty} without, {given_up} given up");
            assert!(full >= 20 && empty >= 20, "the change was never seen from both sides");
        });
    });
}

#[test]
#[ignore = "rewrites fixtures/nft.txt"]
fn record() {
    with(&["nft", "ip"], || {
        let (fine, said) = try_run("nft", &["-f", "-"], CHAINS);
        assert!(fine, "{said}");
        for (place, text, _) in RULES {
            try_run("nft", &["-f", "-"], &format!("add rule {place} {text}\n"));
        }
        let mut recording = Recording::new("nft.txt", "Answers of nf_tables");
        for (kind, message) in [("table", 1), ("chain", 4), ("rule", 7), ("set", 10), ("object", 19)] {
            recording.dump(kind, Protocol::Netfilter, NFTABLES << 8 | message, &[0, 0, 0, 0]);
        }
        for set in read().sets {
            let mut request = Builder::with_header(&[set.family.number(), 0, 0, 0]);
            request.str(1, &set.table).str(2, &set.name);
            recording.dump("elements", Protocol::Netfilter, NFTABLES << 8 | 13, &request.finish().unwrap());
        }
        recording.save();
    });
}
