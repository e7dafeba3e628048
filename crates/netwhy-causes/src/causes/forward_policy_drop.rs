//! # The forward chain drops what no rule accepts
//!
//! ## What you see
//! Clients behind this host, or of a container on it, time out. No rule names the flow; the chain's policy is drop.
//! Typical after Docker or firewalld set the policy, or after a rule set was loaded without the rule for this flow.
//!
//! ## What happens
//! The packet walks through the forward chain, matches no rule that accepts it, and meets the policy. When only the
//! answers are dropped, no rule accepts `ct state established,related`.
//!
//! ## How netwhy knows
//! The ruleset, executed on the packet, ends in the policy; the packet arrived in the window and did not leave.
//! For legacy tables the policy's counter rose.
//!
//! ## Look-alikes
//! Forwarding switched off: `Ip.InAddrErrors` rises (forwarding-off). A rule that drops (fw-drop-forward).
//!
//! ## What to do
//! Accept the flow in the chain meant for it (DOCKER-USER, the zone of firewalld); the policy itself may be wanted.
//!
//! ## References
//! nft(8) "policy", iptables(8) "-P"; Docker documentation "Packet filtering and firewalls".

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::causes::fw_drop_forward::is_policy;
use crate::firewall;
use crate::obstacle::{Direction, Way};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "forward-policy-drop",
    title: "the forward chain drops what no rule accepts",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Transit, Role::Inbound],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = firewall::judge_drops(
        case,
        |o| o.way == Way::Through && is_policy(o.locus),
        |o, mut finding| {
            finding.summary.push_str(match o.direction {
                Direction::Forward => ": no rule accepts them",
                Direction::Reply => ": no rule accepts answers (ct state established)",
            });
            finding
        },
    );
    if verdict == Verdict::Silent && case.question.role == Role::Transit && case.vanished().is_some() {
        return firewall::cleared(case, |_| true, case.forward);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    const ON: &[Stage] = &[Stage::Prerouting, Stage::Routing, Stage::Forward];

    fn dropped() -> Scene {
        Scene::transit("203.0.113.2", 80).forward(ON, End::Dropped { locus: nft_policy("forward") })
    }

    #[test]
    fn a_packet_that_meets_the_policy_and_does_not_go_on_is_proven() {
        let f = proven(dropped().request_in().judge(&CAUSE));
        assert_eq!(f.locus, nft_policy("forward"));
        assert!(f.summary.contains("no rule accepts"), "{}", f.summary);
    }

    #[test]
    fn answers_that_meet_it_are_proven_once_one_came() {
        let scene = Scene::transit("203.0.113.2", 80)
            .reply(ON, End::Dropped { locus: nft_policy("forward") })
            .request_in()
            .request_out()
            .answer_in();
        assert!(proven(scene.judge(&CAUSE)).summary.contains("established"));
    }

    #[test]
    fn packets_that_went_on_rule_it_out() {
        ruled_out(dropped().request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(dropped().captured().judge(&CAUSE));
    }

    #[test]
    fn a_policy_the_flow_does_not_meet_is_not_mentioned() {
        silent(Scene::transit("203.0.113.2", 80).request_in().judge(&CAUSE));
    }
}
