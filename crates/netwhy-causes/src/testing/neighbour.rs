//! Neighbours and devices for the tests of causes.

use netwhy_facts::link::Links;
use netwhy_facts::neigh::{Neighbour, Neighbours, Nud};

use super::{Scene, ip, link};

/// An entry on eth0.
pub(crate) fn neighbour(addr: &str, state: Nud, lladdr: Option<&str>) -> Neighbour {
    Neighbour {
        ifindex: 2,
        addr: ip(addr),
        lladdr: lladdr.map(str::to_string),
        state,
        flags: 0,
        proxy: false,
        probes: if state.is_valid() { 0 } else { 3 },
        confirmed_ms: None,
        used_ms: None,
        updated_ms: None,
    }
}

impl Scene {
    /// The forward path ends at this next hop on eth0.
    pub(crate) fn toward(self, hop: &str) -> Self {
        let end = netwhy_walk::End::Sent { dev: "eth0".into(), next_hop: Some(ip(hop)) };
        self.forward(&[netwhy_walk::Stage::Routing, netwhy_walk::Stage::Link], end)
    }
    /// The reply path ends at this next hop on eth0.
    pub(crate) fn back_toward(self, hop: &str) -> Self {
        let end = netwhy_walk::End::Sent { dev: "eth0".into(), next_hop: Some(ip(hop)) };
        self.reply(&[netwhy_walk::Stage::Routing, netwhy_walk::Stage::Link], end)
    }
    /// With these neighbour entries.
    pub(crate) fn neighbours(self, all: Vec<Neighbour>) -> Self {
        self.with(Neighbours(all))
    }
    /// With eth0 as `change` makes it.
    pub(crate) fn eth0(self, change: impl FnOnce(&mut netwhy_facts::link::Link)) -> Self {
        let mut eth0 = link(2, "eth0");
        change(&mut eth0);
        self.with(Links(vec![eth0, link(3, "eth1")]))
    }
    /// An ARP request for `target` left (or arrived).
    pub(crate) fn arp_request(self, out: bool, sender: &str, target: &str) -> Self {
        self.arp(out, 1, sender, target, "02:00:00:00:00:01")
    }
    /// An ARP reply of `sender` arrived (or left).
    pub(crate) fn arp_reply(self, out: bool, sender: &str, mac: &str) -> Self {
        self.arp(out, 2, sender, "0.0.0.0", mac)
    }
    fn arp(self, out: bool, operation: u16, sender: &str, target: &str, mac: &str) -> Self {
        let mut scene = self.packet(true, out, 0);
        if let Some(p) = scene.packets.as_mut().and_then(|p| p.last_mut()) {
            (p.src, p.dst, p.proto) = (ip(sender), ip(target), 0x0806);
            p.arp = Some((operation, mac.to_string()));
        }
        scene
    }
}
