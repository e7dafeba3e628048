//! # The Kubernetes service has no ready endpoint
//!
//! ## What you see
//! connect() to the service's address fails with ECONNREFUSED at once, on every node of the cluster.
//!
//! ## What happens
//! No pod behind the service is ready. kube-proxy then writes a rule on each node that rejects the service's address
//! with an ICMP port unreachable; the refusal comes from the own node, not from a pod.
//!
//! ## How netwhy knows
//! The ruleset, executed on the packet, ends in a reject rule whose comment says that the service has no endpoints, and
//! the refusal was seen.
//!
//! ## Look-alikes
//! A rule that somebody wrote to reject the flow (fw-reject): it has no such comment. A pod that refuses
//! (svc-not-listening): a RST arrives, and Icmp.InDestUnreachs stays flat.
//!
//! ## What to do
//! Make the pods ready or correct the service's selector. The rule goes by itself; removing it by hand changes nothing,
//! for there is nobody to connect to.
//!
//! ## References
//! Kubernetes: Services, Virtual IPs and Service Proxies; xt_comment; nft(8) comment.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::{Fix, quote};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "k8s-no-endpoints",
    title: "the Kubernetes service has no ready endpoint",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Application,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "mib", "capture", "attempts", "addresses", "kernel-events", "links"],
    explains: &["fw-reject", "fw-drop-outbound", "fw-drop-forward", "fw-drop-inbound"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let found = case.obstacles().into_iter().filter_map(|o| {
        let locus = o.locus.filter(|_| matches!(o.path.end, End::Rejected { .. } | End::Dropped { .. }))?;
        let service = service_of(locus)?;
        let mut finding = Finding::new(
            locus.clone(),
            format!("the Kubernetes service {service} has no ready endpoint: this node refuses {}", case.packets_text(&o)),
        );
        for e in case.ev_obstacle(&o) {
            finding = finding.evidence(e);
        }
        let name = quote(service.split(':').next().unwrap_or(&service));
        let (namespace, name) = name.split_once('/').unwrap_or(("default", &name));
        let observed = case.errno().is_some()
            || case.seen.resets_out > 0
            || !case.seen.icmp_out.is_empty()
            || case.rule_counter(locus).is_some_and(|n| n > 0);
        Some(
            finding
                .fix(Fix::act(format!(
                    "make its pods ready or correct its selector: kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={name}"
                )))
                .verify(case.ask_again())
                .proven_if(observed && !o.next),
        )
    });
    Verdict::several(found.collect())
}

/// The service that the comment of a rule says has no endpoints: `default/web:http has no endpoints`.
fn service_of(locus: &Locus) -> Option<String> {
    let (Locus::NftRule { text, .. } | Locus::IptRule { text, .. }) = locus else { return None };
    let (before, _) = text.split_once(" has no ")?;
    if !text.contains("endpoints") {
        return None;
    }
    Some(before.rsplit(['"', ' ']).next()?.to_string()).filter(|name| name.contains('/'))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn rejected(comment: &str) -> Scene {
        let locus = Locus::IptRule {
            command: "iptables".into(),
            table: "filter".into(),
            chain: "KUBE-SERVICES".into(),
            number: 1,
            text: format!(
                "-A KUBE-SERVICES -d 10.96.0.7/32 -p tcp -m comment --comment \"{comment}\" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable"
            ),
        };
        Scene::client("203.0.113.2", 80)
            .forward(&[Stage::Output], End::Rejected { locus, with: "icmp-port-unreachable".into() })
            .errno("ECONNREFUSED", 0)
    }

    #[test]
    fn the_service_is_read_from_the_rules_comment() {
        let f = proven(rejected("shop/web:http has no endpoints").judge(&CAUSE));
        assert!(f.summary.contains("service shop/web:http"), "{}", f.summary);
        assert!(f.fix[0].text.contains("-n shop get endpointslices -l kubernetes.io/service-name=web"));
        proven(rejected("shop/web:http has no local endpoints").judge(&CAUSE));
    }

    #[test]
    fn any_other_reject_rule_is_another_cause() {
        silent(rejected("closed by the owner").judge(&CAUSE));
        silent(rejected("this has no meaning").judge(&CAUSE));
    }

    #[test]
    fn without_a_refusal_it_is_only_consistent() {
        let mut scene = rejected("shop/web has no endpoints");
        scene.facts = Scene::client("203.0.113.2", 80).facts;
        consistent(scene.judge(&CAUSE));
    }
}
