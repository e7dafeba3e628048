//! # Two hosts hold the same address
//!
//! ## What you see
//! Connections fail or break at random, or all fail since another machine appeared; the neighbour entry's hardware
//! address changes by itself.
//!
//! ## What happens
//! Two hosts of one link answer for the same address. Whoever answered last gets the packets, and the other's
//! connections die.
//!
//! ## How netwhy knows
//! One request for the address was answered from two hardware addresses; or an address of this host was answered for by
//! somebody else.
//!
//! ## Look-alikes
//! A failover that moved the address (one holder at a time, announced by gratuitous ARP). A router with proxy ARP answers
//! for others on purpose. A static entry that is wrong (neigh-static-wrong): one holder answers.
//!
//! ## What to do
//! Find the second holder by its hardware address (switch table, vendor prefix) and take the address from it.
//!
//! ## References
//! RFC 5227; RFC 4862 section 5.4; arping(8) -D.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netwhy_facts::address::Addresses;
use netwhy_facts::path::NeighProbes;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "duplicate-ip",
    title: "two hosts hold the same address",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Neighbour,
    scope: Scope::FailedFlow,
    needs: &["neigh-probes", "capture", "links", "addresses", "attempts", "neighbours"],
    explains: &["reply-lost-upstream", "path-or-remote-drop", "neigh-unresolved", "svc-not-listening"],
    judge,
};

/// Hardware addresses that answered for an address, by device.
fn holders(case: &Case<'_>, address: IpAddr) -> Option<(String, BTreeSet<String>)> {
    let mut dev = None;
    let mut macs = BTreeSet::new();
    for p in case.facts.latest::<NeighProbes>().value().map(|p| p.0.as_slice()).unwrap_or_default() {
        if p.addr == address {
            dev.get_or_insert(p.dev.clone());
            macs.extend(p.answers.iter().map(|m| m.to_lowercase()));
        }
    }
    for p in case.packets().iter().filter(|p| !p.out) {
        let (holder, mac) = match &p.arp {
            Some((2, mac)) => (p.src, mac),
            Some((136, mac)) => (p.dst, mac),
            _ => continue,
        };
        if holder == address && !mac.is_empty() {
            dev.get_or_insert(case.dev_name(p.ifindex));
            macs.insert(mac.to_lowercase());
        }
    }
    dev.map(|d| (d, macs))
}

fn judge(case: &Case<'_>) -> Verdict {
    let mut all = Vec::new();
    for hop in case.hops() {
        if let Some((dev, macs)) = holders(case, hop.address).filter(|(_, macs)| macs.len() > 1) {
            let state = case.entry(&hop).map(|n| n.state.name()).unwrap_or("NONE");
            let locus = Locus::Neighbour { dev: dev.clone(), address: hop.address, state: state.into() };
            all.push(found(case, locus, hop.address, &dev, &macs));
        }
    }
    let own: Vec<_> = case.facts.value::<Addresses>().map(|a| a.0.clone()).unwrap_or_default();
    for a in own.iter().filter(|a| Some(a.addr) == case.flow.src || a.addr == case.flow.dst) {
        let Some((dev, mut macs)) = holders(case, a.addr) else { continue };
        // A probe for an own address is answered by somebody else only.
        for link in case.links() {
            macs.remove(&link.mac.to_lowercase());
        }
        if !macs.is_empty() {
            let locus = Locus::Address { dev: dev.clone(), address: a.addr, prefix: a.prefix };
            all.push(found(case, locus, a.addr, &dev, &macs));
        }
    }
    Verdict::several(all)
}

fn found(case: &Case<'_>, locus: Locus, address: IpAddr, dev: &str, macs: &BTreeSet<String>) -> Verdict {
    let list = macs.iter().cloned().collect::<Vec<_>>().join(" and ");
    let own = matches!(locus, Locus::Address { .. });
    let summary = if own {
        format!("{address} is this host's own address and {list} answers for it on {dev} too")
    } else {
        format!("{list} both answer for {address} on {dev}: packets go to whichever answered last")
    };
    Finding::new(locus, summary)
        .evidence(
            Evidence::new("holders", format!("{list} answered for {address}"), "ARP or ND replies")
                .value(serde_json::json!(macs))
                .command(format!("arping -D -c 3 -I {} {address}", quote(dev))),
        )
        .maybe(case.ev_attempt())
        .maybe(case.ev_capture())
        .fix(Fix::act(format!(
            "find the holder of {list} and take {address} from the one that should not have it"
        )))
        .verify(format!("arping -D -c 3 -I {} {address}", quote(dev)))
        .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const A: &str = "02:00:00:00:00:0a";
    const B: &str = "02:00:00:00:00:0b";

    fn client() -> Scene {
        Scene::client("203.0.113.2", 80).toward("203.0.113.2").timeout(3000)
    }

    #[test]
    fn two_answers_to_one_request_prove_it() {
        let scene = client().arp_reply(false, "203.0.113.2", A).arp_reply(false, "203.0.113.2", B);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("0a and"));
    }

    #[test]
    fn an_answer_for_an_own_address_proves_it() {
        let scene = client().arp_reply(false, CLIENT4, A);
        assert!(matches!(proven(scene.judge(&CAUSE)).locus, Locus::Address { .. }));
    }

    #[test]
    fn one_holder_and_answers_for_others_are_innocent() {
        silent(client().arp_reply(false, "203.0.113.2", A).judge(&CAUSE));
        let others = client().arp_reply(false, "203.0.113.7", A).arp_reply(false, "203.0.113.7", B);
        silent(others.judge(&CAUSE));
    }
}
