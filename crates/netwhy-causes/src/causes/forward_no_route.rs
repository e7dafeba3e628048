//! # This router has no route to the destination
//!
//! ## What you see
//! Clients behind this host get "Network is unreachable" after one round trip, or time out when ICMP is filtered.
//!
//! ## What happens
//! The packet arrives, no rule and table has a route for its destination, and the router refuses it with ICMP network
//! unreachable (IPv6: no route to destination).
//!
//! ## How netwhy knows
//! The lookup with the packet's key (source, device of arrival) answers ENETUNREACH, a packet arrived and did not go on,
//! and `IpExt.InNoRoutes` (`Ip6InNoRoutes`) rose.
//!
//! ## Look-alikes
//! Forwarding switched off: `Ip.InAddrErrors` rises instead. A denying route or rule: it is found by the lookup.
//!
//! ## What to do
//! Add the route through the right next hop, or the routing protocol's session that should bring it.
//!
//! ## References
//! ip-route(8); net/ipv4/route.c (ip_route_input_slow, ip_error), RFC 1812 section 5.2.7.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::obstacle::{Direction, Way};
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "forward-no-route",
    title: "this router has no route to the destination",
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
        |o, locus| {
            matches!(locus, Locus::MissingRoute { .. })
                && o.direction == Direction::Forward
                && o.way != Way::Out
        },
        |o, _| format!("this host has no route to {} for {}", routing::wanted_dst(o), case.packets_text(o)),
        |o, finding| {
            let dst = routing::wanted_dst(o);
            let (ip, bits) = (routing::ip_command(dst.is_ipv4()), o.path.packet.family().bits());
            finding
                .maybe(case.ev_counter(routing::counter(o)))
                .fix(Fix::run(
                    "add a route through the next hop that knows the destination",
                    format!("{ip} route add {dst}/{bits} via GATEWAY"),
                    format!("{ip} route del {dst}/{bits}"),
                ))
                .verify(format!("{ip} route get {dst}"))
        },
    );
    let s = &case.seen;
    if verdict == Verdict::Silent
        && case.question.role == Role::Transit
        && s.requests_in > 0
        && s.requests_out == 0
    {
        return routing::found(case, case.forward);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn router() -> Scene {
        let locus = Locus::MissingRoute { table: 254, dst: ip("203.0.113.2") };
        Scene::transit("203.0.113.2", 80).forward(
            &[Stage::Prerouting, Stage::Routing],
            End::Unroutable { locus, error: "icmp net-unreachable".into() },
        )
    }

    #[test]
    fn a_packet_refused_with_icmp_proves_it() {
        let scene = router().request_in().icmp(true, "198.51.100.1", 3, 0).rose("IpExt.InNoRoutes", 1);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.evidence.iter().any(|e| e.id == "counter:IpExt.InNoRoutes"));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(router().captured().judge(&CAUSE));
    }

    #[test]
    fn packets_that_went_on_rule_it_out() {
        ruled_out(router().request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn a_router_with_a_route_is_not_suspected() {
        silent(Scene::transit("203.0.113.2", 80).request_in().request_out().judge(&CAUSE));
    }
}
