//! # An element of a set makes a rule stop the flow
//!
//! ## What you see
//! The rule looks harmless (`ip saddr @blocked drop`); only some addresses or ports are affected.
//!
//! ## What happens
//! The rule looks a field of the packet up in a named set, map or ipset. An element there covers this flow: a blocklist
//! entry, an address a tool banned, an interval that is too wide.
//!
//! ## How netwhy knows
//! The ruleset, executed on the packet, ends in a rule whose set holds a matching element, and the packet was seen to
//! end there (rule counter, capture).
//!
//! ## Look-alikes
//! A rule that names the address itself (fw-drop-*): no set is asked.
//!
//! ## What to do
//! Delete the element; if a tool maintains the set (fail2ban, a blocklist updater), tell the tool.
//!
//! ## References
//! nft(8) "SETS", "MAPS"; ipset(8).

use netwhy_facts::ipset::Ipsets;
use netwhy_facts::nft::Nft;
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::XtMatch;
use netwhy_facts::{IpNet, Locus, Role};
use netwhy_walk::{End, Packet};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::{Obstacle, Sight, object_text};
use crate::{firewall, fix};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "set-element-blocks",
    title: "an element of a set makes a rule stop the flow",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "ipsets", "mib", "capture", "attempts", "addresses", "kernel-events", "links"],
    explains: &[
        "fw-drop-inbound",
        "fw-drop-outbound",
        "fw-drop-reply",
        "fw-drop-forward",
        "fw-reject",
        "path-or-remote-drop",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let stopping = |o: &Obstacle<'_>| {
        firewall::stops(case, o) || (o.is_firewall() && matches!(o.path.end, End::Rejected { .. }))
    };
    Verdict::several(case.obstacles_where(stopping).iter().map(|o| judge_one(case, o)).collect())
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let Some(rule) = o.locus else { return Verdict::Silent };
    let Some((locus, element)) = nft_element(o, rule).or_else(|| ipset_member(case, o, rule)) else {
        return Verdict::Silent;
    };
    let sight = match (&o.path.end, case.sight(o)) {
        (End::Rejected { .. }, Sight::Nothing) if case.errno().is_some() || case.seen.resets_out > 0 => {
            Sight::Agrees
        }
        (_, sight) => sight,
    };
    if sight == Sight::Contradicts {
        return Verdict::Silent; // The cause about the rule says what contradicts it.
    }
    let mut finding = Finding::new(
        locus.clone(),
        format!("{} makes {} stop {}", object_text(&locus), object_text(rule), case.packets_text(o)),
    );
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    finding = finding
        .evidence(
            Evidence::new("element", format!("the set holds {element}"), "set elements")
                .value(element.clone())
                .command(fix::show(&locus)),
        )
        .fix(remove(case, &locus, &element));
    for f in firewall::let_pass(o).into_iter().take(1) {
        finding = finding.fix(f);
    }
    let sure = case.firm(o.path) || case.rule_counter(rule).is_some_and(|n| n > 0);
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && sure && !o.next)
}

/// The element the walker saw the blocking rule hit (`element X of set S by rule handle N (…)`).
fn nft_element(o: &Obstacle<'_>, rule: &Locus) -> Option<(Locus, String)> {
    let Locus::NftRule { family, table, handle, .. } = rule else { return None };
    let by = format!(" by rule handle {handle} (");
    let words = o.path.last()?.passed.iter().rev().find(|w| w.starts_with("element ") && w.contains(&by))?;
    let (element, rest) = words.strip_prefix("element ")?.split_once(" of set ")?;
    let (set, _) = rest.split_once(" by rule ")?;
    let locus = Locus::NftSet {
        family: family.clone(),
        table: table.clone(),
        set: set.into(),
        element: Some(element.into()),
    };
    Some((locus, element.into()))
}

/// The member of an ipset that the blocking legacy rule finds the packet's address in.
fn ipset_member(case: &Case<'_>, o: &Obstacle<'_>, rule: &Locus) -> Option<(Locus, String)> {
    let xt = case.xt_rule(rule)?;
    let name = xt.matches.iter().find_map(|m| match m {
        XtMatch::Set { set, invert: false, .. } => Some(set),
        _ => None,
    })?;
    let sets = case.facts.get::<Ipsets>().value()?;
    let set = sets.0.iter().find(|s| s.name == *name || s.index.is_some_and(|i| format!("#{i}") == *name))?;
    let member = set.members.iter().find(|m| covers(m, &o.path.finally))?;
    let locus = Locus::Ipset { set: set.name.clone(), member: Some(member.clone()) };
    Some((locus, member.clone()))
}

fn is_map(case: &Case<'_>, family: &str, table: &str, set: &str) -> bool {
    case.facts.get::<Nft>().value().is_some_and(|n| {
        n.sets
            .iter()
            .any(|s| s.family.name() == family && s.table == table && s.name == set && s.data_type.is_some())
    })
}

/// Whether a member as ipset(8) writes it has one of the packet's addresses and, where it names one, its port.
fn covers(member: &str, p: &Packet) -> bool {
    member.split(',').all(|part| {
        if let Some((proto, port)) = part.split_once(':')
            && matches!(proto, "tcp" | "udp")
        {
            return port.parse() == Ok(p.dport) || port.parse() == Ok(p.sport);
        }
        if let Ok(addr) = part.parse::<std::net::IpAddr>() {
            return addr == p.src || addr == p.dst;
        }
        match part.split_once('/').and_then(|(a, l)| Some(IpNet::new(a.parse().ok()?, l.parse().ok()?))) {
            Some(net) => net.contains(&p.src) || net.contains(&p.dst),
            None => part.parse() == Ok(p.dport) || part.parse() == Ok(p.sport),
        }
    })
}

fn remove(case: &Case<'_>, locus: &Locus, element: &str) -> Fix {
    match locus {
        // An element of a verdict map comes back with its verdict.
        Locus::NftSet { family, table, set, .. } if is_map(case, family, table, set) => Fix::run(
            "delete the element",
            format!("nft delete element {family} {table} {set} '{{ {element} }}'"),
            format!("nft add element {family} {table} {set} '{{ {element} : drop }}'"),
        ),
        Locus::NftSet { family, table, set, .. } => Fix::run(
            "delete the element",
            format!("nft delete element {family} {table} {set} '{{ {element} }}'"),
            format!("nft add element {family} {table} {set} '{{ {element} }}'"),
        ),
        Locus::Ipset { set, .. } => Fix::run(
            "delete the member",
            format!("ipset del {set} {element}"),
            format!("ipset add {set} {element}"),
        ),
        _ => Fix::act("delete the element"),
    }
    .risk("a program that maintains the set may add it again")
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Reading;
    use netwhy_facts::ipset::Ipset;
    use netwhy_facts::xtables::{XtChain, XtFamily, XtRule, XtTable, XtTarget, XtVerdict, Xtables};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn banned() -> Scene {
        let mut scene = Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Input], End::Dropped { locus: nft_rule("input", 4) })
            .request_in();
        scene.forward.steps[1].passed =
            vec!["element 198.51.100.0/24 of set banned by rule handle 4 (ip saddr @banned drop)".into()];
        scene
    }

    #[test]
    fn the_element_is_the_object() {
        let f = proven(banned().judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::NftSet { set, element: Some(e), .. }
            if set == "banned" && e == "198.51.100.0/24"));
        assert_eq!(f.fix[0].command, "nft delete element inet filter banned '{ 198.51.100.0/24 }'");
    }

    #[test]
    fn an_element_another_rule_passed_by_is_not_blamed() {
        let mut scene = banned();
        scene.forward.steps[1].passed =
            vec!["element 80 of set open by rule handle 3 (tcp dport @open)".into()];
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_rule_without_a_set_is_another_cause() {
        let mut scene = banned();
        scene.forward.steps[1].passed.clear();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        let quiet = Scene { packets: None, ..banned() };
        consistent(quiet.judge(&CAUSE));
    }

    #[test]
    fn an_ipset_member_is_found_by_the_packets_address() {
        let rule = XtRule {
            src: None,
            dst: None,
            odd_masks: None,
            iif: None,
            oif: None,
            proto: None,
            fragment: None,
            goto: false,
            matches: vec![XtMatch::Set { set: "banned".into(), dim: 1, flags: 1, invert: false }],
            target: XtTarget::Standard { verdict: XtVerdict::Drop },
            counters: (0, 0),
            extra: vec![],
        };
        let chain = XtChain {
            name: "INPUT".into(),
            hook: Some(1),
            policy: Some(XtVerdict::Accept),
            counters: (0, 0),
            rules: vec![rule],
        };
        let tables = Xtables(vec![XtTable {
            family: XtFamily::Iptables,
            name: "filter".into(),
            chains: Reading::known(vec![chain], "test", 1),
        }]);
        let set = Ipset {
            name: "banned".into(),
            index: Some(1),
            set_type: "hash:net".into(),
            family: 2,
            members: vec!["192.0.2.0/24".into(), "198.51.100.0/24".into()],
            complete: true,
        };
        let scene = Scene::inbound("203.0.113.2", 80)
            .with(tables)
            .with(Ipsets(vec![set]))
            .forward(&[Stage::Input], End::Dropped { locus: ipt_rule("INPUT", 1) })
            .request_in();
        let f = proven(scene.judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ipset del banned 198.51.100.0/24");
    }
}
