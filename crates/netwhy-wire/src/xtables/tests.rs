//! Tables made by hand, and damage done to them. Recorded ones are read where their matches are understood.

use super::*;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// `struct xt_entry_match` or `_target` with its data.
fn ext(name: &str, revision: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; EXTENSION + data.len().next_multiple_of(8)];
    let size = out.len() as u16;
    put(&mut out, 0, &size.to_ne_bytes());
    put(&mut out, 2, name.as_bytes());
    out[31] = revision;
    put(&mut out, EXTENSION, data);
    out
}

fn standard(code: i32) -> Vec<u8> {
    ext("", 0, &code.to_ne_bytes())
}

fn error(name: &str) -> Vec<u8> {
    let mut data = [0; 30];
    data[..name.len()].copy_from_slice(name.as_bytes());
    ext(ERROR, 0, &data)
}

fn entry(matches: &[Vec<u8>], target: Vec<u8>, packets: u64) -> Vec<u8> {
    let matches = matches.concat();
    let mut out = vec![0; 112];
    put(&mut out, 88, &(112 + matches.len() as u16).to_ne_bytes());
    put(&mut out, 90, &((112 + matches.len() + target.len()) as u16).to_ne_bytes());
    put(&mut out, 96, &packets.to_ne_bytes());
    put(&mut out, 104, &(packets * 100).to_ne_bytes());
    out.extend(matches);
    out.extend(target);
    out
}

/// INPUT: a jump to `own`, a rule without target, DROP as policy. `own`: one match, ACCEPT.
fn table() -> (Vec<u8>, Vec<Hook>) {
    let jump = |to: usize| entry(&[], standard(to as i32), 3);
    let rest = entry(&[], standard(0), 1).len();
    let policy = 2 * rest;
    let own = policy + rest + entry(&[], error("own"), 0).len();
    let bytes = [
        jump(own),
        jump(policy),
        entry(&[], standard(-1), 9),
        entry(&[], error("own"), 0),
        entry(&[ext("mark", 1, &[7; 12])], standard(-2), 5),
        entry(&[], standard(-5), 0),
        entry(&[], error(ERROR), 0),
    ]
    .concat();
    (bytes, vec![Hook { number: 1, entry: 0, underflow: policy as u32 }])
}

#[test]
fn chains_are_found_by_hooks_and_names() {
    let (bytes, hooks) = table();
    let chains = chains(Layout::Ipv4, &bytes, &hooks).unwrap();
    assert_eq!(chains.iter().map(|chain| &*chain.name).collect::<Vec<_>>(), ["INPUT", "own"]);
    let (input, own) = (&chains[0], &chains[1]);
    assert_eq!((input.hook, &input.policy, input.counters), (Some(1), &Verdict::Drop, (9, 900)));
    assert_eq!(input.rules[0].target, Target::Standard(Verdict::Jump("own".into())));
    assert_eq!(input.rules[0].counters, (3, 300));
    assert_eq!(input.rules[1].target, Target::Standard(Verdict::Continue));
    assert_eq!((own.hook, &own.policy, own.rules.len()), (None, &Verdict::Return, 1));
    let one = &own.rules[0].matches[0];
    assert_eq!((&*one.name, one.revision, one.data.len()), ("mark", 1, 16));
}

#[test]
fn what_no_kernel_writes_is_named() {
    let (bytes, hooks) = table();
    let at = |change: fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        chains(Layout::Ipv4, &bytes, &hooks).unwrap_err().what
    };
    assert_eq!(at(|bytes| bytes.truncate(300)), "an entry is cut");
    assert_eq!(at(|bytes| bytes[90] = 0), "an entry shorter than its parts");
    assert_eq!(at(|bytes| bytes[112] = 3), "an extension is cut");
    let elsewhere = [Hook { underflow: 0, ..hooks[0] }];
    let error = chains(Layout::Ipv4, &bytes, &elsewhere).unwrap_err();
    assert_eq!(error.to_string(), "legacy table: a policy elsewhere than its hook says at byte 304");
    assert_eq!(chains(Layout::Ipv4, &bytes, &[]).unwrap_err().what, "a rule of no chain");
    assert!(chains(Layout::Ipv4, &[], &[]).unwrap().is_empty());
}

/// A chain header of ebtables.
fn bridge_chain(name: &str, counter: u32, policy: i32, rules: u32) -> Vec<u8> {
    let mut out = vec![0; 48];
    put(&mut out, 4, name.as_bytes());
    put(&mut out, 36, &counter.to_ne_bytes());
    put(&mut out, 40, &policy.to_ne_bytes());
    put(&mut out, 44, &rules.to_ne_bytes());
    out
}

fn bridge_ext(name: &str, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 40];
    put(&mut out, 0, name.as_bytes());
    put(&mut out, 32, &(data.len().next_multiple_of(8) as u32).to_ne_bytes());
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn bridge_rule(matches: &[Vec<u8>], watchers: &[Vec<u8>], target: Vec<u8>) -> Vec<u8> {
    let (matches, watchers) = (matches.concat(), watchers.concat());
    let mut out = vec![0; 112];
    let offsets = [112 + matches.len(), 112 + matches.len() + watchers.len()];
    // EBT_ENTRY_OR_ENTRIES, EBT_SOURCEMAC; inverted source and device of departure.
    put(&mut out, 0, &(1u32 | 8).to_ne_bytes());
    put(&mut out, 4, &(8u32 | 4).to_ne_bytes());
    put(&mut out, 8, &0x0800u16.to_be_bytes());
    put(&mut out, 10, b"veth+");
    put(&mut out, 42, b"eth0");
    put(&mut out, 74, &[2, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 0]);
    put(&mut out, 100, &(offsets[0] as u32).to_ne_bytes());
    put(&mut out, 104, &(offsets[1] as u32).to_ne_bytes());
    put(&mut out, 108, &((offsets[1] + target.len()) as u32).to_ne_bytes());
    [out, matches, watchers, target].concat()
}

fn bridge_table() -> (Vec<u8>, Vec<u8>) {
    let standard = |code: i32| bridge_ext("standard", &code.to_ne_bytes());
    let rules = [
        bridge_rule(&[bridge_ext("limit", &[1; 24])], &[bridge_ext("log", &[0; 36])], standard(-2)),
        bridge_rule(&[], &[], bridge_ext("mark", &[5; 16])),
    ];
    let head = [bridge_chain("FORWARD", 0, -2, 3), rules.concat()].concat();
    let jump = bridge_rule(&[], &[], standard((head.len() + 160) as i32));
    assert_eq!(jump.len(), 160);
    let own = [bridge_chain("own", 3, -4, 1), bridge_rule(&[], &[], standard(-1))].concat();
    let counters = (1..=4u64).flat_map(|n| [n.to_ne_bytes(), (n * 10).to_ne_bytes()].concat()).collect();
    ([head, jump, own].concat(), counters)
}

#[test]
fn bridge_chains_carry_their_names() {
    let (bytes, counters) = bridge_table();
    let chains = bridge_chains(&bytes, &counters).unwrap();
    let (forward, own) = (&chains[0], &chains[1]);
    assert_eq!((&*forward.name, forward.hook, &forward.policy), ("FORWARD", Some(2), &Verdict::Drop));
    assert_eq!((&*own.name, own.hook, &own.policy), ("own", None, &Verdict::Return));
    let first = &forward.rules[0];
    assert_eq!((&*first.matches[0].name, &*first.watchers[0].name), ("limit", "log"));
    assert_eq!((&first.target, first.counters), (&Target::Standard(Verdict::Drop), (1, 10)));
    assert!(
        matches!(&forward.rules[1].target, Target::Extension(one) if one.name == "mark" && one.data.len() == 16)
    );
    assert_eq!(forward.rules[2].target, Target::Standard(Verdict::Jump("own".into())));
    assert_eq!((&own.rules[0].target, own.rules[0].counters), (&Target::Standard(Verdict::Accept), (4, 40)));
    let selector = BridgeSelector::of(first.header).unwrap();
    assert_eq!(selector.proto, Some((0x0800, false)));
    assert_eq!((selector.iif, selector.oif), (Some(("veth+".into(), false)), Some(("eth0".into(), true))));
    assert_eq!(selector.src, Some(([2, 0, 0, 0, 0, 1], [255, 255, 255, 255, 255, 0], true)));
    assert_eq!((selector.dst, selector.logical_iif), (None, None));
}

#[test]
fn any_damage_ends_without_panic() {
    let mut state = 0x2545_f491_u32;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let (plain, hooks) = table();
    let (bridge, counters) = bridge_table();
    for _ in 0..30_000 {
        for original in [&plain, &bridge] {
            let mut bytes = original.clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = [0, 1, 8, 32, 0x7f, 0x80, 0xff][next(7)],
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes[at & !3] = next(256) as u8,
                }
            }
            for layout in [Layout::Ipv4, Layout::Ipv6, Layout::Arp] {
                let _ = chains(layout, &bytes, &hooks);
            }
            let _ = bridge_chains(&bytes, &counters);
            let _ = (IpSelector::of_ipv4(&bytes), IpSelector::of_ipv6(&bytes));
            let _ = (ArpSelector::of(&bytes), BridgeSelector::of(&bytes));
        }
    }
}
