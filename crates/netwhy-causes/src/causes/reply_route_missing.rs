//! # This host has no route back to the client
//!
//! ## What you see
//! Clients time out. Requests arrive here, the service listens, and nothing answers. `ListenDrops` rises, which everybody
//! takes for a full accept queue.
//!
//! ## What happens
//! The stack cannot route its SYN-ACK (or the service its datagram) back to the client's address and drops it without a
//! packet or an event. On a router: answers arrive and cannot be routed back.
//!
//! ## How netwhy knows
//! The lookup for the way back answers ENETUNREACH; a request arrived in the window, no answer left, `Ip.OutNoRoutes`
//! rose, and for TCP `ListenDrops` rose while `ListenOverflows` did not.
//!
//! ## Look-alikes
//! A full accept queue: `ListenOverflows` rises too. An ICMP error that hits the SYN-ACK: `Icmp.InDestUnreachs` rises and
//! the SYN-ACK did leave. A rule that drops on output: `OutNoRoutes` stays flat.
//!
//! ## What to do
//! Add a route to the client's network (or the default route) through the router the requests come from.
//!
//! ## References
//! ip-route(8); net/ipv4/inet_connection_sock.c (inet_csk_route_req), net/ipv4/tcp_input.c (tcp_conn_request).

use netwhy_facts::capture::FlowCapture;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};
use crate::obstacle::Direction;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "reply-route-missing",
    title: "this host has no route back to the client",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "addresses", "fib-answers", "links"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = routing::denied(
        case,
        |o, locus| matches!(locus, Locus::MissingRoute { .. }) && o.direction == Direction::Reply,
        |o, _| {
            let dst = routing::wanted_dst(o);
            format!(
                "this host has no route back to {dst}: its answers from {} go nowhere",
                case.flow.target()
            )
        },
        |o, mut finding| {
            let dst = routing::wanted_dst(o);
            let (ip, bits) = (routing::ip_command(dst.is_ipv4()), o.path.packet.family().bits());
            finding = finding.maybe(case.ev_counter(routing::counter(o)));
            if case.flow.proto == Proto::Tcp && routing::is_own(o) {
                finding = finding
                    .maybe(case.ev_counter("TcpExt.ListenDrops"))
                    .maybe(case.ev_counter("TcpExt.ListenOverflows"));
            }
            let via = match arrived_by(case) {
                Some(dev) => format!("via GATEWAY dev {}", quote(&dev)),
                None => "via GATEWAY".into(),
            };
            finding
                .fix(Fix::run(
                    "add a route back through the router the requests come from",
                    format!("{ip} route add {dst}/{bits} {via}"),
                    format!("{ip} route del {dst}/{bits}"),
                ))
                .verify(format!("{ip} route get {dst}"))
        },
    );
    if verdict != Verdict::Silent || case.question.role != Role::Inbound {
        return verdict;
    }
    if case.vanished().is_some() && case.reply.blocker().is_none() {
        match routing::found(case, case.reply) {
            Verdict::Silent => {}
            found => return found,
        }
    }
    let drops = case.grew("TcpExt.ListenDrops").is_some_and(|d| d > 0);
    if drops && case.grew("Ip.OutNoRoutes") == Some(0) && case.grew("Ip6OutNoRoutes").unwrap_or(0) == 0 {
        return Verdict::ruled_out(
            "ListenDrops rose, but OutNoRoutes did not: the way back has a route",
            case.ev_counter("Ip.OutNoRoutes").into_iter().collect(),
        );
    }
    Verdict::Silent
}

/// The device requests came by, where the capture saw one.
fn arrived_by(case: &Case<'_>) -> Option<String> {
    let capture = case.facts.latest::<FlowCapture>().value()?;
    let index = capture.toward(case.flow).find(|p| !p.out)?.ifindex;
    Some(case.dev_name(index))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn no_way_back(error: &str) -> End {
        End::Unroutable { locus: Locus::MissingRoute { table: 254, dst: ip(CLIENT4) }, error: error.into() }
    }
    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 80).reply(&[Stage::Routing], no_way_back("ENETUNREACH"))
    }

    #[test]
    fn listen_drops_with_out_no_routes_prove_it() {
        let f = proven(
            server()
                .request_in()
                .rose("TcpExt.ListenDrops", 2)
                .rose("TcpExt.ListenOverflows", 0)
                .rose("Ip.OutNoRoutes", 2)
                .judge(&CAUSE),
        );
        assert!(f.fix[0].command.contains("198.51.100.7/32 via GATEWAY dev eth0"), "{}", f.fix[0].command);
        assert!(f.summary.contains("no route back"), "{}", f.summary);
    }

    #[test]
    fn a_router_without_a_way_back_is_proven_by_the_answers_it_refuses() {
        let scene = Scene::transit("203.0.113.2", 80)
            .reply(&[Stage::Prerouting, Stage::Routing], no_way_back("icmp net-unreachable"))
            .request_in()
            .request_out()
            .answer_in();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn without_a_request_it_is_only_consistent() {
        consistent(server().captured().judge(&CAUSE));
    }

    #[test]
    fn an_answer_that_left_rules_it_out() {
        ruled_out(server().request_in().answer_out().judge(&CAUSE));
    }

    #[test]
    fn listen_drops_with_a_route_rule_it_out() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .request_in()
            .rose("TcpExt.ListenDrops", 2)
            .rose("Ip.OutNoRoutes", 0);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("OutNoRoutes"));
    }

    #[test]
    fn a_server_that_answers_is_not_suspected() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().answer_out().judge(&CAUSE));
    }
}
