//! # The routes choose a way that does not lead to the target
//!
//! ## What you see
//! connect() times out or fails with EHOSTUNREACH, while the target answers others, or this host by another device.
//!
//! ## What happens
//! A more specific route, a lower metric or a policy rule (by source, mark, user or port) takes the flow away from the
//! way that works: a leftover VPN or static route, a rule with the wrong selector, a second default route.
//!
//! ## How netwhy knows
//! The lookup with the flow's full key chooses that route; the attempt got lost on it; and the same attempt bound to
//! another device, for which a route exists too, was answered.
//!
//! ## Look-alikes
//! The target is down: no device reaches it. The gateway is down and there is no other way (neigh-unresolved).
//!
//! ## What to do
//! Delete or correct the route or the rule.
//!
//! ## References
//! ip-route(8), ip-rule(8); socket(7) SO_BINDTODEVICE.

use netwhy_facts::question::Scenario;
use netwhy_facts::route::{Route, Rule, RuleAction, Rules};
use netwhy_facts::{Family, Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::object_text;
use crate::{routing, trial};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "route-wrong-egress",
    title: "the routes choose a way that does not lead to the target",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["attempts", "routes", "rules", "links", "nexthops", "capture", "addresses", "fib-answers"],
    explains: &["neigh-unresolved", "path-or-remote-drop", "fw-reject", "nexthop-dead"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let trials = trial::of(case, "device");
    let Some(chosen) = trial::egress(case.forward) else { return Verdict::Silent };
    let Some((dev, attempt)) = trials.iter().find(|(dev, a)| *dev != chosen && trial::answered(a)) else {
        return match trials.first() {
            Some((dev, _)) => Verdict::ruled_out(
                format!(
                    "bound to {dev}, the other device with a route to it, the target does not answer either"
                ),
                case.ev_attempt().into_iter().collect(),
            ),
            None => Verdict::Silent,
        };
    };
    let Some(route @ Locus::Route { table, .. }) = routing::deciding_route(case.forward) else {
        return Verdict::Silent;
    };
    let entry = routing::route_of(case, route);
    // Several next hops with one of them dead is a condition of its own.
    if entry.is_some_and(|r| has_member(case, r, dev)) {
        return Verdict::Silent;
    }
    let rule = selecting_rule(case, *table);
    let locus = rule.map(rule_locus).unwrap_or_else(|| route.clone());
    let target = case.flow.target();
    let by = match rule {
        Some(_) => format!("{} leads to {}", object_text(&locus), object_text(route)),
        None => format!("{} is chosen", object_text(route)),
    };
    let finding = Finding::new(
        locus.clone(),
        format!("{by}, so packets to {target} leave by {chosen} and get lost; by {dev} the target answers"),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "other-device",
            format!("bound to {dev}, {target} answered after {:.1} ms", attempt.elapsed_us as f64 / 1000.0),
            "SO_BINDTODEVICE",
        )
        .value(*dev)
        .window(attempt.elapsed_us)
        .command(format!("curl --interface {} -m 3 telnet://{target}", quote(dev))),
    )
    .evidence(
        Evidence::new("fib", format!("the lookup chooses {}", object_text(route)), "rules and routes")
            .command(format!("ip route get {}", case.flow.dst)),
    )
    .maybe(case.ev_capture());
    let ip = routing::ip_command(case.flow.dst.is_ipv4());
    let finding = match &locus {
        Locus::Rule { priority, text, .. } => finding.fix(
            Fix::run(
                "delete the rule that leads there",
                format!("{ip} rule del priority {priority} {}", crate::fix::quote_words(text)),
                format!("{ip} rule add priority {priority} {}", crate::fix::quote_words(text)),
            )
            .risk("other flows the rule selects change their way too"),
        ),
        _ => {
            let words = routing::route_words(route);
            finding.fix(
                Fix::run(
                    "delete the route that leads there",
                    format!("{ip} route del {words}"),
                    format!("{ip} route add {words}"),
                )
                .risk("other destinations of the prefix change their way too"),
            )
        }
    };
    finding.verify(case.ask_again()).proven()
}

fn has_member(case: &Case<'_>, route: &Route, dev: &str) -> bool {
    super::multipath_dead_member::members(case, route)
        .iter()
        .any(|h| h.oif.map(|i| case.dev_name(i)).as_deref() == Some(dev))
}

fn rule_locus(rule: &Rule) -> Locus {
    Locus::Rule {
        family: rule.family.digit(),
        priority: rule.priority,
        text: netwhy_walk::policy_rule_text(rule),
    }
}

/// The policy rule that leads the flow to a table, unless it is one of those every host has.
pub(crate) fn selecting_rule<'a>(case: &Case<'a>, table: u32) -> Option<&'a Rule> {
    let rules = case.facts.value::<Rules>()?;
    let rule = rules.0.iter().find(|r| {
        r.family == case.flow.family() && r.action == RuleAction::Table(table) && selects(case, r)
    })?;
    let usual = matches!((rule.priority, table), (0, 255) | (32766, 254) | (32767, 253));
    (!usual).then_some(rule)
}

fn selects(case: &Case<'_>, r: &Rule) -> bool {
    let p = &case.forward.packet;
    let src = if p.src.is_unspecified() { case.forward.finally.src } else { p.src };
    let inside = |net: &Option<netwhy_facts::IpNet>, addr| net.as_ref().is_none_or(|n| n.contains(addr));
    let range = |r: Option<(u16, u16)>, port| r.is_none_or(|(low, high)| (low..=high).contains(&port));
    let hit = inside(&r.from, &src)
        && inside(&r.to, &p.dst)
        && r.iif.as_deref().is_none_or(|d| d == "lo")
        && r.oif.is_none()
        && r.fwmark
            .is_none_or(|(mark, mask)| case.forward.finally.mark & mask == mark || p.mark & mask == mark)
        && r.uid_range.is_none_or(|(low, high)| p.uid.is_some_and(|u| (low..=high).contains(&u)))
        && r.ip_proto.is_none_or(|n| n == p.proto)
        && range(r.sport, p.sport)
        && range(r.dport, p.dport)
        && Family::of(&p.dst) == r.family;
    hit != r.invert
}

#[cfg(test)]
mod tests {
    use netwhy_facts::attempt::Outcome;
    use netwhy_facts::route::Routes;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn lost() -> Scene {
        let locus = Locus::Route {
            table: 254,
            dst: netwhy_facts::IpNet::new(ip("203.0.113.0"), 25),
            dev: Some("eth1".into()),
            gateway: Some(ip("192.0.2.254")),
            route_type: "unicast".into(),
            metric: 0,
        };
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(Routes::default())
            .with(Rules::default())
            .forward(
                &[Stage::Routing, Stage::Link],
                End::Sent { dev: "eth1".into(), next_hop: Some(ip("192.0.2.254")) },
            )
            .timeout(3000)
            .request_out();
        scene.forward.steps[0].locus = Some(locus);
        scene
    }

    #[test]
    fn an_answer_by_the_other_device_proves_it() {
        let f = proven(lost().varied("device=eth0", Outcome::Ok).judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::Route { dst, .. } if dst.len == 25));
        assert_eq!(f.fix[0].command, "ip route del 203.0.113.0/25 via 192.0.2.254 dev eth1");
    }

    #[test]
    fn a_rule_that_leads_to_the_table_is_the_object() {
        let rule = Rule {
            family: Family::Inet,
            priority: 500,
            invert: false,
            from: None,
            to: Some(netwhy_facts::IpNet::new(ip("203.0.113.0"), 24)),
            iif: None,
            oif: None,
            fwmark: None,
            tos: 0,
            uid_range: None,
            ip_proto: None,
            sport: None,
            dport: None,
            l3mdev: false,
            action: RuleAction::Table(100),
            suppress_prefixlen: None,
            suppress_ifgroup: None,
            protocol: 0,
            unknown: vec![],
        };
        let mut scene = lost().with(Rules(vec![rule])).varied("device=eth0", Outcome::Ok);
        if let Some(Locus::Route { table, .. }) = &mut scene.forward.steps[0].locus {
            *table = 100;
        }
        let f = proven(scene.judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Rule { priority: 500, .. }));
    }

    #[test]
    fn a_target_no_device_reaches_rules_it_out() {
        assert!(
            ruled_out(lost().varied("device=eth0", Outcome::Timeout).judge(&CAUSE)).contains("bound to eth0")
        );
    }

    #[test]
    fn without_a_trial_nothing_is_said() {
        silent(lost().judge(&CAUSE));
    }
}
