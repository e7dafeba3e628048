//! `ip route show` and `get`: one route as `ip` writes it (rtnetlink `RTM_NEWROUTE`, uapi `linux/rtnetlink.h`).

use std::net::IpAddr;

use netwhy_wire::netlink::{Attribute, Fixed, Table};

use crate::iproute::words::same_prefix;
use crate::iproute::{AF_INET, AF_INET6, Look, Page, Paint, family_word, mac};
use crate::session::ToolError;

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
pub(crate) const RTM_GETROUTE: u16 = 26;

pub(crate) const RTA_DST: u16 = 1;
pub(crate) const RTA_SRC: u16 = 2;
pub(crate) const RTA_IIF: u16 = 3;
pub(crate) const RTA_OIF: u16 = 4;
pub(crate) const RTA_GATEWAY: u16 = 5;
pub(crate) const RTA_PRIORITY: u16 = 6;
pub(crate) const RTA_PREFSRC: u16 = 7;
pub(crate) const RTA_METRICS: u16 = 8;
pub(crate) const RTA_MULTIPATH: u16 = 9;
pub(crate) const RTA_FLOW: u16 = 11;
const RTA_CACHEINFO: u16 = 12;
pub(crate) const RTA_TABLE: u16 = 15;
pub(crate) const RTA_MARK: u16 = 16;
pub(crate) const RTA_VIA: u16 = 18;
const RTA_NEWDST: u16 = 19;
pub(crate) const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
pub(crate) const RTA_EXPIRES: u16 = 23;
pub(crate) const RTA_UID: u16 = 25;
const RTA_TTL_PROPAGATE: u16 = 26;
pub(crate) const RTA_IP_PROTO: u16 = 27;
pub(crate) const RTA_SPORT: u16 = 28;
pub(crate) const RTA_DPORT: u16 = 29;
pub(crate) const RTA_NH_ID: u16 = 30;

/// Attributes of a route are read up to this number.
pub(crate) const ROUTE_ATTRIBUTES: usize = 32;
type Attributes<'a> = Table<'a, ROUTE_ATTRIBUTES>;

/// `RTM_F_CLONED`: an entry of a cache, or an answer to `get`.
pub(crate) const CLONED: u32 = 0x200;
/// `RTM_F_LOOKUP_TABLE`: tell the real table in an answer.
pub(crate) const LOOKUP_TABLE: u32 = 0x1000;
/// `RTM_F_FIB_MATCH`: the entry that matched instead of the answer made from it.
pub(crate) const FIB_MATCH: u32 = 0x2000;

const MAIN: u32 = 254;

/// Types of routes (`RTN_*`).
pub(crate) const TYPES: [&str; 12] = [
    "none",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// Metrics (`RTAX_*`), from 1.
pub(crate) const METRICS: [&str; 17] = [
    "lock",
    "mtu",
    "window",
    "rtt",
    "rttvar",
    "ssthresh",
    "cwnd",
    "advmss",
    "reordering",
    "hoplimit",
    "initcwnd",
    "features",
    "rto_min",
    "initrwnd",
    "quickack",
    "congctl",
    "fastopen_no_cookie",
];

/// A destination or source a route has to have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selector {
    /// Routes inside a prefix.
    Root(IpAddr, u8),
    /// Routes that hold a prefix.
    Match(IpAddr, u8),
    /// Just this prefix.
    Exact(IpAddr, u8),
}

impl Selector {
    fn takes(&self, address: Option<IpAddr>, length: u8) -> bool {
        let zero = |like: &IpAddr| match like {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        match self {
            Selector::Root(prefix, bits) => {
                length >= *bits && same_prefix(prefix, &address.unwrap_or_else(|| zero(prefix)), *bits)
            }
            Selector::Match(prefix, bits) => {
                length <= *bits && same_prefix(&address.unwrap_or_else(|| zero(prefix)), prefix, length)
            }
            Selector::Exact(prefix, bits) => {
                length == *bits && address.unwrap_or_else(|| zero(prefix)) == *prefix
            }
        }
    }

    pub(crate) const fn address(&self) -> &IpAddr {
        match self {
            Selector::Root(address, _) | Selector::Match(address, _) | Selector::Exact(address, _) => address,
        }
    }
}

/// What is shown and what is not. What is filtered by is not repeated in text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// 0: every table.
    pub(crate) table: u32,
    pub(crate) cached: bool,
    pub(crate) protocol: Option<u8>,
    pub(crate) scope: Option<u8>,
    pub(crate) kind: Option<u8>,
    pub(crate) tos: Option<u8>,
    pub(crate) oif: Option<u32>,
    pub(crate) iif: Option<u32>,
    pub(crate) via: Option<IpAddr>,
    pub(crate) prefsrc: Option<IpAddr>,
    pub(crate) metric: Option<u32>,
    pub(crate) mark: Option<u32>,
    pub(crate) realm: Option<u32>,
    pub(crate) dst: Option<Selector>,
    pub(crate) src: Option<Selector>,
    /// The answer to `get` rather than a listing.
    pub(crate) get: bool,
    /// An event: no table was asked for, and lists of next hops are not looked up.
    pub(crate) event: bool,
}

impl Filter {
    fn takes(
        &self,
        fixed: Fixed<'_>,
        table: &Attributes<'_>,
        number: u32,
        cached: bool,
    ) -> Result<bool, ToolError> {
        if self.get {
            return Ok(true);
        }
        let is = |wanted: Option<u8>, at: usize| wanted.is_none_or(|wanted| fixed.u8(at) == Some(wanted));
        if (self.table != 0 && number != self.table)
            || cached != self.cached
            || !is(self.protocol, 5)
            || !is(self.scope, 6)
            || !is(self.kind, 7)
            || !is(self.tos, 3)
        {
            return Ok(false);
        }
        let has = |wanted: Option<u32>, kind: u16| {
            Ok::<_, ToolError>(wanted.is_none() || table.u32(kind)?.unwrap_or(0) == wanted.unwrap_or(0))
        };
        if !has(self.oif, RTA_OIF)?
            || !has(self.iif, RTA_IIF)?
            || !has(self.metric, RTA_PRIORITY)?
            || !has(self.mark, RTA_MARK)?
            || !has(self.realm, RTA_FLOW)?
        {
            return Ok(false);
        }
        if self.via.is_some() && table.ip(RTA_GATEWAY)? != self.via {
            return Ok(false);
        }
        if self.prefsrc.is_some() && table.ip(RTA_PREFSRC)? != self.prefsrc {
            return Ok(false);
        }
        if let Some(selector) = &self.dst
            && !selector.takes(table.ip(RTA_DST)?, fixed.u8(1).unwrap_or(0))
        {
            return Ok(false);
        }
        if let Some(selector) = &self.src
            && !selector.takes(table.ip(RTA_SRC)?, fixed.u8(2).unwrap_or(0))
        {
            return Ok(false);
        }
        Ok(true)
    }
}

/// The `struct rtnexthop`s of a list, each with its attributes.
fn hops<'a>(list: &Attribute<'a>) -> impl Iterator<Item = Fixed<'a>> + use<'a> {
    let mut rest = list.payload;
    std::iter::from_fn(move || {
        let length = usize::from(Fixed(rest).u16(0)?);
        if length < 8 {
            return None;
        }
        let one = rest.get(..length)?;
        rest = rest.get(netwhy_wire::netlink::align(length)..).unwrap_or(&[]);
        Some(Fixed(one))
    })
}

/// `ref medium`.
fn preference(value: u8) -> &'static str {
    match value {
        0 => "medium",
        1 => "high",
        3 => "low",
        _ => "unknown",
    }
}

const HOP_FLAGS: [(u32, &str); 8] = [
    (0x1, "dead"),
    (0x4, "onlink"),
    (0x2, "pervasive"),
    (0x8, "offload"),
    (0x40, "trap"),
    (0x10, "linkdown"),
    (0x20, "unresolved"),
    (0, ""),
];

fn hop_flags(page: &mut Page<'_>, flags: u32) {
    page.list("flags");
    for (bit, word) in HOP_FLAGS {
        if bit != 0 && flags & bit != 0 {
            page.put("", format_args!("{word} "), word);
        }
    }
    // Flags of the route itself stand in the same word.
    for (bit, word) in [
        (0x100_u32, "notify"),
        (0x4000, "rt_offload"),
        (0x8000, "rt_trap"),
        (0x2000_0000, "rt_offload_failed"),
    ] {
        if flags & bit != 0 {
            page.put("", format_args!("{word} "), word);
        }
    }
    page.end_list();
}

/// Gateway of a route or of one of its hops; of another family it is told apart.
fn gateway(
    page: &mut Page<'_>,
    family: u8,
    table: &Attributes<'_>,
    filter: &Filter,
) -> Result<(), ToolError> {
    if let Some(address) = table.ip(RTA_GATEWAY)?
        && filter.via.is_none()
    {
        page.say("via ");
        page.paint(Paint::of_family(family), "gateway", format_args!("{address} "), address.to_string());
    }
    if let Some(via) = table.get(RTA_VIA) {
        let own = via.fixed().u16(0).and_then(|family| u8::try_from(family).ok()).unwrap_or(0);
        let text = address_text(own, via.payload.get(2..).unwrap_or(&[]));
        page.open("via");
        let word = family_word(own);
        page.put("family", format_args!("via {word} "), word);
        page.paint(Paint::of_family(own), "host", format_args!("{text} "), &text);
        page.close();
    }
    Ok(())
}

/// An address of a family; what is not one is shown in hexadecimal.
pub(crate) fn address_text(family: u8, bytes: &[u8]) -> String {
    if family == AF_INET
        && let Ok(four) = <[u8; 4]>::try_from(bytes)
    {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    if family == AF_INET6
        && let Ok(sixteen) = <[u8; 16]>::try_from(bytes)
    {
        return std::net::Ipv6Addr::from(sixteen).to_string();
    }
    mac(bytes)
}

fn realms(page: &mut Page<'_>, look: &Look, value: u32) {
    let (from, to) = (value >> 16, value & 0xffff);
    let to = look.tables.realm(to);
    page.open("flow");
    if from == 0 {
        page.put("to", format_args!("realm {to} "), to.as_ref());
    } else {
        let from = look.tables.realm(from);
        page.put("from", format_args!("realms {from}/"), from.as_ref());
        page.put("to", format_args!("{to} "), to.as_ref());
    }
    page.close();
}

fn prefix(
    page: &mut Page<'_>,
    key: &str,
    word: &str,
    family: u8,
    address: Option<IpAddr>,
    length: u8,
    default: bool,
) {
    let most = if family == AF_INET6 { 128 } else { 32 };
    let text = match address {
        Some(address) if length == most => address.to_string(),
        Some(address) => format!("{address}/{length}"),
        None if length != 0 => format!("0/{length}"),
        None if default => "default".to_owned(),
        None => return,
    };
    page.say(word);
    let paint = if address.is_some() { Paint::of_family(family) } else { Paint::Plain };
    page.paint(paint, key, format_args!("{text} "), &text);
}

/// One route; nothing if the filter does not take it. Returns whether it was written.
pub(crate) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    filter: &Filter,
    kind: u16,
    nexthop: &dyn Fn(&mut Page<'_>, u32),
) -> Result<bool, ToolError> {
    let fixed = Fixed(payload);
    let table: Attributes<'_> = Table::after(payload, 12)?;
    let byte = |at: usize| fixed.u8(at).unwrap_or(0);
    let family = byte(0);
    let flags = fixed.u32(8).unwrap_or(0);
    let number = table.u32(RTA_TABLE)?.unwrap_or_else(|| byte(4).into());
    let cloned = flags & CLONED != 0;
    if !filter.takes(fixed, &table, number, cloned)? {
        return Ok(false);
    }
    let details = look.options.details;
    page.open("");
    if kind == RTM_DELROUTE {
        page.flag("deleted", "Deleted ");
    }
    let route_type = byte(7);
    if route_type != 1 || details {
        match TYPES.get(usize::from(route_type)).filter(|_| !look.options.numeric) {
            Some(word) => page.put("type", format_args!("{word} "), *word),
            None => page.put("type", format_args!("{route_type} "), route_type.to_string()),
        }
    }
    prefix(page, "dst", "", family, table.ip(RTA_DST)?, byte(1), true);
    prefix(page, "from", "from ", family, table.ip(RTA_SRC)?, byte(2), false);
    if let Some(to) = table.get(RTA_NEWDST) {
        let text = address_text(family, to.payload);
        page.put("to", format_args!("as to {text} "), &text);
    }
    encapsulation(page, &table)?;
    if byte(3) != 0 && filter.tos.is_none() {
        let word = look.tables.ds(byte(3).into());
        page.put("tos", format_args!("tos {word} "), word.as_ref());
    }
    if let Some(id) = table.u32(RTA_NH_ID)? {
        page.put("nhid", format_args!("nhid {id} "), id);
    }
    gateway(page, family, &table, filter)?;
    if let Some(index) = table.u32(RTA_OIF)?
        && filter.oif.is_none()
    {
        let name = look.devices.name(index);
        page.say("dev ");
        page.paint(Paint::Device, "dev", format_args!("{name} "), name.as_ref());
    }
    let telling = number != MAIN || (details && !filter.event);
    if filter.table == 0 && number != 0 && telling {
        let name = look.tables.table(number);
        page.put("table", format_args!("table {name} "), name.as_ref());
    }
    if !cloned {
        if (byte(5) != 3 || details) && filter.protocol.is_none() {
            let name = look.tables.protocol(byte(5).into());
            page.put("protocol", format_args!("proto {name} "), name.as_ref());
        }
        if (byte(6) != 0 || details) && filter.scope.is_none() {
            let name = look.tables.scope(byte(6).into());
            page.put("scope", format_args!("scope {name} "), name.as_ref());
        }
    }
    if let Some(address) = table.ip(RTA_PREFSRC)?
        && filter.prefsrc.is_none()
    {
        page.put("prefsrc", format_args!("src {address} "), address.to_string());
    }
    if let Some(metric) = table.u32(RTA_PRIORITY)?
        && filter.metric.is_none()
    {
        page.put("metric", format_args!("metric {metric} "), metric);
    }
    hop_flags(page, flags);
    if let Some(mark) = table.u32(RTA_MARK)?.filter(|mark| *mark != 0)
        && filter.mark.is_none()
    {
        if mark >= 16 {
            page.put("mark", format_args!("mark {mark:#x} "), format!("{mark:#x}"));
        } else {
            page.put("mark", format_args!("mark {mark} "), mark);
        }
    }
    if let Some(value) = table.u32(RTA_FLOW)?
        && filter.realm.is_none()
    {
        realms(page, look, value);
    }
    if let Some(user) = table.u32(RTA_UID)? {
        page.put("uid", format_args!("uid {user} "), user);
    }
    if cloned && family == AF_INET {
        cache(page, look, flags, &table);
    } else if family == AF_INET6 {
        lifetime(page, look, &table);
    }
    if let Some(metrics) = table.get(RTA_METRICS) {
        print_metrics(page, &metrics)?;
    }
    if let Some(index) = table.u32(RTA_IIF)?
        && filter.iif.is_none()
    {
        let name = look.devices.name(index);
        page.say("iif ");
        page.paint(Paint::Device, "iif", format_args!("{name} "), name.as_ref());
    }
    if let Some(value) = table.u8(RTA_PREF)? {
        let word = preference(value);
        page.put("pref", format_args!("pref {word}"), word);
    }
    if let Some(value) = table.u8(RTA_TTL_PROPAGATE)? {
        let word = if value != 0 { "enabled" } else { "disabled" };
        page.put("ttl-propogate", format_args!("ttl-propagate {word}"), value != 0);
    }
    if details && let Some(id) = table.u32(RTA_NH_ID)? {
        nexthop(page, id);
    }
    if let Some(list) = table.get(RTA_MULTIPATH) {
        multipath(page, look, family, &list, filter)?;
    }
    page.say("\n");
    page.close();
    Ok(true)
}

/// The list of next hops, one a line.
fn multipath(
    page: &mut Page<'_>,
    look: &Look,
    family: u8,
    list: &Attribute<'_>,
    filter: &Filter,
) -> Result<(), ToolError> {
    page.list("nexthops");
    for hop in hops(list) {
        page.open("");
        page.line();
        page.say("\tnexthop ");
        let table: Attributes<'_> = Table::after(hop.0, 8)?;
        encapsulation(page, &table)?;
        gateway(page, family, &table, filter)?;
        let index = hop.u32(4).unwrap_or(0);
        let name = look.devices.name(index);
        page.say("dev ");
        page.paint(Paint::Device, "dev", format_args!("{name} "), name.as_ref());
        if let Some(value) = table.u32(RTA_FLOW)? {
            realms(page, look, value);
        }
        let weight = u16::from(hop.u8(3).unwrap_or(0)) + 1;
        page.put("weight", format_args!("weight {weight} "), weight);
        hop_flags(page, hop.u8(2).unwrap_or(0).into());
        page.close();
    }
    page.end_list();
    Ok(())
}

/// `    cache <local,brd> expires 5sec `.
fn cache(page: &mut Page<'_>, look: &Look, flags: u32, table: &Attributes<'_>) {
    // RTCF_* (kernel's in_route.h): what the answer was made of.
    const WORDS: [(u32, &str); 9] = [
        (0x8000_0000, "local"),
        (0x0004_0000, "redirected"),
        (0x1000_0000, "brd"),
        (0x2000_0000, "mc"),
        (0x0080_0000, "src-direct"),
        (0x0002_0000, "redirect-src"),
        (0x0100_0000, "reject"),
        (0x0800_0000, "notify"),
        (0x0001_0000, "proxy"),
    ];
    page.line();
    page.say("    cache ");
    let words: Vec<&str> = WORDS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, word)| *word).collect();
    page.list("cache");
    for word in &words {
        page.json("", *word);
    }
    page.end_list();
    if !words.is_empty() {
        page.text(format_args!("<{}> ", words.join(",")));
    }
    lifetime(page, look, table);
}

/// `expires`, and with `-s` users and age (`struct rta_cacheinfo`).
fn lifetime(page: &mut Page<'_>, look: &Look, table: &Attributes<'_>) {
    let Some(info) = table.fixed(RTA_CACHEINFO) else { return };
    let number = |at: usize| info.u32(at).unwrap_or(0);
    if let Some(ticks) = info.i32(8).filter(|ticks| *ticks != 0) {
        // clock_t, 100 a second.
        let seconds = ticks / 100;
        page.put("expires", format_args!("expires {seconds}sec "), seconds);
    }
    if let Some(error) = info.i32(12).filter(|error| *error != 0) {
        page.put("error", format_args!("error {error} "), error);
    }
    if look.options.stats > 0 {
        if number(0) != 0 {
            page.put("users", format_args!("users {} ", number(0)), number(0));
        }
        if number(16) != 0 {
            page.put("used", format_args!("used {} ", number(16)), number(16));
        }
        if number(4) != 0 {
            page.put("age", format_args!("age {}sec ", number(4) / 100), number(4) / 100);
        }
    }
}

fn print_metrics(page: &mut Page<'_>, attribute: &Attribute<'_>) -> Result<(), ToolError> {
    let table: Table<'_, 18> = Table::read(attribute.attributes())?;
    let locked = table.u32(1)?.unwrap_or(0);
    page.list("metrics");
    page.open("");
    for (number, name) in (1_u16..).zip(METRICS) {
        let Some(one) = table.get(number).filter(|_| number != 1) else { continue };
        let lock = if locked & (1 << number) != 0 { "lock " } else { "" };
        if name == "congctl" {
            let text = one.text();
            page.put(name, format_args!("{name} {lock}{text} "), &text);
            continue;
        }
        let value = one.u32()?;
        match name {
            // In eighths and quarters of a millisecond.
            "rtt" | "rttvar" => {
                let unit = if name == "rtt" { 8 } else { 4 };
                let shown = value / unit;
                page.put(name, format_args!("{name} {lock}{shown}ms "), shown);
            }
            "rto_min" => page.put(name, format_args!("{name} {lock}{value}ms "), value),
            "features" => features(page, value, lock),
            _ => page.put(name, format_args!("{name} {lock}{value} "), value),
        }
    }
    page.close();
    page.end_list();
    Ok(())
}

fn features(page: &mut Page<'_>, value: u32, lock: &str) {
    page.text(format_args!("features {lock}"));
    let mut left = value;
    for (bit, word) in [(0x1, "ecn"), (0x10, "tcp_usec_ts")] {
        if value & bit != 0 {
            page.text(format_args!("{word} "));
            left &= !bit;
        }
    }
    if left != 0 {
        page.text(format_args!("{left:#x} "));
    }
    page.json("features", value);
}

/// `encap ip id 42 dst ...` of light-weight tunnels.
fn encapsulation(page: &mut Page<'_>, table: &Attributes<'_>) -> Result<(), ToolError> {
    const NAMES: [&str; 11] =
        ["none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"];
    let (Some(kind), Some(data)) = (table.u16(RTA_ENCAP_TYPE)?, table.get(RTA_ENCAP)) else { return Ok(()) };
    let name = NAMES.get(usize::from(kind)).copied().unwrap_or("unknown");
    page.put("encap", format_args!(" encap {name} "), name);
    let inner: Table<'_, 12> = Table::read(data.attributes())?;
    if matches!(name, "ip" | "ip6") {
        if let Some(id) = inner.be64(1)? {
            page.put("id", format_args!("id {id} "), id);
        }
        for (kind, word) in [(3, "src"), (2, "dst")] {
            if let Some(address) = inner.ip(kind)? {
                page.put(word, format_args!("{word} {address} "), address.to_string());
            }
        }
        for (kind, word) in
            [(4, if name == "ip" { "ttl" } else { "hoplimit" }), (5, if name == "ip" { "tos" } else { "tc" })]
        {
            if let Some(value) = inner.u8(kind)? {
                page.put(word, format_args!("{word} {value} "), value);
            }
        }
    } else if name == "mpls"
        && let Some(labels) = inner.get(1)
    {
        let text = labels
            .payload
            .chunks_exact(4)
            .filter_map(|four| four.try_into().ok().map(u32::from_be_bytes))
            .map(|entry| (entry >> 12).to_string())
            .collect::<Vec<_>>()
            .join("/");
        page.put("dst", format_args!(" {text} "), &text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_take_what_is_inside_what_holds_and_what_is_the_same() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let route = (Some(ip("10.1.0.0")), 16);
        assert!(Selector::Root(ip("10.0.0.0"), 8).takes(route.0, route.1));
        assert!(!Selector::Root(ip("10.1.2.0"), 24).takes(route.0, route.1));
        assert!(Selector::Match(ip("10.1.2.3"), 32).takes(route.0, route.1));
        assert!(Selector::Match(ip("10.1.2.3"), 32).takes(None, 0), "the default route holds everything");
        assert!(Selector::Exact(ip("10.1.0.0"), 16).takes(route.0, route.1));
        assert!(!Selector::Exact(ip("10.1.0.0"), 17).takes(route.0, route.1));
    }
}
