//! `netwhy facts [FAMILY]`: what can be observed, as JSON. The form is that of a recording.

use netwhy_causes::target;
use netwhy_collect::Collector;
use netwhy_collect::neigh::NeighFilter;
use netwhy_facts::host::Nics;
use netwhy_facts::route::FibKey;
use netwhy_facts::{Facts, Flow, Proto, Reading, Role};
use netwhy_render::catalogue::{Door, Family, family_list};

use crate::cli::{FactsArgs, Global, Usage};
use crate::place::Place;

/// Lists the families, or collects and prints.
pub(crate) fn run(args: &FactsArgs, global: &Global) -> anyhow::Result<u8> {
    let structured = global.json || global.jsonl;
    if args.list || (args.family.is_none() && !structured && args.about.is_none()) {
        return list(global);
    }
    let flow = args.about.as_deref().map(flow_to).transpose()?;
    let families: Vec<&Source> = match &args.family {
        Some(name) => vec![find(name, flow.as_ref())?],
        None => SOURCES
            .iter()
            .filter(|s| {
                matches!(s.read, Read::Host(_)) || (flow.is_some() && matches!(s.read, Read::Flow(_)))
            })
            .collect(),
    };
    let collector = open(global)?;
    let mut facts = Facts::new();
    for source in families {
        source.collect(&collector, flow.as_ref(), &mut facts);
    }
    super::print_json(&facts.to_json(), global)?;
    Ok(0)
}

/// A collector for the namespace the user named.
pub(crate) fn open(global: &Global) -> anyhow::Result<Collector> {
    Ok(Collector::open(Place::of(global)?.scope)?)
}

fn list(global: &Global) -> anyhow::Result<u8> {
    let families: Vec<Family> = SOURCES
        .iter()
        .map(|s| Family {
            name: s.name,
            door: match s.read {
                Read::Host(_) => Door::Kernel,
                Read::Flow(_) => Door::Flow,
                Read::Question => Door::Question,
            },
            what: s.what,
        })
        .collect();
    if global.json || global.jsonl {
        super::print_json(&families, global)?;
    } else {
        super::print(&family_list(&families, &super::text_options(global)))?;
    }
    Ok(0)
}

fn find<'a>(name: &str, flow: Option<&Flow>) -> Result<&'a Source, Usage> {
    let Some(source) = SOURCES.iter().find(|s| s.name == name) else {
        return Err(Usage(format!("{name:?} is no family of facts; netwhy facts --list names them")));
    };
    match source.read {
        Read::Flow(_) if flow.is_none() => {
            Err(Usage(format!("{name} is read for one flow: add --about ADDRESS:PORT")))
        }
        Read::Question => Err(Usage(format!(
            "{name} comes about when a question is asked: netwhy connect TARGET --record FILE writes it down"
        ))),
        _ => Ok(source),
    }
}

/// The flow to a target, as a client of this host would open it.
fn flow_to(text: &str) -> Result<Flow, Usage> {
    let target = target::parse(text, Role::Client).map_err(|e| Usage(e.to_string()))?;
    let Some(dst) = target.literal else {
        return Err(Usage(format!("--about takes an address, not the name {:?}", target.host)));
    };
    Ok(Flow {
        proto: target.proto,
        src: None,
        sport: None,
        dst,
        dport: target.port,
        mark: 0,
        uid: None,
        dev: target.zone,
    })
}

/// A flow nobody uses, to try the doors that are about a flow.
pub(crate) fn example_flow() -> Flow {
    Flow {
        proto: Proto::Tcp,
        src: None,
        sport: None,
        dst: std::net::Ipv4Addr::LOCALHOST.into(),
        dport: 1,
        mark: 0,
        uid: None,
        dev: None,
    }
}

/// How a family is read.
pub(crate) enum Read {
    /// From the kernel, about the namespace.
    Host(fn(&Collector, &mut Facts)),
    /// From the kernel, about one flow.
    Flow(fn(&Collector, &Flow, &mut Facts)),
    /// It comes about while a question is asked.
    Question,
}

/// One family.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) read: Read,
}

impl Source {
    /// Reads the family into the store; a family of a question stays `NotAsked`.
    pub(crate) fn collect(&self, collector: &Collector, flow: Option<&Flow>, facts: &mut Facts) {
        match (&self.read, flow) {
            (Read::Host(read), _) => read(collector, facts),
            (Read::Flow(read), Some(flow)) => read(collector, flow, facts),
            _ => {}
        }
    }
}

const fn host(name: &'static str, what: &'static str, read: fn(&Collector, &mut Facts)) -> Source {
    Source { name, what, read: Read::Host(read) }
}

const fn flow(name: &'static str, what: &'static str, read: fn(&Collector, &Flow, &mut Facts)) -> Source {
    Source { name, what, read: Read::Flow(read) }
}

const fn question(name: &'static str, what: &'static str) -> Source {
    Source { name, what, read: Read::Question }
}

/// Every family. A test holds the list against the facts' own.
#[rustfmt::skip]
pub(crate) const SOURCES: &[Source] = &[
    host("host", "kernel, privileges and namespace of this run", |c, f| f.put(c.host(netwhy_sys::clock::realtime().as_secs() as i64))),
    host("links", "devices: kind, flags, carrier, MTU, statistics, bridge ports, XDP", |c, f| f.put(c.links())),
    host("addresses", "addresses with flags and lifetimes", |c, f| f.put(c.addresses())),
    host("rules", "policy routing rules", |c, f| f.put(c.rules())),
    host("routes", "routes of all tables", |c, f| f.put(c.routes())),
    host("nexthops", "nexthop objects", |c, f| f.put(c.nexthops())),
    host("neighbours", "ARP and neighbour discovery entries", |c, f| f.put(c.neighbours(NeighFilter::All))),
    host("neigh-tables", "limits and statistics of the neighbour tables", |c, f| f.put(c.neigh_tables())),
    host("fdb", "forwarding entries of bridges and overlays", |c, f| f.put(c.fdb())),
    host("nft", "nftables: tables, chains, rules, sets, counters", |c, f| f.put(c.nft())),
    host("xtables", "legacy iptables, ip6tables, arptables and ebtables", |c, f| f.put(c.xtables())),
    host("ipsets", "sets that rules refer to", |c, f| f.put(c.ipsets_of(&c.xtables(), &c.nft()))),
    host("conntrack", "connection tracking: count, limits, statistics per CPU", |c, f| f.put(c.conntrack())),
    host("tc", "qdiscs, classes and filters with statistics", |c, f| f.put(c.tc(None))),
    host("bpf", "BPF programs attached to devices, control groups and netfilter", |c, f| f.put(c.bpf(None, &[]))),
    host("bpf-gaps", "hooks whose programs could not be asked for", |c, f| f.put(c.bpf_and_gaps(None, &[]).1)),
    host("nfqueues", "programs that listen on netfilter queues", |c, f| f.put(c.nfqueues())),
    host("mib", "protocol counters of the namespace", |c, f| f.put(c.mib())),
    host("sockstat", "numbers of sockets and their memory", |c, f| f.put(c.sockstat())),
    host("softnet", "receive statistics per CPU", |c, f| f.put(c.softnet())),
    host("sysctls", "settings that decide a packet's fate", |c, f| f.put(c.sysctls())),
    host("file-table", "open files of the machine and their limit", |c, f| f.put(c.file_table())),
    host("xfrm", "IPsec policies and states, without keys", |c, f| f.put(c.xfrm())),
    host("nics", "drivers of the devices: link, speed, statistics, offloads", |c, f| f.put(nics(c))),
    host("kernel-log", "lines of the kernel log about networking, the newest 200", |c, f| f.put(c.kernel_log(0))),
    flow("sockets", "sockets of a flow, with their processes", |c, q, f| f.put(c.sockets(q, Role::Inbound))),
    flow("foreign-sockets", "listeners of the port in other namespaces", |c, q, f| f.put(c.foreign_sockets(q))),
    flow("conntrack-entries", "tracked connections of a flow", |c, q, f| f.put(c.ct_entries(q))),
    flow("fib-answers", "the kernel's own routing answer", |c, q, f| f.put(c.fib(&[FibKey::to(q.dst)]))),
    flow("resolver", "resolv.conf, nsswitch.conf and the hosts file", |c, q, f| f.put(c.resolver(&q.dst.to_string()))),
    question("attempts", "how connecting went, phase by phase"),
    question("capture", "headers of the flow's packets"),
    question("name-answers", "what each name server says, and what an application gets"),
    question("tls-handshakes", "how the TLS handshake went"),
    question("http-answers", "the first line of an HTTP answer"),
    question("paths", "hops that answer, by distance"),
    question("path-mtus", "the largest packet that gets through"),
    question("bpf-trials", "what suspected BPF programs do with a packet of the flow"),
    question("neigh-probes", "whether the next hop answers"),
    question("processes", "processes behind the sockets: limits, descriptors, state"),
    question("kernel-events", "packets of the flow the kernel freed with reason and place, resets, retransmissions, states, errors, failed next hops"),
];

fn nics(collector: &Collector) -> Reading<Nics> {
    let links = collector.links();
    match links.value() {
        Some(links) => collector.nics(&links.0.iter().map(|l| l.index).collect::<Vec<_>>()),
        None => links.map(|_| Nics::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_line() {
        let mut here: Vec<&str> = SOURCES.iter().map(|s| s.name).collect();
        let mut there: Vec<&str> = netwhy_facts::KIND_NAMES.to_vec();
        here.sort_unstable();
        there.sort_unstable();
        assert_eq!(here, there);
    }

    #[test]
    fn a_family_reads_into_its_own_kind() {
        let collector = Collector::here().unwrap();
        let flow = example_flow();
        for source in SOURCES.iter().filter(|s| !matches!(s.read, Read::Question)) {
            let mut facts = Facts::new();
            source.collect(&collector, Some(&flow), &mut facts);
            let json = facts.to_json();
            let kinds: Vec<&String> = json.as_object().unwrap().keys().collect();
            assert_eq!(kinds, [source.name]);
            Facts::from_json(&json).unwrap_or_else(|e| panic!("{}: {e}", source.name));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(find("nonsense", None).err().unwrap().0.contains("--list"));
        assert!(find("sockets", None).err().unwrap().0.contains("--about"));
        assert!(find("attempts", None).err().unwrap().0.contains("--record"));
        assert!(flow_to("db.internal:1").err().unwrap().0.contains("address"));
        assert!(flow_to("127.0.0.1:0").is_err());
        assert!(flow_to("[::1]:443").is_ok());
    }
}
