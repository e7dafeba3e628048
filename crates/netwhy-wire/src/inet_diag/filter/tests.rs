//! Programs are checked by the kernel's rules and run by an interpreter of our own; what they let through
//! must be what the filter says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::arbitrary::any as arbitrary;
use proptest::prelude::{Just, Strategy, prop, prop_assert_eq, prop_oneof, proptest};

use super::*;

#[derive(Debug, Clone)]
struct Seen {
    six: bool,
    ports: [u16; 2],
    addresses: [[u8; 16]; 2],
    device: u32,
    mark: u32,
    cgroup: u64,
    auto: bool,
}

impl Filter {
    /// What the filter means, said without a program.
    fn lets(&self, seen: &Seen) -> bool {
        match self {
            Filter::All(parts) => parts.iter().all(|part| part.lets(seen)),
            Filter::Any(parts) => parts.iter().any(|part| part.lets(seen)),
            Filter::Not(part) => !part.lets(seen),
            Filter::Port(end, compare, port) => {
                let own = seen.ports[*end as usize];
                match compare {
                    Compare::Eq => own == *port,
                    Compare::Ne => own != *port,
                    Compare::Lt => own < *port,
                    Compare::Le => own <= *port,
                    Compare::Gt => own > *port,
                    Compare::Ge => own >= *port,
                }
            }
            Filter::Address { end, net, len } => {
                let own = &seen.addresses[*end as usize];
                match (net, seen.six) {
                    (IpAddr::V4(net), false) => prefix(&own[..4], &net.octets(), *len),
                    (IpAddr::V6(net), true) => prefix(own, &net.octets(), *len),
                    (IpAddr::V4(net), true) => {
                        own[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]
                            && prefix(&own[12..], &net.octets(), *len)
                    }
                    (IpAddr::V6(_), false) => false,
                }
            }
            Filter::AutoBound => seen.auto,
            Filter::Device(index) => seen.device == *index,
            Filter::Mark { value, mask } => seen.mark & mask == *value & mask,
            Filter::Cgroup(id) => seen.cgroup == *id,
        }
    }
}

fn prefix(own: &[u8], net: &[u8], len: u8) -> bool {
    (0..usize::from(len)).all(|bit| (own[bit / 8] ^ net[bit / 8]) & (0x80 >> (bit % 8)) == 0)
}

/// The rules of `inet_diag_bc_audit`: jumps go forward, to the start of an instruction or past the end.
fn audit(program: &[u8]) -> Result<(), String> {
    let mut starts = std::collections::BTreeSet::from([program.len()]);
    let mut at = 0;
    while at < program.len() {
        starts.insert(at);
        at += usize::from(program[at + 1]);
    }
    if at != program.len() {
        return Err(format!("ends at {at} of {}", program.len()));
    }
    for &start in starts.iter().filter(|&&start| start != program.len()) {
        let (yes, no) = jumps(program, start);
        let to = start + no;
        if no < 4 || no % 4 != 0 || yes < 4 || yes % 4 != 0 || to > program.len() + 4 {
            return Err(format!("instruction at {start}: yes {yes}, no {no}"));
        }
        if to < program.len() && !starts.contains(&to) {
            return Err(format!("instruction at {start} jumps into another, to {to}"));
        }
    }
    Ok(())
}

fn jumps(program: &[u8], at: usize) -> (usize, usize) {
    let no = u16::from_ne_bytes([program[at + 2], program[at + 3]]);
    (program[at + 1].into(), no.into())
}

/// The kernel's interpreter.
fn run(program: &[u8], seen: &Seen) -> bool {
    let word = |at: usize| u32::from_ne_bytes(program[at..at + 4].try_into().unwrap());
    let mut at = 0;
    while at < program.len() {
        let port = || u16::from_ne_bytes([program[at + 6], program[at + 7]]);
        let holds = match program[at] {
            JMP => false,
            S_EQ => seen.ports[0] == port(),
            S_GE => seen.ports[0] >= port(),
            S_LE => seen.ports[0] <= port(),
            D_EQ => seen.ports[1] == port(),
            D_GE => seen.ports[1] >= port(),
            D_LE => seen.ports[1] <= port(),
            AUTO => seen.auto,
            DEV_COND => seen.device == word(at + 4),
            MARK_COND => seen.mark & word(at + 8) == word(at + 4),
            CGROUP_COND => seen.cgroup == u64::from_ne_bytes(program[at + 4..at + 12].try_into().unwrap()),
            code @ (S_COND | D_COND) => {
                let own = &seen.addresses[usize::from(code == D_COND)];
                let (family, len) = (program[at + 4], program[at + 5]);
                assert_eq!(word(at + 8), u32::MAX, "any port");
                let net = &program[at + 12..];
                match (family, seen.six) {
                    (2, true) => {
                        own[..10] == [0; 10] && own[10..12] == [255; 2] && prefix(&own[12..], net, len)
                    }
                    (2, false) | (10, true) => prefix(own, net, len),
                    _ => false,
                }
            }
            other => panic!("instruction {other}"),
        };
        let (yes, no) = jumps(program, at);
        at += if holds { yes } else { no };
    }
    at == program.len()
}

/// Few values, so that filters and sockets meet.
fn leaf() -> impl Strategy<Value = Filter> {
    let end = prop_oneof![Just(End::Local), Just(End::Remote)];
    let compare = prop_oneof![
        Just(Compare::Eq),
        Just(Compare::Ne),
        Just(Compare::Lt),
        Just(Compare::Le),
        Just(Compare::Gt),
        Just(Compare::Ge)
    ];
    prop_oneof![
        (end.clone(), compare, prop_oneof![Just(0), 1u16..4, Just(65535)])
            .prop_map(|(end, compare, port)| Filter::Port(end, compare, port)),
        (end.clone(), 0u32..3, 0u8..=32).prop_map(|(end, net, len)| Filter::Address {
            end,
            net: Ipv4Addr::from(net << 30).into(),
            len
        }),
        (end, 0u128..3, 0u8..=128).prop_map(|(end, net, len)| Filter::Address {
            end,
            net: Ipv6Addr::from(net << 126).into(),
            len
        }),
        Just(Filter::AutoBound),
        (0u32..2).prop_map(Filter::Device),
        (0u32..4, 0u32..4).prop_map(|(value, mask)| Filter::Mark { value, mask }),
        (0u64..2).prop_map(Filter::Cgroup),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

fn seen() -> impl Strategy<Value = Seen> {
    let port = || prop_oneof![0u16..4, Just(65535)];
    let address = || {
        prop_oneof![
            (0u8..4).prop_map(|top| {
                let mut six = [0; 16];
                six[0] = top << 6;
                six
            }),
            (0u8..4).prop_map(|top| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, top << 6, 0, 0, 0]),
        ]
    };
    (
        arbitrary::<bool>(),
        [port(), port()],
        [address(), address()],
        0u32..2,
        0u32..4,
        0u64..2,
        arbitrary::<bool>(),
    )
        .prop_map(|(six, ports, addresses, device, mark, cgroup, auto)| Seen {
            six,
            ports,
            addresses,
            device,
            mark,
            cgroup,
            auto,
        })
}

proptest! {
    #[test]
    fn a_program_lets_through_what_its_filter_says(
        filter in filter(),
        many in prop::collection::vec(seen(), 30),
    ) {
        let program = filter.program().unwrap();
        prop_assert_eq!(audit(&program), Ok(()));
        for seen in &many {
            prop_assert_eq!(run(&program, seen), filter.lets(seen), "{:?}", seen);
        }
    }
}

#[test]
fn a_port_or_another() {
    let port = |port| Filter::Port(End::Local, Compare::Eq, port);
    let program = Filter::Any(vec![port(80), port(443)]).program().unwrap();
    let le = |n: u16| n.to_ne_bytes();
    let expected = [
        &[S_EQ, 8][..],
        &le(12),
        &[0, 0],
        &le(80),
        &[JMP, 4],
        &le(12),
        &[S_EQ, 8],
        &le(12),
        &[0, 0],
        &le(443),
    ]
    .concat();
    assert_eq!(program, expected);
    assert!(Filter::All(vec![]).program().unwrap().is_empty());
    assert_eq!(Filter::Any(vec![]).program().unwrap(), [&[JMP, 4][..], &le(8)].concat());
}

#[test]
fn what_no_jump_reaches_is_refused() {
    let many = vec![Filter::Cgroup(1); 6000];
    assert_eq!(Filter::All(many).program(), Err(TooLarge { bytes: 72_000 }));
}
