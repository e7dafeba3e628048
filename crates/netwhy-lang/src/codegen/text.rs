//! Comparing and searching strings and other memory.

use super::Gen;
use super::mem::Mem;
use crate::asm::{Label, Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::ty::{Space, Ty};

impl Gen<'_, '_> {
    /// Jumps when two values in memory are equal (or not, when `equal` is false).
    pub(super) fn compare_memory(&mut self, a: &Expr, b: &Expr, to: Label, equal: bool) -> Result<()> {
        let same = self.a.label();
        let differ = self.a.label();
        match (self.ty(a), self.ty(b)) {
            (Ty::Str(x), Ty::Str(y)) => match (&a.kind, &b.kind) {
                (_, ExprKind::Str(text)) => self.compare_literal(a, text, x, differ)?,
                (ExprKind::Str(text), _) => self.compare_literal(b, text, y, differ)?,
                _ => {
                    let (ma, mb) = (self.memory(a)?, self.memory(b)?);
                    self.compare_strings(ma, mb, x.min(y), differ);
                }
            },
            (Ty::Tuple(x), Ty::Tuple(y)) => {
                let both = crate::passes::infer::merge(&Ty::Tuple(x.clone()), &Ty::Tuple(y));
                let both = both.unwrap_or(Ty::Tuple(x));
                let size = self.size(&both);
                // Side by side in memory, both as the type that holds both: padding is cleared there.
                let (ma, mb) = (self.scratch_temp(size), self.scratch_temp(size));
                self.store(a, ma, &both)?;
                self.store(b, mb, &both)?;
                self.compare_words(ma, mb, size, differ);
            }
            (Ty::Buf(x), Ty::Buf(y)) if x != y => {
                let both = Ty::Buf(x.max(y));
                let size = self.size(&both);
                let (ma, mb) = (self.scratch_temp(size), self.scratch_temp(size));
                for (e, mem) in [(a, ma), (b, mb)] {
                    let from = self.memory(e)?;
                    let ty = self.ty(e);
                    self.copy_as(mem, &both, from, &ty);
                }
                self.compare_words(ma, mb, size, differ);
            }
            (ty, _) => {
                let size = self.size(&ty);
                let (ma, mb) = (self.memory(a)?, self.memory(b)?);
                let (ba, oa) = self.base(ma, 2);
                let (bb, ob) = self.base(mb, 3);
                for i in (0..size as i32).step_by(8) {
                    self.a.load(Width::D, 0, ba, oa + i);
                    self.a.load(Width::D, 1, bb, ob + i);
                    self.a.branch(cond::NE, 0, Src::Reg(1), differ);
                }
            }
        }
        if equal {
            self.a.jump(to);
            self.a.bind(differ);
        } else {
            self.a.jump(same);
            self.a.bind(differ);
            self.a.jump(to);
            self.a.bind(same);
        }
        Ok(())
    }

    fn compare_words(&mut self, a: Mem, b: Mem, size: u32, differ: Label) {
        let (ba, oa) = self.base(a, 2);
        let (bb, ob) = self.base(b, 3);
        for i in (0..size as i32).step_by(8) {
            self.a.load(Width::D, 0, ba, oa + i);
            self.a.load(Width::D, 1, bb, ob + i);
            self.a.branch(cond::NE, 0, Src::Reg(1), differ);
        }
    }

    /// Jumps to `differ` unless the string is this text.
    fn compare_literal(&mut self, e: &Expr, text: &str, size: u32, differ: Label) -> Result<()> {
        let mem = self.memory(e)?;
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        if bytes.len() > size.next_multiple_of(8) as usize {
            self.a.jump(differ);
            return Ok(());
        }
        self.compare_bytes(mem, &bytes, differ);
        Ok(())
    }

    /// Jumps to `differ` unless memory begins with these bytes.
    fn compare_bytes(&mut self, mem: Mem, bytes: &[u8], differ: Label) {
        let (base, off) = self.base(mem, 2);
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
            let (width, n) = match rest.len() {
                8.. => (Width::D, 8),
                4.. => (Width::W, 4),
                2.. => (Width::H, 2),
                _ => (Width::B, 1),
            };
            // Wider loads must be aligned on the stack.
            let (width, n) = if (off + at as i32) % n == 0 { (width, n) } else { (Width::B, 1) };
            let n = n as usize;
            let mut word = [0u8; 8];
            for (slot, byte) in word.iter_mut().zip(rest.iter().take(n)) {
                *slot = *byte;
            }
            self.a.load(width, 0, base, off + at as i32);
            let value = i64::from_le_bytes(word);
            match i32::try_from(value) {
                Ok(small) => self.a.branch(cond::NE, 0, Src::Imm(small), differ),
                Err(_) => {
                    self.a.imm(1, value);
                    self.a.branch(cond::NE, 0, Src::Reg(1), differ);
                }
            }
            at += n;
        }
    }

    /// Jumps to `differ` unless two strings agree up to a NUL or `most` bytes.
    fn compare_strings(&mut self, a: Mem, b: Mem, most: u32, differ: Label) {
        self.address(a, 2);
        self.address(b, 3);
        self.a.imm(4, 0);
        let (top, end) = (self.a.label(), self.a.label());
        self.a.bind(top);
        self.a.mov(1, 2);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 5, 1, 0);
        self.a.mov(1, 3);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 0, 1, 0);
        self.a.branch(cond::NE, 0, Src::Reg(5), differ);
        self.a.branch(cond::EQ, 0, Src::Imm(0), end);
        self.a.alu(alu::ADD, 4, Src::Imm(1));
        self.a.branch(cond::LT, 4, Src::Imm(most as i32), top);
        self.a.bind(end);
    }

    /// `strncmp(a, b, n)`: 0 when the first `n` bytes agree, else 1.
    pub(super) fn strncmp(&mut self, a: &Expr, b: &Expr, n: u32) -> Result<()> {
        let (differ, end) = (self.a.label(), self.a.label());
        let size = |ty: Ty| match ty {
            Ty::Str(n) => n,
            _ => 0,
        };
        let (x, y) = (size(self.ty(a)), size(self.ty(b)));
        if n > 0 {
            match (&a.kind, &b.kind) {
                (_, ExprKind::Str(text)) if text.len() >= n as usize && n <= x => {
                    let mem = self.memory(a)?;
                    self.compare_bytes(mem, text.as_bytes().get(..n as usize).unwrap_or(&[]), differ);
                }
                (ExprKind::Str(text), _) if text.len() >= n as usize && n <= y => {
                    let mem = self.memory(b)?;
                    self.compare_bytes(mem, text.as_bytes().get(..n as usize).unwrap_or(&[]), differ);
                }
                _ => {
                    let (ma, mb) = (self.memory(a)?, self.memory(b)?);
                    self.compare_strings(ma, mb, x.min(y).min(n), differ);
                }
            }
        }
        self.a.imm(0, 0);
        self.a.jump(end);
        self.a.bind(differ);
        self.a.imm(0, 1);
        self.a.bind(end);
        Ok(())
    }

    /// `strcontains(haystack, needle)`: 0 or 1.
    pub(super) fn contains(&mut self, hay: &Expr, needle: &Expr) -> Result<()> {
        let ExprKind::Str(text) = &needle.kind else {
            return Err(Diagnostic::error(needle.span, "the text to search for must be in quotes"));
        };
        let Ty::Str(size) = self.ty(hay) else {
            return Err(Diagnostic::error(hay.span, "expected a string"));
        };
        let (found, end, top, next) = (self.a.label(), self.a.label(), self.a.label(), self.a.label());
        if text.is_empty() {
            self.a.imm(0, 1);
            return Ok(());
        }
        let Some(last) = size.checked_sub(text.len() as u32) else {
            self.a.imm(0, 0);
            return Ok(());
        };
        let mem = self.memory(hay)?;
        self.address(mem, 2);
        self.a.imm(4, 0);
        self.a.bind(top);
        self.a.mov(1, 2);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        for (i, byte) in text.bytes().enumerate() {
            self.a.load(Width::B, 0, 1, i as i32);
            self.a.branch(cond::NE, 0, Src::Imm(i32::from(byte)), next);
        }
        self.a.jump(found);
        self.a.bind(next);
        self.a.alu(alu::ADD, 4, Src::Imm(1));
        self.a.branch(cond::LE, 4, Src::Imm(last as i32), top);
        self.a.imm(0, 0);
        self.a.jump(end);
        self.a.bind(found);
        self.a.imm(0, 1);
        self.a.bind(end);
        self.launder();
        Ok(())
    }

    /// `strlen(s)`
    pub(super) fn strlen(&mut self, e: &Expr) -> Result<()> {
        let (mem, size) = match self.ty(e) {
            Ty::Str(size) => (self.memory(e)?, size),
            Ty::Ptr(_, space) => {
                let size = self.s.world.strlen + 1;
                let mem = self.temp(size);
                self.scalar(e)?;
                let space = if space == Space::User { space } else { Space::Kernel };
                self.read_str(mem, size, None, space);
                (mem, size)
            }
            _ => return Err(Diagnostic::error(e.span, "expected a string")),
        };
        self.address(mem, 2);
        self.a.imm(4, 0);
        let (top, end) = (self.a.label(), self.a.label());
        self.a.bind(top);
        self.a.mov(1, 2);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 0, 1, 0);
        self.a.branch(cond::EQ, 0, Src::Imm(0), end);
        self.a.alu(alu::ADD, 4, Src::Imm(1));
        self.a.branch(cond::LT, 4, Src::Imm(size as i32), top);
        self.a.bind(end);
        self.a.mov(0, 4);
        // Each round gave another constant; out of memory it is one number to the verifier.
        self.launder();
        Ok(())
    }

    /// `memcmp(a, b, n)`: the difference of the first bytes that differ, or 0.
    pub(super) fn memcmp(&mut self, a: &Expr, b: &Expr, n: u32) -> Result<()> {
        let most = n.min(self.size(&self.ty(a))).min(self.size(&self.ty(b)));
        let (ma, mb) = (self.memory(a)?, self.memory(b)?);
        let end = self.a.label();
        self.a.imm(0, 0);
        if most == 0 {
            return Ok(());
        }
        self.address(ma, 2);
        self.address(mb, 3);
        self.a.imm(4, 0);
        let top = self.a.label();
        self.a.bind(top);
        self.a.mov(1, 2);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 0, 1, 0);
        self.a.mov(1, 3);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 5, 1, 0);
        self.a.alu(alu::SUB, 0, Src::Reg(5));
        self.a.branch(cond::NE, 0, Src::Imm(0), end);
        self.a.alu(alu::ADD, 4, Src::Imm(1));
        self.a.branch(cond::LT, 4, Src::Imm(most as i32), top);
        self.a.bind(end);
        self.launder();
        Ok(())
    }

    /// `str_concat(a, b)`
    pub(super) fn concat(&mut self, a: &Expr, b: &Expr, mem: Mem, size: u32) -> Result<()> {
        let size_of = |ty: Ty| match ty {
            Ty::Str(n) => n,
            _ => 0,
        };
        let (x, y) = (size_of(self.ty(a)).min(size), size_of(self.ty(b)).min(size));
        // Room for both whole, so that the second one never needs a bound that the verifier could not follow.
        let both = self.scratch_temp(2 * size.next_multiple_of(8).max(8));
        let (ma, mb) = (self.memory(a)?, self.memory(b)?);
        let second = self.scratch_temp(y.next_multiple_of(8));
        self.copy(second, mb, y);
        self.zero(both, size * 2);
        self.address(both, 1);
        self.a.imm(2, i64::from(x));
        self.address(ma, 3);
        self.a.call(helpers::READ_KERNEL_STR);
        // The length counts the NUL; it is an error number when nothing could be read.
        let (some, fits) = (self.a.label(), self.a.label());
        self.a.branch(cond::SGT, 0, Src::Imm(0), some);
        self.a.imm(0, 1);
        self.a.bind(some);
        self.a.alu(alu::SUB, 0, Src::Imm(1));
        self.a.branch(cond::LT, 0, Src::Imm(x.max(1) as i32), fits);
        self.a.imm(0, 0);
        self.a.bind(fits);
        self.address(both, 1);
        self.a.alu(alu::ADD, 1, Src::Reg(0));
        self.a.imm(2, i64::from(y));
        self.address(second, 3);
        self.a.call(helpers::READ_KERNEL_STR);
        self.copy(mem, both, size);
        let (base, off) = self.base(mem, 1);
        self.a.store_imm(Width::B, base, off + size as i32 - 1, 0);
        Ok(())
    }

    /// `strstr(haystack, needle)`: where the needle begins, or -2 as in bpftrace.
    pub(super) fn strstr(&mut self, hay: &Expr, needle: &Expr) -> Result<()> {
        let (Ty::Str(hs), Ty::Str(ns)) = (self.ty(hay), self.ty(needle)) else {
            return Err(Diagnostic::error(hay.span, "expected strings"));
        };
        if !self.s.features.bpf_loop {
            return Err(Diagnostic::error(
                needle.span,
                "before Linux 5.17 the text to search for must be in quotes",
            ));
        }
        // The search runs as a callback, which sees the scratch memory only: both texts go there.
        let state = self.scratch_temp(24);
        let (mh, mn) = (self.memory(hay)?, self.memory(needle)?);
        let (h, n) = (self.scratch_temp(hs.next_multiple_of(8)), self.scratch_temp(ns.next_multiple_of(8)));
        self.copy(h, mh, hs);
        self.copy(n, mn, ns);
        let (base, off) = self.base(state, 1);
        self.a.store_imm(Width::D, base, off, 0);
        self.a.store_imm(Width::D, base, off + 8, 0);
        self.a.store_imm(Width::D, base, off + 16, -2);
        let rounds = (i64::from(hs) * i64::from(ns) + 1).min(1 << 20);
        self.a.imm(1, rounds);
        self.search(state.off, h.off, hs, n.off, ns);
        self.a.call(helpers::LOOP);
        let (base, off) = self.base(state, 1);
        self.a.load(Width::D, 0, base, off + 16);
        Ok(())
    }

    /// One step of a search: `state` holds where the needle is tried, how much of it agreed, and the result.
    pub(super) fn search_step(&mut self, s: &super::Search) {
        let (go_on, found, stop) = (self.a.label(), self.a.label(), self.a.label());
        self.a.load(Width::D, 5, 9, super::SCRATCH);
        self.a.load(Width::D, 3, 5, s.state);
        self.a.load(Width::D, 4, 5, s.state + 8);
        self.a.branch(cond::GE, 4, Src::Imm(s.needle_size as i32), found);
        self.a.mov(1, 5);
        self.a.alu(alu::ADD, 1, Src::Reg(4));
        self.a.load(Width::B, 0, 1, s.needle);
        self.a.branch(cond::EQ, 0, Src::Imm(0), found);
        self.a.mov(2, 3);
        self.a.alu(alu::ADD, 2, Src::Reg(4));
        self.a.branch(cond::GE, 2, Src::Imm(s.hay_size as i32), stop);
        self.a.mov(1, 5);
        self.a.alu(alu::ADD, 1, Src::Reg(2));
        self.a.load(Width::B, 1, 1, s.hay);
        self.a.branch(cond::EQ, 1, Src::Imm(0), stop);
        let differ = self.a.label();
        self.a.branch(cond::NE, 0, Src::Reg(1), differ);
        self.a.alu(alu::ADD, 4, Src::Imm(1));
        self.a.jump(go_on);
        self.a.bind(differ);
        self.a.imm(4, 0);
        self.a.alu(alu::ADD, 3, Src::Imm(1));
        self.a.bind(go_on);
        self.a.store(Width::D, 5, s.state, 3);
        self.a.store(Width::D, 5, s.state + 8, 4);
        self.finish(0);
        self.a.bind(found);
        self.a.store(Width::D, 5, s.state + 16, 3);
        self.a.bind(stop);
        self.finish(1);
    }
}
