//! Recorded tables, bridges made by hand, and damage done to both.

use netwhy_facts::xtables::XtVerdict;

use super::*;
use crate::testing::{damage, recorded};

const RECORDED: &str = include_str!("../../fixtures/xtables.txt");

fn no_names(_: u16) -> Option<String> {
    None
}

/// The recorded tables: `PROTOCOL-info` is followed by `PROTOCOL-entries`.
fn tables() -> Vec<Table> {
    let all = recorded(RECORDED);
    let pairs = all.chunks_exact(2);
    pairs
        .map(|pair| {
            let family = match pair[0].0.as_str() {
                "ipv4-info" => Family::Ipv4,
                "ipv6-info" => Family::Ipv6,
                _ => Family::Arp,
            };
            let words: Vec<u32> =
                pair[0].1.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
            let hooks = (words.len() - 2) / 2;
            Table {
                family,
                name: "recorded".into(),
                valid_hooks: words[0],
                count: words[1],
                hook_entry: words[2..2 + hooks].to_vec(),
                underflow: words[2 + hooks..].to_vec(),
                entries: pair[1].1.clone(),
                counters: Vec::new(),
            }
        })
        .collect()
}

#[test]
fn recorded_tables_decode() {
    let tables = tables();
    assert!(tables.len() >= 7);
    let chains: Vec<XtChain> =
        tables.iter().flat_map(|table| decode_table(table, &no_names).unwrap()).collect();
    let rules: Vec<&XtRule> = chains.iter().flat_map(|chain| &chain.rules).collect();
    let matches: Vec<&XtMatch> = rules.iter().flat_map(|rule| &rule.matches).collect();
    let unknown: Vec<&str> = matches
        .iter()
        .filter_map(|one| match one {
            XtMatch::Unknown { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(unknown, ["u32"], "no fact says what it means");
    assert!(matches.iter().any(|one| matches!(one, XtMatch::Set { set, .. } if set.starts_with('#'))));
    assert!(
        rules.iter().any(|rule| matches!(&rule.target, XtTarget::Dnat { addr_min: Some(IpAddr::V6(_)), .. }))
    );
    assert!(rules.iter().any(|rule| rule.extra == ["opcode 1"]));
}

#[test]
fn damaged_tables_end_without_panic() {
    for table in tables() {
        damage(&table.entries, 300, |broken| {
            let _ = decode_table(&Table { entries: broken.to_vec(), ..table.clone() }, &no_names);
        });
        let chains = decode_table(&table, &no_names).unwrap();
        assert!(!chains.is_empty());
    }
}

#[test]
fn damaged_extensions_end_without_panic() {
    let names = [
        "tcp",
        "udp",
        "icmp",
        "multiport",
        "conntrack",
        "state",
        "mark",
        "connmark",
        "comment",
        "limit",
        "hashlimit",
        "connlimit",
        "addrtype",
        "iprange",
        "mac",
        "owner",
        "set",
        "statistic",
        "length",
        "ttl",
        "tos",
        "dscp",
        "pkttype",
        "physdev",
        "rpfilter",
        "tcpmss",
        "socket",
        "recent",
        "mark_m",
        "REJECT",
        "SNAT",
        "DNAT",
        "MASQUERADE",
        "REDIRECT",
        "NETMAP",
        "MARK",
        "CONNMARK",
        "LOG",
        "NFLOG",
        "NFQUEUE",
        "TPROXY",
        "CT",
        "NOTRACK",
        "TCPMSS",
        "DSCP",
        "TTL",
        "SET",
        "CHECKSUM",
        "CLASSIFY",
    ];
    for net in [Net::Ipv4, Net::Ipv6, Net::Arp, Net::Bridge] {
        let context = Context { net, set_name: &no_names };
        for name in names {
            for revision in 0..5 {
                for length in 0..180 {
                    let data = vec![(length * 7) as u8; length];
                    let _ = xt_match(&context, name, revision, &data);
                    let _ = xt_target(&context, name, revision, &data);
                }
            }
        }
    }
}

#[test]
fn a_revision_never_seen_is_unknown() {
    let context = Context { net: Net::Ipv4, set_name: &no_names };
    let one = xt_match(&context, "conntrack", 9, &[0; 200]);
    assert!(matches!(one, XtMatch::Unknown { revision: 9, info, .. } if info.len() == 200));
    let one = xt_target(&context, "CONNMARK", 2, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0]);
    assert!(matches!(one, XtTarget::Unknown { .. }), "a shifted mark is not an unshifted one");
}

/// This kernel has no ebtables to record: a rule by the layout of its header file.
#[test]
fn a_bridge_rule() {
    let mut header = vec![0; 112];
    header[0] = 1 | 2 | 16;
    header[4] = 0x20;
    header[10..14].copy_from_slice(b"eth0");
    header[26..29].copy_from_slice(b"br0");
    header[86..98].copy_from_slice(&[1, 0x80, 0xc2, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
    let mark = [&5u64.to_ne_bytes()[..], &255u64.to_ne_bytes(), &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    let extension = |name: &'static str, data| wire::Extension { name: name.into(), revision: 0, data };
    let rule = Rule {
        header: &header,
        matches: vec![extension("mark_m", &mark), extension("pkttype", &[2, 1, 0, 0, 0, 0, 0, 0])],
        watchers: vec![extension("log", &[])],
        target: Target::Standard(Verdict::Continue),
        counters: (1, 2),
    };
    let context = Context { net: Net::Bridge, set_name: &no_names };
    let rule = decode_rule(&context, &rule).unwrap();
    assert_eq!(rule.iif, Some(("eth0".into(), false)));
    assert_eq!(rule.extra, ["! logical-in br0", "destination 01:80:c2:00:00:00"]);
    assert_eq!(rule.matches[0], XtMatch::Mark { mark: 5, mask: 255, invert: false });
    assert_eq!(rule.matches[1], XtMatch::Pkttype { pkttype: 2, invert: true });
    assert!(matches!(&rule.matches[2], XtMatch::Comment { text } if text == "watcher log"));
    assert_eq!((rule.proto, &rule.target), (None, &XtTarget::Standard { verdict: XtVerdict::Continue }));
}

#[test]
fn masks_that_are_no_prefix_are_kept() {
    assert_eq!(prefix_length(&"255.255.254.0".parse().unwrap()), Some(23));
    assert_eq!(prefix_length(&"255.0.255.0".parse().unwrap()), None);
    assert_eq!(prefix_length(&"::".parse().unwrap()), Some(0));
    assert_eq!(prefix_length(&"ffff::".parse().unwrap()), Some(16));
}
