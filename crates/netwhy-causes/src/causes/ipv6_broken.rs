//! # IPv6 does not work on this host while IPv4 does
//!
//! ## What you see
//! Connections to names that have IPv6 addresses fail at once or after a delay and then work over IPv4, or fail
//! altogether where the program does not try the second address.
//!
//! ## What happens
//! IPv6 is switched off on the device, the address is tentative or was found to be a duplicate, or no router
//! advertisement ever brought a default route.
//!
//! ## How netwhy knows
//! The attempt over IPv6 failed at once on this host (ENETUNREACH, EADDRNOTAVAIL), and either the setting or the address
//! state says why, or the lookup has no IPv6 route while the same name answers over IPv4.
//!
//! ## Look-alikes
//! A missing route for one network only (route-missing): there is a default route, or IPv4 fails as well.
//!
//! ## What to do
//! Switch IPv6 on, repair the router advertisements, or do not offer the address.
//!
//! ## References
//! RFC 8305, RFC 6724; Documentation/networking/ip-sysctl.rst (disable_ipv6, accept_ra, accept_dad).

use netwhy_facts::address::Addresses;
use netwhy_facts::attempt::{Attempts, Outcome};
use netwhy_facts::link::Links;
use netwhy_facts::question::Scenario;
use netwhy_facts::route::Routes;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Family, Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "ipv6-broken",
    title: "IPv6 does not work on this host while IPv4 does",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Address,
    scope: Scope::FailedFlow,
    needs: &["attempts", "sysctls", "addresses", "links", "routes", "mib", "capture"],
    explains: &["route-missing", "addr-missing", "route-type-deny"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let local = matches!(case.errno(), Some("ENETUNREACH" | "EADDRNOTAVAIL" | "EHOSTUNREACH" | "EACCES"))
        && case.icmp_remote().is_empty()
        && case.seen.requests_out == 0;
    if case.flow.family() != Family::Inet6 || !local {
        return Verdict::Silent;
    }
    if let Some(name) = disabled(case) {
        return Finding::new(
            Locus::Sysctl { name: name.clone(), value: "1".into() },
            format!("IPv6 is switched off ({name} = 1), and {} is an IPv6 address", case.flow.dst),
        )
        .maybe(case.ev_attempt())
        .evidence(
            Evidence::new("disable_ipv6", format!("{name} = 1"), "/proc/sys/net/ipv6")
                .value(1)
                .command(format!("sysctl {name}")),
        )
        .fix(Fix::run("switch IPv6 on", format!("sysctl -w {name}=0"), format!("sysctl -w {name}=1")).risk(
            "switching it off has removed the addresses and routes: configure the device again afterwards",
        ))
        .verify(case.ask_again())
        .proven();
    }
    // Without a sign of its own the difference to IPv4 is the sign.
    let v4 = case.facts.latest::<Attempts>().value().and_then(|a| {
        a.0.iter().find(|a| a.variant.is_none() && a.dst.is_ipv4() && matches!(a.outcome, Outcome::Ok))
    });
    let Some(v4) = v4 else { return Verdict::Silent };
    if has_default(case) {
        return Verdict::ruled_out("there is an IPv6 default route", case.ev_attempt().into_iter().collect());
    }
    Finding::new(
        Locus::MissingRoute { table: 254, dst: case.flow.dst },
        format!(
            "this host has no IPv6 default route: {} cannot be reached, {} answers over IPv4",
            case.flow.dst, v4.dst
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("ipv4", format!("{} answered after {:.1} ms", v4.dst, v4.elapsed_us as f64 / 1000.0), "connect(2)")
            .value(v4.dst.to_string())
            .window(v4.elapsed_us),
    )
    .maybe(case.ev_counter("Ip6OutNoRoutes"))
    .fix(Fix::act("let the router send advertisements (radvd), or set the default route: ip -6 route add default via GATEWAY dev DEV"))
    .fix(Fix::act("or prefer IPv4 for this name until then (gai.conf)"))
    .verify(format!("ip -6 route get {}", case.flow.dst))
    .proven()
}

fn has_default(case: &Case<'_>) -> bool {
    case.facts.value::<Routes>().is_some_and(|r| {
        r.routes.iter().any(|r| r.family == Family::Inet6 && r.dst.len == 0 && !r.hops.is_empty())
    })
}

/// The setting that switches IPv6 off where the flow would leave: everywhere, or on the only devices that could carry it.
fn disabled(case: &Case<'_>) -> Option<String> {
    let sysctls = case.facts.value::<Sysctls>()?;
    let links = case.facts.value::<Links>()?;
    let up: Vec<&str> =
        links.0.iter().filter(|l| l.is_up() && !l.is_loopback()).map(|l| l.name.as_str()).collect();
    let off = |dev: &&&str| sysctls.conf6(dev, "disable_ipv6") == Some(1);
    let carrying = up.iter().filter(|d| !off(d)).count();
    let device = up.iter().find(|d| off(d))?;
    // A device that still has IPv6 addresses beyond link-local could have carried it.
    let others = case.facts.value::<Addresses>().is_some_and(|a| {
        a.0.iter()
            .any(|a| a.addr.is_ipv6() && a.scope == 0 && up.contains(&case.dev_name(a.ifindex).as_str()))
    });
    if carrying > 0 && others {
        return None;
    }
    if sysctls.conf6("all", "disable_ipv6") == Some(1) && carrying == 0 && up.len() > 1 {
        return Some("net.ipv6.conf.all.disable_ipv6".into());
    }
    Some(format!("net.ipv6.conf.{}.disable_ipv6", device.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn failing() -> Scene {
        let locus = Locus::MissingRoute { table: 254, dst: ip("2001:db8::2") };
        Scene::client("2001:db8::2", 80)
            .with(Addresses(vec![]))
            .with(Links(vec![link(2, "eth0")]))
            .forward(&[Stage::Routing], End::Unroutable { locus, error: "ENETUNREACH".into() })
            .errno("ENETUNREACH", 0)
    }
    fn off(value: &str) -> Sysctls {
        Sysctls([("net.ipv6.conf.eth0.disable_ipv6".to_string(), value.to_string())].into())
    }
    fn and_v4(mut scene: Scene) -> Scene {
        let mut all = scene.facts.value::<Attempts>().cloned().unwrap();
        let mut v4 = all.0[0].clone();
        v4.dst = ip("203.0.113.2");
        v4.outcome = Outcome::Ok;
        all.0.push(v4);
        scene.put(all);
        scene
    }

    #[test]
    fn a_device_with_ipv6_off_is_proven() {
        let f = proven(failing().with(off("1")).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv6.conf.eth0.disable_ipv6=0");
    }

    #[test]
    fn no_default_route_beside_a_working_ipv4_is_proven() {
        let f = proven(and_v4(failing().with(off("0")).with(Routes::default())).judge(&CAUSE));
        assert!(f.summary.contains("203.0.113.2 answers over IPv4"), "{}", f.summary);
    }

    #[test]
    fn with_ipv4_failing_too_it_is_a_route() {
        silent(failing().with(off("0")).with(Routes::default()).judge(&CAUSE));
    }

    #[test]
    fn an_existing_default_route_rules_it_out() {
        let mut route = scene_route("0.0.0.0", 0, 2, "198.51.100.1");
        route.family = Family::Inet6;
        route.dst = netwhy_facts::IpNet::any(Family::Inet6);
        let routes = Routes { routes: vec![route], complete: true };
        ruled_out(and_v4(failing().with(off("0")).with(routes)).judge(&CAUSE));
    }

    #[test]
    fn ipv4_is_not_its_business() {
        silent(Scene::client("203.0.113.2", 80).errno("ENETUNREACH", 0).judge(&CAUSE));
    }

    #[test]
    fn another_device_that_carries_ipv6_clears_the_switched_off_one() {
        let scene = failing()
            .with(off("1"))
            .with(Links(vec![link(2, "eth0"), link(3, "eth1")]))
            .with(Addresses(vec![address(3, "2001:db8:9::1", 64)]));
        silent(scene.judge(&CAUSE));
    }
}
