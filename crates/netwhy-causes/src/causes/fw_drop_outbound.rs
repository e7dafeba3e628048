//! # A firewall rule of this host drops the outgoing packet
//!
//! ## What you see
//! connect() hangs until it times out; a UDP send fails at once with EPERM. Nothing appears on the wire.
//!
//! ## What happens
//! A rule or chain policy on the output or postrouting hook (or a netdev egress hook) of this host drops the packet
//! before it reaches the device. TCP learns nothing from the drop and retransmits in vain.
//!
//! ## How netwhy knows
//! The ruleset, executed on this flow's first packet, ends in that rule; the rule's counter rose while the attempt ran
//! (where it counts), `TcpExt.TCPRetransFail` rose with the retransmissions, and no packet of the flow left a device.
//!
//! ## Look-alikes
//! A drop on the path or at the far end: the packet leaves this host and `TCPRetransFail` stays flat. A reject rule:
//! an error comes back at once. A BPF program at the cgroup or at tc egress: no rule counts the packet.
//!
//! ## What to do
//! Accept the flow before the rule, or remove the rule.
//!
//! ## References
//! nft(8), iptables(8); net/netfilter/core.c (NF_DROP on LOCAL_OUT gives EPERM), net/ipv4/tcp_output.c (TCPRetransFail).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::firewall;
use crate::fix::Fix;
use crate::obstacle::{Direction, Way};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-outbound",
    title: "a firewall rule of this host drops the outgoing packet",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: firewall::NEEDS,
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let verdict = firewall::judge_drops(
        case,
        |o| o.direction == Direction::Forward && o.way == Way::Out,
        |_, finding| finding.maybe(firewall::ev_retrans_fail(case)),
    );
    if verdict != Verdict::Silent {
        return verdict;
    }
    let dropped_here = swallowed(case);
    if case.timed_out() && case.seen.known && case.seen.requests_out > 0 && !case.target_is_local() {
        return Verdict::ruled_out(
            "packets of the flow left this host, so no rule here dropped them",
            case.ev_capture().into_iter().chain(firewall::ev_retrans_fail(case)).collect(),
        );
    }
    if case.seen.resets_in + case.seen.answers_in > 0 && !case.target_is_local() {
        return Verdict::ruled_out(
            "an answer of the target arrived, so the request had left this host",
            case.ev_capture().into_iter().collect(),
        );
    }
    match firewall::unreadable(case, dropped_here) {
        Verdict::Silent if dropped_here || case.timed_out() || unreachable_by_itself(case) => {
            firewall::cleared(case, |o| o.direction == Direction::Forward, case.forward)
        }
        Verdict::Silent => Verdict::Silent,
        unknown => Verdict::several(vec![unknown, by_symptom(case)]),
    }
}

/// The kernel itself says that it dropped the packet on the way out.
fn swallowed(case: &Case<'_>) -> bool {
    let failed = case.grew("TcpExt.TCPRetransFail").is_some_and(|d| d > 0);
    case.errno() == Some("EPERM") || (case.flow.proto == Proto::Tcp && case.timed_out() && failed)
}

/// This host said itself that it cannot reach the next hop: its requests for it may have been dropped, too.
fn unreachable_by_itself(case: &Case<'_>) -> bool {
    case.errno() == Some("EHOSTUNREACH") && case.icmp_remote().is_empty()
}

/// Without the right to read rules: that it happens here is known, which rule does it is not.
fn by_symptom(case: &Case<'_>) -> Verdict {
    let target = case.flow.target();
    Finding::new(
        Locus::Host { detail: "output path (rule not readable)".into() },
        format!(
            "this host drops its own packets to {target} before they leave; which rule does it cannot be read"
        ),
    )
    .maybe(case.ev_attempt())
    .maybe(firewall::ev_retrans_fail(case))
    .maybe(case.ev_capture())
    .evidence(Evidence::new("not-readable", "the rules of this host could not be read", "nfnetlink"))
    .fix(Fix::act(format!("ask again with CAP_NET_ADMIN: {}", case.ask_again())))
    .verify(case.ask_again())
    .consistent()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::Nft;
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    const OUT: &[Stage] = &[Stage::Routing, Stage::Output];

    fn dropped() -> Scene {
        Scene::client("203.0.113.2", 80).forward(OUT, End::Dropped { locus: nft_rule("output", 4) })
    }

    #[test]
    fn a_rule_that_swallows_the_syn_is_proven_by_the_failed_retransmissions() {
        let f = proven(dropped().timeout(3000).captured().rose("TcpExt.TCPRetransFail", 2).judge(&CAUSE));
        assert_eq!(f.locus, nft_rule("output", 4));
        assert!(f.summary.contains("handle 4"), "{}", f.summary);
        assert!(f.fix[0].command.contains("tcp dport 80 accept"), "{}", f.fix[0].command);
        assert!(!f.fix[0].undo.is_empty());
    }

    #[test]
    fn a_udp_send_that_fails_with_eperm_is_proven() {
        let scene = Scene::client_udp("203.0.113.2", 53)
            .forward(OUT, End::Dropped { locus: nft_policy("output") })
            .errno("EPERM", 0);
        assert_eq!(proven(scene.judge(&CAUSE)).locus, nft_policy("output"));
    }

    #[test]
    fn without_an_observation_it_is_only_consistent() {
        consistent(dropped().judge(&CAUSE));
    }

    #[test]
    fn packets_that_left_rule_it_out() {
        let because = ruled_out(dropped().timeout(3000).request_out().judge(&CAUSE));
        assert!(because.contains("got past"), "{because}");
        let path = Scene::client("203.0.113.2", 80).timeout(3000).request_out();
        assert!(ruled_out(path.judge(&CAUSE)).contains("left this host"));
    }

    #[test]
    fn rules_that_were_executed_and_let_it_pass_are_innocent_of_a_swallowed_packet() {
        let scene = || Scene::client("203.0.113.2", 80).timeout(3000).captured();
        let swallowed = scene().with(Nft::default()).with(netwhy_facts::xtables::Xtables::default());
        let because = ruled_out(swallowed.rose("TcpExt.TCPRetransFail", 2).judge(&CAUSE));
        assert!(because.contains("no rule of this host"), "{because}");
        let answered = Scene::client("203.0.113.2", 80).errno("ECONNREFUSED", 1).request_out().reset_in();
        assert!(ruled_out(answered.judge(&CAUSE)).contains("an answer of the target"));
    }

    #[test]
    fn a_rule_of_the_next_router_is_nobodys_business_here() {
        let scene = Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 13);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn unreadable_rules_are_unknown_and_the_symptom_is_still_told() {
        let verdict = Scene::client("203.0.113.2", 80)
            .denied::<Nft>("CAP_NET_ADMIN")
            .timeout(3000)
            .captured()
            .rose("TcpExt.TCPRetransFail", 1)
            .judge(&CAUSE);
        let all = verdict.flatten();
        unknown(all[0].clone());
        assert!(matches!(consistent(all[1].clone()).locus, Locus::Host { .. }));
    }
}
