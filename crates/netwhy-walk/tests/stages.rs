//! Each stage on a host made of facts.

mod support;

use netwhy_facts::neigh::Nud;
use netwhy_facts::nft::{NftFamily, NftVerdict};
use netwhy_facts::route::{RouteType, RuleAction};
use netwhy_facts::{Family, Locus, Proto};
use netwhy_walk::{End, Path, Stage};
use support::*;

fn dropped_rule(p: &Path) -> Option<u64> {
    match p.blocker() {
        Some(Locus::NftRule { handle, .. }) => Some(*handle),
        _ => None,
    }
}

#[test]
fn a_plain_packet_leaves_by_the_default_route() {
    let h = Host::default();
    let p = h.out(Proto::Tcp, "192.0.2.7", 443);
    assert_eq!(p.end, End::Sent { dev: "eth0".into(), next_hop: Some(ip("198.51.100.254")) });
    assert_eq!(p.packet.src, ip("198.51.100.1"));
    assert!(p.is_certain(), "{:?}", p.assumptions);
    let p6 = h.out(Proto::Tcp, "2001:db8:9::7", 443);
    assert_eq!(p6.end, End::Sent { dev: "eth0".into(), next_hop: Some(ip("2001:db8:1::fe")) });
    assert_eq!(p6.packet.src, ip("2001:db8:1::1"));
}

#[test]
fn an_output_rule_drops_its_port_only() {
    let mut h = Host::default();
    h.chain(NftFamily::Inet, "out", "filter", 3, 0, 1);
    let handle = h.nft_rule(NftFamily::Inet, "out", with(dport(6, 443), verdict(NftVerdict::Drop)));
    assert_eq!(dropped_rule(&h.out(Proto::Tcp, "192.0.2.7", 443)), Some(handle));
    assert!(h.out(Proto::Tcp, "192.0.2.7", 80).passes());
    assert!(h.out(Proto::Udp, "192.0.2.7", 443).passes());
    assert_eq!(dropped_rule(&h.out(Proto::Tcp, "2001:db8:9::7", 443)), Some(handle));
}

#[test]
fn a_policy_is_named_as_a_chain() {
    let mut h = Host::default();
    h.listen(Proto::Tcp, "0.0.0.0", 22).listen(Proto::Tcp, "0.0.0.0", 80);
    h.chain(NftFamily::Ip, "in", "filter", 1, 0, 0);
    h.nft_rule(NftFamily::Ip, "in", with(dport(6, 22), verdict(NftVerdict::Accept)));
    assert!(matches!(h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 22).end, End::Delivered { .. }));
    match h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 80).end {
        End::Dropped { locus: Locus::NftChain { chain, hook, .. } } => {
            assert_eq!((chain.as_str(), hook.as_str()), ("in", "input"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn accept_ends_only_its_own_base_chain() {
    let mut h = Host::default();
    h.listen(Proto::Tcp, "0.0.0.0", 80);
    h.chain(NftFamily::Inet, "first", "filter", 1, -10, 1);
    h.chain(NftFamily::Inet, "second", "filter", 1, 10, 1);
    h.nft_rule(NftFamily::Inet, "first", vec![verdict(NftVerdict::Accept)]);
    let d = h.nft_rule(NftFamily::Inet, "second", vec![verdict(NftVerdict::Drop)]);
    assert_eq!(dropped_rule(&h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 80)), Some(d));
}

#[test]
fn jumps_return_and_gotos_do_not() {
    let mut h = Host::default();
    h.chain(NftFamily::Inet, "out", "filter", 3, 0, 1);
    h.user_chain(NftFamily::Inet, "a").user_chain(NftFamily::Inet, "b");
    h.nft_rule(NftFamily::Inet, "out", vec![verdict(NftVerdict::Jump("a".into()))]);
    let last = h.nft_rule(NftFamily::Inet, "out", vec![verdict(NftVerdict::Drop)]);
    h.nft_rule(NftFamily::Inet, "a", vec![verdict(NftVerdict::Return)]);
    h.nft_rule(NftFamily::Inet, "a", vec![verdict(NftVerdict::Accept)]);
    assert_eq!(dropped_rule(&h.out(Proto::Tcp, "192.0.2.7", 443)), Some(last));
    h.nft.rules[0].exprs = vec![verdict(NftVerdict::Goto("b".into()))];
    assert!(h.out(Proto::Tcp, "192.0.2.7", 443).passes());
}

#[test]
fn loops_end() {
    let mut h = Host::default();
    h.chain(NftFamily::Inet, "out", "filter", 3, 0, 1);
    h.user_chain(NftFamily::Inet, "a");
    h.nft_rule(NftFamily::Inet, "out", vec![verdict(NftVerdict::Goto("a".into()))]);
    h.nft_rule(NftFamily::Inet, "a", vec![verdict(NftVerdict::Goto("a".into()))]);
    assert!(matches!(h.out(Proto::Tcp, "192.0.2.7", 443).end, End::Insufficient { .. }));
    h.nft.rules[1].exprs = vec![verdict(NftVerdict::Jump("a".into()))];
    assert!(matches!(h.out(Proto::Tcp, "192.0.2.7", 443).end, End::Dropped { .. }));
}

#[test]
fn dormant_tables_do_nothing() {
    let mut h = Host::default();
    h.chain(NftFamily::Inet, "out", "filter", 3, 0, 0);
    assert!(!h.out(Proto::Tcp, "192.0.2.7", 443).passes());
    h.nft.tables[0].flags = 1;
    assert!(h.out(Proto::Tcp, "192.0.2.7", 443).passes());
}

#[test]
fn a_stateful_firewall_lets_answers_in() {
    let mut h = Host::default();
    h.chain(NftFamily::Inet, "in", "filter", 1, 0, 0);
    h.nft_rule(NftFamily::Inet, "in", with(ct_state(6), verdict(NftVerdict::Accept)));
    let f = h.facts();
    let (q, fl) = question(netwhy_facts::Role::Client, Proto::Tcp, "192.0.2.7", 443, None);
    let forward = netwhy_walk::forward(&f, &q, &fl);
    assert!(forward.passes());
    let reply = netwhy_walk::reply(&f, &q, &fl, &forward);
    assert!(matches!(reply.end, End::Delivered { .. }), "{reply:#?}");
    // Without the acceptance of answers the reply is lost, and a fresh packet always is.
    let mut h2 = Host::default();
    h2.chain(NftFamily::Inet, "in", "filter", 1, 0, 0);
    let f2 = h2.facts();
    let reply = netwhy_walk::reply(&f2, &q, &fl, &netwhy_walk::forward(&f2, &q, &fl));
    assert!(matches!(reply.blocker(), Some(Locus::NftChain { .. })));
    assert!(!h.arrive(2, Proto::Tcp, "192.0.2.7", "198.51.100.1", 80).passes());
}

#[test]
fn denying_routes_and_missing_ones() {
    let mut h = Host::default();
    for (net, kind, errno) in [
        ("192.0.2.0/28", RouteType::Blackhole, "EINVAL"),
        ("192.0.2.16/28", RouteType::Unreachable, "EHOSTUNREACH"),
        ("192.0.2.32/28", RouteType::Prohibit, "EACCES"),
    ] {
        h.routes.push(route(Family::Inet, net, 254, kind, None, None));
        let first = net.split('/').next().unwrap();
        match h.out(Proto::Tcp, first, 80).end {
            End::Unroutable { locus: Locus::Route { .. }, error } => assert_eq!(error, errno),
            other => panic!("{other:?}"),
        }
    }
    h.routes.push(route(Family::Inet, "192.0.2.48/28", 254, RouteType::Throw, None, None));
    h.routes.retain(|r| r.dst.len != 0);
    match h.out(Proto::Tcp, "192.0.2.49", 80).end {
        End::Unroutable { locus: Locus::MissingRoute { .. }, error } => assert_eq!(error, "ENETUNREACH"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn policy_rules_choose_the_table() {
    let mut h = Host::default();
    h.routes.push(route(Family::Inet, "0.0.0.0/0", 100, RouteType::Unicast, Some(3), Some("203.0.113.254")));
    let mut by_port = rule(Family::Inet, 100, RuleAction::Table(100));
    by_port.ip_proto = Some(6);
    by_port.dport = Some((80, 90));
    h.rules.insert(1, by_port);
    assert_eq!(
        h.out(Proto::Tcp, "192.0.2.7", 85).end,
        End::Sent { dev: "eth1".into(), next_hop: Some(ip("203.0.113.254")) }
    );
    assert_eq!(
        h.out(Proto::Tcp, "192.0.2.7", 91).end,
        End::Sent { dev: "eth0".into(), next_hop: Some(ip("198.51.100.254")) }
    );
    h.rules[1].suppress_prefixlen = Some(0);
    assert!(matches!(h.out(Proto::Tcp, "192.0.2.7", 85).end, End::Sent { dev, .. } if dev == "eth0"));
    h.rules[1].action = RuleAction::Prohibit;
    assert!(matches!(
        h.out(Proto::Tcp, "192.0.2.7", 85).end,
        End::Unroutable { locus: Locus::Rule { priority: 100, .. }, .. }
    ));
}

#[test]
fn forwarding_off_on_and_denied() {
    let mut h = Host::default();
    match h.arrive(2, Proto::Tcp, "198.51.100.9", "203.0.113.9", 80).end {
        End::Unroutable { locus: Locus::Sysctl { name, .. }, .. } => assert_eq!(name, "net.ipv4.ip_forward"),
        other => panic!("{other:?}"),
    }
    match h.arrive(2, Proto::Tcp, "2001:db8:1::9", "2001:db8:2::9", 80).end {
        End::Unroutable { locus: Locus::Sysctl { name, .. }, .. } => {
            assert_eq!(name, "net.ipv6.conf.all.forwarding")
        }
        other => panic!("{other:?}"),
    }
    h.forwarding();
    let p = h.arrive(2, Proto::Tcp, "198.51.100.9", "203.0.113.9", 80);
    assert_eq!(p.end, End::Sent { dev: "eth1".into(), next_hop: Some(ip("203.0.113.9")) });
    assert_eq!(p.finally.ttl, 63);
    h.chain(NftFamily::Inet, "fwd", "filter", 2, 0, 0);
    assert!(matches!(
        h.arrive(2, Proto::Tcp, "198.51.100.9", "203.0.113.9", 80).blocker(),
        Some(Locus::NftChain { .. })
    ));
}

#[test]
fn reverse_path_filter() {
    let mut h = Host::default();
    h.listen(Proto::Tcp, "0.0.0.0", 80);
    // A source that lives behind eth0 arrives on eth1.
    let arrive = |h: &Host| h.arrive(3, Proto::Tcp, "198.51.100.9", "203.0.113.1", 80);
    assert!(arrive(&h).passes());
    h.set("net.ipv4.conf.eth1.rp_filter", 2);
    assert!(arrive(&h).passes());
    h.set("net.ipv4.conf.all.rp_filter", 1);
    assert!(arrive(&h).passes(), "the larger of all and the device counts");
    h.set("net.ipv4.conf.eth1.rp_filter", 1);
    let p = arrive(&h);
    assert!(matches!(p.blocker(), Some(Locus::Sysctl { name, .. }) if name.ends_with("rp_filter")), "{p:?}");
    assert_eq!(p.last().unwrap().stage, Stage::RpFilter);
    // Loose mode still wants some route.
    h.set("net.ipv4.conf.all.rp_filter", 0).set("net.ipv4.conf.eth1.rp_filter", 2);
    h.routes.retain(|r| r.dst.len != 0);
    assert!(!h.arrive(3, Proto::Tcp, "192.0.2.77", "203.0.113.1", 80).passes());
}

#[test]
fn martians() {
    let h = Host::default();
    for (src, dst) in [
        ("127.0.0.1", "198.51.100.1"),
        ("198.51.100.9", "127.0.0.1"),
        ("224.0.0.1", "198.51.100.1"),
        ("198.51.100.1", "198.51.100.1"),
    ] {
        assert!(matches!(h.arrive(2, Proto::Udp, src, dst, 53).end, End::Dropped { .. }), "{src} {dst}");
    }
    assert!(matches!(h.arrive(2, Proto::Udp, "::1", "2001:db8:1::1", 53).end, End::Dropped { .. }));
}

#[test]
fn sockets_by_address() {
    let mut h = Host::default();
    h.listen(Proto::Tcp, "127.0.0.1", 80).listen(Proto::Tcp, "::", 443);
    assert!(matches!(h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 80).end, End::NoSocket { .. }));
    assert!(matches!(
        h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 443).end,
        End::Delivered { .. }
    ));
    h.sockets[1].v6only = Some(true);
    assert!(matches!(h.arrive(2, Proto::Tcp, "198.51.100.9", "198.51.100.1", 443).end, End::NoSocket { .. }));
    assert!(matches!(
        h.arrive(2, Proto::Tcp, "2001:db8:1::9", "2001:db8:1::1", 443).end,
        End::Delivered { .. }
    ));
    h.sockets[1].ifindex = 3;
    assert!(matches!(
        h.arrive(2, Proto::Tcp, "2001:db8:1::9", "2001:db8:1::1", 443).end,
        End::NoSocket { .. }
    ));
    // From the host itself, through loopback.
    assert!(matches!(h.out(Proto::Tcp, "127.0.0.1", 80).end, End::Delivered { .. }));
    assert!(matches!(h.out(Proto::Tcp, "198.51.100.1", 80).end, End::NoSocket { .. }));
}

#[test]
fn echo_is_answered_unless_ignored() {
    let mut h = Host::default();
    assert!(h.arrive(2, Proto::Icmp, "198.51.100.9", "198.51.100.1", 0).passes());
    h.set("net.ipv4.icmp_echo_ignore_all", 1);
    assert!(!h.arrive(2, Proto::Icmp, "198.51.100.9", "198.51.100.1", 0).passes());
    assert!(h.arrive(2, Proto::Icmp, "2001:db8:1::9", "2001:db8:1::1", 0).passes());
}

#[test]
fn a_failed_neighbour_stops_the_packet() {
    let mut h = Host::default();
    h.neighbour(2, "198.51.100.254", Nud::Failed);
    assert!(matches!(h.out(Proto::Tcp, "192.0.2.7", 80).end, End::Unresolved { .. }));
    h.neighbours[0].state = Nud::Stale;
    assert!(h.out(Proto::Tcp, "192.0.2.7", 80).passes());
}

#[test]
fn a_device_without_carrier_sends_nothing() {
    let mut h = Host::default();
    h.links[1].carrier = Some(false);
    assert!(
        matches!(h.out(Proto::Tcp, "192.0.2.7", 80).blocker(), Some(Locus::Link { dev, .. }) if dev == "eth0")
    );
}

#[test]
fn unread_facts_are_said() {
    let mut h = Host::default();
    h.extra
        .push(Box::new(|f| f.put::<netwhy_facts::nft::Nft>(netwhy_facts::Reading::denied("CAP_NET_ADMIN"))));
    let p = h.out(Proto::Tcp, "192.0.2.7", 80);
    assert!(p.passes() && !p.is_certain());
    assert!(p.assumptions.iter().any(|a| a.contains("CAP_NET_ADMIN")));
}

#[test]
fn the_kernels_answer_is_asked_and_believed() {
    use netwhy_facts::route::{FibAnswer, FibAnswers, FibResult, FibRoute};
    let h = Host::default();
    let (q, fl) = question(netwhy_facts::Role::Client, Proto::Tcp, "192.0.2.7", 443, None);
    let mut f = h.facts();
    let keys = netwhy_walk::keys_needed(&f, &q, &fl);
    assert!(keys.iter().any(|k| k.dst == ip("192.0.2.7") && k.iif.is_none()), "{keys:?}");
    let answer = |k: &netwhy_facts::route::FibKey| FibAnswer {
        key: k.clone(),
        result: FibResult::Route(Box::new(FibRoute {
            kind: RouteType::Unicast,
            table: 254,
            oif: Some(3),
            gateway: Some(ip("203.0.113.254")),
            prefsrc: Some(ip("203.0.113.1")),
            matched: None,
            mtu: None,
            expires_s: None,
            cached: false,
        })),
    };
    let answers = FibAnswers(keys.iter().filter(|k| k.iif.is_none()).map(answer).collect());
    f.put(netwhy_facts::Reading::known(answers, "RTM_GETROUTE", 1));
    let p = netwhy_walk::forward(&f, &q, &fl);
    assert_eq!(p.end, End::Sent { dev: "eth1".into(), next_hop: Some(ip("203.0.113.254")) });
    assert_eq!(p.packet.src, ip("203.0.113.1"));
    assert!(p.assumptions.iter().any(|a| a.contains("the kernel answers")), "{:?}", p.assumptions);
}

/// What iptables-nft leaves to xtables runs as the kernel's compatibility layer does.
#[test]
fn xtables_matches_and_targets_inside_nftables_rules() {
    use netwhy_facts::nft::Expr;
    use netwhy_facts::xtables::{XtMatch, XtTarget};
    let ports = |port: u16| Expr::Match {
        name: "multiport".into(),
        revision: 1,
        info: Vec::new(),
        decoded: Some(Box::new(XtMatch::Multiport { side: 1, ports: vec![(port, port)], invert: false })),
    };
    let mut h = Host::default();
    h.chain(NftFamily::Ip, "OUTPUT", "filter", 3, 0, 1);
    let handle = h.nft_rule(NftFamily::Ip, "OUTPUT", vec![ports(443), verdict(NftVerdict::Drop)]);
    assert_eq!(dropped_rule(&h.out(Proto::Tcp, "192.0.2.7", 443)), Some(handle));
    assert!(h.out(Proto::Tcp, "192.0.2.7", 80).passes());

    let mut h = Host::default();
    h.chain(NftFamily::Ip, "OUTPUT", "nat", 3, -100, 1);
    let to = ip("192.0.2.99");
    let target = XtTarget::Dnat {
        addr_min: Some(to),
        addr_max: Some(to),
        port_min: Some(8080),
        port_max: Some(8080),
        flags: 3,
    };
    let dnat =
        Expr::Target { name: "DNAT".into(), revision: 2, info: Vec::new(), decoded: Some(Box::new(target)) };
    h.nft_rule(NftFamily::Ip, "OUTPUT", vec![ports(80), dnat]);
    let p = h.out(Proto::Tcp, "192.0.2.7", 80);
    assert_eq!((p.finally.dst, p.finally.dport), (to, 8080), "{p:#?}");
    // What was not decoded is not guessed.
    let blind = Expr::Target { name: "DNAT".into(), revision: 9, info: Vec::new(), decoded: None };
    h.nft.rules[0].exprs[1] = blind;
    assert!(matches!(h.out(Proto::Tcp, "192.0.2.7", 80).end, End::Insufficient { .. }));
}
