//! What the causes about neighbours and devices share: whom this host hands the flow's packets to, and by which device.

use std::net::IpAddr;

use netwhy_facts::capture::{CapturedPacket, FlowCapture};
use netwhy_facts::link::{Link, Links};
use netwhy_facts::neigh::{Neighbour, Neighbours, Nud};
use netwhy_facts::{Facts, Locus, Question, Role};
use netwhy_walk::{End, Path};

use crate::case::{Case, Fate};
use crate::engine::FlowPaths;
use crate::evidence::Evidence;
use crate::obstacle::Direction;

/// The next hop of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The device that resolves it (the bridge, where a port of one is the way out).
    pub dev: String,
    /// Its address: a gateway, or the far end itself.
    pub address: IpAddr,
    /// Which packets go there.
    pub direction: Direction,
}

impl<'a> Case<'a> {
    /// Devices of this host, as they were when the window closed.
    pub fn links(&self) -> &'a [Link] {
        self.facts.latest::<Links>().value().map(|l| l.0.as_slice()).unwrap_or_default()
    }

    /// A device by its name.
    pub fn link(&self, name: &str) -> Option<&'a Link> {
        self.links().iter().find(|l| l.name == name)
    }

    /// Next hops this host hands the flow's packets to: toward the target for a client and a router, back for a
    /// server and a router.
    pub fn hops(&self) -> Vec<Hop> {
        let wanted: &[(&Path, Direction)] = match self.question.role {
            Role::Client => &[(self.forward, Direction::Forward)],
            Role::Inbound => &[(self.reply, Direction::Reply)],
            Role::Transit => &[(self.forward, Direction::Forward), (self.reply, Direction::Reply)],
        };
        wanted.iter().filter_map(|(path, direction)| self.hop_of(path, *direction)).collect()
    }

    fn hop_of(&self, path: &Path, direction: Direction) -> Option<Hop> {
        let (dev, address) = match &path.end {
            End::Sent { dev, next_hop: Some(hop) } => (dev, *hop),
            End::Unresolved { locus: Locus::Neighbour { dev, address, .. } } => (dev, *address),
            _ => return None,
        };
        // Neighbours of a bridge belong to the bridge, not to the port a frame leaves by.
        let master = self.link(dev).filter(|l| l.bridge_port.is_some()).and_then(|l| l.master);
        let dev = match master.and_then(|m| self.links().iter().find(|l| l.index == m)) {
            Some(bridge) => bridge.name.clone(),
            None => dev.clone(),
        };
        Some(Hop { dev, address, direction })
    }

    /// The neighbour entry of a next hop when the window closed.
    pub fn entry(&self, hop: &Hop) -> Option<&'a Neighbour> {
        let index = self.link(&hop.dev)?.index;
        self.facts.latest::<Neighbours>().value()?.find(index, &hop.address)
    }

    /// The captured packets; empty without a capture.
    pub fn packets(&self) -> &'a [CapturedPacket] {
        self.facts.latest::<FlowCapture>().value().map(|c| c.packets.as_slice()).unwrap_or_default()
    }

    /// Requests for a next hop's link-layer address that left, and answers to them that arrived.
    pub fn resolution(&self, address: IpAddr) -> (u32, u32) {
        let (mut asked, mut answered) = (0, 0);
        for p in self.packets() {
            match &p.arp {
                // The target of both kinds of neighbour discovery stands in the place of the destination.
                Some((1 | 135, _)) if p.out && p.dst == address => asked += 1,
                Some((2, _)) if !p.out && p.src == address => answered += 1,
                Some((136, _)) if !p.out && p.dst == address => answered += 1,
                _ => {}
            }
        }
        (asked, answered)
    }
}

/// Next hops whose holder is worth asking for on the link: those whose entry is static, and targets on the link itself
/// (two hosts may hold the address), when the flow fails although its packets leave.
pub fn probes_wanted(facts: &Facts, question: &Question, paths: &[FlowPaths]) -> Vec<Hop> {
    let mut out: Vec<Hop> = Vec::new();
    for p in paths {
        let case = p.case(facts, question);
        let s = &case.seen;
        let (fails, left) = match question.role {
            Role::Client => (case.fate() == Fate::Fails, s.requests_out > 0 || !s.known),
            // An answer that the client does not take up may go to somebody else.
            Role::Inbound => (s.answers_out > 0 && s.acks == 0, true),
            Role::Transit => (case.fate() == Fate::Fails, s.requests_out > 0),
        };
        if !fails || !left || case.target_is_local() && question.role == Role::Client {
            continue;
        }
        for hop in case.hops() {
            let fixed = case.entry(&hop).is_some_and(|n| n.state == Nud::Permanent);
            let target = question.role == Role::Client && hop.address == p.flow.dst;
            if (fixed || target) && !out.contains(&hop) {
                out.push(hop);
            }
        }
    }
    out.truncate(2);
    out
}

/// Evidence: the state of a neighbour entry.
pub fn ev_entry(hop: &Hop, state: &str, lladdr: Option<&str>) -> Evidence {
    let at = lladdr.map(|l| format!(", at {l}")).unwrap_or_default();
    Evidence::new("neighbour", format!("{} on {} is {state}{at}", hop.address, hop.dev), "RTM_GETNEIGH")
        .value(state)
        .command(format!("ip neigh show {} dev {}", hop.address, crate::fix::quote(&hop.dev)))
}

/// A device as the object of a finding.
pub fn link_locus(link: &Link) -> Locus {
    Locus::Link { dev: link.name.clone(), index: link.index }
}

/// Evidence: what a device says of itself.
pub fn ev_link(link: &Link) -> Evidence {
    Evidence::new("link", link_words(link), "RTM_GETLINK")
        .value(serde_json::json!({"up": link.is_up(), "carrier": link.carrier, "operstate": link.operstate}))
        .command(format!("ip link show dev {}", crate::fix::quote(&link.name)))
}

/// A device's state in words.
pub fn link_words(link: &Link) -> String {
    let state = match (link.is_up(), link.carrier) {
        (false, _) => "is administratively down".to_string(),
        (true, Some(false)) => "is up and has no carrier".to_string(),
        (true, _) => format!("is up, operational state {:?}", link.operstate).to_lowercase(),
    };
    format!("{} {state}", link.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn wanted(scene: Scene) -> Vec<String> {
        let paths = [FlowPaths {
            flow: scene.flow.clone(),
            forward: scene.forward.clone(),
            reply: scene.reply.clone(),
            beyond: vec![],
        }];
        let mut facts = scene.facts.clone();
        let packets = scene.packets.clone().unwrap_or_default();
        facts.put(netwhy_facts::Reading::known(
            FlowCapture { packets, dropped: 0, beyond_bound: 0, of_others: 0 },
            "test",
            1,
        ));
        probes_wanted(&facts, &scene.question, &paths).into_iter().map(|h| h.address.to_string()).collect()
    }

    #[test]
    fn targets_on_the_link_and_static_entries_are_asked_for_when_packets_left() {
        let on_link = || Scene::client("203.0.113.2", 80).toward("203.0.113.2").errno("ECONNREFUSED", 1);
        assert_eq!(wanted(on_link().request_out()), ["203.0.113.2"]);
        assert!(wanted(on_link().captured()).is_empty());
        let routed = |state| {
            Scene::client("203.0.113.2", 80)
                .toward("198.51.100.1")
                .neighbours(vec![neighbour("198.51.100.1", state, None)])
                .timeout(3000)
                .request_out()
        };
        assert_eq!(wanted(routed(Nud::Permanent)), ["198.51.100.1"]);
        assert!(wanted(routed(Nud::Reachable)).is_empty());
    }

    #[test]
    fn a_flow_that_works_asks_nobody() {
        let scene = Scene::client("203.0.113.2", 80).toward("203.0.113.2").request_out().answer_in();
        assert!(wanted(scene).is_empty());
    }
}
