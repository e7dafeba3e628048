//! Expressions as facts have them, written for the kernel: what a collector reads back is what was written.

use netwhy_facts::nft::{BitwiseOp, CmpOp, Data, Expr, NftVerdict, PayloadBase};
use netwhy_wire::netlink::Builder;

use crate::{ChangeError, Result};

/// `NFTA_LIST_ELEM`.
const LIST_ELEM: u16 = 1;

/// Writes a list of expressions (`NFTA_RULE_EXPRESSIONS`). Lookups in anonymous sets take the sets' numbers in
/// the transaction from `anonymous`, in order.
pub(super) fn list(out: &mut Builder, exprs: &[Expr], anonymous: &[u32]) -> Result<()> {
    let mut anonymous = anonymous.iter();
    for expr in exprs {
        let (name, mut data) = attributes(expr)?;
        if let Expr::Lookup { set, .. } = expr
            && set.ends_with("%d")
        {
            let id = anonymous.next().ok_or_else(|| unknown("a lookup in a set without a number"))?;
            data.be32(4, *id);
        }
        let data = data.finish()?;
        out.nest(LIST_ELEM, |element| {
            element.str(1, name);
            let nest = element.begin(2);
            element.raw(&data);
            element.end(nest);
        });
    }
    Ok(())
}

fn value(out: &mut Builder, kind: u16, bytes: &[u8]) {
    out.nest(kind, |inside| _ = inside.bytes(1, bytes));
}

/// `NFTA_DATA_VALUE` or `NFTA_DATA_VERDICT` in an attribute.
pub(super) fn data(out: &mut Builder, kind: u16, data: &Data) {
    match data {
        Data::Value(bytes) => value(out, kind, bytes),
        Data::Verdict(verdict) => {
            let (code, chain) = match verdict {
                NftVerdict::Drop => (0, None),
                NftVerdict::Accept => (1, None),
                NftVerdict::Queue(number) => (3 | i32::from(*number) << 16, None),
                NftVerdict::Continue => (-1, None),
                NftVerdict::Break => (-2, None),
                NftVerdict::Jump(chain) => (-3, Some(chain)),
                NftVerdict::Goto(chain) => (-4, Some(chain)),
                NftVerdict::Return => (-5, None),
                NftVerdict::Other(code) => (*code, None),
            };
            out.nest(kind, |inside| {
                inside.nest(2, |verdict| {
                    verdict.bytes(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.str(2, chain);
                    }
                });
            });
        }
    }
}

fn maybe(out: &mut Builder, kind: u16, number: Option<u32>) {
    if let Some(number) = number {
        out.be32(kind, number);
    }
}

/// The expression's name and its attributes.
fn attributes(expr: &Expr) -> Result<(&str, Builder)> {
    let mut out = Builder::new();
    let o = &mut out;
    let name = match expr {
        Expr::Payload { base, offset, len, dreg } => {
            o.be32(1, *dreg).be32(2, number_of(*base)).be32(3, *offset).be32(4, *len);
            "payload"
        }
        Expr::PayloadSet { base, offset, len, sreg, csum_type, csum_offset, csum_flags } => {
            o.be32(2, number_of(*base)).be32(3, *offset).be32(4, *len).be32(5, *sreg);
            o.be32(6, *csum_type).be32(7, *csum_offset);
            if *csum_flags != 0 {
                o.be32(8, *csum_flags);
            }
            "payload"
        }
        Expr::Meta { key, dreg } => {
            o.be32(2, *key).be32(1, *dreg);
            "meta"
        }
        Expr::MetaSet { key, sreg } => {
            o.be32(2, *key).be32(3, *sreg);
            "meta"
        }
        Expr::Ct { key, dir, dreg } => {
            o.be32(2, *key).be32(1, *dreg);
            if let Some(dir) = dir {
                o.u8(3, *dir);
            }
            "ct"
        }
        Expr::CtSet { key, dir, sreg } => {
            o.be32(2, *key).be32(4, *sreg);
            if let Some(dir) = dir {
                o.u8(3, *dir);
            }
            "ct"
        }
        Expr::Cmp { op, sreg, data } => {
            let op = match op {
                CmpOp::Eq => 0,
                CmpOp::Neq => 1,
                CmpOp::Lt => 2,
                CmpOp::Lte => 3,
                CmpOp::Gt => 4,
                CmpOp::Gte => 5,
            };
            o.be32(1, *sreg).be32(2, op);
            value(o, 3, data);
            "cmp"
        }
        Expr::Range { negate, sreg, from, to } => {
            o.be32(1, *sreg).be32(2, u32::from(*negate));
            value(o, 3, from);
            value(o, 4, to);
            "range"
        }
        Expr::Bitwise { sreg, dreg, len, op } => {
            o.be32(1, *sreg).be32(2, *dreg).be32(3, *len);
            match op {
                BitwiseOp::MaskXor { mask, xor } => {
                    value(o, 4, mask);
                    value(o, 5, xor);
                }
                BitwiseOp::Lshift(count) | BitwiseOp::Rshift(count) => {
                    o.be32(6, if matches!(op, BitwiseOp::Lshift(_)) { 1 } else { 2 });
                    value(o, 7, &count.to_ne_bytes());
                }
                _ => return Err(unknown("an operation on two registers")),
            }
            "bitwise"
        }
        Expr::Byteorder { sreg, dreg, op, len, size } => {
            o.be32(1, *sreg).be32(2, *dreg).be32(3, *op).be32(4, *len).be32(5, *size);
            "byteorder"
        }
        Expr::Lookup { set, sreg, dreg, invert } => {
            o.str(1, set).be32(2, *sreg);
            maybe(o, 3, *dreg);
            if *invert {
                o.be32(5, 1);
            }
            "lookup"
        }
        Expr::Immediate { dreg, data: content } => {
            o.be32(1, *dreg);
            data(o, 2, content);
            "immediate"
        }
        Expr::Counter { packets, bytes } => {
            o.be64(1, *bytes).be64(2, *packets);
            "counter"
        }
        Expr::Limit { rate, unit_s, burst, per_packet, over } => {
            o.be64(1, *rate).be64(2, *unit_s).be32(3, *burst);
            o.be32(4, u32::from(!per_packet)).be32(5, u32::from(*over));
            "limit"
        }
        Expr::Quota { bytes, consumed, over } => {
            o.be64(1, *bytes).be32(2, u32::from(*over)).be64(4, *consumed);
            "quota"
        }
        Expr::Connlimit { count, over } => {
            o.be32(1, *count).be32(2, u32::from(*over));
            "connlimit"
        }
        Expr::Numgen { dreg, modulus, ng_type, offset } => {
            o.be32(1, *dreg).be32(2, *modulus).be32(3, *ng_type).be32(4, *offset);
            "numgen"
        }
        Expr::Fib { dreg, result, flags } => {
            o.be32(1, *dreg).be32(2, *result).be32(3, *flags);
            "fib"
        }
        Expr::Nat { nat_type, family, addr_min, addr_max, proto_min, proto_max, flags } => {
            o.be32(1, *nat_type).be32(2, *family);
            for (kind, register) in [(3, addr_min), (4, addr_max), (5, proto_min), (6, proto_max)] {
                maybe(o, kind, *register);
            }
            if *flags != 0 {
                o.be32(7, *flags);
            }
            "nat"
        }
        Expr::Masq { flags, proto_min, proto_max } => {
            if *flags != 0 {
                o.be32(1, *flags);
            }
            maybe(o, 2, *proto_min);
            maybe(o, 3, *proto_max);
            "masq"
        }
        Expr::Redir { flags, proto_min, proto_max } => {
            maybe(o, 1, *proto_min);
            maybe(o, 2, *proto_max);
            if *flags != 0 {
                o.be32(3, *flags);
            }
            "redir"
        }
        Expr::Reject { reject_type, code } => {
            o.be32(1, *reject_type).u8(2, *code);
            "reject"
        }
        Expr::Notrack => "notrack",
        Expr::Queue { num, total, flags, sreg: None } => {
            o.be16(1, *num).be16(2, *total).be16(3, *flags);
            "queue"
        }
        Expr::Log { group, prefix, snaplen, level, flags, queue_threshold } => {
            if let Some(group) = group {
                o.be16(1, *group);
                if *snaplen > 0 {
                    o.be32(3, *snaplen);
                }
                if *queue_threshold > 0 {
                    o.be16(4, *queue_threshold);
                }
            }
            if !prefix.is_empty() {
                o.str(2, prefix);
            }
            maybe(o, 5, *level);
            if *flags != 0 {
                o.be32(6, *flags);
            }
            "log"
        }
        Expr::Dynset { set, op, key, data: None, timeout_ms, invert: false, exprs } => {
            o.str(1, set).be32(3, *op).be32(4, *key);
            if let Some(timeout) = timeout_ms {
                o.be64(6, *timeout);
            }
            match exprs.as_slice() {
                [] => {}
                [only] => {
                    let (name, inner) = attributes(only)?;
                    let inner = inner.finish()?;
                    o.nest(7, |element| {
                        element.str(1, name);
                        let nest = element.begin(2);
                        element.raw(&inner);
                        element.end(nest);
                    });
                }
                many => {
                    let mut inner = Builder::new();
                    list(&mut inner, many, &[])?;
                    let inner = inner.finish()?;
                    let nest = o.begin(10);
                    o.raw(&inner);
                    o.end(nest);
                }
            }
            "dynset"
        }
        Expr::Objref { obj_type, name } => {
            o.be32(1, *obj_type).str(2, name);
            "objref"
        }
        Expr::FlowOffload { table } => {
            o.str(1, table);
            "flow_offload"
        }
        Expr::Match { name, revision, info, .. } => {
            o.str(1, name).be32(2, *revision).bytes(3, info);
            "match"
        }
        Expr::Target { name, revision, info, .. } => {
            o.str(1, name).be32(2, *revision).bytes(3, info);
            "target"
        }
        _ => return Err(unknown("this expression")),
    };
    Ok((name, out))
}

fn unknown(what: &str) -> ChangeError {
    ChangeError::Usage(format!("{what} is read but not written"))
}

const fn number_of(base: PayloadBase) -> u32 {
    match base {
        PayloadBase::Link => 0,
        PayloadBase::Network => 1,
        PayloadBase::Transport => 2,
        PayloadBase::Inner => 3,
        PayloadBase::Tunnel => 4,
    }
}
