//! The window: counters read twice around the reproduction, and between them the kernel's events on the flow and a
//! capture of its headers.

use std::net::IpAddr;

use netwhy_ask::capture::{self, FlowWindow};
use netwhy_capture::{FlowFilter, Options, Tuple};
use netwhy_causes::engine::FlowPaths;
use netwhy_collect::event::{EventFilter, EventFlow, EventThread, EventWatch};
use netwhy_collect::neigh::NeighFilter;
use netwhy_facts::attempt::{Attempts, Outcome};
use netwhy_facts::capture::FlowCapture;
use netwhy_facts::conntrack::CtEntry;
use netwhy_facts::event::KernelEvents;
use netwhy_facts::mib::Mib;
use netwhy_facts::neigh::Neighbours;
use netwhy_facts::nft::Nft;
use netwhy_facts::question::Role;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Proto, Reading};
use netwhy_walk::End;

use super::Session;

/// An open window.
pub(super) struct Window {
    /// The capture of the flows' headers.
    pub(super) capture: FlowWindow,
}

impl Session {
    /// Attaches the probes, starts the capture and takes the first sample of every counter, as late as possible.
    pub(super) fn arm(&mut self, paths: &[FlowPaths], events: EventThread) -> (Window, EventWatch) {
        let events = events.watch(self.event_filter(paths));
        let capture = FlowWindow::open(self.filter(paths), &Options::default());
        self.facts.put(self.neighbours());
        let c = &self.collector;
        self.facts.put(c.softnet());
        self.facts.put(c.mib());
        (Window { capture }, events)
    }

    /// Takes the second samples, counters first.
    pub(super) fn close(&mut self, window: Window, events: EventWatch, paths: &[FlowPaths]) {
        let c = &self.collector;
        self.facts.put_after(c.mib());
        self.facts.put_after(c.softnet());
        self.facts.put_after(c.conntrack());
        // A ruleset without a rule has no counter that could have moved.
        if self.facts.value::<Nft>().is_some_and(|n| !n.rules.is_empty()) {
            self.facts.put_after(c.nft());
        }
        if self.facts.value::<Xtables>().is_some_and(|x| !x.0.is_empty()) {
            self.facts.put_after(c.xtables());
        }
        let neighbours = self.neighbours();
        self.facts.put_after(neighbours);
        self.facts.put_after(c.neigh_tables());
        self.facts.put_after(c.links());
        self.facts.put_after(c.tc(self.devices().as_deref()));
        let sockets = self.sockets(self.sockets_asked_for());
        self.facts.put_after(sockets);
        self.facts.put(c.kernel_log(self.started_monotonic));
        self.gather_owners();
        let (mut capture, mut events) = (window.capture.close(), events.end());
        if self.question.role == Role::Client {
            self.keep_own(&mut capture, &mut events, paths);
        }
        self.facts.put(capture);
        self.facts.put(events);
    }

    /// A client's capture and events without the packets of other connections to the same target.
    fn keep_own(
        &self,
        capture: &mut Reading<FlowCapture>,
        events: &mut Reading<KernelEvents>,
        paths: &[FlowPaths],
    ) {
        let Some(attempts) = self.facts.value::<Attempts>() else { return };
        let ends: Vec<_> = attempts.0.iter().filter_map(|attempt| attempt.local).collect();
        let may = self.may_translate();
        let translated = paths
            .iter()
            .any(|p| p.forward.ct.as_ref().is_some_and(CtEntry::is_snat) || (may && !p.forward.is_certain()));
        if let Reading::Known { value, .. } = capture {
            value.keep_own(&ends, translated);
        }
        // An attempt whose own end is not known may be whose packets these are.
        if let Reading::Known { value, .. } = events
            && ends.len() == attempts.0.len()
        {
            value.keep_own(&ends, translated);
        }
    }

    /// Whether rules that translate may exist here; not knowing counts as yes.
    fn may_translate(&self) -> bool {
        let nft = self
            .facts
            .value::<Nft>()
            .map(|nft| nft.chains.iter().any(|chain| chain.chain_type.as_deref() == Some("nat")));
        let legacy = self.facts.value::<Xtables>().map(|all| all.0.iter().any(|table| table.name == "nat"));
        nft.unwrap_or(true) || legacy.unwrap_or(true)
    }

    /// Whether connections have to be counted: a client found no free port, or a listener turned connections away.
    fn sockets_asked_for(&self) -> Role {
        let out_of_ports = self.facts.value::<Attempts>().is_some_and(|all| {
            all.0.iter().any(|a| matches!(&a.outcome, Outcome::Error { name, .. } if name == "EADDRNOTAVAIL"))
        });
        let turned_away = ["TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPReqQFullDoCookies"];
        let turned_away = turned_away.iter().any(|name| Mib::grew(&self.facts, name).is_some_and(|d| d > 0));
        if out_of_ports || turned_away { self.question.role } else { Role::Transit }
    }

    fn neighbours(&self) -> Reading<Neighbours> {
        match self.devices() {
            Some(devices) => self.collector.neighbours(NeighFilter::Devices(&devices)),
            None => self.collector.neighbours(NeighFilter::All),
        }
    }

    /// The question's flows before and after translation, and the next hops of both directions.
    fn filter(&self, paths: &[FlowPaths]) -> FlowFilter {
        let client = self.question.role == Role::Client;
        let mut flows = Vec::new();
        let mut translated = Vec::new();
        let mut next_hops = Vec::new();
        for p in paths {
            let mut flow = p.flow.clone();
            flow.sport = None;
            // A client's source may be translated on its way out; the destination is enough to know its packets by.
            flow.src = if client { None } else { self.question.from };
            let finally = &p.forward.finally;
            let dport = if flow.proto == Proto::Icmp { 0 } else { finally.dport };
            let tuple =
                |src| Tuple { protocol: flow.proto_number(), src, sport: None, dst: finally.dst, dport };
            translated.push(tuple(flow.src));
            if self.question.role == Role::Transit {
                translated.push(tuple(Some(finally.src)));
            }
            flows.push(flow);
            next_hops.extend(self.next_hops(p));
        }
        translated.sort_by_key(|t| (t.dst, t.dport, t.src));
        translated.dedup();
        next_hops.sort_unstable();
        next_hops.dedup();
        capture::filter_for(&flows, &translated, &next_hops)
    }

    /// As [`Self::filter`], for the kernel's events: ends of the flows as asked for and as translated.
    fn event_filter(&self, paths: &[FlowPaths]) -> EventFilter {
        let client = self.question.role == Role::Client;
        let mut filter = EventFilter::default();
        for p in paths {
            let finally = &p.forward.finally;
            let asked = if client { None } else { self.question.from };
            let port = |port| if p.flow.proto == Proto::Icmp { 0 } else { port };
            let mut add = |target, dport, other| {
                let protocol = p.flow.proto_number();
                filter.flows.push(EventFlow { protocol, target, port: port(dport), other });
            };
            add(p.flow.dst, p.flow.dport, asked);
            add(finally.dst, finally.dport, asked);
            if asked.is_some() {
                // What a translated source is called behind the translation.
                add(p.flow.dst, p.flow.dport, Some(finally.src));
                add(finally.dst, finally.dport, Some(finally.src));
            }
            filter.next_hops.extend(self.next_hops(p));
        }
        filter.flows.sort();
        filter.flows.dedup();
        filter.next_hops.sort_unstable();
        filter.next_hops.dedup();
        filter
    }

    /// The neighbours both directions of a flow depend on.
    fn next_hops(&self, p: &FlowPaths) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> =
            [&p.forward, &p.reply].into_iter().filter_map(|path| next_hop(&path.end)).collect();
        // The link may be asked for a translated source in vain.
        let finally = &p.forward.finally;
        if finally.src != p.forward.packet.src && !finally.src.is_unspecified() {
            all.push(finally.src);
        }
        if self.question.role != Role::Client {
            // A client that cannot resolve the address never gets to send a packet of the flow.
            all.push(p.flow.dst);
            all.extend(self.question.from);
        }
        all
    }
}

fn next_hop(end: &End) -> Option<IpAddr> {
    match end {
        End::Sent { next_hop, .. } => *next_hop,
        End::Unresolved { locus: netwhy_facts::Locus::Neighbour { address, .. } } => Some(*address),
        _ => None,
    }
}
