//! Addresses, routes, rules, nexthops, lookups and neighbours of namespaces made for it, held against
//! iproute2.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::space::{in_namespace, json, output, run, try_run, value};
use netwhy_collect::Collector;
use netwhy_collect::neigh::NeighFilter;
use netwhy_facts::neigh::Nud;
use netwhy_facts::route::{FibKey, FibResult, FibRoute, Route, RouteType, RuleAction};
use netwhy_facts::{Family, IpNet};

/// Two ends of a cable with addresses of documentation prefixes, both up.
const CABLE: &str = "ip link set lo up
    ip link add v0 type veth peer name v1
    ip link set v0 addrgenmode none
    ip link set v1 addrgenmode none
    ip link set v0 up
    ip link set v1 up
    ip addr add 198.51.100.1/24 dev v0
    ip addr add 2001:db8::1/64 dev v0 nodad";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_are_what_ip_addr_shows() {
    in_namespace(&["ip"], || {
        run(CABLE);
        run("ip addr add 198.51.100.2/24 dev v0 label v0:second
             ip addr add 203.0.113.1 peer 203.0.113.2/32 dev v1
             ip addr add 203.0.113.9/28 brd + dev v1 noprefixroute valid_lft 3000 preferred_lft 1000
             ip addr add 2001:db8:1::1 peer 2001:db8:1::2 dev v1 nodad
             ip addr add 2001:db8:2::1/64 dev v1 preferred_lft 0 valid_lft forever nodad");
        let ours = value(Collector::here().unwrap().addresses());
        let mut count = 0;
        for link in json("ip -j addr show") {
            for expected in link["addr_info"].as_array().unwrap() {
                count += 1;
                let text = |key: &str| expected[key].as_str().map(ip);
                let local = text("local").unwrap();
                let found = ours.0.iter().find(|a| a.addr == local).unwrap_or_else(|| panic!("{local}"));
                assert_eq!(u64::from(found.ifindex), link["ifindex"].as_u64().unwrap());
                assert_eq!(u64::from(found.prefix), expected["prefixlen"].as_u64().unwrap(), "{local}");
                assert_eq!(found.peer, text("address"), "{local}");
                assert_eq!(found.broadcast, text("broadcast"), "{local}");
                let on = |flag: &str| expected[flag].as_bool().unwrap_or(false);
                let second = found.is_secondary() && local.is_ipv4();
                assert_eq!(second, on("secondary"), "{local}");
                assert_eq!(found.is_deprecated(), on("deprecated"), "{local}");
                assert_eq!(found.has_no_prefix_route(), on("noprefixroute"), "{local}");
                let life = |key: &str| expected[key].as_u64().unwrap();
                assert!(u64::from(found.valid_s).abs_diff(life("valid_life_time")) <= 1, "{local}");
                assert!(u64::from(found.preferred_s).abs_diff(life("preferred_life_time")) <= 1, "{local}");
                let scope = match found.scope {
                    0 => "global",
                    253 => "link",
                    254 => "host",
                    _ => "other",
                };
                assert_eq!(scope, expected["scope"].as_str().unwrap(), "{local}");
            }
        }
        assert_eq!(ours.0.len(), count);
        assert!(count >= 9);
    });
}

/// One route in the words both sides can produce: destination, table, type, metric, hops.
fn words(route: &Route, name: impl Fn(u32) -> String) -> String {
    let default = route.dst.len == 0;
    let host = route.dst.len == route.family.bits();
    let dst = match (default, host) {
        (true, _) => "default".to_owned(),
        (_, true) => route.dst.addr.to_string(),
        _ => route.dst.to_string(),
    };
    let hops: Vec<_> = route
        .hops
        .iter()
        .map(|hop| {
            let gateway = hop.gateway.map(|g| g.to_string()).unwrap_or_default();
            format!("{gateway}>{}*{}", hop.oif.map(&name).unwrap_or_default(), hop.weight)
        })
        .collect();
    let prefsrc = route.prefsrc.map(|p| p.to_string()).unwrap_or_default();
    format!(
        "{dst} table {} {} metric {} src {prefsrc} via {hops:?}",
        route.table,
        route.kind.name(),
        route.priority
    )
}

fn oracle_words(route: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    let kind = match text(&route["type"]) {
        empty if empty.is_empty() => "unicast".to_owned(),
        other => other,
    };
    let delivers = !["blackhole", "unreachable", "prohibit", "throw"].contains(&kind.as_str());
    let table = match text(&route["table"]).as_str() {
        "" | "main" => 254,
        "local" => 255,
        "default" => 253,
        number => number.parse().unwrap(),
    };
    let gateway = |hop: &serde_json::Value| match &hop["via"]["host"] {
        serde_json::Value::String(host) => host.clone(),
        _ => text(&hop["gateway"]),
    };
    let hops: Vec<_> = match route["nexthops"].as_array() {
        Some(hops) => hops
            .iter()
            .map(|hop| format!("{}>{}*{}", gateway(hop), text(&hop["dev"]), hop["weight"].as_u64().unwrap()))
            .collect(),
        None if delivers && route["dev"].is_string() => {
            vec![format!("{}>{}*1", gateway(route), text(&route["dev"]))]
        }
        None => Vec::new(),
    };
    let metric = route["metric"].as_u64().unwrap_or(0);
    format!(
        "{} table {table} {kind} metric {metric} src {} via {hops:?}",
        text(&route["dst"]),
        text(&route["prefsrc"])
    )
}

fn compare_routes() -> Vec<Route> {
    let collector = Collector::here().unwrap();
    let links = value(collector.links());
    let routes = value(collector.routes());
    assert!(routes.complete);
    let name = |index| links.by_index(index).map(|link| link.name.clone()).unwrap();
    let ours: BTreeSet<_> = routes.routes.iter().map(|route| words(route, name)).collect();
    let mut oracle = json("ip -j -d -4 route show table all");
    oracle.extend(json("ip -j -d -6 route show table all"));
    let theirs: BTreeSet<_> = oracle.iter().map(oracle_words).collect();
    assert_eq!(ours, theirs);
    assert_eq!(routes.routes.len(), oracle.len());
    routes.routes
}

#[test]
fn routes_are_what_ip_route_shows() {
    in_namespace(&["ip"], || {
        run(CABLE);
        for number in 0..200 {
            run(&format!("ip route add 203.0.113.{number}/32 via 198.51.100.254 dev v0 metric {number}"));
        }
        run("ip route add default via 198.51.100.254 dev v0 src 198.51.100.1 mtu 1300 advmss 1000
             ip route add default via 198.51.100.253 dev v0 metric 50 table 4711
             ip route add default via 2001:db8::fe dev v0 metric 20 mtu 1280
             ip route add blackhole 192.0.2.0/25
             ip route add unreachable 192.0.2.128/26 metric 9
             ip route add prohibit 192.0.2.192/27
             ip route add throw 192.0.2.224/27 table 5
             ip route add blackhole 2001:db8:bad::/48
             ip route add unreachable 2001:db8:bae::/48
             ip -6 route add 2001:db8:5::/64 via 2001:db8::fe dev v0 expires 500
             ip route add 10.1.0.0/16 nexthop via 198.51.100.10 dev v0 weight 3 nexthop via 198.51.100.11 dev v0
             ip route add 2001:db8:9::/64 nexthop via 2001:db8::a dev v0 nexthop via 2001:db8::b dev v0 weight 2
             ip route add 10.2.0.0/16 via inet6 2001:db8::77 dev v0
             ip route add 10.3.0.0/16 via 192.0.2.77 dev v0 onlink tos 8");
        let routes = compare_routes();
        let find = |dst: &str, table| {
            let (addr, len) = dst.split_once('/').unwrap();
            let dst = IpNet::new(ip(addr), len.parse().unwrap());
            routes.iter().find(|route| route.dst == dst && route.table == table).unwrap()
        };
        let default = find("0.0.0.0/0", 254);
        assert_eq!((default.mtu, default.advmss, default.protocol), (Some(1300), Some(1000), 3));
        assert_eq!(find("0.0.0.0/0", 4711).priority, 50);
        assert_eq!(find("10.1.0.0/16", 254).hops[0].weight, 3);
        assert!(find("10.3.0.0/16", 254).hops[0].is_onlink());
        assert_eq!(find("10.3.0.0/16", 254).tos, 8);
        assert_eq!(find("10.2.0.0/16", 254).hops[0].gateway, Some(ip("2001:db8::77")));
        let expires = find("2001:db8:5::/64", 254).expires_s.unwrap();
        assert!((400..=500).contains(&expires), "{expires}");
        assert_eq!(find("192.0.2.224/27", 5).kind, RouteType::Throw);

        // A dead member of a multipath route, and a device without carrier.
        run("ip link add w0 type veth peer name w1
             ip link set w0 addrgenmode none
             ip link set w0 up
             ip link set w1 up
             ip addr add 203.0.113.129/25 dev w0
             ip route add 10.4.0.0/16 nexthop via 198.51.100.10 dev v0 nexthop via 203.0.113.200 dev w0
             ip link set w1 down");
        // The kernel notices a lost carrier in its own time: up to a second.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            let routes = compare_routes();
            let to = IpNet::new(ip("10.4.0.0"), 16);
            let multipath = routes.iter().find(|route| route.dst == to).unwrap();
            assert!(!multipath.hops[0].is_linkdown());
            if multipath.hops[1].is_linkdown() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{multipath:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }

        let few = value(Collector::here().unwrap().routes_bounded(20));
        assert!(!few.complete);
        assert_eq!(few.routes.iter().filter(|route| route.family == Family::Inet).count(), 20);
    });
}

#[test]
fn rules_are_what_ip_rule_shows() {
    in_namespace(&["ip"], || {
        run(CABLE);
        run("ip rule add pref 100 from 198.51.100.0/25 to 203.0.113.7 lookup 10
             ip rule add pref 110 not from 192.0.2.0/24 iif v0 lookup 11
             ip rule add pref 120 oif v1 fwmark 0x10/0xff tos 0x10 lookup main
             ip rule add pref 130 uidrange 1000-2000 ipproto tcp sport 1000-2000 dport 443 lookup 12
             ip rule add pref 140 ipproto udp dport 53 blackhole
             ip rule add pref 150 to 192.0.2.1 unreachable
             ip rule add pref 160 to 192.0.2.2 prohibit
             ip rule add pref 170 goto 32766
             ip rule add pref 180 nop
             ip rule add pref 190 lookup main suppress_prefixlength 0
             ip rule add pref 195 fwmark 5 lookup 4294967294
             ip -6 rule add pref 200 from 2001:db8::/32 lookup 13");
        let rules = value(Collector::here().unwrap().rules());
        let oracle = [json("ip -j -4 rule show"), json("ip -j -6 rule show")].concat();
        assert_eq!(rules.0.len(), oracle.len());
        for (ours, theirs) in rules.0.iter().zip(&oracle) {
            assert_eq!(u64::from(ours.priority), theirs["priority"].as_u64().unwrap());
            assert_eq!(ours.iif.as_deref(), theirs["iif"].as_str());
            assert_eq!(ours.oif.as_deref(), theirs["oif"].as_str());
            assert_eq!(ours.invert, theirs.get("not").is_some());
            assert_eq!(ours.unknown, [0u16; 0], "{ours:?}");
        }
        let at = |priority| rules.0.iter().find(|rule| rule.priority == priority).unwrap();
        assert_eq!(at(100).from, Some(IpNet::new(ip("198.51.100.0"), 25)));
        assert_eq!(at(100).to, Some(IpNet::new(ip("203.0.113.7"), 32)));
        assert_eq!(at(100).action, RuleAction::Table(10));
        assert_eq!((at(120).fwmark, at(120).tos), (Some((0x10, 0xff)), 0x10));
        assert_eq!(at(120).action, RuleAction::Table(254));
        assert_eq!(at(130).uid_range, Some((1000, 2000)));
        assert_eq!((at(130).sport, at(130).dport), (Some((1000, 2000)), Some((443, 443))));
        assert_eq!((at(130).ip_proto, at(140).ip_proto), (Some(6), Some(17)));
        assert_eq!(at(140).action, RuleAction::Blackhole);
        assert_eq!(at(150).action, RuleAction::Unreachable);
        assert_eq!(at(160).action, RuleAction::Prohibit);
        assert_eq!(at(170).action, RuleAction::Goto(32766));
        assert_eq!(at(180).action, RuleAction::Nop);
        assert_eq!((at(190).suppress_prefixlen, at(100).suppress_prefixlen), (Some(0), None));
        assert_eq!(at(195).action, RuleAction::Table(4_294_967_294));
        assert_eq!(at(200).family, Family::Inet6);
        if try_run("ip rule add pref 210 l3mdev") {
            let rules = value(Collector::here().unwrap().rules());
            assert!(rules.0.iter().any(|rule| rule.l3mdev));
        }
    });
}

#[test]
fn nexthops_are_what_ip_nexthop_shows() {
    in_namespace(&["ip"], || {
        run(CABLE);
        if !try_run("ip nexthop add id 1 via 198.51.100.10 dev v0") {
            println!("skipped: the kernel has no nexthop objects");
            return;
        }
        run("ip nexthop add id 2 via 2001:db8::b dev v0
             ip nexthop add id 3 blackhole
             ip nexthop add id 4 via 198.51.100.11 dev v0
             ip nexthop add id 10 group 1,5/4
             ip route add 10.9.0.0/16 nhid 10
             ip route add 2001:db8:77::/64 nhid 2");
        let collector = Collector::here().unwrap();
        let nexthops = value(collector.nexthops());
        let oracle = json("ip -j nexthop show");
        assert_eq!(nexthops.0.len(), oracle.len());
        for theirs in &oracle {
            let id = theirs["id"].as_u64().unwrap() as u32;
            let ours = nexthops.0.iter().find(|nexthop| nexthop.id == id).unwrap();
            assert_eq!(ours.gateway, theirs["gateway"].as_str().map(ip), "{id}");
            assert_eq!(ours.blackhole, theirs.get("blackhole").is_some(), "{id}");
            assert_eq!(ours.oif.is_some(), theirs["dev"].is_string(), "{id}");
        }
        let group = nexthops.0.iter().find(|nexthop| nexthop.id == 10).unwrap();
        assert_eq!(group.group, [(1, 5), (4, 1)]);
        let routes = value(collector.routes());
        let over = |dst: &str| routes.routes.iter().find(|route| route.dst.addr == ip(dst)).unwrap();
        assert_eq!(over("10.9.0.0").nhid, Some(10));
        assert_eq!(over("10.9.0.0").hops.len(), 2);
        assert_eq!(over("2001:db8:77::").nhid, Some(2));
    });
}

fn lookup(collector: &Collector, key: &FibKey) -> FibResult {
    value(collector.fib(std::slice::from_ref(key))).find(key).unwrap().result.clone()
}

fn route(result: FibResult) -> FibRoute {
    match result {
        FibResult::Route(route) => *route,
        FibResult::Error { name, text, .. } => panic!("{name} {text}"),
    }
}

fn error(result: FibResult) -> (String, String) {
    match result {
        FibResult::Error { errno, name, text } => {
            assert!(errno > 0);
            (name, text)
        }
        FibResult::Route(route) => panic!("{route:?}"),
    }
}

#[test]
fn lookups_are_what_ip_route_get_says() {
    in_namespace(&["ip"], || {
        run(CABLE);
        run("ip addr add 198.51.100.3/24 dev v0
             ip route add 203.0.113.0/24 via 198.51.100.254 dev v0 src 198.51.100.3 mtu 1400
             ip route add default via 198.51.100.253 dev v0 table 10
             ip route add blackhole 192.0.2.0/26
             ip route add unreachable 192.0.2.64/26
             ip route add prohibit 192.0.2.128/26
             ip route add blackhole 2001:db8:b::/48
             ip route add unreachable 2001:db8:a::/48
             ip route add prohibit 2001:db8:c::/48
             ip route add 2001:db8:5::/48 via 2001:db8::fe dev v0
             ip rule add pref 100 fwmark 7 lookup 10
             ip rule add pref 110 uidrange 1000-1000 lookup 10
             ip rule add pref 120 ipproto tcp dport 443 lookup 10
             ip rule add pref 130 from 198.51.100.3 to 10.0.0.0/8 lookup 10
             ip rule add pref 140 tos 0x10 lookup 10");
        let collector = Collector::here().unwrap();
        let v0 = value(collector.links()).by_name("v0").unwrap().index;

        let to = |dst: &str| FibKey::to(ip(dst));
        for dst in ["203.0.113.5", "198.51.100.1", "198.51.100.77", "127.0.0.1", "2001:db8:5::1", "::1"] {
            let ours = route(lookup(&collector, &to(dst)));
            let theirs = &json(&format!("ip -j route get {dst}"))[0];
            assert_eq!(ours.gateway.map(|g| g.to_string()).as_deref(), theirs["gateway"].as_str(), "{dst}");
            assert_eq!(ours.prefsrc.unwrap().to_string(), theirs["prefsrc"].as_str().unwrap(), "{dst}");
            let links = value(collector.links());
            let dev = ours.oif.and_then(|oif| links.by_index(oif)).map(|link| link.name.as_str());
            assert_eq!(dev, theirs["dev"].as_str(), "{dst}");
            assert!(!ours.cached, "{dst}");
        }
        let found = route(lookup(&collector, &to("203.0.113.5")));
        assert_eq!((found.table, found.kind, found.mtu), (254, RouteType::Unicast, Some(1400)));
        let matched = found.matched.unwrap();
        assert_eq!(matched.dst, IpNet::new(ip("203.0.113.0"), 24));
        assert_eq!(matched.hops[0].gateway, Some(ip("198.51.100.254")));
        let local = route(lookup(&collector, &to("198.51.100.1")));
        assert_eq!((local.kind, local.table), (RouteType::Local, 255));
        let six = route(lookup(&collector, &to("2001:db8:5::1")));
        assert_eq!(six.matched.unwrap().dst, IpNet::new(ip("2001:db8:5::"), 48));

        // Every part of the key counts.
        let far = ip("10.0.0.1");
        let gone = error(lookup(&collector, &FibKey::to(far)));
        assert_eq!(gone.0, "ENETUNREACH");
        let other = Some(ip("198.51.100.253"));
        for key in [
            FibKey { mark: 7, ..FibKey::to(far) },
            FibKey { uid: Some(1000), ..FibKey::to(far) },
            FibKey { ip_proto: Some(6), dport: Some(443), ..FibKey::to(far) },
            FibKey { src: Some(ip("198.51.100.3")), ..FibKey::to(far) },
            FibKey { tos: 0x13, ..FibKey::to(far) },
        ] {
            let found = route(lookup(&collector, &key));
            assert_eq!((found.gateway, found.table), (other, 10), "{key:?}");
        }
        let plain = FibKey { ip_proto: Some(6), dport: Some(80), uid: Some(1001), ..FibKey::to(far) };
        assert_eq!(error(lookup(&collector, &plain)).0, "ENETUNREACH");
        // Bound to a device, the kernel sends even without a route.
        let bound = route(lookup(&collector, &FibKey { oif: Some(v0), ..FibKey::to(far) }));
        assert_eq!((bound.oif, bound.gateway), (Some(v0), None));

        // Refusals, alike for both families.
        for (dst, name) in [
            ("192.0.2.1", "EINVAL"),
            ("192.0.2.65", "EHOSTUNREACH"),
            ("192.0.2.129", "EACCES"),
            ("2001:db8:b::1", "EINVAL"),
            ("2001:db8:a::1", "EHOSTUNREACH"),
            ("2001:db8:c::1", "EACCES"),
            ("2001:db8:ffff::1", "ENETUNREACH"),
        ] {
            assert_eq!(error(lookup(&collector, &to(dst))).0, name, "{dst}");
        }

        // As if it arrived: not forwarding, then forwarding, then from the wrong side.
        let arriving = |src: &str| FibKey {
            src: Some(ip(src)),
            iif: Some(v0),
            ip_proto: Some(1),
            ..FibKey::to(ip("203.0.113.5"))
        };
        let refused = error(lookup(&collector, &arriving("198.51.100.77"))).0;
        assert_eq!(refused, "EHOSTUNREACH");
        std::fs::write("/proc/sys/net/ipv4/conf/all/forwarding", "1").unwrap();
        let forwarded = route(lookup(&collector, &arriving("198.51.100.77")));
        assert_eq!(forwarded.gateway, Some(ip("198.51.100.254")));
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        // EXDEV until 6.14, where refusals by source became drop reasons and all of them EINVAL here.
        let wrong_side = error(lookup(&collector, &arriving("10.9.9.9"))).0;
        assert!(["EXDEV", "EINVAL"].contains(&wrong_side.as_str()), "{wrong_side}");
        let missing = FibKey { iif: Some(4711), ..arriving("198.51.100.77") };
        assert_eq!(error(lookup(&collector, &missing)).0, "ENODEV");
    });
}

#[test]
fn neighbours_are_what_ip_neigh_shows() {
    in_namespace(&["ip"], || {
        run(CABLE);
        run("ip neigh add 198.51.100.10 lladdr 02:00:00:00:00:10 dev v0 nud permanent
             ip neigh add 198.51.100.11 lladdr 02:00:00:00:00:11 dev v0 nud stale
             ip neigh add 198.51.100.12 lladdr 02:00:00:00:00:12 dev v0 nud reachable
             ip neigh add 198.51.100.13 dev v0 nud failed
             ip neigh add 203.0.113.5 lladdr 02:00:00:00:00:13 dev v1 nud noarp
             ip neigh add 2001:db8::10 lladdr 02:00:00:00:00:14 dev v0 nud stale
             ip neigh add proxy 198.51.100.99 dev v0");
        let collector = Collector::here().unwrap();
        let links = value(collector.links());
        let v0 = links.by_name("v0").unwrap().index;
        let all = value(collector.neighbours(NeighFilter::All));
        let states = |entries: &[netwhy_facts::neigh::Neighbour]| -> BTreeSet<String> {
            let shown = entries.iter().filter(|entry| !entry.proxy && !entry.addr.is_multicast());
            shown.map(|e| format!("{} {:?} {}", e.addr, e.lladdr, e.state.name())).collect()
        };
        let oracle: BTreeSet<_> = json("ip -j -s neigh show nud all")
            .iter()
            .filter(|entry| !ip(entry["dst"].as_str().unwrap()).is_multicast())
            .map(|entry| {
                let lladdr = entry["lladdr"].as_str();
                format!(
                    "{} {lladdr:?} {}",
                    entry["dst"].as_str().unwrap(),
                    entry["state"][0].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(states(&all.0), oracle);
        assert_eq!(all.find(v0, &ip("198.51.100.13")).unwrap().state, Nud::Failed);
        let proxies: Vec<_> = all.0.iter().filter(|entry| entry.proxy).map(|entry| entry.addr).collect();
        assert_eq!(proxies, [ip("198.51.100.99")]);

        let one_device = value(collector.neighbours(NeighFilter::Devices(&[v0])));
        assert!(one_device.0.iter().all(|entry| entry.ifindex == v0));
        let there: Vec<_> = all.0.iter().filter(|entry| entry.ifindex == v0).cloned().collect();
        assert_eq!(states(&one_device.0), states(&there));

        let wanted = [(v0, ip("198.51.100.12")), (v0, ip("198.51.100.200")), (v0, ip("2001:db8::10"))];
        let exact = value(collector.neighbours(NeighFilter::Entries(&wanted)));
        assert_eq!(exact.0.len(), 2);
        let reachable = exact.find(v0, &ip("198.51.100.12")).unwrap();
        assert_eq!(
            (reachable.state, reachable.lladdr.as_deref()),
            (Nud::Reachable, Some("02:00:00:00:00:12"))
        );
        assert!(reachable.updated_ms.unwrap() < 60_000);

        // An address nobody has: the kernel asks, and the entry is incomplete and counts its tries.
        let socket = std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
        socket.send_to(b"?", "198.51.100.66:9").unwrap();
        let asked = [(v0, ip("198.51.100.66"))];
        let entry = value(collector.neighbours(NeighFilter::Entries(&asked))).0.remove(0);
        assert_eq!((entry.state, entry.lladdr), (Nud::Incomplete, None));
    });
}

#[test]
fn neighbour_tables_are_what_ip_ntable_shows() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let tables = value(Collector::here().unwrap().neigh_tables());
        let text = output("ip -s ntable show name arp_cache");
        let number = |key: &str| -> u64 {
            let mut words = text.split_whitespace();
            words.find(|word| *word == key).unwrap_or_else(|| panic!("{key}: {text}"));
            words.next().unwrap().parse().unwrap()
        };
        let arp = tables.0.iter().find(|table| table.family == Family::Inet).unwrap();
        assert_eq!(u64::from(arp.gc_thresh1), number("thresh1"));
        assert_eq!(u64::from(arp.gc_thresh2), number("thresh2"));
        assert_eq!(u64::from(arp.gc_thresh3), number("thresh3"));
        assert_eq!(arp.table_fulls, number("table_fulls"));
        assert_eq!(tables.0.len(), 2);
    });
}
