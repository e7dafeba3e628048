//! # Destination translation leads to a backend that does not answer
//!
//! ## What you see
//! Connections to a published address time out or are refused, though the address itself answers a ping.
//!
//! ## What happens
//! A DNAT rule sends the flow to another address, where no host or no service answers: the backend is down, moved, or
//! the rule has a wrong address or port.
//!
//! ## How netwhy knows
//! The packet meets the rule and its destination changes; the translated packets leave and nothing comes back, the
//! backend refuses, or its address does not resolve on the link.
//!
//! ## Look-alikes
//! Answers that take another way home (nat-hairpin): client and backend share a network. No rule for the port at all
//! (dnat-missing). A forward chain that drops the translated packet (forward-policy-drop).
//!
//! ## What to do
//! Point the rule at a backend that lives, or start the backend.
//!
//! ## References
//! nft(8) "NAT STATEMENTS", iptables-extensions(8) DNAT.

use std::net::SocketAddr;

use netwhy_facts::link::Links;
use netwhy_facts::neigh::{Neighbours, Nud};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::{End, Path};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::object_text;
use crate::{fix, nat};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dnat-dead-backend",
    title: "destination translation leads to a backend that does not answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "attempts", "capture", "addresses", "neighbours", "links"],
    explains: &[
        "neigh-unresolved",
        "svc-not-listening",
        "path-or-remote-drop",
        "fw-reject",
        "udp-port-closed",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = case.forward;
    if !nat::moves_destination(path) || super::nat_hairpin::is_hairpin(case) {
        return Verdict::Silent;
    }
    let backend = SocketAddr::new(path.finally.dst, path.finally.dport);
    let Some(rule) = nat::rules(case, path, nat::Side::Destination).into_iter().next_back() else {
        // Translated all the same: by an entry of connection tracking.
        return match case.fate() {
            Fate::Works => Verdict::Silent,
            _ => {
                let text = format!(
                    "no rule sends {} to {backend} now; an old entry of connection tracking does",
                    case.flow.target()
                );
                let evidence =
                    Evidence::new("no-rule", text.clone(), "netwhy walk").command("nft list ruleset");
                Verdict::ruled_out(text, vec![evidence])
            }
        };
    };
    // An own address is a matter of its listener (tproxy-or-redirect-to-nothing).
    if case.own_addresses().contains(&backend.ip()) || backend.ip().is_loopback() {
        return Verdict::Silent;
    }
    let s = &case.seen;
    let neighbour = unresolved(case, path);
    let refused = s.resets_in > 0 || case.errno() == Some("ECONNREFUSED") || !s.icmp_in.is_empty();
    let sent = s.known && s.requests_out > 0;
    let silent = sent && s.answers_in == 0 && !refused && s.lost == 0;
    if s.answers_in > 0 {
        return Verdict::ruled_out(
            format!("the backend {backend} answers"),
            case.ev_capture().into_iter().collect(),
        );
    }
    let how = if let Some((dev, state)) = &neighbour {
        format!("nothing on {dev} has that address ({state})")
    } else if refused {
        "it refuses".to_string()
    } else if silent {
        "the packets leave and nothing comes back".to_string()
    } else if matches!(path.end, End::Sent { .. }) {
        // Predicted only: whether the backend answers was not seen.
        return Verdict::Silent;
    } else {
        return Verdict::Silent; // Another object stops the translated packet; its cause names it.
    };
    let mut finding = Finding::new(
        rule.clone(),
        format!(
            "{} sends {} on to {backend}, which does not serve: {how}",
            object_text(&rule),
            case.flow.target()
        ),
    )
    .evidence(
        Evidence::new("translation", format!("{} becomes {backend}", case.flow.target()), "ruleset")
            .value(backend.to_string())
            .command(fix::show(&rule)),
    );
    if let Some((dev, state)) = &neighbour {
        finding = finding.evidence(
            Evidence::new(
                "neighbour",
                format!("the next hop to {backend} on {dev} is {state}"),
                "RTM_GETNEIGH",
            )
            .value(state.clone())
            .command(format!("ip neigh show dev {}", quote(dev))),
        );
    }
    let finding = finding
        .maybe(case.ev_attempt())
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("correct the target of the rule, or start the service on {backend}")))
        .fix(Fix::act(format!("on {}: netwhy connect :{} --inbound", backend.ip(), backend.port())))
        .verify(case.ask_again());
    finding
        .proven_if(neighbour.is_some() || (sent && refused) || silent || case.errno() == Some("ECONNREFUSED"))
}

/// Device and state of the backend's next hop, when it does not resolve.
fn unresolved(case: &Case<'_>, path: &Path) -> Option<(String, String)> {
    let (dev, hop) = match &path.end {
        End::Sent { dev, next_hop: Some(hop) } => (dev.clone(), *hop),
        End::Unresolved { locus: Locus::Neighbour { dev, address, .. } } => (dev.clone(), *address),
        _ => return None,
    };
    let index = case.facts.value::<Links>()?.by_name(&dev)?.index;
    let entry = case.facts.latest::<Neighbours>().value()?.find(index, &hop)?;
    matches!(entry.state, Nud::Failed | Nud::Incomplete).then(|| (dev, entry.state.name().to_string()))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::neigh::Neighbour;
    use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule};
    use netwhy_walk::{Action, Stage, Step};

    use super::*;
    use crate::testing::*;

    pub(crate) fn published() -> Scene {
        let rule = NftRule {
            family: NftFamily::Ip,
            table: "nat".into(),
            chain: "prerouting".into(),
            handle: 2,
            exprs: vec![Expr::Nat {
                nat_type: 1,
                family: 2,
                addr_min: Some(1),
                addr_max: None,
                proto_min: None,
                proto_max: None,
                flags: 0,
            }],
            comment: None,
            compat: false,
        };
        let mut scene =
            Scene::transit("203.0.113.2", 80).with(Nft { rules: vec![rule], ..Nft::default() }).forward(
                &[Stage::Prerouting, Stage::Forward, Stage::Neighbour],
                End::Sent { dev: "eth1".into(), next_hop: Some(ip("192.0.2.9")) },
            );
        scene.forward.steps.insert(
            0,
            Step {
                stage: Stage::Prerouting,
                text: "ip nat prerouting: accept by rule handle 2 (dnat to 192.0.2.9:8080)".into(),
                locus: Some(Locus::NftRule {
                    family: "ip".into(),
                    table: "nat".into(),
                    chain: "prerouting".into(),
                    handle: 2,
                    text: "dnat to 192.0.2.9:8080".into(),
                }),
                action: Action::Pass,
                passed: vec![],
            },
        );
        scene.forward.finally.dst = ip("192.0.2.9");
        scene.forward.finally.dport = 8080;
        scene
    }

    #[test]
    fn a_backend_that_stays_silent_is_proven() {
        let f = proven(published().request_in().request_out().judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 2, .. }));
        assert!(f.summary.contains("192.0.2.9:8080"), "{}", f.summary);
    }

    #[test]
    fn a_backend_nobody_has_is_proven_by_its_neighbour_entry() {
        let entry = Neighbour {
            ifindex: 3,
            addr: ip("192.0.2.9"),
            lladdr: None,
            state: Nud::Incomplete,
            flags: 0,
            proxy: false,
            probes: 1,
            confirmed_ms: None,
            used_ms: None,
            updated_ms: None,
        };
        let f = proven(published().with(Neighbours(vec![entry])).request_in().judge(&CAUSE));
        assert!(f.summary.contains("INCOMPLETE"), "{}", f.summary);
    }

    #[test]
    fn a_backend_that_refuses_is_proven() {
        proven(published().request_in().request_out().reset_in().judge(&CAUSE));
    }

    #[test]
    fn a_backend_that_answers_rules_it_out() {
        ruled_out(published().request_in().request_out().answer_in().judge(&CAUSE));
    }

    #[test]
    fn an_entry_without_its_rule_is_the_look_alike() {
        let because = ruled_out(published().with(Nft::default()).request_in().request_out().judge(&CAUSE));
        assert!(because.contains("an old entry"), "{because}");
    }

    #[test]
    fn an_untranslated_flow_is_another_matter() {
        silent(
            Scene::transit("203.0.113.2", 80).with(Nft::default()).request_in().request_out().judge(&CAUSE),
        );
    }

    #[test]
    fn a_translated_packet_that_is_dropped_here_is_another_matter() {
        silent(
            published()
                .forward(&[Stage::Prerouting, Stage::Forward], End::Dropped { locus: nft_rule("forward", 3) })
                .request_in()
                .judge(&CAUSE),
        );
    }
}
