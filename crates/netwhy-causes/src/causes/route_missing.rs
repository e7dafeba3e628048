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
use netwhy_facts::route::{FibAnswers, FibResult};
use netwhy_facts::{Family, Locus, Reading, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "route-missing",
    title: "no route to the destination",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["fib-answers", "routes", "rules", "mib", "attempts"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let End::Unroutable { locus: locus @ Locus::MissingRoute { .. }, .. } = &case.forward.end else {
        if case.errno() == Some("ENETUNREACH") && !case.icmp_remote().is_empty() {
            return Verdict::ruled_out(
                "a route exists; the error came from another host",
                case.ev_attempt().into_iter().collect(),
            );
        }
        return Verdict::Silent;
    };
    let kernel = match case.facts.get::<FibAnswers>() {
        Reading::Known { value, .. } => value.0.iter().find_map(|a| match &a.result {
            FibResult::Error { name, .. } if a.key.dst == case.flow.dst && a.key.iif.is_none() => {
                Some(name.clone())
            }
            _ => None,
        }),
        _ => None,
    };
    let counter = if case.flow.family() == Family::Inet { "Ip.OutNoRoutes" } else { "Ip6OutNoRoutes" };
    let refused = case.errno() == Some("ENETUNREACH");
    let dst = case.flow.dst;
    let mut finding = Finding::new(locus.clone(), format!("no table this flow may use has a route to {dst}"))
        .maybe(case.ev_attempt());
    if let Some(name) = &kernel {
        finding = finding.evidence(
            Evidence::new(
                "fib",
                format!("the kernel's route lookup for {dst} answers {name}"),
                "RTM_GETROUTE",
            )
            .value(name.clone())
            .command(format!("ip route get {dst}")),
        );
    }
    let bits = case.flow.family().bits();
    finding
        .maybe(case.ev_counter(counter))
        .fix(Fix::run(
            "add a route through the gateway that knows the destination",
            format!("ip route add {dst}/{bits} via GATEWAY"),
            format!("ip route del {dst}/{bits}"),
        ))
        .verify(format!("ip route get {dst}"))
        .proven_if(refused && (kernel.is_some() || case.grew(counter).is_some_and(|d| d > 0)))
}
