//! Places in kernel and user memory: addresses, loads, bit-fields.

use super::{CTX, Gen};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind, UnOp};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::infer::{Context, folded};
use crate::passes::ty::{C, Space, Ty};
use crate::program::Attach;
use crate::types::{Location, RecordField};

impl Gen<'_, '_> {
    /// `r0 = base`; gives back a constant offset and how to read there.
    pub(super) fn place(&mut self, e: &Expr) -> Result<(i32, Space)> {
        match &e.kind {
            ExprKind::Field(inner, name) => {
                let (c, mut space, mut off) = match self.raw_ty(inner) {
                    Ty::Args => return self.argument_place(name, e),
                    Ty::Ptr(c, space) => {
                        self.scalar(inner)?;
                        (c, space, 0)
                    }
                    Ty::Place(c, _) => {
                        let (off, space) = self.place(inner)?;
                        (c, space, off)
                    }
                    _ => return Err(Diagnostic::error(e.span, "this has no fields")),
                };
                let C::Struct(s) = self.s.world.look(&c) else {
                    return Err(Diagnostic::error(e.span, "this is no structure"));
                };
                let Some(found) = self.s.world.field(s, name) else {
                    return Err(Diagnostic::error(e.span, format!("no field `{name}`")));
                };
                if space == Space::Btf && !found.direct {
                    space = Space::Kernel;
                }
                off = add(off, found.bit_offset / 8, e)?;
                Ok((off, space))
            }
            ExprKind::Index(inner, index) => {
                let (c, mut space, off) = match self.raw_ty(inner) {
                    Ty::Ptr(c, space) => {
                        self.scalar(inner)?;
                        (c, if space == Space::Btf { Space::Kernel } else { space }, 0)
                    }
                    Ty::Place(C::Array(elem, _), _) => {
                        let (off, space) = self.place(inner)?;
                        (*elem, space, off)
                    }
                    Ty::Str(_) => {
                        let mem = self.memory(inner)?;
                        self.address(mem, 0);
                        (C::Int { size: 1, signed: true, char_like: true }, Space::Kernel, 0)
                    }
                    _ => return Err(Diagnostic::error(e.span, "this has no elements")),
                };
                let size = self.s.world.size(&c).max(1);
                if let Some(n) = folded(index) {
                    let bytes = n.checked_mul(i64::from(size)).and_then(|b| i32::try_from(b).ok());
                    let off =
                        bytes.and_then(|b| off.checked_add(b)).filter(|o| (-(1 << 15)..1 << 28).contains(o));
                    return match off {
                        Some(off) => Ok((off, space)),
                        None => Err(Diagnostic::error(index.span, "this index is out of reach")),
                    };
                }
                if matches!(space, Space::Btf | Space::Ctx) {
                    space = Space::Kernel;
                }
                let mark = self.mark();
                let base = self.keep();
                self.scalar(index)?;
                self.a.alu(alu::MUL, 0, Src::Imm(size as i32));
                self.a.mov(1, 0);
                self.kept(base, 0);
                self.a.alu(alu::ADD, 0, Src::Reg(1));
                self.release(mark);
                Ok((off, space))
            }
            ExprKind::Unary(UnOp::Deref, inner) => match self.raw_ty(inner) {
                Ty::Ptr(_, space) => {
                    self.scalar(inner)?;
                    Ok((0, if space == Space::Btf { Space::Kernel } else { space }))
                }
                _ => Err(Diagnostic::error(e.span, "this is no pointer")),
            },
            ExprKind::Block(block, value) => {
                self.block_of_expr(block)?;
                self.place(value)
            }
            _ if self.in_memory(e) => {
                let mem = self.memory(e)?;
                self.address(mem, 0);
                Ok((0, Space::Kernel))
            }
            _ => Err(Diagnostic::error(
                e.span,
                "structures and arrays as values can only be stored or printed",
            )
            .hint("keep a pointer to it instead")),
        }
    }

    fn context(&mut self) {
        self.a.load(Width::D, 0, self.frame, CTX);
    }

    fn record_field(&self, name: &str) -> Option<RecordField> {
        match &self.t.context {
            Context::Record(fields, _) => fields.iter().find(|f| f.name == name).cloned(),
            _ => None,
        }
    }

    fn argument_place(&mut self, name: &str, e: &Expr) -> Result<(i32, Space)> {
        if let Some(field) = self.record_field(name) {
            self.context();
            return Ok((add(0, field.offset, e)?, Space::Ctx));
        }
        if let Context::Params(signature) = &self.t.context
            && let Some(i) = signature.params.iter().position(|p| p.name == name)
        {
            self.context();
            return Ok((i as i32 * 8, Space::Ctx));
        }
        Err(Diagnostic::error(e.span, format!("no argument `{name}`")))
    }

    /// Loads what is at a place: `r0 = value`.
    pub(super) fn load_place(&mut self, e: &Expr) -> Result<()> {
        // Arguments of functions are 64-bit words whatever their type.
        if let (ExprKind::Field(inner, name), Context::Params(signature)) = (&e.kind, &self.t.context)
            && self.raw_ty(inner) == Ty::Args
        {
            let c = signature.params.iter().find(|p| p.name == *name).map(|p| C::Lazy(p.ty));
            let (off, _) = self.argument_place(name, e)?;
            self.a.load(Width::D, 0, 0, off);
            if let Some(c) = c {
                self.narrow(&c);
            }
            return Ok(());
        }
        let bits = match &e.kind {
            ExprKind::Field(inner, name) => match self.raw_ty(inner) {
                Ty::Ptr(c, _) | Ty::Place(c, _) => match self.s.world.look(&c) {
                    C::Struct(s) => self.s.world.field(s, name).filter(|f| f.bit_size > 0),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let (size, signed) = match self.raw_ty(e) {
            Ty::Int { size, signed } => (u32::from(size), signed),
            Ty::Enum(id) => match self.s.world.look(&C::Lazy(id)) {
                C::Enum(_, size, signed) => (u32::from(size), signed),
                _ => (4, false),
            },
            Ty::Bool => (1, false),
            _ => (8, false),
        };
        let (off, space) = self.place(e)?;
        if let Some(found) = bits {
            // The place counts whole bytes; the field begins some bits in.
            let shift = found.bit_offset % 8;
            let bytes = (shift + found.bit_size).div_ceil(8).min(8);
            let mem = self.temp_stack(8);
            self.a.mov(3, 0);
            self.a.store_imm(Width::D, 10, mem, 0);
            self.read_small(mem, bytes, off, if space == Space::User { space } else { Space::Kernel });
            self.a.load(Width::D, 0, 10, mem);
            let left = 64i32.saturating_sub((shift + found.bit_size) as i32).max(0);
            self.a.alu(alu::LSH, 0, Src::Imm(left));
            let right = 64 - found.bit_size.min(64) as i32;
            // Unsigned whatever they are declared as, like in bpftrace.
            self.a.alu(alu::RSH, 0, Src::Imm(right));
            return Ok(());
        }
        let Some(width) = Width::of(size) else {
            return Err(Diagnostic::error(e.span, "this is not a number"));
        };
        let short = i16::try_from(off).is_ok();
        match space {
            Space::Ctx if short => {
                self.a.load(width, 0, 0, off);
                // An iterator's object may be missing, and nothing can be reckoned from a pointer that may be null: 0
                // is written again, a plain number.
                if matches!(self.raw_ty(e), Ty::Ptr(_, Space::Btf)) {
                    let some = self.a.label();
                    self.a.branch(cond::NE, 0, Src::Imm(0), some);
                    self.a.imm(0, 0);
                    self.a.bind(some);
                }
            }
            Space::Btf if short => {
                // The verifier keeps the pointer's type where it is compared with 0, so 0 is written again.
                let (some, end) = (self.a.label(), self.a.label());
                self.a.branch(cond::NE, 0, Src::Imm(0), some);
                self.a.imm(0, 0);
                self.a.jump(end);
                self.a.bind(some);
                self.a.load(width, 0, 0, off);
                self.a.bind(end);
            }
            _ => {
                let mem = self.temp_stack(8);
                self.a.mov(3, 0);
                self.read_small(mem, size, off, if space == Space::User { space } else { Space::Kernel });
                self.a.load(width, 0, 10, mem);
            }
        }
        if signed {
            self.extend(size, true);
        }
        Ok(())
    }

    /// Reads a few bytes from `r3 + off` to the stack.
    pub(super) fn read_small(&mut self, mem: i32, bytes: u32, off: i32, space: Space) {
        if off != 0 {
            self.a.alu(alu::ADD, 3, Src::Imm(off));
        }
        self.a.mov(1, 10);
        self.a.alu(alu::ADD, 1, Src::Imm(mem));
        self.a.imm(2, i64::from(bytes));
        self.a.call(if space == Space::User { helpers::READ_USER } else { helpers::READ_KERNEL });
    }

    /// Cuts a 64-bit word to its C type.
    fn narrow(&mut self, c: &C) {
        if let C::Int { size, signed, .. } | C::Enum(_, size, signed) = self.s.world.look(c) {
            self.extend(u32::from(size), signed);
        }
    }

    /// `arg0` and on, `retval`.
    pub(super) fn argument(&mut self, n: Option<usize>, e: &Expr) -> Result<()> {
        let arch = self.s.features.arch;
        if let (Some(Attach::Usdt { args, .. }), Some(n)) = (self.t.unit.attach.first(), n) {
            let args = args.clone();
            return self.usdt_argument(&args, n, e);
        }
        self.context();
        match self.t.unit.attach.first() {
            Some(
                Attach::Kprobe { .. }
                | Attach::Uprobe { .. }
                | Attach::Kretprobe { .. }
                | Attach::Uretprobe { .. },
            ) => {
                let off = match n {
                    Some(n) => super::regs::argument(arch, n),
                    None => Some(super::regs::returned(arch)),
                };
                let Some(off) = off else { return Err(Diagnostic::error(e.span, "no such argument")) };
                self.a.load(Width::D, 0, 0, off as i32);
            }
            _ => {
                let (index, c) = match (&self.t.context, n) {
                    (Context::Params(s), Some(n)) => (n, s.params.get(n).map(|p| C::Lazy(p.ty))),
                    (Context::Params(s), None) => (s.params.len(), s.ret.map(C::Lazy)),
                    (_, n) => (n.unwrap_or(0), None),
                };
                self.a.load(Width::D, 0, 0, index as i32 * 8);
                if let Some(c) = c {
                    self.narrow(&c);
                }
            }
        }
        Ok(())
    }

    /// `reg("name")`
    pub(super) fn register(&mut self, name: &str, e: &Expr) -> Result<()> {
        let Some(off) = super::regs::offset(self.s.features.arch, name) else {
            return Err(Diagnostic::error(e.span, "no such register"));
        };
        self.context();
        self.a.load(Width::D, 0, 0, off as i32);
        Ok(())
    }

    /// `r0 = address`, `r1 = length` of a record's variable field.
    fn located(&mut self, field: &RecordField) {
        self.context();
        self.a.load(Width::W, 1, 0, field.offset as i32);
        self.a.mov(2, 1);
        self.a.alu(alu::AND, 2, Src::Imm(0xffff));
        self.a.alu(alu::RSH, 1, Src::Imm(16));
        self.a.alu(alu::ADD, 0, Src::Reg(2));
        if field.location == Location::RelLoc {
            self.a.alu(alu::ADD, 0, Src::Imm(field.offset as i32 + 4));
        }
    }

    /// A `__data_loc` string of a record.
    pub(super) fn store_record_text(&mut self, name: &str, mem: super::Mem, size: u32) -> Result<()> {
        let Some(field) = self.record_field(name) else {
            return Err(Diagnostic::error(self.span, format!("no field `{name}`")));
        };
        self.located(&field);
        self.read_str(mem, size, None, Space::Kernel);
        Ok(())
    }

    /// A `__data_loc` buffer of a record.
    pub(super) fn store_record_bytes(&mut self, name: &str, mem: super::Mem, size: u32) -> Result<()> {
        let Some(field) = self.record_field(name) else {
            return Err(Diagnostic::error(self.span, format!("no field `{name}`")));
        };
        self.located(&field);
        let mark = self.mark();
        let from = self.keep();
        self.a.mov(0, 1);
        let len = self.keep();
        self.buffer(mem, size, from, len, Space::Kernel);
        self.release(mark);
        Ok(())
    }

    /// Length and bytes: at most `size - 4` of them.
    pub(super) fn buffer(
        &mut self,
        mem: super::Mem,
        size: u32,
        from: super::Kept,
        len: super::Kept,
        space: Space,
    ) {
        self.zero(mem, size);
        let most = size.saturating_sub(4);
        self.kept(len, 0);
        let fits = self.a.label();
        self.a.branch(cond::LE, 0, Src::Imm(most as i32), fits);
        self.a.imm(0, i64::from(most));
        self.a.bind(fits);
        let (base, off) = self.base(mem, 1);
        self.a.store(Width::W, base, off, 0);
        self.a.mov(2, 0);
        self.address(mem.plus(4), 1);
        self.kept(from, 3);
        self.a.call(if space == Space::User { helpers::READ_USER } else { helpers::READ_KERNEL });
    }
}

fn add(off: i32, bytes: u32, e: &Expr) -> Result<i32> {
    i32::try_from(bytes)
        .ok()
        .and_then(|b| off.checked_add(b))
        .ok_or_else(|| Diagnostic::error(e.span, "this offset is out of reach"))
}
