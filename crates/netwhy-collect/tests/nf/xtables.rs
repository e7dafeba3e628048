//! Legacy tables against iptables-legacy and its siblings: every match and target of the facts, the chains
//! and their order, policies and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;

use netwhy_collect::Collector;
use netwhy_facts::nft::Expr;
use netwhy_facts::xtables::{XtChain, XtFamily, XtMatch, XtRule, XtTarget, XtVerdict};

use crate::record::Recording;
use crate::space::{known, run, try_run, with};

fn table(family: XtFamily, name: &str) -> Vec<XtChain> {
    let tables = known(Collector::here().unwrap().xtables()).0;
    let found = tables.into_iter().find(|table| table.family == family && table.name == name);
    known(found.unwrap_or_else(|| panic!("no {name}")).chains)
}

fn chain<'a>(chains: &'a [XtChain], name: &str) -> &'a XtChain {
    chains.iter().find(|chain| chain.name == name).unwrap_or_else(|| panic!("no {name} in {chains:?}"))
}

fn net(text: &str, len: u8) -> netwhy_facts::IpNet {
    netwhy_facts::IpNet::new(text.parse().unwrap(), len)
}

/// Where, how iptables is told, and what must come out: `None` if any decoding but `Unknown` will do.
type MatchCase = (&'static str, &'static str, fn(&XtMatch) -> bool);

macro_rules! is {
    ($pattern:pat $(if $guard:expr)?) => {
        |one: &XtMatch| matches!(one, $pattern $(if $guard)?)
    };
}

/// Tables are as the matches need them.
const MATCHES: &[MatchCase] = &[
    (
        "filter INPUT -p tcp",
        "-m tcp ! --sport 1000:2000 --dport 22 --tcp-flags SYN,ACK SYN --tcp-option 5",
        is!(XtMatch::Tcp {
            sports: (1000, 2000),
            sports_inv: true,
            dports: (22, 22),
            dports_inv: false,
            flag_mask: 0x12,
            flag_cmp: 2,
            flags_inv: false,
            option: 5,
            option_inv: false,
        }),
    ),
    (
        "filter INPUT -p udp",
        "-m udp --sport 53 ! --dport 5000:",
        is!(XtMatch::Udp { sports: (53, 53), sports_inv: false, dports: (5000, 65535), dports_inv: true }),
    ),
    (
        "filter INPUT -p icmp",
        "-m icmp ! --icmp-type 3/1",
        is!(XtMatch::Icmp { icmp_type: 3, codes: (1, 1), invert: true }),
    ),
    (
        "filter INPUT -p tcp",
        "-m multiport ! --dports 80,443,8000:8080",
        is!(XtMatch::Multiport { side: 1, ports, invert: true } if ports[..] == [(80, 80), (443, 443), (8000, 8080)]),
    ),
    (
        "filter INPUT",
        "-m conntrack ! --ctstate NEW,DNAT --ctorigsrc 198.51.100.0/24 --ctproto tcp --ctorigdstport 80:90 --ctexpire 5:60",
        is!(XtMatch::Conntrack { invert_flags, state_mask, orig_src, proto: 6, orig_dport: (80, 90), expires: (5, 60), orig_dst: None, .. }
            if *state_mask == 0x88 && invert_flags & 1 == 1 && *orig_src == Some(net("198.51.100.0", 24))),
    ),
    // iptables turns --state of the old match into the new one, or not, by version.
    (
        "filter INPUT",
        "-m state --state ESTABLISHED,RELATED",
        is!(XtMatch::State { mask: 6 } | XtMatch::Conntrack { state_mask: 6, .. }),
    ),
    (
        "filter INPUT",
        "-m mark ! --mark 0x10/0xf0",
        is!(XtMatch::Mark { mark: 0x10, mask: 0xf0, invert: true }),
    ),
    (
        "filter INPUT",
        "-m connmark --mark 5",
        is!(XtMatch::Connmark { mark: 5, mask: u32::MAX, invert: false }),
    ),
    ("filter INPUT", "-m comment --comment words", is!(XtMatch::Comment { text } if text == "words")),
    (
        "filter INPUT",
        "-m limit --limit 5/second --limit-burst 9",
        is!(XtMatch::Limit { avg: 2000, burst: 9 }),
    ),
    (
        "filter INPUT",
        "-m hashlimit --hashlimit-upto 5/second --hashlimit-mode srcip --hashlimit-name h",
        is!(XtMatch::Hashlimit { raw } if !raw.is_empty()),
    ),
    (
        "filter INPUT",
        "-m connlimit --connlimit-above 7 --connlimit-mask 24 --connlimit-daddr",
        is!(XtMatch::Connlimit { limit: 7, mask_len: 24, flags: 2 }),
    ),
    (
        "filter INPUT",
        "-m addrtype ! --src-type LOCAL --dst-type BROADCAST --limit-iface-in",
        is!(XtMatch::Addrtype { source: 4, dest: 8, flags: 5 }),
    ),
    (
        "filter INPUT",
        "-m iprange ! --src-range 198.51.100.1-198.51.100.9",
        is!(XtMatch::Iprange { src: Some((low, high)), src_inv: true, dst: None, dst_inv: false }
            if low.to_string() == "198.51.100.1" && high.to_string() == "198.51.100.9"),
    ),
    (
        "filter INPUT",
        "-m mac ! --mac-source 02:00:00:00:00:0a",
        is!(XtMatch::Mac { mac, invert: true } if mac == "02:00:00:00:00:0a"),
    ),
    (
        "filter OUTPUT",
        "-m owner --uid-owner 1000-1999 ! --gid-owner 5",
        is!(XtMatch::Owner { uid: Some((1000, 1999)), gid: Some((5, 5)), match_flags: 3, invert_flags: 2 }),
    ),
    (
        "filter INPUT",
        "-m set ! --match-set nets src,dst",
        is!(XtMatch::Set { set, dim: 2, flags: 3, invert: true } if set == "nets"),
    ),
    (
        "filter INPUT",
        "-m statistic --mode nth --every 3 --packet 1",
        is!(XtMatch::Statistic { mode: 1, invert: false, every: 2, packet: 1, .. }),
    ),
    (
        "filter INPUT",
        "-m statistic --mode random ! --probability 0.5",
        is!(XtMatch::Statistic { mode: 0, invert: true, probability: 0x3fff_ffff..=0x4000_0001, .. }),
    ),
    (
        "filter INPUT",
        "-m length ! --length 100:200",
        is!(XtMatch::Length { min: 100, max: 200, invert: true }),
    ),
    ("filter INPUT", "-m ttl --ttl-lt 5", is!(XtMatch::Ttl { mode: 2, ttl: 5 })),
    ("mangle INPUT", "-m tos ! --tos 0x10/0x3f", is!(XtMatch::Tos { value: 0x10, mask: 0x3f, invert: true })),
    ("mangle INPUT", "-m dscp --dscp 46", is!(XtMatch::Dscp { dscp: 46, invert: false })),
    ("filter INPUT", "-m pkttype ! --pkt-type multicast", is!(XtMatch::Pkttype { pkttype: 2, invert: true })),
    (
        "filter FORWARD",
        "-m physdev --physdev-in br-eth+ --physdev-is-bridged",
        is!(XtMatch::Physdev { physin, physout, bitmask: 5, invert: 0 } if physin == "br-eth+" && physout.is_empty()),
    ),
    ("raw PREROUTING", "-m rpfilter --loose --invert", is!(XtMatch::Rpfilter { flags: 9 })),
    (
        "filter INPUT -p tcp",
        "-m tcpmss ! --mss 500:600",
        is!(XtMatch::Tcpmss { min: 500, max: 600, invert: true }),
    ),
    ("mangle PREROUTING", "-m socket --transparent --nowildcard", is!(XtMatch::Socket { flags: 3 })),
    (
        "filter INPUT",
        "-m recent --name knock --rcheck --seconds 60",
        is!(XtMatch::Recent { name, .. } if name == "knock"),
    ),
    ("filter INPUT", "-m u32 --u32 0&0xff=1", is!(XtMatch::Unknown { name, .. } if name == "u32")),
];

type TargetCase = (&'static str, &'static str, fn(&XtTarget) -> bool);

macro_rules! to {
    ($pattern:pat $(if $guard:expr)?) => {
        |one: &XtTarget| matches!(one, $pattern $(if $guard)?)
    };
}

const TARGETS: &[TargetCase] = &[
    ("filter INPUT", "DROP", to!(XtTarget::Standard { verdict: XtVerdict::Drop })),
    ("filter INPUT", "ACCEPT", to!(XtTarget::Standard { verdict: XtVerdict::Accept })),
    ("filter INPUT", "RETURN", to!(XtTarget::Standard { verdict: XtVerdict::Return })),
    (
        "filter INPUT",
        "REJECT --reject-with icmp-admin-prohibited",
        to!(XtTarget::Reject { with } if with == "icmp-admin-prohibited"),
    ),
    (
        "filter INPUT -p tcp",
        "REJECT --reject-with tcp-reset",
        to!(XtTarget::Reject { with } if with == "tcp-reset"),
    ),
    (
        "nat POSTROUTING -p tcp",
        "SNAT --to-source 198.51.100.1-198.51.100.5:1000-2000 --random",
        to!(XtTarget::Snat { addr_min: Some(low), addr_max: Some(high), port_min: Some(1000), port_max: Some(2000), flags: 7 }
            if low.to_string() == "198.51.100.1" && high.to_string() == "198.51.100.5"),
    ),
    (
        "nat PREROUTING -p tcp",
        "DNAT --to-destination 198.51.100.9:8080",
        to!(XtTarget::Dnat { addr_min: Some(low), addr_max: Some(high), port_min: Some(8080), port_max: Some(8080), flags: 3 }
            if low == high && low.to_string() == "198.51.100.9"),
    ),
    (
        "nat POSTROUTING",
        "MASQUERADE --random",
        to!(XtTarget::Masquerade { port_min: None, port_max: None, flags: 4 }),
    ),
    (
        "nat PREROUTING -p udp",
        "REDIRECT --to-ports 53-54",
        to!(XtTarget::Redirect { port_min: Some(53), port_max: Some(54), flags: 2 }),
    ),
    (
        "nat PREROUTING",
        "NETMAP --to 203.0.113.0/24",
        to!(XtTarget::Netmap { addr_min: Some(low), addr_max: Some(high) }
            if low.to_string() == "203.0.113.0" && high.to_string() == "203.0.113.255"),
    ),
    ("mangle INPUT", "MARK --set-xmark 0x5/0xff", to!(XtTarget::Mark { mark: 5, mask: 0xff })),
    (
        "mangle INPUT",
        "CONNMARK --restore-mark --nfmask 0xf --ctmask 0xff",
        to!(XtTarget::Connmark { mode: 2, mark: 0, ctmask: 0xff, nfmask: 0xf }),
    ),
    (
        "mangle INPUT",
        "CONNMARK --set-xmark 9/0xff",
        to!(XtTarget::Connmark { mode: 0, mark: 9, ctmask: 0xff, .. }),
    ),
    ("filter INPUT", "LOG --log-prefix hello", to!(XtTarget::Log { prefix, .. } if prefix == "hello")),
    (
        "filter INPUT",
        "NFLOG --nflog-group 7 --nflog-prefix n",
        to!(XtTarget::Nflog { group: 7, prefix } if prefix == "n"),
    ),
    (
        "filter INPUT",
        "NFQUEUE --queue-balance 4:7 --queue-bypass",
        to!(XtTarget::Nfqueue { num: 4, total: 4, bypass: true }),
    ),
    (
        "mangle PREROUTING -p tcp",
        "TPROXY --on-port 3129 --on-ip 127.0.0.1 --tproxy-mark 1/3",
        to!(XtTarget::Tproxy { addr: Some(addr), port: 3129, mark: 1, mask: 3 } if addr.is_loopback()),
    ),
    ("raw PREROUTING", "CT --zone 9", to!(XtTarget::Ct { notrack: false, zone: 9 })),
    ("raw PREROUTING", "CT --notrack", to!(XtTarget::Ct { notrack: true, .. } | XtTarget::Notrack)),
    (
        "mangle FORWARD -p tcp --tcp-flags SYN,RST SYN",
        "TCPMSS --set-mss 1300",
        to!(XtTarget::Tcpmss { mss: Some(1300) }),
    ),
    (
        "mangle FORWARD -p tcp --tcp-flags SYN,RST SYN",
        "TCPMSS --clamp-mss-to-pmtu",
        to!(XtTarget::Tcpmss { mss: None }),
    ),
    ("mangle INPUT", "DSCP --set-dscp 10", to!(XtTarget::Dscp { dscp: 10 })),
    ("mangle INPUT", "TTL --ttl-dec 3", to!(XtTarget::Ttl { mode: 2, ttl: 3 })),
    (
        "filter INPUT",
        "SET --add-set nets src,dst --del-set other src",
        to!(XtTarget::Set { add: Some(add), del: Some(del), map: None } if add == "nets" && del == "other"),
    ),
    ("mangle POSTROUTING -p udp", "CHECKSUM --checksum-fill", to!(XtTarget::Checksum)),
    ("mangle POSTROUTING", "CLASSIFY --set-class 1:2", to!(XtTarget::Classify { class: 0x1_0002 })),
    ("raw PREROUTING", "TRACE", to!(XtTarget::Unknown { name, .. } if name == "TRACE")),
];

/// What a kernel may be built without.
const OPTIONAL: &[&str] =
    &["-m physdev", "-m socket", "-m recent", "NETMAP", "TPROXY", "-m u32", "TRACE", "-m rpfilter"];

/// Adds a rule; whether the kernel took it.
fn append(command: &str, place: &str, rest: &str) -> bool {
    let words: Vec<&str> = place.split(' ').collect();
    let mut args = vec!["-t", words[0], "-A", words[1]];
    args.extend(&words[2..]);
    args.extend(rest.split(' '));
    let (fine, said) = try_run(command, &args, "");
    if !fine {
        println!("refused here: {command} {}: {}", args.join(" "), said.lines().next().unwrap_or(""));
        assert!(OPTIONAL.iter().any(|word| rest.contains(word)), "{said}");
    }
    fine
}

fn sets() {
    run("ipset", &["create", "nets", "hash:ip,port"]);
    run("ipset", &["create", "other", "hash:ip"]);
}

#[test]
fn every_match_is_decoded() {
    with(&["iptables-legacy", "ipset", "ip"], || {
        sets();
        for (place, words, wanted) in MATCHES {
            if !append("iptables-legacy", place, words) {
                continue;
            }
            let mut parts = place.split(' ');
            let chains = table(XtFamily::Iptables, parts.next().unwrap());
            let rule = chain(&chains, parts.next().unwrap()).rules.last().unwrap().clone();
            let one = rule.matches.last().unwrap();
            assert!(wanted(one), "{words}: {one:?}");
            assert_eq!(rule.target, XtTarget::Standard { verdict: XtVerdict::Continue }, "{words}");
        }
    });
}

#[test]
fn every_target_is_decoded() {
    with(&["iptables-legacy", "ipset", "ip"], || {
        sets();
        for (place, words, wanted) in TARGETS {
            if !append("iptables-legacy", place, &format!("-j {words}")) {
                continue;
            }
            let mut parts = place.split(' ');
            let chains = table(XtFamily::Iptables, parts.next().unwrap());
            let rule = chain(&chains, parts.next().unwrap()).rules.last().unwrap().clone();
            assert!(wanted(&rule.target), "{words}: {:?}", rule.target);
        }
    });
}

/// The same ways through nftables' compatibility layer, as iptables-nft makes them.
#[test]
fn what_iptables_nft_leaves_to_xtables_is_decoded_too() {
    with(&["iptables-nft", "nft", "ipset", "ip"], || {
        sets();
        let cases = [
            ("filter INPUT", "-m addrtype --src-type LOCAL", true),
            ("filter INPUT", "-m conntrack --ctstate ESTABLISHED", true),
            ("filter INPUT -p tcp", "-m multiport --dports 80,443", true),
            ("filter INPUT", "-m set --match-set nets src,dst", true),
            ("nat POSTROUTING", "-j MASQUERADE", false),
            ("nat PREROUTING -p tcp --dport 80", "-j DNAT --to-destination 198.51.100.1:8080", false),
            ("filter INPUT", "-j REJECT", false),
        ];
        for (place, words, _) in &cases {
            assert!(append("iptables-nft", place, words), "{words}");
        }
        let nft = known(Collector::here().unwrap().nft());
        let (mut matches, mut targets) = (BTreeSet::new(), BTreeSet::new());
        for expr in nft.rules.iter().flat_map(|rule| &rule.exprs) {
            match expr {
                Expr::Match { name, decoded, .. } => {
                    assert!(decoded.is_some(), "{name}");
                    matches.insert(name.clone());
                }
                Expr::Target { name, decoded, .. } => {
                    assert!(decoded.is_some(), "{name}");
                    targets.insert(name.clone());
                }
                _ => {}
            }
        }
        // Newer versions say more and more of these in nftables' own words.
        println!("{matches:?} {targets:?}");
        let sets = known(
            Collector::here()
                .unwrap()
                .ipsets_of(&netwhy_facts::Reading::NotAsked, &netwhy_facts::Reading::known(nft, "", 0)),
        );
        if matches.contains("set") {
            assert_eq!(sets.0.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["nets"]);
        }
    });
}

const SHAPE: &[&str] = &[
    "-P FORWARD DROP",
    "-N first",
    "-N second",
    "-N empty",
    "-A INPUT -j first",
    "-A INPUT -s 198.51.100.0/24 ! -d 203.0.113.7 -i eth+ ! -o lo -p tcp -g second",
    "-A INPUT ! -f -j ACCEPT",
    "-A INPUT -f -j empty",
    "-A INPUT -s 10.0.0.3/255.0.0.255 -j DROP",
    "-A first -p udp --dport 9 -j second",
    "-A first -j RETURN",
    "-A second -m comment --comment only",
];

#[test]
fn chains_jumps_policies_and_counters() {
    with(&["iptables-legacy", "ip"], || {
        for line in SHAPE {
            let mut words: Vec<&str> = line.split(' ').collect();
            if let Some(at) = words.iter().position(|word| *word == "-o") {
                // INPUT has no device of departure: that part goes elsewhere.
                words.drain(at - 1..=at + 1);
            }
            run("iptables-legacy", &words);
        }
        run("iptables-legacy", &["-A", "OUTPUT", "!", "-o", "lo", "-j", "DROP"]);
        run("iptables-legacy", &["-A", "FORWARD", "-i", "x0", "-j", "ACCEPT"]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"four", "127.0.0.1:9").unwrap();
        }
        let chains = table(XtFamily::Iptables, "filter");
        let names: Vec<_> = chains.iter().map(|chain| (chain.name.as_str(), chain.hook)).collect();
        let builtin = [("INPUT", Some(1)), ("FORWARD", Some(2)), ("OUTPUT", Some(3))];
        assert_eq!(names[..3], builtin);
        assert_eq!(
            names[3..].iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(),
            BTreeSet::from(["empty", "first", "second"])
        );
        let input = chain(&chains, "INPUT");
        assert_eq!(input.policy, Some(XtVerdict::Accept));
        assert_eq!(chain(&chains, "FORWARD").policy, Some(XtVerdict::Drop));
        assert_eq!(chain(&chains, "first").policy, None);
        assert!(chain(&chains, "empty").rules.is_empty());
        let jump = |name: &str| XtTarget::Standard { verdict: XtVerdict::Jump(name.into()) };
        assert_eq!((&input.rules[0].target, input.rules[0].goto), (&jump("first"), false));
        let full: &XtRule = &input.rules[1];
        assert_eq!((&full.target, full.goto), (&jump("second"), true));
        assert_eq!(full.src, Some((net("198.51.100.0", 24), false)));
        assert_eq!(full.dst, Some((net("203.0.113.7", 32), true)));
        assert_eq!((&full.iif, &full.oif), (&Some(("eth+".into(), false)), &None));
        assert_eq!(full.proto, Some((6, false)));
        assert_eq!(input.rules[2].fragment, Some(false));
        assert_eq!(input.rules[3].fragment, Some(true));
        let odd = &input.rules[4];
        assert_eq!(odd.src.unwrap().0.addr.to_string(), "10.0.0.3");
        assert_eq!(odd.odd_masks, Some((vec![255, 0, 0, 255], vec![])));
        assert_eq!(chain(&chains, "OUTPUT").rules[0].oif, Some(("lo".into(), true)));
        assert_eq!(chain(&chains, "FORWARD").rules[0].iif, Some(("x0".into(), false)));
        assert_eq!(
            chain(&chains, "second").rules[0].target,
            XtTarget::Standard { verdict: XtVerdict::Continue }
        );

        // Counters, packet for packet, as iptables-save prints them: the refusals come back in over loopback.
        let said = run("iptables-legacy-save", &["-c", "-t", "filter"]);
        let mut theirs: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for line in said.lines() {
            let numbers = |text: &str| {
                let (packets, bytes) = text.trim_matches(['[', ']']).split_once(':').unwrap();
                (packets.parse().unwrap(), bytes.parse().unwrap())
            };
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [chain, _, count] if chain.starts_with(':') => {
                    theirs.entry(&chain[1..]).or_default().push(numbers(count));
                }
                [count, "-A", chain, ..] => theirs.entry(chain).or_default().push(numbers(count)),
                _ => {}
            }
        }
        assert!(input.rules[0].counters.0 >= 3, "{said}");
        for chain in &chains {
            let mut ours = vec![if chain.hook.is_some() { chain.counters } else { (0, 0) }];
            ours.extend(chain.rules.iter().map(|rule| rule.counters));
            assert_eq!(ours, theirs[chain.name.as_str()], "{}", chain.name);
        }
    });
}

#[test]
fn ipv6_rules() {
    with(&["ip6tables-legacy", "ip"], || {
        let rules = [
            "-s 2001:db8::/32 ! -d 2001:db8::1 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp6-adm-prohibited",
            "-p icmpv6 -m icmp6 --icmpv6-type 128/0 -j DROP",
            "-m hl --hl-gt 64 -j ACCEPT",
            "-m iprange --dst-range 2001:db8::1-2001:db8::f",
            "-m conntrack --ctorigdst 2001:db8::/48",
            "-m connlimit --connlimit-upto 5 --connlimit-mask 64",
            "-m frag --fragid 5",
        ];
        for rule in rules {
            assert!(append("ip6tables-legacy", "filter INPUT", rule));
        }
        assert!(append("ip6tables-legacy", "nat POSTROUTING", "-j MASQUERADE"));
        assert!(append(
            "ip6tables-legacy",
            "nat PREROUTING -p tcp",
            "-j DNAT --to-destination [2001:db8::9]:81"
        ));
        let chains = table(XtFamily::Ip6tables, "filter");
        let rules = &chain(&chains, "INPUT").rules;
        assert_eq!(rules[0].src, Some((net("2001:db8::", 32), false)));
        assert_eq!(rules[0].dst, Some((net("2001:db8::1", 128), true)));
        assert_eq!(
            (rules[0].proto, &rules[0].target),
            (Some((6, false)), &XtTarget::Reject { with: "icmp6-adm-prohibited".into() })
        );
        assert_eq!(rules[1].matches[0], XtMatch::Icmp { icmp_type: 128, codes: (0, 0), invert: false });
        assert_eq!(rules[2].matches[0], XtMatch::Ttl { mode: 3, ttl: 64 });
        assert!(
            matches!(&rules[3].matches[0], XtMatch::Iprange { dst: Some((_, high)), .. } if high.to_string() == "2001:db8::f")
        );
        assert!(
            matches!(&rules[4].matches[0], XtMatch::Conntrack { orig_dst: Some(one), .. } if *one == net("2001:db8::", 48))
        );
        assert!(matches!(&rules[5].matches[0], XtMatch::Connlimit { limit: 5, mask_len: 64, flags: 1 }));
        assert!(matches!(&rules[6].matches[0], XtMatch::Unknown { name, .. } if name == "frag"));
        let chains = table(XtFamily::Ip6tables, "nat");
        assert!(matches!(
            &chain(&chains, "POSTROUTING").rules[0].target,
            XtTarget::Masquerade { flags: 0, port_min: None, .. }
        ));
        assert!(
            matches!(&chain(&chains, "PREROUTING").rules[0].target, XtTarget::Dnat { addr_min: Some(one), port_min: Some(81), .. } if one.to_string() == "2001:db8::9")
        );
    });
}

#[test]
fn arp_rules() {
    with(&["arptables-legacy", "ip"], || {
        run(
            "arptables-legacy",
            &[
                "-A",
                "INPUT",
                "-s",
                "198.51.100.1",
                "-i",
                "eth0",
                "--opcode",
                "1",
                "--source-mac",
                "02:00:00:00:00:01",
                "-j",
                "DROP",
            ],
        );
        run("arptables-legacy", &["-P", "OUTPUT", "DROP"]);
        run("arptables-legacy", &["-N", "own"]);
        run("arptables-legacy", &["-A", "OUTPUT", "-j", "own"]);
        let chains = table(XtFamily::Arptables, "filter");
        let rule = &chain(&chains, "INPUT").rules[0];
        assert_eq!(rule.src, Some((net("198.51.100.1", 32), false)));
        assert_eq!(rule.iif, Some(("eth0".into(), false)));
        assert!(rule.extra.contains(&"opcode 1".to_owned()), "{:?}", rule.extra);
        assert!(rule.extra.contains(&"source-mac 02:00:00:00:00:01".to_owned()), "{:?}", rule.extra);
        assert_eq!(rule.target, XtTarget::Standard { verdict: XtVerdict::Drop });
        let output = chain(&chains, "OUTPUT");
        assert_eq!((output.hook, output.policy.clone()), (Some(1), Some(XtVerdict::Drop)));
        assert_eq!(output.rules[0].target, XtTarget::Standard { verdict: XtVerdict::Jump("own".into()) });
    });
}

#[test]
fn reading_makes_no_table() {
    with(&["ip"], || {
        let tables = known(Collector::here().unwrap().xtables());
        assert!(tables.0.is_empty(), "{tables:?}");
        let names = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
        assert_eq!(names, "");
    });
}

#[test]
#[ignore = "rewrites fixtures/xtables.txt"]
fn record() {
    with(&["iptables-legacy", "ip6tables-legacy", "arptables-legacy", "ipset", "ip"], || {
        sets();
        for (place, words, _) in MATCHES {
            append("iptables-legacy", place, words);
        }
        for (place, words, _) in TARGETS {
            append("iptables-legacy", place, &format!("-j {words}"));
        }
        append("ip6tables-legacy", "filter INPUT -p tcp", "-m tcp --dport 80 -j REJECT");
        append("ip6tables-legacy", "nat PREROUTING -p tcp", "-j DNAT --to-destination [2001:db8::9]:81");
        run("arptables-legacy", &["-A", "INPUT", "-s", "198.51.100.1", "--opcode", "1", "-j", "DROP"]);
        let mut recording =
            Recording::new("xtables.txt", "Legacy tables: what the kernel says of each, then its entries");
        use netwhy_sys::xtables::{Family, read, tables};
        for (word, family) in [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6), ("arp", Family::Arp)] {
            for name in tables(family).unwrap() {
                let table = read(family, &name).unwrap();
                let numbers =
                    [&[table.valid_hooks, table.count][..], &table.hook_entry, &table.underflow].concat();
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
                recording.add(&format!("{word}-info"), &bytes);
                recording.add(&format!("{word}-entries"), &table.entries);
            }
        }
        recording.save();
    });
}
