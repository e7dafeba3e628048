//! Bridges: which frames they take up, and where they send the others.

use netwhy_facts::Locus;
use netwhy_facts::link::{BridgePort, Link};
use netwhy_facts::nft::NftFamily;

use crate::device::parse_mac;
use crate::hooks::{self, Hook};
use crate::path::{Action, End, Stage};
use crate::skb::Skb;
use crate::walk::Walk;

/// Hooks of ebtables' filter table and their priorities (linux/netfilter_bridge.h, `enum nf_br_hook_priorities`).
const EBTABLES_FILTER: [(u32, i32); 3] = [(hooks::INPUT, -200), (hooks::FORWARD, -200), (hooks::OUTPUT, 200)];

fn port_locus(bridge: &Link, port: &Link, state: &str) -> Locus {
    Locus::BridgePort { bridge: bridge.name.clone(), port: port.name.clone(), state: state.into() }
}

fn pvid(port: &BridgePort) -> Option<u16> {
    port.vlans.iter().find(|v| v.pvid).map(|v| v.vid)
}

impl<'a> Walk<'a, '_> {
    fn stop_at_port(&mut self, bridge: &Link, port: &Link, why: String, state: &str) -> End {
        let locus = port_locus(bridge, port, state);
        self.step(Stage::Bridge, why, Some(locus.clone()), Action::Drop);
        End::Dropped { locus }
    }

    /// VLAN a frame belongs to on a filtering bridge; `Err` when the port does not let it in.
    fn ingress_vlan(
        &mut self,
        skb: &Skb,
        bridge: &Link,
        port: &Link,
        state: &BridgePort,
    ) -> Result<Option<u16>, End> {
        if !bridge.bridge.as_ref().is_some_and(|b| b.vlan_filtering) {
            return Ok(None);
        }
        match skb.p.vlan {
            Some(vid) if state.vlans.iter().any(|v| v.vid == vid) => Ok(Some(vid)),
            Some(vid) => {
                let why = format!("{} does not take VLAN {vid}", port.name);
                Err(self.stop_at_port(bridge, port, why, &state.state))
            }
            None => match pvid(state) {
                Some(vid) => Ok(Some(vid)),
                None => {
                    let why = format!("{} takes no untagged frames (no PVID)", port.name);
                    Err(self.stop_at_port(bridge, port, why, &state.state))
                }
            },
        }
    }

    /// A frame came in by a bridge port. `Ok(Some(index))`: taken up by the bridge device itself.
    pub(crate) fn bridge_input(
        &mut self,
        skb: &mut Skb,
        port: &'a Link,
        bridge: &'a Link,
    ) -> Result<Option<u32>, End> {
        let default = BridgePort { state: "forwarding".into(), ..BridgePort::default() };
        let state = port.bridge_port.as_ref().unwrap_or(&default);
        if !bridge.is_up() {
            let locus = Locus::Link { dev: bridge.name.clone(), index: bridge.index };
            self.step(Stage::Bridge, format!("{} is down", bridge.name), Some(locus.clone()), Action::Drop);
            return Err(End::Dropped { locus });
        }
        if !matches!(state.state.as_str(), "forwarding" | "") {
            let why = format!("{} is {} on {}", port.name, state.state, bridge.name);
            return Err(self.stop_at_port(bridge, port, why, &state.state));
        }
        let vlan = self.ingress_vlan(skb, bridge, port, state)?;
        skb.physin = Some(port.index);
        let up = self.frame_is_for_bridge(skb, bridge);
        self.bridge_hook(skb, hooks::PREROUTING, Some(port.index), None)?;
        let filtered = bridge
            .bridge
            .as_ref()
            .is_some_and(|b| if skb.v6() { b.nf_call_ip6tables } else { b.nf_call_iptables })
            || self.w.sysctl(if skb.v6() {
                "net.bridge.bridge-nf-call-ip6tables"
            } else {
                "net.bridge.bridge-nf-call-iptables"
            }) == Some(1);
        if up {
            self.bridge_hook(skb, hooks::INPUT, Some(port.index), None)?;
            self.step(
                Stage::Bridge,
                format!("{} takes the frame from {}", bridge.name, port.name),
                None,
                Action::Pass,
            );
            return Ok(Some(bridge.index));
        }
        // Bridged frames pass the IP hooks only with br_netfilter.
        if filtered {
            self.run_hook(skb, &Hook::new(hooks::PREROUTING, Some(bridge.index), None))?;
        }
        let target = self.fdb_port(skb, bridge, vlan, skb.p.mac_dst.clone());
        let target = match target {
            Some(t) if t.index == port.index && !state.hairpin => {
                let why = format!("the target is behind {} again and hairpin is off", port.name);
                return Err(self.stop_at_port(bridge, port, why, &state.state));
            }
            other => other,
        };
        if let Some(out) = target {
            self.port_out(bridge, out, Some((port, state)), vlan)?;
        }
        let out = target.map(|t| t.index);
        self.bridge_hook(skb, hooks::FORWARD, Some(port.index), out)?;
        if filtered {
            skb.physout = out;
            self.run_hook(skb, &Hook::new(hooks::FORWARD, Some(bridge.index), Some(bridge.index)))?;
        }
        // At this hook the kernel no longer tells where the frame came from.
        self.bridge_hook(skb, hooks::POSTROUTING, None, out)?;
        if filtered {
            self.run_hook(skb, &Hook::new(hooks::POSTROUTING, None, Some(bridge.index)))?;
        }
        let dev = match target {
            Some(t) => {
                self.egress(skb, t.index)?;
                t.name.clone()
            }
            None => {
                self.assume(format!("{} floods the frame: the port of the target is not known", bridge.name));
                bridge.name.clone()
            }
        };
        self.step(Stage::Bridge, format!("bridged out of {dev}"), None, Action::Send);
        Err(End::Sent { dev, next_hop: None })
    }

    /// Whether the bridge device itself is the frame's destination.
    fn frame_is_for_bridge(&self, skb: &Skb, bridge: &Link) -> bool {
        if let Some(mac) = &skb.p.mac_dst {
            return parse_mac(&bridge.mac).as_ref() == Some(mac) || mac.first().is_some_and(|b| b & 1 != 0);
        }
        if self.w.is_local(&skb.p.dst) {
            return true;
        }
        let addressed = self
            .w
            .addresses()
            .iter()
            .any(|a| a.ifindex == bridge.index && a.addr.is_ipv6() == skb.v6() && a.scope < 253);
        if !addressed {
            return false;
        }
        // Two hosts of the bridge's own subnet talk past the router; everything else goes to it.
        let same = self.w.addresses().iter().any(|a| {
            let net = netwhy_facts::IpNet::new(a.addr, a.prefix);
            a.ifindex == bridge.index && net.contains(&skb.p.src) && net.contains(&skb.p.dst)
        });
        !same
    }

    /// The port a frame leaves by: from the forwarding database, by the target's hardware address.
    fn fdb_port(
        &self,
        skb: &Skb,
        bridge: &Link,
        vlan: Option<u16>,
        mac: Option<Vec<u8>>,
    ) -> Option<&'a Link> {
        let mac = mac.or_else(|| {
            let n = self.w.neigh?.0.iter().find(|n| n.addr == skb.p.dst && n.lladdr.is_some())?;
            parse_mac(n.lladdr.as_deref()?)
        })?;
        let entry = self.w.fdb?.0.iter().find(|e| {
            parse_mac(&e.mac).as_ref() == Some(&mac)
                && (e.master == Some(bridge.index)
                    || self.w.link(e.ifindex).and_then(|l| l.master) == Some(bridge.index))
                && (vlan.is_none() || e.vlan.is_none() || e.vlan == vlan)
        })?;
        self.w.link(entry.ifindex)
    }

    /// Checks of the port a frame is to leave by.
    fn port_out(
        &mut self,
        bridge: &Link,
        out: &Link,
        from: Option<(&Link, &BridgePort)>,
        vlan: Option<u16>,
    ) -> Result<(), End> {
        let Some(state) = &out.bridge_port else { return Ok(()) };
        if !matches!(state.state.as_str(), "forwarding" | "") {
            let why = format!("{} is {} on {}", out.name, state.state, bridge.name);
            return Err(self.stop_at_port(bridge, out, why, &state.state));
        }
        if let Some((port, from)) = from
            && from.isolated
            && state.isolated
        {
            let why = format!("{} and {} are both isolated", port.name, out.name);
            return Err(self.stop_at_port(bridge, out, why, "isolated"));
        }
        if let Some(vid) = vlan
            && !state.vlans.iter().any(|v| v.vid == vid)
        {
            let why = format!("{} is not a member of VLAN {vid}", out.name);
            return Err(self.stop_at_port(bridge, out, why, &state.state));
        }
        Ok(())
    }

    /// The host itself sends through a bridge device; returns the device the frame leaves by.
    pub(crate) fn bridge_output(
        &mut self,
        skb: &mut Skb,
        bridge: &'a Link,
        mac: Option<&str>,
    ) -> Result<String, End> {
        self.bridge_hook(skb, hooks::OUTPUT, None, Some(bridge.index))?;
        let vlan = bridge
            .bridge
            .as_ref()
            .filter(|b| b.vlan_filtering)
            .map(|b| bridge.bridge_port.as_ref().and_then(pvid).unwrap_or(b.default_pvid));
        let mac = mac.and_then(parse_mac).or_else(|| skb.p.mac_dst.clone());
        let out = self.fdb_port(skb, bridge, vlan, mac);
        let ports: Vec<&Link> = self
            .w
            .links
            .map(|l| l.0.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|l| l.master == Some(bridge.index))
            .collect();
        let out = match (out, ports.as_slice()) {
            (Some(out), _) => Some(out),
            (None, [only]) => Some(*only),
            (None, []) if self.w.links.is_some() => {
                let locus = Locus::Link { dev: bridge.name.clone(), index: bridge.index };
                self.step(
                    Stage::Bridge,
                    format!("{} has no port", bridge.name),
                    Some(locus.clone()),
                    Action::Drop,
                );
                return Err(End::Dropped { locus });
            }
            _ => None,
        };
        if let Some(out) = out {
            self.port_out(bridge, out, None, vlan)?;
        }
        self.bridge_hook(skb, hooks::POSTROUTING, None, out.map(|o| o.index))?;
        let Some(out) = out else {
            self.step(Stage::Bridge, format!("{} floods the frame", bridge.name), None, Action::Pass);
            return Ok(bridge.name.clone());
        };
        self.step(Stage::Bridge, format!("{} sends by port {}", bridge.name, out.name), None, Action::Pass);
        self.egress(skb, out.index)?;
        Ok(out.name.clone())
    }

    /// nftables chains of family bridge, and ebtables, at a bridge hook.
    fn bridge_hook(
        &mut self,
        skb: &mut Skb,
        num: u32,
        iif: Option<u32>,
        oif: Option<u32>,
    ) -> Result<(), End> {
        let listed: Vec<_> = self
            .w
            .nft
            .map(|n| n.chains.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|c| {
                c.family == NftFamily::Bridge
                    && c.hook.as_ref().is_some_and(|h| h.num == num)
                    && !self.nft_dormant(c)
            })
            .collect();
        let chains = self.chains_in_order(listed, Stage::Bridge);
        let mut hook = Hook::new(num, iif, oif);
        hook.stage = Stage::Bridge;
        // ebtables has its place among them; which of two with the same priority was made first is not known.
        let ebtables = EBTABLES_FILTER.iter().find(|(at, _)| *at == num).map(|(_, priority)| *priority);
        let mut pending = ebtables;
        for chain in chains {
            let priority = chain.hook.as_ref().map_or(0, |h| h.priority);
            if pending.is_some_and(|own| own < priority) {
                pending = None;
                self.ebtables(skb, &hook)?;
            }
            self.nft_base_chain(skb, chain, &hook)?;
        }
        if pending.is_some() {
            self.ebtables(skb, &hook)?;
        }
        Ok(())
    }
}
