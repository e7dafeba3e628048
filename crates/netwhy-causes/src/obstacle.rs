//! `Obstacle`: an object a predicted path stops at, and what was seen of the flow there.
//!
//! Judges of rules, routes and programs share one question: does the prediction agree with what was observed?

use netwhy_facts::bpf::BpfPrograms;
use netwhy_facts::nft::{Data, Expr, Nft, NftRule, NftVerdict};
use netwhy_facts::xtables::{XtRule, XtTarget, XtVerdict, Xtables};
use netwhy_facts::{Absence, Locus, Proto, Role};
use netwhy_walk::{End, Path, Stage};

use crate::case::Case;
use crate::events::{Freed, by_rule};
use crate::evidence::Evidence;

/// Which of the two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Toward the target.
    Forward,
    /// Back from it.
    Reply,
}

/// How a packet concerns this host when it meets an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was made here and wants to leave.
    Out,
    /// It came in and is meant for a socket of this host.
    In,
    /// It came in and is to go on.
    Through,
}

/// Where a predicted path stops (or cannot be followed).
#[derive(Debug, Clone, Copy)]
pub struct Obstacle<'a> {
    /// The path.
    pub path: &'a Path,
    /// Toward the target or back.
    pub direction: Direction,
    /// Made here, meant for here, or passing.
    pub way: Way,
    /// Found behind another obstacle of the same flow: no packet has met it yet.
    pub next: bool,
    /// Stage of the last step.
    pub stage: Stage,
    /// The object; absent when the walker names none.
    pub locus: Option<&'a Locus>,
}

/// What the observations say about an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Packets that met it vanished there.
    Agrees,
    /// Packets got past it.
    Contradicts,
    /// Nothing was seen that speaks for or against.
    Nothing,
}

impl Obstacle<'_> {
    /// Dropped without an answer.
    pub fn is_drop(&self) -> bool {
        matches!(self.path.end, End::Dropped { .. })
    }
    /// The walker could not decide here.
    pub fn is_open(&self) -> bool {
        matches!(self.path.end, End::Insufficient { .. })
    }
    /// The object is a rule or policy of a firewall.
    pub fn is_firewall(&self) -> bool {
        self.locus.is_some_and(is_firewall)
    }
}

/// Whether an object is a rule or a policy of nftables or xtables.
pub fn is_firewall(locus: &Locus) -> bool {
    matches!(
        locus,
        Locus::NftRule { .. } | Locus::NftChain { .. } | Locus::IptRule { .. } | Locus::IptChain { .. }
    )
}

/// A firewall object in words for a sentence; the kind and fields for anything else.
pub fn object_text(locus: &Locus) -> String {
    match locus {
        Locus::NftRule { family, table, chain, handle, text } => {
            format!("nft rule {family} {table} {chain} handle {handle} ({text})")
        }
        Locus::NftChain { family, table, chain, policy, .. } => {
            format!("the {policy} policy of nft chain {family} {table} {chain}")
        }
        Locus::IptRule { command, table, chain, number, text } => {
            format!("{command} rule {number} of {chain} in table {table} ({text})")
        }
        Locus::IptChain { command, table, chain, policy } => {
            format!("the {policy} policy of {command} chain {chain} in table {table}")
        }
        Locus::NftSet { family, table, set, element } => match element {
            Some(e) => format!("element {e} of nft set {family} {table} {set}"),
            None => format!("nft set {family} {table} {set}"),
        },
        Locus::Route { table, .. } => {
            let words = crate::routing::route_words(locus);
            let words = words.strip_suffix(&format!(" table {table}")).unwrap_or(&words);
            match table {
                254 => format!("the route {words}"),
                t => format!("the route {words} of table {}", table_name(*t)),
            }
        }
        Locus::Rule { family, priority, text } => format!("IPv{family} policy rule {priority} ({text})"),
        Locus::Nexthop { id } => format!("nexthop object {id}"),
        Locus::Sysctl { name, value } => format!("{name} = {value}"),
        Locus::Bpf { hook, dev, prog_id, name } => {
            let on = dev.as_deref().map(|d| format!(" on {d}")).unwrap_or_default();
            format!("BPF program {name} (id {prog_id}) at {hook}{on}")
        }
        Locus::Filter { dev, parent, pref, filter, .. } => {
            format!("tc {filter} filter with pref {pref} at {parent} of {dev}")
        }
        other => other.kind(),
    }
}

/// A routing table's usual name, or its number.
pub fn table_name(table: u32) -> String {
    match table {
        253 => "default".into(),
        254 => "main".into(),
        255 => "local".into(),
        n => n.to_string(),
    }
}

impl<'a> Case<'a> {
    /// Where the predicted paths stop: forward, then reply, then what lies behind those.
    pub fn obstacles(&self) -> Vec<Obstacle<'a>> {
        let mut out = Vec::new();
        if let Some(o) = self.obstacle(self.forward, Direction::Forward, false) {
            out.push(o);
        }
        // While the request is stopped here, no answer has come to the obstacle on the way back.
        let next = self.forward.blocker().is_some();
        if let Some(o) = self.obstacle(self.reply, Direction::Reply, next) {
            out.push(o);
        }
        for path in self.beyond {
            let direction = self.direction_of(path);
            if let Some(o) = self.obstacle(path, direction, true)
                && !out.iter().any(|seen| seen.locus.is_some() && seen.locus == o.locus)
            {
                out.push(o);
            }
        }
        out
    }

    /// Obstacles that satisfy a condition; the ones met now before the ones behind them.
    pub fn obstacles_where(&self, wanted: impl Fn(&Obstacle<'a>) -> bool) -> Vec<Obstacle<'a>> {
        self.obstacles().into_iter().filter(wanted).collect()
    }

    fn obstacle(&self, path: &'a Path, direction: Direction, next: bool) -> Option<Obstacle<'a>> {
        let locus = match &path.end {
            End::Delivered { .. } | End::Sent { .. } => return None,
            End::Stolen { locus, .. } | End::Insufficient { locus, .. } => locus.as_ref(),
            _ => path.blocker(),
        };
        let stage = path.last()?.stage;
        Some(Obstacle { path, direction, way: self.way(path, direction), next, stage, locus })
    }

    /// Whether a path leads toward the target or back.
    pub fn direction_of(&self, path: &Path) -> Direction {
        let f = &self.forward.packet;
        if path.packet.dst == f.dst && path.packet.dport == f.dport && path.packet.src == f.src {
            Direction::Forward
        } else {
            Direction::Reply
        }
    }

    fn way(&self, path: &Path, direction: Direction) -> Way {
        let passed = |stages: &[Stage]| path.steps.iter().any(|s| stages.contains(&s.stage));
        if self.question.role == Role::Transit || passed(&[Stage::Forward]) {
            return Way::Through;
        }
        let made_here = match direction {
            Direction::Forward => self.question.role == Role::Client,
            Direction::Reply => self.question.role == Role::Inbound || self.target_is_local(),
        };
        // A packet to this host itself leaves through output and comes in again.
        let came_in = passed(&[Stage::Input, Stage::SocketLookup])
            || (passed(&[Stage::Postrouting]) && passed(&[Stage::Prerouting]));
        if made_here && !came_in { Way::Out } else { Way::In }
    }

    /// Whether packets of the flow surely came as far as this obstacle in the window.
    pub fn met(&self, o: &Obstacle<'_>) -> bool {
        let s = &self.seen;
        if o.next {
            return false;
        }
        match (o.direction, o.way) {
            (Direction::Forward, Way::Out) => self.attempt().is_some(),
            (Direction::Forward, _) => match self.question.role {
                Role::Client => self.attempt().is_some(),
                _ => s.known && s.requests_in > 0,
            },
            (Direction::Reply, Way::Out) => s.known && s.requests_in > 0,
            (Direction::Reply, _) => s.known && s.answers_in + s.resets_in > 0,
        }
    }

    /// What was observed of the flow at an obstacle that drops silently.
    pub fn sight(&self, o: &Obstacle<'_>) -> Sight {
        if !self.met(o) {
            return Sight::Nothing;
        }
        match o.locus.and_then(|l| self.rule_counter(l)) {
            Some(n) if n > 0 => return Sight::Agrees,
            Some(_) => return Sight::Contradicts,
            None => {}
        }
        if self.freed_at(o).is_some() {
            return Sight::Agrees;
        }
        // A rule frees what it drops where this is seen: nothing freed, nothing dropped.
        if o.is_firewall()
            && o.is_drop()
            && self.events_complete("drop")
            && !self.freed().iter().any(|f| f.is(o.direction))
        {
            return Sight::Contradicts;
        }
        let s = &self.seen;
        let (past, answered) = match (o.direction, o.way) {
            (Direction::Forward, Way::Out) => (s.requests_out > 0, s.answers_in + s.resets_in > 0),
            (Direction::Forward, Way::In) => (s.answers_out + s.resets_out > 0, !s.icmp_out.is_empty()),
            (Direction::Forward, Way::Through) => (s.requests_out > 0, false),
            // A reset goes out where a rule of this host answers in the target's name.
            (Direction::Reply, Way::Out) => (s.answers_out > 0, false),
            (Direction::Reply, Way::In) => (self.attempt().is_some() && !self.timed_out(), false),
            (Direction::Reply, Way::Through) => (s.answers_out > 0, false),
        };
        if past {
            return Sight::Contradicts;
        }
        if answered {
            return Sight::Nothing;
        }
        let eperm = o.way == Way::Out && self.errno() == Some("EPERM");
        let retrans_failed = o.way == Way::Out
            && self.flow.proto == Proto::Tcp
            && self.grew("TcpExt.TCPRetransFail").is_some_and(|d| d > 0);
        if eperm || retrans_failed {
            return Sight::Agrees;
        }
        // Silence is evidence only when the capture was there and lost nothing.
        if !s.known || s.lost > 0 {
            return Sight::Nothing;
        }
        match (o.direction, o.way) {
            (Direction::Forward, Way::Out) | (Direction::Reply, Way::In) if !self.timed_out() => {
                Sight::Nothing
            }
            _ => Sight::Agrees,
        }
    }

    /// Where packets of the flow disappeared inside this host, as far as was observed: which way, and in which role
    /// of this host. `None` where nothing says that they did.
    pub fn vanished(&self) -> Option<(Direction, Way)> {
        let s = &self.seen;
        let sure = s.known && s.lost == 0;
        match self.question.role {
            Role::Client => {
                let failed = self.flow.proto == Proto::Tcp
                    && self.timed_out()
                    && self.grew("TcpExt.TCPRetransFail").is_some_and(|d| d > 0);
                let never_left = sure && s.requests_out == 0 && self.timed_out();
                if self.errno() == Some("EPERM") || ((failed || never_left) && s.requests_out == 0) {
                    return Some((Direction::Forward, Way::Out));
                }
                (sure && self.timed_out() && s.answers_in + s.resets_in > 0)
                    .then_some((Direction::Reply, Way::In))
            }
            Role::Inbound => {
                let silent = s.answers_out + s.resets_out == 0 && s.icmp_out.is_empty();
                if !(sure && s.requests_in > 0 && silent) {
                    return None;
                }
                // Passed on to a container: it is between, not the end.
                let through = self.forward.steps.iter().any(|s| s.stage == Stage::Forward);
                match (through, s.requests_out) {
                    (true, 0) => Some((Direction::Forward, Way::Through)),
                    (true, _) => None,
                    (false, _) => Some((Direction::Forward, Way::In)),
                }
            }
            Role::Transit => {
                if !(sure && s.icmp_out.is_empty()) {
                    return None;
                }
                if s.requests_in > 0 && s.requests_out == 0 && s.answers_out + s.resets_out == 0 {
                    return Some((Direction::Forward, Way::Through));
                }
                (s.answers_in + s.resets_in > 0 && s.answers_out + s.resets_out == 0)
                    .then_some((Direction::Reply, Way::Through))
            }
        }
    }

    /// Packets freed by a firewall where this obstacle is one, in the direction it stops.
    fn freed_at(&self, o: &Obstacle<'_>) -> Option<Freed<'a>> {
        let locus = o.locus.filter(|l| is_firewall(l))?;
        self.drop_event(|f| f.by_netfilter() && f.is(o.direction) && by_rule(locus, f.location))
    }

    /// The packets an obstacle concerns, for a sentence: `packets from 198.51.100.7 to 203.0.113.2:80`.
    pub fn packets_text(&self, o: &Obstacle<'_>) -> String {
        let target = self.flow.target();
        let client = self.question.from.or(self.flow.src).map(|a| a.to_string());
        match (o.direction, o.way, self.question.role) {
            (Direction::Forward, _, Role::Client) => format!("the packets this host sends to {target}"),
            (Direction::Reply, _, Role::Client) => format!("the answers of {target} to this host"),
            (Direction::Forward, ..) => {
                format!("the packets from {} to {target}", client.unwrap_or_else(|| "clients".into()))
            }
            (Direction::Reply, ..) => {
                format!("the answers of {target} to {}", client.unwrap_or_else(|| "clients".into()))
            }
        }
    }

    /// Words for evidence about a path.
    pub fn direction_text(&self, o: &Obstacle<'_>) -> &'static str {
        match (o.direction, o.way) {
            (Direction::Forward, Way::Out) => "outgoing",
            (Direction::Forward, Way::In) => "incoming",
            (Direction::Forward, Way::Through) => "forward",
            (Direction::Reply, _) => "reply",
        }
    }

    /// The prediction, the counter of its object, the events and the capture, as evidence.
    pub fn ev_obstacle(&self, o: &Obstacle<'_>) -> Vec<Evidence> {
        let mut out = Vec::new();
        if o.next {
            out.push(self.ev_next(o));
        } else {
            out.extend(self.ev_attempt());
            out.push(self.ev_prediction(o.path, self.direction_text(o)));
            out.extend(o.locus.and_then(|l| self.ev_rule_counter(l)));
            out.extend(self.freed_at(o).map(|freed| self.ev_freed(&freed)));
            out.extend(self.ev_capture());
        }
        out
    }

    /// Evidence that marks a finding as the obstacle behind the one that stops the flow now.
    pub fn ev_next(&self, o: &Obstacle<'_>) -> Evidence {
        let text = o.path.last().map(|s| s.text.clone()).unwrap_or_default();
        let e = Evidence::new(
            "next-obstacle",
            format!("once the other obstacle is gone, the {} path ends here: {text}", self.direction_text(o)),
            "netwhy walk",
        );
        match o.locus {
            Some(l) => e.command(crate::fix::show(l)),
            None => e,
        }
    }

    /// Whether a predicted end stands whatever the walker had to take for granted: things it could not read can only
    /// stop the packet earlier, and things that fare alike either way do not matter.
    pub fn firm(&self, path: &Path) -> bool {
        let harmless = |a: &String| {
            a.starts_with("not known: ")
                || a.ends_with("taken as none")
                || (a.contains(" table ") && a.contains(" lets the packet pass ("))
        };
        path.assumptions.iter().all(harmless)
            && !matches!(path.end, End::Insufficient { .. } | End::Stolen { .. })
    }

    /// Why the firewall could not be read, when it could not.
    pub fn firewall_absence(&self) -> Option<Absence> {
        let nft = self.facts.get::<Nft>().absence();
        let xt = self.facts.get::<Xtables>().absence();
        [nft, xt].into_iter().flatten().find(|a| matches!(a, Absence::Denied(_) | Absence::Failed(_)))
    }

    /// Whether the BPF programs of this host could be read, and why not.
    pub fn bpf_absence(&self) -> Option<Absence> {
        self.facts
            .get::<BpfPrograms>()
            .absence()
            .filter(|a| matches!(a, Absence::Denied(_) | Absence::Failed(_)))
    }

    /// The nftables rule an object names.
    pub fn nft_rule(&self, locus: &Locus) -> Option<&'a NftRule> {
        let Locus::NftRule { family, table, handle, .. } = locus else { return None };
        self.facts
            .get::<Nft>()
            .value()?
            .rules
            .iter()
            .find(|r| r.family.name() == family && r.table == *table && r.handle == *handle)
    }

    /// The xtables rule an object names.
    pub fn xt_rule(&self, locus: &Locus) -> Option<&'a XtRule> {
        let Locus::IptRule { command, table, chain, number, .. } = locus else { return None };
        let tables = self.facts.get::<Xtables>().value()?;
        let table = tables.0.iter().find(|t| t.family.command() == command && t.name == *table)?;
        let chain = table.chains.value()?.iter().find(|c| c.name == *chain)?;
        chain.rules.get((*number as usize).checked_sub(1)?)
    }

    /// Whether the rule an object names ends in a drop by itself (not through another chain).
    pub fn rule_drops(&self, locus: &Locus) -> bool {
        let nft = self.nft_rule(locus).is_some_and(|r| {
            r.exprs
                .iter()
                .any(|e| matches!(e, Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) }))
        });
        let xt = self
            .xt_rule(locus)
            .is_some_and(|r| matches!(&r.target, XtTarget::Standard { verdict: XtVerdict::Drop }));
        nft || xt
    }
}
