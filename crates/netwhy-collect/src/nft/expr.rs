//! Expressions of nftables as the kernel dumps them (uapi `linux/netfilter/nf_tables.h`).
//!
//! Numbers are big endian, registers are numbered as the uapi numbers them. An expression becomes
//! [`Expr::Unknown`] with its raw bytes when its name is new, when it lacks what it cannot be without, or
//! when it carries an attribute this build has never heard of: such an attribute may change what the
//! expression means, and a walker that executed the rest would predict with confidence what is wrong.

use netwhy_facts::nft::{BitwiseOp, CmpOp, Data, Expr, NftVerdict, PayloadBase};

use crate::fields::{self, Fields};

/// `NFTA_LIST_ELEM`.
const LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: usize = 1;
const NFTA_EXPR_DATA: usize = 2;
/// Expressions nest in `dynset` and `inner` only, one level; anything deeper is not from a kernel.
const MAX_DEPTH: u8 = 3;

/// A list of expressions (`NFTA_RULE_EXPRESSIONS`, `NFTA_DYNSET_EXPRESSIONS`, `NFTA_SET_ELEM_EXPRESSIONS`).
pub fn expressions(list: &[u8]) -> Vec<Expr> {
    list_of(list, 0)
}

/// One expression: a nest of `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`.
pub fn expression(nest: &[u8]) -> Expr {
    one(nest, 0)
}

/// An object's state (`NFTA_OBJ_DATA`) as the expression of the same name; `None` for kinds without one.
pub(super) fn object(obj_type: u32, data: &[u8]) -> Option<Expr> {
    let name = match obj_type {
        1 => "counter",
        2 => "quota",
        4 => "limit",
        5 => "connlimit",
        10 => "synproxy",
        _ => return None,
    };
    Some(named(name, data, 0))
}

fn list_of(list: &[u8], depth: u8) -> Vec<Expr> {
    fields::list(list, LIST_ELEM).map(|nest| one(nest, depth)).collect()
}

fn one(nest: &[u8], depth: u8) -> Expr {
    let fields = Fields::of(nest);
    let name = fields.text(NFTA_EXPR_NAME).unwrap_or_default();
    named(&name, fields.bytes(NFTA_EXPR_DATA).unwrap_or(&[]), depth)
}

fn named(name: &str, raw: &[u8], depth: u8) -> Expr {
    let unknown = || Expr::Unknown { name: name.to_owned(), raw: raw.to_vec() };
    if depth > MAX_DEPTH {
        return unknown();
    }
    let fields = Fields::of(raw);
    let Some((_, last, decode)) = TABLE.iter().find(|entry| entry.0 == name) else { return unknown() };
    if fields.is_broken() || fields.highest() > *last {
        return unknown();
    }
    decode(&fields, depth).unwrap_or_else(unknown)
}

type Decode = fn(&Fields<'_>, u8) -> Option<Expr>;

/// Name, highest attribute known, decoder.
const TABLE: &[(&str, u16, Decode)] = &[
    ("payload", 8, |f, _| payload(f)),
    ("meta", 3, |f, _| meta(f)),
    ("ct", 4, |f, _| ct(f)),
    ("cmp", 3, |f, _| cmp(f)),
    ("range", 4, |f, _| range(f)),
    ("bitwise", 8, |f, _| bitwise(f)),
    ("byteorder", 5, |f, _| byteorder(f)),
    ("lookup", 5, |f, _| lookup(f)),
    ("immediate", 2, |f, _| immediate(f)),
    ("counter", 3, |f, _| counter(f)),
    ("limit", 6, |f, _| limit(f)),
    ("quota", 4, |f, _| quota(f)),
    ("connlimit", 2, |f, _| connlimit(f)),
    ("numgen", 4, |f, _| numgen(f)),
    ("hash", 7, |f, _| hash(f)),
    ("fib", 3, |f, _| fib(f)),
    ("rt", 2, |f, _| rt(f)),
    ("socket", 3, |f, _| socket(f)),
    ("exthdr", 7, |f, _| exthdr(f)),
    ("nat", 7, |f, _| nat(f)),
    ("masq", 3, |f, _| masq(f)),
    ("redir", 3, |f, _| redir(f)),
    ("reject", 2, |f, _| reject(f)),
    ("tproxy", 3, |f, _| tproxy(f)),
    ("notrack", 0, |_, _| Some(Expr::Notrack)),
    ("queue", 4, |f, _| queue(f)),
    ("log", 6, |f, _| log(f)),
    ("dup", 2, |f, _| Some(Expr::Dup { addr: f.be32(1), dev: f.be32(2) })),
    ("fwd", 3, |f, _| Some(Expr::Fwd { dev: f.be32(1)?, addr: f.be32(2), family: f.be32(3) })),
    ("dynset", 10, dynset),
    ("objref", 5, |f, _| objref(f)),
    ("last", 3, |f, _| Some(Expr::Last { set: f.be32(1)? != 0, ms: f.be64(2).unwrap_or(0) })),
    ("synproxy", 3, |f, _| synproxy(f)),
    ("osf", 3, |f, _| Some(Expr::Osf { dreg: f.be32(1)?, ttl: f.u8(2)?, flags: f.be32(3).unwrap_or(0) })),
    ("flow_offload", 1, |f, _| Some(Expr::FlowOffload { table: f.text(1)? })),
    ("tunnel", 3, |f, _| {
        Some(Expr::Tunnel { key: f.be32(1)?, dreg: f.be32(2)?, mode: f.be32(3).unwrap_or(0) })
    }),
    ("xfrm", 4, |f, _| {
        Some(Expr::Xfrm { dreg: f.be32(1)?, key: f.be32(2)?, dir: f.u8(3)?, spnum: f.be32(4).unwrap_or(0) })
    }),
    ("match", 3, |f, _| {
        Some(Expr::Match {
            name: f.text(1)?,
            revision: f.be32(2)?,
            info: f.bytes(3)?.to_vec(),
            decoded: None,
        })
    }),
    ("target", 3, |f, _| {
        Some(Expr::Target {
            name: f.text(1)?,
            revision: f.be32(2)?,
            info: f.bytes(3)?.to_vec(),
            decoded: None,
        })
    }),
    ("inner", 5, inner),
];

fn payload(f: &Fields<'_>) -> Option<Expr> {
    let base = match f.be32(2)? {
        0 => PayloadBase::Link,
        1 => PayloadBase::Network,
        2 => PayloadBase::Transport,
        3 => PayloadBase::Inner,
        4 => PayloadBase::Tunnel,
        _ => return None,
    };
    let (offset, len) = (f.be32(3)?, f.be32(4)?);
    Some(match (f.be32(1), f.be32(5)) {
        (Some(dreg), None) => Expr::Payload { base, offset, len, dreg },
        (None, Some(sreg)) => Expr::PayloadSet {
            base,
            offset,
            len,
            sreg,
            csum_type: f.be32(6).unwrap_or(0),
            csum_offset: f.be32(7).unwrap_or(0),
            csum_flags: f.be32(8).unwrap_or(0),
        },
        _ => return None,
    })
}

fn meta(f: &Fields<'_>) -> Option<Expr> {
    let key = f.be32(2)?;
    match (f.be32(1), f.be32(3)) {
        (Some(dreg), None) => Some(Expr::Meta { key, dreg }),
        (None, Some(sreg)) => Some(Expr::MetaSet { key, sreg }),
        _ => None,
    }
}

fn ct(f: &Fields<'_>) -> Option<Expr> {
    let (key, dir) = (f.be32(2)?, f.u8(3));
    match (f.be32(1), f.be32(4)) {
        (Some(dreg), None) => Some(Expr::Ct { key, dir, dreg }),
        (None, Some(sreg)) => Some(Expr::CtSet { key, dir, sreg }),
        _ => None,
    }
}

fn cmp(f: &Fields<'_>) -> Option<Expr> {
    let op = match f.be32(2)? {
        0 => CmpOp::Eq,
        1 => CmpOp::Neq,
        2 => CmpOp::Lt,
        3 => CmpOp::Lte,
        4 => CmpOp::Gt,
        5 => CmpOp::Gte,
        _ => return None,
    };
    Some(Expr::Cmp { op, sreg: f.be32(1)?, data: value(f.bytes(3)?)? })
}

fn range(f: &Fields<'_>) -> Option<Expr> {
    let negate = match f.be32(2)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(Expr::Range { negate, sreg: f.be32(1)?, from: value(f.bytes(3)?)?, to: value(f.bytes(4)?)? })
}

fn bitwise(f: &Fields<'_>) -> Option<Expr> {
    // The count is a register value (host order), not a number of the protocol (network order).
    let shift = || Some(u32::from_ne_bytes(value(f.bytes(7)?)?.try_into().ok()?));
    // Kernels before 5.7 do not name the operation: it is the first.
    let op = match f.be32(6).unwrap_or(0) {
        0 => BitwiseOp::MaskXor { mask: value(f.bytes(4)?)?, xor: value(f.bytes(5)?)? },
        1 => BitwiseOp::Lshift(shift()?),
        2 => BitwiseOp::Rshift(shift()?),
        3 => BitwiseOp::And { sreg2: f.be32(8)? },
        4 => BitwiseOp::Or { sreg2: f.be32(8)? },
        5 => BitwiseOp::Xor { sreg2: f.be32(8)? },
        _ => return None,
    };
    Some(Expr::Bitwise { sreg: f.be32(1)?, dreg: f.be32(2)?, len: f.be32(3)?, op })
}

fn byteorder(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Byteorder {
        sreg: f.be32(1)?,
        dreg: f.be32(2)?,
        op: f.be32(3)?,
        len: f.be32(4)?,
        size: f.be32(5)?,
    })
}

fn lookup(f: &Fields<'_>) -> Option<Expr> {
    let invert = f.be32(5).unwrap_or(0) & 1 != 0;
    Some(Expr::Lookup { set: f.text(1)?, sreg: f.be32(2)?, dreg: f.be32(3), invert })
}

fn immediate(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Immediate { dreg: f.be32(1)?, data: data(f.bytes(2)?)? })
}

fn counter(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Counter { packets: f.be64(2)?, bytes: f.be64(1)? })
}

fn limit(f: &Fields<'_>) -> Option<Expr> {
    let per_packet = match f.be32(4).unwrap_or(0) {
        0 => true,
        1 => false,
        _ => return None,
    };
    Some(Expr::Limit {
        rate: f.be64(1)?,
        unit_s: f.be64(2)?,
        burst: f.be32(3).unwrap_or(0),
        per_packet,
        over: f.be32(5).unwrap_or(0) & 1 != 0,
    })
}

fn quota(f: &Fields<'_>) -> Option<Expr> {
    let over = f.be32(2).unwrap_or(0) & 1 != 0;
    Some(Expr::Quota { bytes: f.be64(1)?, consumed: f.be64(4).unwrap_or(0), over })
}

fn connlimit(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Connlimit { count: f.be32(1)?, over: f.be32(2).unwrap_or(0) & 1 != 0 })
}

fn numgen(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Numgen {
        dreg: f.be32(1)?,
        modulus: f.be32(2)?,
        ng_type: f.be32(3)?,
        offset: f.be32(4).unwrap_or(0),
    })
}

fn hash(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Hash {
        sreg: f.be32(1),
        dreg: f.be32(2)?,
        len: f.be32(3).unwrap_or(0),
        modulus: f.be32(4)?,
        seed: f.be32(5),
        offset: f.be32(6).unwrap_or(0),
        hash_type: f.be32(7).unwrap_or(0),
    })
}

fn fib(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Fib { dreg: f.be32(1)?, result: f.be32(2)?, flags: f.be32(3)? })
}

fn rt(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Rt { key: f.be32(2)?, dreg: f.be32(1)? })
}

fn socket(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Socket { key: f.be32(1)?, level: f.be32(3).unwrap_or(0), dreg: f.be32(2)? })
}

fn exthdr(f: &Fields<'_>) -> Option<Expr> {
    let (hdr_type, op) = (f.u8(2)?, f.be32(6).unwrap_or(0));
    let place = || Some((f.be32(3)?, f.be32(4)?));
    match (f.be32(1), f.be32(7)) {
        (Some(dreg), None) => {
            let (offset, len) = place()?;
            let present = f.be32(5).unwrap_or(0) & 1 != 0;
            Some(Expr::Exthdr { dreg, hdr_type, offset, len, op, present })
        }
        (None, Some(sreg)) => {
            let (offset, len) = place()?;
            Some(Expr::ExthdrSet { sreg, hdr_type, offset, len, op })
        }
        (None, None) => Some(Expr::ExthdrReset { hdr_type, op }),
        _ => None,
    }
}

fn nat(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Nat {
        nat_type: f.be32(1)?,
        family: f.be32(2)?,
        addr_min: f.be32(3),
        addr_max: f.be32(4),
        proto_min: f.be32(5),
        proto_max: f.be32(6),
        flags: f.be32(7).unwrap_or(0),
    })
}

fn masq(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Masq { flags: f.be32(1).unwrap_or(0), proto_min: f.be32(2), proto_max: f.be32(3) })
}

fn redir(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Redir { flags: f.be32(3).unwrap_or(0), proto_min: f.be32(1), proto_max: f.be32(2) })
}

fn reject(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Reject { reject_type: f.be32(1)?, code: f.u8(2).unwrap_or(0) })
}

fn tproxy(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Tproxy { family: f.be32(1)?, addr: f.be32(2), port: f.be32(3) })
}

fn queue(f: &Fields<'_>) -> Option<Expr> {
    let sreg = f.be32(4);
    let num = match (f.be16(1), sreg) {
        (Some(num), _) => num,
        (None, Some(_)) => 0,
        (None, None) => return None,
    };
    Some(Expr::Queue { num, total: f.be16(2).unwrap_or(1), flags: f.be16(3).unwrap_or(0), sreg })
}

fn log(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Log {
        group: f.be16(1),
        prefix: f.text(2).unwrap_or_default(),
        snaplen: f.be32(3).unwrap_or(0),
        level: f.be32(5),
        flags: f.be32(6).unwrap_or(0),
        queue_threshold: f.be16(4).unwrap_or(0),
    })
}

fn dynset(f: &Fields<'_>, depth: u8) -> Option<Expr> {
    let exprs = match (f.bytes(7), f.bytes(10)) {
        (_, Some(list)) => list_of(list, depth + 1),
        (Some(nest), None) => vec![one(nest, depth + 1)],
        (None, None) => Vec::new(),
    };
    Some(Expr::Dynset {
        set: f.text(1)?,
        op: f.be32(3)?,
        key: f.be32(4)?,
        data: f.be32(5),
        timeout_ms: f.be64(6),
        invert: f.be32(9).unwrap_or(0) & 1 != 0,
        exprs,
    })
}

fn objref(f: &Fields<'_>) -> Option<Expr> {
    match (f.be32(1), f.be32(3)) {
        (Some(obj_type), None) => Some(Expr::Objref { obj_type, name: f.text(2)? }),
        (None, Some(sreg)) => Some(Expr::ObjrefMap { set: f.text(4)?, sreg }),
        _ => None,
    }
}

fn synproxy(f: &Fields<'_>) -> Option<Expr> {
    Some(Expr::Synproxy { mss: f.be16(1)?, wscale: f.u8(2)?, flags: f.be32(3)? })
}

fn inner(f: &Fields<'_>, depth: u8) -> Option<Expr> {
    Some(Expr::Inner {
        inner_type: f.be32(2)?,
        flags: f.be32(3)?,
        hdrsize: f.be32(4)?,
        expr: Box::new(one(f.bytes(5)?, depth + 1)),
    })
}

/// `NFTA_DATA_VALUE` of a nest.
fn value(nest: &[u8]) -> Option<Vec<u8>> {
    match data(nest)? {
        Data::Value(bytes) => Some(bytes),
        Data::Verdict(_) => None,
    }
}

/// A value or a verdict (`NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`).
pub(super) fn data(nest: &[u8]) -> Option<Data> {
    let fields = Fields::of(nest);
    match (fields.bytes(1), fields.bytes(2)) {
        (Some(bytes), None) => Some(Data::Value(bytes.to_vec())),
        (None, Some(nest)) => verdict(nest).map(Data::Verdict),
        _ => None,
    }
}

fn verdict(nest: &[u8]) -> Option<NftVerdict> {
    let fields = Fields::of(nest);
    let code = fields.be32(1)? as i32;
    Some(match code {
        0 => NftVerdict::Drop,
        1 => NftVerdict::Accept,
        -1 => NftVerdict::Continue,
        -2 => NftVerdict::Break,
        -3 => NftVerdict::Jump(fields.text(2)?),
        -4 => NftVerdict::Goto(fields.text(2)?),
        -5 => NftVerdict::Return,
        // NF_QUEUE with the queue's number in the high half.
        code if code & 0xffff == 3 => NftVerdict::Queue((code as u32 >> 16) as u16),
        other => NftVerdict::Other(other),
    })
}
