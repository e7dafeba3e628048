//! The rtnetlink decoders against recorded answers and damaged bytes.

use netwhy_facts::link::{Link, OperState};
use netwhy_facts::neigh::Nud;
use netwhy_facts::route::{RouteType, RuleAction};
use netwhy_wire::netlink::Attributes;

use crate::testing::{damage, recorded};
use crate::{address, link, neigh, route, tc};

const RECORDED: &str = include_str!("../fixtures/rt.txt");

/// Decodes a payload as what it was recorded as, by way of its debug text so that all kinds fit one list.
fn decode(kind: &str, payload: &[u8]) -> Result<String, netwhy_wire::netlink::AttributeError> {
    fn text<T: std::fmt::Debug>(value: T) -> String {
        format!("{value:?}")
    }
    match kind {
        "link" => link::decode_link(payload).map(text),
        "conf" => crate::sysctl::decode_conf(payload).map(text),
        "vlans" => link::decode_port_vlans(payload).map(text),
        "fdb" => link::decode_fdb(payload).map(text),
        "address" => address::decode_address(payload).map(text),
        "route" => route::decode_route(payload).map(text),
        "answer" => route::decode_answer(payload).map(text),
        "rule" => route::decode_rule(payload).map(text),
        "nexthop" => route::decode_nexthop(payload).map(text),
        "neighbour" => neigh::decode_neighbour(payload).map(text),
        "table" => neigh::decode_neigh_table(payload).map(text),
        "qdisc" => tc::decode_qdisc(payload).map(text),
        "class" => tc::decode_class(payload).map(text),
        "filter" => tc::decode_filter(payload).map(text),
        other => panic!("what is {other}?"),
    }
}

/// All payloads recorded as one kind.
fn of(kind: &str) -> Vec<Vec<u8>> {
    recorded(RECORDED).into_iter().filter(|(word, _)| word == kind).map(|(_, bytes)| bytes).collect()
}

#[test]
fn recorded_answers_decode_whole() {
    let all = recorded(RECORDED);
    assert!(all.len() > 60, "{}", all.len());
    for (kind, payload) in all {
        decode(&kind, &payload).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn damaged_answers_end_without_panic() {
    for (kind, payload) in recorded(RECORDED) {
        damage(&payload, 60, |broken| {
            let _ = decode(&kind, broken);
        });
        // Every decoder sees the start of every kind of message.
        for other in [
            "link",
            "vlans",
            "conf",
            "fdb",
            "address",
            "route",
            "answer",
            "rule",
            "nexthop",
            "neighbour",
            "table",
            "qdisc",
            "class",
            "filter",
        ] {
            damage(&payload, 2, |broken| {
                let _ = decode(other, broken);
            });
        }
    }
}

#[test]
fn other_decoders_survive_any_bytes() {
    let texts = [
        include_str!("../fixtures/rt.txt").lines().next().unwrap(),
        "Tcp: RtoMin MaxConn\nTcp: 200 -1\nUdp: NoPorts\nUdp: 3\n",
        "TCP: inuse 5 orphan 0\nsockets: used 7\n",
        "0000000a 00000001 00000002\n",
        "entries allocs unresolved_discards\n0000000a 00000001 00000002\n",
        "prog_id:\t7\nlink_id:\t9\n",
        "41 31 0:38 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    ];
    for text in texts {
        damage(text.as_bytes(), 2_000, |broken| {
            let text = String::from_utf8_lossy(broken);
            let mut mib = netwhy_facts::mib::Mib::default();
            let _ = crate::mib::decode_pairs("x", &text, &mut mib);
            let _ = crate::mib::decode_lines("x", &text, "", &mut mib);
            let _ = crate::mib::decode_sockstat(&text, &mut netwhy_facts::mib::Sockstat::default());
            let _ = (crate::mib::decode_softnet(&text), neigh::column(&text, "unresolved_discards"));
            let _ = crate::bpf::decode_fdinfo(&text);
            if let Some(mount) = crate::bpf::cgroup_mount(&text) {
                let _ = crate::bpf::directories(&mount, &text);
            }
        });
    }
    for (_, payload) in recorded(RECORDED) {
        // Long enough for the structures of IPsec.
        let long = payload.repeat(3);
        damage(&long, 20, |broken| {
            let _ = (crate::host::decode_policy(broken), crate::host::decode_state(broken));
            let _ = (crate::host::decode_family(broken, "x"), crate::host::decode_linkstate(broken));
            let _ = crate::bpf::decode_hook(broken);
        });
    }
}

#[test]
fn a_cut_answer_is_refused_and_not_half_read() {
    let mut refused = 0;
    for (kind, payload) in recorded(RECORDED) {
        let header = match kind.as_str() {
            "link" => 16,
            "table" => 4,
            "address" | "nexthop" => 8,
            "qdisc" | "class" | "filter" => 20,
            _ => 12,
        };
        for length in 0..payload.len() {
            let cut = &payload[..length];
            let broken = Attributes::after(cut, header).any(|attribute| attribute.is_err());
            if length < header || broken {
                refused += 1;
                assert!(decode(&kind, cut).is_err(), "{kind} cut to {length} of {}", payload.len());
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn links_of_every_recorded_kind() {
    let links: Vec<Link> = of("link").iter().map(|payload| link::decode_link(payload).unwrap()).collect();
    let named = |name: &str| links.iter().find(|link| link.name == name).unwrap();
    assert!(named("lo").is_loopback());
    let v0 = named("v0");
    assert_eq!((v0.index, v0.mac.as_str(), v0.kind.as_deref()), (10, "02:00:00:00:00:10", Some("veth")));
    assert_eq!((v0.alias.as_deref(), v0.lower, v0.operstate), (Some("recorded"), Some(11), OperState::Up));
    let v1 = named("v1");
    let port = v1.bridge_port.as_ref().unwrap();
    assert_eq!((v1.master, port.isolated, port.cost), (Some(12), true, 77));
    assert_eq!(named("vx0").vxlan.as_ref().unwrap().vni, 42);
    assert_eq!(named("mv0").mode.as_deref(), Some("vepa"));
    assert!(links.iter().all(|link| link.unknown.is_empty()));
}

#[test]
fn an_attribute_from_the_future_is_kept_by_number() {
    let mut payload = of("link").remove(0);
    payload.extend([8, 0, 0x39, 0x05, 1, 2, 3, 4]);
    assert_eq!(link::decode_link(&payload).unwrap().unknown, [0x539]);
    let mut payload = of("rule").remove(0);
    payload.extend([8, 0, 99, 0, 1, 2, 3, 4]);
    assert_eq!(route::decode_rule(&payload).unwrap().unwrap().unknown, [99]);
}

#[test]
fn an_attribute_of_the_wrong_length_is_named() {
    let mut payload = of("link").remove(0);
    // IFLA_MTU with two bytes.
    payload.extend([6, 0, 4, 0, 1, 2, 0, 0]);
    let error = link::decode_link(&payload).unwrap_err();
    assert_eq!(error.kind, 4);
    assert!(error.to_string().contains("holds 2 bytes where 4 were expected"), "{error}");
}

#[test]
fn routes_and_rules() {
    let routes: Vec<_> =
        of("route").iter().filter_map(|payload| route::decode_route(payload).unwrap()).collect();
    let to = |text: &str| {
        let found = routes.iter().find(|route| route.dst.to_string() == text);
        found.unwrap_or_else(|| panic!("no {text}"))
    };
    let multipath = to("10.1.0.0/16");
    assert_eq!(multipath.hops.iter().map(|hop| hop.weight).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(to("2001:db8:9::/64").hops.len(), 2);
    assert_eq!(to("10.2.0.0/16").hops[0].gateway, Some("2001:db8::77".parse().unwrap()));
    let refused = to("192.0.2.0/24");
    assert_eq!((refused.kind, refused.priority, refused.hops.len()), (RouteType::Unreachable, 9, 0));
    let default = routes.iter().find(|route| route.table == 4711).unwrap();
    assert_eq!((default.mtu, default.prefsrc), (Some(1300), Some("198.51.100.1".parse().unwrap())));
    // The last recorded route is what RTM_F_FIB_MATCH answered: the entry, not the choice made from it.
    assert_eq!(routes.last().unwrap().dst.to_string(), "10.1.0.0/16");
    let answer = route::decode_answer(&of("answer")[0]).unwrap().unwrap();
    let route::Answer::Route(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.oif, answer.table, answer.cached), (Some(10), 254, false));

    let rules: Vec<_> =
        of("rule").iter().filter_map(|payload| route::decode_rule(payload).unwrap()).collect();
    let rule = rules.iter().find(|rule| rule.priority == 100).unwrap();
    assert!(rule.invert);
    assert_eq!((rule.fwmark, rule.tos, rule.iif.as_deref()), (Some((0x10, 0xff)), 0x10, Some("v0")));
    let rule = rules.iter().find(|rule| rule.priority == 130).unwrap();
    assert_eq!((rule.sport, rule.dport), (Some((1000, 2000)), Some((443, 443))));
    assert_eq!(rule.action, RuleAction::Table(4_294_967_294));
}

#[test]
fn neighbours_and_forwarding_entries() {
    let entries: Vec<_> =
        of("neighbour").iter().filter_map(|payload| neigh::decode_neighbour(payload).unwrap()).collect();
    let at = |text: &str| entries.iter().find(|entry| entry.addr.to_string() == text).unwrap();
    assert_eq!(at("198.51.100.10").lladdr.as_deref(), Some("02:00:00:00:00:aa"));
    assert_eq!((at("198.51.100.10").state, at("198.51.100.13").state), (Nud::Permanent, Nud::Failed));
    assert!(at("198.51.100.99").proxy);
    let tables: Vec<_> =
        of("table").iter().filter_map(|payload| neigh::decode_neigh_table(payload).unwrap()).collect();
    assert_eq!(tables.len(), 2, "parameters of devices are left out");
    let fdb: Vec<_> = of("fdb").iter().filter_map(|payload| link::decode_fdb(payload).unwrap()).collect();
    let entry = fdb.iter().find(|entry| entry.mac == "02:00:00:00:00:cc").unwrap();
    assert_eq!((entry.ifindex, entry.remote), (13, Some("198.51.100.7".parse().unwrap())));
}

#[test]
fn bridge_vlans_with_ranges() {
    // No recorded kernel filters VLANs: the layout is that of IFLA_AF_SPEC with IFLA_BRIDGE_VLAN_INFO.
    let mut message =
        netwhy_wire::netlink::Builder::with_header(&[7, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let info = |flags: u16, vid: u16| [flags.to_ne_bytes(), vid.to_ne_bytes()].concat();
    message.nest(26, |spec| {
        spec.bytes(2, &info(2 | 4, 5)).bytes(2, &info(8, 10)).bytes(2, &info(16, 12)).bytes(2, &info(4, 20));
    });
    let (index, vlans) = link::decode_port_vlans(&message.finish().unwrap()).unwrap();
    assert_eq!(index, 11);
    let shown: Vec<_> = vlans.iter().map(|vlan| (vlan.vid, vlan.pvid, vlan.untagged)).collect();
    let plain = |vid| (vid, false, false);
    assert_eq!(shown, [(5, true, true), plain(10), plain(11), plain(12), (20, false, true)]);
}
