//! Aggregations: each CPU adds to its own copy, so plain loads and stores are enough.

use super::Gen;
use super::maps::Info;
use super::mem::Mem;
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{BinOp, Expr};
use crate::diag::Result;
use crate::helpers;
use crate::passes::ty::Agg;
use crate::program::Series;

impl Gen<'_, '_> {
    pub(super) fn aggregate(
        &mut self,
        info: &Info,
        key: Option<&Expr>,
        agg: Agg,
        arg: Option<&Expr>,
    ) -> Result<()> {
        if let Agg::Tseries { interval, count, kind, signed } = agg {
            return self.series(info, key, arg, (interval, count, kind, signed));
        }
        let mark = self.mark();
        let bucketed = matches!(agg, Agg::Hist { .. } | Agg::Lhist { .. });
        let value = self.temp_stack(8);
        match arg {
            Some(arg) => {
                self.scalar(arg)?;
                match agg {
                    Agg::Hist { bits } => self.log_bucket(bits),
                    Agg::Lhist { min, max, step } => self.linear_bucket(min, max, step),
                    _ => {}
                }
                self.a.store(Width::D, 10, value, 0);
            }
            None => self.a.store_imm(Width::D, 10, value, 1),
        }
        let mem = match (&info.key, bucketed) {
            (None, true) => Mem::stack(value),
            (Some(ty), true) => {
                let size = self.size(ty);
                let mem = self.key(info, key, 8)?;
                self.a.load(Width::D, 0, 10, value);
                self.put(mem.plus(size));
                mem
            }
            _ => self.key(info, key, 0)?,
        };
        self.lookup(info.index, mem);
        let (missing, end) = (self.a.label(), self.a.label());
        self.a.branch(cond::EQ, 0, Src::Imm(0), missing);
        if bucketed || agg == Agg::Count {
            self.a.load(Width::D, 1, 0, 0);
            self.a.alu(alu::ADD, 1, Src::Imm(1));
            self.a.store(Width::D, 0, 0, 1);
        } else {
            self.a.load(Width::D, 2, 10, value);
            self.a.load(Width::D, 1, 0, 0);
            match agg {
                Agg::Min { signed } | Agg::Max { signed } => {
                    let (set, skip) = (self.a.label(), self.a.label());
                    self.a.load(Width::D, 3, 0, 8);
                    self.a.branch(cond::EQ, 3, Src::Imm(0), set);
                    let condition = match (agg, signed) {
                        (Agg::Min { .. }, true) => cond::SLE,
                        (Agg::Min { .. }, false) => cond::LE,
                        (_, true) => cond::SGE,
                        (_, false) => cond::GE,
                    };
                    self.a.branch(condition, 1, Src::Reg(2), skip);
                    self.a.bind(set);
                    self.a.store(Width::D, 0, 0, 2);
                    self.a.store_imm(Width::D, 0, 8, 1);
                    self.a.bind(skip);
                }
                _ => {
                    self.a.alu(alu::ADD, 1, Src::Reg(2));
                    self.a.store(Width::D, 0, 0, 1);
                    if matches!(agg, Agg::Avg { .. } | Agg::Stats { .. }) {
                        self.a.load(Width::D, 1, 0, 8);
                        self.a.alu(alu::ADD, 1, Src::Imm(1));
                        self.a.store(Width::D, 0, 8, 1);
                    }
                }
            }
        }
        if let (Some(at), Agg::Count | Agg::Sum { .. }) = (info.present, agg) {
            self.a.store_imm(Width::D, 0, at as i32, 1);
        }
        self.a.jump(end);
        self.a.bind(missing);
        if info.key.is_some() {
            // The first of its key: the value begins with this event.
            let first = Mem::stack(self.temp_stack(16));
            if bucketed || agg == Agg::Count {
                self.a.store_imm(Width::D, 10, first.off, 1);
            } else {
                self.a.load(Width::D, 0, 10, value);
                self.a.store(Width::D, 10, first.off, 0);
            }
            self.a.store_imm(Width::D, 10, first.off + 8, 1);
            self.update(info.index, mem, first);
        }
        self.a.bind(end);
        self.release(mark);
        Ok(())
    }

    /// `tseries()`: the value of this moment's interval.
    fn series(
        &mut self,
        info: &Info,
        key: Option<&Expr>,
        arg: Option<&Expr>,
        (interval, count, kind, signed): (u64, u32, Series, bool),
    ) -> Result<()> {
        let mark = self.mark();
        // The value as it is kept: number, how many it is made of (or when it was set), number of the interval.
        let first = Mem::stack(self.temp_stack(24));
        let (value, meta, epoch) = (first.off, first.off + 8, first.off + 16);
        if let Some(arg) = arg {
            self.scalar(arg)?;
        }
        self.a.store(Width::D, 10, value, 0);
        self.a.call(helpers::KTIME_BOOT);
        let start = self.s.maps.start();
        self.a.map_value(1, start, 0);
        self.a.load(Width::D, 1, 1, 8);
        self.a.alu(alu::ADD, 0, Src::Reg(1));
        self.a.store_imm(Width::D, 10, meta, 1);
        if kind == Series::Last {
            self.a.store(Width::D, 10, meta, 0);
        }
        self.a.imm(1, interval as i64);
        self.a.alu(alu::DIV, 0, Src::Reg(1));
        self.a.store(Width::D, 10, epoch, 0);
        self.a.alu(alu::MOD, 0, Src::Imm(count.max(1) as i32));
        let slot = self.temp_stack(8);
        self.a.store(Width::D, 10, slot, 0);
        let mem = match &info.key {
            None => Mem::stack(slot),
            Some(ty) => {
                let size = self.size(ty);
                let mem = self.key(info, key, 8)?;
                self.a.load(Width::D, 0, 10, slot);
                self.put(mem.plus(size));
                mem
            }
        };
        self.lookup(info.index, mem);
        let (missing, set, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.branch(cond::EQ, 0, Src::Imm(0), missing);
        self.a.load(Width::D, 2, 10, value);
        self.a.load(Width::D, 3, 10, epoch);
        self.a.load(Width::D, 1, 0, 16);
        self.a.branch(cond::NE, 1, Src::Reg(3), set);
        self.a.load(Width::D, 1, 0, 8);
        self.a.branch(cond::EQ, 1, Src::Imm(0), set);
        self.a.load(Width::D, 1, 0, 0);
        match kind {
            Series::Last => self.a.jump(set),
            Series::Avg | Series::Sum => {
                self.a.alu(alu::ADD, 1, Src::Reg(2));
                self.a.store(Width::D, 0, 0, 1);
                self.a.load(Width::D, 1, 0, 8);
                self.a.alu(alu::ADD, 1, Src::Imm(1));
                self.a.store(Width::D, 0, 8, 1);
                self.a.jump(end);
            }
            Series::Min | Series::Max => {
                let condition = match (kind, signed) {
                    (Series::Min, true) => cond::SLE,
                    (Series::Min, false) => cond::LE,
                    (_, true) => cond::SGE,
                    (_, false) => cond::GE,
                };
                self.a.branch(condition, 1, Src::Reg(2), end);
                self.a.jump(set);
            }
        }
        self.a.bind(set);
        self.a.store(Width::D, 0, 0, 2);
        self.a.load(Width::D, 1, 10, meta);
        self.a.store(Width::D, 0, 8, 1);
        self.a.load(Width::D, 1, 10, epoch);
        self.a.store(Width::D, 0, 16, 1);
        self.a.jump(end);
        self.a.bind(missing);
        if info.key.is_some() {
            self.update(info.index, mem, first);
        }
        self.a.bind(end);
        self.release(mark);
        Ok(())
    }

    /// `r0 = the value of an aggregation`: the parts of all CPUs put together; 0 when there is no such entry.
    pub(super) fn read_parts(&mut self, map: u32, agg: Agg, key: Mem) {
        let mark = self.mark();
        let [total, count, cpu] = [(); 3].map(|()| self.temp_stack(8));
        for slot in [total, count, cpu] {
            self.a.store_imm(Width::D, 10, slot, 0);
        }
        let (top, next) = (self.a.label(), self.a.label());
        self.a.bind(top);
        self.address(key, 2);
        self.a.map(1, map);
        self.a.load(Width::D, 3, 10, cpu);
        self.a.call(helpers::PERCPU_LOOKUP);
        self.a.branch(cond::EQ, 0, Src::Imm(0), next);
        self.a.load(Width::D, 2, 0, 0);
        self.a.load(Width::D, 1, 10, total);
        match agg {
            Agg::Min { signed } | Agg::Max { signed } => {
                let set = self.a.label();
                self.a.load(Width::D, 3, 0, 8);
                self.a.branch(cond::EQ, 3, Src::Imm(0), next);
                self.a.load(Width::D, 3, 10, count);
                self.a.branch(cond::EQ, 3, Src::Imm(0), set);
                let condition = match (agg, signed) {
                    (Agg::Min { .. }, true) => cond::SLE,
                    (Agg::Min { .. }, false) => cond::LE,
                    (_, true) => cond::SGE,
                    (_, false) => cond::GE,
                };
                self.a.branch(condition, 1, Src::Reg(2), next);
                self.a.bind(set);
                self.a.store(Width::D, 10, total, 2);
                self.a.store_imm(Width::D, 10, count, 1);
            }
            _ => {
                self.a.alu(alu::ADD, 1, Src::Reg(2));
                self.a.store(Width::D, 10, total, 1);
                if matches!(agg, Agg::Avg { .. } | Agg::Stats { .. }) {
                    self.a.load(Width::D, 2, 0, 8);
                    self.a.load(Width::D, 1, 10, count);
                    self.a.alu(alu::ADD, 1, Src::Reg(2));
                    self.a.store(Width::D, 10, count, 1);
                }
            }
        }
        self.a.bind(next);
        self.a.load(Width::D, 0, 10, cpu);
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.store(Width::D, 10, cpu, 0);
        let cpus = self.s.features.cpus.max(1) as i32;
        self.a.branch(cond::LT, 0, Src::Imm(cpus), top);
        self.a.load(Width::D, 0, 10, total);
        if let Agg::Avg { signed } | Agg::Stats { signed } = agg {
            self.a.load(Width::D, 1, 10, count);
            let some = self.a.label();
            self.a.branch(cond::NE, 1, Src::Imm(0), some);
            self.a.imm(1, 1);
            self.a.bind(some);
            self.divide(BinOp::Div, Src::Reg(1), signed);
        }
        self.release(mark);
    }

    /// `r0 = hist_bucket(r0)`; clobbers `r1` to `r3`.
    fn log_bucket(&mut self, bits: u8) {
        let bits = i32::from(bits);
        let (positive, large, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.branch(cond::SGE, 0, Src::Imm(0), positive);
        self.a.imm(0, 0);
        self.a.jump(end);
        self.a.bind(positive);
        self.a.branch(cond::GE, 0, Src::Imm(1 << bits), large);
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.jump(end);
        self.a.bind(large);
        // r1 = position of the highest bit, by halves.
        self.a.mov(2, 0);
        self.a.imm(1, 0);
        for half in [32, 16, 8, 4, 2, 1] {
            let small = self.a.label();
            self.a.mov(3, 2);
            self.a.alu(alu::RSH, 3, Src::Imm(half));
            self.a.branch(cond::EQ, 3, Src::Imm(0), small);
            self.a.mov(2, 3);
            self.a.alu(alu::ADD, 1, Src::Imm(half));
            self.a.bind(small);
        }
        if bits > 0 {
            self.a.alu(alu::SUB, 1, Src::Imm(bits));
            self.a.alu(alu::RSH, 0, Src::Reg(1));
            self.a.alu(alu::AND, 0, Src::Imm((1 << bits) - 1));
            self.a.alu(alu::ADD, 1, Src::Imm(1));
            self.a.alu(alu::LSH, 1, Src::Imm(bits));
            self.a.alu(alu::OR, 0, Src::Reg(1));
            self.a.alu(alu::ADD, 0, Src::Imm(1));
        } else {
            self.a.mov(0, 1);
            self.a.alu(alu::ADD, 0, Src::Imm(2));
        }
        self.a.bind(end);
    }

    /// `r0 = bucket of a linear histogram`; clobbers `r1`.
    fn linear_bucket(&mut self, min: i64, max: i64, step: i64) {
        let (inside, not_high, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.imm(1, min);
        self.a.branch(cond::SGE, 0, Src::Reg(1), inside);
        self.a.imm(0, 0);
        self.a.jump(end);
        self.a.bind(inside);
        self.a.imm(1, max);
        self.a.branch(cond::SLT, 0, Src::Reg(1), not_high);
        self.a.imm(0, i64::from(crate::program::lhist_buckets(min, max, step)) - 1);
        self.a.jump(end);
        self.a.bind(not_high);
        self.a.imm(1, min);
        self.a.alu(alu::SUB, 0, Src::Reg(1));
        self.a.alu(alu::DIV, 0, Src::Imm(step as i32));
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.bind(end);
    }
}
