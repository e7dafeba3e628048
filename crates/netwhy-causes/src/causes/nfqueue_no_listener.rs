//! # A rule hands the packet to a queue nobody listens on
//!
//! ## What you see
//! Packets vanish at a rule that neither accepts nor drops. Typical after a filtering program (an IDS, a VPN client, a
//! parental filter) stopped and left its rules behind.
//!
//! ## What happens
//! The rule's verdict is "queue": a program is to decide. Without a program on that queue the kernel drops the packet,
//! unless the rule says bypass.
//!
//! ## How netwhy knows
//! The packet meets the rule, the list of queues has no listener for its number, and the packet was not seen again.
//!
//! ## Look-alikes
//! A program that listens and drops the packet itself: the list shows it; its own log knows why.
//!
//! ## What to do
//! Start the program, delete its rule, or let the rule bypass when nobody listens.
//!
//! ## References
//! nft(8) "QUEUE STATEMENT"; net/netfilter/nf_queue.c; /proc/net/netfilter/nfnetlink_queue.

use netwhy_facts::nfqueue::NfQueues;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{self, Fix};
use crate::obstacle::{Obstacle, Sight, object_text};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "nfqueue-no-listener",
    title: "a rule hands the packet to a queue nobody listens on",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &[
        "nft",
        "xtables",
        "nfqueues",
        "mib",
        "capture",
        "attempts",
        "addresses",
        "kernel-events",
        "links",
    ],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let queued =
        case.obstacles_where(|o| matches!(&o.path.end, End::Stolen { to, .. } if to.starts_with("nfqueue")));
    Verdict::several(queued.iter().map(|o| judge_one(case, o)).collect())
}

/// The numbers in `nfqueue N` or `nfqueue N-M`.
fn numbers(to: &str) -> Option<(u16, u16)> {
    let range = to.strip_prefix("nfqueue ")?;
    match range.split_once('-') {
        Some((low, high)) => Some((low.parse().ok()?, high.parse().ok()?)),
        None => {
            let n = range.parse().ok()?;
            Some((n, n))
        }
    }
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let End::Stolen { to, locus: Some(locus) } = &o.path.end else { return Verdict::Silent };
    let Some((low, high)) = numbers(to) else { return Verdict::Silent };
    let queues = match case.facts.get::<NfQueues>() {
        Reading::Known { value, .. } => value,
        absent => {
            return absent.absence().map_or(Verdict::Silent, |a| {
                Verdict::unknown(format!("whether a program listens on {to}"), a)
            });
        }
    };
    let sight = case.sight(o);
    let listeners: Vec<_> = queues.0.iter().filter(|q| (low..=high).contains(&q.queue)).collect();
    if let Some(q) = listeners.first() {
        let evidence = Evidence::new(
            "queue",
            format!("process {} listens on queue {}", q.portid, q.queue),
            "/proc/net/netfilter/nfnetlink_queue",
        )
        .value(q.portid)
        .command("cat /proc/net/netfilter/nfnetlink_queue");
        return Verdict::ruled_out(format!("somebody listens on queue {}", q.queue), vec![evidence]);
    }
    let bypasses = o.path.last().is_some_and(|s| s.text.contains("bypassed"));
    if bypasses || sight == Sight::Contradicts {
        return Verdict::Silent;
    }
    let mut finding = Finding::new(
        locus.clone(),
        format!(
            "{} hands {} to {to}, and no program listens there: the kernel drops them",
            object_text(locus),
            case.packets_text(o)
        ),
    );
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    finding = finding
        .evidence(
            Evidence::new("queue", format!("nobody listens on {to}"), "/proc/net/netfilter/nfnetlink_queue")
                .value(0)
                .command("cat /proc/net/netfilter/nfnetlink_queue"),
        )
        .fix(Fix::act(format!("start the program that serves {to}")));
    finding = match locus {
        Locus::NftRule { family, table, chain, handle, text } => finding.fix(
            Fix::run(
                "or delete the rule",
                format!("nft delete rule {family} {table} {chain} handle {handle}"),
                format!("nft add rule {family} {table} {chain} {text}"),
            )
            .risk("what the program was to inspect passes uninspected"),
        ),
        Locus::IptRule { command, table, chain, number, .. } => finding.fix(
            Fix::run(
                "or delete the rule",
                format!("{command} -t {table} -D {chain} {number}"),
                fix::reinsert(locus),
            )
            .risk("what the program was to inspect passes uninspected"),
        ),
        _ => finding,
    };
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && !o.next)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nfqueue::NfQueue;
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn queued() -> Scene {
        let end = End::Stolen { to: "nfqueue 3".into(), locus: Some(nft_rule("input", 5)) };
        Scene::inbound("203.0.113.2", 80).forward(&[Stage::Prerouting, Stage::Input], end).request_in()
    }

    #[test]
    fn a_queue_without_a_listener_is_proven() {
        let f = proven(queued().with(NfQueues::default()).judge(&CAUSE));
        assert_eq!(f.locus, nft_rule("input", 5));
        assert!(f.fix[1].command.starts_with("nft delete rule"));
    }

    #[test]
    fn a_listener_rules_it_out() {
        let q = NfQueue { queue: 3, portid: 99, waiting: 0, queue_dropped: 0, user_dropped: 0 };
        assert!(ruled_out(queued().with(NfQueues(vec![q])).judge(&CAUSE)).contains("queue 3"));
    }

    #[test]
    fn a_rule_that_bypasses_is_innocent() {
        let mut scene = queued().with(NfQueues::default());
        scene.forward.steps[1].text = "handed to nfqueue 3 (bypassed when nobody listens) by …".into();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn an_unreadable_list_is_unknown() {
        unknown(queued().denied::<NfQueues>("root").judge(&CAUSE));
    }

    #[test]
    fn an_answered_flow_is_not_stuck_in_a_queue() {
        silent(queued().with(NfQueues::default()).answer_out().judge(&CAUSE));
    }
}
