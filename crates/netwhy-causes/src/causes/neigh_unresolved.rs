//! # The next hop does not answer ARP or neighbour discovery
//!
//! ## What you see
//! connect() fails with EHOSTUNREACH ("No route to host") after about three seconds.
//!
//! ## What happens
//! The route names a next hop on a directly attached network, the host asks for its link-layer address three times, one
//! second apart, and nobody answers. The kernel fails the entry and sends itself ICMP host unreachable.
//!
//! ## How netwhy knows
//! The neighbour entry of the next hop is INCOMPLETE or FAILED, solicitations left and no answer arrived, and the flow's
//! own packets never left (`TcpExt.TCPSpuriousRtxHostQueues` rises while the wire stays silent).
//!
//! ## Look-alikes
//! A router's ICMP host unreachable: the error comes from another address. A static entry with a wrong address: packets
//! leave and vanish (neigh-static-wrong). A rule that drops ARP or ND (fw-drop-neighbour explains this one).
//!
//! ## What to do
//! Check that the next hop is up, in the same network, and that the gateway address is right.
//!
//! ## References
//! RFC 826, RFC 4861 section 7.2; net/core/neighbour.c (neigh_timer_handler), net/ipv4/arp.c.

use netwhy_facts::neigh::{Neighbours, Nud};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "neigh-unresolved",
    title: "the next hop does not answer ARP or neighbour discovery",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Neighbour,
    scope: Scope::FailedFlow,
    needs: &["neighbours", "links", "attempts", "capture", "mib", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    // The next hop of the direction this host sends in: forward for a client and a router, the reply for a server.
    let path = if case.question.role == Role::Inbound { case.reply } else { case.forward };
    let (dev, hop) = match &path.end {
        End::Sent { dev, next_hop: Some(hop) } => (dev.clone(), *hop),
        End::Unresolved { locus: Locus::Neighbour { dev, address, .. } } => (dev.clone(), *address),
        _ => return Verdict::Silent,
    };
    let entry = case.facts.latest::<Neighbours>().value().and_then(|n| {
        let links = case.facts.value::<netwhy_facts::link::Links>()?;
        n.find(links.by_name(&dev)?.index, &hop).cloned()
    });
    let remote_error = !case.icmp_remote().is_empty();
    if case.errno() == Some("EHOSTUNREACH") && remote_error {
        return Verdict::ruled_out(
            "the host-unreachable error came from another host, not from this host's own failed resolution",
            case.ev_attempt().into_iter().collect(),
        );
    }
    let failed = entry.as_ref().is_some_and(|n| matches!(n.state, Nud::Failed | Nud::Incomplete));
    if !failed {
        if case.timed_out() && entry.as_ref().is_some_and(|n| n.state.is_valid()) {
            let state = entry.map(|n| n.state.name()).unwrap_or_default();
            return Verdict::ruled_out(
                format!("the next hop {hop} is resolved ({state})"),
                vec![
                    Evidence::new("neighbour", format!("{hop} on {dev} is {state}"), "RTM_GETNEIGH")
                        .value(state)
                        .command(format!("ip neigh show {hop} dev {dev}")),
                ],
            );
        }
        return Verdict::Silent;
    }
    let state = entry.map(|n| n.state.name().to_string()).unwrap_or_default();
    let asked_in_vain = case.seen.known && case.seen.solicits_out > 0 && case.seen.solicit_answers_in == 0;
    let own_error = case.errno() == Some("EHOSTUNREACH") && !remote_error;
    let observed = own_error || asked_in_vain;
    let what = if hop == case.flow.dst { "the target itself" } else { "the next hop" };
    let protocol = if hop.is_ipv4() { "ARP" } else { "neighbour discovery" };
    Finding::new(
        Locus::Neighbour { dev: dev.clone(), address: hop, state: state.clone() },
        format!("{hop} ({what} on {dev}) does not answer {protocol}: the entry is {state}"),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("neighbour", format!("{hop} on {dev} is {state}"), "RTM_GETNEIGH")
            .value(state)
            .command(format!("ip neigh show {hop} dev {dev}")),
    )
    .maybe(case.seen.known.then(|| {
        Evidence::new(
            "solicitations",
            format!("{} solicitations left, {} answers arrived", case.seen.solicits_out, case.seen.solicit_answers_in),
            "AF_PACKET",
        )
        .value(case.seen.solicits_out)
        .command(format!("tcpdump -nni {dev} {}", if hop.is_ipv4() { "arp" } else { "icmp6" }))
    }))
    .maybe(case.ev_counter("TcpExt.TCPSpuriousRtxHostQueues"))
    .fix(Fix::act(format!(
        "check that {hop} is up and on the network behind {dev}; if the gateway is wrong, correct the route: ip route get {}",
        case.flow.dst
    )))
    .verify(format!("ip neigh show {hop} dev {dev}"))
    .proven_if(observed)
}
