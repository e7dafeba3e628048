//! Carries the packet from stage to stage in the kernel's order.

use std::net::IpAddr;

use netwhy_facts::Locus;
use netwhy_facts::conntrack::{CtEntry, CtTuple};
use netwhy_facts::route::FibKey;

use crate::hooks::{self, Hook};
use crate::oracle::Oracle;
use crate::packet::{CtHypothesis, Packet};
use crate::path::{Action, End, Path, Stage, Step};
use crate::routing::{Dst, DstKind};
use crate::skb::{CtInfo, CtSlot, Skb};
use crate::world::World;

/// Rules one walk may run: more than any sane ruleset, fewer than a goto loop.
const RULE_BUDGET: u32 = 200_000;

/// Where a packet begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made by a process of this host.
    Local,
    /// Arrives on a device.
    Arriving {
        /// Index of the device.
        ifindex: u32,
    },
}

/// What a walk is told besides the packet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// Entries that exist by the time of this packet beyond those read: the one its forward packet made.
    pub(crate) expected: Vec<CtEntry>,
    /// A socket that exists by then: the one that asked.
    pub(crate) waiting: Option<CtTuple>,
    /// Port whose sockets were read.
    pub(crate) asked_port: u16,
}

/// One run.
pub(crate) struct Walk<'a, 'o> {
    pub(crate) w: &'a World<'a>,
    oracle: &'o mut Oracle,
    steps: Vec<Step>,
    assumptions: Vec<String>,
    /// Routing questions met on the way.
    pub(crate) keys: Vec<FibKey>,
    /// The route of a packet made here, as the last hook that changed it left it.
    route: Option<Dst>,
    /// Rules left to run.
    pub(crate) budget: u32,
    /// How often tc filters redirected the packet.
    pub(crate) redirected: u32,
    /// Elements added by rules on this walk: table, set, key.
    pub(crate) added: Vec<(String, String, Vec<u8>)>,
    pub(crate) expected: Vec<CtEntry>,
    pub(crate) waiting: Option<CtTuple>,
    pub(crate) asked_port: u16,
    pub(crate) ports_read: Vec<u16>,
}

/// Runs one walk to its end.
pub(crate) fn run<'a>(
    world: &'a World<'a>,
    oracle: &mut Oracle,
    packet: &Packet,
    origin: Origin,
    setup: &Setup,
) -> (Path, Vec<FibKey>) {
    let mut ports_read: Vec<u16> =
        world.sockets.map(|s| s.sockets.iter().map(|s| s.lport).collect()).unwrap_or_default();
    ports_read.extend(world.sockets.map(|s| s.ports.as_slice()).unwrap_or_default());
    ports_read.dedup();
    let mut walk = Walk {
        w: world,
        oracle,
        steps: Vec::new(),
        assumptions: world.absent(),
        keys: Vec::new(),
        route: None,
        budget: RULE_BUDGET,
        redirected: 0,
        added: Vec::new(),
        expected: setup.expected.clone(),
        waiting: setup.waiting.clone(),
        asked_port: setup.asked_port,
        ports_read,
    };
    let local = origin == Origin::Local;
    let mut skb = Skb::new(packet.clone(), local);
    let mut start = packet.clone();
    let end = match origin {
        Origin::Local => walk.local(&mut skb, &mut start),
        Origin::Arriving { ifindex } => {
            start.iif = Some(ifindex);
            skb.p.iif = Some(ifindex);
            walk.arriving(&mut skb, ifindex)
        }
    };
    let end = match end {
        Ok(end) | Err(end) => end,
    };
    let mut finally = skb.p.clone();
    let mut ct = None;
    match &skb.ct {
        CtSlot::Entry(conn) => {
            let mut entry = conn.entry.clone();
            entry.status |= 8;
            if conn.reply {
                entry.status |= 2;
            }
            finally.ct = match conn.info {
                CtInfo::New => CtHypothesis::New,
                CtInfo::Established => CtHypothesis::Established,
                CtInfo::Related => CtHypothesis::Related,
            };
            ct = Some(entry);
        }
        CtSlot::Untracked => finally.ct = CtHypothesis::Untracked,
        CtSlot::None => {}
    }
    let path = Path { packet: start, finally, steps: walk.steps, end, assumptions: walk.assumptions, ct };
    (path, walk.keys)
}

impl<'a> Walk<'a, '_> {
    pub(crate) fn step(&mut self, stage: Stage, text: String, locus: Option<Locus>, action: Action) {
        self.step_passed(stage, text, locus, action, Vec::new());
    }
    pub(crate) fn step_passed(
        &mut self,
        stage: Stage,
        text: String,
        locus: Option<Locus>,
        action: Action,
        passed: Vec<String>,
    ) {
        self.steps.push(Step { stage, text, locus, action, passed });
    }
    pub(crate) fn assume(&mut self, what: String) {
        if !self.assumptions.contains(&what) {
            self.assumptions.push(what);
        }
    }
    /// Asks the explorer for one of several answers.
    pub(crate) fn choose(
        &mut self,
        options: usize,
        why: String,
        locus: Option<Locus>,
        stage: Stage,
    ) -> usize {
        self.oracle.choose(options, why, locus, stage, self.steps.len())
    }
    /// Ends the walk because the facts do not suffice.
    pub(crate) fn give_up(&mut self, hook: &Hook, why: &str, locus: Option<Locus>) -> End {
        self.step(
            hook.stage,
            format!("insufficient information: {why}"),
            locus.clone(),
            Action::Unknown { what: why.to_string() },
        );
        End::Insufficient { what: why.to_string(), locus }
    }

    /// A packet made here.
    fn local(&mut self, skb: &mut Skb, start: &mut Packet) -> Result<End, End> {
        self.cgroup_bpf(skb);
        let routed = self.route_first(skb)?;
        start.src = skb.p.src;
        self.run_hook(skb, &Hook::new(hooks::OUTPUT, None, Some(routed.oif)))?;
        let dst = self.route.take().unwrap_or(routed);
        self.xfrm(skb, "out")?;
        self.run_hook(skb, &Hook::new(hooks::POSTROUTING, None, Some(dst.oif)))?;
        match dst.kind {
            DstKind::Local => self.loopback(skb, dst.oif, dst.held_by),
            DstKind::Unicast | DstKind::Many => {
                self.check_mtu(skb, dst.oif, false)?;
                Ok(self.send(skb, dst.oif, dst.gateway))
            }
        }
    }

    /// Routes what a connecting socket sends. An IPv4 socket without a source takes the one of the route found
    /// and looks again with it: rules by source then lead elsewhere without another source being chosen. An
    /// IPv6 socket does so only when nothing was found at first.
    fn route_first(&mut self, skb: &mut Skb) -> Result<Dst, End> {
        if !skb.p.src.is_unspecified() {
            return self.route_output(skb, "");
        }
        let steps = self.steps.len();
        let first = self.route_output(skb, "");
        match first {
            Ok(first) if skb.v6() || skb.p.src.is_unspecified() || !self.source_rules() => Ok(first),
            Ok(first) => {
                let second = self.route_output(skb, "with its source: ")?;
                if first == second {
                    self.steps.truncate(steps + 1);
                }
                Ok(second)
            }
            Err(End::Unroutable { .. }) if skb.v6() && self.source_rules() => {
                let Some(src) = crate::routing::select_addr6(self, 0, &skb.p.dst) else { return first };
                skb.p.src = src;
                self.steps.truncate(steps);
                self.route_output(skb, "with a source of any device: ")
            }
            Err(end) => Err(end),
        }
    }

    /// Whether any policy rule looks at the source.
    fn source_rules(&self) -> bool {
        self.w.rules.is_none_or(|r| r.0.iter().any(|r| r.from.is_some_and(|n| n.len > 0)))
    }

    /// ip_route_me_harder: an output hook changed what routing looks at.
    pub(crate) fn route_again(&mut self, skb: &mut Skb) -> Result<(), End> {
        self.route = Some(self.route_output(skb, "routed again: ")?);
        Ok(())
    }

    fn cgroup_bpf(&mut self, skb: &Skb) {
        let programs = self.w.bpf.map(|b| b.0.as_slice()).unwrap_or_default();
        let digit = if skb.v6() { '6' } else { '4' };
        for program in programs.iter().filter(|p| p.cgroup.is_some()) {
            let concerns = match program.hook.as_str() {
                "cgroup-egress" => true,
                "cgroup-connect4" | "cgroup-connect6" => program.hook.ends_with(digit),
                "cgroup-sendmsg4" | "cgroup-sendmsg6" => skb.p.proto == 17 && program.hook.ends_with(digit),
                _ => false,
            };
            if concerns {
                let cgroup = program.cgroup.clone().unwrap_or_default();
                self.bpf_seen(
                    program,
                    Stage::CgroupBpf,
                    &format!("{} of cgroup {cgroup}", program.hook),
                    None,
                );
            }
        }
    }

    /// Through the loopback device back into the host; route and tracking entry stay attached.
    fn loopback(&mut self, skb: &mut Skb, lo: u32, held_by: u32) -> Result<End, End> {
        skb.has_mac = true;
        skb.p.mac_src = Some(vec![0; 6]);
        skb.p.mac_dst = Some(vec![0; 6]);
        self.egress(skb, lo)?;
        skb.has_sk = false;
        skb.p.iif = Some(lo);
        skb.p.oif = Some(lo);
        self.ingress(skb, lo)?;
        let target = skb.p.dst;
        self.run_hook(skb, &Hook::new(hooks::PREROUTING, Some(lo), None))?;
        if skb.p.dst != target {
            let dst = self.route_input(skb, lo)?;
            if dst.kind != DstKind::Local {
                return self.forward(skb, lo, dst);
            }
        }
        self.input(skb, lo, held_by)
    }

    /// A packet that arrives on a device.
    pub(crate) fn arriving(&mut self, skb: &mut Skb, index: u32) -> Result<End, End> {
        self.ingress(skb, index)?;
        let mut iif = index;
        if let Some(vid) = skb.p.vlan {
            let links = self.w.links.map(|l| l.0.as_slice()).unwrap_or_default();
            if let Some(vlan) =
                links.iter().find(|l| l.lower == Some(iif) && l.vlan.is_some_and(|v| v.id == vid))
            {
                self.step(Stage::Link, format!("VLAN {vid} is {}", vlan.name), None, Action::Pass);
                iif = vlan.index;
                skb.p.vlan = None;
                self.ingress(skb, iif)?;
            }
        }
        if let Some(port) = self.w.link(iif)
            && let Some(master) = port.master.and_then(|m| self.w.link(m))
        {
            match master.kind.as_deref() {
                Some("bridge") => {
                    if let Some(up) = self.bridge_input(skb, port, master)? {
                        iif = up;
                        self.ingress(skb, iif)?;
                    }
                }
                Some("bond" | "team") => {
                    iif = master.index;
                    self.step(
                        Stage::Link,
                        format!("{} belongs to {}", port.name, master.name),
                        None,
                        Action::Pass,
                    );
                    self.ingress(skb, iif)?;
                }
                Some("vrf") => {
                    self.assume(format!(
                        "rules see {} once as {} and once as itself",
                        port.name, master.name
                    ));
                }
                _ => {}
            }
        }
        skb.p.iif = Some(iif);
        self.run_hook(skb, &Hook::new(hooks::PREROUTING, Some(iif), None))?;
        let dst = self.route_input(skb, iif)?;
        if dst.kind == DstKind::Local {
            return self.input(skb, iif, iif);
        }
        self.forward(skb, iif, dst)
    }

    /// To a socket of this host.
    fn input(&mut self, skb: &mut Skb, iif: u32, held_by: u32) -> Result<End, End> {
        self.run_hook(skb, &Hook::new(hooks::INPUT, Some(iif), None))?;
        self.xfrm(skb, "in")?;
        Ok(self.deliver(skb, held_by))
    }

    /// On to another host.
    fn forward(&mut self, skb: &mut Skb, iif: u32, dst: Dst) -> Result<End, End> {
        self.xfrm(skb, "fwd")?;
        if skb.p.ttl <= 1 {
            let with = if skb.v6() { "icmpv6 time-exceeded" } else { "icmp time-exceeded" };
            let locus =
                Locus::Host { detail: format!("a packet of time to live {} is not forwarded", skb.p.ttl) };
            self.step(
                Stage::Forward,
                "time to live exceeded".into(),
                Some(locus.clone()),
                Action::Reject { with: with.into() },
            );
            return Err(End::Rejected { locus, with: with.into() });
        }
        if let (IpAddr::V6(src), false) = (skb.p.src, skb.src_unknown)
            && (src.segments()[0] & 0xffc0) == 0xfe80
        {
            let locus = Locus::Host { detail: "a link-local source is not forwarded".into() };
            return Err(End::Rejected { locus, with: "icmpv6 not-neighbour".into() });
        }
        self.check_mtu(skb, dst.oif, true)?;
        skb.p.ttl = skb.p.ttl.saturating_sub(1);
        self.run_hook(skb, &Hook::new(hooks::FORWARD, Some(iif), Some(dst.oif)))?;
        self.run_hook(skb, &Hook::new(hooks::POSTROUTING, Some(iif), Some(dst.oif)))?;
        Ok(self.send(skb, dst.oif, dst.gateway))
    }
}
