//! # The nexthop object of the route leads nowhere
//!
//! ## What you see
//! connect() fails at once with EINVAL, or after three seconds with EHOSTUNREACH, though `ip route` shows a route.
//!
//! ## What happens
//! The route refers to a nexthop object by id. The object is a blackhole, or its gateway or device does not answer.
//!
//! ## How netwhy knows
//! The flow's route carries the id, the object is a blackhole and the attempt failed with EINVAL, or the neighbour entry
//! of the object's gateway failed while the attempt ran.
//!
//! ## Look-alikes
//! A route with its own next hop (neigh-unresolved), a denying route (route-type-deny).
//!
//! ## What to do
//! Replace the object; every route that refers to it follows.
//!
//! ## References
//! ip-nexthop(8); net/ipv4/nexthop.c.

use netwhy_facts::link::Links;
use netwhy_facts::neigh::{Neighbours, Nud};
use netwhy_facts::question::Scenario;
use netwhy_facts::route::{Nexthop, Nexthops};
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "nexthop-dead",
    title: "the nexthop object of the route leads nowhere",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["routes", "nexthops", "neighbours", "links", "attempts", "capture", "addresses", "mib"],
    explains: &["neigh-unresolved", "path-or-remote-drop", "route-type-deny"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = if case.question.role == Role::Inbound { case.reply } else { case.forward };
    let locus = match &path.end {
        End::Unroutable { locus, .. } | End::Dropped { locus } => Some(locus),
        _ => routing::deciding_route(path),
    };
    let Some(locus @ Locus::Route { .. }) = locus else { return Verdict::Silent };
    let Some(route) = routing::route_of(case, locus) else { return Verdict::Silent };
    let (Some(id), Some(all)) = (route.nhid, case.facts.value::<Nexthops>()) else { return Verdict::Silent };
    let Some(object) = all.0.iter().find(|n| n.id == id) else { return Verdict::Silent };
    // Members of a group are multipath-dead-member's business, except a blackhole that takes its whole share.
    let (why, observed) = match (object.blackhole, gateway_state(case, object)) {
        (true, _) => {
            let refused = case.errno() == Some("EINVAL") && case.icmp_remote().is_empty();
            ("it is a blackhole".to_string(), refused || case.vanished().is_some())
        }
        (false, Some(state)) => {
            let own = case.errno() == Some("EHOSTUNREACH") && case.icmp_remote().is_empty();
            let asked = case.seen.solicits_out > 0 && case.seen.solicit_answers_in == 0;
            (state, own || asked)
        }
        _ => return Verdict::Silent,
    };
    Finding::new(Locus::Nexthop { id }, format!("{} uses nexthop object {id}, and {why}", object_text(locus)))
        .maybe(case.ev_attempt())
        .evidence(
            Evidence::new("nexthop", format!("nexthop object {id}: {why}"), "RTM_GETNEXTHOP")
                .value(id)
                .command(format!("ip nexthop show id {id}")),
        )
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("replace the object: ip nexthop replace id {id} via GATEWAY dev DEV")))
        .verify(case.ask_again())
        .proven_if(observed)
}

fn gateway_state(case: &Case<'_>, object: &Nexthop) -> Option<String> {
    let index = object.oif?;
    let dev = case.dev_name(index);
    let link = case.facts.value::<Links>().and_then(|l| l.by_index(index));
    if link.is_some_and(|l| !l.is_up() || l.carrier == Some(false)) {
        return Some(format!("its device {dev} is down"));
    }
    let gateway = object.gateway?;
    let entry = case.facts.latest::<Neighbours>().value()?.find(index, &gateway)?;
    matches!(entry.state, Nud::Failed | Nud::Incomplete)
        .then(|| format!("its gateway {gateway} on {dev} does not resolve ({})", entry.state.name()))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::route::Routes;
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn object(blackhole: bool) -> Nexthop {
        Nexthop {
            id: 7,
            oif: (!blackhole).then_some(2),
            gateway: (!blackhole).then(|| ip("198.51.100.9")),
            blackhole,
            group: vec![],
            flags: 0,
            family: Some(netwhy_facts::Family::Inet),
        }
    }
    fn routed(blackhole: bool) -> Scene {
        let mut route = scene_route("203.0.113.0", 24, 2, "198.51.100.9");
        route.nhid = Some(7);
        if blackhole {
            route.hops.clear();
        }
        let locus = Locus::Route {
            table: 254,
            dst: route.dst,
            dev: None,
            gateway: None,
            route_type: "unicast".into(),
            metric: 0,
        };
        Scene::client("203.0.113.2", 80)
            .with(Routes { routes: vec![route], complete: true })
            .with(Nexthops(vec![object(blackhole)]))
            .forward(&[Stage::Routing], End::Unroutable { locus, error: "EINVAL".into() })
    }

    #[test]
    fn a_blackhole_object_is_proven_by_einval() {
        let f = proven(routed(true).errno("EINVAL", 0).judge(&CAUSE));
        assert_eq!(f.locus, Locus::Nexthop { id: 7 });
    }

    #[test]
    fn an_object_whose_gateway_fails_is_proven() {
        let entry = netwhy_facts::neigh::Neighbour {
            ifindex: 2,
            addr: ip("198.51.100.9"),
            lladdr: None,
            state: Nud::Failed,
            flags: 0,
            proxy: false,
            probes: 3,
            confirmed_ms: None,
            used_ms: None,
            updated_ms: None,
        };
        let scene = routed(false).with(Neighbours(vec![entry])).errno("EHOSTUNREACH", 3000).captured();
        assert!(proven(scene.judge(&CAUSE)).summary.contains("does not resolve"));
    }

    #[test]
    fn an_object_that_works_is_not_mentioned() {
        silent(routed(false).timeout(3000).request_out().judge(&CAUSE));
    }

    #[test]
    fn a_route_without_an_object_is_another_matter() {
        let mut scene = routed(true);
        let mut routes = scene.facts.value::<Routes>().cloned().unwrap();
        routes.routes[0].nhid = None;
        scene.put(routes);
        silent(scene.errno("EINVAL", 0).judge(&CAUSE));
    }
}
