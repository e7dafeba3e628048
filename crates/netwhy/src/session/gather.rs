//! What is collected before anything is sent: cheap families first, everything bounded and about this question.

use std::net::IpAddr;

use netwhy_causes::engine::FlowPaths;
use netwhy_facts::Reading;
use netwhy_facts::address::Addresses;
use netwhy_facts::conntrack::{Conntrack, CtEntries};
use netwhy_facts::flow::{Family, Flow};
use netwhy_facts::link::Links;
use netwhy_facts::names::NameAnswers;
use netwhy_facts::nft::{Expr, Nft};
use netwhy_facts::question::Role;
use netwhy_facts::resolver::Resolver;
use netwhy_facts::route::{FibAnswers, FibKey, FibResult};
use netwhy_facts::socket::Sockets;
use netwhy_facts::xtables::Xtables;

use super::Session;

/// Addresses of one target that are judged; a name with more is asked at these.
const MAX_FLOWS: usize = 8;
/// Tracking tables up to this size are searched without a source port.
const FEW_ENTRIES: u32 = 10_000;
/// Hosts with more devices are read only where the question's routes lead.
const MANY_DEVICES: usize = 64;

impl Session {
    /// Host, links, addresses, rules, routes, settings: what every question needs and no question makes large.
    pub(super) fn gather_host(&mut self) {
        let c = &self.collector;
        self.facts.put(c.host(self.started_unix_s));
        self.facts.put(c.links());
        self.facts.put(c.addresses());
        self.facts.put(c.rules());
        self.facts.put(c.routes());
        self.facts.put(c.nexthops());
        self.facts.put(c.sysctls());
    }

    /// Fills the question's flows: the literal, the resolver's answer, or this host's own addresses for `:PORT`.
    pub(super) fn resolve_names(&mut self) {
        let target = self.question.target.clone();
        let mut addresses: Vec<IpAddr> = Vec::new();
        if let Some(literal) = target.literal {
            addresses.push(literal);
        } else if target.host.is_empty() {
            addresses = self.own_service_addresses();
        } else {
            self.facts.put(self.collector.resolver(&target.host));
            addresses = self.ask_names();
        }
        if let Some(family) = self.question.family {
            addresses.retain(|a| Family::of(a) == family);
        }
        addresses.truncate(MAX_FLOWS);
        let uid = self.facts.value::<netwhy_facts::host::Host>().map(|h| h.euid);
        let dev = self.options.dev.clone().or(target.zone);
        self.question.flows = addresses
            .into_iter()
            .map(|dst| Flow {
                proto: target.proto,
                src: if self.question.role == Role::Client {
                    self.options.source
                } else {
                    self.question.from
                },
                sport: None,
                dst,
                dport: target.port,
                mark: self.options.mark,
                uid: if self.question.role == Role::Client { uid } else { None },
                dev: dev.clone(),
            })
            .collect();
    }

    /// For `:PORT --inbound`: the address this host would use toward the named client, then its other global ones.
    /// What the capture sees tells afterwards which of them the client means.
    fn own_service_addresses(&self) -> Vec<IpAddr> {
        let from = self.question.from;
        let mut out = Vec::new();
        if let Some(from) = from
            && let Some(answers) = self.collector.fib(&[FibKey::to(from)]).value()
            && let Some(FibResult::Route(route)) = answers.0.first().map(|a| &a.result)
        {
            out.extend(route.prefsrc);
        }
        let own = self.facts.value::<Addresses>().map(|a| a.0.as_slice()).unwrap_or_default();
        let serves = |a: &&netwhy_facts::address::Address| {
            a.scope == 0 && !a.addr.is_loopback() && from.is_none_or(|f| f.is_ipv4() == a.addr.is_ipv4())
        };
        out.extend(own.iter().filter(serves).map(|a| a.addr));
        // A client that has one of our own addresses does not send to it.
        out.retain(|a| Some(*a) != from);
        let mut seen = Vec::new();
        out.retain(|a| {
            !seen.contains(a) && {
                seen.push(*a);
                true
            }
        });
        out
    }

    fn ask_names(&mut self) -> Vec<IpAddr> {
        let Some(resolver) = self.facts.value::<Resolver>().cloned() else { return Vec::new() };
        let names = self.names(&resolver);
        self.facts.put(names);
        self.facts
            .value::<NameAnswers>()
            .map(|n| n.application.addresses.iter().map(|(a, _)| *a).collect())
            .unwrap_or_default()
    }

    /// Everything about the flows' paths: FIB answers, neighbours, rulesets, tracking, sockets, programs.
    pub(super) fn gather_path(&mut self) {
        self.gather_fib();
        let devices = self.devices();
        let c = &self.collector;
        self.facts.put(c.nft());
        let xtables = c.xtables();
        self.facts.put(c.ipsets_of(&xtables, self.facts.get()));
        self.facts.put(xtables);
        self.facts.put(c.conntrack());
        let entries = self.ct_entries();
        self.facts.put(entries);
        let c = &self.collector;
        // Who listens on a queue matters only where a rule sends there.
        let queues =
            self.facts.value::<Nft>().is_some_and(|n| {
                n.rules.iter().flat_map(|r| &r.exprs).any(|e| matches!(e, Expr::Queue { .. }))
            }) || self.facts.value::<Xtables>().is_some_and(|x| !x.0.is_empty());
        if queues {
            self.facts.put(c.nfqueues());
        }
        self.facts.put(c.neigh_tables());
        self.facts.put(c.xfrm());
        let (programs, gaps) = c.bpf_and_gaps(devices.as_deref(), &[std::process::id()]);
        self.facts.put(programs);
        self.facts.put(gaps);
        self.facts.put(c.tc(devices.as_deref()));
        self.facts.put(c.fdb());
        self.gather_sockets();
    }

    /// Devices whose programs, queues and neighbours are read: all of them on an ordinary host, those the routes of
    /// this question use (with what they stand on) on one with very many.
    pub(super) fn devices(&self) -> Option<Vec<u32>> {
        let links = self.facts.value::<Links>()?;
        if links.0.len() <= MANY_DEVICES || self.question.role == Role::Transit {
            return None;
        }
        let answers = self.facts.value::<FibAnswers>()?;
        let mut wanted: Vec<u32> = answers
            .0
            .iter()
            .filter_map(|a| match &a.result {
                FibResult::Route(route) => route.oif,
                FibResult::Error { .. } => None,
            })
            .collect();
        let mut at = 0;
        while let Some(index) = wanted.get(at).copied() {
            at += 1;
            let link = links.by_index(index);
            for next in link.into_iter().flat_map(|l| [l.master, l.lower.filter(|_| l.peer_netns.is_none())])
            {
                wanted.extend(next.filter(|n| !wanted.contains(n)));
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(wanted)
    }

    /// The kernel's own routing answers; the first one tells the source address a client would use.
    fn gather_fib(&mut self) {
        if self.question.role == Role::Client {
            let index =
                |name: &str| self.facts.value::<Links>().and_then(|l| l.by_name(name)).map(|l| l.index);
            for flow in &mut self.question.flows {
                let key = FibKey {
                    src: flow.src,
                    oif: flow.dev.as_deref().and_then(index),
                    mark: flow.mark,
                    uid: flow.uid,
                    ip_proto: Some(flow.proto_number()),
                    dport: (flow.dport != 0).then_some(flow.dport),
                    ..FibKey::to(flow.dst)
                };
                if let Some(answers) = self.collector.fib(&[key]).value()
                    && let Some(FibResult::Route(route)) = answers.0.first().map(|a| &a.result)
                {
                    flow.src = self.options.source.or(route.prefsrc);
                }
            }
        }
        let mut keys = Vec::new();
        for flow in &self.question.flows {
            keys.extend(netwhy_walk::keys_needed(&self.facts, &self.question, flow));
        }
        keys.dedup();
        let answers = self.collector.fib(&keys);
        self.facts.put::<FibAnswers>(answers);
    }

    /// Asks the kernel what a changed frame of the question asks in addition, and keeps the earlier answers.
    pub(super) fn gather_more_fib(&mut self) {
        let mut keys = Vec::new();
        for flow in &self.question.flows {
            keys.extend(netwhy_walk::keys_needed(&self.facts, &self.question, flow));
        }
        keys.dedup();
        if keys.is_empty() {
            return;
        }
        let known = self.facts.value::<FibAnswers>().map(|f| f.0.clone()).unwrap_or_default();
        let answers = self.collector.fib(&keys).map(|mut more| {
            more.0.splice(0..0, known);
            more
        });
        self.facts.put::<FibAnswers>(answers);
    }

    /// Sockets of the target's port when it is (or may be) local, and their processes.
    fn gather_sockets(&mut self) {
        let sockets = self.sockets(Role::Transit);
        self.facts.put(sockets);
        let local =
            self.question.role == Role::Inbound || self.question.flows.iter().any(|f| self.is_local(f));
        if !local {
            return;
        }
        let port = self.question.target.port;
        let heard = self.facts.value::<Sockets>().is_some_and(|s| {
            s.sockets.iter().any(|s| s.lport == port && (s.state == "LISTEN" || s.state == "UNCONN"))
        });
        if !heard {
            // The port is what counts: any flow of the question names it.
            if let Some(flow) = self.question.flows.first() {
                self.facts.put(self.collector.foreign_sockets(flow));
            }
        }
        self.facts.put(self.collector.file_table());
        self.gather_owners();
    }

    /// Sockets of every flow as one reading. Seen as from a router that is the listeners only; the other roles also
    /// count connections, for which the kernel walks its whole table.
    pub(super) fn sockets(&self, role: Role) -> Reading<Sockets> {
        let each = self.question.flows.iter().map(|flow| self.collector.sockets(flow, role));
        together(each, |all, more| {
            for socket in more.sockets {
                if !all.sockets.iter().any(|s| s.cookie == socket.cookie) {
                    all.sockets.push(socket);
                }
            }
            for (state, n) in more.to_target {
                *all.to_target.entry(state).or_default() += n;
            }
        })
    }

    /// Sockets of the local ports that rules lead the flows to. Tells whether there were any such ports.
    pub(super) fn gather_translated_sockets(&mut self, paths: &[FlowPaths]) -> bool {
        let own = |a: &IpAddr| {
            a.is_loopback()
                || self.facts.value::<Addresses>().is_some_and(|all| all.0.iter().any(|o| o.addr == *a))
        };
        let mut flows: Vec<Flow> = paths
            .iter()
            .filter(|p| p.forward.finally.dport != p.flow.dport && own(&p.forward.finally.dst))
            .map(|p| Flow { dst: p.forward.finally.dst, dport: p.forward.finally.dport, ..p.flow.clone() })
            .collect();
        flows.dedup();
        let known = self.facts.value::<Sockets>().cloned();
        let Some(mut all) = known.filter(|_| !flows.is_empty()) else { return false };
        for flow in &flows {
            let Reading::Known { value: more, .. } = self.collector.sockets(flow, Role::Inbound) else {
                continue;
            };
            all.ports.push(flow.dport);
            all.sockets.extend(more.sockets);
        }
        self.facts.put(Reading::known(all, "sock_diag", netwhy_sys::clock::monotonic()));
        true
    }

    /// Tracked connections of every flow as one reading. A flow whose source port is known is looked up at once; for
    /// one whose port is not, the kernel walks its whole table, which is only asked of a small one.
    pub(super) fn ct_entries(&self) -> Reading<CtEntries> {
        let few = self.facts.value::<Conntrack>().is_some_and(|ct| ct.count <= FEW_ENTRIES);
        let flows = self.question.flows.iter().filter(|flow| few || flow.sport.is_some());
        let each = flows.map(|flow| self.collector.ct_entries(flow));
        together(each, |all, more| {
            for entry in more.entries {
                if !all.entries.iter().any(|e| e.id == entry.id && e.orig == entry.orig) {
                    all.entries.push(entry);
                }
            }
            all.examined += more.examined;
            all.complete &= more.complete;
        })
    }

    pub(super) fn is_local(&self, flow: &Flow) -> bool {
        flow.dst.is_loopback()
            || self.facts.value::<Addresses>().is_some_and(|a| a.0.iter().any(|a| a.addr == flow.dst))
    }

    /// The processes behind the sockets of the question.
    pub(super) fn gather_owners(&mut self) {
        let mut pids: Vec<u32> = self
            .facts
            .latest::<Sockets>()
            .value()
            .into_iter()
            .flat_map(|s| &s.sockets)
            .filter_map(|s| s.owners.value())
            .flatten()
            .map(|o| o.pid)
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids.truncate(64);
        self.facts.put_after(self.collector.processes(&pids));
    }
}

/// Several readings of one kind as one; the first absence stands for all, for what is missing may be what mattered.
fn together<T>(each: impl Iterator<Item = Reading<T>>, join: impl Fn(&mut T, T)) -> Reading<T> {
    let mut all: Option<Reading<T>> = None;
    for more in each {
        all = Some(match (all, more) {
            (None, first) => first,
            (Some(Reading::Known { mut value, source, at }), Reading::Known { value: more, .. }) => {
                join(&mut value, more);
                Reading::Known { value, source, at }
            }
            (Some(Reading::Known { .. }), absent) | (Some(absent), _) => absent,
        });
    }
    all.unwrap_or(Reading::NotAsked)
}
