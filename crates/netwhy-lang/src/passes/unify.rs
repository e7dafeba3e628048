//! The type that holds two others, and what literals are.

use super::ty::{Agg, Space, Ty};
use crate::ast::{BinOp, Expr, ExprKind, UnOp};

/// A literal number.
pub(crate) fn constant(e: &Expr) -> Option<i64> {
    match &e.kind {
        ExprKind::Int(n) => Some(*n as i64),
        ExprKind::Unary(UnOp::Neg, inner) => constant(inner).map(i64::wrapping_neg),
        _ => None,
    }
}

/// A number made of literals only.
pub(crate) fn folded(e: &Expr) -> Option<i64> {
    match &e.kind {
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (folded(a)?, folded(b)?);
            match op {
                BinOp::Add => a.checked_add(b),
                BinOp::Sub => a.checked_sub(b),
                BinOp::Mul => a.checked_mul(b),
                BinOp::Div => a.checked_div(b),
                BinOp::Mod => a.checked_rem(b),
                BinOp::Shl => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
                BinOp::Shr => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
                BinOp::And => Some(a & b),
                BinOp::Or => Some(a | b),
                BinOp::Xor => Some(a ^ b),
                _ => None,
            }
        }
        ExprKind::Comptime(inner) => folded(inner),
        _ => constant(e),
    }
}

/// Arithmetic and comparisons are signed unless one side is a 64-bit unsigned number: what is smaller is extended
/// and keeps its value. A literal takes the other side's sign.
pub(crate) fn both_signed(a: &Expr, ta: &Ty, b: &Expr, tb: &Ty) -> bool {
    let free = |e: &Expr| {
        constant(e).is_some_and(|n| n >= 0) && matches!(e.kind, ExprKind::Int(n) if n <= i64::MAX as u64)
    };
    (free(a) || ta.fits_signed()) && (free(b) || tb.fits_signed())
}

/// A pointer that leaves the place where the verifier knows it.
pub(crate) fn unbtf(ty: &Ty) -> Ty {
    match ty {
        Ty::Ptr(c, Space::Btf) => Ty::Ptr(c.clone(), Space::Kernel),
        other => other.clone(),
    }
}

/// A type as part of a key or stored value: all strings of a place agree in size.
pub(crate) fn keyed(ty: Ty) -> Ty {
    match ty {
        Ty::Tuple(parts) => Ty::Tuple(parts.into_iter().map(|(n, t)| (n, keyed(t))).collect()),
        other => held(unbtf(&other)),
    }
}

/// A structure or array as it is kept: a copy, wherever it came from.
pub(crate) fn held(ty: Ty) -> Ty {
    match ty {
        Ty::Place(c, Space::User | Space::Copied) => Ty::Place(c, Space::Copied),
        Ty::Place(c, _) => Ty::Place(c, Space::Kernel),
        other => other,
    }
}

/// The type that holds both, if there is one.
pub(crate) fn merge(a: &Ty, b: &Ty) -> Option<Ty> {
    Some(match (a, b) {
        (Ty::Unknown, other) | (other, Ty::Unknown) => other.clone(),
        (x, y) if x == y => x.clone(),
        (Ty::Int { size: s1, signed: g1 }, Ty::Int { size: s2, signed: g2 }) if g1 == g2 => {
            Ty::Int { size: *s1.max(s2), signed: *g1 }
        }
        (Ty::Int { size: s, signed: true }, Ty::Int { size: u, .. })
        | (Ty::Int { size: u, .. }, Ty::Int { size: s, .. }) => {
            // The next size holds both; of 64 bits there is no next.
            Ty::Int { size: if s > u { *s } else { (*u * 2).min(8) }, signed: true }
        }
        (Ty::Int { .. }, Ty::Bool) | (Ty::Bool, Ty::Int { .. }) => Ty::I64,
        (Ty::Enum(_), Ty::Int { .. }) | (Ty::Int { .. }, Ty::Enum(_)) => Ty::I64,
        (Ty::Str(x), Ty::Str(y)) => Ty::Str(*x.max(y)),
        (Ty::Buf(x), Ty::Buf(y)) => Ty::Buf(*x.max(y)),
        (Ty::Ptr(x, s1), Ty::Ptr(_, s2)) => {
            let space = if s1 == s2 { *s1 } else { Space::Kernel };
            Ty::Ptr(x.clone(), space)
        }
        (Ty::Ptr(c, s), Ty::Int { .. }) | (Ty::Int { .. }, Ty::Ptr(c, s)) => Ty::Ptr(c.clone(), *s),
        (Ty::Tuple(x), Ty::Tuple(y)) if x.len() == y.len() => {
            // Fields of records go by name, whatever their order; those of tuples by place.
            let mut out = Vec::new();
            for (i, (n, p)) in x.iter().enumerate() {
                let (_, q) = if n.is_empty() { y.get(i) } else { y.iter().find(|(m, _)| m == n) }?;
                out.push((n.clone(), merge(p, q)?));
            }
            if x.first().is_some_and(|(n, _)| n.is_empty()) != y.first().is_some_and(|(n, _)| n.is_empty()) {
                return None;
            }
            Ty::Tuple(out)
        }
        (Ty::Agg(x), Ty::Agg(y)) => {
            let signed = x.signed() || y.signed();
            Ty::Agg(match (x, y) {
                (Agg::Sum { .. }, Agg::Sum { .. }) => Agg::Sum { signed },
                (Agg::Min { .. }, Agg::Min { .. }) => Agg::Min { signed },
                (Agg::Max { .. }, Agg::Max { .. }) => Agg::Max { signed },
                (Agg::Avg { .. }, Agg::Avg { .. }) => Agg::Avg { signed },
                (Agg::Stats { .. }, Agg::Stats { .. }) => Agg::Stats { signed },
                (
                    Agg::Tseries { interval, count, kind, .. },
                    Agg::Tseries { interval: i, count: c, kind: k, .. },
                ) if interval == i && count == c && kind == k => {
                    Agg::Tseries { interval: *interval, count: *count, kind: *kind, signed }
                }
                _ => return None,
            })
        }
        _ => return None,
    })
}
