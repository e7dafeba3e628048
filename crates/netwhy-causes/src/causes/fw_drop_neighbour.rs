//! # A firewall rule of this host stops ARP or neighbour discovery
//!
//! ## What you see
//! EHOSTUNREACH after three seconds, as if the next hop were gone; other hosts reach it.
//!
//! ## What happens
//! Before the first packet can leave, the next hop's link-layer address must be asked for. A rule drops the question on
//! its way out or the answer on its way in: family arp or arptables for IPv4, ICMPv6 types 135 and 136 for IPv6, or a
//! netdev hook for both.
//!
//! ## How netwhy knows
//! The next hop's entry is incomplete or failed, the rules, executed on the question or the answer, end in a drop, and
//! the capture saw no question leave, or saw the answer arrive and the entry fail all the same.
//!
//! ## Look-alikes
//! A next hop that is down or not there (neigh-unresolved): questions leave and no answer comes.
//!
//! ## What to do
//! Accept ARP, or ICMPv6 neighbour discovery, before the rule.
//!
//! ## References
//! RFC 826, RFC 4861, RFC 4890 section 4.4; nft(8) family arp, arptables(8).

use std::net::{IpAddr, Ipv6Addr};

use netwhy_facts::address::Addresses;
use netwhy_facts::link::Links;
use netwhy_facts::neigh::{Neighbours, Nud};
use netwhy_facts::nft::Nft;
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Locus, Role};
use netwhy_walk::{CtHypothesis, End, Origin, Packet};

use crate::arp::{self, Fate, Frame};
use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix;
use crate::obstacle::{is_firewall, object_text};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-neighbour",
    title: "a firewall rule of this host stops ARP or neighbour discovery",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &[
        "neighbours",
        "links",
        "addresses",
        "nft",
        "xtables",
        "attempts",
        "capture",
        "mib",
        "routes",
        "rules",
        "sysctls",
        "bpf",
        "tc",
        "conntrack",
        "conntrack-entries",
        "fdb",
        "ipsets",
        "nexthops",
        "sockets",
        "xfrm",
        "fib-answers",
    ],
    explains: &["neigh-unresolved", "path-or-remote-drop", "dnat-dead-backend", "nexthop-dead"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = if case.question.role == Role::Inbound { case.reply } else { case.forward };
    let (dev, hop) = match &path.end {
        End::Sent { dev, next_hop: Some(hop) } => (dev.clone(), *hop),
        End::Unresolved { locus: Locus::Neighbour { dev, address, .. } } => (dev.clone(), *address),
        _ => return Verdict::Silent,
    };
    let Some(link) = case.facts.value::<Links>().and_then(|l| l.by_name(&dev)) else {
        return Verdict::Silent;
    };
    let failed = case
        .facts
        .latest::<Neighbours>()
        .value()
        .and_then(|n| n.find(link.index, &hop))
        .is_some_and(|n| matches!(n.state, Nud::Failed | Nud::Incomplete));
    if !failed {
        return Verdict::Silent;
    }
    let own = case.facts.value::<Addresses>().and_then(|a| {
        a.0.iter()
            .filter(|a| a.ifindex == link.index && a.addr.is_ipv4() == hop.is_ipv4())
            .map(|a| a.addr)
            .next()
    });
    let Some(own) = own else { return Verdict::Silent };
    let mac = mac_of(&link.mac);
    let (question, answer) = match (own, hop) {
        (IpAddr::V4(own), IpAddr::V4(hop)) => {
            let nft = case.facts.get::<Nft>().value();
            let xt = case.facts.get::<Xtables>().value();
            let at = (link.index, dev.clone());
            let ask =
                Frame { operation: 1, sender_mac: mac, sender: own, target: hop, dev: at.clone(), out: true };
            let reply =
                Frame { operation: 2, sender_mac: [0; 6], sender: hop, target: own, dev: at, out: false };
            (arp::walk(nft, xt, &ask), arp::walk(nft, xt, &reply))
        }
        (IpAddr::V6(own), IpAddr::V6(hop)) => (
            discovery(case, link.index, 135, own, solicited(hop), Origin::Local),
            discovery(case, link.index, 136, hop, own, Origin::Arriving { ifindex: link.index }),
        ),
        _ => return Verdict::Silent,
    };
    let s = &case.seen;
    let protocol = if hop.is_ipv4() { "ARP" } else { "neighbour discovery" };
    let (locus, what, observed, contradicted) = match (question, answer) {
        (Fate::Dropped(locus), _) => (
            locus,
            format!("the {protocol} questions this host asks for {hop}"),
            s.known && s.solicits_out == 0,
            s.solicits_out > 0,
        ),
        (_, Fate::Dropped(locus)) => (
            locus,
            format!("the {protocol} answers of {hop}"),
            s.solicits_out > 0 && s.solicit_answers_in > 0,
            s.known && s.solicits_out > 0 && s.solicit_answers_in == 0,
        ),
        (Fate::Passes, Fate::Passes) if s.known && s.solicits_out > 0 => {
            return Verdict::ruled_out(
                format!("the rules of this host let {protocol} pass"),
                vec![
                    Evidence::new("ruleset", format!("{protocol} meets no rule that drops it"), "ruleset")
                        .command("nft list ruleset"),
                ],
            );
        }
        _ => {
            return match case.firewall_absence() {
                Some(a) if s.known && s.solicits_out == 0 => {
                    Verdict::unknown(format!("whether a rule of this host stops {protocol}"), a)
                }
                _ => Verdict::Silent,
            };
        }
    };
    let counted = case.rule_counter(&locus).is_some_and(|n| n > 0);
    if contradicted && !counted {
        return Verdict::ruled_out(
            format!("{} was predicted to stop {protocol}, but it passed", object_text(&locus)),
            case.ev_capture().into_iter().collect(),
        );
    }
    let mut finding = Finding::new(
        locus.clone(),
        format!("{} drops {what} on {dev}: nothing can be sent there", object_text(&locus)),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_rule_counter(&locus))
    .evidence(
        Evidence::new("neighbour", format!("{hop} on {dev} does not resolve"), "RTM_GETNEIGH")
            .value(hop.to_string())
            .command(format!("ip neigh show {hop} dev {dev}")),
    );
    if s.known {
        finding = finding.evidence(
            Evidence::new(
                "solicitations",
                format!("{} questions left, {} answers arrived", s.solicits_out, s.solicit_answers_in),
                "AF_PACKET",
            )
            .value(s.solicits_out)
            .command(format!("tcpdump -nni {dev} {}", if hop.is_ipv4() { "arp" } else { "icmp6" })),
        );
    }
    let nft = if hop.is_ipv4() {
        match &locus {
            Locus::NftRule { family, .. } | Locus::NftChain { family, .. } if family == "netdev" => {
                "ether type arp".to_string()
            }
            _ => "arp operation { request, reply }".to_string(),
        }
    } else {
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }".to_string()
    };
    let ipt = match (&locus, hop.is_ipv4()) {
        (_, false) => "-p ipv6-icmp --icmpv6-type neighbour-advertisement".to_string(),
        _ => String::new(),
    };
    for f in fix::let_pass(&locus, &nft, &ipt) {
        finding = finding.fix(f);
    }
    finding.verify(case.ask_again()).proven_if(counted || observed)
}

fn mac_of(text: &str) -> [u8; 6] {
    let mut out = [0; 6];
    for (slot, word) in out.iter_mut().zip(text.split(':')) {
        *slot = u8::from_str_radix(word, 16).unwrap_or(0);
    }
    out
}

/// The solicited-node group of an address (RFC 4291 section 2.7.1).
fn solicited(addr: Ipv6Addr) -> Ipv6Addr {
    let s = addr.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (s[6] & 0xff), s[7])
}

/// What the rules do with a neighbour discovery message, by the walker.
fn discovery(case: &Case<'_>, dev: u32, kind: u8, src: Ipv6Addr, dst: Ipv6Addr, origin: Origin) -> Fate {
    let packet = Packet {
        src: src.into(),
        dst: dst.into(),
        proto: 58,
        sport: 0,
        dport: 0,
        icmp_type: kind,
        icmp_code: 0,
        tcp_flags: 0,
        ttl: 255,
        tos: 0,
        len: 72,
        mark: 0,
        iif: None,
        oif: (origin == Origin::Local).then_some(dev),
        uid: None,
        gid: None,
        mac_src: None,
        mac_dst: None,
        vlan: None,
        ct: CtHypothesis::Untracked,
    };
    match netwhy_walk::predict(case.facts, packet, origin).end {
        End::Dropped { locus } | End::Rejected { locus, .. } if is_firewall(&locus) => Fate::Dropped(locus),
        End::Insufficient { .. } | End::Stolen { .. } => Fate::Open,
        _ => Fate::Passes,
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::neigh::Neighbour;
    use netwhy_facts::nft::{Data, Expr, NftChain, NftFamily, NftHook, NftRule, NftVerdict};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn arp_rule(hook: u32) -> Nft {
        Nft {
            chains: vec![NftChain {
                family: NftFamily::Arp,
                table: "guard".into(),
                name: "c".into(),
                handle: 1,
                hook: Some(NftHook { num: hook, priority: 0, devices: vec![] }),
                chain_type: Some("filter".into()),
                policy: Some(1),
                flags: 0,
                counter: None,
                ..NftChain::default()
            }],
            rules: vec![NftRule {
                family: NftFamily::Arp,
                table: "guard".into(),
                chain: "c".into(),
                handle: 2,
                exprs: vec![Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) }],
                comment: None,
                compat: false,
            }],
            ..Nft::default()
        }
    }
    fn entry(addr: &str) -> Neighbours {
        Neighbours(vec![Neighbour {
            ifindex: 2,
            addr: ip(addr),
            lladdr: None,
            state: Nud::Failed,
            flags: 0,
            proxy: false,
            probes: 3,
            confirmed_ms: None,
            used_ms: None,
            updated_ms: None,
        }])
    }
    fn unresolved() -> Scene {
        Scene::client("198.51.100.9", 80)
            .with(entry("198.51.100.9"))
            .forward(
                &[Stage::Routing, Stage::Neighbour],
                End::Sent { dev: "eth0".into(), next_hop: Some(ip("198.51.100.9")) },
            )
            .errno("EHOSTUNREACH", 3000)
            .captured()
    }

    #[test]
    fn a_dropped_question_is_proven_by_its_absence_on_the_wire() {
        let f = proven(unresolved().with(arp_rule(1)).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 2, .. }));
        assert!(f.fix[0].command.contains("arp operation"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_dropped_answer_is_proven_by_its_arrival() {
        let scene = unresolved().with(arp_rule(0)).solicitation(true).solicitation(false);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("answers of 198.51.100.9"));
    }

    #[test]
    fn questions_without_answers_and_no_rule_rule_it_out() {
        assert!(
            ruled_out(unresolved().with(Nft::default()).solicitation(true).judge(&CAUSE))
                .contains("let ARP pass")
        );
    }

    #[test]
    fn a_resolved_next_hop_is_no_question() {
        let mut scene = unresolved().with(arp_rule(1));
        let mut n = entry("198.51.100.9");
        n.0[0].state = Nud::Reachable;
        scene.put(n);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn unreadable_rules_are_unknown() {
        unknown(unresolved().denied::<Nft>("CAP_NET_ADMIN").judge(&CAUSE));
    }
}
