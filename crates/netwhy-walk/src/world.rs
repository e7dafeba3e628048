//! The facts of one namespace, indexed for the walk.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::bpf::BpfPrograms;
use netwhy_facts::conntrack::{Conntrack, CtEntries};
use netwhy_facts::host::Xfrm;
use netwhy_facts::ipset::Ipsets;
use netwhy_facts::link::{Fdb, Link, Links};
use netwhy_facts::neigh::Neighbours;
use netwhy_facts::nft::{Nft, NftFamily, NftRule};
use netwhy_facts::route::{FibAnswers, Nexthops, Route, RouteType, Routes, Rules};
use netwhy_facts::socket::Sockets;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::tc::Tc;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Fact, Facts, Family, Reading};

/// Indexed facts.
pub(crate) struct World<'a> {
    pub(crate) links: Option<&'a Links>,
    pub(crate) addresses: Option<&'a Addresses>,
    pub(crate) routes: Option<&'a Routes>,
    pub(crate) rules: Option<&'a Rules>,
    pub(crate) nexthops: Option<&'a Nexthops>,
    pub(crate) fib: Option<&'a FibAnswers>,
    pub(crate) neigh: Option<&'a Neighbours>,
    pub(crate) fdb: Option<&'a Fdb>,
    pub(crate) nft: Option<&'a Nft>,
    pub(crate) xt: Option<&'a Xtables>,
    pub(crate) ipsets: Option<&'a Ipsets>,
    pub(crate) conntrack: Option<&'a Conntrack>,
    pub(crate) entries: Option<&'a CtEntries>,
    pub(crate) sockets: Option<&'a Sockets>,
    pub(crate) sysctls: Option<&'a Sysctls>,
    pub(crate) tc: Option<&'a Tc>,
    pub(crate) bpf: Option<&'a BpfPrograms>,
    pub(crate) xfrm: Option<&'a Xfrm>,
    /// Rules by family, table and chain.
    chains: HashMap<NftFamily, HashMap<&'a str, HashMap<&'a str, Vec<&'a NftRule>>>>,
    /// Families that could not be read and would have mattered, in words.
    absent: RefCell<Vec<String>>,
}

impl<'a> World<'a> {
    pub(crate) fn new(facts: &'a Facts) -> Self {
        let mut chains: HashMap<_, HashMap<_, HashMap<_, Vec<&'a NftRule>>>> = HashMap::new();
        let nft = facts.value::<Nft>();
        for rule in nft.map(|n| n.rules.as_slice()).unwrap_or_default() {
            chains
                .entry(rule.family)
                .or_default()
                .entry(rule.table.as_str())
                .or_default()
                .entry(rule.chain.as_str())
                .or_default()
                .push(rule);
        }
        let world = Self {
            links: facts.value(),
            addresses: facts.value(),
            routes: facts.value(),
            rules: facts.value(),
            nexthops: facts.value(),
            fib: facts.value(),
            neigh: facts.value(),
            fdb: facts.value(),
            nft,
            xt: facts.value(),
            ipsets: facts.value(),
            conntrack: facts.value(),
            entries: facts.value(),
            sockets: facts.value(),
            sysctls: facts.value(),
            tc: facts.value(),
            bpf: facts.value(),
            xfrm: facts.value(),
            chains,
            absent: RefCell::new(Vec::new()),
        };
        world.miss::<Nft>(facts, "nftables rules");
        world.miss::<Xtables>(facts, "legacy iptables rules");
        world.miss::<Sysctls>(facts, "kernel settings");
        world.miss::<BpfPrograms>(facts, "attached BPF programs");
        world
    }

    fn miss<T: Fact>(&self, facts: &Facts, what: &str) {
        let reading = facts.get::<T>();
        // A kernel without the feature has nothing to walk through; everything else is a hole in the facts.
        if let (Some(why), false) = (reading.absence(), matches!(reading, Reading::Unsupported { .. })) {
            self.absent.borrow_mut().push(format!("{what}: {why}; taken as none"));
        }
    }

    /// What could not be read, in words.
    pub(crate) fn absent(&self) -> Vec<String> {
        self.absent.borrow().clone()
    }

    /// Rules of a chain.
    pub(crate) fn rules_of(&self, family: NftFamily, table: &str, chain: &str) -> &[&'a NftRule] {
        let chains = self.chains.get(&family).and_then(|t| t.get(table));
        chains.and_then(|c| c.get(chain)).map(|v| v.as_slice()).unwrap_or_default()
    }

    pub(crate) fn link(&self, index: u32) -> Option<&'a Link> {
        self.links?.by_index(index)
    }
    pub(crate) fn link_named(&self, name: &str) -> Option<&'a Link> {
        self.links?.by_name(name)
    }
    /// Name of a device for people: the name, or its number when it is not known.
    pub(crate) fn dev_name(&self, index: u32) -> String {
        self.link(index).map(|l| l.name.clone()).unwrap_or_else(|| format!("if{index}"))
    }
    /// The loopback device.
    pub(crate) fn lo(&self) -> u32 {
        self.links
            .and_then(|l| l.0.iter().find(|l| l.is_loopback() && l.kind.is_none()))
            .map_or(1, |l| l.index)
    }
    /// The VRF a device belongs to.
    pub(crate) fn vrf_of(&self, index: u32) -> Option<&'a Link> {
        let link = self.link(index)?;
        if link.vrf_table.is_some() {
            return Some(link);
        }
        self.link(link.master?).filter(|m| m.vrf_table.is_some())
    }

    pub(crate) fn addresses(&self) -> &'a [Address] {
        self.addresses.map(|a| a.0.as_slice()).unwrap_or_default()
    }
    /// The device that holds an address.
    pub(crate) fn holder(&self, addr: &IpAddr) -> Option<&'a Address> {
        self.addresses().iter().find(|a| a.addr == *addr)
    }
    /// Routes of one table that could hold `dst`, best first: longest prefix, then type of service, then metric.
    pub(crate) fn table(&self, family: Family, table: u32, dst: &IpAddr) -> Vec<&'a Route> {
        let mut out: Vec<&Route> = self
            .routes
            .map(|r| r.routes.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|r| r.family == family && r.table == table && r.dst.contains(dst))
            .collect();
        out.sort_by(|a, b| {
            (b.dst.len, b.src.map_or(0, |s| s.len), b.tos, a.priority).cmp(&(
                a.dst.len,
                a.src.map_or(0, |s| s.len),
                a.tos,
                b.priority,
            ))
        });
        out
    }
    /// Type of an address as inet_addr_type sees it: from the local table.
    pub(crate) fn addr_type(&self, addr: &IpAddr, dev: Option<u32>) -> RouteType {
        match addr {
            IpAddr::V4(a) if a.is_broadcast() || a.octets()[0] == 0 => return RouteType::Broadcast,
            a if a.is_multicast() => return RouteType::Multicast,
            _ => {}
        }
        let family = Family::of(addr);
        let table = dev.and_then(|d| self.vrf_of(d)).and_then(|v| v.vrf_table).unwrap_or(255);
        for route in self.table(family, table, addr) {
            if matches!(
                route.kind,
                RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast
            ) {
                let same = dev.is_none_or(|d| route.hops.first().and_then(|h| h.oif) == Some(d));
                return if same { route.kind } else { RouteType::Unicast };
            }
        }
        match self.holder(addr) {
            Some(a) if dev.is_none_or(|d| d == a.ifindex) && !a.is_tentative() => RouteType::Local,
            _ => RouteType::Unicast,
        }
    }
    /// Whether an address is one of this host's.
    pub(crate) fn is_local(&self, addr: &IpAddr) -> bool {
        self.addr_type(addr, None) == RouteType::Local
    }

    /// A setting as a number.
    pub(crate) fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls?.number(name)
    }
    /// A setting of a device of the family's conf tree.
    pub(crate) fn conf(&self, family: Family, dev: &str, what: &str) -> Option<i64> {
        let s = self.sysctls?;
        if family == Family::Inet { s.conf4(dev, what) } else { s.conf6(dev, what) }
    }
    /// IN_DEV_ORCONF: the larger of `all` and the device.
    pub(crate) fn conf4_max(&self, dev: &str, what: &str) -> i64 {
        let all = self.conf(Family::Inet, "all", what).unwrap_or(0);
        let own = self.conf(Family::Inet, dev, what).unwrap_or(0);
        all.max(own)
    }
}
