//! `ip route add`, `change`, `replace`, `append`, `prepend`, `delete` and `flush`.

use std::net::IpAddr;

use netwhy_wire::netlink::{Attributes, Builder, Fixed, Table};

use super::super::read::{realms, route_type};
use super::super::route::{
    self, METRICS, ROUTE_ATTRIBUTES, RTA_DST, RTA_EXPIRES, RTA_FLOW, RTA_GATEWAY, RTA_METRICS, RTA_MULTIPATH,
    RTA_NH_ID, RTA_OIF, RTA_PREF, RTA_PREFSRC, RTA_PRIORITY, RTA_SRC, RTA_TABLE, RTA_VIA, RTM_DELROUTE,
    RTM_GETROUTE, RTM_NEWROUTE, TYPES,
};
use super::{flags, written};
use crate::iproute::words::{self, Words, prefix, wrong};
use crate::iproute::{AF_INET, AF_INET6, AF_UNSPEC, Ctx, WRONG};
use crate::session::ToolError;

/// One next hop: gateway, perhaps of another family, device, weight less one, flags.
#[derive(Default)]
struct Hop<'w> {
    gateway: Option<IpAddr>,
    device: Option<&'w str>,
    weight: u8,
    flags: u8,
}

/// What the words say.
struct Route<'w> {
    family: u8,
    dst: Option<(IpAddr, u8)>,
    src: Option<(IpAddr, u8)>,
    kind: u8,
    table: Option<u32>,
    protocol: Option<u8>,
    scope: Option<u8>,
    tos: u8,
    hop: Hop<'w>,
    hops: Vec<Hop<'w>>,
    prefsrc: Option<IpAddr>,
    metric: Option<u32>,
    realm: Option<u32>,
    nexthop: Option<u32>,
    expires: Option<u32>,
    preference: Option<u8>,
    locked: u32,
    metrics: Vec<(u16, u32)>,
    congestion: Option<&'w str>,
}

const ONLINK: u8 = 4;
const PERVASIVE: u8 = 2;

fn gateway<'w>(words: &mut Words<'w>, family: u8) -> Result<IpAddr, ToolError> {
    let mut word = words.value()?;
    let mut own = family;
    if matches!(word, "inet" | "inet6") {
        own = if word == "inet" { AF_INET } else { AF_INET6 };
        word = words.value()?;
    }
    // The gateway of an IPv4 route may be an IPv6 one.
    words::address(word, if word.contains(':') { AF_INET6 } else { own })
}

/// A time of a metric: `30`, `30ms`, `1s`; in milliseconds.
fn milliseconds(word: &str) -> Result<u32, ToolError> {
    let (number, unit) = match word.find(|letter: char| letter.is_ascii_alphabetic()) {
        Some(at) => word.split_at(at),
        None => (word, "ms"),
    };
    let scale = match unit {
        "s" | "sec" | "secs" => 1000.0,
        "ms" | "msec" | "msecs" => 1.0,
        _ => return Err(wrong(word, "time is wrong\n")),
    };
    let value: f64 = number.parse().map_err(|_| wrong(word, "time is wrong\n"))?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a clamped number of milliseconds"
    )]
    let rounded = (value * scale).round().clamp(0.0, f64::from(u32::MAX)) as u32;
    Ok(rounded)
}

impl<'w> Route<'w> {
    fn read(ctx: &mut Ctx<'_>, words: &mut Words<'w>) -> Result<Self, ToolError> {
        let family = ctx.look.options.family;
        let mut route = Route {
            family,
            dst: None,
            src: None,
            kind: 0,
            table: None,
            protocol: None,
            scope: None,
            tos: 0,
            hop: Hop::default(),
            hops: Vec::new(),
            prefsrc: None,
            metric: None,
            realm: None,
            nexthop: None,
            expires: None,
            preference: None,
            locked: 0,
            metrics: Vec::new(),
            congestion: None,
        };
        let mut named = false;
        while let Some(word) = words.next() {
            if route.word(ctx, word, words)? {
                continue;
            }
            let mut word = word;
            if word == "to" {
                word = words.value()?;
            }
            if let Some(kind) = route_type(word).filter(|_| !named) {
                route.kind = kind;
                word = words.value()?;
            }
            if named {
                return Err(words::garbage("to", word));
            }
            named = true;
            route.dst = Some(prefix(word, family)?);
        }
        if route.family == AF_UNSPEC {
            let like = route.dst.filter(|(_, length)| *length != 0).map(|(address, _)| address);
            let like = like
                .or(route.hop.gateway)
                .or(route.hops.first().and_then(|hop| hop.gateway))
                .or(route.prefsrc);
            route.family = match (like, route.dst) {
                (Some(address), _) | (None, Some((address, _))) if address.is_ipv6() => AF_INET6,
                _ => AF_INET,
            };
        }
        Ok(route)
    }

    /// A word and its value; `false` if it begins the destination.
    fn word(&mut self, ctx: &mut Ctx<'_>, word: &str, words: &mut Words<'w>) -> Result<bool, ToolError> {
        let family = self.family;
        let byte = |found: Option<u32>, word: &str, why: &str| {
            found.and_then(|number| u8::try_from(number).ok()).ok_or_else(|| wrong(word, why))
        };
        match word {
            "via" => self.hop.gateway = Some(gateway(words, family)?),
            "dev" | "oif" => self.hop.device = Some(words.value()?),
            "src" => self.prefsrc = Some(words::address(words.value()?, family)?),
            "from" => self.src = Some(prefix(words.value()?, family)?),
            "table" => {
                let word = words.value()?;
                let table = if word == "all" { None } else { ctx.look.tables.tables(word) };
                self.table = Some(table.ok_or_else(|| wrong(word, "\"table\" value is invalid\n"))?);
            }
            "protocol" | "proto" => {
                let word = words.value()?;
                self.protocol =
                    Some(byte(ctx.look.tables.protocols(word), word, "\"protocol\" value is invalid\n")?);
            }
            "scope" => {
                let word = words.value()?;
                self.scope = Some(byte(ctx.look.tables.scopes(word), word, "\"scope\" value is invalid\n")?);
            }
            "tos" | "dsfield" => {
                let word = words.value()?;
                self.tos = byte(ctx.look.tables.dsfield(word), word, "\"tos\" value is invalid\n")?;
            }
            "metric" | "priority" | "preference" => {
                self.metric = Some(words::number(words.value()?, "\"metric\" value is invalid\n")?);
            }
            "realms" | "realm" => {
                let word = words.value()?;
                self.realm = Some(realms(ctx, word)?);
            }
            "onlink" => self.hop.flags |= ONLINK,
            "pervasive" => self.hop.flags |= PERVASIVE,
            "nhid" => self.nexthop = Some(words::number(words.value()?, "\"id\" value is invalid\n")?),
            "expires" => {
                self.expires = Some(words::number(words.value()?, "\"expires\" value is invalid\n")?)
            }
            "pref" => {
                let word = words.value()?;
                self.preference = Some(match word {
                    "low" => 3,
                    "medium" => 0,
                    "high" => 1,
                    word => words::number(word, "\"pref\" value is invalid\n")?,
                });
            }
            "nexthop" => self.nexthops(words)?,
            "encap" | "as" | "ttl-propagate" | "fastopen_no_cookie" => {
                return Err(ToolError::Refused {
                    what: format!("ip route {word}"),
                    why: "netwhy adds no light-weight tunnels".to_owned(),
                    code: WRONG,
                });
            }
            word => return self.metric_word(word, words),
        }
        Ok(true)
    }

    fn metric_word(&mut self, word: &str, words: &mut Words<'w>) -> Result<bool, ToolError> {
        let Some(place) = METRICS.iter().position(|name| *name == word && *name != "lock") else {
            return Ok(false);
        };
        let number = u16::try_from(place + 1).unwrap_or(0);
        let mut value = words.value()?;
        if value == "lock" {
            self.locked |= 1 << number;
            value = words.value()?;
        }
        match word {
            "congctl" => self.congestion = Some(value),
            "rtt" => self.metrics.push((number, milliseconds(value)?.saturating_mul(8))),
            "rttvar" => self.metrics.push((number, milliseconds(value)?.saturating_mul(4))),
            "rto_min" => {
                self.locked |= 1 << number;
                self.metrics.push((number, milliseconds(value)?));
            }
            "features" => {
                let bit = if value == "ecn" {
                    1
                } else {
                    return Err(wrong(value, "\"features\" value not valid\n"));
                };
                self.metrics.push((number, bit));
            }
            _ => {
                self.metrics.push((number, words::number(value, &format!("\"{word}\" value is invalid\n"))?))
            }
        }
        Ok(true)
    }

    fn nexthops(&mut self, words: &mut Words<'w>) -> Result<(), ToolError> {
        let mut hop = Hop::default();
        while let Some(word) = words.peek() {
            match word {
                "via" => {
                    words.next();
                    hop.gateway = Some(gateway(words, self.family)?);
                }
                "dev" => {
                    words.next();
                    hop.device = Some(words.value()?);
                }
                "weight" => {
                    words.next();
                    let word = words.value()?;
                    let weight: u16 = words::number(word, "\"weight\" is invalid\n")?;
                    hop.weight = u8::try_from(weight.wrapping_sub(1))
                        .map_err(|_| wrong(word, "\"weight\" is invalid\n"))?;
                }
                "onlink" => {
                    words.next();
                    hop.flags |= ONLINK;
                }
                _ => break,
            }
        }
        self.hops.push(hop);
        Ok(())
    }

    fn kind(&self) -> u8 {
        if self.kind == 0 { 1 } else { self.kind }
    }

    /// The scope `ip` gives a route: how far its next hop is.
    fn scope(&self, deleting: bool) -> u8 {
        const NOWHERE: u8 = 255;
        const LINK: u8 = 253;
        const HOST: u8 = 254;
        if let Some(scope) = self.scope {
            return scope;
        }
        if self.family == AF_INET6 {
            return 0;
        }
        match self.kind() {
            2 | 10 => HOST,
            3..=5 => LINK,
            0 | 1 if deleting => NOWHERE,
            0 | 1 if self.hop.gateway.is_none() && self.hops.is_empty() && self.nexthop.is_none() => LINK,
            _ => 0,
        }
    }

    fn message(&self, ctx: &mut Ctx<'_>, deleting: bool) -> Result<Builder, ToolError> {
        let (address, length) = match self.dst {
            Some((address, length)) => (Some(address), length),
            None => (None, 0),
        };
        let table = self.table.unwrap_or(if matches!(self.kind(), 2..=4 | 10) { 255 } else { 254 });
        let protocol = self.protocol.unwrap_or(if deleting { 0 } else { 3 });
        let kind = if deleting && self.kind == 0 { 0 } else { self.kind() };
        let mut header = [
            self.family,
            length,
            self.src.map_or(0, |src| src.1),
            self.tos,
            u8::try_from(table).unwrap_or(0),
            protocol,
            self.scope(deleting),
            kind,
            0,
            0,
            0,
            0,
        ];
        header[8..].copy_from_slice(&u32::from(self.hop.flags).to_ne_bytes());
        let mut message = Builder::with_header(&header);
        if let Some(address) = address.filter(|_| length != 0) {
            message.ip(RTA_DST, address);
        }
        if let Some((address, _)) = self.src {
            message.ip(RTA_SRC, address);
        }
        if table > 255 {
            message.u32(RTA_TABLE, table);
        }
        self.put_gateway(&mut message, self.hop.gateway);
        if let Some(device) = self.hop.device {
            message.u32(RTA_OIF, ctx.device(device)?);
        }
        if let Some(address) = self.prefsrc {
            message.ip(RTA_PREFSRC, address);
        }
        if let Some(metric) = self.metric {
            message.u32(RTA_PRIORITY, metric);
        }
        if let Some(realm) = self.realm {
            message.u32(RTA_FLOW, realm);
        }
        if let Some(id) = self.nexthop {
            message.u32(RTA_NH_ID, id);
        }
        if let Some(seconds) = self.expires {
            message.u32(RTA_EXPIRES, seconds);
        }
        if let Some(preference) = self.preference {
            message.u8(RTA_PREF, preference);
        }
        if !self.metrics.is_empty() || self.congestion.is_some() {
            message.nest(RTA_METRICS, |metrics| {
                if self.locked != 0 {
                    metrics.u32(1, self.locked);
                }
                for (number, value) in &self.metrics {
                    metrics.u32(*number, *value);
                }
                if let Some(name) = self.congestion {
                    metrics.str(16, name);
                }
            });
        }
        if !self.hops.is_empty() {
            self.put_hops(ctx, &mut message)?;
        }
        Ok(message)
    }

    fn put_gateway(&self, message: &mut Builder, gateway: Option<IpAddr>) {
        match gateway {
            Some(IpAddr::V6(six)) if self.family == AF_INET => {
                let mut bytes = u16::from(AF_INET6).to_ne_bytes().to_vec();
                bytes.extend_from_slice(&six.octets());
                message.bytes(RTA_VIA, &bytes);
            }
            Some(address) => {
                message.ip(RTA_GATEWAY, address);
            }
            None => {}
        }
    }

    fn put_hops(&self, ctx: &mut Ctx<'_>, message: &mut Builder) -> Result<(), ToolError> {
        let nest = message.begin(RTA_MULTIPATH);
        for hop in &self.hops {
            let index = hop.device.map(|device| ctx.device(device)).transpose()?.unwrap_or(0);
            let mut inner = Builder::new();
            self.put_gateway(&mut inner, hop.gateway);
            let attributes = inner.finish().map_err(super::too_long)?;
            let length = u16::try_from(8 + attributes.len()).unwrap_or(u16::MAX);
            message
                .raw(&length.to_ne_bytes())
                .raw(&[hop.flags, hop.weight])
                .raw(&index.to_ne_bytes())
                .raw(&attributes);
        }
        message.end(nest);
        Ok(())
    }

    /// What finds the route again: type, destination, table, metric.
    fn key(&self, ctx: &Ctx<'_>) -> String {
        let mut text = String::new();
        if self.kind() != 1
            && let Some(word) = TYPES.get(usize::from(self.kind()))
        {
            text.push_str(&format!("{word} "));
        }
        match self.dst {
            Some((address, length)) if length != 0 => text.push_str(&format!("{address}/{length}")),
            _ => text.push_str("default"),
        }
        if let Some(table) = self.table {
            text.push_str(&format!(" table {}", ctx.look.tables.table(table)));
        }
        if let Some(metric) = self.metric {
            text.push_str(&format!(" metric {metric}"));
        }
        if let Some(device) = self.hop.device {
            text.push_str(&format!(" dev {device}"));
        }
        text
    }
}

/// The routes of the table that have the key of `wanted`, in `ip`'s words.
fn existing(ctx: &mut Ctx<'_>, wanted: &Route<'_>) -> Result<Vec<String>, ToolError> {
    let mut header = [0; 12];
    header[0] = wanted.family;
    let mut request = Builder::with_header(&header);
    let table = wanted.table.unwrap_or(254);
    request.u32(RTA_TABLE, table);
    let request = request.finish().map_err(super::too_long)?;
    let length = wanted.dst.map_or(0, |dst| dst.1);
    let Ok(all) = ctx.gather(RTM_GETROUTE, &request) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (kind, payload) in all {
        let attributes: Table<'_, ROUTE_ATTRIBUTES> = Table::after(&payload, 12)?;
        let fixed = Fixed(&payload);
        let own = attributes.ip(RTA_DST)?;
        let same = fixed.u8(1) == Some(length)
            && (length == 0 || own == wanted.dst.map(|dst| dst.0))
            && fixed.u8(3) == Some(wanted.tos)
            && (wanted.metric.is_none() || attributes.u32(RTA_PRIORITY)? == wanted.metric)
            && attributes.u32(RTA_TABLE)?.unwrap_or_else(|| fixed.u8(4).unwrap_or(0).into()) == table;
        if same {
            let filter = route::Filter { event: true, ..route::Filter::default() };
            found.push(written(&ctx.look, |page, look| {
                route::print(page, look, &payload, &filter, kind, &|_, _| {}).map(drop)
            })?);
        }
    }
    Ok(found)
}

/// `add`, `change`, `replace`, `append`, `prepend` and `delete`.
pub(crate) fn modify(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    ctx.load_devices()?;
    let wanted = Route::read(ctx, &mut words)?;
    if wanted.dst.is_none() && wanted.kind == 0 && all.is_empty() {
        return Err(ToolError::usage("Command line is not complete. Try option \"help\"", WRONG));
    }
    let deleting = verb == "delete";
    let message = wanted.message(ctx, deleting)?;
    let before =
        if matches!(verb, "add" | "append" | "prepend") { Vec::new() } else { existing(ctx, &wanted)? };
    let six = if wanted.family == AF_INET6 { "-6 " } else { "" };
    let undo = match (deleting, before.first()) {
        (true, Some(text)) => Some(format!("ip {six}route add {text}")),
        (true, None) => None,
        (false, Some(text)) => Some(format!("ip {six}route replace {text}")),
        (false, None) => Some(format!("ip {six}route del {}", wanted.key(ctx))),
    };
    ctx.announce(&format!("ip {six}route {verb} {}", all.join(" ")), undo.as_deref())?;
    ctx.change(if deleting { RTM_DELROUTE } else { RTM_NEWROUTE }, flags(verb), message)
}

/// `ip route flush`: every route the filter takes, each with its undo.
pub(crate) fn flush(
    ctx: &mut Ctx<'_>,
    family: u8,
    request: &[u8],
    filter: &route::Filter,
) -> Result<(), ToolError> {
    let all = ctx.gather(RTM_GETROUTE, request)?;
    let mut shown = filter.clone();
    shown.event = true;
    let mut count = 0;
    for (kind, payload) in all {
        let text = written(&ctx.look, |page, look| {
            route::print(page, look, &payload, &shown, kind, &|_, _| {}).map(drop)
        })?;
        if text.is_empty() {
            continue;
        }
        count += 1;
        let six = if family == AF_INET6 { "-6 " } else { "" };
        ctx.announce(&format!("remove route {text}"), Some(&format!("ip {six}route add {text}")))?;
        // The route as it was told is what names it.
        let mut message = Builder::with_header(payload.get(..12).unwrap_or(&[0; 12]));
        for attribute in Attributes::after(&payload, 12) {
            let attribute = attribute?;
            // What only describes it is left out.
            if !matches!(attribute.kind, 12 | 25) {
                message.bytes(attribute.kind, attribute.payload);
            }
        }
        ctx.change(RTM_DELROUTE, 0, message)?;
    }
    if count == 0 && ctx.look.options.stats > 0 {
        ctx.page.say("Nothing to flush.\n");
    }
    Ok(())
}
