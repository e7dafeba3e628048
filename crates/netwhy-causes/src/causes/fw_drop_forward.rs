//! # A firewall rule of this host drops packets it should pass on
//!
//! ## What you see
//! Clients behind this host time out. Packets arrive on one device and do not leave by the other, in one direction or
//! both. The same holds for a published container port: the request reaches the host and not the container.
//!
//! ## What happens
//! A rule on the forward hook, or on ingress, raw, prerouting, postrouting or a bridge hook, drops the packet.
//! When only answers are dropped, the rule that accepts `ct state established,related` is missing or comes too late.
//!
//! ## How netwhy knows
//! The ruleset, executed on the packet as it arrives, ends in that rule; the packet arrived in the window and did not
//! leave (capture); the rule's counter rose where it counts.
//!
//! ## Look-alikes
//! The chain's policy instead of a rule (forward-policy-drop). Forwarding switched off (`Ip.InAddrErrors`), no route
//! (`IpExt.InNoRoutes`), reverse path filtering (`IPReversePathFilter`): each moves a counter of its own.
//!
//! ## What to do
//! Accept the flow before the rule, or remove the rule; for answers accept established and related packets.
//!
//! ## References
//! nft(8), iptables(8); net/ipv4/ip_forward.c.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::firewall;
use crate::obstacle::Way;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-forward",
    title: "a firewall rule of this host drops packets it should pass on",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Transit, Role::Inbound],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict =
        firewall::judge_drops(case, |o| o.way == Way::Through && !is_policy(o.locus), |_, finding| finding);
    if verdict != Verdict::Silent || case.question.role != Role::Transit {
        return verdict;
    }
    let s = &case.seen;
    if s.known && s.requests_in > 0 && s.requests_out > 0 && s.answers_in == 0 && s.resets_in == 0 {
        return Verdict::ruled_out(
            "the packets went on and no answer came back to this host",
            case.ev_capture().into_iter().collect(),
        );
    }
    let vanished = case.vanished();
    match firewall::unreadable(case, vanished.is_some()) {
        Verdict::Silent if vanished.is_some() => firewall::cleared(case, |_| true, case.forward),
        verdict => verdict,
    }
}

/// Whether the object is a chain's policy, not a rule.
pub(crate) fn is_policy(locus: Option<&Locus>) -> bool {
    matches!(locus, Some(Locus::NftChain { .. } | Locus::IptChain { .. }))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    const ON: &[Stage] = &[Stage::Prerouting, Stage::Routing, Stage::Forward];

    fn dropped() -> Scene {
        Scene::transit("203.0.113.2", 80).forward(ON, End::Dropped { locus: nft_rule("forward", 7) })
    }

    #[test]
    fn a_packet_that_arrives_and_does_not_go_on_is_proven() {
        assert_eq!(proven(dropped().request_in().judge(&CAUSE)).locus, nft_rule("forward", 7));
    }

    #[test]
    fn a_bridge_rule_is_a_forward_rule_for_the_host_between() {
        let scene = Scene::transit("203.0.113.2", 80)
            .forward(&[Stage::Bridge], End::Dropped { locus: nft_rule("forward", 7) })
            .request_in();
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_dropped_answer_is_proven_when_one_came() {
        let scene = Scene::transit("203.0.113.2", 80)
            .reply(ON, End::Dropped { locus: nft_rule("forward", 8) })
            .request_in()
            .request_out();
        consistent(scene.judge(&CAUSE));
        let scene = Scene::transit("203.0.113.2", 80)
            .reply(ON, End::Dropped { locus: nft_rule("forward", 8) })
            .request_in()
            .request_out()
            .answer_in();
        let f = proven(scene.judge(&CAUSE));
        assert!(f.fix[0].command.contains("ct state established,related"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_published_port_whose_packets_are_not_forwarded_is_proven() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(ON, End::Dropped { locus: ipt_rule("FORWARD", 2) })
            .request_in();
        assert_eq!(proven(scene.judge(&CAUSE)).locus, ipt_rule("FORWARD", 2));
    }

    #[test]
    fn the_policy_belongs_to_its_own_cause() {
        silent(
            Scene::transit("203.0.113.2", 80)
                .forward(ON, End::Dropped { locus: nft_policy("forward") })
                .request_in()
                .judge(&CAUSE),
        );
    }

    #[test]
    fn packets_that_went_on_rule_it_out() {
        assert!(ruled_out(dropped().request_in().request_out().judge(&CAUSE)).contains("got past"));
        let scene = Scene::transit("203.0.113.2", 80).request_in().request_out();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("went on"));
    }

    #[test]
    fn an_idle_window_says_nothing() {
        silent(Scene::transit("203.0.113.2", 80).captured().judge(&CAUSE));
    }

    #[test]
    fn unreadable_rules_are_unknown() {
        unknown(Scene::transit("203.0.113.2", 80).denied::<Nft>("CAP_NET_ADMIN").request_in().judge(&CAUSE));
    }
}
