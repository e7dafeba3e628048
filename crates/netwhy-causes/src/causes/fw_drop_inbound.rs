//! # A firewall rule of this host drops the incoming packet
//!
//! ## What you see
//! Clients hang until they time out. On this host the requests arrive and nothing answers them.
//!
//! ## What happens
//! A rule or chain policy on the way in drops the packet before the socket is looked up: netdev or inet ingress,
//! raw, prerouting, a bridge hook, or input.
//!
//! ## How netwhy knows
//! The ruleset, executed on the request as it arrives, ends in that rule. A request arrived in the window (capture),
//! no answer left, and the rule's counter rose where it counts. No TCP counter moves for such a drop.
//!
//! ## Look-alikes
//! A full accept queue (`ListenOverflows`), a missing route for the answer (`ListenDrops` and `OutNoRoutes`), reverse
//! path filtering (`IPReversePathFilter`), a full connection table (conntrack `drop`): each moves a counter of its own.
//! An XDP program: the request does not even reach the capture.
//!
//! ## What to do
//! Accept the service before the rule, or remove the rule.
//!
//! ## References
//! nft(8) "Chains", iptables(8); net/netfilter/core.c, net/core/dev.c (taps run before the ingress hooks).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::firewall;
use crate::obstacle::{Direction, Way};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-inbound",
    title: "a firewall rule of this host drops the incoming packet",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound, Role::Client],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = firewall::judge_drops(
        case,
        |o| o.direction == Direction::Forward && o.way == Way::In,
        |_, finding| finding,
    );
    if verdict != Verdict::Silent || case.question.role != Role::Inbound {
        return verdict;
    }
    let s = &case.seen;
    if s.known && s.requests_in > 0 && (s.answers_out + s.resets_out > 0 || !s.icmp_out.is_empty()) {
        return Verdict::ruled_out(
            "requests were answered, so no rule of this host dropped them on the way in",
            case.ev_capture().into_iter().collect(),
        );
    }
    if s.known && s.lost == 0 && s.requests_in == 0 {
        return Verdict::ruled_out(
            "no request reached this host in the window, so there was none for a rule to drop",
            case.ev_capture().into_iter().collect(),
        );
    }
    let vanished = s.known && s.requests_in > 0;
    match firewall::unreadable(case, vanished) {
        Verdict::Silent if vanished => {
            firewall::cleared(case, |o| o.direction == Direction::Forward, case.forward)
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    const IN: &[Stage] = &[Stage::Prerouting, Stage::Routing, Stage::Input];

    fn dropped() -> Scene {
        Scene::inbound("203.0.113.2", 8080).forward(IN, End::Dropped { locus: nft_rule("input", 12) })
    }

    #[test]
    fn a_request_that_arrives_and_dies_in_the_predicted_rule_is_proven() {
        let f = proven(dropped().request_in().judge(&CAUSE));
        assert_eq!(f.locus, nft_rule("input", 12));
        assert!(f.summary.contains("198.51.100.7"), "{}", f.summary);
        assert!(f.fix[0].command.contains("tcp dport 8080 accept"), "{}", f.fix[0].command);
    }

    #[test]
    fn ingress_and_raw_drops_count_too() {
        for stage in [Stage::NetdevIngress, Stage::Raw, Stage::Bridge, Stage::Prerouting] {
            let scene = Scene::inbound("203.0.113.2", 8080)
                .forward(&[stage], End::Dropped { locus: nft_rule("in", 3) })
                .request_in();
            proven(scene.judge(&CAUSE));
        }
    }

    #[test]
    fn without_a_request_in_the_window_it_is_only_consistent() {
        consistent(dropped().judge(&CAUSE));
        consistent(dropped().captured().judge(&CAUSE));
    }

    #[test]
    fn an_answer_that_left_rules_it_out() {
        assert!(ruled_out(dropped().request_in().answer_out().judge(&CAUSE)).contains("got past"));
    }

    #[test]
    fn where_nothing_arrived_nothing_was_dropped() {
        let scene = Scene::inbound("203.0.113.2", 8080).captured();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("no request reached"));
    }

    #[test]
    fn an_innocent_drop_rule_is_not_mentioned() {
        silent(Scene::inbound("203.0.113.2", 8080).request_in().judge(&CAUSE));
    }

    #[test]
    fn a_later_accept_is_named_as_shadowed() {
        let mut scene = dropped().request_in().then_forward(IN, End::Delivered { locus: nft_rule("x", 1) });
        let accept = netwhy_facts::Locus::NftRule {
            family: "inet".into(),
            table: "filter".into(),
            chain: "input".into(),
            handle: 13,
            text: "tcp dport 8080 accept".into(),
        };
        scene.beyond[0].steps[2].locus = Some(accept);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("handle 13"));
    }

    #[test]
    fn the_rule_behind_another_obstacle_is_the_next_one() {
        let scene = Scene::inbound("203.0.113.2", 8080)
            .forward(&[Stage::Raw], End::Dropped { locus: ipt_rule("PREROUTING", 1) })
            .then_forward(IN, End::Dropped { locus: nft_rule("input", 12) })
            .request_in();
        let all = scene.judge(&CAUSE).flatten();
        assert_eq!(proven(all[0].clone()).locus, ipt_rule("PREROUTING", 1));
        let next = consistent(all[1].clone());
        assert_eq!((next.locus, next.evidence[0].id.as_str()), (nft_rule("input", 12), "next-obstacle"));
    }

    #[test]
    fn unreadable_rules_are_unknown() {
        let scene = Scene::inbound("203.0.113.2", 8080).denied::<Nft>("CAP_NET_ADMIN").request_in();
        unknown(scene.judge(&CAUSE));
    }
}
