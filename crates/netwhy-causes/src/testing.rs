//! Synthetic flows for the tests of causes: facts, predicted paths and observations put together by hand.
//!
//! ```ignore
//! let verdict = Scene::client("203.0.113.2", 80)
//!     .timeout(3000)
//!     .forward(Stage::Output, End::Dropped { locus: nft_rule("output", 4) })
//!     .capture(|c| c.requests_out(0))
//!     .judge(&CAUSE);
//! ```

// Each cause's tests use the part they need.
#![allow(dead_code)]

mod neighbour;
mod service;

use std::net::IpAddr;

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::attempt::{Attempt, Attempts, IcmpError, Outcome, Phase};
use netwhy_facts::capture::{CapturedPacket, FlowCapture};
use netwhy_facts::event::{EventPacket, EventWay, KernelEvent, KernelEvents};
use netwhy_facts::link::{Link, Links, OperState};
use netwhy_facts::mib::Mib;
use netwhy_facts::question::{App, Scenario, Target};
use netwhy_facts::store::Fact;
use netwhy_facts::{Facts, Flow, Locus, Proto, Question, Reading, Role};
use netwhy_walk::{Action, End, Packet, Path, Stage, Step};

use crate::case::{Case, Seen};
use crate::cause::{Cause, Finding, Verdict};

pub(crate) use neighbour::*;
pub(crate) use service::*;

/// The client's address in every scene of IPv4.
pub(crate) const CLIENT4: &str = "198.51.100.7";
/// The client's address in every scene of IPv6.
pub(crate) const CLIENT6: &str = "2001:db8:1::7";

/// One flow with everything a judge may look at.
pub(crate) struct Scene {
    pub(crate) facts: Facts,
    pub(crate) question: Question,
    pub(crate) flow: Flow,
    pub(crate) forward: Path,
    pub(crate) reply: Path,
    pub(crate) beyond: Vec<Path>,
    pub(crate) mib: (std::collections::BTreeMap<String, i64>, std::collections::BTreeMap<String, i64>),
    pub(crate) packets: Option<Vec<CapturedPacket>>,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A path that takes one step per stage, the last one with the end's action.
pub(crate) fn path(packet: Packet, stages: &[Stage], end: End) -> Path {
    let locus = match &end {
        End::Stolen { locus, .. } | End::Insufficient { locus, .. } => locus.clone(),
        End::Delivered { locus }
        | End::Dropped { locus }
        | End::Rejected { locus, .. }
        | End::NoSocket { locus }
        | End::Unroutable { locus, .. }
        | End::Unresolved { locus } => Some(locus.clone()),
        End::Sent { .. } => None,
    };
    let action = match &end {
        End::Delivered { .. } => Action::Deliver,
        End::Sent { .. } => Action::Send,
        End::Rejected { with, .. } => Action::Reject { with: with.clone() },
        End::Stolen { to, .. } => Action::Stolen { to: to.clone() },
        End::Insufficient { what, .. } => Action::Unknown { what: what.clone() },
        _ => Action::Drop,
    };
    let last = stages.len().saturating_sub(1);
    let steps = stages
        .iter()
        .enumerate()
        .map(|(i, stage)| Step {
            stage: *stage,
            text: format!("step at {stage:?}"),
            locus: if i == last { locus.clone() } else { None },
            action: if i == last { action.clone() } else { Action::Pass },
            passed: Vec::new(),
        })
        .collect();
    Path { finally: packet.clone(), packet, steps, end, assumptions: Vec::new(), ct: None }
}

/// An nft rule of `inet filter`.
pub(crate) fn nft_rule(chain: &str, handle: u64) -> Locus {
    Locus::NftRule {
        family: "inet".into(),
        table: "filter".into(),
        chain: chain.into(),
        handle,
        text: "drop".into(),
    }
}

/// The drop policy of a chain of `inet filter`.
pub(crate) fn nft_policy(chain: &str) -> Locus {
    Locus::NftChain {
        family: "inet".into(),
        table: "filter".into(),
        chain: chain.into(),
        hook: chain.into(),
        policy: "drop".into(),
    }
}

/// A rule of legacy iptables' filter table.
pub(crate) fn ipt_rule(chain: &str, number: u32) -> Locus {
    Locus::IptRule {
        command: "iptables".into(),
        table: "filter".into(),
        chain: chain.into(),
        number,
        text: "-j DROP".into(),
    }
}

/// An Ethernet device that is up.
pub(crate) fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        hw_type: 1,
        mtu: 1500,
        flags: 0x1_0043,
        operstate: OperState::Up,
        carrier: Some(true),
        ..Link::default()
    }
}

/// A plain route of the main table.
pub(crate) fn scene_route(dst: &str, len: u8, oif: u32, gateway: &str) -> netwhy_facts::route::Route {
    netwhy_facts::route::Route {
        family: netwhy_facts::Family::Inet,
        dst: netwhy_facts::IpNet::new(ip(dst), len),
        src: None,
        table: 254,
        kind: netwhy_facts::route::RouteType::Unicast,
        scope: 0,
        protocol: 3,
        priority: 0,
        tos: 0,
        prefsrc: None,
        hops: vec![netwhy_facts::route::Hop {
            oif: Some(oif),
            gateway: Some(ip(gateway)),
            weight: 1,
            flags: 0,
        }],
        nhid: None,
        mtu: None,
        advmss: None,
        flags: 0,
        encap: None,
        pref: None,
        expires_s: None,
    }
}

/// A global address on a device.
pub(crate) fn address(ifindex: u32, addr: &str, prefix: u8) -> Address {
    Address {
        ifindex,
        addr: ip(addr),
        prefix,
        peer: None,
        broadcast: None,
        scope: 0,
        flags: 0x80,
        preferred_s: u32::MAX,
        valid_s: u32::MAX,
        label: None,
    }
}

impl Scene {
    fn new(role: Role, proto: Proto, dst: &str, dport: u16) -> Self {
        let dst = ip(dst);
        let client = ip(if dst.is_ipv4() { CLIENT4 } else { CLIENT6 });
        let flow =
            Flow { proto, src: Some(client), sport: Some(40000), dst, dport, mark: 0, uid: None, dev: None };
        let packet = Packet::first_of(&flow, client, 40000);
        let sent = End::Sent { dev: "eth0".into(), next_hop: None };
        let delivered = End::Delivered {
            locus: Locus::Socket {
                proto,
                local: flow.target(),
                remote: None,
                inode: 1,
                pid: Some(1),
                process: Some("service".into()),
            },
        };
        let (forward, reply) = match role {
            Role::Client => (
                path(packet.clone(), &[Stage::Routing, Stage::Output, Stage::Neighbour], sent),
                path(packet.reply_to(), &[Stage::Prerouting, Stage::Input, Stage::SocketLookup], delivered),
            ),
            Role::Inbound => (
                path(packet.clone(), &[Stage::Prerouting, Stage::Input, Stage::SocketLookup], delivered),
                path(packet.reply_to(), &[Stage::Routing, Stage::Output, Stage::Neighbour], sent),
            ),
            Role::Transit => (
                path(packet.clone(), &[Stage::Prerouting, Stage::Forward, Stage::Neighbour], sent.clone()),
                path(packet.reply_to(), &[Stage::Prerouting, Stage::Forward, Stage::Neighbour], sent),
            ),
        };
        let question = Question {
            scenario: Scenario::Connect,
            target_text: flow.target(),
            target: Target {
                host: dst.to_string(),
                literal: Some(dst),
                zone: None,
                port: dport,
                proto,
                app: App::None,
                path: "/".into(),
            },
            role,
            from: if role == Role::Client { None } else { Some(client) },
            family: None,
            flows: vec![flow.clone()],
            budget_ms: 5000,
            asked_with: Vec::new(),
        };
        let mut scene = Self {
            facts: Facts::new(),
            question,
            flow,
            forward,
            reply,
            beyond: Vec::new(),
            mib: Default::default(),
            packets: None,
        };
        let own = if role == Role::Client { client } else { dst };
        let addresses = match role {
            Role::Transit => vec![],
            _ => vec![address(2, &own.to_string(), if own.is_ipv4() { 24 } else { 64 })],
        };
        scene.put(Addresses(addresses));
        scene.put(Links(vec![link(2, "eth0"), link(3, "eth1")]));
        scene
    }

    /// This host connects to `dst`.
    pub(crate) fn client(dst: &str, port: u16) -> Self {
        Self::new(Role::Client, Proto::Tcp, dst, port)
    }
    /// As `client`, over UDP.
    pub(crate) fn client_udp(dst: &str, port: u16) -> Self {
        Self::new(Role::Client, Proto::Udp, dst, port)
    }
    /// As `client`, by echo.
    pub(crate) fn client_icmp(dst: &str) -> Self {
        Self::new(Role::Client, Proto::Icmp, dst, 0)
    }
    /// This host has the address `dst` and serves the port.
    pub(crate) fn inbound(dst: &str, port: u16) -> Self {
        Self::new(Role::Inbound, Proto::Tcp, dst, port)
    }
    /// This host lies between.
    pub(crate) fn transit(dst: &str, port: u16) -> Self {
        Self::new(Role::Transit, Proto::Tcp, dst, port)
    }

    /// Puts a fact.
    pub(crate) fn put<T: Fact>(&mut self, fact: T) {
        self.facts.put(Reading::known(fact, "test", 1));
    }
    /// With a fact.
    pub(crate) fn with<T: Fact>(mut self, fact: T) -> Self {
        self.put(fact);
        self
    }
    /// With a second reading of a fact.
    pub(crate) fn after<T: Fact>(mut self, fact: T) -> Self {
        self.facts.put_after(Reading::known(fact, "test", 2));
        self
    }
    /// With a fact that was refused.
    pub(crate) fn denied<T: Fact>(mut self, needs: &str) -> Self {
        self.facts.put(Reading::<T>::denied(needs));
        self
    }
    /// A counter rose by `n` in the window.
    pub(crate) fn rose(mut self, counter: &str, n: i64) -> Self {
        self.mib.0.insert(counter.into(), 1000);
        self.mib.1.insert(counter.into(), 1000 + n);
        self
    }

    pub(crate) fn attempted(
        mut self,
        elapsed_ms: u64,
        phase: Phase,
        outcome: Outcome,
        icmp: Vec<IcmpError>,
    ) -> Self {
        let f = &self.flow;
        let attempt = Attempt {
            proto: f.proto,
            dst: f.dst,
            dport: f.dport,
            local: None,
            variant: None,
            started: 0,
            elapsed_us: elapsed_ms * 1000,
            phase,
            outcome,
            icmp,
            cookie: None,
            tcp: None,
        };
        self.put(Attempts(vec![attempt]));
        self
    }
    /// The attempt got no answer.
    pub(crate) fn timeout(self, elapsed_ms: u64) -> Self {
        self.attempted(elapsed_ms, Phase::Connect, Outcome::Timeout, vec![])
    }
    /// The attempt failed with an errno.
    pub(crate) fn errno(self, name: &str, elapsed_ms: u64) -> Self {
        let outcome = Outcome::Error { call: "connect".into(), errno: 1, name: name.into() };
        self.attempted(elapsed_ms, Phase::Connect, outcome, vec![])
    }
    /// The attempt failed with an errno after an ICMP error.
    pub(crate) fn icmp_error(self, name: &str, from: &str, icmp_type: u8, code: u8) -> Self {
        let from = ip(from);
        let icmp = IcmpError {
            from: Some(from),
            v6: from.is_ipv6(),
            icmp_type,
            code,
            mtu: None,
            after_us: 500,
            local: false,
        };
        let outcome = Outcome::Error { call: "connect".into(), errno: 1, name: name.into() };
        self.attempted(1, Phase::Connect, outcome, vec![icmp])
    }

    /// An attempt with something varied ended so.
    pub(crate) fn varied(mut self, variant: &str, outcome: Outcome) -> Self {
        let mut all = self.facts.value::<Attempts>().cloned().unwrap_or_default();
        let mut attempt = all.0[0].clone();
        attempt.variant = Some(variant.into());
        attempt.outcome = outcome;
        all.0.push(attempt);
        self.put(all);
        self
    }

    /// The forward path takes these stages and ends so.
    pub(crate) fn forward(mut self, stages: &[Stage], end: End) -> Self {
        self.forward = path(self.forward.packet.clone(), stages, end);
        self
    }
    /// The reply path takes these stages and ends so.
    pub(crate) fn reply(mut self, stages: &[Stage], end: End) -> Self {
        self.reply = path(self.reply.packet.clone(), stages, end);
        self
    }
    /// Behind the first obstacle the forward path ends so.
    pub(crate) fn then_forward(mut self, stages: &[Stage], end: End) -> Self {
        self.beyond.push(path(self.forward.packet.clone(), stages, end));
        self
    }
    /// Behind the first obstacle the reply path ends so.
    pub(crate) fn then_reply(mut self, stages: &[Stage], end: End) -> Self {
        self.beyond.push(path(self.reply.packet.clone(), stages, end));
        self
    }

    /// There was a capture; with no more calls it saw nothing.
    pub(crate) fn captured(mut self) -> Self {
        self.packets.get_or_insert_default();
        self
    }
    pub(crate) fn packet(mut self, toward: bool, out: bool, tcp_flags: u8) -> Self {
        let f = &self.flow;
        let client = f.src.unwrap();
        let (src, sport, dst, dport) =
            if toward { (client, 40000, f.dst, f.dport) } else { (f.dst, f.dport, client, 40000) };
        let packet = CapturedPacket {
            at: 1,
            ifindex: 2,
            out,
            pkttype: if out { 4 } else { 0 },
            src,
            dst,
            proto: f.proto_number().into(),
            sport,
            dport,
            tcp_flags,
            seq: 1,
            ack: 0,
            window: 64240,
            ttl: 64,
            len: 60,
            icmp: None,
            arp: None,
            mac_src: None,
            mac_dst: None,
            vlan: None,
        };
        self.packets.get_or_insert_default().push(packet);
        self
    }
    /// A request arrived here.
    pub(crate) fn request_in(self) -> Self {
        self.packet(true, false, 0x02)
    }
    /// A request left here.
    pub(crate) fn request_out(self) -> Self {
        self.packet(true, true, 0x02)
    }
    /// An answer (SYN-ACK) arrived here.
    pub(crate) fn answer_in(self) -> Self {
        self.packet(false, false, 0x12)
    }
    /// An answer left here.
    pub(crate) fn answer_out(self) -> Self {
        self.packet(false, true, 0x12)
    }
    /// The client's ACK arrived here.
    pub(crate) fn ack_in(self) -> Self {
        self.packet(true, false, 0x10)
    }
    /// A reset left here in the target's name.
    pub(crate) fn reset_out(self) -> Self {
        self.packet(false, true, 0x14)
    }
    /// A reset arrived here from the target.
    pub(crate) fn reset_in(self) -> Self {
        self.packet(false, false, 0x14)
    }
    /// An ARP request left here, or an ARP reply arrived.
    pub(crate) fn solicitation(mut self, out: bool) -> Self {
        self = self.packet(true, out, 0);
        if let Some(p) = self.packets.as_mut().and_then(|p| p.last_mut()) {
            p.proto = 0x0806;
            p.arp = Some((if out { 1 } else { 2 }, "02:00:00:00:00:01".into()));
        }
        self
    }
    /// An ICMP error about the flow arrived or left.
    pub(crate) fn icmp(mut self, out: bool, from: &str, icmp_type: u8, code: u8) -> Self {
        self = self.packet(false, out, 0);
        let client = self.flow.src.unwrap();
        if let Some(p) = self.packets.as_mut().and_then(|p| p.last_mut()) {
            p.src = ip(from);
            p.dst = client;
            p.proto = if p.src.is_ipv4() { 1 } else { 58 };
            p.icmp = Some((icmp_type, code, 0));
        }
        self
    }

    /// Drops were watched for; packets of the flow were freed like this, once each.
    pub(crate) fn freed(mut self, drops: &[(EventWay, &str, &str)]) -> Self {
        let (client, target) = (self.flow.src.unwrap(), self.flow.dst);
        let events = drops
            .iter()
            .map(|(way, reason, location)| {
                let back = *way == EventWay::Reply;
                let (src, dst) = if back { (target, client) } else { (client, target) };
                let (sport, dport) = if back { (self.flow.dport, 40000) } else { (40000, self.flow.dport) };
                let proto = u16::from(self.flow.proto_number());
                let packet =
                    EventPacket { proto, src, dst, sport, dport, flags: 2, quoted: false, icmp: None };
                KernelEvent::Drop {
                    at: 1,
                    reason: (*reason).into(),
                    location: (*location).into(),
                    dev: Some(2),
                    way: *way,
                    packet: Some(packet),
                }
            })
            .collect();
        self.put(KernelEvents { events, watched: vec!["drop".into()], ..KernelEvents::default() });
        self
    }

    /// Judges, and holds what was read against the cause's `needs`.
    pub(crate) fn judge(self, cause: &Cause) -> Verdict {
        self.judge_with(cause, true)
    }
    /// As `judge`, for a cause that walks the packet again and so reads what the walker reads.
    pub(crate) fn judge_unchecked(self, cause: &Cause) -> Verdict {
        self.judge_with(cause, false)
    }

    fn judge_with(mut self, cause: &Cause, check_needs: bool) -> Verdict {
        if !self.mib.0.is_empty() {
            self.facts.put(Reading::known(Mib(self.mib.0.clone()), "/proc/net/snmp", 1));
            self.facts.put_after(Reading::known(Mib(self.mib.1.clone()), "/proc/net/snmp", 2_000_001));
        }
        if let Some(packets) = self.packets.take() {
            self.put(FlowCapture { packets, dropped: 0, beyond_bound: 0, of_others: 0 });
        }
        assert!(cause.roles.contains(&self.question.role), "{} is not judged in this role", cause.id);
        let seen = Seen::of(&self.facts, &self.flow, &self.forward, self.question.role, self.question.from);
        self.facts.forget_kinds_read();
        let case = Case {
            facts: &self.facts,
            question: &self.question,
            flow: &self.flow,
            forward: &self.forward,
            reply: &self.reply,
            beyond: &self.beyond,
            seen,
        };
        let verdict = (cause.judge)(&case);
        for kind in self.facts.kinds_read().into_iter().filter(|_| check_needs) {
            assert!(cause.needs.contains(&kind), "{} reads {kind:?} and does not say so", cause.id);
        }
        verdict
    }
}

/// The finding of a proven verdict, or a panic that shows what it was.
pub(crate) fn proven(verdict: Verdict) -> Finding {
    match verdict {
        Verdict::Proven(f) => *f,
        other => panic!("not proven: {other:?}"),
    }
}

/// The finding of a consistent verdict, or a panic that shows what it was.
pub(crate) fn consistent(verdict: Verdict) -> Finding {
    match verdict {
        Verdict::Consistent(f) => *f,
        other => panic!("not consistent: {other:?}"),
    }
}

/// Panics unless the verdict is silence.
pub(crate) fn silent(verdict: Verdict) {
    assert_eq!(verdict, Verdict::Silent);
}

/// The reason of a ruled-out verdict, or a panic that shows what it was.
pub(crate) fn ruled_out(verdict: Verdict) -> String {
    match verdict {
        Verdict::RuledOut { because, .. } => because,
        other => panic!("not ruled out: {other:?}"),
    }
}

/// Panics unless the verdict is that a fact is missing.
pub(crate) fn unknown(verdict: Verdict) {
    assert!(matches!(verdict, Verdict::Unknown { .. }), "not unknown: {verdict:?}");
}
