//! What the causes about bridges share: a flow's frames as they came into a bridge of this host, and where they went.

use netwhy_facts::Role;
use netwhy_facts::link::Link;

use crate::case::{Case, Fate};

/// Facts the helpers read, for the causes' `needs`.
pub const NEEDS: &[&str] = &["links", "capture", "attempts", "addresses"];

/// A flow that is switched here and stays without an answer.
pub struct Bridged<'a> {
    /// The bridge.
    pub bridge: &'a Link,
    /// The port the frames came in by.
    pub ingress: &'a Link,
    /// Frames toward the target that came in by it: requests, and ARP or ND for the target's address.
    pub arrived: u32,
    /// Indices of the devices such frames left by.
    pub left: Vec<u32>,
}

/// The flow's frames in a bridge of this host; `None` when none came in by a port, or the target answered.
pub fn bridged<'a>(case: &Case<'a>) -> Option<Bridged<'a>> {
    if case.question.role != Role::Transit || case.fate() == Fate::Works {
        return None;
    }
    let dst = case.flow.dst;
    let links = case.links();
    let by_index = |i: u32| links.iter().find(|l| l.index == i);
    let (mut arrived, mut ingress, mut left) = (0, None, Vec::new());
    for p in case.packets() {
        let asks = match &p.arp {
            Some((operation, _)) => matches!(operation, 1 | 135),
            None => p.icmp.is_none(),
        };
        // Whatever comes from the target shows that the way is open.
        let from_target = match &p.arp {
            Some((2, _)) => p.src == dst,
            Some((136, _)) => p.dst == dst,
            _ => p.arp.is_none() && p.icmp.is_none() && p.src == dst,
        };
        if from_target && !p.out {
            return None;
        }
        if !asks || p.dst != dst {
            continue;
        }
        match (p.out, by_index(p.ifindex)) {
            (false, Some(link)) if link.bridge_port.is_some() => {
                arrived += 1;
                ingress.get_or_insert(link);
            }
            (true, Some(link)) if !left.contains(&link.index) => left.push(link.index),
            _ => {}
        }
    }
    let ingress = ingress?;
    let bridge = by_index(ingress.master?)?;
    Some(Bridged { bridge, ingress, arrived, left })
}

impl<'a> Bridged<'a> {
    /// The other ports of the bridge that are up and have carrier.
    pub fn others(&self, case: &Case<'a>) -> Vec<&'a Link> {
        case.links()
            .iter()
            .filter(|l| {
                l.master == Some(self.bridge.index)
                    && l.index != self.ingress.index
                    && l.is_up()
                    && l.carrier != Some(false)
            })
            .collect()
    }

    /// Why a frame from the port of arrival does not go out by this one: a word and a sentence part.
    pub fn closed(&self, out: &Link) -> Option<(String, String)> {
        let (from, to) = (self.ingress.bridge_port.as_ref()?, out.bridge_port.as_ref()?);
        if !matches!(to.state.as_str(), "forwarding" | "") {
            return Some((to.state.clone(), format!("is {}", to.state)));
        }
        if from.isolated && to.isolated {
            return Some(("isolated".into(), format!("and {} are both isolated", self.ingress.name)));
        }
        let filtering = self.bridge.bridge.as_ref().is_some_and(|b| b.vlan_filtering);
        if filtering {
            let vid = from.vlans.iter().find(|v| v.pvid).map(|v| v.vid);
            if let Some(vid) = vid
                && !to.vlans.iter().any(|v| v.vid == vid)
            {
                let why = format!(
                    "is not a member of VLAN {vid}, which untagged frames of {} belong to",
                    self.ingress.name
                );
                return Some((format!("vlan {vid}"), why));
            }
        }
        None
    }
}
