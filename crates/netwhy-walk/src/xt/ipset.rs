//! Whether a packet's fields are in an ipset.

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_facts::ipset::Ipset;

use crate::hooks::Hook;
use crate::skb::Skb;
use crate::walk::Walk;

/// One field of a member against the packet: `None` when it cannot be told.
fn field_fits(kind: &str, text: &str, skb: &Skb, dev: &str, src: bool) -> Option<bool> {
    let p = &skb.p;
    match kind {
        "ip" | "net" => {
            if src && skb.src_unknown {
                return None;
            }
            let addr = if src { p.src } else { p.dst };
            Some(address_fits(text, &addr)?)
        }
        "port" => {
            let port = if src { p.sport } else { p.dport };
            let (proto, range) = match text.split_once(':') {
                Some((proto, range)) => (Some(proto), range),
                None => (None, text),
            };
            let number = match proto {
                Some("tcp") => Some(6),
                Some("udp") => Some(17),
                Some("icmp") => Some(1),
                Some("icmpv6" | "ipv6-icmp") => Some(58),
                Some(other) => Some(other.parse::<u8>().ok()?),
                None => None,
            };
            if number.is_some_and(|n| n != p.proto) || !matches!(p.proto, 6 | 17) {
                return Some(false);
            }
            let (low, high) = match range.split_once('-') {
                Some((a, b)) => (a.parse::<u16>().ok()?, b.parse::<u16>().ok()?),
                None => {
                    let n = range.parse::<u16>().ok()?;
                    (n, n)
                }
            };
            Some((low..=high).contains(&port))
        }
        "mark" => {
            let want = text
                .strip_prefix("0x")
                .map_or_else(|| text.parse().ok(), |h| u32::from_str_radix(h, 16).ok());
            Some(want? == p.mark)
        }
        "iface" => {
            if text.starts_with("physdev:") {
                return None;
            }
            Some(text == dev)
        }
        "mac" => {
            let mac = if src { &p.mac_src } else { &p.mac_dst };
            Some(*mac.as_ref()? == crate::device::parse_mac(text)?)
        }
        _ => None,
    }
}

fn address_fits(text: &str, addr: &IpAddr) -> Option<bool> {
    if let Some((a, b)) = text.split_once('-') {
        let (a, b): (IpAddr, IpAddr) = (a.parse().ok()?, b.parse().ok()?);
        return Some(a <= *addr && *addr <= b && a.is_ipv4() == addr.is_ipv4());
    }
    let (net, len) = match text.split_once('/') {
        Some((net, len)) => (net, Some(len.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let net: IpAddr = net.parse().ok()?;
    let len = len.unwrap_or(netwhy_facts::Family::of(&net).bits());
    Some(IpNet::new(net, len).contains(addr))
}

/// Prefix length of a member's first address, to find the most specific of nested nets.
fn specificity(text: &str) -> u8 {
    let first = text.split(',').next().unwrap_or(text);
    first.split_once('/').and_then(|(_, l)| l.parse().ok()).unwrap_or(128)
}

fn member_fits(set: &Ipset, member: &str, skb: &Skb, dev: &str, dims: &[bool]) -> Option<bool> {
    let kinds = set.set_type.split_once(':').map_or("", |(_, k)| k);
    let mut all = Some(true);
    for (i, (kind, text)) in kinds.split(',').zip(member.split(',')).enumerate() {
        let src = dims.get(i).copied().unwrap_or(false);
        match field_fits(kind, text, skb, dev, src) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    if kinds.split(',').count() != member.split(',').count() { None } else { all }
}

impl<'a> Walk<'a, '_> {
    /// Whether the packet is in a set; `flags` bit n: the n-th field is the source's.
    pub(crate) fn ipset_match(&self, skb: &Skb, hook: &Hook, name: &str, dim: u8, flags: u8) -> Option<bool> {
        let set = self.w.ipsets?.0.iter().find(|s| s.name == name)?;
        if set.set_type.starts_with("list:") {
            return None;
        }
        if (set.family == 2 && skb.v6()) || (set.family == 10 && !skb.v6()) {
            return Some(false);
        }
        // IPSET_DIM_ONE_SRC is bit 1, and so on.
        let dims: Vec<bool> = (1..=dim.min(6)).map(|d| flags & (1 << d) != 0).collect();
        let dev_src = dims.get(1).or(dims.first()).copied().unwrap_or(true);
        let dev = self.w.dev_name(if dev_src { hook.iif.unwrap_or(0) } else { hook.oif.unwrap_or(0) });
        let mut best: Option<(u8, bool)> = None;
        let mut open = false;
        for line in &set.members {
            let mut words = line.split_whitespace();
            let Some(member) = words.next() else { continue };
            let negated = words.any(|w| w == "nomatch");
            match member_fits(set, member, skb, &dev, &dims) {
                Some(true) => {
                    let s = specificity(member);
                    if best.is_none_or(|(b, _)| s >= b) {
                        best = Some((s, !negated));
                    }
                }
                Some(false) => {}
                None => open = true,
            }
        }
        match best {
            _ if open => None,
            Some((_, hit)) => Some(hit),
            None if set.complete => Some(false),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_ranges() {
        let a: IpAddr = "198.51.100.7".parse().unwrap();
        assert_eq!(address_fits("198.51.100.0/24", &a), Some(true));
        assert_eq!(address_fits("198.51.100.7", &a), Some(true));
        assert_eq!(address_fits("198.51.100.1-198.51.100.6", &a), Some(false));
        assert_eq!(address_fits("nonsense", &a), None);
        assert_eq!(specificity("198.51.100.0/24,tcp:80"), 24);
    }
}
