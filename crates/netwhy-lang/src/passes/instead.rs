//! Probes this kernel cannot attach become others that see the same: each gets a copy of the body in which
//! `arg0`, `retval` and the like are written in terms of the other probe.

use super::walk;
use crate::ast::{BinOp, Expr, ExprKind, Point, Probe};
use crate::diag::{Diagnostic, Result};
use crate::parser;
use crate::types::{Instead, Probes};

/// The probes a probe stands for: itself with the points that stay, and one for each point that is replaced.
pub(crate) fn split(mut probe: Probe, probes: &dyn Probes) -> Result<Vec<Probe>> {
    let mut out = Vec::new();
    let mut kept = Vec::new();
    for point in std::mem::take(&mut probe.points) {
        let (word, rest) = point.text.split_once(':').unwrap_or((&point.text, ""));
        let provider = super::points::provider(word);
        match probes.instead(provider, rest) {
            Some(instead) => out.push(replace(&probe, &point, &format!("{provider}:{rest}"), &instead)?),
            None => kept.push(point),
        }
    }
    if !kept.is_empty() {
        probe.points = kept;
        out.insert(0, probe);
    }
    Ok(out)
}

/// The other probe's `args`, while those of the script are looked for: no script can write it.
const HIDDEN: &str = "args of the other probe";

fn replace(probe: &Probe, point: &Point, name: &str, instead: &Instead) -> Result<Probe> {
    let mut probe = probe.clone();
    probe.points = vec![Point { text: instead.point.clone(), span: point.span }];
    let mut values = Vec::new();
    for (builtin, text) in &instead.values {
        let mut value = expression(text, point)?;
        walk::exprs(&mut value, &mut |e| {
            if let ExprKind::Ident(ident) = &mut e.kind
                && ident == "args"
            {
                *ident = HIDDEN.to_owned();
            }
        });
        values.push((builtin.as_str(), value));
    }
    let mut failed = None;
    let mut visit = |e: &mut Expr| {
        let ExprKind::Ident(ident) = &e.kind else { return };
        let numbered = ident.strip_prefix("arg").is_some_and(|n| n.parse::<u32>().is_ok());
        let span = e.span;
        match values.iter().find(|(builtin, _)| builtin == ident) {
            Some((_, value)) => {
                *e = value.clone();
                walk::exprs(e, &mut |part| part.span = span);
            }
            None if ident == "probe" => e.kind = ExprKind::Str(name.to_owned()),
            None if ident == "func" => {
                e.kind = ExprKind::Str(name.rsplit(':').next().unwrap_or_default().to_owned());
            }
            None if numbered || ident == "retval" || ident == "args" => {
                failed = failed.take().or(Some((span, ident.clone())));
            }
            None => {}
        }
    };
    if let Some(predicate) = &mut probe.predicate {
        walk::exprs(predicate, &mut visit);
    }
    walk::block_exprs(&mut probe.body, &mut visit);
    let mut unhide = |e: &mut Expr| {
        if let ExprKind::Ident(ident) = &mut e.kind
            && ident == HIDDEN
        {
            *ident = "args".to_owned();
        }
    };
    if let Some(predicate) = &mut probe.predicate {
        walk::exprs(predicate, &mut unhide);
    }
    walk::block_exprs(&mut probe.body, &mut unhide);
    if let Some((span, ident)) = failed {
        let text = format!(
            "this kernel has no kprobes, and `{}`, which stands in for {name}, has no `{ident}`",
            instead.point
        );
        return Err(Diagnostic::error(span, text)
            .hint("run it on a kernel with kprobes, or use what the other probe has"));
    }
    if let Some(when) = &instead.when {
        let when = expression(when, point)?;
        probe.predicate = Some(match probe.predicate.take() {
            None => when,
            Some(own) => {
                let span = own.span;
                let kind = ExprKind::Binary(BinOp::LAnd, Box::new(when), Box::new(own));
                Expr { id: 0, span, kind }
            }
        });
    }
    Ok(probe)
}

/// An expression written by the caller, placed at the probe.
fn expression(text: &str, point: &Point) -> Result<Expr> {
    let script = parser::parse(&format!("BEGIN / {text} / {{ }}"))
        .map_err(|inner| Diagnostic::error(point.span, format!("{text}: {}", inner.message)))?;
    let found = script.probes.into_iter().next().and_then(|probe| probe.predicate);
    let mut found =
        found.ok_or_else(|| Diagnostic::error(point.span, format!("`{text}` is no expression")))?;
    walk::exprs(&mut found, &mut |e| e.span = point.span);
    Ok(found)
}
