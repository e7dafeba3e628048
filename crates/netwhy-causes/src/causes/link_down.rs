//! # The device the flow needs is down
//!
//! ## What you see
//! ENETUNREACH at once (administratively down: the device's routes are gone), or a timeout or EHOSTUNREACH (no carrier:
//! the routes stay, nothing leaves).
//!
//! ## What happens
//! The device that leads to the next hop was set down, lost its carrier (cable, switch port, the other end of a veth
//! pair), or stands on a lower device that is down. The loopback device is one of them: it is down in a fresh namespace, and
//! what a host sends to 127.0.0.1, ::1 or any address of its own goes through it.
//!
//! ## How netwhy knows
//! The device says so (flags, carrier, operational state), the flow's path leads through it or its connected network
//! holds the far end, and no packet of the flow left.
//!
//! ## Look-alikes
//! A missing route while every device is up (route-missing). A next hop that does not answer on a device with carrier
//! (neigh-unresolved).
//!
//! ## What to do
//! Set the device up; or repair cable, transceiver, switch port or the other end.
//!
//! ## References
//! ip-link(8), RFC 2863 section 3.1.13; Documentation/networking/operstates.rst.

use std::net::IpAddr;

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::host::Nics;
use netwhy_facts::link::{Link, OperState};
use netwhy_facts::question::Scenario;
use netwhy_facts::{IpNet, Locus, Role};
use netwhy_walk::End;

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "link-down",
    title: "the device the flow needs is down",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Link,
    scope: Scope::EveryFlow,
    needs: &["links", "addresses", "nics", "attempts", "capture"],
    explains: &[
        "route-missing",
        "reply-route-missing",
        "forward-no-route",
        "neigh-unresolved",
        "neigh-static-wrong",
        "path-or-remote-drop",
        "mtu-below-ipv6-minimum",
    ],
    judge,
};

/// Why a device counts for this flow.
struct Suspect<'a> {
    link: &'a Link,
    why: String,
    /// The flow surely needs it.
    sure: bool,
}

fn judge(case: &Case<'_>) -> Verdict {
    let fate = case.fate();
    if fate == Fate::Works {
        return Verdict::Silent;
    }
    let Some(suspect) = suspect(case) else { return all_is_up(case) };
    let link = suspect.link;
    let s = &case.seen;
    let past = match case.question.role {
        Role::Client => s.requests_out,
        Role::Inbound => s.answers_out + s.resets_out,
        Role::Transit => s.requests_out,
    };
    // Routes may lead around a device that is down; then it is not what stops the flow.
    if s.known && past > 0 {
        return Verdict::ruled_out(
            format!("{}, but packets of the flow left this host", nexthop::link_words(link)),
            vec![nexthop::ev_link(link)],
        );
    }
    let root = root_of(case, link);
    let words = nexthop::link_words(root);
    let mut finding = Finding::new(nexthop::link_locus(root), format!("{words}, and {}", suspect.why))
        .maybe(case.ev_attempt())
        .evidence(nexthop::ev_link(root));
    if root.index != link.index {
        finding = finding.evidence(nexthop::ev_link(link));
    }
    let nics = case.facts.latest::<Nics>().value();
    let state =
        nics.and_then(|n| n.0.iter().find(|n| n.ifindex == root.index)).and_then(|n| n.ext_state.clone());
    if let Some(state) = state {
        finding = finding.evidence(
            Evidence::new(
                "ext-state",
                format!("the driver of {} says: {state}", root.name),
                "ETHTOOL_MSG_LINKSTATE_GET",
            )
            .value(state)
            .command(format!("ethtool {}", quote(&root.name))),
        );
    }
    finding = finding.maybe(case.ev_capture());
    finding = if root.is_up() {
        finding.fix(Fix::act(no_carrier_advice(root)))
    } else {
        finding.fix(
            Fix::run(
                "set the device up",
                format!("ip link set dev {} up", quote(&root.name)),
                format!("ip link set dev {} down", quote(&root.name)),
            )
            .risk("routes through gateways and IPv6 addresses that were lost with it must be added again"),
        )
    };
    let observed = match case.question.role {
        Role::Client => fate == Fate::Fails,
        _ => s.known && s.requests_out + s.answers_out == 0,
    };
    finding.verify(format!("ip link show dev {}", quote(&root.name))).proven_if(suspect.sure && observed)
}

fn no_carrier_advice(link: &Link) -> String {
    match link.kind.as_deref() {
        Some("veth") => format!(
            "set the other end of {} up (it is in another namespace when ip link shows link-netnsid)",
            link.name
        ),
        Some("bridge") => format!("give {} a port that is up: bridge link show", link.name),
        _ => format!(
            "check the cable, the transceiver and the switch port of {}: ethtool {}",
            link.name,
            quote(&link.name)
        ),
    }
}

/// A loopback device has no carrier to lose.
fn is_down(link: &Link) -> bool {
    !link.is_up()
        || (!link.is_loopback()
            && (link.carrier == Some(false) || link.operstate == OperState::LowerLayerDown))
}

/// The lowest device that is down below this one.
fn root_of<'a>(case: &Case<'a>, link: &'a Link) -> &'a Link {
    let mut at = link;
    for _ in 0..8 {
        if !at.is_up() || at.peer_netns.is_some() {
            break;
        }
        let lower = at.lower.filter(|l| *l != at.index);
        match lower.and_then(|l| case.links().iter().find(|x| x.index == l)) {
            Some(next) if is_down(next) => at = next,
            _ => break,
        }
    }
    at
}

fn suspect<'a>(case: &Case<'a>) -> Option<Suspect<'a>> {
    // A path that is predicted to die at a device.
    for path in [case.forward, case.reply] {
        if let End::Dropped { locus: Locus::Link { dev, .. } }
        | End::Unroutable { locus: Locus::Link { dev, .. }, .. } = &path.end
            && let Some(link) = case.link(dev).filter(|l| is_down(l))
        {
            let why = format!("the flow's way leads through it (to {})", path.finally.dst);
            return Some(Suspect { link, why, sure: true });
        }
    }
    // While it is down, 127.0.0.0/8 and ::1 are in no table.
    if let Some(lo) = case.links().iter().find(|l| l.is_loopback() && is_down(l))
        && case.flow.dst.is_loopback()
    {
        return Some(Suspect {
            link: lo,
            why: format!("{} is reached through it alone", case.flow.dst),
            sure: true,
        });
    }
    let addresses = case.facts.latest::<Addresses>().value().map(|a| a.0.as_slice()).unwrap_or_default();
    let down: Vec<&Link> = case.links().iter().filter(|l| !l.is_loopback() && is_down(l)).collect();
    let of = |l: &Link| addresses.iter().filter(|a| a.ifindex == l.index).collect::<Vec<_>>();
    // The far end is in the connected network of a device that is down.
    let far = match case.question.role {
        Role::Client => vec![case.flow.dst],
        Role::Inbound => case.question.from.into_iter().collect(),
        Role::Transit => std::iter::once(case.flow.dst).chain(case.question.from).collect(),
    };
    for link in &down {
        for a in of(link) {
            if let Some(to) = far.iter().find(|to| connected(a, to)) {
                let net = IpNet::new(a.peer.unwrap_or(a.addr), a.prefix);
                return Some(Suspect { link, why: format!("{to} is in its network {net}"), sure: true });
            }
            if case.question.role == Role::Inbound && a.addr == case.flow.dst {
                return Some(Suspect { link, why: format!("{} is its address", a.addr), sure: true });
            }
        }
    }
    // No way at all, and no device is left that could be one.
    let stranded = case.forward.blocker().is_some_and(|l| matches!(l, Locus::MissingRoute { .. }));
    let usable = |l: &&Link| {
        !l.is_loopback() && !is_down(l) && (l.kind.is_none() || !of(l).is_empty() || l.bridge_port.is_some())
    };
    if stranded && !case.links().iter().any(|l| usable(&l)) {
        let candidates: Vec<&&Link> = down.iter().filter(|l| l.kind.as_deref() != Some("bridge")).collect();
        if let [only] = candidates.as_slice() {
            return Some(Suspect {
                link: only,
                why: "no other device of this host is up".into(),
                sure: true,
            });
        }
        let first = candidates.first()?;
        return Some(Suspect { link: first, why: "no device of this host is up".into(), sure: false });
    }
    None
}

fn connected(a: &Address, to: &IpAddr) -> bool {
    let base = a.peer.unwrap_or(a.addr);
    // A link-local network is on every device.
    let link_local = matches!(base, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !link_local && IpNet::new(base, a.prefix).contains(to)
}

/// Rules it out where somebody would think of it: no route, or nothing resolves.
fn all_is_up(case: &Case<'_>) -> Verdict {
    let suspected = matches!(case.errno(), Some("ENETUNREACH" | "EHOSTUNREACH"))
        || (case.timed_out() && case.seen.known && case.seen.requests_out == 0);
    let with_address = case.facts.latest::<Addresses>().value().map(|a| a.0.as_slice()).unwrap_or_default();
    let used: Vec<&Link> = case
        .links()
        .iter()
        .filter(|l| !l.is_loopback() && with_address.iter().any(|a| a.ifindex == l.index))
        .collect();
    if !suspected || used.is_empty() || used.iter().any(|l| is_down(l)) {
        return Verdict::Silent;
    }
    let names: Vec<&str> = used.iter().map(|l| l.name.as_str()).collect();
    Verdict::ruled_out(
        format!("every device with an address is up and has carrier ({})", names.join(", ")),
        used.iter().take(4).map(|l| nexthop::ev_link(l)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn set_down(l: &mut Link) {
        l.flags = 0x1002;
        l.operstate = OperState::Down;
        l.carrier = Some(false);
    }
    fn unplug(l: &mut Link) {
        l.flags = 0x1003;
        l.operstate = OperState::Down;
        l.carrier = Some(false);
    }
    fn no_route(dst: &str) -> End {
        End::Unroutable {
            locus: Locus::MissingRoute { table: 254, dst: ip(dst) },
            error: "ENETUNREACH".into(),
        }
    }

    #[test]
    fn a_device_set_down_whose_network_holds_the_target_is_proven() {
        let scene = Scene::client("198.51.100.9", 80)
            .eth0(set_down)
            .forward(&[Stage::Routing], no_route("198.51.100.9"))
            .errno("ENETUNREACH", 0);
        let f = proven(scene.judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip link set dev eth0 up");
        assert!(f.summary.contains("198.51.100.0/24"), "{}", f.summary);
    }

    #[test]
    fn no_carrier_on_the_way_is_proven_when_nothing_left() {
        let locus = Locus::Link { dev: "eth0".into(), index: 2 };
        let scene = Scene::client("203.0.113.2", 80)
            .eth0(unplug)
            .forward(&[Stage::Routing, Stage::Link], End::Dropped { locus })
            .errno("EHOSTUNREACH", 3100)
            .captured();
        assert!(proven(scene.judge(&CAUSE)).summary.contains("no carrier"));
    }

    #[test]
    fn packets_that_left_rule_it_out() {
        let scene = Scene::client("198.51.100.9", 80).eth0(set_down).timeout(3000).request_out();
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn an_idle_device_that_is_down_is_innocent() {
        let mut scene = Scene::client("203.0.113.2", 80);
        let mut idle = link(3, "eth1");
        set_down(&mut idle);
        scene.put(netwhy_facts::link::Links(vec![link(2, "eth0"), idle]));
        silent(scene.timeout(3000).request_out().judge(&CAUSE));
    }

    #[test]
    fn everything_up_rules_it_out_for_a_missing_route() {
        let scene = Scene::client("203.0.113.2", 80)
            .forward(&[Stage::Routing], no_route("203.0.113.2"))
            .errno("ENETUNREACH", 0);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("eth0"));
    }

    #[test]
    fn the_lower_device_is_the_one_to_repair() {
        let mut scene = Scene::client("203.0.113.2", 80);
        let (mut lower, mut upper) = (link(2, "eth0"), link(3, "eth1"));
        unplug(&mut lower);
        unplug(&mut upper);
        upper.lower = Some(2);
        scene.put(netwhy_facts::link::Links(vec![lower, upper]));
        let locus = Locus::Link { dev: "eth1".into(), index: 3 };
        let scene = scene.forward(&[Stage::Link], End::Dropped { locus }).timeout(3000).captured();
        assert!(matches!(proven(scene.judge(&CAUSE)).locus, Locus::Link { index: 2, .. }));
    }

    #[test]
    fn the_loopback_device_is_needed_for_loopback_addresses_and_the_hosts_own() {
        let mut lo = link(1, "lo");
        lo.flags = 0x8;
        lo.hw_type = 772;
        let mut scene = Scene::client("127.0.0.1", 80);
        scene.put(netwhy_facts::link::Links(vec![lo.clone(), link(2, "eth0")]));
        let scene =
            scene.forward(&[Stage::Routing], no_route("127.0.0.1")).errno("ENETUNREACH", 0).captured();
        let f = proven(scene.judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip link set dev lo up");
        let mut scene = Scene::client("198.51.100.1", 80);
        scene.put(netwhy_facts::link::Links(vec![lo.clone(), link(2, "eth0")]));
        let locus = Locus::Link { dev: "lo".into(), index: 1 };
        let scene = scene.forward(&[Stage::Link], End::Dropped { locus }).timeout(3000).captured();
        proven(scene.judge(&CAUSE));
        // A flow to elsewhere does not need it.
        let mut scene = Scene::client("203.0.113.2", 80);
        scene.put(netwhy_facts::link::Links(vec![lo, link(2, "eth0")]));
        silent(scene.timeout(3000).request_out().judge(&CAUSE));
    }

    #[test]
    fn a_working_flow_has_no_device_down() {
        silent(Scene::inbound("198.51.100.9", 80).eth0(set_down).request_in().tcp_in(0x10).judge(&CAUSE));
    }
}
