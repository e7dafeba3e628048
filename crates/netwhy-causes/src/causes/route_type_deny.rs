//! # A route denies the destination
//!
//! ## What you see
//! connect() fails at once: EINVAL for a blackhole route, EACCES for prohibit, EHOSTUNREACH for unreachable. Through a
//! router: silence (blackhole) or an ICMP error from it.
//!
//! ## What happens
//! The most specific route for the destination is of a type that sends nothing.
//!
//! ## How netwhy knows
//! The lookup with the flow's full key finds that entry, and the attempt failed at once with the errno of its type, or
//! packets arrived and did not go on. No counter moves on the sender for these types.
//!
//! ## Look-alikes
//! EACCES by a security module, EHOSTUNREACH after three seconds by a neighbour that does not answer, or after one round
//! trip by another host's ICMP error: the route is a plain one then.
//!
//! ## What to do
//! Delete the entry, or add a better route with a longer prefix.
//!
//! ## References
//! ip-route(8) "TYPE"; net/ipv4/fib_semantics.c (fib_props).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "route-type-deny",
    title: "a route denies the destination",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: routing::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = routing::denied(
        case,
        |_, locus| is_denying(locus),
        |o, locus| format!("{} stops {}", object_text(locus), case.packets_text(o)),
        |o, finding| {
            let Some(locus) = o.locus else { return finding };
            let words = routing::route_words(locus);
            let ip = routing::ip_command(o.path.packet.dst.is_ipv4());
            let finding = if routing::is_own(o) && o.direction == crate::obstacle::Direction::Reply {
                finding
                    .maybe(case.ev_counter("TcpExt.ListenDrops"))
                    .maybe(case.ev_counter(routing::counter(o)))
            } else {
                finding
            };
            finding
                .fix(
                    Fix::run(
                        "delete the denying route",
                        format!("{ip} route del {words}"),
                        format!("{ip} route add {words}"),
                    )
                    .risk("whatever the route was meant to stop goes through then"),
                )
                .verify(format!("{ip} route get {}", routing::wanted_dst(o)))
        },
    );
    let missing = matches!(case.forward.blocker(), Some(Locus::MissingRoute { .. }));
    if verdict == Verdict::Silent && case.errno() == Some("ENETUNREACH") && missing {
        return Verdict::ruled_out(
            "no route of any type covers the destination",
            case.ev_attempt().into_iter().collect(),
        );
    }
    if verdict == Verdict::Silent && matches!(case.errno(), Some("EHOSTUNREACH" | "EACCES")) {
        let because = match case.icmp_remote().is_empty() {
            false => "the error came from another host; the route here is a plain one",
            true if case.forward_passes() => "the route to the destination is a plain one",
            true => return Verdict::Silent,
        };
        return Verdict::ruled_out(because, case.ev_attempt().into_iter().collect());
    }
    verdict
}

fn is_denying(locus: &Locus) -> bool {
    matches!(locus, Locus::Route { route_type, .. }
        if matches!(route_type.as_str(), "blackhole" | "unreachable" | "prohibit"))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn route(kind: &str) -> Locus {
        Locus::Route {
            table: 254,
            dst: netwhy_facts::IpNet::new(ip("203.0.113.0"), 24),
            dev: None,
            gateway: None,
            route_type: kind.into(),
            metric: 0,
        }
    }
    fn denied(kind: &str, error: &str) -> End {
        End::Unroutable { locus: route(kind), error: error.into() }
    }

    #[test]
    fn each_type_is_proven_by_its_errno() {
        for (kind, errno) in
            [("blackhole", "EINVAL"), ("prohibit", "EACCES"), ("unreachable", "EHOSTUNREACH")]
        {
            let f = proven(
                Scene::client("203.0.113.2", 80)
                    .forward(&[Stage::Routing], denied(kind, errno))
                    .errno(errno, 0)
                    .judge(&CAUSE),
            );
            assert_eq!(f.locus, route(kind));
            assert_eq!(f.fix[0].command, format!("ip route del {kind} 203.0.113.0/24"));
        }
    }

    #[test]
    fn a_router_with_a_blackhole_is_proven_by_what_does_not_go_on() {
        let scene = Scene::transit("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Routing], End::Dropped { locus: route("blackhole") })
            .request_in();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_server_that_cannot_answer_is_proven() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .reply(&[Stage::Routing], denied("blackhole", "EINVAL"))
            .rose("TcpExt.ListenDrops", 1)
            .rose("Ip.OutNoRoutes", 1)
            .request_in();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn an_error_from_another_host_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 1);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("another host"));
        let scene = Scene::client("203.0.113.2", 80).errno("EACCES", 0);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("plain"));
    }

    #[test]
    fn a_denying_route_the_flow_does_not_meet_is_not_mentioned() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).request_out().judge(&CAUSE));
    }
}
