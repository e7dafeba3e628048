//! # A static neighbour entry names the wrong hardware address
//!
//! ## What you see
//! connect() times out. Packets leave the device and nobody takes them; ping behaves the same.
//!
//! ## What happens
//! The neighbour entry of the next hop was set by hand (PERMANENT) and is never checked. Its hardware address belongs to
//! nobody on the link, or to another host: a network card was replaced, a failover moved the address.
//!
//! ## How netwhy knows
//! The flow's packets left for a PERMANENT entry and nothing came back, and a probe of the next hop's address was answered
//! from another hardware address than the entry names; or frames from the next hop carried another one.
//!
//! ## Look-alikes
//! An unresolved neighbour (neigh-unresolved): the entry is FAILED and nothing leaves. A silent drop further on
//! (path-or-remote-drop): the entry agrees with what answers. Two holders of the address (duplicate-ip).
//!
//! ## What to do
//! Delete the entry, so that it is resolved again, or correct it.
//!
//! ## References
//! ip-neighbour(8) "nud permanent"; net/core/neighbour.c (NUD_PERMANENT is never probed).

use netwhy_facts::neigh::Nud;
use netwhy_facts::path::NeighProbes;
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
    id: "neigh-static-wrong",
    title: "a static neighbour entry names the wrong hardware address",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Neighbour,
    scope: Scope::FailedFlow,
    needs: &["neighbours", "neigh-probes", "links", "attempts", "capture", "addresses"],
    explains: &["reply-lost-upstream", "path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    Verdict::several(case.hops().iter().map(|hop| judge_hop(case, hop)).collect())
}

fn judge_hop(case: &Case<'_>, hop: &Hop) -> Verdict {
    let Some(entry) = case.entry(hop).filter(|n| n.state == Nud::Permanent) else { return Verdict::Silent };
    let Some(lladdr) = entry.lladdr.as_deref() else { return Verdict::Silent };
    let s = &case.seen;
    let (left, answered) = match hop.direction {
        Direction::Forward => (s.requests_out > 0, s.answers_in + s.resets_in > 0),
        // What the client sends after an answer of this host is its answer.
        Direction::Reply => (s.answers_out > 0, s.acks > 0),
    };
    if answered {
        return Verdict::ruled_out(
            format!("packets sent to {lladdr} were answered"),
            vec![nexthop::ev_entry(hop, entry.state.name(), Some(lladdr))],
        );
    }
    let real = real_address(case, hop);
    if real.as_deref() == Some(lladdr) {
        return Verdict::ruled_out(
            format!("{} itself answers from {lladdr}, as the static entry says", hop.address),
            vec![nexthop::ev_entry(hop, entry.state.name(), Some(lladdr))],
        );
    }
    let silent = s.known && left && s.icmp_in.is_empty();
    if !silent && real.is_none() {
        return Verdict::Silent;
    }
    let says = match &real {
        Some(mac) => format!("{} answers from {mac}", hop.address),
        None => "frames sent there vanish".to_string(),
    };
    let delete = format!("ip neigh del {} dev {}", hop.address, quote(&hop.dev));
    let restore =
        format!("ip neigh replace {} lladdr {lladdr} dev {} nud permanent", hop.address, quote(&hop.dev));
    Finding::new(
        Locus::Neighbour { dev: hop.dev.clone(), address: hop.address, state: entry.state.name().into() },
        format!("the static neighbour entry of {} on {} says {lladdr}, but {says}", hop.address, hop.dev),
    )
    .maybe(case.ev_attempt())
    .evidence(nexthop::ev_entry(hop, entry.state.name(), Some(lladdr)))
    .maybe(real.as_ref().map(|mac| {
        Evidence::new("neigh-probe", format!("{} answers from {mac}", hop.address), "ARP or ND probe")
            .value(mac.clone())
            .command(format!("arping -c 1 -I {} {}", quote(&hop.dev), hop.address))
    }))
    .maybe(case.ev_capture())
    .fix(Fix::run("delete the entry, so that it is resolved again", delete, restore))
    .verify(case.ask_again())
    .proven_if(real.is_some() && (silent || !s.known))
}

/// The hardware address the next hop really has: from a probe, or from frames it sent.
fn real_address(case: &Case<'_>, hop: &Hop) -> Option<String> {
    let probes = case.facts.latest::<NeighProbes>().value();
    let probe = probes
        .and_then(|p| p.0.iter().find(|p| p.addr == hop.address && p.dev == hop.dev))
        .and_then(|p| p.answers.first());
    if let Some(mac) = probe {
        return Some(mac.clone());
    }
    // Packets with the next hop as their source were sent by itself only when it is an end of the flow on this link.
    case.packets()
        .iter()
        .find(|p| !p.out && p.src == hop.address && p.icmp.is_none() && p.mac_src.is_some())
        .and_then(|p| match &p.arp {
            Some((2, sender)) => Some(sender.clone()),
            _ => p.mac_src.clone(),
        })
}

#[cfg(test)]
mod tests {
    use netwhy_facts::path::NeighProbe;

    use super::*;
    use crate::testing::*;

    const SET: &str = "02:00:5e:00:53:99";
    const REAL: &str = "02:00:00:00:00:02";

    fn client(state: Nud) -> Scene {
        Scene::client("203.0.113.2", 80)
            .toward("203.0.113.2")
            .neighbours(vec![neighbour("203.0.113.2", state, Some(SET))])
            .timeout(3000)
            .request_out()
    }
    fn probed(scene: Scene, mac: &str) -> Scene {
        scene.with(NeighProbes(vec![NeighProbe {
            addr: ip("203.0.113.2"),
            dev: "eth0".into(),
            answers: vec![mac.into()],
            sent: 1,
        }]))
    }

    #[test]
    fn a_probe_answered_by_another_address_proves_it() {
        let f = proven(probed(client(Nud::Permanent), REAL).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip neigh del 203.0.113.2 dev eth0");
        assert!(f.fix[0].undo.contains(SET));
    }

    #[test]
    fn silence_alone_is_consistent() {
        consistent(client(Nud::Permanent).judge(&CAUSE));
    }

    #[test]
    fn a_probe_that_agrees_rules_it_out() {
        ruled_out(probed(client(Nud::Permanent), SET).judge(&CAUSE));
        ruled_out(client(Nud::Permanent).answer_in().judge(&CAUSE));
    }

    #[test]
    fn a_learnt_entry_is_none_of_its_business() {
        silent(client(Nud::Stale).judge(&CAUSE));
    }
}
