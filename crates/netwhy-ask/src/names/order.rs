//! The order of addresses (RFC 6724 section 6) with the C library's policy tables, or those of gai.conf(5). No I/O.
//!
//! Rules 3, 4 and 7 (deprecated and home addresses, encapsulated paths) need what is not known here and are left
//! out; rule 9 is applied to IPv6 only.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv6Addr};

use netwhy_facts::IpNet;
use netwhy_facts::resolver::GaiPolicy;

/// Sorts addresses with their provenance. `source` says from which address this host would send to another,
/// `None` where it could not.
pub(super) fn sort<T>(
    addresses: &mut Vec<(IpAddr, T)>,
    gai: &GaiPolicy,
    source: impl Fn(IpAddr) -> Option<IpAddr>,
) {
    let mut keyed: Vec<_> =
        std::mem::take(addresses).into_iter().map(|entry| (source(entry.0), entry)).collect();
    keyed.sort_by(|a, b| compare(gai, (a.1.0, a.0), (b.1.0, b.0)));
    addresses.extend(keyed.into_iter().map(|(_, entry)| entry));
}

fn compare(
    gai: &GaiPolicy,
    (a, from_a): (IpAddr, Option<IpAddr>),
    (b, from_b): (IpAddr, Option<IpAddr>),
) -> Ordering {
    let scope = |address| scope(gai, address);
    let label = |address| looked_up(&gai.labels, address, 1).unwrap_or_else(|| policy(address).0);
    let precedence = |address| looked_up(&gai.precedences, address, 40).unwrap_or_else(|| policy(address).1);
    let (Some(from_a), Some(from_b)) = (from_a, from_b) else {
        // Rule 1: avoid what cannot be reached.
        return from_b.is_some().cmp(&from_a.is_some());
    };
    // Rule 2: prefer a matching scope.
    let matches = |a, b| scope(a) == scope(b);
    let by_scope = matches(b, from_b).cmp(&matches(a, from_a));
    // Rule 5: prefer a matching label.
    let same_label = |a, b| label(a) == label(b);
    let by_label = same_label(b, from_b).cmp(&same_label(a, from_a));
    // Rule 6: prefer higher precedence. Rule 8: prefer smaller scope. Rule 9: longest common prefix.
    let by_precedence = precedence(b).cmp(&precedence(a));
    let by_size = scope(a).cmp(&scope(b));
    let by_prefix = common(b, from_b).cmp(&common(a, from_a));
    by_scope.then(by_label).then(by_precedence).then(by_size).then(by_prefix)
}

/// What a table of gai.conf says: the longest prefix that fits, `rest` where none does; `None` without a table.
fn looked_up(table: &[(IpNet, u32)], address: IpAddr, rest: u32) -> Option<u32> {
    if table.is_empty() {
        return None;
    }
    let bits = u128::from(mapped(address));
    let fits = |net: &IpNet| {
        let length = u32::from(net.len) + if net.addr.is_ipv4() { 96 } else { 0 };
        length == 0 || (bits ^ u128::from(mapped(net.addr))) >> (128 - length.min(128)) == 0
    };
    let length = |net: &IpNet| u32::from(net.len) + if net.addr.is_ipv4() { 96 } else { 0 };
    let longest = table.iter().filter(|(net, _)| fits(net)).max_by_key(|(net, _)| length(net));
    Some(longest.map_or(rest, |(_, value)| *value))
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Label and precedence (RFC 3484 section 2.1 with RFC 6724's and Teredo's rows, as in glibc's gai.conf).
fn policy(address: IpAddr) -> (u32, u32) {
    let bits = u128::from(mapped(address));
    let inside = |prefix: u128, length: u32| length == 0 || (bits ^ prefix) >> (128 - length) == 0;
    let table: [(u128, u32, u32, u32); 7] = [
        (1, 128, 0, 50),
        (0xffff << 32, 96, 4, 10),
        (0, 96, 3, 20),
        (0x2001_0000 << 96, 32, 7, 40),
        (0x2002 << 112, 16, 2, 30),
        (0xfec0 << 112, 10, 5, 40),
        (0xfc00 << 112, 7, 6, 40),
    ];
    table
        .iter()
        .find(|(prefix, length, ..)| inside(*prefix, *length))
        .map_or((1, 40), |(_, _, label, precedence)| (*label, *precedence))
}

/// Scope as a number that grows with it (RFC 6724 section 3.1): link-local 2, site-local 5, global 14.
fn scope(gai: &GaiPolicy, address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) if !gai.scopes_v4.is_empty() => {
            looked_up(&gai.scopes_v4, address, 14).and_then(|n| u8::try_from(n).ok()).unwrap_or(14)
        }
        IpAddr::V4(a) if a.is_loopback() || a.is_link_local() => 2,
        IpAddr::V4(_) => 14,
        IpAddr::V6(a) if a.is_multicast() => a.segments().first().map_or(14, |word| (word & 0xf) as u8),
        IpAddr::V6(a) if a.is_loopback() || a.is_unicast_link_local() => 2,
        IpAddr::V6(a) if a.segments().first().is_some_and(|word| word & 0xffc0 == 0xfec0) => 5,
        IpAddr::V6(_) => 14,
    }
}

/// Leading bits two IPv6 addresses share, at most 64; 0 for IPv4.
fn common(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros().min(64),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(addresses: &[&str], sources: &[(&str, &str)]) -> Vec<String> {
        let mut list: Vec<(IpAddr, ())> = addresses.iter().map(|a| (a.parse().unwrap(), ())).collect();
        sort(&mut list, &GaiPolicy::default(), |to| {
            let found = sources.iter().find(|(dst, _)| dst.parse::<IpAddr>().unwrap() == to);
            found.map(|(_, src)| src.parse().unwrap())
        });
        list.into_iter().map(|(address, ())| address.to_string()).collect()
    }

    #[test]
    fn ipv6_first_where_it_has_a_source() {
        let both = [("2001:db8::1", "2001:db8::9"), ("198.51.100.1", "198.51.100.9")];
        assert_eq!(sorted(&["198.51.100.1", "2001:db8::1"], &both), ["2001:db8::1", "198.51.100.1"]);
        assert_eq!(sorted(&["2001:db8::1", "198.51.100.1"], &both[1..]), ["198.51.100.1", "2001:db8::1"]);
        // Equal ones keep the order the server gave.
        let same = [("198.51.100.1", "198.51.100.9"), ("198.51.100.2", "198.51.100.9")];
        assert_eq!(sorted(&["198.51.100.2", "198.51.100.1"], &same), ["198.51.100.2", "198.51.100.1"]);
        assert_eq!(sorted(&["2001:db8::2", "2001:db8::1"], &[]), ["2001:db8::2", "2001:db8::1"]);
    }

    #[test]
    fn a_private_source_does_not_match_a_global_target() {
        // Unique local source to a global destination: the labels differ, so IPv4 wins.
        let sources = [("2001:db8::1", "fd00::9"), ("198.51.100.1", "198.51.100.9")];
        assert_eq!(sorted(&["2001:db8::1", "198.51.100.1"], &sources), ["198.51.100.1", "2001:db8::1"]);
        // Link-local source (no global address): the scopes differ.
        let sources = [("2001:db8::1", "fe80::9"), ("198.51.100.1", "198.51.100.9")];
        assert_eq!(sorted(&["2001:db8::1", "198.51.100.1"], &sources), ["198.51.100.1", "2001:db8::1"]);
    }

    #[test]
    fn native_before_tunnelled_and_near_before_far() {
        let sources = [("2002::1", "2002::9"), ("2001:db8::1", "2001:db8::9")];
        assert_eq!(sorted(&["2002::1", "2001:db8::1"], &sources), ["2001:db8::1", "2002::1"]);
        let sources = [("2001:db8:ffff::1", "2001:db8::9"), ("2001:db8:0:1::1", "2001:db8::9")];
        assert_eq!(
            sorted(&["2001:db8:ffff::1", "2001:db8:0:1::1"], &sources),
            ["2001:db8:0:1::1", "2001:db8:ffff::1"]
        );
        let sources = [("127.0.0.1", "127.0.0.1"), ("::1", "::1")];
        assert_eq!(sorted(&["127.0.0.1", "::1"], &sources), ["::1", "127.0.0.1"]);
    }

    #[test]
    fn gai_conf_prefers_ipv4_where_it_says_so() {
        let v4_first = GaiPolicy {
            precedences: vec![(IpNet { addr: "::ffff:0:0".parse().unwrap(), len: 96 }, 100)],
            ..GaiPolicy::default()
        };
        let mut list: Vec<(IpAddr, ())> =
            ["2001:db8::1", "198.51.100.1"].iter().map(|a| (a.parse().unwrap(), ())).collect();
        let source =
            |to: IpAddr| Some(if to.is_ipv4() { "198.51.100.9" } else { "2001:db8::9" }.parse().unwrap());
        sort(&mut list, &GaiPolicy::default(), source);
        assert!(list[0].0.is_ipv6());
        sort(&mut list, &v4_first, source);
        assert!(list[0].0.is_ipv4());
    }

    #[test]
    fn the_longest_prefix_of_a_table_counts() {
        let table = [
            (IpNet { addr: "::".parse().unwrap(), len: 0 }, 40),
            (IpNet { addr: "2001:db8::".parse().unwrap(), len: 32 }, 5),
            (IpNet { addr: "198.51.100.0".parse().unwrap(), len: 24 }, 7),
        ];
        let value = |address: &str| looked_up(&table, address.parse().unwrap(), 1);
        assert_eq!(value("2001:db8::7"), Some(5));
        assert_eq!(value("198.51.100.7"), Some(7));
        assert_eq!(value("2001:db9::7"), Some(40));
        assert_eq!(looked_up(&table[1..], "::1".parse().unwrap(), 1), Some(1));
        assert_eq!(looked_up(&[], "::1".parse().unwrap(), 1), None);
    }
}
