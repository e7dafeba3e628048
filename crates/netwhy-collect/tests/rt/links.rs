//! Links, addresses and forwarding entries of namespaces made for it, held against iproute2.

use crate::space::{in_namespace, json, run, try_run, value, without_ipv6};
use netwhy_collect::Collector;
use netwhy_facts::link::OperState;

/// Compares every link with `ip -j -d -s link`.
fn compare_links() {
    let links = value(Collector::here().unwrap().links());
    let oracle = json("ip -j -d -s link show");
    assert_eq!(links.0.len(), oracle.len());
    for expected in &oracle {
        let name = expected["ifname"].as_str().unwrap();
        let link = links.by_name(name).unwrap_or_else(|| panic!("no link {name}"));
        assert_eq!(u64::from(link.index), expected["ifindex"].as_u64().unwrap(), "{name}");
        assert_eq!(u64::from(link.mtu), expected["mtu"].as_u64().unwrap(), "{name}");
        assert_eq!(link.mac, expected["address"].as_str().unwrap_or(""), "{name}");
        assert_eq!(link.qdisc, expected["qdisc"].as_str().unwrap_or(""), "{name}");
        assert_eq!(u64::from(link.txqlen), expected["txqlen"].as_u64().unwrap_or(0), "{name}");
        assert_eq!(link.kind.as_deref(), expected["linkinfo"]["info_kind"].as_str(), "{name}");
        assert_eq!(link.alias.as_deref(), expected["ifalias"].as_str(), "{name}");
        let state = match link.operstate {
            OperState::Up => "UP",
            OperState::Down => "DOWN",
            OperState::LowerLayerDown => "LOWERLAYERDOWN",
            OperState::Dormant => "DORMANT",
            OperState::NotPresent => "NOTPRESENT",
            OperState::Testing => "TESTING",
            OperState::Unknown => "UNKNOWN",
        };
        assert_eq!(state, expected["operstate"].as_str().unwrap(), "{name}");
        let flags = expected["flags"].as_array().unwrap();
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        assert_eq!(link.is_up(), has("UP"), "{name}");
        assert_eq!(link.is_lower_up(), has("LOWER_UP"), "{name}");
        assert_eq!(link.is_noarp(), has("NOARP"), "{name}");
        assert_eq!(link.is_loopback(), has("LOOPBACK"), "{name}");
        let master = link.master.and_then(|index| links.by_index(index)).map(|link| link.name.as_str());
        assert_eq!(master, expected["master"].as_str(), "{name}");
        let rx = &expected["stats64"]["rx"];
        assert_eq!(link.stats.rx_packets, rx["packets"].as_u64().unwrap(), "{name}");
        assert_eq!(link.stats.rx_dropped, rx["dropped"].as_u64().unwrap(), "{name}");
        assert_eq!(link.stats.tx_bytes, expected["stats64"]["tx"]["bytes"].as_u64().unwrap(), "{name}");
        assert_eq!(link.unknown, [0u16; 0], "{name}: attributes this build has never heard of");
    }
}

#[test]
fn links_are_what_ip_link_shows() {
    in_namespace(&["ip"], || {
        run("ip link set lo up
             ip link add v0 type veth peer name v1
             ip link add br0 type bridge stp_state 1 mcast_snooping 0 nf_call_iptables 1
             ip link set v1 master br0
             ip link set v0 up alias to-the-bridge mtu 1400
             ip link set br0 up
             ip link set v1 type bridge_slave isolated on learning off hairpin on flood off cost 77
             ip link add vx0 type vxlan id 4242 remote 198.51.100.9 local 198.51.100.1 dstport 4789 dev v0
             ip link add vx6 type vxlan id 7 remote 2001:db8::9 local 2001:db8::1 dstport 4790 nolearning
             ip link add mv0 link v0 type macvlan mode private");
        compare_links();
        let links = value(Collector::here().unwrap().links());
        let index = |name| links.by_name(name).unwrap().index;
        let v0 = links.by_name("v0").unwrap();
        assert_eq!((v0.mtu, v0.alias.as_deref()), (1400, Some("to-the-bridge")));
        assert_eq!((v0.lower, v0.peer_netns), (Some(index("v1")), None));
        assert_eq!(v0.carrier, Some(false), "the peer is down");
        assert_eq!(v0.operstate, OperState::LowerLayerDown);
        let bridge = links.by_name("br0").unwrap().bridge.clone().unwrap();
        assert_eq!((bridge.stp_state, bridge.mcast_snooping, bridge.vlan_filtering), (1, false, false));
        let port = links.by_name("v1").unwrap().bridge_port.clone().unwrap();
        assert_eq!((port.state.as_str(), port.cost), ("disabled", 77));
        assert!(port.isolated && port.hairpin && !port.learning && !port.unicast_flood);
        assert!(port.bcast_flood && port.mcast_flood && !port.locked && port.vlans.is_empty());
        let vx0 = links.by_name("vx0").unwrap().vxlan.clone().unwrap();
        assert_eq!((vx0.vni, vx0.port, vx0.lower), (4242, 4789, Some(index("v0"))));
        assert_eq!(vx0.remote, Some("198.51.100.9".parse().unwrap()));
        assert_eq!(vx0.local, Some("198.51.100.1".parse().unwrap()));
        assert!(vx0.learning && !vx0.external);
        let vx6 = links.by_name("vx6").unwrap().vxlan.clone().unwrap();
        assert_eq!(vx6.remote, Some("2001:db8::9".parse().unwrap()));
        assert_eq!((vx6.vni, vx6.learning, vx6.lower), (7, false, None));
        let mv0 = links.by_name("mv0").unwrap();
        assert_eq!((mv0.mode.as_deref(), mv0.lower), (Some("private"), Some(v0.index)));
    });
}

#[test]
fn kinds_the_kernel_may_lack() {
    in_namespace(&["ip"], || {
        run("ip link add v0 type veth peer name v1");
        let collector = Collector::here().unwrap();
        let link = |name: &str| value(collector.links()).by_name(name).cloned().unwrap();
        if try_run("ip link add vl0 link v0 type vlan id 42 protocol 802.1ad") {
            let vlan = link("vl0").vlan.unwrap();
            assert_eq!((vlan.id, vlan.protocol), (42, 0x88a8));
        }
        if try_run("ip link add iv0 link v0 type ipvlan mode l3") {
            assert_eq!(link("iv0").mode.as_deref(), Some("l3"));
        }
        if try_run("ip link add bo0 type bond mode active-backup") {
            let bond = link("bo0").bond.unwrap();
            assert_eq!((bond.mode, bond.active), (1, None));
        }
        if try_run("ip link add vrf0 type vrf table 77") {
            assert_eq!(link("vrf0").vrf_table, Some(77));
        }
        if try_run("ip link add gre1 type gre local 198.51.100.1 remote 198.51.100.2 ikey 5 okey 6") {
            let gre = link("gre1").tunnel.unwrap();
            assert_eq!((gre.ikey, gre.okey), (Some(5), Some(6)));
            assert_eq!(gre.remote, Some("198.51.100.2".parse().unwrap()));
        }
        if try_run("ip link add t4 type ipip local 198.51.100.1 remote 198.51.100.2") {
            assert_eq!(link("t4").tunnel.unwrap().local, Some("198.51.100.1".parse().unwrap()));
        }
        if try_run("ip link add t6 type ip6tnl local 2001:db8::1 remote 2001:db8::2") {
            assert_eq!(link("t6").tunnel.unwrap().remote, Some("2001:db8::2".parse().unwrap()));
        }
        if try_run("ip link add ge0 type geneve id 9 remote 198.51.100.2") {
            assert_eq!(link("ge0").tunnel.unwrap().ikey, Some(9));
        }
        if try_run("ip link add brf type bridge vlan_filtering 1 vlan_default_pvid 5") {
            run("ip link set v1 master brf
                 bridge vlan add dev v1 vid 10-12
                 bridge vlan add dev v1 vid 20 untagged");
            let port = link("v1").bridge_port.unwrap();
            let vids: Vec<_> = port.vlans.iter().map(|vlan| vlan.vid).collect();
            assert_eq!(vids, [5, 10, 11, 12, 20]);
            assert!(port.vlans[0].pvid && port.vlans[0].untagged && port.vlans[4].untagged);
        }
        compare_links();
    });
}

#[test]
fn a_peer_in_another_namespace_is_named_by_its_local_id() {
    in_namespace(&["ip"], || {
        // Held open by a process of its own, which ends when its standard input does.
        let mut holder = std::process::Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let ours = netwhy_sys::netns::current().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while netwhy_sys::netns::of_process(holder.id()).is_ok_and(|id| id == ours) {
            assert!(std::time::Instant::now() < deadline, "unshare did not unshare");
            std::thread::yield_now();
        }
        run(&format!("ip link add v0 type veth peer name v1 netns {}", holder.id()));
        let links = value(Collector::here().unwrap().links());
        let v0 = links.by_name("v0").unwrap();
        assert!(v0.lower.is_some() && v0.peer_netns.is_some());
        drop(holder.stdin.take());
        holder.wait().unwrap();
    });
}

#[test]
fn forwarding_entries_are_what_bridge_fdb_shows() {
    in_namespace(&["ip", "bridge"], || {
        without_ipv6();
        run("ip link add br0 type bridge
             ip link add v0 type veth peer name v1
             ip link set v1 master br0
             ip link set v0 up
             ip link set v1 up
             ip link set br0 up
             bridge fdb add 02:00:00:00:00:05 dev v1 master static
             ip link add vx0 type vxlan id 1 dstport 4789
             bridge fdb add 02:00:00:00:00:06 dev vx0 dst 198.51.100.7");
        let collector = Collector::here().unwrap();
        let links = value(collector.links());
        let fdb = value(collector.fdb());
        let mut ours: Vec<_> = fdb
            .0
            .iter()
            .map(|entry| {
                let name = links.by_index(entry.ifindex).unwrap().name.clone();
                (name, entry.mac.clone(), entry.vlan, entry.remote.map(|ip| ip.to_string()))
            })
            .collect();
        let mut theirs: Vec<_> = json("bridge -j fdb show")
            .iter()
            .map(|entry| {
                let text = |key: &str| entry[key].as_str().map(str::to_owned);
                let vlan = entry["vlan"].as_u64().map(|vlan| vlan as u16);
                (text("ifname").unwrap(), text("mac").unwrap(), vlan, text("dst"))
            })
            .collect();
        // Multicast groups are joined by the kernel on its own, while we look.
        let unicast =
            |entry: &(String, String, _, _)| u8::from_str_radix(&entry.1[..2], 16).unwrap() & 1 == 0;
        ours.retain(unicast);
        theirs.retain(unicast);
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
        assert!(ours.iter().any(|entry| entry.3.as_deref() == Some("198.51.100.7")));
    });
}
