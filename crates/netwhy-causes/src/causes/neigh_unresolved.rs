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
//! leave and vanish (neigh-static-wrong). A rule that drops ARP or ND: the answer arrives at the capture and the entry
//! still fails. A device without carrier (link-down), a blocked bridge port (bridge-port-blocked) or an overlay without
//! far end (overlay-unreachable) explain it.
//!
//! ## What to do
//! Check that the next hop is up, in the same network, and that the gateway address is right.
//!
//! ## References
//! RFC 826, RFC 4861 section 7.2; net/core/neighbour.c (neigh_timer_handler), net/ipv4/arp.c.

use netwhy_facts::link::Links;
use netwhy_facts::neigh::Nud;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::nexthop::{self, Hop};
use crate::obstacle::Direction;

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
    if case.errno() == Some("EHOSTUNREACH") && !case.icmp_remote().is_empty() {
        return Verdict::ruled_out(
            "the host-unreachable error came from another host, not from this host's own failed resolution",
            case.ev_attempt().into_iter().collect(),
        );
    }
    // Where the path ends at the device, there is no hop to ask.
    if let Some(Locus::Link { dev, .. }) = case.forward.blocker()
        && case.timed_out()
    {
        return without_carrier(case, dev, case.flow.dst);
    }
    Verdict::several(case.hops().iter().map(|hop| judge_hop(case, hop)).collect())
}

fn judge_hop(case: &Case<'_>, hop: &Hop) -> Verdict {
    let entry = case.entry(hop);
    let (asked, answered) = case.resolution(hop.address);
    let in_vain = case.seen.known && asked > 0 && answered == 0;
    let own_error = case.errno() == Some("EHOSTUNREACH");
    let (failed, state, lladdr) = match entry {
        Some(n) => (matches!(n.state, Nud::Failed | Nud::Incomplete), n.state.name(), n.lladdr.as_deref()),
        // The kernel may have thrown the failed entry away already.
        None => (in_vain && own_error, "gone", None),
    };
    let s = &case.seen;
    let past = match hop.direction {
        Direction::Forward => s.requests_out > 0,
        Direction::Reply => s.answers_out > 0,
    };
    if !failed || past {
        let suspected = case.timed_out() || own_error;
        return match entry {
            Some(n) if suspected && (n.state.is_valid() || past) => Verdict::ruled_out(
                match past {
                    true => format!("packets of the flow left for the next hop {}", hop.address),
                    false => format!("the next hop {} is resolved ({state})", hop.address),
                },
                vec![nexthop::ev_entry(hop, state, lladdr)],
            ),
            None if suspected => without_carrier(case, &hop.dev, hop.address),
            _ => Verdict::Silent,
        };
    }
    let what = match (hop.direction, hop.address == case.flow.dst) {
        (Direction::Forward, true) => "the target itself",
        (Direction::Reply, _) if Some(hop.address) == case.question.from => "the client itself",
        _ => "the next hop",
    };
    let protocol = if hop.address.is_ipv4() { "ARP" } else { "neighbour discovery" };
    let filter = if hop.address.is_ipv4() { "arp" } else { "icmp6" };
    let waited = match hop.direction {
        Direction::Forward => case.attempt().is_some() || s.requests_in > 0,
        Direction::Reply => s.requests_in > 0,
    };
    Finding::new(
        Locus::Neighbour { dev: hop.dev.clone(), address: hop.address, state: state.into() },
        format!("{} ({what} on {}) does not answer {protocol}: the entry is {state}", hop.address, hop.dev),
    )
    .maybe(case.ev_attempt())
    .evidence(nexthop::ev_entry(hop, state, lladdr))
    .maybe(case.seen.known.then(|| {
        Evidence::new("solicitations", format!("{asked} requests left, {answered} answers arrived"), "AF_PACKET")
            .value(asked)
            .command(format!("tcpdump -nni {} {filter}", quote(&hop.dev)))
    }))
    .maybe(case.ev_counter("TcpExt.TCPSpuriousRtxHostQueues").filter(|_| hop.address.is_ipv4()))
    .fix(Fix::act(format!(
        "check that {} is up and on the network behind {}; if the gateway is wrong, correct the route: ip route get {}",
        hop.address,
        hop.dev,
        if hop.direction == Direction::Forward { case.flow.dst } else { hop.address }
    )))
    .verify(format!("ip neigh show {} dev {}", hop.address, quote(&hop.dev)))
    .proven_if(own_error || (in_vain && waited))
}

/// A device without carrier drops its entries: nobody was asked.
fn without_carrier(case: &Case<'_>, dev: &str, address: std::net::IpAddr) -> Verdict {
    let link = case.facts.latest::<Links>().value().and_then(|l| l.by_name(dev));
    match link.filter(|l| !l.is_up() || l.carrier == Some(false)) {
        Some(link) => Verdict::ruled_out(
            format!("{dev} has no carrier, so nobody was asked for {address} there"),
            vec![
                Evidence::new("carrier", format!("{} has no carrier", link.name), "RTM_GETLINK")
                    .value(false)
                    .command(format!("ip link show dev {}", quote(&link.name))),
            ],
        ),
        None => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn without_carrier_nobody_was_asked() {
        let scene = Scene::client("203.0.113.2", 80)
            .toward("198.51.100.1")
            .neighbours(vec![])
            .eth0(|l| l.carrier = Some(false))
            .timeout(3000)
            .captured();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("no carrier"));
        let locus = Locus::Link { dev: "eth0".into(), index: 2 };
        let scene = Scene::client("203.0.113.2", 80)
            .forward(&[netwhy_walk::Stage::Link], netwhy_walk::End::Dropped { locus })
            .eth0(|l| l.carrier = Some(false))
            .timeout(300)
            .captured();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("no carrier"));
    }

    const MAC: &str = "02:00:00:00:00:02";

    fn client(state: Nud) -> Scene {
        Scene::client("203.0.113.2", 80).toward("198.51.100.1").neighbours(vec![neighbour(
            "198.51.100.1",
            state,
            None,
        )])
    }

    #[test]
    fn a_failed_entry_with_the_own_error_is_proven() {
        let f = proven(client(Nud::Failed).errno("EHOSTUNREACH", 3060).judge(&CAUSE));
        assert!(f.summary.contains("198.51.100.1 (the next hop on eth0)"), "{}", f.summary);
    }

    #[test]
    fn requests_in_vain_prove_it_before_the_error_comes() {
        let scene = client(Nud::Incomplete).timeout(2500).arp_request(true, CLIENT4, "198.51.100.1");
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_server_that_cannot_reach_its_client_is_proven() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .back_toward("203.0.113.9")
            .neighbours(vec![neighbour("203.0.113.9", Nud::Failed, None)])
            .request_in()
            .arp_request(true, "203.0.113.2", "203.0.113.9");
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_failed_entry_without_traffic_is_consistent() {
        consistent(client(Nud::Failed).judge(&CAUSE));
    }

    #[test]
    fn a_resolved_next_hop_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80)
            .toward("198.51.100.1")
            .neighbours(vec![neighbour("198.51.100.1", Nud::Reachable, Some(MAC))])
            .timeout(3000)
            .request_out();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("198.51.100.1"));
    }

    #[test]
    fn an_error_of_a_router_rules_it_out() {
        let scene = client(Nud::Reachable).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 1);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("another host"));
    }

    #[test]
    fn a_failed_entry_of_somebody_else_is_innocent() {
        let scene = Scene::client("203.0.113.2", 80)
            .toward("198.51.100.1")
            .neighbours(vec![neighbour("198.51.100.9", Nud::Failed, None)])
            .errno("ECONNREFUSED", 1);
        silent(scene.judge(&CAUSE));
    }
}
