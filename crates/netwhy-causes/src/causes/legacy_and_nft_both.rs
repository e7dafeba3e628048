//! # Two rule engines are loaded and they disagree
//!
//! ## What you see
//! The rules you look at accept the flow, and it is dropped all the same.
//!
//! ## What happens
//! nftables and the legacy iptables tables are both active in this namespace. Every packet passes both at every hook, and
//! a drop by either is final; `nft list ruleset` does not show the legacy rules and `iptables-nft` not the legacy ones.
//!
//! ## How netwhy knows
//! At one hook a rule of one engine accepts the flow's packet and a rule or policy of the other drops it; the packet
//! was seen to end there.
//!
//! ## Look-alikes
//! One engine only, with a rule that drops: the fw-drop-* and fw-reject causes name it alone. Two engines that agree
//! are no fault.
//!
//! ## What to do
//! Keep one engine. Until then accept the flow in both.
//!
//! ## References
//! nft(8), iptables(8), xtables-nft(8); net/netfilter/core.c (nf_hook_slow runs every hook).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::obstacle::{Obstacle, Sight, is_firewall, object_text};
use crate::{firewall, fix};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "legacy-and-nft-both",
    title: "two rule engines are loaded and they disagree",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &[
        "fw-drop-inbound",
        "fw-drop-outbound",
        "fw-drop-reply",
        "fw-drop-forward",
        "forward-policy-drop",
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Nft,
    Legacy,
}

fn engine_of(locus: &Locus) -> Engine {
    match locus {
        Locus::IptRule { .. } | Locus::IptChain { .. } => Engine::Legacy,
        _ => Engine::Nft,
    }
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let Some(blocker) = o.locus else { return Verdict::Silent };
    let Some(accepting) = accepted_by_other(case, o) else { return Verdict::Silent };
    let sight = match (&o.path.end, case.sight(o)) {
        // A rejection is answered, which the fw-reject cause observes; here the disagreement is what counts.
        (End::Rejected { .. }, Sight::Nothing) if case.errno().is_some() || case.seen.resets_out > 0 => {
            Sight::Agrees
        }
        (_, sight) => sight,
    };
    if sight == Sight::Contradicts {
        return Verdict::Silent; // The cause about the rule says what contradicts it.
    }
    let (accepts, stops) = match engine_of(blocker) {
        Engine::Legacy => ("nftables", "legacy iptables"),
        Engine::Nft => ("legacy iptables", "nftables"),
    };
    let mut finding = Finding::new(
        blocker.clone(),
        format!(
            "{accepts} accepts {} ({}), but {stops} is active too and stops them: {}",
            case.packets_text(o),
            object_text(&accepting),
            object_text(blocker)
        ),
    );
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    finding = finding.evidence(
        Evidence::new(
            "other-engine",
            format!("{} accepts the same packet", object_text(&accepting)),
            "ruleset",
        )
        .command(fix::show(&accepting)),
    );
    for f in firewall::let_pass(o) {
        finding = finding.fix(f);
    }
    let sure = case.firm(o.path) || case.rule_counter(blocker).is_some_and(|n| n > 0);
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && sure && !o.next)
}

/// A rule of the other engine that accepts the packet at the same hook, on this path or on the one behind the blocker.
fn accepted_by_other(case: &Case<'_>, o: &Obstacle<'_>) -> Option<Locus> {
    let engine = engine_of(o.locus?);
    let behind = case.beyond.iter().filter(|p| case.direction_of(p) == o.direction);
    std::iter::once(o.path).chain(behind).flat_map(|p| &p.steps).find_map(|s| {
        let locus = s.locus.as_ref()?;
        let rule = matches!(locus, Locus::NftRule { .. } | Locus::IptRule { .. });
        let accepts = matches!(s.action, netwhy_walk::Action::Pass | netwhy_walk::Action::Deliver)
            && s.text.contains("accept by");
        (s.stage == o.stage && rule && is_firewall(locus) && accepts && engine_of(locus) != engine)
            .then(|| locus.clone())
    })
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn both() -> Scene {
        let mut scene = Scene::inbound("203.0.113.2", 80)
            .forward(
                &[Stage::Prerouting, Stage::Input, Stage::Input],
                End::Dropped { locus: ipt_rule("INPUT", 2) },
            )
            .request_in();
        scene.forward.steps[1].locus = Some(nft_rule("input", 4));
        scene.forward.steps[1].text =
            "inet filter input: accept by rule handle 4 (tcp dport 80 accept)".into();
        scene
    }

    #[test]
    fn a_legacy_drop_behind_an_nft_accept_is_proven() {
        let f = proven(both().judge(&CAUSE));
        assert_eq!(f.locus, ipt_rule("INPUT", 2));
        assert!(f.summary.starts_with("nftables accepts"), "{}", f.summary);
    }

    #[test]
    fn the_accepting_engine_may_come_second() {
        let mut scene = Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Input], End::Dropped { locus: ipt_rule("INPUT", 2) })
            .then_forward(&[Stage::Input], End::Delivered { locus: nft_rule("input", 4) })
            .request_in();
        scene.beyond[0].steps[0].text = "inet filter input: accept by rule handle 4 (accept)".into();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn one_engine_alone_is_another_cause() {
        let mut scene = both();
        scene.forward.steps[1].locus = Some(ipt_rule("INPUT", 1));
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn an_engine_without_an_opinion_is_not_blamed() {
        let mut scene = both();
        scene.forward.steps[1].locus = None;
        scene.forward.steps[1].text = "inet filter input: policy accept".into();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        let scene = both();
        let quiet = Scene { forward: scene.forward, ..Scene::inbound("203.0.113.2", 80) };
        consistent(quiet.captured().judge(&CAUSE));
    }
}
