//! # The device's MTU is below IPv6's minimum
//!
//! ## What you see
//! IPv6 fails at once with ENETUNREACH or EADDRNOTAVAIL on a device whose IPv4 works; its IPv6 addresses are gone.
//!
//! ## What happens
//! IPv6 asks for links that carry packets of 1280 bytes. When a device's MTU is set lower, the kernel takes IPv6 off it:
//! addresses, routes and settings.
//!
//! ## How netwhy knows
//! The device's MTU is below 1280, net.ipv6.conf has no entry for it, and the kernel finds no IPv6 route.
//!
//! ## Look-alikes
//! IPv6 disabled by setting (ipv6-broken): the entry exists and disable_ipv6 is 1. A missing route (route-missing): the
//! device has IPv6 addresses.
//!
//! ## What to do
//! Raise the MTU to 1280 or more and add the addresses again.
//!
//! ## References
//! RFC 8200 section 5; net/ipv6/addrconf.c (addrconf_notify, IPV6_MIN_MTU).

use netwhy_facts::Role;
use netwhy_facts::link::Link;
use netwhy_facts::question::Scenario;
use netwhy_facts::sysctl::Sysctls;
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "mtu-below-ipv6-minimum",
    title: "the device's MTU is below IPv6's minimum",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Link,
    scope: Scope::FailedFlow,
    needs: &["links", "sysctls", "attempts", "capture", "addresses"],
    explains: &["route-missing", "reply-route-missing", "forward-no-route", "ipv6-broken", "dst-ip-not-here"],
    judge,
};

const MINIMUM: u32 = 1280;

fn judge(case: &Case<'_>) -> Verdict {
    let stranded = |end: &End| matches!(end, End::Unroutable { .. } | End::Insufficient { .. });
    if case.flow.dst.is_ipv4() || !(stranded(&case.forward.end) || stranded(&case.reply.end)) {
        return Verdict::Silent;
    }
    let Some(sysctls) = case.facts.value::<Sysctls>() else { return Verdict::Silent };
    let has = |l: &Link, v: &str| {
        let prefix = format!("net.{v}.conf.{}.", l.name.replace('.', "/"));
        sysctls.0.range(prefix.clone()..).next().is_some_and(|(k, _)| k.starts_with(&prefix))
    };
    let small = case
        .links()
        .iter()
        .find(|l| l.is_up() && !l.is_loopback() && l.mtu < MINIMUM && has(l, "ipv4") && !has(l, "ipv6"));
    let Some(link) = small else { return Verdict::Silent };
    let failed = matches!(case.errno(), Some("ENETUNREACH" | "EADDRNOTAVAIL" | "EHOSTUNREACH" | "EINVAL"));
    Finding::new(
        nexthop::link_locus(link),
        format!(
            "{} has an MTU of {} bytes, below IPv6's minimum of {MINIMUM}: the kernel has taken IPv6 off it",
            link.name, link.mtu
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("mtu", format!("the MTU of {} is {}", link.name, link.mtu), "RTM_GETLINK")
            .value(link.mtu)
            .command(format!("ip link show dev {}", quote(&link.name))),
    )
    .evidence(
        Evidence::new("no-ipv6", format!("net.ipv6.conf has no {}", link.name), "/proc/sys")
            .command(format!("ls {}", quote(&format!("/proc/sys/net/ipv6/conf/{}", link.name)))),
    )
    .evidence(case.ev_prediction(case.forward, "outgoing"))
    .fix(
        Fix::run(
            "give the device room for IPv6",
            format!("ip link set dev {} mtu {MINIMUM}", quote(&link.name)),
            format!("ip link set dev {} mtu {}", quote(&link.name), link.mtu),
        )
        .risk("IPv6 addresses and routes of the device must be added again"),
    )
    .verify(format!("ip -6 addr show dev {}", quote(&link.name)))
    .proven_if(failed || case.question.role != Role::Client)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Locus;

    use super::*;
    use crate::testing::*;

    fn client(v6: bool, mtu: u32) -> Scene {
        let locus = Locus::MissingRoute { table: 254, dst: ip("2001:db8::2") };
        let mut map = std::collections::BTreeMap::new();
        map.insert("net.ipv4.conf.eth0.rp_filter".to_string(), "0".to_string());
        if v6 {
            map.insert("net.ipv6.conf.eth0.disable_ipv6".to_string(), "0".to_string());
        }
        Scene::client("2001:db8::2", 80)
            .eth0(|l| l.mtu = mtu)
            .with(Sysctls(map))
            .forward(&[netwhy_walk::Stage::Routing], End::Unroutable { locus, error: "ENETUNREACH".into() })
    }

    #[test]
    fn a_small_mtu_without_ipv6_is_proven() {
        let f = proven(client(false, 1200).errno("ENETUNREACH", 0).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip link set dev eth0 mtu 1280");
    }

    #[test]
    fn without_an_attempt_it_is_consistent() {
        consistent(client(false, 1200).judge(&CAUSE));
    }

    #[test]
    fn a_device_with_ipv6_or_with_room_is_innocent() {
        silent(client(true, 1200).errno("ENETUNREACH", 0).judge(&CAUSE));
        silent(client(false, 1500).errno("ENETUNREACH", 0).judge(&CAUSE));
        silent(
            Scene::client("2001:db8::2", 80).eth0(|l| l.mtu = 1200).errno("ECONNREFUSED", 0).judge(&CAUSE),
        );
    }
}
