use netwhy_facts::nft::Nft;
use netwhy_walk::{End, Stage};

use super::*;
use crate::cause::{Cause, Verdict};
use crate::causes::{fw_drop_inbound, fw_drop_outbound};
use crate::engine::{FlowPaths, judge_with};
use crate::testing::*;

const FORWARD: EventWay = EventWay::Forward;
const REPLY: EventWay = EventWay::Reply;

fn blocked() -> Scene {
    let end = End::Dropped { locus: nft_rule("output", 4) };
    Scene::client("203.0.113.2", 80).timeout(300).forward(&[Stage::Output], end).captured()
}

fn evidence<'a>(finding: &'a crate::cause::Finding, id: &str) -> Option<&'a Evidence> {
    finding.evidence.iter().find(|e| e.id == id)
}

#[test]
fn a_freed_packet_proves_the_rule_and_is_cited_with_reason_and_place() {
    let scene = blocked().with(netwhy_facts::link::Links(vec![link(2, "eth0")]));
    let f = proven(
        scene.freed(&[(FORWARD, "NETFILTER_DROP", "nft_do_chain")]).judge_unchecked(&fw_drop_outbound::CAUSE),
    );
    let cited = evidence(&f, "drop-event").unwrap();
    assert_eq!(
        cited.statement,
        "the kernel freed 1 packet to 203.0.113.2:80: NETFILTER_DROP at nft_do_chain, eth0"
    );
    assert_eq!(cited.value, "NETFILTER_DROP@nft_do_chain");
}

#[test]
fn packets_of_another_direction_or_place_prove_no_rule() {
    let other = [(REPLY, "NETFILTER_DROP", "nft_do_chain")];
    let verdict = blocked().freed(&other).judge_unchecked(&fw_drop_outbound::CAUSE);
    assert!(!matches!(verdict, Verdict::Proven(_)), "{verdict:?}");
    // Tracking frees elsewhere than a rule does; older kernels free both there, so it still may be the rule.
    assert!(by_rule(&nft_rule("output", 4), "nf_hook_slow") && by_tracking("nf_hook_slow"));
    assert!(!by_rule(&nft_rule("output", 4), "ip_error") && !by_tracking("nft_do_chain"));
}

#[test]
fn a_rule_that_frees_nothing_where_drops_are_watched_did_not_drop() {
    let verdict = blocked().freed(&[]).judge_unchecked(&fw_drop_outbound::CAUSE);
    assert!(!matches!(verdict, Verdict::Proven(_) | Verdict::Consistent(_)), "{verdict:?}");
    // Not watched is not absent.
    let verdict = blocked().with(KernelEvents::default()).judge_unchecked(&fw_drop_outbound::CAUSE);
    assert!(matches!(verdict, Verdict::Proven(_)), "{verdict:?}");
}

#[test]
fn what_healthy_traffic_frees_is_no_event() {
    for (reason, location) in [
        ("QUEUE_PURGE", "skb_queue_purge_reason"),
        ("SOCKET_CLOSE", "__kfree_skb"),
        ("TCP_OLD_DATA", "tcp_data_queue"),
        ("NOT_SPECIFIED", "tcp_v4_rcv"),
    ] {
        assert!(is_benign(reason, location), "{reason}");
    }
    assert!(!is_benign("NOT_SPECIFIED", "do_xdp_generic") && !is_benign("NETFILTER_DROP", "nft_do_chain"));
}

fn disagreements(scene: Scene, causes: &[&'static Cause]) -> Vec<(String, String, String)> {
    let paths = FlowPaths {
        flow: scene.flow.clone(),
        forward: scene.forward.clone(),
        reply: scene.reply.clone(),
        beyond: Vec::new(),
    };
    let judged = judge_with(causes, &scene.facts, &scene.question, &[paths]);
    judged.disagreements.into_iter().map(|d| (d.direction, d.observed, d.explained_by)).collect()
}

#[test]
fn a_prediction_that_the_kernel_contradicts_is_a_finding() {
    let passes = || Scene::client("203.0.113.2", 80).timeout(300);
    assert_eq!(disagreements(passes().freed(&[(FORWARD, "QUEUE_PURGE", "x")]), &[]), []);
    let found = disagreements(passes().freed(&[(FORWARD, "QDISC_DROP", "__dev_queue_xmit")]), &[]);
    let [(direction, observed, explained)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((direction.as_str(), explained.as_str()), ("forward", ""));
    assert!(observed.contains("QDISC_DROP at __dev_queue_xmit"), "{observed}");
    // Predicted and seen alike.
    let agree = blocked().freed(&[(FORWARD, "NETFILTER_DROP", "nft_do_chain")]);
    assert_eq!(disagreements(agree, &[]), []);
    // Predicted to be dropped by a rule, dropped for another reason; or not dropped at all.
    let other = blocked().freed(&[(FORWARD, "TC_EGRESS", "__dev_queue_xmit")]);
    assert_eq!(disagreements(other, &[]).len(), 1);
    let none = disagreements(blocked().freed(&[]), &[]);
    assert_eq!(
        none.iter().map(|d| d.1.as_str()).collect::<Vec<_>>(),
        ["the kernel freed no packet of this direction"]
    );
}

#[test]
fn the_rule_of_an_inbound_question_is_proven_by_its_event() {
    let end = End::Dropped { locus: nft_rule("input", 4) };
    let scene =
        Scene::inbound("203.0.113.2", 80).forward(&[Stage::Input], end).request_in().with(Nft::default());
    let f = proven(
        scene.freed(&[(FORWARD, "NETFILTER_DROP", "nft_do_chain")]).judge_unchecked(&fw_drop_inbound::CAUSE),
    );
    assert!(evidence(&f, "drop-event").is_some());
}

fn judged(scene: Scene, causes: &[&'static Cause]) -> Vec<crate::report::CauseOut> {
    let paths = FlowPaths {
        flow: scene.flow.clone(),
        forward: scene.forward.clone(),
        reply: scene.reply.clone(),
        beyond: Vec::new(),
    };
    judge_with(causes, &scene.facts, &scene.question, &[paths]).causes
}

#[test]
fn an_event_of_its_own_turns_what_fits_into_what_is_proven() {
    use crate::report::Confidence;
    fn judge(case: &Case<'_>) -> Verdict {
        let locus = Locus::Sysctl { name: "x".into(), value: "1".into() };
        let finding = crate::cause::Finding::new(locus, "it fits");
        finding.maybe(case.ev_attempt()).consistent()
    }
    static NEIGH: std::sync::LazyLock<Cause> =
        std::sync::LazyLock::new(|| Cause { judge, ..crate::causes::neigh_unresolved::CAUSE });
    let scene = || Scene::client("203.0.113.2", 80).timeout(300);
    let seen = |drops: &[(EventWay, &str, &str)]| {
        let causes = judged(scene().freed(drops), &[&*NEIGH]);
        let ids: Vec<String> = causes[0].evidence.iter().map(|e| e.id.clone()).collect();
        (causes[0].confidence, ids)
    };
    assert_eq!(seen(&[]), (Confidence::Consistent, vec!["attempt".into()]));
    let event = [(FORWARD, "NEIGH_FAILED", "neigh_invalidate")];
    assert_eq!(seen(&event), (Confidence::Proven, vec!["attempt".into(), "drop-event".into()]));
    // Another reason proves nothing about it.
    assert_eq!(seen(&[(FORWARD, "QDISC_DROP", "x")]).0, Confidence::Consistent);
}

#[test]
fn nothing_beyond_this_host_is_blamed_for_what_it_freed_itself() {
    let lost = || Scene::client("203.0.113.2", 80).timeout(3000).request_out();
    let cause = &crate::causes::path_or_remote_drop::CAUSE;
    proven(lost().freed(&[]).judge(cause));
    ruled_out(lost().freed(&[(FORWARD, "FULL_RING", "veth_xmit")]).judge(cause));
    proven(lost().freed(&[(FORWARD, "QUEUE_PURGE", "x")]).judge(cause));
}
