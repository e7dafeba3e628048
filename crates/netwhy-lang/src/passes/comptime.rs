//! `comptime`: what is known of an expression before the script runs.

use super::infer::Infer;
use super::points;
use super::ty::{C, Ty};
use crate::ast::{BinOp, Expr, ExprKind, UnOp};
use crate::diag::{Diagnostic, Result};

/// A known value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    Number(i128),
    Text(String),
}

impl Infer<'_> {
    /// Decides a `comptime` condition; `None` while types are still open.
    pub(crate) fn decide(&mut self, cond: &Expr, inner: &Expr) -> Result<Option<bool>> {
        let value = match self.known(inner)? {
            Some(Known::Number(n)) => n != 0,
            Some(Known::Text(text)) => !text.is_empty(),
            None if self.last => {
                return Err(Diagnostic::error(inner.span, "this is not known when the script is compiled"));
            }
            None => return Ok(None),
        };
        self.decided.insert(cond.id, value);
        Ok(Some(value))
    }

    pub(crate) fn known(&mut self, e: &Expr) -> Result<Option<Known>> {
        let truth = |t: bool| Some(Known::Number(i128::from(t)));
        Ok(match &e.kind {
            ExprKind::Int(n) => Some(Known::Number(i128::from(*n))),
            ExprKind::Str(text) => Some(Known::Text(text.clone())),
            ExprKind::Comptime(inner) => self.known(inner)?,
            ExprKind::Block(block, value) if block.stmts.is_empty() => self.known(value)?,
            ExprKind::Ident(name) => match name.as_str() {
                "true" => truth(true),
                "false" => truth(false),
                "probetype" => Some(Known::Text(self.probe_type().to_string())),
                "probe" => Some(Known::Text(self.probe_name())),
                _ => self.world.enumerator(name).map(|(value, _)| Known::Number(i128::from(value))),
            },
            ExprKind::Unary(op, inner) => match (op, self.known(inner)?) {
                (UnOp::Not, Some(Known::Number(n))) => truth(n == 0),
                (UnOp::Neg, Some(Known::Number(n))) => Some(Known::Number(-n)),
                _ => None,
            },
            ExprKind::Ternary(cond, yes, no) => match self.known(cond)? {
                Some(Known::Number(0)) => self.known(no)?,
                Some(_) => self.known(yes)?,
                None => None,
            },
            ExprKind::Binary(op, a, b) => match (op, self.known(a)?, self.known(b)?) {
                (BinOp::LAnd, Some(Known::Number(0)), _) | (BinOp::LAnd, _, Some(Known::Number(0))) => {
                    truth(false)
                }
                (BinOp::LOr, Some(Known::Number(n)), _) if n != 0 => truth(true),
                (op, Some(a), Some(b)) => compute(*op, &a, &b),
                _ => None,
            },
            ExprKind::Call(name, args) => match (name.as_str(), args.as_slice()) {
                ("probetype", []) => Some(Known::Text(self.probe_type().to_string())),
                (name, [arg]) if TESTS.contains(&name) => {
                    let ty = self.expr(arg)?;
                    match ty {
                        Ty::Unknown => None,
                        ty => type_test(name, arg, &ty, &self.value(&ty)).and_then(truth),
                    }
                }
                ("sizeof", _) => None,
                _ => None,
            },
            _ => None,
        })
    }

    /// `kprobe`, `special` and so on.
    pub(crate) fn probe_type(&self) -> &'static str {
        self.attach.as_ref().map_or("special", points::kind_name)
    }
}

/// Functions that ask for the type of their argument.
pub(crate) const TESTS: [&str; 6] =
    ["is_str", "is_ptr", "is_array", "is_integer", "is_unsigned_integer", "is_literal"];

/// What such a function says; `value` is the type with arrays of characters taken as strings.
pub(crate) fn type_test(name: &str, e: &Expr, ty: &Ty, value: &Ty) -> Option<bool> {
    let array = matches!(ty, Ty::Place(C::Array(..), _));
    let literal = matches!(e.kind, ExprKind::Int(_) | ExprKind::Str(_))
        || matches!(&e.kind, ExprKind::Ident(word) if word == "true" || word == "false")
        || matches!(&e.kind, ExprKind::Unary(UnOp::Neg, inner) if matches!(inner.kind, ExprKind::Int(_)));
    Some(match name {
        "is_str" => matches!(value, Ty::Str(_)) && !array,
        "is_ptr" => matches!(value, Ty::Ptr(..)),
        "is_array" => array,
        "is_integer" => matches!(value, Ty::Int { .. }),
        "is_unsigned_integer" => matches!(value, Ty::Int { signed: false, .. }) && !literal,
        "is_literal" => literal,
        _ => return None,
    })
}

fn compute(op: BinOp, a: &Known, b: &Known) -> Option<Known> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (a, b) {
        (Known::Number(a), Known::Number(b)) => a.cmp(b),
        (Known::Text(a), Known::Text(b)) => a.cmp(b),
        _ => return None,
    };
    let truth = |t: bool| Some(Known::Number(i128::from(t)));
    match (op, a, b) {
        (BinOp::Eq, ..) => truth(order == Equal),
        (BinOp::Ne, ..) => truth(order != Equal),
        (BinOp::Lt, ..) => truth(order == Less),
        (BinOp::Le, ..) => truth(order != Greater),
        (BinOp::Gt, ..) => truth(order == Greater),
        (BinOp::Ge, ..) => truth(order != Less),
        (BinOp::LAnd, Known::Number(a), Known::Number(b)) => truth(*a != 0 && *b != 0),
        (BinOp::LOr, Known::Number(a), Known::Number(b)) => truth(*a != 0 || *b != 0),
        (op, Known::Number(a), Known::Number(b)) => Some(Known::Number(match op {
            BinOp::Add => a.checked_add(*b)?,
            BinOp::Sub => a.checked_sub(*b)?,
            BinOp::Mul => a.checked_mul(*b)?,
            BinOp::Div => a.checked_div(*b)?,
            BinOp::Mod => a.checked_rem(*b)?,
            BinOp::And => a & b,
            BinOp::Or => a | b,
            BinOp::Xor => a ^ b,
            _ => return None,
        })),
        _ => None,
    }
}
