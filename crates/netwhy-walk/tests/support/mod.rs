//! A host made of facts, for tests: two devices, addresses, routes, rules, and what a test adds.
#![allow(dead_code, unreachable_pub)]

use std::net::IpAddr;

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::bpf::BpfPrograms;
use netwhy_facts::conntrack::CtEntries;
use netwhy_facts::link::{Link, Links};
use netwhy_facts::neigh::{Neighbour, Neighbours, Nud};
use netwhy_facts::nft::*;
use netwhy_facts::route::{Hop, Nexthops, Route, RouteType, Routes, Rule, RuleAction, Rules};
use netwhy_facts::socket::{Socket, Sockets};
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Facts, Family, Flow, IpNet, Proto, Reading};
use netwhy_walk::{Origin, Packet, Path, predict};

pub fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}
pub fn net(s: &str) -> IpNet {
    let (a, l) = s.split_once('/').unwrap();
    IpNet::new(ip(a), l.parse().unwrap())
}

/// lo (1), eth0 (2) 198.51.100.1/24, 2001:db8:1::1/64; eth1 (3) 203.0.113.1/24, 2001:db8:2::1/64; default via 198.51.100.254.
pub struct Host {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub nexthops: Nexthops,
    pub neighbours: Vec<Neighbour>,
    pub nft: Nft,
    pub xt: Xtables,
    pub sockets: Vec<Socket>,
    pub sysctls: Sysctls,
    pub entries: CtEntries,
    pub extra: Vec<Extra>,
}

/// Changes the facts after they were built.
pub type Extra = Box<dyn Fn(&mut Facts)>;

pub fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        hw_type: if name == "lo" { 772 } else { 1 },
        mac: format!("02:00:00:00:00:{index:02x}"),
        mtu: if name == "lo" { 65536 } else { 1500 },
        flags: if name == "lo" { 0x1_0000 | 0x49 } else { 0x1_1043 },
        carrier: Some(true),
        ..Link::default()
    }
}

pub fn route(
    family: Family,
    dst: &str,
    table: u32,
    kind: RouteType,
    oif: Option<u32>,
    via: Option<&str>,
) -> Route {
    Route {
        family,
        dst: net(dst),
        src: None,
        table,
        kind,
        scope: if via.is_some() || kind != RouteType::Unicast { 0 } else { 253 },
        protocol: 2,
        priority: 0,
        tos: 0,
        prefsrc: None,
        hops: oif
            .map(|o| vec![Hop { oif: Some(o), gateway: via.map(ip), weight: 1, flags: 0 }])
            .unwrap_or_default(),
        nhid: None,
        mtu: None,
        advmss: None,
        flags: 0,
        encap: None,
        pref: None,
        expires_s: None,
    }
}

pub fn rule(family: Family, priority: u32, action: RuleAction) -> Rule {
    Rule {
        family,
        priority,
        invert: false,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        tos: 0,
        uid_range: None,
        ip_proto: None,
        sport: None,
        dport: None,
        l3mdev: false,
        action,
        suppress_prefixlen: None,
        suppress_ifgroup: None,
        protocol: 2,
        unknown: vec![],
    }
}

pub fn socket(proto: Proto, local: &str, lport: u16) -> Socket {
    let local = ip(local);
    let any = if local.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
    Socket {
        proto,
        family: Family::of(&local),
        local,
        lport,
        remote: any,
        rport: 0,
        state: if proto == Proto::Tcp { "LISTEN" } else { "UNCONN" }.into(),
        ifindex: 0,
        inode: u64::from(lport),
        uid: 0,
        cookie: 0,
        rqueue: 0,
        wqueue: 128,
        v6only: Some(false),
        mark: None,
        cgroup_id: None,
        shutdown: None,
        congestion: None,
        mem: None,
        tcp: None,
        filter: None,
        owners: Reading::NotAsked,
        netns: 0,
    }
}

impl Default for Host {
    fn default() -> Self {
        let mut h = Host {
            links: vec![link(1, "lo"), link(2, "eth0"), link(3, "eth1")],
            addresses: vec![],
            routes: vec![],
            rules: vec![],
            nexthops: Nexthops::default(),
            neighbours: vec![],
            nft: Nft::default(),
            xt: Xtables::default(),
            sockets: vec![],
            sysctls: Sysctls::default(),
            entries: CtEntries { complete: true, ..CtEntries::default() },
            extra: vec![],
        };
        for family in [Family::Inet, Family::Inet6] {
            h.rules.push(rule(family, 0, RuleAction::Table(255)));
            h.rules.push(rule(family, 32766, RuleAction::Table(254)));
        }
        h.rules.push(rule(Family::Inet, 32767, RuleAction::Table(253)));
        h.address(1, "127.0.0.1", 8, 254);
        h.address(1, "::1", 128, 254);
        h.address(2, "198.51.100.1", 24, 0);
        h.address(3, "203.0.113.1", 24, 0);
        h.address(2, "2001:db8:1::1", 64, 0);
        h.address(3, "2001:db8:2::1", 64, 0);
        h.routes.push(route(
            Family::Inet,
            "0.0.0.0/0",
            254,
            RouteType::Unicast,
            Some(2),
            Some("198.51.100.254"),
        ));
        h.routes.push(route(Family::Inet6, "::/0", 254, RouteType::Unicast, Some(2), Some("2001:db8:1::fe")));
        for dev in ["all", "default", "lo", "eth0", "eth1"] {
            h.set(&format!("net.ipv4.conf.{dev}.rp_filter"), 0);
            h.set(&format!("net.ipv4.conf.{dev}.forwarding"), 0);
            h.set(&format!("net.ipv6.conf.{dev}.forwarding"), 0);
            h.set(&format!("net.ipv4.conf.{dev}.accept_local"), 0);
            h.set(&format!("net.ipv4.conf.{dev}.route_localnet"), 0);
            h.set(&format!("net.ipv4.conf.{dev}.send_redirects"), 1);
        }
        h.set("net.ipv4.ip_forward", 0);
        h
    }
}

impl Host {
    pub fn set(&mut self, name: &str, value: i64) -> &mut Self {
        self.sysctls.0.insert(name.into(), value.to_string());
        self
    }
    pub fn forwarding(&mut self) -> &mut Self {
        for dev in ["all", "lo", "eth0", "eth1"] {
            self.set(&format!("net.ipv4.conf.{dev}.forwarding"), 1);
            self.set(&format!("net.ipv6.conf.{dev}.forwarding"), 1);
        }
        self.set("net.ipv4.ip_forward", 1)
    }
    /// An address with the routes the kernel makes for it.
    pub fn address(&mut self, ifindex: u32, addr: &str, prefix: u8, scope: u8) -> &mut Self {
        let addr = ip(addr);
        let family = Family::of(&addr);
        self.addresses.push(Address {
            ifindex,
            addr,
            prefix,
            peer: None,
            broadcast: None,
            scope,
            flags: 0x80,
            preferred_s: u32::MAX,
            valid_s: u32::MAX,
            label: None,
        });
        let host = format!("{addr}/{}", family.bits());
        let mut local = route(family, &host, 255, RouteType::Local, Some(ifindex), None);
        local.scope = 254;
        self.routes.push(local);
        if prefix < family.bits() {
            let table = if addr.is_loopback() { 255 } else { 254 };
            let kind = if addr.is_loopback() { RouteType::Local } else { RouteType::Unicast };
            let mut connected =
                route(family, &IpNet::new(addr, prefix).to_string(), table, kind, Some(ifindex), None);
            connected.prefsrc = (family == Family::Inet).then_some(addr);
            self.routes.push(connected);
        }
        self
    }
    pub fn neighbour(&mut self, ifindex: u32, addr: &str, state: Nud) -> &mut Self {
        self.neighbours.push(Neighbour {
            ifindex,
            addr: ip(addr),
            lladdr: state.is_valid().then(|| "02:00:00:00:01:01".to_string()),
            state,
            flags: 0,
            proxy: false,
            probes: 3,
            confirmed_ms: None,
            used_ms: None,
            updated_ms: None,
        });
        self
    }
    /// A table with one base chain at a hook of the IP families.
    pub fn chain(
        &mut self,
        family: NftFamily,
        name: &str,
        kind: &str,
        hook: u32,
        priority: i32,
        policy: u32,
    ) -> &mut Self {
        if !self.nft.tables.iter().any(|t| t.family == family) {
            self.nft.tables.push(NftTable { family, name: "t".into(), handle: 1, ..NftTable::default() });
        }
        self.nft.chains.push(NftChain {
            family,
            table: "t".into(),
            name: name.into(),
            handle: 1,
            hook: Some(NftHook { num: hook, priority, devices: vec![] }),
            chain_type: Some(kind.into()),
            policy: Some(policy),
            flags: 1,
            counter: None,
            ..NftChain::default()
        });
        self
    }
    pub fn user_chain(&mut self, family: NftFamily, name: &str) -> &mut Self {
        self.nft.chains.push(NftChain {
            family,
            table: "t".into(),
            name: name.into(),
            handle: 1,
            hook: None,
            chain_type: None,
            policy: None,
            flags: 0,
            counter: None,
            ..NftChain::default()
        });
        self
    }
    pub fn nft_rule(&mut self, family: NftFamily, chain: &str, exprs: Vec<Expr>) -> u64 {
        let handle = self.nft.rules.len() as u64 + 1;
        self.nft.rules.push(NftRule {
            family,
            table: "t".into(),
            chain: chain.into(),
            handle,
            exprs,
            comment: None,
            compat: false,
        });
        handle
    }
    pub fn set_elems(
        &mut self,
        family: NftFamily,
        name: &str,
        flags: u32,
        key_len: u32,
        elements: Vec<NftElem>,
    ) {
        self.nft.sets.push(NftSet {
            family,
            table: "t".into(),
            name: name.into(),
            handle: 1,
            flags,
            key_type: 0,
            key_len,
            data_type: None,
            data_len: None,
            field_lens: vec![],
            timeout_ms: None,
            size: None,
            elements,
            elements_read: true,
            ..NftSet::default()
        });
    }
    pub fn listen(&mut self, proto: Proto, local: &str, port: u16) -> &mut Self {
        self.sockets.push(socket(proto, local, port));
        self
    }
    pub fn facts(&self) -> Facts {
        let mut f = Facts::new();
        let mut sockets = Sockets::default();
        sockets.sockets = self.sockets.clone();
        f.put(Reading::known(Links(self.links.clone()), "test", 1));
        f.put(Reading::known(Addresses(self.addresses.clone()), "test", 1));
        f.put(Reading::known(Routes { routes: self.routes.clone(), complete: true }, "test", 1));
        f.put(Reading::known(Rules(self.rules.clone()), "test", 1));
        f.put(Reading::known(self.nexthops.clone(), "test", 1));
        f.put(Reading::known(Neighbours(self.neighbours.clone()), "test", 1));
        f.put(Reading::known(self.nft.clone(), "test", 1));
        f.put(Reading::known(self.xt.clone(), "test", 1));
        f.put(Reading::known(sockets, "test", 1));
        f.put(Reading::known(self.sysctls.clone(), "test", 1));
        f.put(Reading::known(self.entries.clone(), "test", 1));
        f.put(Reading::known(BpfPrograms::default(), "test", 1));
        for extra in &self.extra {
            extra(&mut f);
        }
        f
    }
    pub fn out(&self, proto: Proto, dst: &str, dport: u16) -> Path {
        let dst = ip(dst);
        let none = if dst.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
        predict(&self.facts(), packet(proto, none, dst, dport), Origin::Local)
    }
    pub fn arrive(&self, dev: u32, proto: Proto, src: &str, dst: &str, dport: u16) -> Path {
        predict(&self.facts(), packet(proto, ip(src), ip(dst), dport), Origin::Arriving { ifindex: dev })
    }
}

pub fn flow(proto: Proto, dst: IpAddr, dport: u16) -> Flow {
    Flow { proto, src: None, sport: None, dst, dport, mark: 0, uid: None, dev: None }
}

pub fn packet(proto: Proto, src: IpAddr, dst: IpAddr, dport: u16) -> Packet {
    Packet::first_of(&flow(proto, dst, dport), src, 40000)
}

// Expressions as nft(8) makes them.
pub fn meta(key: u32) -> Expr {
    Expr::Meta { key, dreg: 1 }
}
pub fn eq(data: &[u8]) -> Expr {
    Expr::Cmp { op: CmpOp::Eq, sreg: 1, data: data.to_vec() }
}
pub fn l4(proto: u8) -> Vec<Expr> {
    vec![meta(16), eq(&[proto])]
}
pub fn th(offset: u32, len: u32) -> Expr {
    Expr::Payload { base: PayloadBase::Transport, offset, len, dreg: 1 }
}
pub fn nh(offset: u32, len: u32) -> Expr {
    Expr::Payload { base: PayloadBase::Network, offset, len, dreg: 1 }
}
pub fn dport(proto: u8, port: u16) -> Vec<Expr> {
    let mut v = l4(proto);
    v.extend([th(2, 2), eq(&port.to_be_bytes())]);
    v
}
pub fn verdict(v: NftVerdict) -> Expr {
    Expr::Immediate { dreg: 0, data: Data::Verdict(v) }
}
pub fn with(mut exprs: Vec<Expr>, last: Expr) -> Vec<Expr> {
    exprs.push(last);
    exprs
}
pub fn ct_state(mask: u32) -> Vec<Expr> {
    vec![
        Expr::Ct { key: 0, dir: None, dreg: 1 },
        Expr::Bitwise {
            sreg: 1,
            dreg: 1,
            len: 4,
            op: BitwiseOp::MaskXor { mask: mask.to_ne_bytes().to_vec(), xor: vec![0; 4] },
        },
        Expr::Cmp { op: CmpOp::Neq, sreg: 1, data: vec![0; 4] },
    ]
}

/// A question and its flow.
pub fn question(
    role: netwhy_facts::Role,
    proto: Proto,
    dst: &str,
    dport: u16,
    from: Option<&str>,
) -> (netwhy_facts::Question, Flow) {
    let fl = flow(proto, ip(dst), dport);
    let q = netwhy_facts::Question {
        scenario: netwhy_facts::question::Scenario::Connect,
        target_text: String::new(),
        target: netwhy_facts::question::Target {
            host: dst.into(),
            literal: Some(ip(dst)),
            zone: None,
            port: dport,
            proto,
            app: netwhy_facts::question::App::None,
            path: String::new(),
        },
        role,
        from: from.map(ip),
        family: None,
        flows: vec![fl.clone()],
        budget_ms: 5000,
        asked_with: Vec::new(),
    };
    (q, fl)
}
