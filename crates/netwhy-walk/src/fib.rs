//! Policy rules and routing tables: the lookup the kernel makes, on the routes as they were read.

use std::net::IpAddr;

use netwhy_facts::route::{Hop, Route, RouteType, Rule, RuleAction};
use netwhy_facts::{Family, IpNet, Locus};

use crate::world::World;

/// What is looked up (struct flowi4, struct flowi6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) dst: IpAddr,
    /// `None` when the source is still to be chosen.
    pub(crate) src: Option<IpAddr>,
    /// `None` for packets made here.
    pub(crate) iif: Option<u32>,
    pub(crate) oif: Option<u32>,
    pub(crate) mark: u32,
    pub(crate) uid: Option<u32>,
    pub(crate) tos: u8,
    pub(crate) proto: Option<u8>,
    pub(crate) sport: Option<u16>,
    pub(crate) dport: Option<u16>,
    /// FIB_LOOKUP_IGNORE_LINKSTATE.
    pub(crate) ignore_linkdown: bool,
}

impl Query {
    pub(crate) fn to(dst: IpAddr) -> Self {
        Self {
            dst,
            src: None,
            iif: None,
            oif: None,
            mark: 0,
            uid: None,
            tos: 0,
            proto: None,
            sport: None,
            dport: None,
            ignore_linkdown: false,
        }
    }
}

/// A route that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a> {
    pub(crate) route: &'a Route,
    /// Next hops the kernel can choose from; never empty unless the type needs none.
    pub(crate) hops: Vec<Hop>,
}

/// The outcome of a lookup.
#[derive(Debug, Clone)]
pub(crate) enum Lookup<'a> {
    Found(Found<'a>),
    /// A route or rule that denies.
    Denied {
        kind: RouteType,
        locus: Locus,
        by_rule: bool,
    },
    /// Nothing matched; the last table that was looked into.
    None {
        table: u32,
    },
    /// The facts do not say.
    Unknown(String),
}

/// Looks up through the policy rules.
pub(crate) fn lookup<'a>(world: &World<'a>, q: &Query) -> Lookup<'a> {
    let family = Family::of(&q.dst);
    if world.routes.is_none() {
        return Lookup::Unknown("the routes were not read".into());
    }
    let rules: Vec<&Rule> = match world.rules {
        Some(r) => r.0.iter().filter(|r| r.family == family).collect(),
        None => Vec::new(),
    };
    let mut last_table = 254;
    if world.rules.is_none() || rules.is_empty() {
        // A namespace without rules of the family cannot route; unread rules are taken as the defaults.
        if world.rules.is_some() {
            return Lookup::None { table: 254 };
        }
        for table in [255, 254, 253] {
            if let Some(found) = table_lookup(world, q, family, table) {
                return found;
            }
        }
        return Lookup::None { table: 254 };
    }
    let mut i = 0;
    // A goto leads only forward, so this ends.
    while let Some(rule) = rules.get(i) {
        i += 1;
        match rule_matches(world, rule, q) {
            Some(true) => {}
            Some(false) => continue,
            None => {
                return Lookup::Unknown(format!(
                    "policy rule {} has a selector this build does not know",
                    rule.priority
                ));
            }
        }
        match rule.action {
            RuleAction::Nop => {}
            RuleAction::Goto(target) => {
                match rules.iter().position(|r| r.priority == target) {
                    Some(at) if at >= i => i = at,
                    // An unresolved or backward target does nothing.
                    _ => {}
                }
            }
            RuleAction::Blackhole => return denied_by_rule(rule, RouteType::Blackhole),
            RuleAction::Unreachable => return denied_by_rule(rule, RouteType::Unreachable),
            RuleAction::Prohibit => return denied_by_rule(rule, RouteType::Prohibit),
            RuleAction::Other(n) => {
                return Lookup::Unknown(format!("policy rule {} has action {n}", rule.priority));
            }
            RuleAction::Table(mut table) => {
                if rule.l3mdev {
                    let dev = q.oif.or(q.iif);
                    match dev.and_then(|d| world.vrf_of(d)).and_then(|v| v.vrf_table) {
                        Some(t) => table = t,
                        None => continue,
                    }
                }
                if table == 0 {
                    continue;
                }
                // What is missing is missing from main, or from a table of the administrator's.
                if !matches!(table, 253 | 255) {
                    last_table = table;
                }
                match table_lookup(world, q, family, table) {
                    None => continue,
                    Some(Lookup::Found(found)) => {
                        if let Some(limit) = rule.suppress_prefixlen
                            && limit >= 0
                            && i32::from(found.route.dst.len) <= limit
                        {
                            continue;
                        }
                        if let Some(group) = rule.suppress_ifgroup
                            && group >= 0
                        {
                            return Lookup::Unknown(format!(
                                "policy rule {} leaves out device group {group}, and groups are not read",
                                rule.priority
                            ));
                        }
                        return Lookup::Found(found);
                    }
                    Some(other) => return other,
                }
            }
        }
    }
    Lookup::None { table: last_table }
}

fn denied_by_rule<'a>(rule: &Rule, kind: RouteType) -> Lookup<'a> {
    Lookup::Denied { kind, locus: rule_locus(rule), by_rule: true }
}

/// The locus of a policy rule.
pub(crate) fn rule_locus(rule: &Rule) -> Locus {
    let family = if rule.family == Family::Inet { 4 } else { 6 };
    Locus::Rule { family, priority: rule.priority, text: rule_text(rule) }
}

/// A policy rule as `ip rule` writes it, without its priority.
pub fn rule_text(rule: &Rule) -> String {
    let mut t = String::new();
    if rule.invert {
        t.push_str("not ");
    }
    match &rule.from {
        Some(net) if net.len > 0 => t.push_str(&format!("from {}", net_text(net))),
        _ => t.push_str("from all"),
    }
    if let Some(net) = rule.to.as_ref().filter(|n| n.len > 0) {
        t.push_str(&format!(" to {}", net_text(net)));
    }
    if rule.tos != 0 {
        t.push_str(&format!(" tos 0x{:02x}", rule.tos));
    }
    match rule.fwmark {
        Some((mark, u32::MAX)) => t.push_str(&format!(" fwmark {mark:#x}")),
        Some((mark, mask)) => t.push_str(&format!(" fwmark {mark:#x}/{mask:#x}")),
        None => {}
    }
    if let Some(dev) = &rule.iif {
        t.push_str(&format!(" iif {dev}"));
    }
    if let Some(dev) = &rule.oif {
        t.push_str(&format!(" oif {dev}"));
    }
    if rule.l3mdev {
        t.push_str(" l3mdev");
    }
    if let Some((a, b)) = rule.uid_range {
        t.push_str(&format!(" uidrange {a}-{b}"));
    }
    if let Some(p) = rule.ip_proto {
        t.push_str(&format!(" ipproto {}", crate::text::proto_name(p)));
    }
    for (word, range) in [("sport", rule.sport), ("dport", rule.dport)] {
        match range {
            Some((a, b)) if a == b => t.push_str(&format!(" {word} {a}")),
            Some((a, b)) => t.push_str(&format!(" {word} {a}-{b}")),
            None => {}
        }
    }
    match rule.action {
        RuleAction::Table(_) if rule.l3mdev => {}
        RuleAction::Table(255) => t.push_str(" lookup local"),
        RuleAction::Table(254) => t.push_str(" lookup main"),
        RuleAction::Table(253) => t.push_str(" lookup default"),
        RuleAction::Table(n) => t.push_str(&format!(" lookup {n}")),
        RuleAction::Goto(n) => t.push_str(&format!(" goto {n}")),
        RuleAction::Nop => t.push_str(" nop"),
        RuleAction::Blackhole => t.push_str(" blackhole"),
        RuleAction::Unreachable => t.push_str(" unreachable"),
        RuleAction::Prohibit => t.push_str(" prohibit"),
        RuleAction::Other(n) => t.push_str(&format!(" action {n}")),
    }
    match rule.suppress_prefixlen {
        Some(n) if n >= 0 => t.push_str(&format!(" suppress_prefixlength {n}")),
        _ => {}
    }
    match rule.suppress_ifgroup {
        Some(n) if n >= 0 => t.push_str(&format!(" suppress_ifgroup {n}")),
        _ => {}
    }
    t
}

fn net_text(net: &IpNet) -> String {
    if net.len == Family::of(&net.addr).bits() { net.addr.to_string() } else { net.to_string() }
}

/// Whether a rule selects the query; `None` when it has a selector that cannot be evaluated.
fn rule_matches(world: &World<'_>, rule: &Rule, q: &Query) -> Option<bool> {
    if !rule.unknown.is_empty() {
        return None;
    }
    Some(selectors_match(world, rule, q) != rule.invert)
}

fn selectors_match(world: &World<'_>, rule: &Rule, q: &Query) -> bool {
    if let Some(name) = &rule.iif {
        let iif = q.iif.unwrap_or_else(|| world.lo());
        let vrf = world.vrf_of(iif).is_some_and(|v| v.name == *name);
        if world.dev_name(iif) != *name && !vrf {
            return false;
        }
    }
    if let Some(name) = &rule.oif {
        let Some(oif) = q.oif else { return false };
        let vrf = world.vrf_of(oif).is_some_and(|v| v.name == *name);
        if world.dev_name(oif) != *name && !vrf {
            return false;
        }
    }
    if let Some(net) = rule.from.as_ref().filter(|n| n.len > 0)
        && !q.src.is_some_and(|s| !s.is_unspecified() && net.contains(&s))
    {
        return false;
    }
    if let Some(net) = rule.to.as_ref().filter(|n| n.len > 0)
        && !net.contains(&q.dst)
    {
        return false;
    }
    // The two low bits are ECN and never compared.
    if rule.tos != 0 && rule.tos & 0xfc != q.tos & 0xfc {
        return false;
    }
    if let Some((mark, mask)) = rule.fwmark
        && (mark ^ q.mark) & mask != 0
    {
        return false;
    }
    if let Some((low, high)) = rule.uid_range
        && !q.uid.is_some_and(|u| (low..=high).contains(&u))
    {
        return false;
    }
    if let Some(proto) = rule.ip_proto
        && q.proto != Some(proto)
    {
        return false;
    }
    for (range, port) in [(rule.sport, q.sport), (rule.dport, q.dport)] {
        if let Some((low, high)) = range
            && !port.is_some_and(|p| (low..=high).contains(&p))
        {
            return false;
        }
    }
    true
}

/// Looks into one table. `None`: go on with the next rule.
pub(crate) fn table_lookup<'a>(
    world: &World<'a>,
    q: &Query,
    family: Family,
    table: u32,
) -> Option<Lookup<'a>> {
    for route in world.table(family, table, &q.dst) {
        if route.tos != 0 && route.tos & 0xfc != q.tos & 0xfc {
            continue;
        }
        if let Some(src) = &route.src
            && src.len > 0
            && !q.src.is_some_and(|s| src.contains(&s))
        {
            continue;
        }
        // RTNH_F_DEAD on the whole entry.
        if route.flags & 1 != 0 && route.hops.len() < 2 {
            continue;
        }
        match route.kind {
            RouteType::Throw => return None,
            RouteType::Blackhole | RouteType::Unreachable | RouteType::Prohibit => {
                // Denying IPv6 routes hang on the loopback device and do not match a packet bound to another.
                if family == Family::Inet6 && q.oif.is_some_and(|o| o != world.lo()) {
                    continue;
                }
                return Some(Lookup::Denied {
                    kind: route.kind,
                    locus: route_locus(world, route),
                    by_rule: false,
                });
            }
            _ => {}
        }
        let all = match hops_of(world, route) {
            Ok(hops) => hops,
            Err(HopGap::Blackhole) => {
                return Some(Lookup::Denied {
                    kind: RouteType::Blackhole,
                    locus: route_locus(world, route),
                    by_rule: false,
                });
            }
            Err(HopGap::Missing(id)) => {
                return Some(Lookup::Unknown(format!("nexthop object {id} was not read")));
            }
        };
        let hops: Vec<Hop> = all.into_iter().filter(|h| hop_usable(world, family, h, q)).collect();
        if hops.is_empty() {
            continue;
        }
        return Some(Lookup::Found(Found { route, hops }));
    }
    None
}

enum HopGap {
    Blackhole,
    Missing(u32),
}

/// The next hops of a route, through its nexthop object when it has one.
fn hops_of(world: &World<'_>, route: &Route) -> Result<Vec<Hop>, HopGap> {
    let Some(id) = route.nhid else {
        if route.hops.is_empty() {
            return Ok(vec![Hop { oif: None, gateway: None, weight: 1, flags: 0 }]);
        }
        return Ok(route.hops.clone());
    };
    let find = |id: u32| world.nexthops.and_then(|n| n.0.iter().find(|n| n.id == id));
    let Some(nh) = find(id) else {
        return if route.hops.is_empty() { Err(HopGap::Missing(id)) } else { Ok(route.hops.clone()) };
    };
    if nh.blackhole {
        return Err(HopGap::Blackhole);
    }
    if nh.group.is_empty() {
        return Ok(vec![Hop { oif: nh.oif, gateway: nh.gateway, weight: 1, flags: nh.flags }]);
    }
    let mut hops = Vec::new();
    for (member, weight) in &nh.group {
        let m = find(*member).ok_or(HopGap::Missing(*member))?;
        if m.blackhole {
            return Err(HopGap::Blackhole);
        }
        hops.push(Hop { oif: m.oif, gateway: m.gateway, weight: *weight, flags: m.flags });
    }
    Ok(hops)
}

fn hop_usable(world: &World<'_>, family: Family, hop: &Hop, q: &Query) -> bool {
    if hop.is_dead() {
        return false;
    }
    if hop.is_linkdown()
        && !q.ignore_linkdown
        && let Some(dev) = hop.oif
    {
        let name = world.dev_name(dev);
        let all = world.conf(family, "all", "ignore_routes_with_linkdown").unwrap_or(0);
        let own = world.conf(family, &name, "ignore_routes_with_linkdown").unwrap_or(0);
        let ignore = if family == Family::Inet { all.max(own) } else { own };
        if ignore > 0 {
            return false;
        }
    }
    match q.oif {
        Some(oif) => hop.oif == Some(oif) || world.vrf_of(oif).is_some_and(|v| v.index == oif),
        None => true,
    }
}

/// The locus of a route.
pub(crate) fn route_locus(world: &World<'_>, route: &Route) -> Locus {
    let hop = route.hops.first();
    Locus::Route {
        table: route.table,
        dst: route.dst,
        dev: hop.and_then(|h| h.oif).map(|i| world.dev_name(i)),
        gateway: hop.and_then(|h| h.gateway),
        route_type: route.kind.name(),
        metric: route.priority,
    }
}

/// A route as `ip route` writes its first words.
pub(crate) fn route_text(world: &World<'_>, route: &Route, hop: Option<&Hop>) -> String {
    let mut t = String::new();
    if route.kind != RouteType::Unicast {
        t.push_str(&route.kind.name());
        t.push(' ');
    }
    if route.dst.len == 0 {
        t.push_str("default");
    } else {
        t.push_str(&net_text(&route.dst));
    }
    if let Some(hop) = hop {
        if let Some(gw) = hop.gateway {
            t.push_str(&format!(" via {gw}"));
        }
        if let Some(oif) = hop.oif {
            t.push_str(&format!(" dev {}", world.dev_name(oif)));
        }
    }
    match route.table {
        254 => {}
        255 => t.push_str(" table local"),
        n => t.push_str(&format!(" table {n}")),
    }
    t
}
