//! The device: its state, XDP, tc and netdev hooks, bridges, neighbours, and how a packet leaves.

use std::net::IpAddr;

use netwhy_facts::Locus;
use netwhy_facts::link::Link;
use netwhy_facts::neigh::Nud;
use netwhy_facts::nft::NftFamily;
use netwhy_facts::tc::{TcAction, TcFilter};

use crate::hooks::Hook;
use crate::path::{Action, End, Stage};
use crate::skb::Skb;
use crate::walk::Walk;

/// tc parents of clsact and ingress.
const CLSACT_INGRESS: u32 = 0xffff_fff2;
const CLSACT_EGRESS: u32 = 0xffff_fff3;
const INGRESS: u32 = 0xffff_0000;
/// How often a packet may be redirected by mirred.
const MOST_REDIRECTIONS: u32 = 4;

impl<'a> Walk<'a, '_> {
    fn link_locus(link: &Link) -> Locus {
        Locus::Link { dev: link.name.clone(), index: link.index }
    }

    /// BPF programs of a device at hooks whose name begins so.
    fn device_bpf(&mut self, index: u32, prefix: &str, stage: Stage) {
        let programs = self.w.bpf.map(|b| b.0.as_slice()).unwrap_or_default();
        for program in programs {
            if program.ifindex == Some(index) && program.hook.starts_with(prefix) {
                let dev = self.w.dev_name(index);
                let hook = format!("{} of {dev}", program.hook);
                self.bpf_seen(program, stage, &hook, Some(dev));
            }
        }
    }

    /// A frame arrives on a device: up to the point where a bridge or the IP stack takes it.
    pub(crate) fn ingress(&mut self, skb: &mut Skb, index: u32) -> Result<(), End> {
        if let Some(link) = self.w.link(index)
            && !link.is_up()
        {
            let locus = Self::link_locus(link);
            self.step(Stage::Link, format!("{} is down", link.name), Some(locus.clone()), Action::Drop);
            return Err(End::Dropped { locus });
        }
        let has_bpf_xdp = self
            .w
            .bpf
            .is_some_and(|b| b.0.iter().any(|p| p.ifindex == Some(index) && p.hook.starts_with("xdp")));
        self.device_bpf(index, "xdp", Stage::Xdp);
        if !has_bpf_xdp && let Some(link) = self.w.link(index) {
            for xdp in &link.xdp {
                self.assume(format!("XDP program {} on {} lets the packet pass", xdp.prog_id, link.name));
                let locus = Locus::Bpf {
                    hook: format!("xdp-{}", xdp.mode),
                    dev: Some(link.name.clone()),
                    prog_id: xdp.prog_id,
                    name: String::new(),
                };
                let text = format!("XDP program {} on {}, not executed", xdp.prog_id, link.name);
                self.step(Stage::Xdp, text, Some(locus), Action::Pass);
            }
        }
        self.device_bpf(index, "tcx-ingress", Stage::TcIngress);
        self.tc_filters(skb, index, &[CLSACT_INGRESS, INGRESS], Stage::TcIngress)?;
        self.netdev_hook(skb, index, true)
    }

    /// A packet leaves through a device: netdev egress, tc egress, qdisc.
    pub(crate) fn egress(&mut self, skb: &mut Skb, index: u32) -> Result<(), End> {
        self.netdev_hook(skb, index, false)?;
        self.device_bpf(index, "tcx-egress", Stage::TcEgress);
        self.tc_filters(skb, index, &[CLSACT_EGRESS], Stage::TcEgress)?;
        self.qdisc(index)?;
        if let Some(link) = self.w.link(index) {
            let down = !link.is_up() || link.carrier == Some(false);
            if down && !link.is_loopback() {
                let locus = Self::link_locus(link);
                let why = if link.is_up() { "has no carrier" } else { "is down" };
                self.step(Stage::Link, format!("{} {why}", link.name), Some(locus.clone()), Action::Drop);
                return Err(End::Dropped { locus });
            }
        }
        Ok(())
    }

    fn qdisc(&mut self, index: u32) -> Result<(), End> {
        let Some(tc) = self.w.tc else { return Ok(()) };
        for q in tc.qdiscs.iter().filter(|q| q.ifindex == index) {
            let full_loss = q.kind == "netem"
                && q.options
                    .get("loss_percent")
                    .and_then(|v| v.parse::<f64>().ok())
                    .is_some_and(|v| v >= 100.0);
            let dev = self.w.dev_name(index);
            let handle = format!("{:x}:", q.handle >> 16);
            let locus = Locus::Qdisc { dev: dev.clone(), handle, qdisc: q.kind.clone() };
            if full_loss || q.kind == "blackhole" {
                self.step(
                    Stage::Qdisc,
                    format!("qdisc {} on {dev} drops everything", q.kind),
                    Some(locus.clone()),
                    Action::Drop,
                );
                return Err(End::Dropped { locus });
            }
            if matches!(q.kind.as_str(), "tbf" | "htb" | "netem" | "hfsc" | "cbq" | "cake" | "red") {
                self.step(
                    Stage::Qdisc,
                    format!("qdisc {} on {dev} may delay or drop", q.kind),
                    Some(locus),
                    Action::Pass,
                );
            }
        }
        Ok(())
    }

    /// nftables chains of family netdev (and inet ingress) on a device.
    fn netdev_hook(&mut self, skb: &mut Skb, index: u32, ingress: bool) -> Result<(), End> {
        let name = self.w.dev_name(index);
        let listed: Vec<_> = self
            .w
            .nft
            .map(|n| n.chains.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|c| {
                c.hook.as_ref().is_some_and(|h| {
                    h.devices.contains(&name)
                        && match c.family {
                            NftFamily::Netdev => h.num == u32::from(!ingress),
                            NftFamily::Inet => ingress && h.num == 5,
                            _ => false,
                        }
                }) && !self.nft_dormant(c)
            })
            .collect();
        let stage = if ingress { Stage::NetdevIngress } else { Stage::NetdevEgress };
        let chains = self.chains_in_order(listed, stage);
        let hook = Hook {
            num: 100 + u32::from(!ingress),
            stage,
            iif: Some(index).filter(|_| ingress),
            oif: Some(index).filter(|_| !ingress),
            with_link_header: !ingress,
        };
        for chain in chains {
            self.nft_base_chain(skb, chain, &hook)?;
        }
        Ok(())
    }

    /// Filters of clsact or ingress.
    fn tc_filters(&mut self, skb: &mut Skb, index: u32, parents: &[u32], stage: Stage) -> Result<(), End> {
        let Some(tc) = self.w.tc else { return Ok(()) };
        let mut filters: Vec<&TcFilter> =
            tc.filters.iter().filter(|f| f.ifindex == index && parents.contains(&f.parent)).collect();
        filters.sort_by_key(|f| f.pref);
        let ethertype = if skb.v6() { 0x86dd } else { 0x0800 };
        for f in filters {
            if f.protocol != 3 && f.protocol != ethertype {
                continue;
            }
            let dev = self.w.dev_name(index);
            let locus = Locus::Filter {
                dev: dev.clone(),
                parent: format!("{:x}:{:x}", f.parent >> 16, f.parent & 0xffff),
                pref: f.pref.into(),
                handle: format!("{:#x}", f.handle),
                filter: f.kind.clone(),
            };
            let matches = match f.kind.as_str() {
                "matchall" => Some(true),
                "u32" => match &f.u32_keys {
                    Some(keys) => u32_matches(skb, keys),
                    None => None,
                },
                "bpf" => {
                    let id = f.bpf.map_or_else(|| "?".to_string(), |b| b.0.to_string());
                    self.assume(format!("BPF program {id} of a tc filter on {dev} lets the packet pass"));
                    self.step(
                        stage,
                        format!("tc filter bpf on {dev}, not executed"),
                        Some(locus),
                        Action::Pass,
                    );
                    continue;
                }
                _ => None,
            };
            let matched = match matches {
                Some(m) => m,
                None if f
                    .actions
                    .iter()
                    .all(|a| matches!(a.control.as_str(), "ok" | "pipe" | "pass" | "continue"))
                    && !f.actions.iter().any(|a| a.kind == "police" || a.kind == "mirred") =>
                {
                    false
                }
                None => {
                    let why = format!("whether the {} filter {:#x} on {dev} matches", f.kind, f.handle);
                    self.choose(2, why, Some(locus.clone()), stage) == 1
                }
            };
            if !matched {
                continue;
            }
            let mut go_on = false;
            for a in &f.actions {
                match (a.kind.as_str(), a.control.as_str()) {
                    ("mirred", "redirect") => return Err(self.redirect(skb, a, stage, locus)),
                    (_, "shot" | "drop") if a.kind != "police" => {
                        self.step(
                            stage,
                            format!("tc filter on {dev} drops"),
                            Some(locus.clone()),
                            Action::Drop,
                        );
                        return Err(End::Dropped { locus });
                    }
                    ("police", _) => {
                        self.assume(format!("under the rate of the policer on {dev}"));
                    }
                    (_, "stolen" | "queued" | "trap") => {
                        let to = format!("tc action {} on {dev}", a.kind);
                        self.step(stage, to.clone(), Some(locus.clone()), Action::Stolen { to: to.clone() });
                        return Err(End::Stolen { to, locus: Some(locus) });
                    }
                    (_, "continue") => go_on = true,
                    (_, "reclassify") => {
                        let what = format!("a tc filter on {dev} classifies again");
                        return Err(End::Insufficient { what, locus: Some(locus) });
                    }
                    (_, "pipe") => {}
                    _ => {}
                }
            }
            if !go_on && !f.actions.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A filter sends the frame out by another device, or lets it come in there, with its link-layer addresses as they
    /// are (`linux/tc_act/tc_mirred.h`).
    fn redirect(&mut self, skb: &mut Skb, action: &TcAction, stage: Stage, locus: Locus) -> End {
        let target = action.options.get("dev").and_then(|dev| dev.parse::<u32>().ok());
        let link = target.filter(|index| *index != 0).and_then(|index| self.w.link(index));
        let incoming = action.options.get("direction").map(String::as_str) == Some("ingress");
        let Some(link) = link else {
            let to = "another device (mirred)".to_string();
            let action = Action::Stolen { to: to.clone() };
            self.step(stage, "tc filter redirects".into(), Some(locus.clone()), action);
            return End::Stolen { to, locus: Some(locus) };
        };
        // The kernel lets no packet be redirected for ever: one that was is dropped the fifth time.
        self.redirected += 1;
        if !link.is_up() || self.redirected > MOST_REDIRECTIONS {
            let why = if link.is_up() { "once too often" } else { "which is down" };
            let text = format!("tc filter redirects to {}, {why}", link.name);
            self.step(stage, text, Some(locus.clone()), Action::Drop);
            return End::Dropped { locus };
        }
        let how = if incoming { "as if it came in by" } else { "out by" };
        let text = format!("tc filter redirects the frame {how} {}", link.name);
        self.step(stage, text, Some(locus), Action::Pass);
        skb.has_mac = true;
        let end = if incoming {
            skb.has_sk = false;
            self.arriving(skb, link.index)
        } else {
            self.redirected_out(skb, link)
        };
        match end {
            Ok(end) | Err(end) => end,
        }
    }

    fn redirected_out(&mut self, skb: &mut Skb, link: &'a Link) -> Result<End, End> {
        self.egress(skb, link.index)?;
        skb.p.oif = Some(link.index);
        if link.is_loopback() {
            return self.arriving(skb, link.index);
        }
        let dev = self.beneath(skb, link, None)?;
        self.step(Stage::Link, format!("sent through {dev}"), None, Action::Send);
        Ok(End::Sent { dev, next_hop: None })
    }

    /// The device a frame really leaves by: a bridge's port, or what carries a virtual device.
    fn beneath(&mut self, skb: &mut Skb, link: &'a Link, mac: Option<&str>) -> Result<String, End> {
        if link.bridge.is_some() || link.kind.as_deref() == Some("bridge") {
            return self.bridge_output(skb, link, mac);
        }
        if let (Some("vlan" | "macvlan" | "ipvlan"), Some(lower), None) =
            (link.kind.as_deref(), link.lower, link.peer_netns)
        {
            let text = format!("{} sends through {}", link.name, self.w.dev_name(lower));
            self.step(Stage::Link, text, None, Action::Pass);
            self.egress(skb, lower)?;
        }
        Ok(link.name.clone())
    }

    /// The neighbour toward the next hop, then the device.
    pub(crate) fn send(&mut self, skb: &mut Skb, index: u32, gateway: Option<IpAddr>) -> End {
        match self.try_send(skb, index, gateway) {
            Ok(end) | Err(end) => end,
        }
    }

    fn try_send(&mut self, skb: &mut Skb, index: u32, gateway: Option<IpAddr>) -> Result<End, End> {
        let next = gateway.unwrap_or(skb.p.dst);
        let dev = self.w.dev_name(index);
        let link = self.w.link(index);
        let resolves = link.is_none_or(|l| !l.is_noarp() && !l.is_pointopoint() && !l.is_loopback());
        let multicast = next.is_multicast() || matches!(next, IpAddr::V4(a) if a.is_broadcast());
        let mut mac = None;
        if resolves && !multicast {
            match self.w.neigh.and_then(|n| n.find(index, &next)) {
                Some(n) if n.state.is_valid() => {
                    mac = n.lladdr.clone();
                    let text =
                        format!("{next} is at {} ({})", n.lladdr.as_deref().unwrap_or("?"), n.state.name());
                    self.step(Stage::Neighbour, text, None, Action::Pass);
                }
                Some(n) if n.state == Nud::Failed || (n.state == Nud::Incomplete && n.probes > 0) => {
                    let locus =
                        Locus::Neighbour { dev: dev.clone(), address: next, state: n.state.name().into() };
                    self.step(
                        Stage::Neighbour,
                        format!("{next} on {dev} does not resolve ({})", n.state.name()),
                        Some(locus.clone()),
                        Action::Drop,
                    );
                    return Err(End::Unresolved { locus });
                }
                _ => {
                    self.step(
                        Stage::Neighbour,
                        format!("{next} on {dev} is resolved when sent"),
                        None,
                        Action::Pass,
                    );
                }
            }
        }
        skb.has_mac = true;
        skb.p.mac_dst = mac.as_deref().and_then(parse_mac);
        skb.p.mac_src = link.and_then(|l| parse_mac(&l.mac));
        self.egress(skb, index)?;
        let out = match link {
            Some(link) => self.beneath(skb, link, mac.as_deref())?,
            None => dev,
        };
        skb.p.oif = Some(index);
        let next_hop = (!multicast).then_some(next);
        self.step(Stage::Link, format!("sent through {out} toward {next}"), None, Action::Send);
        Ok(End::Sent { dev: out, next_hop })
    }

    /// MTU of the way out, for packets that must not be cut.
    pub(crate) fn check_mtu(&mut self, skb: &Skb, index: u32, forwarded: bool) -> Result<(), End> {
        let Some(link) = self.w.link(index) else { return Ok(()) };
        let mtu = skb.mtu.filter(|m| *m > 0).unwrap_or(link.mtu).min(link.mtu.max(1));
        if mtu == 0 || skb.p.len <= mtu || link.is_loopback() {
            return Ok(());
        }
        let v6 = skb.v6();
        let df = skb.p.proto == 6 || v6;
        let locus = Self::link_locus(link);
        if !df {
            self.assume(format!("a packet of {} bytes is cut for the MTU {mtu} of {}", skb.p.len, link.name));
            return Ok(());
        }
        let with = if !forwarded {
            "EMSGSIZE".to_string()
        } else if v6 {
            "icmpv6 packet-too-big".to_string()
        } else {
            "icmp fragmentation-needed".to_string()
        };
        self.step(
            Stage::Mtu,
            format!("{} bytes do not fit the MTU {mtu} of {}", skb.p.len, link.name),
            Some(locus.clone()),
            Action::Reject { with: with.clone() },
        );
        Err(End::Rejected { locus, with })
    }

    /// IPsec policies on the way: 0 in, 1 out, 2 forward.
    pub(crate) fn xfrm(&mut self, skb: &Skb, dir: &str) -> Result<(), End> {
        let Some(xfrm) = self.w.xfrm else { return Ok(()) };
        let mut fits: Vec<_> = xfrm
            .policies
            .iter()
            .filter(|p| {
                p.dir == dir
                    && p.src.contains(&skb.p.src)
                    && p.dst.contains(&skb.p.dst)
                    && (p.proto == 0 || p.proto == skb.p.proto)
                    && p.sport.is_none_or(|s| s == skb.p.sport)
                    && p.dport.is_none_or(|d| d == skb.p.dport)
            })
            .collect();
        fits.sort_by_key(|p| p.priority);
        let Some(policy) = fits.first() else { return Ok(()) };
        let detail =
            format!("policy {} {} to {} priority {}", policy.dir, policy.src, policy.dst, policy.priority);
        let locus = Locus::Xfrm { detail: detail.clone() };
        if policy.block {
            self.step(Stage::Xfrm, format!("IPsec {detail} blocks"), Some(locus.clone()), Action::Drop);
            return Err(End::Dropped { locus });
        }
        if !policy.templates.is_empty() {
            let what = format!("IPsec {detail} wants a transformation");
            self.step(Stage::Xfrm, what.clone(), Some(locus.clone()), Action::Unknown { what: what.clone() });
            return Err(End::Insufficient { what, locus: Some(locus) });
        }
        Ok(())
    }
}

/// u32 keys on the network header: `(word & mask) == value` in network order.
fn u32_matches(skb: &Skb, keys: &[(i32, u32, u32)]) -> Option<bool> {
    let net = skb.network();
    let mut open = false;
    for (offset, mask, value) in keys {
        let Some(word) = usize::try_from(*offset).ok().and_then(|o| net.get(o, 4)) else {
            // Before the network header, or past the end of the packet.
            if *offset < 0 {
                return None;
            }
            return Some(false);
        };
        let mask = mask.to_be_bytes();
        let at = |b: &[u8], i: usize| b.get(i).copied().unwrap_or(0);
        let masked = word.transform(
            |b| b.iter().enumerate().map(|(i, v)| v & at(&mask, i)).collect(),
            |u| u.iter().enumerate().map(|(i, v)| v & at(&mask, i)).collect(),
        );
        match masked.equals(&value.to_be_bytes()) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => open = true,
        }
    }
    if open { None } else { Some(true) }
}

/// Bytes of a colon-separated hardware address.
pub(crate) fn parse_mac(text: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    bytes.filter(|b| b.len() == 6)
}
