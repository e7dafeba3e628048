//! # The packets leave with a source address nobody can answer
//!
//! ## What you see
//! connect() times out; packets leave and nothing comes back. A capture shows an unexpected source address.
//!
//! ## What happens
//! The route names a preferred source (`src`), or source selection takes an address of another device or scope, and the
//! far end has no way back to it.
//!
//! ## How netwhy knows
//! The chosen source does not lie in the next hop's network, packets left with it and nothing came back, and the same
//! attempt bound to the device's own address in that network was answered.
//!
//! ## Look-alikes
//! The target is silent whatever the source (path-or-remote-drop).
//!
//! ## What to do
//! Remove the wrong `src` from the route, or order the addresses so that the right one is chosen.
//!
//! ## References
//! ip-route(8) "src"; RFC 6724 section 5; net/ipv4/devinet.c (inet_select_addr).

use netwhy_facts::address::Addresses;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::{routing, trial};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "source-address-wrong",
    title: "the packets leave with a source address nobody can answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Address,
    scope: Scope::FailedFlow,
    needs: &["attempts", "routes", "addresses", "links", "capture"],
    explains: &["path-or-remote-drop", "fw-reject"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let trials = trial::of(case, "source");
    let Some((better, attempt)) = trials.iter().find(|(_, a)| trial::answered(a)) else {
        return match trials.first() {
            Some((source, _)) => Verdict::ruled_out(
                format!("with the source {source} the target does not answer either"),
                case.ev_attempt().into_iter().collect(),
            ),
            None => Verdict::Silent,
        };
    };
    let chosen = case.attempt().and_then(|a| a.local).map(|l| l.ip());
    let Some(chosen) = chosen.or(case.flow.src) else { return Verdict::Silent };
    let route = routing::deciding_route(case.forward);
    let named = route.and_then(|l| routing::route_of(case, l)).is_some_and(|r| r.prefsrc == Some(chosen));
    let target = case.flow.target();
    let (locus, why) = match route {
        Some(route) if named => {
            (route.clone(), format!("{} prefers the source {chosen}", object_text(route)))
        }
        _ => (address_locus(case, chosen), format!("this host chooses the source {chosen}")),
    };
    let finding = Finding::new(
        locus,
        format!("{why}, to which nothing comes back; from {better} the target {target} answers"),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "other-source",
            format!(
                "bound to {better}, {target} answered after {:.1} ms",
                attempt.elapsed_us as f64 / 1000.0
            ),
            "bind(2)",
        )
        .value(*better)
        .window(attempt.elapsed_us)
        .command(format!("nc -vz -w 3 -s {better} {} {}", case.flow.dst, case.flow.dport)),
    )
    .maybe(case.ev_capture());
    let ip = routing::ip_command(chosen.is_ipv4());
    let finding = match route {
        Some(route) if named => {
            let words = routing::route_words(route);
            finding.fix(Fix::run(
                "give the route the right source",
                format!("{ip} route change {words} src {better}"),
                format!("{ip} route change {words} src {chosen}"),
            ))
        }
        _ => {
            finding.fix(Fix::act(format!("prefer {better}: remove {chosen} or give the route src {better}")))
        }
    };
    finding.verify(case.ask_again()).proven()
}

fn address_locus(case: &Case<'_>, addr: std::net::IpAddr) -> Locus {
    match case.facts.value::<Addresses>().and_then(|a| a.0.iter().find(|a| a.addr == addr)) {
        Some(a) => Locus::Address { dev: case.dev_name(a.ifindex), address: addr, prefix: a.prefix },
        None => Locus::MissingAddress { address: addr },
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::attempt::Outcome;
    use netwhy_facts::route::Routes;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn lost() -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(Routes::default())
            .forward(&[Stage::Routing, Stage::Link], End::Sent { dev: "eth0".into(), next_hop: None })
            .timeout(3000)
            .request_out();
        scene.flow.src = Some(ip("192.0.2.77"));
        scene
    }
    fn default_route(src: &str) -> (Routes, Locus) {
        let mut route = scene_route("0.0.0.0", 0, 2, "198.51.100.1");
        route.prefsrc = Some(ip(src));
        let locus = Locus::Route {
            table: 254,
            dst: route.dst,
            dev: Some("eth0".into()),
            gateway: Some(ip("198.51.100.1")),
            route_type: "unicast".into(),
            metric: 0,
        };
        (Routes { routes: vec![route], complete: true }, locus)
    }

    #[test]
    fn an_answer_to_the_other_source_names_the_route_that_prefers_the_wrong_one() {
        let (routes, locus) = default_route("192.0.2.77");
        let mut scene = lost().with(routes).varied("source=198.51.100.7", Outcome::Ok);
        scene.forward.steps[0].locus = Some(locus.clone());
        let f = proven(scene.judge(&CAUSE));
        assert_eq!(f.locus, locus);
        assert_eq!(f.fix[0].command, "ip route change default via 198.51.100.1 dev eth0 src 198.51.100.7");
    }

    #[test]
    fn without_a_preferring_route_the_address_is_named() {
        let scene = lost()
            .with(Addresses(vec![address(3, "192.0.2.77", 32)]))
            .varied("source=198.51.100.7", Outcome::Ok);
        assert!(matches!(proven(scene.judge(&CAUSE)).locus, Locus::Address { prefix: 32, .. }));
    }

    #[test]
    fn silence_for_every_source_rules_it_out() {
        ruled_out(lost().varied("source=198.51.100.7", Outcome::Timeout).judge(&CAUSE));
    }

    #[test]
    fn without_a_trial_nothing_is_said() {
        silent(lost().judge(&CAUSE));
    }
}
