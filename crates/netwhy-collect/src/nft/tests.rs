//! Decoders against recorded answers, what this kernel cannot record, and damaged bytes.

use netwhy_facts::nft::{Data, Expr, NftFamily, NftVerdict};
use netwhy_wire::netlink::Builder;

use super::*;
use crate::testing::{damage, recorded};

const RECORDED: &str = include_str!("../../fixtures/nft.txt");

fn bytes(fill: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut builder = Builder::new();
    fill(&mut builder);
    builder.finish().unwrap()
}

fn named(name: &str, fill: impl FnOnce(&mut Builder)) -> Expr {
    expression(&bytes(|b| _ = b.str(1, name).nest(2, fill)))
}

/// Decodes a payload as what it was recorded as; the expressions found in it.
fn decode(kind: &str, payload: &[u8]) -> Option<Vec<Expr>> {
    match kind {
        "gen" => generation(payload).map(|_| Vec::new()),
        "table" => table(payload).map(|_| Vec::new()),
        "chain" => chain(payload).map(|_| Vec::new()),
        "rule" => rule(payload).map(|rule| rule.exprs),
        "set" => set(payload).map(|_| Vec::new()),
        "elements" => Some(elements(payload).flat_map(|element| element.exprs).collect()),
        "object" => object(payload).map(|object| object.expr.into_iter().collect()),
        "flowtable" => flowtable(payload).map(|_| Vec::new()),
        other => panic!("what is {other}?"),
    }
}

#[test]
fn recorded_answers_decode_whole() {
    let all = recorded(RECORDED);
    assert!(all.len() > 100);
    for (kind, payload) in all {
        let exprs = decode(&kind, &payload).unwrap_or_else(|| panic!("{kind} {payload:02x?}"));
        assert!(!exprs.iter().any(|expr| matches!(expr, Expr::Unknown { .. })), "{kind}: {exprs:?}");
    }
}

#[test]
fn damaged_answers_end_without_panic() {
    for (kind, payload) in recorded(RECORDED) {
        damage(&payload, 150, |broken| {
            let _ = decode(&kind, broken);
            let _ = (expressions(broken), expression(broken));
        });
    }
}

#[test]
fn what_this_kernel_does_not_offer() {
    let queue = named("queue", |d| _ = d.be16(1, 3).be16(2, 2).be16(3, 1));
    assert_eq!(queue, Expr::Queue { num: 3, total: 2, flags: 1, sreg: None });
    let queue = named("queue", |d| _ = d.be32(4, 8).be16(3, 0));
    assert_eq!(queue, Expr::Queue { num: 0, total: 1, flags: 0, sreg: Some(8) });
    assert_eq!(named("flow_offload", |d| _ = d.str(1, "ft")), Expr::FlowOffload { table: "ft".into() });
    let dccp = named("exthdr", |d| _ = d.be32(1, 8).u8(2, 4).be32(3, 0).be32(4, 1).be32(5, 1).be32(6, 4));
    assert_eq!(dccp, Expr::Exthdr { dreg: 8, hdr_type: 4, offset: 0, len: 1, op: 4, present: true });
}

#[test]
fn a_flowtable_and_devices_by_prefix() {
    let mut payload = vec![1, 0, 0, 0];
    payload.extend(bytes(|b| {
        b.str(1, "t").str(2, "ft").be64(5, 9).be32(7, 2).nest(3, |hook| {
            hook.be32(1, 0).be32(2, -5i32 as u32).nest(3, |list| _ = list.str(1, "eth0").str(2, "veth"));
        });
    }));
    let flowtable = flowtable(&payload).unwrap();
    assert_eq!((flowtable.family, flowtable.priority, flowtable.flags), (NftFamily::Inet, -5, 2));
    assert_eq!(flowtable.devices, ["eth0", "veth*"]);
}

#[test]
fn a_new_attribute_makes_an_expression_unknown() {
    let plain = |extra: bool| {
        named("meta", |d| {
            d.be32(1, 1).be32(2, 16);
            if extra {
                d.be32(9, 1);
            }
        })
    };
    assert_eq!(plain(false), Expr::Meta { key: 16, dreg: 1 });
    assert!(matches!(plain(true), Expr::Unknown { name, raw } if name == "meta" && raw.len() == 24));
    assert!(matches!(named("teleport", |_| ()), Expr::Unknown { name, .. } if name == "teleport"));
    assert!(matches!(named("cmp", |d| _ = d.be32(1, 1)), Expr::Unknown { .. }), "half an expression");
}

#[test]
fn verdicts_keep_what_they_carry() {
    let verdict = |code: i32, chain: &str| {
        named("immediate", |d| {
            d.be32(1, 0).nest(2, |data| {
                data.nest(2, |v| {
                    v.be32(1, code as u32);
                    if !chain.is_empty() {
                        v.str(2, chain);
                    }
                });
            });
        })
    };
    let is = |verdict| Expr::Immediate { dreg: 0, data: Data::Verdict(verdict) };
    assert_eq!(verdict(-3, "next"), is(NftVerdict::Jump("next".into())));
    assert_eq!(verdict(3 | 7 << 16, ""), is(NftVerdict::Queue(7)));
    assert_eq!(verdict(-(13 << 16), ""), is(NftVerdict::Other(-(13 << 16))));
    assert!(matches!(verdict(-3, ""), Expr::Unknown { .. }), "a jump to nowhere");
}

#[test]
fn nests_are_bounded() {
    let mut deep = bytes(|b| _ = b.str(1, "counter").nest(2, |_| ()));
    for _ in 0..100 {
        deep = bytes(|b| {
            b.str(1, "inner").nest(2, |d| _ = d.be32(1, 0).be32(2, 1).be32(3, 0).be32(4, 8).bytes(5, &deep));
        });
    }
    let mut expr = expression(&deep);
    let mut depth = 0;
    while let Expr::Inner { expr: next, .. } = expr {
        (expr, depth) = (*next, depth + 1);
    }
    assert!(matches!(expr, Expr::Unknown { .. }) && depth < 10, "{depth}");
}
