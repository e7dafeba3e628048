//! # A rule gives the packets a source address this host does not have
//!
//! ## What you see
//! connect() times out; packets leave and nothing comes back. A capture shows the translated source.
//!
//! ## What happens
//! SNAT names an address that no device of this host carries: the old address of a renumbered host, a floating address
//! that moved, a typing error. The far end answers to it, and the answer finds nobody: no host on the link resolves the
//! address, and no route leads it here.
//!
//! ## How netwhy knows
//! The packets were seen to leave with that source, no answer came, and no device here has the address. It is proven when
//! the next hop was seen asking the link for it and this host, which is meant, has nothing to say.
//!
//! ## Look-alikes
//! A translated address that is routed here without being on a device answers all the same. A source that the route
//! prefers (source-address-wrong). A far end that is silent to everybody (path-or-remote-drop).
//!
//! ## What to do
//! Translate to an address of this host (masquerade does), or give the host the address.
//!
//! ## References
//! nft(8) "NAT STATEMENTS", iptables-extensions(8) SNAT; RFC 826.

use std::net::IpAddr;

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote, show};
use crate::nat::{self, Side};
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "snat-source-foreign",
    title: "a rule gives the packets a source address this host does not have",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "addresses", "attempts", "capture"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = case.forward;
    let End::Sent { dev, .. } = &path.end else { return Verdict::Silent };
    if !nat::moves_source(path) {
        return Verdict::Silent;
    }
    let source = path.finally.src;
    let seen = &case.seen;
    let own = case.own_addresses();
    if !seen.known || seen.requests_out == 0 || own.is_empty() || own.contains(&source) {
        return Verdict::Silent;
    }
    let Some(rule) = nat::rules(case, path, Side::Source).into_iter().next_back() else {
        return Verdict::Silent;
    };
    let back = seen.answers_in + seen.resets_in;
    if back > 0 || !seen.icmp_in.is_empty() {
        return Verdict::ruled_out(
            format!("answers to {source} come back to this host"),
            case.ev_capture().into_iter().collect(),
        );
    }
    let asked = asked_for(case, source);
    let ip = routing::ip_command(source.is_ipv4());
    let length = if source.is_ipv4() { 32 } else { 128 };
    let (device, kind) = (quote(dev), if source.is_ipv4() { "ARP" } else { "neighbour discovery" });
    let mut finding = Finding::new(
        rule.clone(),
        format!(
            "{} turns the source into {source}, which no device of this host has: nothing comes back",
            object_text(&rule)
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("translated", format!("{} leaves {dev} as {source}", path.packet.src), "netwhy walk")
            .value(source.to_string())
            .command(show(&rule)),
    )
    .evidence(
        Evidence::new("not-here", format!("{source} is on no device of this host"), "RTM_GETADDR")
            .command(format!("{ip} address show to {source}")),
    );
    if asked > 0 {
        finding = finding.evidence(
            Evidence::new(
                "asked-for",
                format!(
                    "{asked} {kind} requests for {source} arrived on {dev}; this host has no reason to answer"
                ),
                "AF_PACKET",
            )
            .value(asked)
            .command(format!("tcpdump -nni {device} arp or icmp6")),
        );
    }
    finding
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("translate to an address of this host, or masquerade: {}", show(&rule))))
        .fix(
            Fix::run(
                "give this host the address, if it is meant to have it",
                format!("{ip} address add {source}/{length} dev {device}"),
                format!("{ip} address del {source}/{length} dev {device}"),
            )
            .risk("an address that another host has must not be added"),
        )
        .verify(case.ask_again())
        .proven_if(asked > 0)
}

/// How often the link was asked for an address, by others than this host.
fn asked_for(case: &Case<'_>, address: IpAddr) -> u32 {
    let asks = |p: &&netwhy_facts::capture::CapturedPacket| {
        !p.out && p.dst == address && matches!(p.arp, Some((1 | 135, _)))
    };
    u32::try_from(case.packets().iter().filter(asks).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Locus;
    use netwhy_facts::address::Addresses;
    use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    const WRONG: &str = "198.51.100.77";

    fn translated() -> Scene {
        let snat = Expr::Nat {
            nat_type: 0,
            family: 2,
            addr_min: Some(1),
            addr_max: None,
            proto_min: None,
            proto_max: None,
            flags: 0,
        };
        let rule = NftRule {
            family: NftFamily::Inet,
            table: "filter".into(),
            chain: "postrouting".into(),
            handle: 3,
            exprs: vec![snat],
            comment: None,
            compat: false,
        };
        let mut scene = Scene::client("198.51.100.9", 80)
            .with(Nft { rules: vec![rule], ..Nft::default() })
            .with(Addresses(vec![address(2, "198.51.100.7", 24)]))
            .forward(&[Stage::Postrouting], End::Sent { dev: "eth0".into(), next_hop: None })
            .timeout(3000)
            .request_out();
        scene.forward.packet.src = ip("198.51.100.7");
        scene.forward.finally.src = ip(WRONG);
        scene.forward.steps[0].locus = Some(nft_rule("postrouting", 3));
        scene
    }

    #[test]
    fn an_address_the_link_is_asked_for_in_vain_is_proven() {
        let f = proven(translated().arp_request(false, "198.51.100.9", WRONG).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { .. }));
        assert!(f.summary.contains(WRONG), "{}", f.summary);
    }

    #[test]
    fn silence_alone_fits() {
        consistent(translated().judge(&CAUSE));
    }

    #[test]
    fn an_own_address_or_an_answer_is_another_matter() {
        let own = Addresses(vec![address(2, WRONG, 24)]);
        silent(translated().with(own).judge(&CAUSE));
        ruled_out(translated().arp_request(false, "198.51.100.9", WRONG).answer_in().judge(&CAUSE));
    }
}
