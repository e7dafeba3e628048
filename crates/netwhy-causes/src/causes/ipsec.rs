//! # An IPsec policy stops the flow
//!
//! ## What you see
//! connect() fails with EPERM or hangs while the peers negotiate nothing; on a server packets arrive in the clear and
//! are dropped. `ip xfrm policy` has an entry for the two ends.
//!
//! ## What happens
//! A policy blocks the flow, or demands a transformation for which there is no state: the key daemon is down, the peers
//! disagree, or the policy is a leftover.
//!
//! ## How netwhy knows
//! A policy's selector covers the flow, and the matching counter of /proc/net/xfrm_stat rose in the window
//! (`XfrmOutPolBlock`, `XfrmOutNoStates`, `XfrmInNoPols`, `XfrmInTmplMismatch`, `XfrmInPolBlock`, `XfrmFwdHdrError`).
//!
//! ## Look-alikes
//! A rule (its counter, no xfrm counter). A route of type prohibit (EACCES).
//!
//! ## What to do
//! Bring the association up, or delete the policy.
//!
//! ## References
//! ip-xfrm(8); Documentation/networking/xfrm_proc.rst.

use netwhy_facts::host::{Xfrm, XfrmPolicy};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};
use netwhy_walk::Packet;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "ipsec",
    title: "an IPsec policy stops the flow",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Tunnel,
    scope: Scope::FailedFlow,
    needs: &["xfrm", "mib", "attempts", "capture"],
    explains: &["path-or-remote-drop"],
    judge,
};

/// Counters that rise when a policy refuses or cannot be met.
const OUT: &[&str] =
    &["Xfrm.XfrmOutPolBlock", "Xfrm.XfrmOutNoStates", "Xfrm.XfrmOutPolDead", "Xfrm.XfrmOutPolError"];
const IN: &[&str] = &[
    "Xfrm.XfrmInNoPols",
    "Xfrm.XfrmInPolBlock",
    "Xfrm.XfrmInTmplMismatch",
    "Xfrm.XfrmInNoStates",
    "Xfrm.XfrmInPolError",
];

fn judge(case: &Case<'_>) -> Verdict {
    let moved: Vec<&str> =
        OUT.iter().chain(IN).copied().filter(|c| case.grew(c).is_some_and(|d| d > 0)).collect();
    let xfrm = match case.facts.get::<Xfrm>() {
        Reading::Known { value, .. } => value,
        absent => {
            return match absent.absence() {
                Some(a) if !moved.is_empty() => Verdict::unknown("which IPsec policy stops the flow", a),
                _ => Verdict::Silent,
            };
        }
    };
    let role = case.question.role;
    let (there, back) = match role {
        Role::Client => ("out", "in"),
        Role::Inbound => ("in", "out"),
        Role::Transit => ("fwd", "fwd"),
    };
    let policy = covering(xfrm, there, &case.forward.finally)
        .or_else(|| covering(xfrm, "out", &case.forward.finally).filter(|_| role == Role::Transit))
        .or_else(|| covering(xfrm, back, &case.reply.packet));
    let Some(policy) = policy else { return Verdict::Silent };
    let wants = !policy.templates.is_empty();
    if !policy.block && !wants {
        return Verdict::Silent;
    }
    let met = xfrm.states.iter().any(|(src, dst, ..)| {
        policy
            .templates
            .iter()
            .any(|(ts, td, ..)| ts.is_none_or(|s| s == *src) && td.is_none_or(|d| d == *dst))
    });
    let detail =
        format!("policy {} {} to {} priority {}", policy.dir, policy.src, policy.dst, policy.priority);
    if moved.is_empty() {
        if wants && met {
            return Verdict::ruled_out(
                "the IPsec policy for the flow has its state, and no xfrm counter moved",
                vec![Evidence::new("policy", detail, "NETLINK_XFRM").command("ip xfrm state")],
            );
        }
        // Nothing observed: a policy that applies and cannot be met still fits a failure without an answer.
        if case.vanished().is_none() && case.errno().is_none() {
            return Verdict::Silent;
        }
    }
    let why = match (policy.block, met) {
        (true, _) => "blocks the flow",
        (false, false) => "demands protection for which there is no state",
        (false, true) => "demands protection that the packets do not have",
    };
    let mut finding =
        Finding::new(Locus::Xfrm { detail: detail.clone() }, format!("the IPsec {detail} {why}"))
            .maybe(case.ev_attempt());
    for c in &moved {
        finding = finding.maybe(case.ev_counter(c));
    }
    finding
        .evidence(
            Evidence::new("policy", format!("{detail} covers the flow"), "NETLINK_XFRM")
                .value(detail.clone())
                .command("ip xfrm policy"),
        )
        .maybe(case.ev_capture())
        .fix(Fix::act(
            "bring the association up: the log of the key daemon says why it is not; ip xfrm state",
        ))
        .fix(
            Fix::run(
                "or delete the policy",
                format!("ip xfrm policy delete dir {} src {} dst {}", policy.dir, policy.src, policy.dst),
                String::new(),
            )
            .risk("the flow goes unprotected then"),
        )
        .verify(case.ask_again())
        .proven_if(!moved.is_empty())
}

fn covering<'a>(xfrm: &'a Xfrm, dir: &str, p: &Packet) -> Option<&'a XfrmPolicy> {
    xfrm.policies
        .iter()
        .filter(|x| {
            x.dir == dir
                && x.src.contains(&p.src)
                && x.dst.contains(&p.dst)
                && (x.proto == 0 || x.proto == p.proto)
                && x.sport.is_none_or(|s| s == p.sport)
                && x.dport.is_none_or(|d| d == p.dport)
        })
        .min_by_key(|x| x.priority)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::IpNet;

    use super::*;
    use crate::testing::*;

    fn policy(block: bool) -> Xfrm {
        Xfrm {
            policies: vec![XfrmPolicy {
                dir: "out".into(),
                src: IpNet::new(ip("198.51.100.0"), 24),
                dst: IpNet::new(ip("203.0.113.0"), 24),
                proto: 0,
                sport: None,
                dport: None,
                priority: 10,
                block,
                templates: if block { vec![] } else { vec![(None, None, 50, false)] },
            }],
            states: vec![],
        }
    }

    #[test]
    fn a_blocking_policy_is_proven_by_its_counter() {
        let scene = Scene::client("203.0.113.2", 80)
            .with(policy(true))
            .errno("EPERM", 0)
            .rose("Xfrm.XfrmOutPolBlock", 1);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("blocks"));
    }

    #[test]
    fn a_missing_state_is_proven_by_its_counter() {
        let scene = Scene::client("203.0.113.2", 80)
            .with(policy(false))
            .timeout(3000)
            .captured()
            .rose("Xfrm.XfrmOutNoStates", 2);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("no state"));
    }

    #[test]
    fn a_policy_whose_state_is_there_is_ruled_out() {
        let mut x = policy(false);
        x.states.push((ip("198.51.100.7"), ip("203.0.113.2"), 50, 1));
        let scene = Scene::client("203.0.113.2", 80).with(x).timeout(3000).request_out();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("has its state"));
    }

    #[test]
    fn a_policy_for_others_is_not_mentioned() {
        let mut x = policy(true);
        x.policies[0].dst = IpNet::new(ip("192.0.2.0"), 24);
        let scene =
            Scene::client("203.0.113.2", 80).with(x).errno("EPERM", 0).rose("Xfrm.XfrmOutPolBlock", 1);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn unreadable_policies_are_unknown_when_a_counter_moved() {
        let scene = Scene::client("203.0.113.2", 80)
            .denied::<Xfrm>("CAP_NET_ADMIN")
            .timeout(3000)
            .rose("Xfrm.XfrmOutNoStates", 2);
        unknown(scene.judge(&CAUSE));
    }
}
