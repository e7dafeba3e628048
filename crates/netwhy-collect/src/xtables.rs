//! Legacy iptables, ip6tables, arptables and ebtables: `getsockopt` on the tables the namespace uses. Needs
//! CAP_NET_ADMIN. A table that is not in use is left alone: asking for it would create it.

mod matches;
mod targets;

use std::net::IpAddr;

use netwhy_facts::xtables::{XtChain, XtFamily, XtMatch, XtRule, XtTable, XtTarget, XtVerdict, Xtables};
use netwhy_facts::{IpNet, Reading};
use netwhy_sys::xtables::{self as sys, Family, Table};
use netwhy_wire::netlink::Fixed;
use netwhy_wire::xtables::{
    self as wire, ArpSelector, BridgeSelector, Hook, IpSelector, Layout, Masked, MaskedNumber, Rule, Target,
    Verdict,
};

pub use self::matches::xt_match;
pub use self::targets::xt_target;

use crate::collector::Collector;
use crate::error::CollectError;

/// Which protocol's layouts matches and targets follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// iptables.
    Ipv4,
    /// ip6tables.
    Ipv6,
    /// arptables.
    Arp,
    /// ebtables.
    Bridge,
}

impl Net {
    /// `union nf_inet_addr` at `offset`.
    fn address(self, f: Fixed<'_>, offset: usize) -> Option<IpAddr> {
        match self {
            Net::Ipv6 => f.array::<16>(offset).map(IpAddr::from),
            _ => f.array::<4>(offset).map(IpAddr::from),
        }
    }
}

/// What the decoders of matches and targets need to know.
pub struct Context<'a> {
    /// The protocol.
    pub net: Net,
    /// The name of the ipset with a number; rules refer to sets by it.
    pub set_name: &'a dyn Fn(u16) -> Option<String>,
}

impl Context<'_> {
    /// The set's name, or `#INDEX` where it cannot be found out.
    fn set(&self, index: u16) -> String {
        (self.set_name)(index).unwrap_or_else(|| format!("#{index}"))
    }
}

impl Collector {
    /// The tables in use.
    pub fn xtables(&self) -> Reading<Xtables> {
        Self::reading("IPT_SO_GET_ENTRIES", "CAP_NET_ADMIN", || {
            let mut tables = Vec::new();
            for family in [Family::Ipv4, Family::Ipv6, Family::Arp, Family::Bridge] {
                let names = match self.inside(|| sys::tables(family))? {
                    Ok(names) => names,
                    // Nobody has made the kernel load these tables, so they have no rules.
                    Err(error) if error.errno.name() == "ENOENT" => continue,
                    Err(error) => return Err(error.into()),
                };
                for name in names {
                    let chains = Self::reading("IPT_SO_GET_ENTRIES", "CAP_NET_ADMIN", || {
                        let table = self.inside(|| sys::read(family, &name))??;
                        let set_name = |index| self.ipset_name(index);
                        decode_table(&table, &set_name)
                    });
                    tables.push(XtTable { family: fact_family(family), name, chains });
                }
            }
            Ok(Xtables(tables))
        })
    }
}

const fn fact_family(family: Family) -> XtFamily {
    match family {
        Family::Ipv4 => XtFamily::Iptables,
        Family::Ipv6 => XtFamily::Ip6tables,
        Family::Arp => XtFamily::Arptables,
        Family::Bridge => XtFamily::Ebtables,
    }
}

/// The chains of a table as it was read. `set_name` tells the name of an ipset by its number.
pub fn decode_table(
    table: &Table,
    set_name: &dyn Fn(u16) -> Option<String>,
) -> Result<Vec<XtChain>, CollectError> {
    let net = match table.family {
        Family::Ipv4 => Net::Ipv4,
        Family::Ipv6 => Net::Ipv6,
        Family::Arp => Net::Arp,
        Family::Bridge => Net::Bridge,
    };
    let hooks: Vec<Hook> = (0..32)
        .filter(|number| table.valid_hooks & 1 << number != 0)
        .filter_map(|number: u32| {
            let at = number as usize;
            Some(Hook { number, entry: *table.hook_entry.get(at)?, underflow: *table.underflow.get(at)? })
        })
        .collect();
    let chains = match net {
        Net::Ipv4 => wire::chains(Layout::Ipv4, &table.entries, &hooks),
        Net::Ipv6 => wire::chains(Layout::Ipv6, &table.entries, &hooks),
        Net::Arp => wire::chains(Layout::Arp, &table.entries, &hooks),
        Net::Bridge => wire::bridge_chains(&table.entries, &table.counters),
    };
    let chains = chains
        .map_err(|error| CollectError::malformed("legacy table", format!("{}: {error}", table.name)))?;
    let context = Context { net, set_name };
    let decoded = chains.iter().map(|chain| {
        let rules = chain.rules.iter().map(|rule| decode_rule(&context, rule));
        let policy = fact_verdict(&chain.policy);
        Some(XtChain {
            name: chain.name.to_string(),
            hook: chain.hook,
            // A user's chain returns at its end; that is no policy.
            policy: if chain.hook.is_some() { Some(policy?) } else { None },
            counters: chain.counters,
            rules: rules.collect::<Option<Vec<_>>>()?,
        })
    });
    let whole = decoded.collect::<Option<Vec<_>>>();
    whole.ok_or_else(|| {
        CollectError::malformed("legacy table", format!("{}: a rule or policy is cut", table.name))
    })
}

fn fact_verdict(verdict: &Verdict) -> Option<XtVerdict> {
    Some(match verdict {
        Verdict::Accept => XtVerdict::Accept,
        Verdict::Drop => XtVerdict::Drop,
        Verdict::Queue => XtVerdict::Queue,
        Verdict::Return => XtVerdict::Return,
        Verdict::Continue => XtVerdict::Continue,
        Verdict::Jump(chain) => XtVerdict::Jump(chain.clone()),
        Verdict::Other(_) => return None,
    })
}

fn decode_rule(context: &Context<'_>, rule: &Rule<'_>) -> Option<XtRule> {
    let matches = rule.matches.iter().map(|one| xt_match(context, &one.name, one.revision, one.data));
    let target = match &rule.target {
        Target::Standard(verdict) => match fact_verdict(verdict) {
            Some(verdict) => XtTarget::Standard { verdict },
            None => {
                let info = match verdict {
                    Verdict::Other(code) => code.to_ne_bytes().to_vec(),
                    _ => Vec::new(),
                };
                XtTarget::Unknown { name: "standard".into(), revision: 0, info }
            }
        },
        Target::Extension(one) => xt_target(context, &one.name, one.revision, one.data),
    };
    let mut out = XtRule {
        src: None,
        dst: None,
        odd_masks: None,
        iif: None,
        oif: None,
        proto: None,
        fragment: None,
        goto: false,
        matches: matches.collect::<Vec<XtMatch>>(),
        target,
        counters: rule.counters,
        extra: Vec::new(),
    };
    match context.net {
        Net::Ipv4 => select_ip(&mut out, IpSelector::of_ipv4(rule.header)?),
        Net::Ipv6 => select_ip(&mut out, IpSelector::of_ipv6(rule.header)?),
        Net::Arp => select_arp(&mut out, ArpSelector::of(rule.header)?),
        Net::Bridge => select_bridge(&mut out, BridgeSelector::of(rule.header)?, rule),
    }
    Some(out)
}

fn select_ip(rule: &mut XtRule, selector: IpSelector) {
    addresses(rule, selector.src, selector.dst);
    rule.iif = selector.iif;
    rule.oif = selector.oif;
    rule.proto = selector.proto;
    rule.fragment = selector.fragment;
    rule.goto = selector.goto;
    rule.extra.extend(selector.tos.map(|(tos, invert)| format!("{}tos {tos:#04x}", not(invert))));
}

/// Addresses under masks: as prefixes where both are, else beside their masks.
fn addresses(rule: &mut XtRule, src: Option<Masked>, dst: Option<Masked>) {
    let length = |one: &Option<Masked>| one.as_ref().map(|one| prefix_length(&one.mask));
    let odd = matches!(length(&src), Some(None)) || matches!(length(&dst), Some(None));
    let net = |one: &Masked| {
        let whole = netwhy_facts::Family::of(&one.addr).bits();
        let len = prefix_length(&one.mask).unwrap_or(whole);
        (IpNet::new(one.addr, len), one.invert)
    };
    if odd {
        // A side without an address compares nothing.
        let mask = |one: &Option<Masked>| one.as_ref().map_or_else(Vec::new, |one| octets(&one.mask));
        rule.odd_masks = Some((mask(&src), mask(&dst)));
    }
    rule.src = src.as_ref().map(net);
    rule.dst = dst.as_ref().map(net);
}

fn select_arp(rule: &mut XtRule, selector: ArpSelector) {
    addresses(rule, selector.src, selector.dst);
    rule.iif = selector.iif;
    rule.oif = selector.oif;
    let number = |name: &str, one: Option<MaskedNumber>, full: u16| {
        let one = one?;
        let mask = if one.mask == full { String::new() } else { format!("/{:#x}", one.mask) };
        Some(format!("{}{name} {}{mask}", not(one.invert), one.value))
    };
    let hardware = |name: &str, one: Option<wire::MaskedHardware>| {
        let one = one?;
        let used = one.mask.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let text = |bytes: &[u8]| mac(bytes.get(..used.max(6)).unwrap_or(bytes));
        let full = one.mask.iter().take(used).all(|byte| *byte == 0xff);
        let mask = if full { String::new() } else { format!("/{}", text(&one.mask)) };
        Some(format!("{}{name} {}{mask}", not(one.invert), text(&one.addr)))
    };
    rule.extra.extend(number("h-length", selector.hardware_length, 0xff));
    rule.extra.extend(number("opcode", selector.operation, 0xffff));
    rule.extra.extend(number("h-type", selector.hardware_type, 0xffff));
    rule.extra.extend(number("proto-type", selector.protocol_type, 0xffff));
    rule.extra.extend(hardware("source-mac", selector.src_hardware));
    rule.extra.extend(hardware("destination-mac", selector.dst_hardware));
}

fn select_bridge(rule: &mut XtRule, selector: BridgeSelector, raw: &Rule<'_>) {
    rule.proto = selector.proto;
    rule.iif = selector.iif;
    rule.oif = selector.oif;
    if selector.is_802_3 {
        rule.extra.push("802.3 length".into());
    }
    let device = |name: &str, one: Option<(String, bool)>| {
        one.map(|(device, invert)| format!("{}{name} {device}", not(invert)))
    };
    rule.extra.extend(device("logical-in", selector.logical_iif));
    rule.extra.extend(device("logical-out", selector.logical_oif));
    let address = |name: &str, one: Option<([u8; 6], [u8; 6], bool)>| {
        let (addr, mask, invert) = one?;
        let mask = if mask == [0xff; 6] { String::new() } else { format!("/{}", mac(&mask)) };
        Some(format!("{}{name} {}{mask}", not(invert), mac(&addr)))
    };
    rule.extra.extend(address("source", selector.src));
    rule.extra.extend(address("destination", selector.dst));
    // They look and decide nothing, so they are no selector: named as comments.
    rule.matches
        .extend(raw.watchers.iter().map(|one| XtMatch::Comment { text: format!("watcher {}", one.name) }));
}

fn not(invert: bool) -> &'static str {
    if invert { "! " } else { "" }
}

/// Two ports in host order.
fn pair(f: Fixed<'_>, offset: usize) -> Option<(u16, u16)> {
    Some((f.u16(offset)?, f.u16(offset + 2)?))
}

/// The length of a mask that is a prefix.
fn prefix_length(mask: &IpAddr) -> Option<u8> {
    let bits = match mask {
        IpAddr::V4(mask) => u128::from(u32::from(*mask)) << 96,
        IpAddr::V6(mask) => u128::from(*mask),
    };
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then_some(ones as u8)
}

fn octets(addr: &IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

/// `02:00:00:00:00:01`.
fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests;
