//! # One of several next hops of the route is dead
//!
//! ## What you see
//! Some connections work and some hang or fail with EHOSTUNREACH, always the same for the same pair of ends.
//!
//! ## What happens
//! The route has several next hops and the kernel spreads flows over them by a hash. One of them does not forward: its
//! gateway does not answer, or what lies behind it is broken.
//!
//! ## How netwhy knows
//! The flow's route has several next hops; the attempt got lost on one of them, whose neighbour entry failed or by whose
//! device packets left in vain, while another member's gateway is resolved or answered the same attempt.
//!
//! ## Look-alikes
//! All members dead, or the target down: no member answers. A single next hop (neigh-unresolved).
//!
//! ## What to do
//! Take the dead member out of the route, or repair its gateway.
//!
//! ## References
//! ip-route(8) "nexthop"; Documentation/networking/ip-sysctl.rst (fib_multipath_hash_policy, fib_multipath_use_neigh).

use netwhy_facts::link::Links;
use netwhy_facts::neigh::{Neighbours, Nud};
use netwhy_facts::question::Scenario;
use netwhy_facts::route::{Hop, Nexthops, Route};
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::{routing, trial};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "multipath-dead-member",
    title: "one of several next hops of the route is dead",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["routes", "nexthops", "neighbours", "links", "attempts", "capture", "addresses"],
    explains: &["neigh-unresolved", "path-or-remote-drop", "nexthop-dead"],
    judge,
};

/// The next hops of a route, through its nexthop group when it has one.
pub(crate) fn members(case: &Case<'_>, route: &Route) -> Vec<Hop> {
    if route.hops.len() > 1 {
        return route.hops.clone();
    }
    let (Some(id), Some(all)) = (route.nhid, case.facts.value::<Nexthops>()) else {
        return route.hops.clone();
    };
    let find = |id: u32| all.0.iter().find(|n| n.id == id);
    match find(id) {
        Some(group) if !group.group.is_empty() => group
            .group
            .iter()
            .filter_map(|(member, weight)| {
                let n = find(*member)?;
                Some(Hop { oif: n.oif, gateway: n.gateway, weight: *weight, flags: n.flags })
            })
            .collect(),
        _ => route.hops.clone(),
    }
}

/// Why a member cannot forward, when something says so.
fn deadness(case: &Case<'_>, hop: &Hop) -> Option<String> {
    let index = hop.oif?;
    let link = case.facts.value::<Links>().and_then(|l| l.by_index(index));
    if link.is_some_and(|l| !l.is_up() || l.carrier == Some(false)) {
        return Some(format!("{} is down", case.dev_name(index)));
    }
    let entry = case.facts.latest::<Neighbours>().value()?.find(index, &hop.gateway?)?;
    matches!(entry.state, Nud::Failed | Nud::Incomplete)
        .then(|| format!("its neighbour entry is {}", entry.state.name()))
}

fn text(case: &Case<'_>, hop: &Hop) -> String {
    let dev = hop.oif.map(|i| case.dev_name(i)).unwrap_or_default();
    hop.gateway.map_or(format!("dev {dev}"), |g| format!("{g} on {dev}"))
}

fn judge(case: &Case<'_>) -> Verdict {
    let path = if case.question.role == Role::Inbound { case.reply } else { case.forward };
    // A route that decides is a step's object, or what the walker could not choose by.
    let open = match &path.end {
        netwhy_walk::End::Insufficient { locus, .. } => locus.as_ref(),
        _ => None,
    };
    let Some(locus @ Locus::Route { .. }) = routing::deciding_route(path).or(open) else {
        return Verdict::Silent;
    };
    let Some(route) = routing::route_of(case, locus) else { return Verdict::Silent };
    let members = members(case, route);
    if members.len() < 2 {
        return Verdict::Silent;
    }
    let dead: Vec<(&Hop, String)> = members.iter().filter_map(|h| Some((h, deadness(case, h)?))).collect();
    let alive = members.len() > dead.len();
    let tried: Vec<_> = trial::of(case, "device");
    let answered = tried.iter().find(|(dev, a)| {
        trial::answered(a) && members.iter().any(|h| h.oif.map(|i| case.dev_name(i)).as_deref() == Some(*dev))
    });
    let (which, why) = match (&dead.first(), answered) {
        (Some((hop, why)), _) if alive => (text(case, hop), why.clone()),
        (None, Some((dev, _))) => {
            let lost = members.iter().find(|h| h.oif.map(|i| case.dev_name(i)).as_deref() != Some(*dev));
            let Some(lost) = lost else { return Verdict::Silent };
            (text(case, lost), format!("the same attempt by {dev} is answered"))
        }
        _ if case.timed_out() && !tried.is_empty() => {
            return Verdict::ruled_out(
                "no member of the route answers",
                case.ev_attempt().into_iter().collect(),
            );
        }
        _ => return Verdict::Silent,
    };
    let own_failure = case.errno() == Some("EHOSTUNREACH") && case.icmp_remote().is_empty();
    let observed = answered.is_some() || own_failure || case.vanished().is_some();
    let mut finding = Finding::new(
        locus.clone(),
        format!("{} has {} next hops and {which} is dead: {why}", object_text(locus), members.len()),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("member", format!("{which}: {why}"), "RTM_GETROUTE and RTM_GETNEIGH")
            .value(which.clone())
            .command(format!("ip route show table {} {}", route.table, route.dst)),
    );
    if let Some((dev, a)) = answered {
        finding = finding.evidence(
            Evidence::new("other-device", format!("bound to {dev} the target answers"), "SO_BINDTODEVICE")
                .value(*dev)
                .window(a.elapsed_us),
        );
    }
    finding
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("take {which} out of the route, or repair it: ip route show {}", route.dst)))
        .verify(case.ask_again())
        .proven_if(observed)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::attempt::Outcome;
    use netwhy_facts::neigh::Neighbour;
    use netwhy_facts::route::Routes;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn spread() -> Scene {
        let mut route = scene_route("0.0.0.0", 0, 2, "198.51.100.1");
        route.hops.push(Hop { oif: Some(3), gateway: Some(ip("192.0.2.1")), weight: 1, flags: 0 });
        let locus = Locus::Route {
            table: 254,
            dst: route.dst,
            dev: Some("eth0".into()),
            gateway: Some(ip("198.51.100.1")),
            route_type: "unicast".into(),
            metric: 0,
        };
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(Routes { routes: vec![route], complete: true })
            .forward(&[Stage::Routing, Stage::Link], End::Sent { dev: "eth1".into(), next_hop: None });
        scene.forward.steps[0].locus = Some(locus);
        scene
    }
    fn failed() -> Neighbours {
        Neighbours(vec![Neighbour {
            ifindex: 3,
            addr: ip("192.0.2.1"),
            lladdr: None,
            state: Nud::Failed,
            flags: 0,
            proxy: false,
            probes: 3,
            confirmed_ms: None,
            used_ms: None,
            updated_ms: None,
        }])
    }

    #[test]
    fn a_member_that_does_not_resolve_is_proven_by_the_own_error() {
        let f = proven(spread().with(failed()).errno("EHOSTUNREACH", 3000).captured().judge(&CAUSE));
        assert!(f.summary.contains("192.0.2.1 on eth1 is dead"), "{}", f.summary);
    }

    #[test]
    fn an_answer_by_the_other_member_proves_it() {
        let scene = spread().timeout(3000).request_out().varied("device=eth0", Outcome::Ok);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("192.0.2.1 on eth1"));
    }

    #[test]
    fn no_member_answering_rules_it_out() {
        ruled_out(spread().timeout(3000).request_out().varied("device=eth0", Outcome::Timeout).judge(&CAUSE));
    }

    #[test]
    fn one_next_hop_is_no_choice() {
        let mut scene = spread();
        let mut routes = scene.facts.value::<Routes>().cloned().unwrap();
        routes.routes[0].hops.pop();
        scene.put(routes);
        silent(scene.with(failed()).errno("EHOSTUNREACH", 3000).judge(&CAUSE));
    }

    #[test]
    fn healthy_members_are_not_mentioned() {
        silent(spread().timeout(3000).request_out().judge(&CAUSE));
    }
}
