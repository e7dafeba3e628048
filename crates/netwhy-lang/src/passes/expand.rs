//! Macros, `#define`s and positional parameters are replaced; probes become units with ids on every expression.

use std::collections::{BTreeMap, BTreeSet};

use super::{library, points, walk};
use crate::ast::{BinOp, Block, Expr, ExprKind, Macro, Script, Stmt, StmtKind};
use crate::compile::Options;
use crate::diag::{Diagnostic, Result};
use crate::program::{Attach, Config, Kind, MissingProbes};
use crate::types::Probes;

/// A program to be: a body and the places it serves.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Places; several only when the body does not depend on the place.
    pub attach: Vec<Attach>,
    /// What it is loaded as.
    pub kind: Kind,
    /// Between slashes.
    pub predicate: Option<Expr>,
    /// Statements.
    pub body: Block,
    /// Ids given: expressions have ids below this.
    pub ids: u32,
    /// Whether the body depends on the kind of context.
    pub reads_context: bool,
}

/// Most programs a script may expand to.
const MAX_UNITS: usize = 1024;
/// Most expressions macros may expand to.
const MAX_NODES: u32 = 2_000_000;

struct Expander<'a> {
    macros: BTreeMap<&'a str, &'a Macro>,
    defines: BTreeMap<&'a str, &'a Expr>,
    params: &'a [String],
    named: &'a [(String, String)],
    config: &'a Config,
    used: BTreeSet<u32>,
    asked: BTreeSet<String>,
    depth: u32,
    nodes: u32,
    fresh: u32,
}

/// Units of a script, and the positional and named parameters it reads.
pub fn expand(
    script: &Script,
    config: &Config,
    options: &Options,
    probes: &dyn Probes,
) -> Result<(Vec<Unit>, Vec<u32>, BTreeSet<String>)> {
    let params = options.params.as_slice();
    let mut expander = Expander {
        macros: script.macros.iter().map(|m| (m.name.as_str(), m)).collect(),
        defines: script.defines.iter().map(|(n, e)| (n.as_str(), e)).collect(),
        params,
        named: &options.named,
        config,
        used: BTreeSet::new(),
        asked: BTreeSet::new(),
        depth: 0,
        nodes: 0,
        fresh: 0,
    };
    let mut units = Vec::new();
    let mut all = Vec::new();
    for probe in &script.probes {
        all.extend(super::instead::split(probe.clone(), probes)?);
    }
    for mut probe in all {
        if let Some(predicate) = &mut probe.predicate {
            expander.expr(predicate)?;
        }
        expander.block(&mut probe.body)?;
        hoist(&mut probe.body);
        let mut places = Vec::new();
        for point in &probe.points {
            let mut point = point.clone();
            if point.text.contains('$') {
                for (i, value) in params.iter().enumerate().rev() {
                    point.text = point.text.replace(&format!("${}", i + 1), value);
                    expander.used.insert(i as u32 + 1);
                }
            }
            places.extend(points::expand(&point, probes, config.missing_probes)?);
        }
        if places.is_empty() && config.missing_probes == MissingProbes::Error {
            continue;
        }
        let mut ids = 0;
        let (mut context, mut place) = (false, false);
        let mut visit = |e: &mut Expr| {
            e.id = ids;
            ids += 1;
            match &e.kind {
                ExprKind::Ident(name) => match name.as_str() {
                    "args" | "retval" | "ctx" | "func" => (context, place) = (true, true),
                    "probe" => place = true,
                    n if n.starts_with("arg") || n.starts_with("sarg") => (context, place) = (true, true),
                    _ => {}
                },
                ExprKind::Call(name, _) if name == "reg" || name == "override" => context = true,
                ExprKind::Call(name, args) if name == "filter" && args.len() == 1 => {
                    (context, place) = (true, true);
                }
                _ => {}
            }
        };
        if let Some(predicate) = &mut probe.predicate {
            walk::exprs(predicate, &mut visit);
        }
        walk::block_exprs(&mut probe.body, &mut visit);
        let mut groups: Vec<(Kind, Vec<Attach>)> = Vec::new();
        for attach in places {
            let kind = points::kind(&attach);
            match groups.iter_mut().find(|(k, _)| *k == kind && !place) {
                Some((_, list)) => list.push(attach),
                None => groups.push((kind, vec![attach])),
            }
        }
        for (kind, attach) in groups {
            if units.len() >= MAX_UNITS {
                let span = probe.points.first().map(|p| p.span).unwrap_or_default();
                return Err(Diagnostic::error(
                    span,
                    format!("the script needs more than {MAX_UNITS} programs"),
                )
                .hint("a body that uses neither `args` nor `probe` is shared by all its probes"));
            }
            units.push(Unit {
                attach,
                kind,
                predicate: probe.predicate.clone(),
                body: probe.body.clone(),
                ids,
                reads_context: context,
            });
        }
    }
    Ok((units, expander.used.into_iter().collect(), expander.asked))
}

impl Expander<'_> {
    fn block(&mut self, block: &mut Block) -> Result<()> {
        let mut failed = None;
        walk::block_exprs(block, &mut |e| {
            if failed.is_none() {
                failed = self.one(e).err();
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn expr(&mut self, e: &mut Expr) -> Result<()> {
        let mut failed = None;
        walk::exprs(e, &mut |e| {
            if failed.is_none() {
                failed = self.one(e).err();
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// Replaces one expression; its parts are visited afterwards by the walk.
    fn one(&mut self, e: &mut Expr) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Diagnostic::error(e.span, "the macros of this script expand to too much code"));
        }
        match &mut e.kind {
            ExprKind::Param(n) => {
                self.used.insert(*n);
                let value = (*n as usize).checked_sub(1).and_then(|i| self.params.get(i));
                e.kind = match value {
                    None => ExprKind::Int(0),
                    Some(text) => match number(text) {
                        Some(n) => ExprKind::Int(n),
                        None => ExprKind::Str(text.clone()),
                    },
                };
            }
            ExprKind::ParamCount => e.kind = ExprKind::Int(self.params.len() as u64),
            ExprKind::Call(name, args)
                if name == "str" && matches!(args.first().map(|a| &a.kind), Some(ExprKind::Param(_))) =>
            {
                if let Some(ExprKind::Param(n)) = args.first().map(|a| &a.kind) {
                    self.used.insert(*n);
                    let value = (*n as usize).checked_sub(1).and_then(|i| self.params.get(i));
                    e.kind = ExprKind::Str(value.cloned().unwrap_or_default());
                }
            }
            // A literal is a pointer to its bytes here: `str($1 + 2)`.
            ExprKind::Call(name, args)
                if name == "str"
                    && matches!(args.first().map(|a| &a.kind), Some(ExprKind::Binary(BinOp::Add, a, _)) if matches!(a.kind, ExprKind::Param(_))) =>
            {
                if let Some(ExprKind::Binary(_, param, by)) = args.first().map(|a| &a.kind)
                    && let (ExprKind::Param(n), Some(by)) = (&param.kind, super::infer::folded(by))
                {
                    self.used.insert(*n);
                    let value = (*n as usize).checked_sub(1).and_then(|i| self.params.get(i)).cloned();
                    let value = value.unwrap_or_default();
                    let Some(rest) = usize::try_from(by).ok().and_then(|by| value.get(by..)) else {
                        return Err(Diagnostic::error(e.span, "this goes beyond the end of the parameter"));
                    };
                    e.kind = ExprKind::Str(rest.to_string());
                }
            }
            ExprKind::Call(name, args) if name == "getopt" => {
                let (option, default) = match args.as_mut_slice() {
                    [Expr { kind: ExprKind::Str(option), .. }] => (option, None),
                    [Expr { kind: ExprKind::Str(option), .. }, default]
                    | [
                        Expr { kind: ExprKind::Str(option), .. },
                        default,
                        Expr { kind: ExprKind::Str(_), .. },
                    ] => (option, Some(default)),
                    _ => {
                        return Err(Diagnostic::error(
                            e.span,
                            "`getopt()` takes a name in quotes and a default",
                        ));
                    }
                };
                self.asked.insert(option.clone());
                let given = self.named.iter().rev().find(|(name, _)| name == option).map(|(_, text)| text);
                let bad = |text: &str, what: &str| {
                    Diagnostic::error(e.span, format!("`--{option}` takes {what}, not `{text}`"))
                };
                // The default says what kind of value it is; without one the option is a switch.
                e.kind = match (given, default.map(|d| &d.kind)) {
                    (None, None) => ExprKind::Ident("false".into()),
                    (None, Some(default)) => default.clone(),
                    (Some(text), Some(ExprKind::Str(_))) => ExprKind::Str(text.clone()),
                    (Some(text), Some(ExprKind::Int(_) | ExprKind::Unary(..))) => {
                        ExprKind::Int(number(text).ok_or_else(|| bad(text, "a number"))?)
                    }
                    (Some(text), _) => match text.as_str() {
                        "true" | "1" | "" => ExprKind::Ident("true".into()),
                        "false" | "0" => ExprKind::Ident("false".into()),
                        _ => return Err(bad(text, "true or false")),
                    },
                };
            }
            ExprKind::Ident(name) => {
                if let Some(value) = self.defines.get(name.as_str()) {
                    let mut value = (*value).clone();
                    value.span = e.span;
                    *e = value;
                    self.guard(e, Self::expr)?;
                } else if let Some(m) = self.macros.get(name.as_str()).filter(|m| m.params.is_empty()) {
                    let m = *m;
                    self.call(m, Vec::new(), e)?;
                }
            }
            ExprKind::Call(name, args) => {
                if let Some(m) = self.macros.get(name.as_str()) {
                    let m = *m;
                    let args = std::mem::take(args);
                    self.call(m, args, e)?;
                }
            }
            _ => {}
        }
        if let Some(kind) = library::replace(e, self.config)? {
            e.kind = kind;
        }
        Ok(())
    }

    fn guard(&mut self, e: &mut Expr, f: impl FnOnce(&mut Self, &mut Expr) -> Result<()>) -> Result<()> {
        if self.depth >= 16 {
            return Err(Diagnostic::error(e.span, "macros that use themselves, or too deep"));
        }
        self.depth += 1;
        let out = f(self, e);
        self.depth -= 1;
        out
    }

    fn call(&mut self, m: &Macro, args: Vec<Expr>, e: &mut Expr) -> Result<()> {
        if args.len() != m.params.len() {
            let text = format!("macro `{}` takes {} arguments, not {}", m.name, m.params.len(), args.len());
            return Err(Diagnostic::error(e.span, text));
        }
        self.fresh += 1;
        let fresh = self.fresh;
        let mut body = m.body.clone();
        let mut before = Vec::new();
        let mut names: BTreeMap<&str, Expr> = BTreeMap::new();
        for (param, arg) in m.params.iter().zip(args) {
            match (param.chars().next(), &arg.kind) {
                (Some('$'), ExprKind::Var(_)) | (Some('@'), ExprKind::Map { key: None, .. }) => {
                    names.insert(param, arg);
                }
                // More than bpftrace takes: the value of an expression gets a variable of the macro's own.
                (Some('$'), kind) if !matches!(kind, ExprKind::Map { key: None, .. }) => {
                    let name = format!("{}~{fresh}", &param[1..]);
                    let var = Expr { id: 0, span: arg.span, kind: ExprKind::Var(name.clone()) };
                    let kind = StmtKind::Let { name, ty: None, value: Some(arg) };
                    before.push(Stmt { span: var.span, kind });
                    names.insert(param, var);
                }
                (Some(sign @ ('@' | '$')), kind) => {
                    let wanted = if sign == '@' { "map" } else { "variable" };
                    let got = match kind {
                        ExprKind::Map { key: None, .. } => "a map",
                        ExprKind::Var(_) => "a variable",
                        _ => "an expression",
                    };
                    let text = format!(
                        "Mismatched arg. {}() expects a {wanted} for arg {param} but got {got}.",
                        m.name
                    );
                    return Err(Diagnostic::error(arg.span, text));
                }
                _ => {
                    names.insert(param, arg);
                }
            }
        }
        rename_decls(&mut body, fresh, &names);
        // First the macro's own names, so that those of the arguments put in afterwards stay what they are.
        let mark = format!("~{fresh}");
        walk::block_exprs(&mut body, &mut |e| match &mut e.kind {
            ExprKind::Ident(name) if names.contains_key(name.as_str()) => name.push_str(&mark),
            ExprKind::Var(name) if !name.contains('~') => name.push_str(&mark),
            ExprKind::Map { name, .. } if names.contains_key(format!("@{name}").as_str()) => {
                name.push_str(&mark)
            }
            _ => {}
        });
        walk::block_exprs(&mut body, &mut |e| {
            let plain = |name: &str, sign: &str| {
                name.strip_suffix(mark.as_str()).and_then(|n| names.get(format!("{sign}{n}").as_str()))
            };
            let found = match &e.kind {
                ExprKind::Ident(name) => plain(name, ""),
                ExprKind::Var(name) => plain(name, "$"),
                ExprKind::Map { name, .. } => plain(name, "@"),
                _ => None,
            };
            match (found.map(|f| f.kind.clone()), &mut e.kind) {
                (Some(ExprKind::Map { name: to, .. }), ExprKind::Map { name, .. }) => *name = to,
                (Some(kind), _) => e.kind = kind,
                (None, _) => {}
            }
        });
        let value = match body.stmts.pop() {
            Some(Stmt { kind: StmtKind::Expr(value), .. }) => value,
            Some(Stmt { kind: StmtKind::If { cond, then, other }, span })
                if !other.stmts.is_empty()
                    && crate::parser::chosen(span, cond.clone(), then.clone(), other.clone()).is_some() =>
            {
                crate::parser::chosen(span, cond, then, other).unwrap_or(Expr {
                    id: 0,
                    span,
                    kind: ExprKind::Tuple(Vec::new()),
                })
            }
            Some(other) => {
                body.stmts.push(other);
                Expr { id: 0, span: e.span, kind: ExprKind::Tuple(Vec::new()) }
            }
            None => Expr { id: 0, span: e.span, kind: ExprKind::Tuple(Vec::new()) },
        };
        before.append(&mut body.stmts);
        e.kind = ExprKind::Block(Block { stmts: before }, Box::new(value));
        // The walk goes on into the new parts; a macro inside of it is replaced there, so only depth is checked.
        self.guard(e, Self::expr)
    }
}

/// Whether a statement, with its parts, loops.
fn loops(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::While { .. } | StmtKind::Range { .. } | StmtKind::Each { .. } | StmtKind::Unroll { .. } => {
            true
        }
        StmtKind::If { then, other, .. } => then.stmts.iter().chain(&other.stmts).any(loops),
        StmtKind::Block(body) => body.stmts.iter().any(loops),
        StmtKind::Expr(Expr { kind: ExprKind::Block(block, _), .. }) => block.stmts.iter().any(loops),
        _ => false,
    }
}

/// Blocks inside expressions that loop are moved before the statement they are part of: a loop is a function of its
/// own, which no half-made expression may wait for. Where they would run only sometimes they stay.
pub(crate) fn hoist(block: &mut Block) {
    let mut out = Vec::with_capacity(block.stmts.len());
    for mut stmt in std::mem::take(&mut block.stmts) {
        match &mut stmt.kind {
            StmtKind::If { cond, then, other } => {
                lift(cond, &mut out);
                hoist(then);
                hoist(other);
            }
            StmtKind::While { body, .. } | StmtKind::Each { body, .. } | StmtKind::Block(body) => hoist(body),
            StmtKind::Unroll { body, .. } => hoist(body),
            StmtKind::Range { from, to, body, .. } => {
                lift(from, &mut out);
                lift(to, &mut out);
                hoist(body);
            }
            StmtKind::Expr(e) | StmtKind::Return(Some(e)) | StmtKind::Let { value: Some(e), .. } => {
                lift(e, &mut out);
            }
            StmtKind::Assign { target, value, .. } => {
                lift(value, &mut out);
                lift(target, &mut out);
            }
            _ => {}
        }
        out.push(stmt);
    }
    block.stmts = out;
}

fn lift(e: &mut Expr, out: &mut Vec<Stmt>) {
    match &mut e.kind {
        ExprKind::Ternary(cond, ..) => lift(cond, out),
        ExprKind::Binary(BinOp::LAnd | BinOp::LOr, a, _) => lift(a, out),
        ExprKind::Block(block, value) => {
            hoist(block);
            if block.stmts.iter().any(loops) {
                out.append(&mut block.stmts);
                lift(value, out);
                let value = std::mem::replace(&mut value.kind, ExprKind::Tuple(Vec::new()));
                e.kind = value;
            }
        }
        _ => {
            let mut below: Vec<&mut Expr> = Vec::new();
            walk::parts(e, &mut |x| below.push(x), &mut |_| {});
            for x in below {
                lift(x, out);
            }
        }
    }
}

/// Variables declared by statements of a macro get names of their own.
fn rename_decls(block: &mut Block, fresh: u32, names: &BTreeMap<&str, Expr>) {
    for stmt in &mut block.stmts {
        let rename = |name: &mut String| match names.get(format!("${name}").as_str()).map(|e| &e.kind) {
            Some(ExprKind::Var(to)) => *name = to.clone(),
            _ => *name = format!("{name}~{fresh}"),
        };
        match &mut stmt.kind {
            StmtKind::Let { name, .. } => rename(name),
            StmtKind::Range { name, body, .. } => {
                rename(name);
                rename_decls(body, fresh, names);
            }
            StmtKind::Each { name, body, map } => {
                rename(name);
                if let Some(ExprKind::Map { name: to, .. }) =
                    names.get(format!("@{map}").as_str()).map(|e| &e.kind)
                {
                    *map = to.clone();
                }
                rename_decls(body, fresh, names);
            }
            StmtKind::If { then, other, .. } => {
                rename_decls(then, fresh, names);
                rename_decls(other, fresh, names);
            }
            StmtKind::While { body, .. } | StmtKind::Unroll { body, .. } | StmtKind::Block(body) => {
                rename_decls(body, fresh, names);
            }
            _ => {}
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    let n = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok()?,
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok()?,
        _ => digits.parse().ok()?,
    };
    Some(if minus { n.wrapping_neg() } else { n })
}
