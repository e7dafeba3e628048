//! Layout of maps, and code that reads, writes and deletes entries.

use std::collections::BTreeMap;

use super::mem::{Base, Mem};
use super::{Gen, Shared};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{BinOp, Expr, ExprKind, MapDecl};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::infer::MapTy;
use crate::passes::ty::{Agg, Ty};
use crate::program::{Action, Config, MapKind, MapSpec, Part, Role, Value, hist_buckets, lhist_buckets};

/// All maps of a script while code is made.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    pub(crate) specs: Vec<MapSpec>,
    info: BTreeMap<String, Info>,
    pub(crate) scratch: Option<u32>,
    ring: Option<u32>,
    lost: Option<u32>,
    full: Option<u32>,
    stacks: Option<u32>,
    start: Option<u32>,
}

/// A map of the script.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) index: u32,
    pub(crate) key: Option<Ty>,
    pub(crate) value: Ty,
    /// Where the value of a scalar says that it is set.
    pub(crate) present: Option<u32>,
}

impl Maps {
    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        self.info.get(name).map(|i| i.index)
    }

    fn internal(&mut self, name: &str, kind: MapKind, role: Role, value_size: u32, max_entries: u32) -> u32 {
        let key_size = if kind == MapKind::Ring { 0 } else { 4 };
        let value_size = if kind == MapKind::Ring { 0 } else { value_size };
        let name = name.to_string();
        self.specs.push(MapSpec {
            name,
            kind,
            key_size,
            value_size,
            max_entries,
            role,
            key: None,
            value: None,
            present: None,
        });
        self.specs.len() as u32 - 1
    }

    pub(crate) fn ring(&mut self) -> u32 {
        if let Some(ring) = self.ring {
            return ring;
        }
        let ring = self.internal("ring", MapKind::Ring, Role::Ring, 0, 1 << 20);
        self.ring = Some(ring);
        ring
    }

    pub(crate) fn lost(&mut self, programs: u32) -> u32 {
        let lost =
            self.lost.unwrap_or_else(|| self.internal("lost", MapKind::PercpuArray, Role::Lost, 8, programs));
        self.lost = Some(lost);
        lost
    }

    pub(crate) fn full(&mut self, programs: u32) -> u32 {
        let full =
            self.full.unwrap_or_else(|| self.internal("full", MapKind::PercpuArray, Role::Full, 8, programs));
        self.full = Some(full);
        full
    }

    pub(crate) fn stacks(&mut self) -> u32 {
        let stacks = self
            .stacks
            .unwrap_or_else(|| self.internal("stacks", MapKind::StackTrace, Role::Stacks, 127 * 8, 16384));
        self.stacks = Some(stacks);
        stacks
    }

    pub(crate) fn start(&mut self) -> u32 {
        let start = self.start.unwrap_or_else(|| self.internal("start", MapKind::Array, Role::Start, 16, 1));
        self.start = Some(start);
        start
    }

    pub(crate) fn scratch(&mut self, size: u32, programs: u32) {
        if let Some(map) = self.scratch.and_then(|i| self.specs.get_mut(i as usize)) {
            map.value_size = map.value_size.max(size);
            return;
        }
        self.scratch = Some(self.internal("scratch", MapKind::PercpuArray, Role::Scratch, size, programs));
    }

    /// Drops the scratch map when no program turned out to need it; it is the last one then.
    pub(crate) fn set_scratch_size(&mut self, size: u32) {
        if let Some(map) = self.scratch.and_then(|i| self.specs.get_mut(i as usize)) {
            map.value_size = size.max(8);
        }
    }
}

/// Makes the maps of a script.
pub(crate) fn layout(
    shared: &mut Shared<'_>,
    maps: &BTreeMap<String, MapTy>,
    decls: &[MapDecl],
    config: &Config,
) -> Result<()> {
    let mut order: Vec<(&String, &MapTy)> = maps.iter().collect();
    order.sort_by_key(|(_, m)| m.order);
    for (name, map) in order {
        let key = map.key.clone().unwrap_or(None);
        let decl = decls.iter().find(|d| d.name == *name);
        let signed = map.value.signed();
        let value = match &map.value {
            Ty::Agg(Agg::Count) => Value::Count,
            Ty::Agg(Agg::Sum { .. }) => Value::Sum { signed },
            Ty::Agg(Agg::Min { .. }) => Value::Min { signed },
            Ty::Agg(Agg::Max { .. }) => Value::Max { signed },
            Ty::Agg(Agg::Avg { .. }) => Value::Avg { signed },
            Ty::Agg(Agg::Stats { .. }) => Value::Stats { signed },
            Ty::Agg(Agg::Hist { bits }) => Value::Hist { bits: *bits },
            Ty::Agg(Agg::Lhist { min, max, step }) => Value::Lhist { min: *min, max: *max, step: *step },
            Ty::Agg(Agg::Tseries { interval, count, kind, signed }) => {
                Value::Tseries { interval: *interval, count: *count, kind: *kind, signed: *signed }
            }
            other => Value::Plain(shared.shape(other)),
        };
        let buckets = match &value {
            Value::Hist { bits } => Some(hist_buckets(*bits)),
            Value::Lhist { min, max, step } => Some(lhist_buckets(*min, *max, *step)),
            Value::Tseries { count, .. } => Some(*count),
            _ => None,
        };
        let value_size = match &value {
            Value::Plain(shape) => shape.size(),
            Value::Min { .. } | Value::Max { .. } | Value::Avg { .. } | Value::Stats { .. } => 16,
            Value::Tseries { .. } => 24,
            _ => 8,
        };
        let per_cpu = !matches!(value, Value::Plain(_));
        // Averages and extremes have such a word anyway.
        let present = match (&key, &value) {
            (Some(_), _) | (_, Value::Hist { .. } | Value::Lhist { .. } | Value::Tseries { .. }) => None,
            (_, Value::Min { .. } | Value::Max { .. } | Value::Avg { .. } | Value::Stats { .. }) => Some(8),
            _ => Some(value_size),
        };
        let value_size = match present {
            Some(at) if at == value_size => value_size + 8,
            _ => value_size,
        };
        let shape = key.as_ref().map(|k| shared.shape(k));
        let mut kind = match (&shape, per_cpu) {
            (None, false) => MapKind::Array,
            (None, true) => MapKind::PercpuArray,
            (Some(_), false) => MapKind::Hash,
            (Some(_), true) => MapKind::PercpuHash,
        };
        let mut max_entries = match (&shape, buckets) {
            (None, Some(n)) => n,
            (None, None) => 1,
            (Some(_), Some(_)) => config.max_map_keys.saturating_mul(4),
            (Some(_), None) => config.max_map_keys,
        };
        if let (Some(decl), true) = (decl, shape.is_some()) {
            kind = match (decl.kind.as_str(), per_cpu) {
                ("hash" | "percpuhash", p) => {
                    if p {
                        MapKind::PercpuHash
                    } else {
                        MapKind::Hash
                    }
                }
                ("lruhash" | "percpulruhash", p) => {
                    if p {
                        MapKind::LruPercpuHash
                    } else {
                        MapKind::LruHash
                    }
                }
                (other, _) => {
                    return Err(Diagnostic::error(decl.span, format!("unknown kind of map `{other}`"))
                        .nearest(other, ["hash", "lruhash", "percpuhash", "percpulruhash"]));
                }
            };
            max_entries = decl.entries.clamp(1, 1 << 26) as u32;
        }
        let key_size = match (&shape, buckets) {
            (None, _) => 4,
            (Some(s), None) => s.size(),
            (Some(s), Some(_)) => s.size() + 8,
        };
        if key_size > 512 * 8 || value_size > 1 << 15 {
            return Err(Diagnostic::error(map.span, format!("keys or values of `@{name}` are too large")));
        }
        let index = shared.maps.specs.len() as u32;
        shared.maps.info.insert(name.clone(), Info { index, key, value: map.value.clone(), present });
        shared.maps.specs.push(MapSpec {
            name: format!("@{name}"),
            kind,
            key_size,
            value_size,
            max_entries,
            role: Role::Script,
            key: shape,
            value: Some(value),
            present,
        });
    }
    Ok(())
}

impl Gen<'_, '_> {
    pub(crate) fn map_info(&self, name: &str, at: &Expr) -> Result<Info> {
        match self.s.maps.info.get(name) {
            Some(info) => Ok(info.clone()),
            None => Err(Diagnostic::error(at.span, format!("map `@{name}` is never assigned a value"))),
        }
    }

    /// Number of programs, for the counters that have a slot for each.
    fn programs(&self) -> u32 {
        1024
    }

    /// The key of an entry in memory, `extra` bytes of room after it.
    pub(crate) fn key(&mut self, info: &Info, key: Option<&Expr>, extra: u32) -> Result<Mem> {
        match (&info.key, key) {
            (Some(ty), Some(key)) => {
                let size = self.size(ty);
                let mem = self.temp(size + extra);
                let ty = ty.clone();
                self.store(key, mem, &ty)?;
                Ok(mem)
            }
            _ => {
                let mem = self.temp(8);
                let (base, off) = self.base(mem, 1);
                self.a.store_imm(Width::D, base, off, 0);
                Ok(mem)
            }
        }
    }

    /// `r0 = address of the value or 0`
    pub(crate) fn lookup(&mut self, map: u32, key: Mem) {
        self.address(key, 2);
        self.a.map(1, map);
        self.a.call(helpers::MAP_LOOKUP);
    }

    /// Writes an entry; counts failures.
    pub(crate) fn update(&mut self, map: u32, key: Mem, value: Mem) {
        self.address(key, 2);
        self.address(value, 3);
        self.a.map(1, map);
        self.a.imm(4, 0);
        self.a.call(helpers::MAP_UPDATE);
        let done = self.a.label();
        self.a.branch(cond::EQ, 0, Src::Imm(0), done);
        let programs = self.programs();
        let full = self.s.maps.full(programs);
        self.count(full);
        self.a.bind(done);
    }

    /// Adds one to this program's slot of a per-CPU counter.
    pub(crate) fn count(&mut self, map: u32) {
        let mark = self.mark();
        let key = Mem::stack(self.temp_stack(8));
        self.a.store_imm(Width::W, 10, key.off, self.index as i32);
        self.lookup(map, key);
        let none = self.a.label();
        self.a.branch(cond::EQ, 0, Src::Imm(0), none);
        self.a.load(Width::D, 1, 0, 0);
        self.a.alu(alu::ADD, 1, Src::Imm(1));
        self.a.store(Width::D, 0, 0, 1);
        self.a.bind(none);
        self.release(mark);
    }

    pub(crate) fn count_lost(&mut self) {
        let programs = self.programs();
        let lost = self.s.maps.lost(programs);
        self.count(lost);
    }

    /// `r0 = value of a scalar entry, 0 when there is none`
    pub(crate) fn map_read(&mut self, name: &str, key: Option<&Expr>, at: &Expr) -> Result<()> {
        let info = self.map_info(name, at)?;
        if let Ty::Agg(agg) = info.value {
            if !self.s.features.percpu_lookup {
                return Err(Diagnostic::error(at.span, "reading an aggregation needs Linux 5.19 or later"));
            }
            let mark = self.mark();
            let mem = self.key(&info, key, 0)?;
            self.read_parts(info.index, agg, mem);
            self.release(mark);
            return Ok(());
        }
        if info.key.is_none() {
            self.a.map_value(1, info.index, 0);
            self.a.load(Width::D, 0, 1, 0);
            return Ok(());
        }
        let mark = self.mark();
        let mem = self.key(&info, key, 0)?;
        self.lookup(info.index, mem);
        let none = self.a.label();
        self.a.branch(cond::EQ, 0, Src::Imm(0), none);
        self.a.load(Width::D, 0, 0, 0);
        self.a.bind(none);
        self.release(mark);
        Ok(())
    }

    /// An entry's value copied to memory, zeros when there is none.
    pub(crate) fn map_read_into(&mut self, name: &str, key: Option<&Expr>, mem: Mem, ty: &Ty) -> Result<()> {
        let Some(info) = self.s.maps.info.get(name).cloned() else {
            self.zero(mem, self.size(ty));
            return Ok(());
        };
        let keymem = self.key(&info, key, 0)?;
        self.lookup(info.index, keymem);
        let (none, end) = (self.a.label(), self.a.label());
        self.a.branch(cond::EQ, 0, Src::Imm(0), none);
        let slot = self.temp_stack(8);
        self.a.store(Width::D, 10, slot, 0);
        self.copy_as(mem, ty, Mem { base: Base::Through(10, slot), off: 0 }, &info.value);
        self.a.jump(end);
        self.a.bind(none);
        self.zero(mem, self.size(ty));
        self.a.bind(end);
        Ok(())
    }

    pub(crate) fn map_assign(
        &mut self,
        name: &str,
        key: Option<&Expr>,
        op: Option<BinOp>,
        value: &Expr,
        target: &Expr,
    ) -> Result<()> {
        let info = self.map_info(name, target)?;
        if let Ty::Agg(agg) = info.value {
            return match (&value.kind, op) {
                (ExprKind::Call(_, args), None) => self.aggregate(&info, key, agg, args.first()),
                _ => Err(Diagnostic::error(value.span, format!("`@{name}` holds an aggregation"))),
            };
        }
        if info.key.is_none() && info.value.scalar() {
            if let Some(op) = op {
                self.map_read(name, key, target)?;
                self.apply(op, target, value, true)?;
            } else {
                self.scalar(value)?;
            }
            self.a.map_value(1, info.index, 0);
            self.a.store(Width::D, 1, 0, 0);
            if let Some(at) = info.present {
                self.a.store_imm(Width::D, 1, at as i32, 1);
            }
            return Ok(());
        }
        let size = self.size(&info.value);
        let mem = self.temp(size + if info.present.is_some() { 8 } else { 0 });
        match op {
            Some(op) => {
                self.map_read(name, key, target)?;
                self.apply(op, target, value, true)?;
                self.put(mem);
            }
            None => self.store(value, mem, &info.value)?,
        }
        if let Some(at) = info.present {
            let (base, off) = self.base(mem.plus(at), 1);
            self.a.store_imm(Width::D, base, off, 1);
        }
        let key = self.key(&info, key, 0)?;
        self.update(info.index, key, mem);
        Ok(())
    }

    /// `x++` of an entry; `r0` is the old or the new value.
    pub(crate) fn map_step(
        &mut self,
        name: &str,
        key: Option<&Expr>,
        by: i64,
        before: bool,
        at: &Expr,
    ) -> Result<()> {
        let info = self.map_info(name, at)?;
        let mark = self.mark();
        let result = self.temp_stack(8);
        if info.key.is_none() {
            self.a.map_value(1, info.index, 0);
            self.a.load(Width::D, 0, 1, 0);
            self.a.store(Width::D, 10, result, 0);
            self.a.imm(2, by);
            self.a.atomic_add(1, 0, 2);
            if let Some(at) = info.present {
                self.a.store_imm(Width::D, 1, at as i32, 1);
            }
        } else {
            let mem = self.key(&info, key, 0)?;
            self.lookup(info.index, mem);
            let (none, end) = (self.a.label(), self.a.label());
            self.a.branch(cond::EQ, 0, Src::Imm(0), none);
            self.a.load(Width::D, 2, 0, 0);
            self.a.store(Width::D, 10, result, 2);
            self.a.imm(2, by);
            self.a.atomic_add(0, 0, 2);
            self.a.jump(end);
            self.a.bind(none);
            self.a.store_imm(Width::D, 10, result, 0);
            let value = Mem::stack(self.temp_stack(8));
            self.a.store_imm(Width::D, 10, value.off, by as i32);
            self.update(info.index, mem, value);
            self.a.bind(end);
        }
        self.a.load(Width::D, 0, 10, result);
        if before {
            self.a.alu(alu::ADD, 0, Src::Imm(by as i32));
        }
        self.release(mark);
        Ok(())
    }

    /// `r0` is 1 when the entry was there.
    pub(crate) fn map_delete(&mut self, name: &str, key: Option<&Expr>, at: &Expr) -> Result<()> {
        let info = self.map_info(name, at)?;
        let mark = self.mark();
        match (&info.key, &info.value) {
            (Some(ty), Ty::Agg(agg)) if agg.bucketed() => {
                let shape = self.s.shape(ty);
                let Some(key) = key else { return Err(Diagnostic::error(at.span, "a key is needed")) };
                let part = Part { name: String::new(), offset: 0, shape };
                let ty = ty.clone();
                self.action(Action::DeleteHist { map: info.index, key: part }, &[(key, ty)])?;
                self.a.imm(0, 1);
            }
            (None, _) if !matches!(info.value, Ty::Agg(_)) => {
                // Entries of arrays cannot be deleted: zero is what reading a missing one gives.
                let size = self.size(&info.value) + if info.present.is_some() { 8 } else { 0 };
                let zero = self.temp(size);
                self.zero(zero, size);
                let key = self.key(&info, None, 0)?;
                self.update(info.index, key, zero);
                self.a.imm(0, 1);
            }
            (None, _) => {
                self.action(Action::Clear { map: info.index }, &[])?;
                self.a.imm(0, 1);
            }
            _ => {
                let mem = self.key(&info, key, 0)?;
                self.address(mem, 2);
                self.a.map(1, info.index);
                self.a.call(helpers::MAP_DELETE);
                let done = self.a.label();
                self.a.mov(1, 0);
                self.a.imm(0, 1);
                self.a.branch(cond::EQ, 1, Src::Imm(0), done);
                self.a.imm(0, 0);
                self.a.bind(done);
            }
        }
        self.release(mark);
        Ok(())
    }

    pub(crate) fn map_has(&mut self, name: &str, key: &Expr) -> Result<()> {
        let info = self.map_info(name, key)?;
        if matches!(info.value, Ty::Agg(agg) if agg.bucketed()) {
            return Err(Diagnostic::error(key.span, "`has_key()` of a histogram is not supported"));
        }
        let mark = self.mark();
        let mem = self.key(&info, Some(key), 0)?;
        self.lookup(info.index, mem);
        let none = self.a.label();
        self.a.branch(cond::EQ, 0, Src::Imm(0), none);
        self.a.imm(0, 1);
        self.a.bind(none);
        self.release(mark);
        Ok(())
    }
}
