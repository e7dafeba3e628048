//! `Case`: one flow of the question with its facts, predicted paths and what was seen of it.
//! Everything a judge may look at, and the helpers judges share.

use netwhy_facts::attempt::{Attempt, Attempts, IcmpError, Outcome, Phase};
use netwhy_facts::capture::{CapturedPacket, FlowCapture};
use netwhy_facts::flow::Proto;
use netwhy_facts::mib::Mib;
use netwhy_facts::nft::Nft;
use netwhy_facts::{Facts, Flow, Locus, Question, Reading, Role};
use netwhy_walk::{End, Path};

use crate::evidence::Evidence;

/// One flow under judgement.
pub struct Case<'a> {
    /// Everything observed.
    pub facts: &'a Facts,
    /// The question.
    pub question: &'a Question,
    /// The flow (for question-scoped causes: the first one).
    pub flow: &'a Flow,
    /// Predicted path of the first packet.
    pub forward: &'a Path,
    /// Predicted path of its answer.
    pub reply: &'a Path,
    /// Forward and reply paths again with the blockers found so far taken away: what would stop it next.
    pub beyond: &'a [Path],
    /// What the capture saw of the flow.
    pub seen: Seen,
}

/// Packets of the flow the capture saw, seen from this host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Whether there was a capture; without one the counts below say nothing.
    pub known: bool,
    /// Packets toward the target that arrived here.
    pub requests_in: u32,
    /// Packets toward the target that left here.
    pub requests_out: u32,
    /// Connection requests among them (SYN) that arrived.
    pub syn_in: u32,
    /// Connection requests that left.
    pub syn_out: u32,
    /// Later packets of the handshake (ACK without SYN) from the client that arrived or left.
    pub acks: u32,
    /// Packets from the target (not RST) that arrived here.
    pub answers_in: u32,
    /// Packets from the target (not RST) that left here.
    pub answers_out: u32,
    /// SYN-ACKs that arrived.
    pub syn_acks_in: u32,
    /// SYN-ACKs that left.
    pub syn_acks_out: u32,
    /// Resets from the target that arrived.
    pub resets_in: u32,
    /// Resets toward the client that left.
    pub resets_out: u32,
    /// ICMP errors about the flow that arrived.
    pub icmp_in: Vec<CapturedPacket>,
    /// ICMP errors about the flow that left.
    pub icmp_out: Vec<CapturedPacket>,
    /// ARP requests or neighbour solicitations sent.
    pub solicits_out: u32,
    /// ARP replies or neighbour advertisements received.
    pub solicit_answers_in: u32,
    /// Packets the capture lost.
    pub lost: u64,
}

/// Whether the flow works, as far as was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does.
    Works,
    /// It does not.
    Fails,
    /// No attempt was seen, or silence means nothing for this transport.
    Unknown,
}

impl Seen {
    /// Counts the capture's packets for a flow, translated ends included.
    pub fn of(
        facts: &Facts,
        flow: &Flow,
        forward: &Path,
        role: Role,
        from: Option<std::net::IpAddr>,
    ) -> Self {
        let Some(capture) = facts.latest::<FlowCapture>().value() else { return Self::default() };
        let mut seen = Self { known: true, lost: capture.dropped, ..Self::default() };
        let ends = [(flow.dst, flow.dport), (forward.finally.dst, forward.finally.dport)];
        let portless = flow.proto == Proto::Icmp;
        let client = if role == Role::Client { None } else { from };
        for p in &capture.packets {
            if p.arp.is_some() {
                let asks = matches!(p.arp, Some((1 | 135, _)));
                seen.solicits_out += u32::from(p.out && asks);
                seen.solicit_answers_in += u32::from(!p.out && !asks);
                continue;
            }
            if p.icmp.is_some() {
                if p.out {
                    seen.icmp_out.push(p.clone())
                } else {
                    seen.icmp_in.push(p.clone())
                }
                continue;
            }
            let is = |addr, port| ends.iter().any(|(a, po)| *a == addr && (portless || *po == port));
            if is(p.dst, p.dport) && client.is_none_or(|c| p.src == c || role == Role::Transit) {
                let (all, syn) = match p.out {
                    true => (&mut seen.requests_out, &mut seen.syn_out),
                    false => (&mut seen.requests_in, &mut seen.syn_in),
                };
                *all += 1;
                *syn += u32::from(p.is_syn());
                seen.acks += u32::from(p.proto == 6 && p.tcp_flags & 0x16 == 0x10);
            } else if is(p.src, p.sport) && client.is_none_or(|c| p.dst == c || role == Role::Transit) {
                let counts = match p.out {
                    true => (&mut seen.resets_out, &mut seen.answers_out, &mut seen.syn_acks_out),
                    false => (&mut seen.resets_in, &mut seen.answers_in, &mut seen.syn_acks_in),
                };
                if p.is_rst() {
                    *counts.0 += 1;
                } else {
                    *counts.1 += 1;
                    *counts.2 += u32::from(p.is_syn_ack());
                }
            }
        }
        seen
    }
}

impl<'a> Case<'a> {
    /// The plain attempt to this flow, for a client.
    pub fn attempt(&self) -> Option<&'a Attempt> {
        self.facts.latest::<Attempts>().value()?.of(self.flow)
    }

    /// Whether the flow works.
    pub fn fate(&self) -> Fate {
        let s = &self.seen;
        match self.question.role {
            Role::Client => match self.attempt() {
                None => Fate::Unknown,
                Some(a) => match (&a.outcome, a.phase) {
                    (Outcome::Ok, _) => Fate::Works,
                    (Outcome::Timeout, Phase::Connect) if self.flow.proto == Proto::Udp => Fate::Unknown,
                    _ => Fate::Fails,
                },
            },
            Role::Inbound | Role::Transit if !s.known || s.requests_in == 0 => Fate::Unknown,
            Role::Inbound => match self.flow.proto {
                Proto::Tcp if s.acks > 0 && s.resets_out == 0 => Fate::Works,
                Proto::Udp | Proto::Icmp if s.answers_out > 0 => Fate::Works,
                Proto::Udp if s.icmp_out.is_empty() && s.resets_out == 0 => Fate::Unknown,
                _ => Fate::Fails,
            },
            Role::Transit => match self.flow.proto {
                Proto::Tcp if s.acks > 0 => Fate::Works,
                Proto::Udp | Proto::Icmp if s.answers_out > 0 => Fate::Works,
                Proto::Udp if s.requests_out > 0 && s.icmp_in.is_empty() => Fate::Unknown,
                _ => Fate::Fails,
            },
        }
    }

    /// Symbolic errno of the attempt (`ECONNREFUSED`), when a call failed.
    pub fn errno(&self) -> Option<&'a str> {
        match &self.attempt()?.outcome {
            Outcome::Error { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether the attempt ran into its deadline without any answer, or the kernel's own ETIMEDOUT.
    pub fn timed_out(&self) -> bool {
        match self.attempt().map(|a| &a.outcome) {
            Some(Outcome::Timeout) => true,
            Some(Outcome::Error { name, .. }) => name == "ETIMEDOUT",
            _ => false,
        }
    }

    /// Milliseconds until the attempt ended.
    pub fn elapsed_ms(&self) -> Option<u64> {
        self.attempt().map(|a| a.elapsed_us / 1000)
    }

    /// ICMP errors of the attempt that came from another host.
    pub fn icmp_remote(&self) -> Vec<&'a IcmpError> {
        let own = self.own_addresses();
        self.attempt()
            .map(|a| {
                a.icmp.iter().filter(|e| !e.local && e.from.is_some_and(|f| !own.contains(&f))).collect()
            })
            .unwrap_or_default()
    }

    /// Addresses of this host.
    pub fn own_addresses(&self) -> Vec<std::net::IpAddr> {
        self.facts
            .value::<netwhy_facts::address::Addresses>()
            .map(|a| a.0.iter().map(|a| a.addr).collect())
            .unwrap_or_default()
    }

    /// Whether the target is an address of this host (loopback included).
    pub fn target_is_local(&self) -> bool {
        self.flow.dst.is_loopback() || self.own_addresses().contains(&self.flow.dst)
    }

    /// Growth of a MIB counter in the window; `None` when it could not be read twice.
    pub fn grew(&self, counter: &str) -> Option<i64> {
        Mib::grew(self.facts, counter)
    }

    /// Length of the counter window in microseconds.
    pub fn window_us(&self) -> Option<u64> {
        match (self.facts.get::<Mib>(), self.facts.after::<Mib>()) {
            (Reading::Known { at: a, .. }, Reading::Known { at: b, .. }) => Some(b.saturating_sub(*a) / 1000),
            _ => None,
        }
    }

    /// Name of a device by index, `#N` when unknown.
    pub fn dev_name(&self, index: u32) -> String {
        self.facts
            .value::<netwhy_facts::link::Links>()
            .and_then(|l| l.by_index(index))
            .map(|l| l.name.clone())
            .unwrap_or_else(|| format!("#{index}"))
    }

    /// Evidence: how the attempt ended.
    pub fn ev_attempt(&self) -> Option<Evidence> {
        let a = self.attempt()?;
        let ms = a.elapsed_us as f64 / 1000.0;
        let (text, value) = match &a.outcome {
            Outcome::Ok => (format!("{} answered after {ms:.1} ms", self.flow.target()), "ok".to_string()),
            Outcome::Error { call, name, .. } if call == "bind" => (
                format!(
                    "bind() to {} failed with {name} after {ms:.1} ms",
                    self.flow.src.map_or("the source address".into(), |s| s.to_string())
                ),
                name.clone(),
            ),
            Outcome::Error { call, name, .. } => (
                format!("{call}() to {} failed with {name} after {ms:.1} ms", self.flow.target()),
                name.clone(),
            ),
            Outcome::Timeout => {
                (format!("no answer from {} within {ms:.0} ms", self.flow.target()), "timeout".to_string())
            }
            Outcome::ClosedEarly { reset, after_us, .. } => (
                format!(
                    "{} accepted and {} after {:.1} ms",
                    self.flow.target(),
                    if *reset { "reset the connection" } else { "closed" },
                    *after_us as f64 / 1000.0
                ),
                if *reset { "reset" } else { "closed" }.to_string(),
            ),
        };
        // As the question is asked: from the address that was named.
        let asked = self.question.asked_with.iter().position(|word| word == "--source");
        let source = asked.and_then(|at| self.question.asked_with.get(at + 1));
        let (nc, ping) = match source {
            Some(source) => (format!(" -s {source}"), format!(" -I {source}")),
            None => (String::new(), String::new()),
        };
        let command = match (a.proto, self.flow.dst) {
            (Proto::Tcp, dst) => format!("nc -vz -w 3{nc} {dst} {}", self.flow.dport),
            (Proto::Udp, dst) => format!("nc -vzu -w 3{nc} {dst} {}", self.flow.dport),
            (Proto::Icmp, dst) => format!("ping -c 1{ping} {dst}"),
        };
        Some(
            Evidence::new("attempt", text, a.proto.name()).value(value).window(a.elapsed_us).command(command),
        )
    }

    /// Evidence: a counter grew (or stayed flat) in the window; absent when it could not be read.
    pub fn ev_counter(&self, name: &str) -> Option<Evidence> {
        let d = self.grew(name)?;
        let words = if d == 0 { "did not move".to_string() } else { format!("rose by {d}") };
        let short = name.rsplit('.').next().unwrap_or(name);
        // nstat names have the group as prefix and no dot: TcpExtListenDrops.
        let nstat = name.replace('.', "");
        Some(
            Evidence::new(format!("counter:{name}"), format!("{short} {words}"), crate::case::mib_file(name))
                .value(d)
                .window(self.window_us().unwrap_or(0))
                .command(format!("nstat -az {nstat}")),
        )
    }

    /// Evidence: the predicted path ends at this step.
    pub fn ev_prediction(&self, path: &Path, direction: &str) -> Evidence {
        let text = path.last().map(|s| s.text.clone()).unwrap_or_default();
        let mut text = format!("the {direction} path ends here: {text}");
        if !path.assumptions.is_empty() {
            text.push_str(&format!(" (taking for granted: {})", path.assumptions.join("; ")));
        }
        let e = Evidence::new(format!("prediction:{direction}"), text, "netwhy walk");
        match path.last().and_then(|s| s.locus.as_ref()) {
            Some(locus) => e.command(crate::fix::show(locus)),
            None => e,
        }
    }

    /// Evidence: what left this host, as the capture saw it.
    pub fn ev_capture(&self) -> Option<Evidence> {
        if !self.seen.known {
            return None;
        }
        let s = &self.seen;
        let packets = |n: u32| counted(n, "packet");
        let (answers, resets) = (|n: u32| counted(n, "answer"), |n: u32| counted(n, "reset"));
        let text = match self.question.role {
            Role::Client => format!(
                "{} of the flow left this host, {} and {} arrived",
                packets(s.requests_out),
                answers(s.answers_in),
                resets(s.resets_in)
            ),
            Role::Inbound => format!(
                "{} of the flow arrived, {} and {} left",
                packets(s.requests_in),
                answers(s.answers_out),
                resets(s.resets_out)
            ),
            Role::Transit => format!(
                "{} of the flow arrived and {} went on; {} arrived and {} went back",
                packets(s.requests_in),
                s.requests_out,
                answers(s.answers_in + s.resets_in),
                s.answers_out + s.resets_out
            ),
        };
        Some(
            Evidence::new("capture", text, "AF_PACKET")
                .value(serde_json::json!({
                    "requests_in": s.requests_in, "requests_out": s.requests_out,
                    "answers_in": s.answers_in, "answers_out": s.answers_out,
                    "resets_in": s.resets_in, "resets_out": s.resets_out,
                }))
                .command(format!("tcpdump -nni any host {} and port {}", self.flow.dst, self.flow.dport)),
        )
    }

    /// Growth of the counter of an nftables or xtables rule in the window; `None` when the rule does not count or was read once.
    pub fn rule_counter(&self, locus: &Locus) -> Option<u64> {
        rule_counter(self.facts, locus)
    }

    /// Evidence: the rule's own counter grew.
    pub fn ev_rule_counter(&self, locus: &Locus) -> Option<Evidence> {
        let n = self.rule_counter(locus)?;
        Some(
            Evidence::new(
                "rule-counter",
                format!("the rule counted {n} packet{} in the window", if n == 1 { "" } else { "s" }),
                "rule counter",
            )
            .value(n)
            .window(self.window_us().unwrap_or(0))
            .command(crate::fix::show(locus)),
        )
    }

    /// The object that stops the forward path by drop or rejection, when it is predicted to stop here.
    pub fn forward_blocker(&self) -> Option<&'a Locus> {
        self.forward.blocker()
    }

    /// Whether the forward path is predicted to be delivered or sent.
    pub fn forward_passes(&self) -> bool {
        matches!(self.forward.end, End::Delivered { .. } | End::Sent { .. })
    }

    /// The command that asks this question again.
    pub fn ask_again(&self) -> String {
        ask_again(self.question)
    }
}

/// The command that asks a question again.
pub fn ask_again(q: &Question) -> String {
    let mut text = format!("netwhy connect {}", crate::fix::target_word(&q.target_text));
    match q.role {
        Role::Client => {}
        Role::Inbound => text.push_str(" --inbound"),
        Role::Transit => text.push_str(" --transit"),
    }
    if let Some(from) = q.from {
        text.push_str(&format!(" --from {from}"));
    }
    for word in &q.asked_with {
        text.push(' ');
        text.push_str(&crate::fix::quote(word));
    }
    text
}

/// A number with its noun: `1 packet`, `2 packets`.
pub fn counted(n: impl Into<u64>, noun: &str) -> String {
    match n.into() {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// Growth of the counter of an nftables or xtables rule in the window; `None` when the rule does not count or was read once.
pub fn rule_counter(facts: &Facts, locus: &Locus) -> Option<u64> {
    match locus {
        Locus::NftRule { family, table, handle, .. } => {
            let find = |nft: &Nft| {
                nft.rules
                    .iter()
                    .find(|r| r.family.name() == family && r.table == *table && r.handle == *handle)
                    .and_then(|r| r.packets())
            };
            let before = find(facts.get::<Nft>().value()?)?;
            let after = find(facts.after::<Nft>().value()?)?;
            Some(after.saturating_sub(before))
        }
        Locus::IptRule { command, table, chain, number, .. } => {
            let find = |x: &netwhy_facts::xtables::Xtables| {
                let t = x.0.iter().find(|t| t.family.command() == command && t.name == *table)?;
                let c = t.chains.value()?.iter().find(|c| c.name == *chain)?;
                c.rules.get((*number as usize).checked_sub(1)?).map(|r| r.counters.0)
            };
            use netwhy_facts::xtables::Xtables;
            let before = find(facts.get::<Xtables>().value()?)?;
            let after = find(facts.after::<Xtables>().value()?)?;
            Some(after.saturating_sub(before))
        }
        Locus::IptChain { command, table, chain, .. } => {
            use netwhy_facts::xtables::Xtables;
            let find = |x: &Xtables| {
                let t = x.0.iter().find(|t| t.family.command() == command && t.name == *table)?;
                t.chains.value()?.iter().find(|c| c.name == *chain).map(|c| c.counters.0)
            };
            let before = find(facts.get::<Xtables>().value()?)?;
            let after = find(facts.after::<Xtables>().value()?)?;
            Some(after.saturating_sub(before))
        }
        _ => None,
    }
}

/// The file a MIB counter is printed in.
pub fn mib_file(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("TcpExt" | "IpExt" | "MPTcpExt") => "/proc/net/netstat",
        Some("Xfrm") => "/proc/net/xfrm_stat",
        Some("Ip" | "Icmp" | "IcmpMsg" | "Tcp" | "Udp" | "UdpLite") => "/proc/net/snmp",
        _ => "/proc/net/snmp6",
    }
}
