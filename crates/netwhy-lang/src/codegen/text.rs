//! Comparing and searching strings and other memory.

use super::Gen;
use super::mem::Mem;
use crate::asm::{Label, Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::passes::ty::Ty;

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
        Ok(())
    }

    /// `strlen(s)`
    pub(super) fn strlen(&mut self, e: &Expr) -> Result<()> {
        let Ty::Str(size) = self.ty(e) else { return Err(Diagnostic::error(e.span, "expected a string")) };
        let mem = self.memory(e)?;
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
        Ok(())
    }
}
