//! # This host does not forward packets
//!
//! ## What you see
//! Clients behind this host, or of a container on it, time out without any error. Routes and rules look right.
//!
//! ## What happens
//! Forwarding is switched off for the family or for the device of arrival, so a packet that is not for this host is
//! dropped as one with a wrong address.
//!
//! ## How netwhy knows
//! The setting in effect for the device of arrival is 0, the destination is not an address of this host, a packet arrived
//! and did not go on, and `Ip.InAddrErrors` (`Ip6InAddrErrors`) rose.
//!
//! ## Look-alikes
//! The address should be on this host (dst-ip-not-here): the counter is the same, the role of the host tells. A forward
//! chain that drops (forward-policy-drop): `InAddrErrors` stays flat.
//!
//! ## What to do
//! Switch forwarding on where it is wanted, and make it last in /etc/sysctl.d.
//!
//! ## References
//! Documentation/networking/ip-sysctl.rst (ip_forward, forwarding); net/ipv4/route.c (ip_error), net/ipv6/ip6_output.c.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Family, Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};
use crate::obstacle::{Obstacle, object_text};
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "forwarding-off",
    title: "this host does not forward packets",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Transit, Role::Inbound],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: routing::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = routing::denied(
        case,
        // A service of this host whose address is not translated is not to be forwarded at all.
        |o, locus| is_forwarding(locus) && (case.question.role == Role::Transit || is_translated(o)),
        |o, locus| format!("{}: this host does not forward {}", object_text(locus), case.packets_text(o)),
        |o, finding| {
            let Some(Locus::Sysctl { name, .. }) = o.locus else { return finding };
            finding.maybe(case.ev_counter(counter(o))).fix(
                Fix::run(
                    "switch forwarding on",
                    format!("sysctl -w {}=1", quote(name)),
                    format!("sysctl -w {}=0", quote(name)),
                )
                .risk("the host routes for everybody who sends to it; a forward chain should say for whom"),
            )
        },
    );
    let s = &case.seen;
    if verdict == Verdict::Silent && s.known && s.requests_in + s.answers_in > 0 {
        let counter = if case.flow.family() == Family::Inet { "Ip.InAddrErrors" } else { "Ip6InAddrErrors" };
        if s.requests_out > 0 {
            return Verdict::ruled_out(
                "this host does forward: packets of the flow went on",
                case.ev_capture().into_iter().collect(),
            );
        }
        if case.question.role == Role::Inbound && !case.target_is_local() {
            return Verdict::ruled_out("this host is asked for as the target, not as a router", vec![]);
        }
        if case.question.role == Role::Transit && case.grew(counter) == Some(0) {
            return Verdict::ruled_out(
                format!("packets arrived and {} did not move", counter.rsplit('.').next().unwrap_or(counter)),
                case.ev_counter(counter).into_iter().collect(),
            );
        }
    }
    verdict
}

/// Whether the object is a setting that switches forwarding.
pub(crate) fn is_forwarding(locus: &Locus) -> bool {
    matches!(locus, Locus::Sysctl { name, .. }
        if name.ends_with(".forwarding") || name == "net.ipv4.ip_forward")
}

/// The counter of packets that are not for this host and not forwarded.
pub(crate) fn counter(o: &Obstacle<'_>) -> &'static str {
    if o.path.packet.family() == Family::Inet { "Ip.InAddrErrors" } else { "Ip6InAddrErrors" }
}

/// Whether the destination was translated on the way.
pub(crate) fn is_translated(o: &Obstacle<'_>) -> bool {
    o.path.finally.dst != o.path.packet.dst
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn off(name: &str) -> End {
        End::Unroutable {
            locus: Locus::Sysctl { name: name.into(), value: "0".into() },
            error: "not forwarded (dropped silently)".into(),
        }
    }
    fn router() -> Scene {
        Scene::transit("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Routing], off("net.ipv4.ip_forward"))
    }

    #[test]
    fn address_errors_of_a_packet_that_stays_prove_it() {
        let f = proven(router().request_in().rose("Ip.InAddrErrors", 1).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv4.ip_forward=1");
        assert_eq!(f.fix[0].undo, "sysctl -w net.ipv4.ip_forward=0");
    }

    #[test]
    fn one_device_in_one_direction_is_enough() {
        let scene = Scene::transit("203.0.113.2", 80)
            .reply(&[Stage::Prerouting, Stage::Routing], off("net.ipv4.conf.eth1.forwarding"))
            .request_in()
            .request_out()
            .answer_in();
        assert!(proven(scene.judge(&CAUSE)).fix[0].command.contains("eth1"));
    }

    #[test]
    fn a_published_port_needs_it_and_an_own_address_does_not() {
        let inbound = || {
            Scene::inbound("203.0.113.2", 80)
                .forward(&[Stage::Prerouting, Stage::Routing], off("net.ipv4.ip_forward"))
                .request_in()
        };
        silent(inbound().judge(&CAUSE));
        let mut scene = inbound();
        scene.forward.finally.dst = ip("192.0.2.5");
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(router().captured().judge(&CAUSE));
    }

    #[test]
    fn a_flat_counter_rules_it_out() {
        let scene = Scene::transit("203.0.113.2", 80).request_in().rose("Ip.InAddrErrors", 0);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("InAddrErrors"));
    }

    #[test]
    fn packets_that_went_on_rule_it_out() {
        ruled_out(router().request_in().request_out().judge(&CAUSE));
    }
}
