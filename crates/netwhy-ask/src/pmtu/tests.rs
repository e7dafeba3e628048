//! Through a router in namespaces whose far wire is narrow.

use super::*;
use crate::testing::{Routed, routed, set_mtu, sysctl};

fn searched(dst: &str, budget: &Budget) -> Fact {
    let flow = Flow {
        proto: Proto::Tcp,
        src: None,
        sport: None,
        dst: dst.parse().unwrap(),
        dport: 443,
        mark: 0,
        uid: None,
        dev: None,
    };
    let wait = Wait::until(Instant::now() + Duration::from_secs(4));
    match search(&flow, budget, &wait) {
        Reading::Known { value, .. } => value,
        absent => panic!("{absent:?}"),
    }
}

/// The wire between router and server carries 1,400 bytes.
fn narrow() -> Option<Routed> {
    let net = routed()?;
    net.router.run(|| set_mtu("rs", 1400)).unwrap();
    net.server.run(|| set_mtu("s", 1400)).unwrap();
    Some(net)
}

const TARGETS: [(&str, &str); 2] = [("203.0.113.1", "198.51.100.254"), ("2001:db8:2::1", "2001:db8:1::254")];

#[test]
fn a_wide_path_carries_what_the_device_does() {
    let Some(net) = routed() else { return };
    net.client
        .run(|| {
            for (dst, _) in TARGETS {
                let fact = searched(dst, &Budget::new(40));
                assert_eq!((fact.local_mtu, fact.passes, fact.fails), (1500, Some(1500), None), "{dst}");
                assert_eq!((fact.told, fact.black_hole, fact.sent), (None, false, 3));
            }
        })
        .unwrap();
}

#[test]
fn a_router_that_says_so_is_named_with_what_it_says() {
    let Some(net) = narrow() else { return };
    net.client
        .run(|| {
            for (dst, router) in TARGETS {
                let fact = searched(dst, &Budget::new(40));
                assert_eq!((fact.passes, fact.fails), (Some(1400), Some(1401)), "{dst}");
                assert_eq!(fact.told, Some((router.parse().unwrap(), 1400)));
                assert!(!fact.black_hole && fact.sent <= 8);
            }
        })
        .unwrap();
}

#[test]
fn a_black_hole_is_measured_to_the_byte() {
    let Some(net) = narrow() else { return };
    // The router's errors do not leave it.
    let rules = "table inet t { chain o { type filter hook output priority 0; \
                 icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }";
    if !net.router.run(|| crate::testing::nft(rules)).unwrap() {
        return;
    }
    net.client
        .run(|| {
            for (dst, _) in TARGETS {
                let budget = Budget::new(60);
                let fact = searched(dst, &budget);
                assert_eq!((fact.passes, fact.fails), (Some(1400), Some(1401)), "{dst}");
                assert_eq!((fact.told, fact.black_hole), (None, true));
                assert!(fact.sent <= 40, "{}", fact.sent);
                assert_eq!(budget.spent(), fact.sent);
            }
        })
        .unwrap();
}

#[test]
fn a_target_that_answers_no_echo_says_nothing_about_sizes() {
    let Some(net) = routed() else { return };
    net.server.run(|| sysctl("net.ipv4.icmp_echo_ignore_all", "1")).unwrap();
    net.client
        .run(|| {
            let fact = searched("203.0.113.1", &Budget::new(40));
            assert_eq!((fact.passes, fact.fails, fact.black_hole), (None, Some(84), false));
            assert_eq!(fact.local_mtu, 1500);
        })
        .unwrap();
}

#[test]
fn loopback_carries_everything() {
    let Some(namespace) = crate::testing::namespace() else { return };
    namespace
        .run(|| {
            let fact = searched("127.0.0.1", &Budget::new(40));
            assert_eq!((fact.local_mtu, fact.passes, fact.fails), (65_535, Some(65_535), None));
        })
        .unwrap();
}
