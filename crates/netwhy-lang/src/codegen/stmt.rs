//! Statements, loops and callbacks.

use super::{Gen, Loop, Pending, PendingKind, Place};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{BinOp, Block, Expr, ExprKind, Stmt, StmtKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::infer::folded;
use crate::passes::ty::Ty;
use crate::program::Subprogram;

/// Longest loop without `bpf_loop`: the verifier walks each round.
const ROUNDS: i32 = 256;
/// Longest loop of `bpf_loop` (the kernel's limit is 8 Mi).
const MOST: i32 = 1 << 23;

impl<'a> Gen<'a, '_> {
    pub(super) fn block(&mut self, block: &'a Block) -> Result<()> {
        block.stmts.iter().try_for_each(|s| self.stmt(s))
    }

    /// Statements inside an expression: loops there run inline.
    pub(super) fn block_of_expr(&mut self, block: &Block) -> Result<()> {
        for stmt in &block.stmts {
            self.simple(stmt)?;
        }
        Ok(())
    }

    /// Statements that need no callback.
    fn simple(&mut self, stmt: &Stmt) -> Result<()> {
        let mark = self.mark();
        match &stmt.kind {
            StmtKind::Expr(e) => self.effect(e)?,
            StmtKind::Assign { target, op, value } => self.assign(target, *op, value)?,
            StmtKind::Let { name, value, .. } => self.declare(name, value.as_ref())?,
            StmtKind::If { cond, then, other } if self.decided(cond).is_some() => {
                self.block_of_expr(if self.decided(cond) == Some(true) { then } else { other })?;
            }
            StmtKind::If { cond, then, other } => {
                let (no, end) = (self.a.label(), self.a.label());
                self.branch(cond, no, false)?;
                self.block_of_expr(then)?;
                self.a.jump(end);
                self.a.bind(no);
                self.block_of_expr(other)?;
                self.a.bind(end);
            }
            StmtKind::Block(block) => self.block_of_expr(block)?,
            _ => {
                return Err(Diagnostic::error(
                    stmt.span,
                    "loops and jumps are not supported inside an expression",
                ));
            }
        }
        self.release(mark);
        Ok(())
    }

    fn stmt(&mut self, stmt: &'a Stmt) -> Result<()> {
        self.line(stmt.span);
        let mark = self.mark();
        match &stmt.kind {
            StmtKind::If { cond, then, other } if self.decided(cond).is_some() => {
                self.block(if self.decided(cond) == Some(true) { then } else { other })?;
            }
            StmtKind::If { cond, then, other } => {
                let (no, end) = (self.a.label(), self.a.label());
                self.branch(cond, no, false)?;
                self.block(then)?;
                if !other.stmts.is_empty() {
                    self.a.jump(end);
                }
                self.a.bind(no);
                self.block(other)?;
                self.a.bind(end);
            }
            StmtKind::Block(block) => self.block(block)?,
            StmtKind::Unroll { count, body } => {
                let end = self.a.label();
                for _ in 0..folded(count).unwrap_or(1).clamp(1, 100) {
                    let next = self.a.label();
                    self.loops.push(Loop::Inline { next, end });
                    self.block(body)?;
                    self.loops.pop();
                    self.a.bind(next);
                }
                self.a.bind(end);
            }
            StmtKind::While { cond, body } => self.while_loop(cond, body)?,
            StmtKind::Range { name, from, to, body } => self.range(name, from, to, body)?,
            StmtKind::Each { name, map, body } => self.each(name, map, body, stmt)?,
            StmtKind::Return(_) => self.leave(),
            StmtKind::Break => match self.loops.last() {
                Some(Loop::Inline { end, .. }) => {
                    let end = *end;
                    self.a.jump(end);
                }
                _ => self.end_loop(),
            },
            StmtKind::Continue => match self.loops.last() {
                Some(Loop::Inline { next, .. }) => {
                    let next = *next;
                    self.a.jump(next);
                }
                _ => self.finish(0),
            },
            _ => self.simple(stmt)?,
        }
        self.release(mark);
        Ok(())
    }

    /// Leaves a callback: 0 goes on, 1 ends the loop.
    pub(super) fn finish(&mut self, how: i64) {
        self.a.imm(0, how);
        self.a.exit();
    }

    /// `return`, also `exit()`.
    pub(super) fn leave(&mut self) {
        if self.frame == 10 {
            let leave = self.leave;
            self.a.jump(leave);
        } else {
            self.a.store_imm(Width::D, self.frame, super::RETURNED, 1);
            self.end_loop();
        }
    }

    /// Ends the loop from inside its callback.
    fn end_loop(&mut self) {
        if let Some(Loop::Callback(Some(over))) = self.loops.first() {
            let over = *over;
            self.a.store_imm(Width::D, self.frame, over, 1);
        }
        self.finish(1);
    }

    fn declare(&mut self, name: &str, value: Option<&Expr>) -> Result<()> {
        if let Some(value) = value {
            return self.set_var(name, value);
        }
        match self.places.get(name).copied() {
            Some(Place::Slot(off)) => self.a.store_imm(Width::D, self.frame, off, 0),
            Some(Place::Scratch(at)) => {
                self.scratch_used = true;
                let size = self.t.vars.get(name).map_or(8, |t| self.size(t));
                let mem = super::Mem {
                    base: super::mem::Base::Through(self.frame, super::SCRATCH),
                    off: at as i32,
                };
                self.zero(mem, size);
            }
            _ => {}
        }
        Ok(())
    }

    fn set_var(&mut self, name: &str, value: &Expr) -> Result<()> {
        match self.places.get(name).copied() {
            Some(Place::Slot(off)) => {
                self.scalar(value)?;
                // A declared size may be smaller than what is assigned.
                if let (Some(Ty::Int { size, signed }), of) = (self.t.vars.get(name).cloned(), self.ty(value))
                    && size < 8
                    && !matches!(of, Ty::Int { size: s, signed: g } if s <= size && g == signed)
                {
                    self.extend(u32::from(size), signed);
                }
                self.a.store(Width::D, self.frame, off, 0);
                Ok(())
            }
            Some(Place::Scratch(at)) => {
                self.scratch_used = true;
                let ty = self.t.vars.get(name).cloned().unwrap_or(Ty::Unknown);
                let mem = super::Mem {
                    base: super::mem::Base::Through(self.frame, super::SCRATCH),
                    off: at as i32,
                };
                if mentions(value, name) {
                    // The old value is read while the new one is made.
                    let size = self.size(&ty);
                    let temp = self.temp(size);
                    self.store(value, temp, &ty)?;
                    self.copy(mem, temp, size);
                    return Ok(());
                }
                self.store(value, mem, &ty)
            }
            _ => {
                Err(Diagnostic::error(value.span, "the variable of a loop over a map cannot be assigned to"))
            }
        }
    }

    fn assign(&mut self, target: &Expr, op: Option<BinOp>, value: &Expr) -> Result<()> {
        match &target.kind {
            ExprKind::Var(name) => match op {
                None => self.set_var(name, value),
                Some(op) => {
                    let Some(Place::Slot(off)) = self.places.get(name).copied() else {
                        return Err(Diagnostic::error(target.span, "this variable holds no number"));
                    };
                    self.scalar(target)?;
                    self.apply(op, target, value, true)?;
                    self.a.store(Width::D, self.frame, off, 0);
                    Ok(())
                }
            },
            ExprKind::Map { name, key } => self.map_assign(name, key.as_deref(), op, value, target),
            _ => Err(Diagnostic::error(target.span, "only variables and maps can be assigned to")),
        }
    }

    fn hidden_slot(&mut self) -> i32 {
        // Slots of loops are taken from the temporaries of the main frame, which is the only place they are used
        // from: a callback's own loops take theirs from the callback's frame and never see the main frame's.
        self.temp_stack(8)
    }

    /// The callback of a search, ready to be called with the number of rounds in `r1`.
    pub(super) fn search(&mut self, state: i32, hay: i32, hay_size: u32, needle: i32, needle_size: u32) {
        static NOTHING: Block = Block { stmts: Vec::new() };
        let search = super::Search { state, hay, hay_size, needle, needle_size };
        self.spawn(PendingKind::Search(search), &NOTHING, 2);
    }

    /// `r0 = how many entries the map has`
    pub(super) fn count_entries(&mut self, map: u32) {
        static NOTHING: Block = Block { stmts: Vec::new() };
        self.a.map(1, map);
        self.spawn(PendingKind::Count, &NOTHING, 4);
        self.a.call(helpers::FOR_EACH);
    }

    fn while_loop(&mut self, cond_expr: &'a Expr, body: &'a Block) -> Result<()> {
        if let (true, Some(over)) = (self.s.features.bpf_loop, self.whiles.pop()) {
            self.a.store_imm(Width::D, self.frame, over, 0);
            self.a.imm(1, i64::from(MOST));
            self.spawn(PendingKind::While { cond: cond_expr, over }, body, 2);
            self.a.call(helpers::LOOP);
            self.after_loop();
            return Ok(());
        }
        let counter = self.hidden_slot();
        let (top, next, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.store_imm(Width::D, 10, counter, 0);
        self.a.bind(top);
        self.branch(cond_expr, end, false)?;
        self.loops.push(Loop::Inline { next, end });
        self.block(body)?;
        self.loops.pop();
        self.a.bind(next);
        self.a.load(Width::D, 0, 10, counter);
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.store(Width::D, 10, counter, 0);
        self.a.branch(cond::LT, 0, Src::Imm(ROUNDS), top);
        self.a.bind(end);
        Ok(())
    }

    fn range(&mut self, name: &str, from: &Expr, to: &Expr, body: &'a Block) -> Result<()> {
        let Some(Place::Slot(slot)) = self.places.get(name).copied() else {
            return Err(Diagnostic::error(from.span, "this loop has no variable"));
        };
        self.scalar(from)?;
        if self.s.features.bpf_loop && self.frame == 10 {
            let start = self.hidden_slot();
            self.a.store(Width::D, 10, start, 0);
            self.scalar(to)?;
            self.a.load(Width::D, 1, 10, start);
            let (some, fits, end) = (self.a.label(), self.a.label(), self.a.label());
            self.a.branch(cond::SGT, 0, Src::Reg(1), some);
            self.a.jump(end);
            self.a.bind(some);
            self.a.alu(alu::SUB, 0, Src::Reg(1));
            self.a.branch(cond::LE, 0, Src::Imm(MOST), fits);
            self.a.imm(0, i64::from(MOST));
            self.a.bind(fits);
            self.a.mov(1, 0);
            self.spawn(PendingKind::Range { slot, start }, body, 2);
            self.a.call(helpers::LOOP);
            self.after_loop();
            self.a.bind(end);
            return Ok(());
        }
        // Inline: the round counter is known to the verifier, the bound need not be.
        let (counter, limit) = (self.hidden_slot(), self.hidden_slot());
        let (top, next, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.store(Width::D, self.frame, slot, 0);
        self.scalar(to)?;
        self.a.store(Width::D, 10, limit, 0);
        self.a.store_imm(Width::D, 10, counter, 0);
        self.a.bind(top);
        self.a.load(Width::D, 0, self.frame, slot);
        self.a.load(Width::D, 1, 10, limit);
        self.a.branch(cond::SGE, 0, Src::Reg(1), end);
        self.loops.push(Loop::Inline { next, end });
        self.block(body)?;
        self.loops.pop();
        self.a.bind(next);
        self.a.load(Width::D, 0, self.frame, slot);
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.store(Width::D, self.frame, slot, 0);
        self.a.load(Width::D, 0, 10, counter);
        self.a.alu(alu::ADD, 0, Src::Imm(1));
        self.a.store(Width::D, 10, counter, 0);
        self.a.branch(cond::LT, 0, Src::Imm(ROUNDS), top);
        self.a.bind(end);
        Ok(())
    }

    fn each(&mut self, name: &str, map: &str, body: &'a Block, stmt: &Stmt) -> Result<()> {
        let (Some(Place::Pair(key, value)), Some(index)) =
            (self.places.get(name).copied(), self.s.maps.index(map))
        else {
            return Err(Diagnostic::error(stmt.span, format!("`@{map}` cannot be looped over")));
        };
        let agg = match self.map_info(map, &crate::parser::node(stmt.span, ExprKind::Int(0)))?.value {
            Ty::Agg(agg) => {
                self.scratch_used = true;
                Some((index, agg, self.numbers.get(name).copied().unwrap_or(0)))
            }
            _ => None,
        };
        self.a.map(1, index);
        self.spawn(PendingKind::Each { key, value, agg }, body, 4);
        self.a.call(helpers::FOR_EACH);
        self.after_loop();
        Ok(())
    }

    /// Callback, its context (the main frame) and flags as arguments 2 to 4.
    fn spawn(&mut self, kind: PendingKind<'a>, body: &'a Block, params: u8) {
        let label = self.a.label();
        let index = self.subprograms.len() as u32;
        self.a.function(2, label, index);
        self.a.mov(3, self.frame);
        self.a.imm(4, 0);
        let name = format!("loop_{index:04}");
        self.subprograms.push((label, Subprogram { insn: 0, name, params }));
        let depth = self.outer + self.tmp;
        self.pending.push(Pending { label, index, kind, body, depth });
    }

    fn after_loop(&mut self) {
        let go_on = self.a.label();
        self.a.load(Width::D, 0, self.frame, super::RETURNED);
        self.a.branch(cond::EQ, 0, Src::Imm(0), go_on);
        if self.frame == 10 {
            let leave = self.leave;
            self.a.jump(leave);
        } else {
            self.end_loop();
        }
        self.a.bind(go_on);
    }

    pub(super) fn callback(&mut self, next: Pending<'a>) -> Result<()> {
        let _ = next.index;
        self.a.bind(next.label);
        self.frame = 9;
        self.outer = next.depth;
        self.tmp = 0;
        self.saved = [false; 3];
        let loops = std::mem::take(&mut self.loops);
        self.loops.push(Loop::Callback(match next.kind {
            PendingKind::While { over, .. } => Some(over),
            _ => None,
        }));
        match next.kind {
            PendingKind::Range { slot, start } => {
                self.a.mov(9, 2);
                self.a.load(Width::D, 0, 9, start);
                self.a.alu(alu::ADD, 0, Src::Reg(1));
                self.a.store(Width::D, 9, slot, 0);
            }
            PendingKind::While { cond: condition, over } => {
                self.a.mov(9, 2);
                let on = self.a.label();
                self.a.load(Width::D, 0, 9, over);
                self.a.branch(cond::EQ, 0, Src::Imm(0), on);
                self.finish(1);
                self.a.bind(on);
                let go_on = self.a.label();
                self.branch(condition, go_on, true)?;
                // The condition may do something itself, as in `$i-- > 0`: it is not asked again.
                self.a.store_imm(Width::D, 9, over, 1);
                self.finish(1);
                self.a.bind(go_on);
            }
            PendingKind::Each { key, value, agg } => {
                self.a.mov(9, 4);
                self.a.store(Width::D, 9, key, 2);
                self.a.store(Width::D, 9, value, 3);
                if let Some((map, agg, number)) = agg {
                    // What the callback is given is one CPU's part.
                    self.read_parts(map, agg, super::Mem { base: super::mem::Base::Through(9, key), off: 0 });
                    self.a.load(Width::D, 1, 9, super::SCRATCH);
                    self.a.store(Width::D, 1, number as i32, 0);
                    self.a.alu(alu::ADD, 1, Src::Imm(number as i32));
                    self.a.store(Width::D, 9, value, 1);
                }
            }
            PendingKind::Count => {}
            PendingKind::Search(search) => {
                self.a.mov(9, 2);
                self.search_step(&search);
                self.loops = loops;
                return Ok(());
            }
        }
        self.block(next.body)?;
        self.finish(0);
        self.loops = loops;
        Ok(())
    }
}

/// Whether an expression reads a variable.
fn mentions(e: &Expr, name: &str) -> bool {
    let mut found = false;
    crate::passes::walk::exprs(&mut e.clone(), &mut |x| {
        found |= matches!(&x.kind, ExprKind::Var(n) if n == name);
    });
    found
}
