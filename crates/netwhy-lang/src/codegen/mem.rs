//! Values in memory: where they are, how they get there.

use super::{Gen, Kept, Place};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::infer::folded;
use crate::passes::ty::{C, Space, Ty};

/// A place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mem {
    pub(crate) base: Base,
    pub(crate) off: i32,
}

/// From where a place counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// This function's stack.
    Stack,
    /// The pointer in a slot of the frame in this register.
    Through(u8, i32),
}

impl Mem {
    pub(crate) fn stack(off: i32) -> Self {
        Self { base: Base::Stack, off }
    }

    pub(crate) fn plus(self, bytes: u32) -> Self {
        Self { off: self.off + bytes as i32, ..self }
    }
}

impl Gen<'_, '_> {
    /// A register that points at the memory's base, and the offset to use with it. Clobbers `reg` only.
    pub(crate) fn base(&mut self, mem: Mem, reg: u8) -> (u8, i32) {
        match mem.base {
            Base::Stack => (10, mem.off),
            Base::Through(frame, slot) => {
                self.a.load(Width::D, reg, frame, slot);
                (reg, mem.off)
            }
        }
    }

    /// `reg = address`
    pub(crate) fn address(&mut self, mem: Mem, reg: u8) {
        let (base, off) = self.base(mem, reg);
        self.a.mov(reg, base);
        if off != 0 {
            self.a.alu(alu::ADD, reg, Src::Imm(off));
        }
    }

    /// Stores `r0`; clobbers `r1`.
    pub(crate) fn put(&mut self, mem: Mem) {
        let (base, off) = self.base(mem, 1);
        self.a.store(Width::D, base, off, 0);
    }

    /// Clears memory; clobbers `r0` to `r5` when it is large.
    pub(crate) fn zero(&mut self, mem: Mem, bytes: u32) {
        let bytes = bytes.next_multiple_of(8);
        if bytes > 128 {
            // Reading from address 0 fails, and a failed read clears the destination.
            self.address(mem, 1);
            self.a.imm(2, i64::from(bytes));
            self.a.imm(3, 0);
            self.a.call(helpers::READ_KERNEL);
            return;
        }
        let (base, off) = self.base(mem, 1);
        for i in (0..bytes).step_by(8) {
            self.a.store_imm(Width::D, base, off + i as i32, 0);
        }
    }

    /// Copies memory, 8 bytes at a time; clobbers `r0` to `r5`.
    pub(crate) fn copy(&mut self, to: Mem, from: Mem, bytes: u32) {
        let bytes = bytes.next_multiple_of(8);
        if bytes > 64 {
            self.address(to, 1);
            self.a.imm(2, i64::from(bytes));
            self.address(from, 3);
            self.a.call(helpers::READ_KERNEL);
            return;
        }
        let (dst, d) = self.base(to, 1);
        let (src, s) = self.base(from, 2);
        for i in (0..bytes as i32).step_by(8) {
            self.a.load(Width::D, 0, src, s + i);
            self.a.store(Width::D, dst, d + i, 0);
        }
    }

    /// A string of the source written to memory, zero after it.
    pub(crate) fn literal(&mut self, text: &str, mem: Mem, size: u32) {
        let mut bytes: Vec<u8> = text.bytes().take(size.saturating_sub(1) as usize).collect();
        let words = (bytes.len() as u32 + 1).next_multiple_of(8).min(size.next_multiple_of(8));
        let size = size.next_multiple_of(8);
        if size > words && size - words > 128 {
            self.zero(mem, size);
        }
        bytes.resize(words as usize, 0);
        let (base, off) = self.base(mem, 1);
        for (i, chunk) in bytes.chunks_exact(8).enumerate() {
            let value = i64::from_le_bytes(chunk.try_into().unwrap_or_default());
            let at = off + i as i32 * 8;
            match i32::try_from(value) {
                Ok(small) => self.a.store_imm(Width::D, base, at, small),
                Err(_) => {
                    self.a.imm(0, value);
                    self.a.store(Width::D, base, at, 0);
                }
            }
        }
        if size > words && size - words <= 128 {
            for at in (words..size).step_by(8) {
                self.a.store_imm(Width::D, base, off + at as i32, 0);
            }
        }
    }

    /// Reads a C string at the address in `r0` into memory that is cleared first.
    pub(crate) fn read_str(&mut self, mem: Mem, size: u32, max: Option<Kept>, space: Space) {
        let mark = self.mark();
        let from = self.keep();
        if self.loose.take() != Some(mem) {
            self.zero(mem, size);
        }
        self.address(mem, 1);
        match max {
            Some(max) => {
                self.kept(max, 2);
                let fits = self.a.label();
                let positive = self.a.label();
                self.a.branch(cond::LT, 2, Src::Imm(size as i32), fits);
                self.a.imm(2, i64::from(size));
                self.a.bind(fits);
                self.a.branch(cond::NE, 2, Src::Imm(0), positive);
                self.a.imm(2, 1);
                self.a.bind(positive);
            }
            None => self.a.imm(2, i64::from(size)),
        }
        self.kept(from, 3);
        self.a.call(if space == Space::User { helpers::READ_USER_STR } else { helpers::READ_KERNEL_STR });
        self.release(mark);
    }

    /// The value of an expression written to memory as `ty`.
    pub(crate) fn store(&mut self, e: &Expr, mem: Mem, ty: &Ty) -> Result<()> {
        let mark = self.mark();
        self.store_value(e, mem, ty)?;
        self.release(mark);
        Ok(())
    }

    fn store_value(&mut self, e: &Expr, mem: Mem, ty: &Ty) -> Result<()> {
        if ty.scalar() || *ty == Ty::Unknown {
            self.scalar(e)?;
            self.put(mem);
            return Ok(());
        }
        let size = self.size(ty);
        match (&e.kind, ty) {
            (ExprKind::Comptime(inner), _) => return self.store(inner, mem, ty),
            (ExprKind::Ternary(cond, yes, no), _) if self.decided(cond).is_some() => {
                return self.store(if self.decided(cond) == Some(true) { yes } else { no }, mem, ty);
            }
            (ExprKind::Ternary(cond, yes, no), _) => {
                let (other, end) = (self.a.label(), self.a.label());
                self.branch(cond, other, false)?;
                self.store(yes, mem, ty)?;
                self.a.jump(end);
                self.a.bind(other);
                self.store(no, mem, ty)?;
                self.a.bind(end);
                return Ok(());
            }
            (ExprKind::Block(block, value), _) => {
                self.block_of_expr(block)?;
                return self.store(value, mem, ty);
            }
            (ExprKind::Tuple(list), Ty::Tuple(parts)) => {
                let mut at = 0;
                for (e, (_, ty)) in list.iter().zip(parts) {
                    self.store(e, mem.plus(at), ty)?;
                    at += self.size(ty);
                }
                return Ok(());
            }
            (ExprKind::Record(list), Ty::Tuple(parts)) => {
                // Evaluated in the order written, stored in the order of the type.
                for (name, e) in list {
                    let at: u32 =
                        parts.iter().take_while(|(n, _)| n != name).map(|(_, t)| self.size(t)).sum();
                    if let Some((_, ty)) = parts.iter().find(|(n, _)| n == name) {
                        self.store(e, mem.plus(at), ty)?;
                    }
                }
                return Ok(());
            }
            (ExprKind::Str(text), Ty::Str(size)) => {
                self.literal(text, mem, *size);
                return Ok(());
            }
            (ExprKind::Ident(name), _) => return self.store_builtin(name, mem, ty, e),
            (ExprKind::Call(name, args), _) => return self.store_call(name, args, mem, ty, e),
            (ExprKind::Map { name, key }, _) => return self.map_read_into(name, key.as_deref(), mem, ty),
            (ExprKind::Cast(_, inner), Ty::Str(_)) => return self.store(inner, mem, ty),
            // A number's bytes as an array.
            (ExprKind::Cast(_, inner), Ty::Place(C::Array(..), _)) if self.ty(inner).scalar() => {
                self.scalar(inner)?;
                let kept = self.keep();
                self.zero(mem, size);
                self.kept(kept, 0);
                self.put(mem);
                return Ok(());
            }
            _ => {}
        }
        match self.raw_ty(e) {
            Ty::Place(c, _) if self.in_memory(e) => {
                let source = self.memory(e)?;
                match ty {
                    Ty::Str(n) => self.copy_as(mem, ty, source, &Ty::Str(self.s.world.size(&c).min(*n))),
                    _ => self.copy(mem, source, size),
                }
                Ok(())
            }
            Ty::Place(c, _) => {
                let (off, space) = self.place(e)?;
                if off != 0 {
                    self.a.alu(alu::ADD, 0, Src::Imm(off));
                }
                if let Ty::Str(size) = ty {
                    let most = match &c {
                        C::Array(_, 16) => (*size).min(16),
                        C::Array(_, n) => (n + 1).min(*size),
                        _ => *size,
                    };
                    let from = self.keep();
                    self.zero(mem, *size);
                    self.address(mem, 1);
                    self.a.imm(2, i64::from(most));
                    self.kept(from, 3);
                    self.a.call(if space == Space::User {
                        helpers::READ_USER_STR
                    } else {
                        helpers::READ_KERNEL_STR
                    });
                    return Ok(());
                }
                let exact = self.s.world.size(&c);
                self.read_bytes(mem, exact, size, space);
                Ok(())
            }
            from => {
                if let (Ty::Str(n), ExprKind::Field(inner, name), Ty::Args) =
                    (ty, &e.kind, self.field_base(e))
                {
                    let _ = inner;
                    return self.store_record_text(name, mem, *n);
                }
                if let (ExprKind::Field(inner, name), Ty::Buf(_), Ty::Args) =
                    (&e.kind, ty, self.field_base(e))
                {
                    let _ = inner;
                    return self.store_record_bytes(name, mem, size);
                }
                let source = self.memory(e)?;
                self.copy_as(mem, ty, source, &from);
                Ok(())
            }
        }
    }

    fn field_base(&self, e: &Expr) -> Ty {
        match &e.kind {
            ExprKind::Field(inner, _) => self.raw_ty(inner),
            _ => Ty::None,
        }
    }

    /// Reads `exact` bytes from the address in `r0` into `size` bytes of memory, padding cleared.
    pub(crate) fn read_bytes(&mut self, mem: Mem, exact: u32, size: u32, space: Space) {
        let from = self.keep();
        if exact < size {
            self.zero(mem, size);
        }
        self.address(mem, 1);
        self.a.imm(2, i64::from(exact));
        self.kept(from, 3);
        self.a.call(if space == Space::User { helpers::READ_USER } else { helpers::READ_KERNEL });
    }

    /// Copies a value of one type to a place of another that holds it (strings may be longer there).
    pub(crate) fn copy_as(&mut self, to: Mem, ty: &Ty, from: Mem, from_ty: &Ty) {
        match (ty, from_ty) {
            (Ty::Tuple(a), Ty::Tuple(b)) if a != b => {
                let mut x = 0;
                for (i, (name, to_ty)) in a.iter().enumerate() {
                    let found = b.iter().position(|(n, _)| !n.is_empty() && n == name).unwrap_or(i);
                    let y: u32 = b.iter().take(found).map(|(_, t)| self.size(t)).sum();
                    if let Some((_, from_ty)) = b.get(found) {
                        self.copy_as(to.plus(x), to_ty, from.plus(y), from_ty);
                    }
                    x += self.size(to_ty);
                }
            }
            _ => {
                let (size, have) = (self.size(ty), self.size(from_ty));
                if have < size {
                    self.zero(to, size);
                }
                self.copy(to, from, size.min(have));
            }
        }
    }

    /// Whether an expression's value is in this program's memory already, or is made there.
    pub(crate) fn in_memory(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Var(_) | ExprKind::Map { .. } | ExprKind::Nth(..) | ExprKind::Call(..) => true,
            ExprKind::Cast(..) | ExprKind::Ternary(..) => true,
            ExprKind::Field(inner, _) | ExprKind::Index(inner, _) => {
                matches!(self.raw_ty(inner), Ty::Tuple(_))
            }
            ExprKind::Block(_, value) | ExprKind::Comptime(value) => self.in_memory(value),
            _ => false,
        }
    }

    /// Where the value of an expression is; made in a temporary when it is nowhere yet.
    pub(crate) fn memory(&mut self, e: &Expr) -> Result<Mem> {
        match &e.kind {
            ExprKind::Var(name) => match self.places.get(name).copied() {
                Some(Place::Scratch(at)) => {
                    self.scratch_used = true;
                    Ok(Mem { base: Base::Through(self.frame, super::SCRATCH), off: at as i32 })
                }
                Some(Place::Slot(off)) => {
                    let mem = self.temp(8);
                    self.a.load(Width::D, 0, self.frame, off);
                    self.put(mem);
                    Ok(mem)
                }
                Some(Place::Pair(key, value)) => {
                    // A pair as a whole: key and value side by side.
                    let Ty::Tuple(parts) = self.raw_ty(e) else {
                        return Err(Diagnostic::error(e.span, "this has no value"));
                    };
                    let [(_, k), (_, v)] = &parts[..] else {
                        return Err(Diagnostic::error(e.span, "this has no value"));
                    };
                    let (ks, vs) = (self.size(k), self.size(v));
                    let mem = self.temp(ks + vs);
                    let frame = self.frame;
                    self.copy(mem, Mem { base: Base::Through(frame, key), off: 0 }, ks);
                    self.copy(mem.plus(ks), Mem { base: Base::Through(frame, value), off: 0 }, vs);
                    Ok(mem)
                }
                None => Err(Diagnostic::error(e.span, "this variable has no place")),
            },
            ExprKind::Nth(inner, n) => {
                if let ExprKind::Var(name) = &inner.kind
                    && let Some(Place::Pair(key, value)) = self.places.get(name).copied()
                {
                    return Ok(Mem {
                        base: Base::Through(self.frame, if *n == 0 { key } else { value }),
                        off: 0,
                    });
                }
                let Ty::Tuple(parts) = self.raw_ty(inner) else {
                    return Err(Diagnostic::error(e.span, "this has no parts"));
                };
                let at: u32 = parts.iter().take(*n as usize).map(|(_, t)| self.size(t)).sum();
                Ok(self.memory(inner)?.plus(at))
            }
            ExprKind::Index(inner, index) if matches!(self.raw_ty(inner), Ty::Tuple(_)) => {
                let Ty::Tuple(parts) = self.raw_ty(inner) else {
                    return Err(Diagnostic::error(e.span, "this has no parts"));
                };
                let n = folded(index).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                let at: u32 = parts.iter().take(n).map(|(_, t)| self.size(t)).sum();
                Ok(self.memory(inner)?.plus(at))
            }
            ExprKind::Field(inner, name) if matches!(self.raw_ty(inner), Ty::Tuple(_)) => {
                let Ty::Tuple(parts) = self.raw_ty(inner) else {
                    return Err(Diagnostic::error(e.span, "this has no fields"));
                };
                let at: u32 = parts.iter().take_while(|(n, _)| n != name).map(|(_, t)| self.size(t)).sum();
                Ok(self.memory(inner)?.plus(at))
            }
            ExprKind::Block(block, value) => {
                self.block_of_expr(block)?;
                self.memory(value)
            }
            _ => {
                let ty = self.ty(e);
                let size = self.size(&ty);
                let mem = self.temp(size);
                self.store(e, mem, &ty)?;
                Ok(mem)
            }
        }
    }
}
