//! # A notrack rule hides the flow from the stateful rules
//!
//! ## What you see
//! connect() times out although a rule accepts the first packet; the answers are dropped.
//!
//! ## What happens
//! A rule in a raw chain takes the flow out of connection tracking. Its packets are "untracked", never "established",
//! so the rule that accepts answers of tracked flows does not know them, and a later rule or the policy drops them.
//!
//! ## How netwhy knows
//! The packet of one direction meets the notrack rule, the rule that drops the way back stands behind a rule for
//! `ct state established` that does not match it, and answers arrived and went no further.
//!
//! ## Look-alikes
//! The accepting rule is missing altogether (fw-drop-reply, forward-policy-drop): no notrack rule is met then.
//!
//! ## What to do
//! Remove the notrack rule, or accept the untracked flow statelessly in both directions.
//!
//! ## References
//! nft(8) "NOTRACK STATEMENT", "ct state untracked"; iptables-extensions(8) CT --notrack.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::CtHypothesis;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::{Direction, Obstacle, Sight, object_text};
use crate::{firewall, fix, passed};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "notrack-beside-stateful",
    title: "a notrack rule hides the flow from the stateful rules",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &[
        "fw-drop-reply",
        "fw-drop-inbound",
        "fw-drop-outbound",
        "fw-drop-forward",
        "forward-policy-drop",
        "ct-invalid-drop",
        "path-or-remote-drop",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let all = case.obstacles_where(|o| firewall::stops(case, o) && firewall::after_conntrack(o));
    Verdict::several(all.iter().map(|o| judge_one(case, o)).collect())
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let Some(dropper) = o.locus else { return Verdict::Silent };
    // The rule on this path, or for an answer the one its request met: untracked one way is unknown the other.
    let mut hiding = passed::rules_saying(o.path, "notrack by");
    if o.direction == Direction::Reply && hiding.is_empty() {
        hiding = passed::rules_saying(case.forward, "notrack by");
        for path in case.beyond.iter().filter(|p| case.direction_of(p) == Direction::Forward) {
            if hiding.is_empty() {
                hiding = passed::rules_saying(path, "notrack by");
            }
        }
    }
    let Some(notrack) = hiding.into_iter().next() else { return Verdict::Silent };
    // Without tracking the forward direction must be accepted by its own rule; only where state would have saved
    // the packet is the notrack rule to blame.
    if o.direction == Direction::Forward && o.path.finally.ct != CtHypothesis::Untracked {
        return Verdict::Silent;
    }
    let sight = case.sight(o);
    if sight == Sight::Contradicts {
        return Verdict::Silent; // The cause about the dropping rule says what contradicts it.
    }
    let mut finding = Finding::new(
        notrack.clone(),
        format!(
            "{} takes the flow out of connection tracking, so {} are not \"established\" and {} drops them",
            object_text(&notrack),
            case.packets_text(o),
            object_text(dropper)
        ),
    );
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    finding = finding.evidence(
        Evidence::new("notrack", format!("the flow meets {}", object_text(&notrack)), "ruleset")
            .command(fix::show(&notrack)),
    );
    if let Locus::NftRule { family, table, chain, handle, text } = &notrack {
        finding = finding.fix(
            Fix::run(
                "remove the notrack rule",
                format!("nft delete rule {} handle {handle}", fix::nft_chain(family, table, chain)),
                format!(
                    "nft add rule {} {}",
                    fix::nft_chain(family, table, chain),
                    fix::nft_rule_words(text)
                ),
            )
            .risk("the flow takes an entry of the connection table again"),
        );
    } else if let Locus::IptRule { command, table, chain, number, .. } = &notrack {
        finding = finding.fix(
            Fix::run(
                "remove the notrack rule",
                format!("{command} -t {} -D {} {number}", fix::quote(table), fix::quote(chain)),
                fix::reinsert(&notrack),
            )
            .risk("the flow takes an entry of the connection table again"),
        );
    }
    for f in stateless(o) {
        finding = finding.fix(f);
    }
    let sure = case.firm(o.path) || case.rule_counter(dropper).is_some_and(|n| n > 0);
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && sure && !o.next)
}

/// Accepting the untracked answers where they are dropped.
fn stateless(o: &Obstacle<'_>) -> Vec<Fix> {
    let Some(locus) = o.locus else { return Vec::new() };
    let p = &o.path.finally;
    let nft = format!("ct state untracked {}", firewall::nft_selector(p, o.direction));
    let ipt = format!("{} -m conntrack --ctstate UNTRACKED", firewall::ipt_selector(locus, p, o.direction));
    fix::let_pass(locus, &nft, &ipt).into_iter().take(1).collect()
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    fn client() -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80)
            .reply(&[Stage::Raw, Stage::Input], End::Dropped { locus: nft_policy("input") })
            .timeout(3000)
            .request_out()
            .answer_in();
        scene.forward.steps[1].text = "inet raw output: policy accept".into();
        scene.forward.steps[1].passed = vec!["notrack by rule handle 3 (tcp dport 80 notrack)".into()];
        scene.forward.finally.ct = CtHypothesis::Untracked;
        scene
    }

    #[test]
    fn the_notrack_rule_is_the_root_of_the_dropped_answer() {
        let f = proven(client().judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::NftRule { table, handle: 3, .. } if table == "raw"));
        assert_eq!(f.fix[0].command, "nft delete rule inet raw output handle 3");
        assert!(f.fix[1].command.contains("ct state untracked"), "{}", f.fix[1].command);
    }

    #[test]
    fn without_a_notrack_rule_it_is_silent() {
        let mut scene = client();
        scene.forward.steps[1].passed.clear();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_notrack_rule_that_harms_nothing_is_not_mentioned() {
        let mut scene = client();
        scene.reply = path(
            scene.reply.packet.clone(),
            &[Stage::Input],
            End::Sent { dev: "eth0".into(), next_hop: None },
        );
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_drop_before_tracking_is_another_cause() {
        let mut scene = client();
        scene.reply =
            path(scene.reply.packet.clone(), &[Stage::Raw], End::Dropped { locus: nft_rule("raw", 1) });
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn while_no_answer_comes_it_is_only_consistent() {
        let mut scene = client();
        scene = Scene {
            forward: scene.forward.clone(),
            reply: scene.reply.clone(),
            ..Scene::client("203.0.113.2", 80)
        }
        .timeout(3000)
        .request_out();
        consistent(scene.judge(&CAUSE));
    }
}
