//! Types of all expressions, variables and maps. Maps are shared by all probes, so the pass repeats until nothing
//! changes; only the last round reports what stayed unknown.

use std::collections::BTreeMap;

use super::expand::Unit;
use super::fields::World;
use super::format;
use super::names::{self, Vars};
use super::ty::{C, Space, StructRef, Ty};
pub(crate) use super::unify::{both_signed, constant, folded, merge};
use super::unify::{held, keyed, unbtf};
use crate::ast::{BinOp, Block, Expr, ExprKind, Stmt, StmtKind, UnOp};
use crate::diag::{Diagnostic, Result, Span};
use crate::features::Features;
use crate::program::{Attach, Kind};
use crate::types::{RecordField, Signature, TypeDesc};

/// What `args` is.
#[derive(Debug, Clone)]
pub enum Context {
    /// Nothing with names.
    None,
    /// A tracepoint's record; whether it is a system call's (its pointers are the user's).
    Record(Vec<RecordField>, bool),
    /// Arguments in an array of 64-bit words.
    Params(Signature),
}

/// A unit with types.
#[derive(Debug)]
pub struct Typed {
    /// The tree.
    pub unit: Unit,
    /// By expression id.
    pub ty: Vec<Ty>,
    /// By unique name.
    pub vars: BTreeMap<String, Ty>,
    /// How often variables are assigned.
    pub counts: Vars,
    /// What `args` is.
    pub context: Context,
    /// How conditions of `comptime` choices were decided, by expression id.
    pub decided: BTreeMap<u32, bool>,
}

/// A map of the script.
#[derive(Debug, Clone, PartialEq)]
pub struct MapTy {
    /// Key, `None` for scalars; outer `None` while unknown.
    pub key: Option<Option<Ty>>,
    /// Value.
    pub value: Ty,
    /// First use.
    pub span: Span,
    /// Order of first use.
    pub order: usize,
}

/// Types of a script.
pub struct Inferred {
    /// In order.
    pub units: Vec<Typed>,
    /// By name without `@`.
    pub maps: BTreeMap<String, MapTy>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// State of the pass; [`calls`] adds functions and builtins to it.
pub(crate) struct Infer<'a> {
    pub(crate) world: World<'a>,
    pub(crate) features: &'a Features,
    pub(crate) maps: BTreeMap<String, MapTy>,
    pub(crate) ty: Vec<Ty>,
    pub(crate) vars: BTreeMap<String, Ty>,
    pub(crate) counts: Vars,
    pub(crate) context: Context,
    pub(crate) decided: BTreeMap<u32, bool>,
    pub(crate) kind: Kind,
    pub(crate) attach: Option<Attach>,
    pub(crate) last: bool,
    changed: bool,
}

/// Infers all types.
pub fn infer(units: Vec<Unit>, world: World<'_>, features: &Features) -> Result<Inferred> {
    let mut typed = Vec::new();
    for mut unit in units {
        let counts = names::resolve(&mut unit)?;
        let context = context(&unit, &world);
        // Without types of the arguments a raw tracepoint does as well, and it needs no BTF.
        let typed_args = matches!(context, Context::Params(_)) && features.tp_btf;
        if unit.kind == Kind::BtfTracepoint && !typed_args {
            unit.kind = Kind::RawTracepoint;
        }
        let ty = vec![Ty::Unknown; unit.ids as usize];
        let decided = BTreeMap::new();
        typed.push(Typed { unit, ty, vars: BTreeMap::new(), counts, context, decided });
    }
    let mut infer = Infer {
        world,
        features,
        maps: BTreeMap::new(),
        ty: Vec::new(),
        vars: BTreeMap::new(),
        counts: Vars::new(),
        context: Context::None,
        decided: BTreeMap::new(),
        kind: Kind::Once,
        attach: None,
        last: false,
        changed: false,
    };
    for round in 0..8 {
        infer.changed = false;
        for t in &mut typed {
            infer.unit(t)?;
        }
        if infer.last {
            break;
        }
        infer.last = !infer.changed || round == 6;
    }
    for (name, map) in &infer.maps {
        if map.value == Ty::Unknown {
            return Err(Diagnostic::error(map.span, format!("map `@{name}` is never assigned a value"))
                .nearest(
                    name,
                    infer.maps.iter().filter(|(_, m)| m.value != Ty::Unknown).map(|(n, _)| n.as_str()),
                ));
        }
    }
    Ok(Inferred { units: typed, maps: infer.maps, warnings: Vec::new() })
}

fn context(unit: &Unit, world: &World<'_>) -> Context {
    if !unit.reads_context {
        return Context::None;
    }
    let signature = match unit.attach.first() {
        Some(Attach::Tracepoint { category, event }) => {
            return match world.types.tracepoint(category, event) {
                Some(fields) => Context::Record(fields, category == "syscalls"),
                None => Context::None,
            };
        }
        Some(Attach::RawTracepoint { event }) => world.types.raw_tracepoint(event),
        Some(Attach::Fentry { module, function } | Attach::Fexit { module, function }) => {
            world.types.function(module.as_deref(), function)
        }
        _ => None,
    };
    signature.map_or(Context::None, Context::Params)
}

impl Infer<'_> {
    fn unit(&mut self, t: &mut Typed) -> Result<()> {
        std::mem::swap(&mut self.ty, &mut t.ty);
        std::mem::swap(&mut self.vars, &mut t.vars);
        std::mem::swap(&mut self.counts, &mut t.counts);
        std::mem::swap(&mut self.context, &mut t.context);
        std::mem::swap(&mut self.decided, &mut t.decided);
        self.kind = t.unit.kind;
        self.attach = t.unit.attach.first().cloned();
        let mut out = Ok(());
        if let Some(predicate) = &t.unit.predicate {
            out = self.condition(predicate);
        }
        let out = out.and_then(|()| self.block(&t.unit.body));
        std::mem::swap(&mut self.ty, &mut t.ty);
        std::mem::swap(&mut self.vars, &mut t.vars);
        std::mem::swap(&mut self.counts, &mut t.counts);
        std::mem::swap(&mut self.context, &mut t.context);
        std::mem::swap(&mut self.decided, &mut t.decided);
        out
    }

    /// Where addresses given as numbers point in this probe.
    pub(crate) fn space(&self) -> Space {
        match self.attach {
            Some(Attach::Uprobe { .. } | Attach::Uretprobe { .. } | Attach::Usdt { .. }) => Space::User,
            _ => Space::Kernel,
        }
    }

    /// How arguments with types are read.
    pub(crate) fn trusted(&self) -> Space {
        if self.kind == Kind::RawTracepoint { Space::Kernel } else { Space::Btf }
    }

    pub(crate) fn block(&mut self, block: &Block) -> Result<()> {
        block.stmts.iter().try_for_each(|s| self.stmt(s))
    }

    fn condition(&mut self, e: &Expr) -> Result<()> {
        let ty = self.expr(e)?;
        match self.value(&ty) {
            t if t.scalar() || t == Ty::Unknown || matches!(t, Ty::Str(_)) => Ok(()),
            t => Err(Diagnostic::error(e.span, format!("a {} is neither true nor false", t.name()))),
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<()> {
        match &stmt.kind {
            StmtKind::Expr(e) => self.expr(e).map(drop),
            StmtKind::Assign { target, op, value } => {
                let mut ty = self.expr(value)?;
                if let ExprKind::Call(name, _) = &value.kind
                    && matches!(ty, Ty::Agg(_))
                    && (op.is_some() || !matches!(target.kind, ExprKind::Map { .. }))
                {
                    return Err(Diagnostic::error(
                        value.span,
                        format!("`{name}()` can only be assigned to a map"),
                    ));
                }
                if !matches!(value.kind, ExprKind::Call(..)) {
                    ty = self.value(&ty);
                }
                if op.is_some() {
                    if !ty.scalar() && ty != Ty::Unknown {
                        return Err(Diagnostic::error(
                            value.span,
                            format!("a {} is not a number", ty.name()),
                        ));
                    }
                    let old = match &target.kind {
                        ExprKind::Var(name) => self.vars.get(name).cloned(),
                        ExprKind::Map { name, .. } => self.maps.get(name).map(|m| m.value.clone()),
                        _ => None,
                    };
                    ty = match (old, op) {
                        // Pointers step by what they point to.
                        (Some(ptr @ Ty::Ptr(..)), Some(BinOp::Add | BinOp::Sub)) => ptr,
                        (Some(old), _) if old == Ty::U64 && !ty.signed() => Ty::U64,
                        _ => Ty::I64,
                    };
                }
                match &target.kind {
                    ExprKind::Var(name) => {
                        let merged = self.var(name, &ty, value.span)?;
                        self.set(target, merged);
                        Ok(())
                    }
                    ExprKind::Map { name, key } => {
                        self.key(name, key.as_deref(), target.span)?;
                        let merged = self.map_value(name, &ty, value.span)?;
                        self.set(target, merged);
                        Ok(())
                    }
                    _ => Err(Diagnostic::error(target.span, "only variables and maps can be assigned to")),
                }
            }
            StmtKind::Let { name, ty, value } => {
                let mut of = match value {
                    Some(value) => {
                        let ty = self.expr(value)?;
                        self.value(&ty)
                    }
                    None => Ty::Unknown,
                };
                match ty {
                    Some(written) if written.name == "string" && written.tag.is_empty() => {
                        if let Some(n @ 1..=16384) = written.dims.first() {
                            of = Ty::Str(*n);
                        }
                    }
                    Some(written) => {
                        let c = self.world.named(written)?;
                        of = self.loaded(&c, self.space());
                    }
                    None => {}
                }
                self.var(name, &of, stmt.span).map(drop)
            }
            StmtKind::If { cond, then, other } => {
                if let ExprKind::Comptime(inner) = &cond.kind {
                    return match self.decide(cond, inner)? {
                        Some(true) => self.block(then),
                        Some(false) => self.block(other),
                        None => Ok(()),
                    };
                }
                self.condition(cond)?;
                self.block(then)?;
                self.block(other)
            }
            StmtKind::While { cond, body } => {
                self.condition(cond)?;
                self.block(body)
            }
            StmtKind::Unroll { count, body } => {
                self.expr(count)?;
                match folded(count) {
                    Some(1..=100) => self.block(body),
                    Some(101..) => Err(Diagnostic::error(stmt.span, "unroll maximum value is 100")),
                    Some(_) => Err(Diagnostic::error(stmt.span, "unroll minimum value is 1")),
                    None => Err(Diagnostic::error(count.span, "`unroll` takes a constant from 1 to 100")),
                }
            }
            StmtKind::Range { name, from, to, body } => {
                for e in [from, to] {
                    let ty = self.expr(e)?;
                    self.number(&ty, e)?;
                }
                self.var(name, &Ty::I64, stmt.span)?;
                self.block(body)
            }
            StmtKind::Each { name, map, body } => {
                if !self.features.for_each_map_elem {
                    return Err(Diagnostic::error(stmt.span, "loops over maps need Linux 5.13 or later"));
                }
                let (key, value) = match self.maps.get(map) {
                    Some(m) => (m.key.clone().unwrap_or(None), m.value.clone()),
                    None => (None, Ty::Unknown),
                };
                let value = value.decayed();
                if let (Ty::Agg(_), true) = (&value, self.last) {
                    return Err(Diagnostic::error(stmt.span, "loops over histograms are not supported")
                        .hint("print the map instead"));
                }
                let Some(key) = key else {
                    if self.last {
                        return Err(Diagnostic::error(
                            stmt.span,
                            format!("`@{map}` has no keys to loop over"),
                        ));
                    }
                    return Ok(());
                };
                let pair = Ty::Tuple(vec![(String::new(), key), (String::new(), value)]);
                self.var(name, &pair, stmt.span)?;
                self.block(body)
            }
            StmtKind::Return(Some(e)) => self.expr(e).map(drop),
            StmtKind::Return(None) | StmtKind::Break | StmtKind::Continue => Ok(()),
            StmtKind::Block(body) => self.block(body),
        }
    }

    pub(crate) fn set(&mut self, e: &Expr, ty: Ty) {
        if let Some(slot) = self.ty.get_mut(e.id as usize)
            && *slot != ty
        {
            *slot = ty;
            self.changed = true;
        }
    }

    /// What a place in memory is when its value is taken: arrays of characters are strings.
    pub(crate) fn value(&self, ty: &Ty) -> Ty {
        match ty {
            Ty::Place(C::Array(elem, len), _) => match self.world.look(elem) {
                C::Int { char_like: true, .. } => Ty::chars(*len),
                _ => ty.clone(),
            },
            other => other.decayed(),
        }
    }

    /// The type of a loaded C value.
    pub(crate) fn loaded(&self, c: &C, space: Space) -> Ty {
        match self.world.look(c) {
            C::Int { size: 1, signed: false, char_like: false } => Ty::Int { size: 1, signed: false },
            C::Int { size, signed, .. } if size <= 8 => Ty::Int { size, signed },
            C::Enum(id, _, _) => Ty::Enum(id),
            C::Ptr(to) => {
                let target = self.world.look(&to);
                let keeps = match (&target, space) {
                    // What an iterator's context points to has a type, too.
                    (C::Struct(StructRef::Kernel(_)), Space::Ctx) if self.kind == Kind::Iter => true,
                    (C::Struct(StructRef::Kernel(id)), Space::Btf) => {
                        matches!(self.world.types.describe(*id), Some(TypeDesc::Struct { union: false, .. }))
                    }
                    _ => false,
                };
                let space = match space {
                    Space::User | Space::Copied => Space::User,
                    Space::Btf | Space::Ctx if keeps => Space::Btf,
                    _ => Space::Kernel,
                };
                Ty::Ptr(*to, space)
            }
            C::Bool => Ty::Bool,
            C::Void => Ty::U64,
            other => Ty::Place(other, space),
        }
    }

    pub(crate) fn number(&self, ty: &Ty, e: &Expr) -> Result<()> {
        let value = self.value(ty);
        if value.scalar() || value == Ty::Unknown {
            return Ok(());
        }
        Err(Diagnostic::error(e.span, format!("expected a number, found a {}", value.name())))
    }

    fn var(&mut self, name: &str, ty: &Ty, span: Span) -> Result<Ty> {
        let mut ty = held(ty.clone());
        if matches!(ty, Ty::None | Ty::Args) {
            return Err(Diagnostic::error(span, "this has no value"));
        }
        if let Ty::Ptr(c, Space::Btf) = &ty
            && self.counts.get(name).is_none_or(|v| v.assigned != 1)
        {
            ty = Ty::Ptr(c.clone(), Space::Kernel);
        }
        let old = self.vars.get(name).cloned().unwrap_or(Ty::Unknown);
        let shown = name.split(['#', '~']).next().unwrap_or(name);
        let merged = merge(&old, &ty).ok_or_else(|| {
            let text = format!(
                "Type mismatch for ${shown}: trying to assign value of type '{}' when variable already has a type '{}'",
                ty.name(),
                old.name()
            );
            Diagnostic::error(span, text)
        })?;
        if merged != old {
            self.changed = true;
            self.vars.insert(name.to_string(), merged.clone());
        }
        Ok(merged)
    }

    fn map_entry(&mut self, name: &str, span: Span) -> &mut MapTy {
        let order = self.maps.len();
        if !self.maps.contains_key(name) {
            self.changed = true;
        }
        self.maps.entry(name.to_string()).or_insert(MapTy { key: None, value: Ty::Unknown, span, order })
    }

    /// Types a use of a map at a key.
    pub(crate) fn key(&mut self, name: &str, key: Option<&Expr>, span: Span) -> Result<()> {
        let ty = match key {
            Some(key) => {
                let ty = self.expr(key)?;
                let ty = self.value(&ty);
                if matches!(ty, Ty::None | Ty::Args | Ty::Agg(_)) {
                    return Err(Diagnostic::error(key.span, format!("a {} cannot be a key", ty.name())));
                }
                Some(keyed(ty))
            }
            None => None,
        };
        let old = self.map_entry(name, span).key.clone();
        let merged = match (&old, &ty) {
            (None, new) => new.clone(),
            (Some(None), None) => None,
            (Some(Some(a)), Some(b)) => Some(merge(a, b).ok_or_else(|| {
                let text = format!("keys of `@{name}` are {}, not {}", a.name(), b.name());
                Diagnostic::error(key.map_or(span, |k| k.span), text)
            })?),
            (Some(Some(_)), None) => {
                return Err(Diagnostic::error(
                    span,
                    format!(
                        "@{name} used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)"
                    ),
                ));
            }
            (Some(None), Some(_)) => {
                return Err(Diagnostic::error(
                    span,
                    format!(
                        "@{name} used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)"
                    ),
                ));
            }
        };
        if old.as_ref() != Some(&merged) {
            self.changed = true;
            self.map_entry(name, span).key = Some(merged);
        }
        Ok(())
    }

    fn map_value(&mut self, name: &str, ty: &Ty, span: Span) -> Result<Ty> {
        if matches!(ty, Ty::None | Ty::Args) {
            return Err(Diagnostic::error(span, "this has no value"));
        }
        let ty = match ty {
            Ty::Ptr(c, Space::Btf) => Ty::Ptr(c.clone(), Space::Kernel),
            Ty::Tuple(_) => keyed(ty.clone()),
            other => held(other.clone()),
        };
        let old = self.map_entry(name, span).value.clone();
        let merged = merge(&old, &ty).ok_or_else(|| {
            let text = format!(
                "Type mismatch for @{name}: trying to assign value of type '{}' when map already has a type '{}'",
                ty.name(),
                old.name()
            );
            Diagnostic::error(span, text)
        })?;
        if old != merged {
            self.changed = true;
            self.map_entry(name, span).value = merged.clone();
        }
        Ok(merged)
    }

    pub(crate) fn expr(&mut self, e: &Expr) -> Result<Ty> {
        let ty = self.of(e)?;
        self.set(e, ty.clone());
        Ok(ty)
    }

    fn of(&mut self, e: &Expr) -> Result<Ty> {
        match &e.kind {
            ExprKind::Int(n) => Ok(Ty::literal(*n)),
            ExprKind::Str(s) => Ok(Ty::Str(s.len() as u32 + 1)),
            ExprKind::Ident(name) => self.builtin(name, e),
            ExprKind::Var(name) => Ok(self.vars.get(name).cloned().unwrap_or(Ty::Unknown)),
            ExprKind::Map { name, key } => {
                self.key(name, key.as_deref(), e.span)?;
                Ok(self.maps.get(name).map_or(Ty::Unknown, |m| m.value.clone()))
            }
            ExprKind::Param(_) | ExprKind::ParamCount => Ok(Ty::I64),
            ExprKind::Unary(op, inner) => self.unary(*op, inner),
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, e),
            ExprKind::Ternary(cond, yes, no) => {
                if let ExprKind::Comptime(inner) = &cond.kind {
                    return match self.decide(cond, inner)? {
                        Some(true) => self.expr(yes),
                        Some(false) => self.expr(no),
                        None => Ok(Ty::Unknown),
                    };
                }
                self.condition(cond)?;
                let yes_ty = self.expr(yes)?;
                let no_ty = self.expr(no)?;
                let (yes_ty, no_ty) = (self.value(&yes_ty), self.value(&no_ty));
                merge(&unbtf(&yes_ty), &unbtf(&no_ty)).ok_or_else(|| {
                    let text = format!("the branches are a {} and a {}", yes_ty.name(), no_ty.name());
                    Diagnostic::error(e.span, text)
                })
            }
            ExprKind::Cast(ty, inner) => {
                let from = self.expr(inner)?;
                if ty.name == "string" && ty.tag.is_empty() {
                    return match (ty.dims.first(), &from) {
                        (Some(n @ 1..=16384), Ty::Str(_) | Ty::Unknown) => Ok(Ty::Str(*n)),
                        _ => Ok(from),
                    };
                }
                let c = self.world.named(ty)?;
                let space = match &from {
                    Ty::Ptr(_, Space::User) => Space::User,
                    Ty::Ptr(..) => Space::Kernel,
                    _ => self.space(),
                };
                match self.world.look(&c) {
                    C::Ptr(to) => {
                        self.number(&from, inner)?;
                        Ok(Ty::Ptr(*to, space))
                    }
                    C::Bool => {
                        self.condition(inner)?;
                        Ok(Ty::Bool)
                    }
                    // Bytes of an array as a number, and of a number as an array.
                    C::Int { size, signed, .. } if matches!(from, Ty::Place(C::Array(..), _)) => {
                        if let Ty::Place(c, _) = &from
                            && self.world.size(c) > u32::from(size)
                        {
                            return Err(Diagnostic::error(e.span, "the array is larger than the integer"));
                        }
                        Ok(Ty::Int { size, signed })
                    }
                    C::Array(elem, len) => {
                        self.number(&from, inner)?;
                        let have = match &from {
                            Ty::Int { size, .. } => u32::from(*size),
                            _ => 8,
                        };
                        let step = self.world.size(&elem).max(1);
                        let len = if len == 0 { have / step } else { len };
                        Ok(Ty::Place(C::Array(elem, len), Space::Kernel))
                    }
                    C::Int { size, signed, .. } => {
                        self.number(&from, inner)?;
                        Ok(Ty::Int { size, signed })
                    }
                    C::Enum(id, ..) => Ok(Ty::Enum(id)),
                    _ => Err(Diagnostic::error(
                        ty.span,
                        "values can be cast to integers, enums and pointers only",
                    )
                    .hint(format!("a pointer is written `({} {} *)`", ty.tag, ty.name))),
                }
            }
            ExprKind::Field(inner, name) => self.field(inner, name, e),
            ExprKind::Index(inner, index) => {
                let of = self.expr(inner)?;
                let index_ty = self.expr(index)?;
                self.number(&index_ty, index)?;
                match of {
                    Ty::Tuple(parts) => {
                        let at = folded(index).and_then(|n| usize::try_from(n).ok());
                        match at.and_then(|at| parts.get(at)) {
                            Some((_, ty)) => Ok(ty.clone()),
                            None => Err(Diagnostic::error(
                                index.span,
                                format!(
                                    "a tuple of {} parts is indexed by a constant below that",
                                    parts.len()
                                ),
                            )),
                        }
                    }
                    Ty::Str(_) => Ok(Ty::Int { size: 1, signed: true }),
                    Ty::Place(C::Array(elem, len), space) => {
                        if let Some(n) = folded(index)
                            && len > 0
                            && !(0..i64::from(len)).contains(&n)
                        {
                            let text = format!("the index {n} is out of bounds for array of size {len}");
                            return Err(Diagnostic::error(index.span, text));
                        }
                        if space == Space::Ctx && constant(index).is_none() {
                            return Ok(self.loaded(&elem, Space::Kernel));
                        }
                        Ok(self.loaded(&elem, space))
                    }
                    Ty::Ptr(to, space) => {
                        Ok(self.loaded(&to, if space == Space::Btf { Space::Kernel } else { space }))
                    }
                    Ty::Unknown => Ok(Ty::Unknown),
                    other => {
                        Err(Diagnostic::error(inner.span, format!("a {} has no elements", other.name())))
                    }
                }
            }
            ExprKind::Nth(inner, n) => match self.expr(inner)? {
                Ty::Tuple(parts) => parts.get(*n as usize).map(|(_, t)| t.clone()).ok_or_else(|| {
                    let text = format!("Invalid tuple index: {n}. Found {} elements in tuple.", parts.len());
                    Diagnostic::error(e.span, text)
                }),
                Ty::Unknown => Ok(Ty::Unknown),
                other => Err(Diagnostic::error(inner.span, format!("a {} has no parts", other.name()))),
            },
            ExprKind::Call(name, args) => self.call(name, args, e),
            ExprKind::Tuple(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    let ty = self.expr(part)?;
                    out.push((String::new(), self.part(ty, part)?));
                }
                Ok(Ty::Tuple(out))
            }
            ExprKind::Record(fields) => {
                let mut out = Vec::new();
                for (name, part) in fields {
                    let ty = self.expr(part)?;
                    out.push((name.clone(), self.part(ty, part)?));
                }
                Ok(Ty::Tuple(out))
            }
            ExprKind::Step { target, .. } => {
                match &target.kind {
                    ExprKind::Var(name) => {
                        let ty = match self.vars.get(name) {
                            Some(ptr @ Ty::Ptr(..)) => ptr.clone(),
                            _ => self.var(name, &Ty::I64, target.span)?,
                        };
                        self.set(target, ty.clone());
                        if let Ty::Ptr(..) = ty {
                            return Ok(ty);
                        }
                    }
                    ExprKind::Map { name, key } => {
                        self.key(name, key.as_deref(), target.span)?;
                        let ty = match self.maps.get(name).map(|m| m.value.clone()) {
                            Some(ptr @ Ty::Ptr(..)) => ptr,
                            _ => self.map_value(name, &Ty::I64, target.span)?,
                        };
                        self.set(target, ty.clone());
                        if let Ty::Ptr(..) = ty {
                            return Ok(ty);
                        }
                    }
                    _ => {}
                }
                Ok(Ty::I64)
            }
            ExprKind::SizeofType(ty) => {
                self.world.named(ty)?;
                Ok(Ty::U64)
            }
            ExprKind::Offsetof(ty, path) => {
                let mut c = self.world.named(ty)?;
                for name in path {
                    c = self.member(&c, name, e.span)?;
                }
                Ok(Ty::U64)
            }
            ExprKind::Block(block, value) => {
                self.block(block)?;
                self.expr(value)
            }
            ExprKind::Comptime(inner) => self.expr(inner),
        }
    }

    fn part(&self, ty: Ty, e: &Expr) -> Result<Ty> {
        match unbtf(&self.value(&ty)) {
            Ty::None | Ty::Args => Err(Diagnostic::error(e.span, "this has no value")),
            Ty::Agg(_) => Err(Diagnostic::error(e.span, "a histogram cannot be part of a tuple")),
            ty => Ok(ty),
        }
    }

    fn member(&self, c: &C, name: &str, span: Span) -> Result<C> {
        let C::Struct(s) = self.world.look(c) else {
            return Err(Diagnostic::error(
                span,
                format!("`{name}` is asked of something that is no structure"),
            ));
        };
        match self.world.field(s, name) {
            Some(found) => Ok(found.c),
            None => Err(self.no_member(s, name, span)),
        }
    }

    fn no_member(&self, s: StructRef, name: &str, span: Span) -> Diagnostic {
        let tag = match s {
            StructRef::Kernel(id) => match self.world.types.describe(id) {
                Some(TypeDesc::Struct { name, union: false, .. }) => format!("struct {name}"),
                Some(TypeDesc::Struct { name, .. }) => format!("union {name}"),
                _ => "this".into(),
            },
            StructRef::Script(i) => format!("struct {}", self.world.structs.get(i).map_or("", |s| &s.name)),
        };
        let known = self.world.names(s);
        Diagnostic::error(span, format!("{tag} has no field `{name}` on this kernel"))
            .nearest(name, known.iter().map(String::as_str))
    }

    fn field(&mut self, inner: &Expr, name: &str, e: &Expr) -> Result<Ty> {
        let of = self.expr(inner)?;
        let (c, space) = match &of {
            Ty::Unknown => return Ok(Ty::Unknown),
            Ty::Args => return self.argument(name, e),
            Ty::Ptr(c, space) | Ty::Place(c, space) => (c.clone(), *space),
            Ty::Tuple(parts) => {
                return parts.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone()).ok_or_else(|| {
                    Diagnostic::error(e.span, format!("this record has no field `{name}`"))
                        .nearest(name, parts.iter().map(|(n, _)| n.as_str()))
                });
            }
            other => {
                return Err(Diagnostic::error(inner.span, format!("a {} has no fields", other.name()))
                    .hint("cast it first, as in `((struct sock *)x).field`"));
            }
        };
        let C::Struct(s) = self.world.look(&c) else {
            return Err(Diagnostic::error(inner.span, "this is no structure and has no fields"));
        };
        let found = self.world.field(s, name).ok_or_else(|| self.no_member(s, name, e.span))?;
        let space = if space == Space::Btf && !found.direct { Space::Kernel } else { space };
        Ok(self.loaded(&found.c, space))
    }

    /// `args.name`
    fn argument(&mut self, name: &str, e: &Expr) -> Result<Ty> {
        match &self.context {
            Context::Record(fields, user) => match fields.iter().find(|f| f.name == name) {
                Some(field) => Ok(self.record_field(field, *user)),
                None => Err(Diagnostic::error(
                    e.span,
                    format!("this tracepoint has no field `{name}` on this kernel"),
                )
                .nearest(name, fields.iter().map(|f| f.name.as_str()))),
            },
            Context::Params(signature) => match signature.params.iter().find(|p| p.name == name) {
                Some(param) => Ok(self.loaded(&C::Lazy(param.ty), self.trusted())),
                None => Err(Diagnostic::error(
                    e.span,
                    format!("this probe has no argument `{name}` on this kernel"),
                )
                .nearest(name, signature.params.iter().map(|p| p.name.as_str()))),
            },
            Context::None => Err(Diagnostic::error(e.span, "the arguments of this probe are not known here")
                .hint("use arg0, arg1, ... and a cast")),
        }
    }

    fn record_field(&self, field: &RecordField, user: bool) -> Ty {
        use crate::types::Location;
        let chars = field.c_type.contains("char");
        if field.location != Location::Inline {
            return if chars { Ty::Str(self.world.strlen) } else { Ty::Buf(self.world.strlen) };
        }
        if let Some(len) = field.array.filter(|n| *n > 0) {
            let size = (field.size / len).clamp(1, 8) as u8;
            let elem =
                C::Int { size, signed: field.signed, char_like: chars && !field.c_type.contains("unsigned") };
            return Ty::Place(C::Array(Box::new(elem), len), Space::Ctx);
        }
        if field.c_type.contains('*') {
            let space = if user { Space::User } else { Space::Kernel };
            return match self.world.declared(&field.c_type) {
                Some(C::Ptr(to)) => Ty::Ptr(*to, space),
                _ => Ty::Ptr(C::Void, space),
            };
        }
        match field.size {
            size @ (1 | 2 | 4 | 8) => Ty::Int { size: size as u8, signed: field.signed },
            size => {
                let byte = C::Int { size: 1, signed: false, char_like: false };
                Ty::Place(C::Array(Box::new(byte), size), Space::Ctx)
            }
        }
    }

    fn unary(&mut self, op: UnOp, inner: &Expr) -> Result<Ty> {
        let ty = self.expr(inner)?;
        match op {
            UnOp::Not => {
                self.condition(inner)?;
                Ok(Ty::Bool)
            }
            UnOp::Deref => match ty {
                Ty::Ptr(to, space) => {
                    Ok(self.loaded(&to, if space == Space::Btf { Space::Kernel } else { space }))
                }
                Ty::Unknown => Ok(Ty::Unknown),
                other => Err(Diagnostic::error(inner.span, format!("a {} is no pointer", other.name()))
                    .hint("cast it first, as in `*(uint64 *)x`")),
            },
            UnOp::Addr => match ty {
                Ty::Place(c, space) => {
                    Ok(Ty::Ptr(c, if space == Space::User { space } else { Space::Kernel }))
                }
                Ty::Unknown => Ok(Ty::Unknown),
                _ => match &inner.kind {
                    ExprKind::Field(base, name) => match self.ty.get(base.id as usize).cloned() {
                        Some(Ty::Ptr(c, space) | Ty::Place(c, space)) if space != Space::Ctx => {
                            let c = self.member(&c, name, inner.span)?;
                            Ok(Ty::Ptr(c, if space == Space::User { space } else { Space::Kernel }))
                        }
                        _ => Err(Diagnostic::error(inner.span, "this has no address")),
                    },
                    _ => Err(Diagnostic::error(inner.span, "this has no address")),
                },
            },
            UnOp::Neg | UnOp::Inv => {
                self.number(&ty, inner)?;
                Ok(match (op, &inner.kind, &ty) {
                    (UnOp::Neg, ExprKind::Int(n), _) => Ty::negative(*n),
                    (UnOp::Neg, _, ty) if *ty == Ty::U64 => Ty::U64,
                    (UnOp::Neg, ..) => Ty::I64,
                    (_, ExprKind::Int(_), _) => Ty::U64,
                    (_, _, Ty::Int { size, signed }) => Ty::Int { size: *size, signed: *signed },
                    (_, _, Ty::Bool) => Ty::Int { size: 1, signed: false },
                    _ => Ty::Int { size: 8, signed: ty.signed() },
                })
            }
        }
    }

    fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr, e: &Expr) -> Result<Ty> {
        let (ta, tb) = (self.expr(a)?, self.expr(b)?);
        if matches!(op, BinOp::LAnd | BinOp::LOr) {
            self.condition(a)?;
            self.condition(b)?;
            return Ok(Ty::Bool);
        }
        let (va, vb) = (self.value(&ta), self.value(&tb));
        for (side, value) in [(a, &va), (b, &vb)] {
            if let Ty::Agg(_) = value
                && self.last
            {
                return Err(Diagnostic::error(side.span, "a histogram is no number"));
            }
        }
        if op.compares() {
            let text = |t: &Ty| {
                matches!(t, Ty::Str(_) | Ty::Buf(_) | Ty::Inet | Ty::Mac | Ty::Timestamp(_))
                    || matches!(t, Ty::Place(C::Array(..), _))
            };
            let equality = matches!(op, BinOp::Eq | BinOp::Ne);
            return match (&va, &vb) {
                (Ty::Unknown, _) | (_, Ty::Unknown) => Ok(Ty::Bool),
                (x, y) if x.scalar() && y.scalar() => Ok(Ty::Bool),
                (Ty::Str(_), Ty::Str(_)) | (Ty::Buf(_), Ty::Buf(_)) if equality => Ok(Ty::Bool),
                (Ty::Tuple(_), Ty::Tuple(_)) if equality && merge(&va, &vb).is_some() => Ok(Ty::Bool),
                (x, y) if text(x) && x == y && equality => Ok(Ty::Bool),
                _ => Err(Diagnostic::error(
                    e.span,
                    format!("cannot compare a {} with a {}", va.name(), vb.name()),
                )),
            };
        }
        self.number(&va, a)?;
        self.number(&vb, b)?;
        match (op, &va, &vb) {
            (BinOp::Add | BinOp::Sub, Ty::Ptr(c, space), Ty::Int { .. } | Ty::Enum(_) | Ty::Bool) => {
                Ok(Ty::Ptr(c.clone(), if *space == Space::Btf { Space::Kernel } else { *space }))
            }
            (BinOp::Add, Ty::Int { .. }, Ty::Ptr(c, space)) => {
                Ok(Ty::Ptr(c.clone(), if *space == Space::Btf { Space::Kernel } else { *space }))
            }
            // Of literals it is known whether the sign bit would be lost.
            (BinOp::Shl, ..) if matches!((constant(a), constant(b)), (Some(1..), Some(0..=63))) => {
                let (n, by) = (constant(a).unwrap_or(0), constant(b).unwrap_or(0));
                let wide = i128::from(n) << by;
                Ok(if i64::try_from(wide).is_err() && u64::try_from(wide).is_ok() {
                    Ty::U64
                } else {
                    Ty::Int { size: 8, signed: va.signed() }
                })
            }
            (BinOp::Shl | BinOp::Shr, ..) => Ok(Ty::Int { size: 8, signed: va.signed() }),
            _ => Ok(Ty::Int { size: 8, signed: both_signed(a, &va, b, &vb) }),
        }
    }

    pub(crate) fn check_format(&mut self, args: &[Expr], call: &Expr) -> Result<()> {
        let Some(ExprKind::Str(text)) = args.first().map(|a| &a.kind) else {
            return Err(Diagnostic::error(call.span, "the first argument must be a format in quotes"));
        };
        let span = args.first().map_or(call.span, |a| a.span);
        let takes = format::conversions(text).map_err(|why| Diagnostic::error(span, why))?;
        let given = args.get(1..).unwrap_or(&[]);
        if takes.len() != given.len() {
            let much = if given.len() < takes.len() { "not enough" } else { "too many" };
            let text = format!(
                "{much} arguments for format string ({} supplied, {} expected)",
                given.len(),
                takes.len()
            );
            return Err(Diagnostic::error(call.span, text));
        }
        for (takes, arg) in takes.iter().zip(given) {
            let ty = self.expr(arg)?;
            let ty = self.value(&ty);
            let fits = match takes {
                format::Takes::Number => {
                    ty.scalar() || matches!(ty, Ty::Unknown | Ty::Ksym | Ty::Usym | Ty::Kstack(..))
                }
                format::Takes::Text => !matches!(ty, Ty::None | Ty::Args | Ty::Agg(_)),
                format::Takes::Bytes => matches!(ty, Ty::Buf(_) | Ty::Unknown),
            };
            if !fits {
                let wanted = match takes {
                    format::Takes::Number => "a number",
                    format::Takes::Text => "a string",
                    format::Takes::Bytes => "a buffer, as buf() gives it",
                };
                return Err(Diagnostic::error(
                    arg.span,
                    format!("the format wants {wanted}, this is a {}", ty.name()),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn is_map(&self, e: &Expr) -> Option<String> {
        match &e.kind {
            ExprKind::Map { name, key: None } => Some(name.clone()),
            _ => None,
        }
    }
}
