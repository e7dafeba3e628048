//! # Answers of a translated connection take the short way home
//!
//! ## What you see
//! From outside the published service works; from the service's own network the same address times out.
//!
//! ## What happens
//! The gateway translates the destination and sends the packet back into the network it came from. The backend sees a
//! neighbour's source address and answers it directly. The client gets an answer from an address it never asked.
//!
//! ## How netwhy knows
//! The packet leaves by the device it came in by, with a translated destination and the client's own source; client and
//! backend are on the same connected network; translated packets left, and no answer passed this host.
//!
//! ## Look-alikes
//! A dead backend (dnat-dead-backend): client and backend are not in one network, or the source is translated too.
//!
//! ## What to do
//! Translate the source of such connections too, or let names resolve to the inner address inside.
//!
//! ## References
//! RFC 4787 section 6 (hairpinning); nft(8) masquerade.

use netwhy_facts::address::Addresses;
use netwhy_facts::question::Scenario;
use netwhy_facts::{IpNet, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::nat;
use crate::obstacle::object_text;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "nat-hairpin",
    title: "answers of a translated connection take the short way home",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "addresses", "attempts", "capture", "links"],
    explains: &["dnat-dead-backend"],
    judge,
};

/// Whether the flow turns back into the network it came from, translated at its destination only.
pub(crate) fn is_hairpin(case: &Case<'_>) -> bool {
    shared_network(case).is_some()
}

/// The network client and backend share, when the packet turns back into it.
fn shared_network(case: &Case<'_>) -> Option<IpNet> {
    let path = case.forward;
    if !nat::moves_destination(path) || nat::moves_source(path) {
        return None;
    }
    let End::Sent { dev, .. } = &path.end else { return None };
    let came_by = case.dev_name(path.packet.iif?);
    if *dev != came_by {
        return None;
    }
    let (client, backend) = (path.finally.src, path.finally.dst);
    let addresses = case.facts.value::<Addresses>()?;
    addresses
        .0
        .iter()
        .filter(|a| case.dev_name(a.ifindex) == came_by)
        .map(|a| IpNet::new(a.addr, a.prefix))
        .find(|net| net.contains(&client) && net.contains(&backend))
}

fn judge(case: &Case<'_>) -> Verdict {
    let Some(net) = shared_network(case) else { return Verdict::Silent };
    let Some(rule) = nat::rules(case, case.forward, nat::Side::Destination).into_iter().next_back() else {
        return Verdict::Silent;
    };
    let p = &case.forward.finally;
    let s = &case.seen;
    if s.answers_in > 0 && s.answers_out > 0 {
        return Verdict::ruled_out(
            "answers come back through this host",
            case.ev_capture().into_iter().collect(),
        );
    }
    let (v, nat_table) = if p.dst.is_ipv4() { ("ip", "ip nat") } else { ("ip6", "ip6 nat") };
    let l4 = case.flow.proto.name();
    let chain = match nat::source_chain(case, p.dst.is_ipv4()) {
        Some((netwhy_facts::Locus::NftChain { family, table, chain, .. }, _)) => {
            crate::fix::nft_chain(&family, &table, &chain)
        }
        _ => format!("{nat_table} postrouting"),
    };
    let rule_text = format!("{v} saddr {net} {v} daddr {} {l4} dport {} masquerade", p.dst, p.dport);
    Finding::new(
        rule.clone(),
        format!(
            "{} sends {} back into {net}, where {} answers {} directly: the answer never passes the translation again",
            object_text(&rule),
            case.flow.target(),
            p.dst,
            p.src
        ),
    )
    .evidence(
        Evidence::new(
            "hairpin",
            format!("{} and {} are both in {net}, and the source is not translated", p.src, p.dst),
            "addresses and ruleset",
        )
        .value(net.to_string())
        .command("ip route show"),
    )
    .maybe(case.ev_capture())
    .fix(Fix::run(
        "translate the source of such connections too, so that answers come back here",
        format!("nft add rule {chain} {rule_text}"),
        format!("nft -a list chain {chain} | awk '/daddr {} .* masquerade/{{print $NF}}' | xargs -rn1 nft delete rule {chain} handle", p.dst),
    ))
    .fix(Fix::act(format!("or let the name resolve to {} inside {net}", p.dst)))
    .verify(case.ask_again())
    .proven_if(s.known && s.requests_out > 0 && s.answers_in == 0)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Locus;
    use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule};
    use netwhy_walk::{Action, Stage, Step};

    use super::*;
    use crate::testing::*;

    fn hairpin() -> Scene {
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
        let mut scene = Scene::transit("203.0.113.2", 80)
            .with(Nft { rules: vec![rule], ..Nft::default() })
            .with(Addresses(vec![address(2, "198.51.100.1", 24)]))
            .forward(&[Stage::Prerouting, Stage::Forward], End::Sent { dev: "eth0".into(), next_hop: None });
        scene.forward.steps.insert(
            0,
            Step {
                stage: Stage::Prerouting,
                text: "ip nat prerouting: accept by rule handle 2 (dnat)".into(),
                locus: Some(Locus::NftRule {
                    family: "ip".into(),
                    table: "nat".into(),
                    chain: "prerouting".into(),
                    handle: 2,
                    text: "dnat to 198.51.100.9".into(),
                }),
                action: Action::Pass,
                passed: vec![],
            },
        );
        scene.forward.packet.iif = Some(2);
        scene.forward.finally.dst = ip("198.51.100.9");
        scene
    }

    #[test]
    fn translated_packets_that_turn_back_without_answers_prove_it() {
        let f = proven(hairpin().request_in().request_out().judge(&CAUSE));
        assert!(
            f.fix[0]
                .command
                .contains("ip saddr 198.51.100.0/24 ip daddr 198.51.100.9 tcp dport 80 masquerade")
        );
    }

    #[test]
    fn a_translated_source_makes_it_whole() {
        let mut scene = hairpin();
        scene.forward.finally.src = ip("198.51.100.1");
        silent(scene.request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn a_backend_on_another_device_is_no_hairpin() {
        let mut scene = hairpin();
        scene.forward.end = End::Sent { dev: "eth1".into(), next_hop: None };
        silent(scene.request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn answers_through_this_host_rule_it_out() {
        ruled_out(hairpin().request_in().request_out().answer_in().answer_out().judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(hairpin().captured().judge(&CAUSE));
    }
}
