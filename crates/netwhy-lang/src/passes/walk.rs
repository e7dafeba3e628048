//! Visits every expression of a piece of tree.

use crate::ast::{Block, Expr, ExprKind, Stmt, StmtKind};

/// Calls `f` on each direct part of an expression; statements of a block expression go to `s`.
pub(crate) fn parts<'a>(e: &'a mut Expr, f: &mut dyn FnMut(&'a mut Expr), s: &mut dyn FnMut(&'a mut Block)) {
    match &mut e.kind {
        ExprKind::Map { key: Some(a), .. }
        | ExprKind::Unary(_, a)
        | ExprKind::Cast(_, a)
        | ExprKind::Field(a, _)
        | ExprKind::Nth(a, _)
        | ExprKind::Comptime(a)
        | ExprKind::Step { target: a, .. } => f(a),
        ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => {
            f(a);
            f(b);
        }
        ExprKind::Ternary(a, b, c) => {
            f(a);
            f(b);
            f(c);
        }
        ExprKind::Call(_, list) | ExprKind::Tuple(list) => list.iter_mut().for_each(f),
        ExprKind::Record(list) => list.iter_mut().for_each(|(_, e)| f(e)),
        ExprKind::Block(block, value) => {
            s(block);
            f(value);
        }
        _ => {}
    }
}

/// Calls `f` on every expression below, outer ones first.
pub(crate) fn exprs(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    f(e);
    match &mut e.kind {
        ExprKind::Block(block, value) => {
            block_exprs(block, f);
            exprs(value, f);
        }
        _ => {
            let mut below: Vec<&mut Expr> = Vec::new();
            parts(e, &mut |x| below.push(x), &mut |_| {});
            for x in below {
                exprs(x, f);
            }
        }
    }
}

/// As [`exprs`] for all statements of a block.
pub(crate) fn block_exprs(block: &mut Block, f: &mut dyn FnMut(&mut Expr)) {
    for stmt in &mut block.stmts {
        stmt_exprs(stmt, f);
    }
}

fn stmt_exprs(stmt: &mut Stmt, f: &mut dyn FnMut(&mut Expr)) {
    match &mut stmt.kind {
        StmtKind::Expr(e) | StmtKind::Return(Some(e)) => exprs(e, f),
        StmtKind::Assign { target, value, .. } => {
            exprs(target, f);
            exprs(value, f);
        }
        StmtKind::Let { value: Some(e), .. } => exprs(e, f),
        StmtKind::If { cond, then, other } => {
            exprs(cond, f);
            block_exprs(then, f);
            block_exprs(other, f);
        }
        StmtKind::While { cond, body } | StmtKind::Unroll { count: cond, body } => {
            exprs(cond, f);
            block_exprs(body, f);
        }
        StmtKind::Range { from, to, body, .. } => {
            exprs(from, f);
            exprs(to, f);
            block_exprs(body, f);
        }
        StmtKind::Each { body, .. } | StmtKind::Block(body) => block_exprs(body, f),
        _ => {}
    }
}
