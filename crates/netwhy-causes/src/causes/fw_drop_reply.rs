//! # A firewall rule of this host drops the answers
//!
//! ## What you see
//! connect() times out although the target answers: its SYN-ACK (or datagram) reaches this host and dies here. On the
//! server's side: requests arrive, the service answers, and the answer does not leave.
//!
//! ## What happens
//! The ruleset lets the first packet of the flow pass and stops the way back. Usually the rule that accepts
//! `ct state established,related` is missing, comes too late, or stands in another chain than the drop.
//!
//! ## How netwhy knows
//! The ruleset, executed on the answer as connection tracking would see it, ends in that rule or policy; answers
//! arrived (capture) and the attempt still timed out, or requests arrived and no answer left; the rule's counter rose.
//!
//! ## Look-alikes
//! No answer arrives at all: the path or the far end (path-or-remote-drop). Answers of untracked flows that a
//! stateful rule cannot recognise (notrack-beside-stateful). Reverse path filtering (`IPReversePathFilter`).
//!
//! ## What to do
//! Accept established and related packets at the top of the chain.
//!
//! ## References
//! nft(8) "CT EXPRESSIONS", iptables-extensions(8) "conntrack".

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::firewall;
use crate::obstacle::{Direction, Way};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-reply",
    title: "a firewall rule of this host drops the answers",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = firewall::judge_drops(
        case,
        |o| o.direction == Direction::Reply && o.way != Way::Through,
        |o, mut finding| {
            if firewall::after_conntrack(o) {
                finding.summary.push_str(": no rule before it accepts answers (ct state established)");
            }
            finding
        },
    );
    if verdict != Verdict::Silent {
        return verdict;
    }
    let s = &case.seen;
    let unanswered = case.question.role == Role::Client && case.timed_out() && s.known;
    if unanswered && s.requests_out > 0 && s.answers_in == 0 && s.lost == 0 {
        return Verdict::ruled_out(
            "no answer arrived at this host, so no rule here dropped one",
            case.ev_capture().into_iter().collect(),
        );
    }
    firewall::unreadable(case, unanswered && s.answers_in > 0)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    const IN: &[Stage] = &[Stage::Prerouting, Stage::Conntrack, Stage::Input];

    fn dropped() -> Scene {
        Scene::client("203.0.113.2", 80).reply(IN, End::Dropped { locus: nft_policy("input") })
    }

    #[test]
    fn an_answer_that_arrives_and_is_not_accepted_is_proven() {
        let f = proven(dropped().timeout(3000).request_out().answer_in().judge(&CAUSE));
        assert_eq!(f.locus, nft_policy("input"));
        assert!(f.fix[0].command.contains("ct state established,related accept"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_server_whose_output_swallows_the_answer_is_proven() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .reply(&[Stage::Routing, Stage::Output], End::Dropped { locus: nft_rule("output", 5) })
            .request_in();
        assert_eq!(proven(scene.judge(&CAUSE)).locus, nft_rule("output", 5));
    }

    #[test]
    fn a_raw_rule_is_let_pass_without_connection_tracking() {
        let scene = Scene::client("203.0.113.2", 80)
            .reply(&[Stage::Raw], End::Dropped { locus: nft_rule("raw", 5) })
            .timeout(3000)
            .request_out()
            .answer_in();
        let f = proven(scene.judge(&CAUSE));
        assert!(f.fix[0].command.contains("tcp sport 80 accept"), "{}", f.fix[0].command);
    }

    #[test]
    fn while_no_answer_comes_it_is_not_proven() {
        consistent(dropped().timeout(3000).request_out().judge(&CAUSE));
    }

    #[test]
    fn behind_a_blocked_request_it_is_the_next_obstacle() {
        let scene = dropped()
            .forward(&[Stage::Output], End::Dropped { locus: nft_rule("output", 1) })
            .timeout(3000)
            .captured();
        assert_eq!(consistent(scene.judge(&CAUSE)).evidence[0].id, "next-obstacle");
    }

    #[test]
    fn silence_from_the_far_end_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80).timeout(3000).request_out();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("no answer arrived"));
    }

    #[test]
    fn a_refusal_that_came_through_is_no_sign_of_it() {
        silent(Scene::client("203.0.113.2", 80).errno("ECONNREFUSED", 1).reset_in().judge(&CAUSE));
    }

    #[test]
    fn unreadable_rules_are_unknown() {
        let scene = Scene::client("203.0.113.2", 80)
            .denied::<Nft>("CAP_NET_ADMIN")
            .timeout(3000)
            .request_out()
            .answer_in();
        unknown(scene.judge(&CAUSE));
    }
}
