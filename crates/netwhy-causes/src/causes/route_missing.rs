//! # No route to the destination
//!
//! ## What you see
//! connect() fails at once with ENETUNREACH ("Network is unreachable").
//!
//! ## What happens
//! No policy rule leads to a table with a route for the destination, and there is no default route.
//!
//! ## How netwhy knows
//! The kernel's own lookup (RTM_GETROUTE with the flow's full key) answers ENETUNREACH, and `Ip.OutNoRoutes`
//! (`Ip6OutNoRoutes`) rose with the attempt.
//!
//! ## Look-alikes
//! A router's ICMP network unreachable: an ICMP error arrives and `OutNoRoutes` stays flat. A route of type
//! unreachable or prohibit: the lookup finds that route (route-type-deny). A device that is down: its routes are gone
//! (link-down explains this one).
//!
//! ## What to do
//! Add the route, or the default route, through the right gateway.
//!
//! ## References
//! ip-route(8); net/ipv4/route.c (ip_route_output_key_hash_rcu), RFC 2863 counter names in /proc/net/snmp.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::obstacle::{Direction, object_text};
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "route-missing",
    title: "no route to the destination",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: routing::NEEDS,
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = routing::denied(
        case,
        |o, locus| {
            matches!(locus, Locus::MissingRoute { .. })
                && o.direction == Direction::Forward
                && routing::is_own(o)
                && routing::error_of(o) == "ENETUNREACH"
        },
        |o, _| format!("no table this flow may use has a route to {}", routing::wanted_dst(o)),
        |o, finding| {
            let dst = routing::wanted_dst(o);
            let (ip, bits) = (routing::ip_command(dst.is_ipv4()), o.path.packet.family().bits());
            finding
                .maybe(case.ev_counter(routing::counter(o)))
                .fix(Fix::run(
                    "add a route through the gateway that knows the destination",
                    format!("{ip} route add {dst}/{bits} via GATEWAY"),
                    format!("{ip} route del {dst}/{bits}"),
                ))
                .verify(format!("{ip} route get {dst}"))
        },
    );
    if verdict == Verdict::Silent && case.errno() == Some("ENETUNREACH") && !case.icmp_remote().is_empty() {
        return Verdict::ruled_out(
            "a route exists; the error came from another host",
            case.ev_attempt().into_iter().collect(),
        );
    }
    // Every error a lookup can give is one of these; and silence when the gateway does not answer.
    let suspected = matches!(case.errno(), Some("ENETUNREACH" | "EHOSTUNREACH" | "EACCES" | "EINVAL"));
    if verdict == Verdict::Silent && suspected {
        let denying =
            case.forward.blocker().filter(|l| matches!(l, Locus::Route { .. } | Locus::Rule { .. }));
        return match denying {
            Some(object) => Verdict::ruled_out(
                format!("the lookup finds {}", object_text(object)),
                case.ev_attempt().into_iter().collect(),
            ),
            None => routing::found(case, case.forward),
        };
    }
    verdict
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn unroutable(error: &str) -> End {
        let locus = Locus::MissingRoute { table: 254, dst: ip("203.0.113.2") };
        End::Unroutable { locus, error: error.into() }
    }

    #[test]
    fn an_immediate_enetunreach_is_proven() {
        let f = proven(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Routing], unroutable("ENETUNREACH"))
                .errno("ENETUNREACH", 0)
                .rose("Ip.OutNoRoutes", 1)
                .judge(&CAUSE),
        );
        assert!(f.evidence.iter().any(|e| e.id == "counter:Ip.OutNoRoutes"));
        assert!(f.fix[0].command.contains("203.0.113.2/32"));
    }

    #[test]
    fn a_prediction_alone_is_consistent() {
        consistent(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Routing], unroutable("ENETUNREACH"))
                .judge(&CAUSE),
        );
    }

    #[test]
    fn a_routers_unreachable_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80).icmp_error("ENETUNREACH", "198.51.100.1", 3, 0);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("another host"));
    }

    #[test]
    fn packets_that_left_contradict_it() {
        let scene = Scene::client("203.0.113.2", 80)
            .forward(&[Stage::Routing], unroutable("ENETUNREACH"))
            .timeout(3000)
            .request_out();
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn another_errno_is_another_cause() {
        silent(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Routing], unroutable("EACCES"))
                .errno("EACCES", 0)
                .judge(&CAUSE),
        );
    }

    #[test]
    fn behind_a_dropping_rule_it_is_the_next_obstacle() {
        let scene = Scene::client("203.0.113.2", 80)
            .forward(&[Stage::Output], End::Dropped { locus: nft_rule("output", 1) })
            .then_forward(&[Stage::Routing], unroutable("ENETUNREACH"));
        assert_eq!(consistent(scene.judge(&CAUSE)).evidence[0].id, "next-obstacle");
    }
}
