//! Values that fit a register: computed in `r0`.

use super::{Gen, Place};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{BinOp, Expr, ExprKind, UnOp};
use crate::diag::{Diagnostic, Result};
use crate::passes::infer::{both_signed, constant};
use crate::passes::ty::{C, Space, Ty};

impl Gen<'_, '_> {
    /// An expression for what it does.
    pub(super) fn effect(&mut self, e: &Expr) -> Result<()> {
        match &e.kind {
            ExprKind::Call(name, args) if self.raw_ty(e) == Ty::None => self.command(name, args, e),
            ExprKind::Ternary(cond, yes, no) if self.raw_ty(e) == Ty::None => {
                if let Some(holds) = self.decided(cond) {
                    return self.effect(if holds { yes } else { no });
                }
                let (other, end) = (self.a.label(), self.a.label());
                self.branch(cond, other, false)?;
                self.effect(yes)?;
                self.a.jump(end);
                self.a.bind(other);
                self.effect(no)?;
                self.a.bind(end);
                Ok(())
            }
            ExprKind::Block(block, value) => {
                self.block_of_expr(block)?;
                self.effect(value)
            }
            ExprKind::Tuple(list) if list.is_empty() => Ok(()),
            _ if self.ty(e).scalar() => self.scalar(e),
            _ => self.memory(e).map(drop),
        }
    }

    /// Loads a value that needs no computing; says whether it was one.
    fn leaf(&mut self, e: &Expr, reg: u8) -> bool {
        match &e.kind {
            ExprKind::Int(n) => {
                self.a.imm(reg, *n as i64);
                true
            }
            ExprKind::Var(name) => match self.places.get(name).copied() {
                Some(Place::Slot(off)) => {
                    self.a.load(Width::D, reg, self.frame, off);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// `r0 = value`
    pub(super) fn scalar(&mut self, e: &Expr) -> Result<()> {
        let mark = self.mark();
        self.scalar_value(e)?;
        self.release(mark);
        Ok(())
    }

    fn scalar_value(&mut self, e: &Expr) -> Result<()> {
        if self.leaf(e, 0) {
            return Ok(());
        }
        match &e.kind {
            ExprKind::Ident(name) => self.builtin(name, e),
            ExprKind::Map { name, key } => self.map_read(name, key.as_deref(), e),
            ExprKind::Unary(UnOp::Not, _) => self.truth(e),
            ExprKind::Unary(op @ (UnOp::Neg | UnOp::Inv), inner) => {
                self.number(inner)?;
                match op {
                    UnOp::Neg => self.a.alu(alu::NEG, 0, Src::Imm(0)),
                    _ => {
                        self.a.alu(alu::XOR, 0, Src::Imm(-1));
                        if let Ty::Int { size, signed } = self.raw_ty(e) {
                            self.extend(u32::from(size), signed);
                        }
                    }
                }
                Ok(())
            }
            ExprKind::Index(inner, _) if matches!(self.raw_ty(inner), Ty::Tuple(_)) => self.reload(e),
            ExprKind::Unary(UnOp::Deref, _) | ExprKind::Index(..) => self.load_place(e),
            ExprKind::Unary(UnOp::Addr, inner) => {
                let (off, _) = self.place(inner)?;
                if off != 0 {
                    self.a.alu(alu::ADD, 0, Src::Imm(off));
                }
                Ok(())
            }
            ExprKind::Field(inner, _) => match self.raw_ty(inner) {
                Ty::Tuple(_) => self.reload(e),
                _ => self.load_place(e),
            },
            ExprKind::Nth(..) | ExprKind::Var(_) => self.reload(e),
            ExprKind::Binary(op, a, b) => {
                if op.compares() || matches!(op, BinOp::LAnd | BinOp::LOr) {
                    return self.truth(e);
                }
                self.number(a)?;
                self.apply(*op, a, b, false)
            }
            ExprKind::Ternary(cond, yes, no) => {
                if let Some(holds) = self.decided(cond) {
                    return self.scalar(if holds { yes } else { no });
                }
                let (other, end) = (self.a.label(), self.a.label());
                self.branch(cond, other, false)?;
                self.scalar(yes)?;
                self.a.jump(end);
                self.a.bind(other);
                self.scalar(no)?;
                self.a.bind(end);
                Ok(())
            }
            ExprKind::Cast(_, inner) if matches!(self.raw_ty(inner), Ty::Place(C::Array(..), _)) => {
                let Ty::Place(c, _) = self.raw_ty(inner) else { return Ok(()) };
                let bytes = self.s.world.size(&c);
                let (off, space) = self.place(inner)?;
                let to = self.temp_stack(8);
                self.a.mov(3, 0);
                self.a.store_imm(Width::D, 10, to, 0);
                self.read_small(to, bytes.min(8), off, space);
                self.a.load(Width::D, 0, 10, to);
                if let Ty::Int { size, signed } = self.raw_ty(e) {
                    self.extend(u32::from(size), signed);
                }
                Ok(())
            }
            ExprKind::Cast(_, inner) if self.raw_ty(e) == Ty::Bool => self.truth(inner),
            ExprKind::Cast(_, inner) => {
                self.scalar(inner)?;
                if let Ty::Int { size, signed } = self.raw_ty(e) {
                    if let Ty::Ptr(_, Space::Btf) = self.raw_ty(inner) {
                        self.launder();
                    }
                    self.extend(u32::from(size), signed);
                }
                Ok(())
            }
            ExprKind::Step { before, by, target } => match &target.kind {
                ExprKind::Map { name, key } => {
                    let by = by * self.stride(&self.raw_ty(target));
                    self.map_step(name, key.as_deref(), by, *before, target)
                }
                ExprKind::Var(name) => {
                    let Some(Place::Slot(off)) = self.places.get(name).copied() else {
                        return Err(Diagnostic::error(target.span, "this variable holds no number"));
                    };
                    let by = by * self.stride(&self.raw_ty(target));
                    self.a.load(Width::D, 0, self.frame, off);
                    self.a.mov(1, 0);
                    self.a.alu(alu::ADD, 1, Src::Imm(by as i32));
                    self.a.store(Width::D, self.frame, off, 1);
                    if *before {
                        self.a.mov(0, 1);
                    }
                    Ok(())
                }
                _ => Err(Diagnostic::error(target.span, "only variables and maps can be stepped")),
            },
            ExprKind::SizeofType(ty) => {
                let c = self.s.world.named(ty)?;
                self.a.imm(0, i64::from(self.s.world.size(&c)));
                Ok(())
            }
            ExprKind::Offsetof(ty, path) => {
                let mut c = self.s.world.named(ty)?;
                let mut bits = 0u32;
                for name in path {
                    let C::Struct(s) = self.s.world.look(&c) else {
                        return Err(Diagnostic::error(e.span, "this is no structure"));
                    };
                    let Some(found) = self.s.world.field(s, name) else {
                        return Err(Diagnostic::error(e.span, format!("no field `{name}`")));
                    };
                    bits = bits.saturating_add(found.bit_offset);
                    c = found.c;
                }
                self.a.imm(0, i64::from(bits / 8));
                Ok(())
            }
            ExprKind::Call(name, args) => self.scalar_call(name, args, e),
            ExprKind::Block(block, value) => {
                self.block_of_expr(block)?;
                self.scalar(value)
            }
            ExprKind::Int(_) => Ok(()),
            ExprKind::Comptime(inner) => self.scalar(inner),
            ExprKind::Str(_)
            | ExprKind::Tuple(_)
            | ExprKind::Record(_)
            | ExprKind::Param(_)
            | ExprKind::ParamCount => Err(Diagnostic::error(e.span, "this is not a number")),
        }
    }

    /// How far one step of a value goes: pointers step by what they point to.
    fn stride(&self, ty: &Ty) -> i64 {
        match ty {
            Ty::Ptr(c, _) => i64::from(self.s.world.size(c).max(1)),
            _ => 1,
        }
    }

    /// `r0 = value`, a plain number even when the verifier knows it as a pointer.
    fn number(&mut self, e: &Expr) -> Result<()> {
        self.scalar(e)?;
        if let Ty::Ptr(_, Space::Btf) = self.raw_ty(e) {
            self.launder();
        }
        Ok(())
    }

    /// The verifier forgets that `r0` is a pointer when it comes back out of a map.
    pub(super) fn launder(&mut self) {
        let mark = self.mark();
        let mem = self.scratch_temp(8);
        let (base, off) = self.base(mem, 1);
        self.a.store(Width::D, base, off, 0);
        self.a.load(Width::D, 0, base, off);
        self.release(mark);
    }

    pub(super) fn reload(&mut self, e: &Expr) -> Result<()> {
        let mem = self.memory(e)?;
        let (base, off) = self.base(mem, 1);
        self.a.load(Width::D, 0, base, off);
        Ok(())
    }

    /// Extends `r0` from so many bytes.
    pub(super) fn extend(&mut self, bytes: u32, signed: bool) {
        let shift = 64 - (bytes * 8) as i32;
        match (bytes, signed) {
            (8.., _) | (0, _) => {}
            (1, false) => self.a.alu(alu::AND, 0, Src::Imm(0xff)),
            (2, false) => self.a.alu(alu::AND, 0, Src::Imm(0xffff)),
            (4, false) => self.a.zext32(0),
            (_, signed) => {
                self.a.alu(alu::LSH, 0, Src::Imm(shift));
                self.a.alu(if signed { alu::ARSH } else { alu::RSH }, 0, Src::Imm(shift));
            }
        }
    }

    /// 0 or 1.
    fn truth(&mut self, e: &Expr) -> Result<()> {
        let (no, end) = (self.a.label(), self.a.label());
        self.branch(e, no, false)?;
        self.a.imm(0, 1);
        self.a.jump(end);
        self.a.bind(no);
        self.a.imm(0, 0);
        self.a.bind(end);
        Ok(())
    }

    /// Computes both sides: the left one in `r0`, the right one as given back (`r1` or a constant).
    fn sides(&mut self, a: &Expr, b: &Expr, numbers: bool) -> Result<Src> {
        if numbers {
            self.number(a)?
        } else {
            self.scalar(a)?
        };
        self.right(b, numbers)
    }

    /// Computes the right side while `r0` keeps the left one.
    fn right(&mut self, b: &Expr, numbers: bool) -> Result<Src> {
        if let Some(small) = constant(b).and_then(|n| i32::try_from(n).ok()) {
            return Ok(Src::Imm(small));
        }
        if !matches!(self.raw_ty(b), Ty::Ptr(_, Space::Btf)) && self.leaf(b, 1) {
            return Ok(Src::Reg(1));
        }
        let mark = self.mark();
        let left = self.keep();
        if numbers {
            self.number(b)?
        } else {
            self.scalar(b)?
        };
        self.a.mov(1, 0);
        self.kept(left, 0);
        self.release(mark);
        Ok(Src::Reg(1))
    }

    /// `r0 = r0 op b`; `plain` when the left side is the target of a compound assignment.
    pub(super) fn apply(&mut self, op: BinOp, a: &Expr, b: &Expr, plain: bool) -> Result<()> {
        let right = self.right(b, true)?;
        let (ta, tb) = (self.raw_ty(a), self.raw_ty(b));
        let signed = match op {
            BinOp::Shr => ta.signed(),
            _ if plain => ta.fits_signed() && (constant(b).is_some() || tb.fits_signed()),
            _ => both_signed(a, &ta, b, &tb),
        };
        // Pointers step by what they point to.
        if matches!(op, BinOp::Add | BinOp::Sub) {
            let scale = |g: &Self, ty: &Ty| match ty {
                Ty::Ptr(c, _) => g.s.world.size(c).max(1),
                _ => 1,
            };
            let (sa, sb) = (scale(self, &ta), scale(self, &tb));
            let both = matches!((&ta, &tb), (Ty::Ptr(..), Ty::Ptr(..)));
            if !both && sa > 1 {
                match right {
                    Src::Imm(n) => {
                        let n = i64::from(n).wrapping_mul(i64::from(sa));
                        self.a.imm(1, n);
                    }
                    Src::Reg(r) => self.a.alu(alu::MUL, r, Src::Imm(sa as i32)),
                }
                self.a.alu(if op == BinOp::Add { alu::ADD } else { alu::SUB }, 0, Src::Reg(1));
                return Ok(());
            }
            if !both && sb > 1 {
                self.a.alu(alu::MUL, 0, Src::Imm(sb as i32));
            }
        }
        let code = match op {
            BinOp::Add => alu::ADD,
            BinOp::Sub => alu::SUB,
            BinOp::Mul => alu::MUL,
            BinOp::And => alu::AND,
            BinOp::Or => alu::OR,
            BinOp::Xor => alu::XOR,
            BinOp::Shl | BinOp::Shr => {
                let code = match (op, signed) {
                    (BinOp::Shl, _) => alu::LSH,
                    (_, true) => alu::ARSH,
                    _ => alu::RSH,
                };
                let by = match right {
                    Src::Imm(n) => Src::Imm(n & 63),
                    reg @ Src::Reg(r) => {
                        self.a.alu(alu::AND, r, Src::Imm(63));
                        reg
                    }
                };
                self.a.alu(code, 0, by);
                return Ok(());
            }
            BinOp::Div | BinOp::Mod => {
                self.divide(op, right, signed);
                return Ok(());
            }
            _ => return Err(Diagnostic::error(a.span, "this operator gives no number")),
        };
        self.a.alu(code, 0, right);
        Ok(())
    }

    /// Division and remainder; by zero both give 1, as in bpftrace.
    pub(super) fn divide(&mut self, op: BinOp, right: Src, signed: bool) {
        let code = if op == BinOp::Div { alu::DIV } else { alu::MOD };
        if let (Src::Imm(n), false) = (right, signed)
            && n > 0
        {
            self.a.alu(code, 0, Src::Imm(n));
            return;
        }
        if let Src::Imm(n) = right {
            self.a.imm(1, i64::from(n));
        }
        let (some, end) = (self.a.label(), self.a.label());
        self.a.branch(cond::NE, 1, Src::Imm(0), some);
        self.a.imm(0, 1);
        self.a.jump(end);
        self.a.bind(some);
        if !signed {
            self.a.alu(code, 0, Src::Reg(1));
            self.a.bind(end);
            return;
        }
        // Signed division came with CPU v4: divide magnitudes, then set the sign (r2: whether to negate).
        let (a_ok, b_ok, done) = (self.a.label(), self.a.label(), self.a.label());
        self.a.imm(2, 0);
        self.a.branch(cond::SGE, 0, Src::Imm(0), a_ok);
        self.a.alu(alu::NEG, 0, Src::Imm(0));
        self.a.imm(2, 1);
        self.a.bind(a_ok);
        self.a.branch(cond::SGE, 1, Src::Imm(0), b_ok);
        self.a.alu(alu::NEG, 1, Src::Imm(0));
        if op == BinOp::Div {
            self.a.alu(alu::XOR, 2, Src::Imm(1));
        }
        self.a.bind(b_ok);
        self.a.alu(code, 0, Src::Reg(1));
        self.a.branch(cond::EQ, 2, Src::Imm(0), done);
        self.a.alu(alu::NEG, 0, Src::Imm(0));
        self.a.bind(done);
        self.a.bind(end);
    }

    /// Jumps when the truth of an expression is `when`.
    pub(super) fn branch(&mut self, e: &Expr, to: crate::asm::Label, when: bool) -> Result<()> {
        let mark = self.mark();
        self.branch_value(e, to, when)?;
        self.release(mark);
        Ok(())
    }

    fn branch_value(&mut self, e: &Expr, to: crate::asm::Label, when: bool) -> Result<()> {
        match &e.kind {
            ExprKind::Unary(UnOp::Not, inner) => return self.branch(inner, to, !when),
            ExprKind::Comptime(inner) => {
                match self.decided(e) {
                    Some(holds) if holds == when => self.a.jump(to),
                    Some(_) => {}
                    None => return self.branch(inner, to, when),
                }
                return Ok(());
            }
            ExprKind::Binary(op @ (BinOp::LAnd | BinOp::LOr), a, b) => {
                let shortcut = *op == BinOp::LOr;
                if shortcut == when {
                    self.branch(a, to, when)?;
                    return self.branch(b, to, when);
                }
                let skip = self.a.label();
                self.branch(a, skip, !when)?;
                self.branch(b, to, when)?;
                self.a.bind(skip);
                return Ok(());
            }
            ExprKind::Binary(op, a, b) if op.compares() => {
                let (ta, tb) = (self.ty(a), self.ty(b));
                if !ta.scalar() || !tb.scalar() {
                    return self.compare_memory(a, b, to, (*op == BinOp::Eq) == when);
                }
                let equality = matches!(op, BinOp::Eq | BinOp::Ne);
                let right = self.sides(a, b, !equality)?;
                let signed = both_signed(a, &self.raw_ty(a), b, &self.raw_ty(b));
                let condition = match (op, when, signed) {
                    (BinOp::Eq, true, _) | (BinOp::Ne, false, _) => cond::EQ,
                    (BinOp::Ne, true, _) | (BinOp::Eq, false, _) => cond::NE,
                    (BinOp::Lt, true, true) | (BinOp::Ge, false, true) => cond::SLT,
                    (BinOp::Lt, true, false) | (BinOp::Ge, false, false) => cond::LT,
                    (BinOp::Le, true, true) | (BinOp::Gt, false, true) => cond::SLE,
                    (BinOp::Le, true, false) | (BinOp::Gt, false, false) => cond::LE,
                    (BinOp::Gt, true, true) | (BinOp::Le, false, true) => cond::SGT,
                    (BinOp::Gt, true, false) | (BinOp::Le, false, false) => cond::GT,
                    (_, _, true) => cond::SGE,
                    _ => cond::GE,
                };
                self.a.branch(condition, 0, right, to);
                return Ok(());
            }
            _ => {}
        }
        match self.ty(e) {
            Ty::Str(_) => {
                // A string is true when it is not empty.
                let mem = self.memory(e)?;
                let (base, off) = self.base(mem, 1);
                self.a.load(Width::B, 0, base, off);
            }
            _ => self.scalar(e)?,
        }
        self.a.branch(if when { cond::NE } else { cond::EQ }, 0, Src::Imm(0), to);
        Ok(())
    }
}
