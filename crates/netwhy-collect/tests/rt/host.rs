//! IPsec and drivers, held against ip xfrm and ethtool.

use netwhy_collect::Collector;
use netwhy_facts::{IpNet, Reading};

use crate::space::{in_namespace, output, run, try_run, value};

#[test]
fn policies_and_states_without_keys() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let collector = Collector::here().unwrap();
        let policy = "ip xfrm policy add src 198.51.100.0/24 dst 203.0.113.0/24 proto tcp dport 443 dir out priority 7 \
                      tmpl src 198.51.100.1 dst 203.0.113.1 proto esp mode tunnel";
        if !try_run(policy) {
            println!("skipped: no IPsec in this kernel");
            return;
        }
        run("ip xfrm policy add src 2001:db8::/32 dst 2001:db8:1::/48 dir in action block");
        let state = "ip xfrm state add src 198.51.100.1 dst 203.0.113.1 proto esp spi 0x1234 mode tunnel \
                     auth hmac(sha256) 0x5eC4e75eC4e7 enc ecb(cipher_null) 0x";
        let with_state = try_run(state);
        let xfrm = value(collector.xfrm());
        let out = xfrm.policies.iter().find(|policy| policy.dir == "out").unwrap();
        let net = |text: &str, length| IpNet::new(text.parse().unwrap(), length);
        assert_eq!((out.src, out.dst), (net("198.51.100.0", 24), net("203.0.113.0", 24)));
        assert_eq!((out.proto, out.sport, out.dport), (6, None, Some(443)));
        assert_eq!((out.priority, out.block), (7, false));
        let ends = (Some("198.51.100.1".parse().unwrap()), Some("203.0.113.1".parse().unwrap()));
        assert_eq!(out.templates, [(ends.0, ends.1, 50, false)]);
        let block = xfrm.policies.iter().find(|policy| policy.block).unwrap();
        assert_eq!((block.dir.as_str(), block.dst), ("in", net("2001:db8:1::", 48)));
        assert!(block.templates.is_empty());
        if with_state {
            let ends = ("198.51.100.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
            assert_eq!(xfrm.states, [(ends.0, ends.1, 50, 0x1234)]);
        } else {
            assert_eq!(xfrm.states, []);
        }
    });
}

#[test]
fn states_need_a_privilege() {
    in_namespace(&["ip"], || {
        netwhy_sys::caps::keep_only(netwhy_sys::caps::CapSet::EMPTY).unwrap();
        let reading = Collector::here().unwrap().xfrm();
        assert!(
            matches!(&reading, Reading::Denied { needs } if needs == "CAP_NET_ADMIN")
                || matches!(reading, Reading::Unsupported { .. }),
            "{reading:?}"
        );
    });
}

#[test]
fn drivers_are_what_ethtool_shows() {
    in_namespace(&["ip"], || {
        run("ip link add v0 type veth peer name v1
             ip link set v0 up
             ip link add br0 type bridge");
        let collector = Collector::here().unwrap();
        let links = value(collector.links());
        let index = |name: &str| links.by_name(name).unwrap().index;
        let nics = value(collector.nics(&[index("v0"), index("br0")])).0;
        assert_eq!(nics.len(), 2);
        let v0 = nics.iter().find(|nic| nic.ifindex == index("v0")).unwrap();
        assert_eq!(v0.driver.value().map(String::as_str), Some("veth"));
        assert_eq!(v0.link.value(), Some(&false), "the other end is down");
        assert_eq!((v0.speed_mbps.value(), v0.full_duplex.value()), (Some(&10_000), Some(&true)));
        assert!(v0.features.value().unwrap().iter().any(|feature| feature.starts_with("tx-")));
        let br0 = nics.iter().find(|nic| nic.ifindex == index("br0")).unwrap();
        assert!(matches!(br0.stats, Reading::Unsupported { .. }), "{:?}", br0.stats);
        if std::process::Command::new("ethtool").arg("--version").output().is_err() {
            println!("skipped: ethtool is not installed");
            return;
        }
        let shown = output("ethtool -S v0");
        for (name, number) in v0.stats.value().unwrap() {
            assert!(shown.contains(&format!("{name}: {number}")), "{name}: {shown}");
        }
        assert!(output("ethtool -i v0").contains("driver: veth"));
        run("ip link set v1 up");
        let nics = value(collector.nics(&[index("v0")])).0;
        assert_eq!(nics[0].link.value(), Some(&true));
    });
}
