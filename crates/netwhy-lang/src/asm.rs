//! Assembles instructions with labels; also the way to write a program in Rust without the language.

use crate::insn::{CALL, EXIT, Insn, LDDW};
use crate::program::{LineMark, Reloc, RelocTarget};

/// A place to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(u32);

/// Width of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    B,
    /// 2 bytes.
    H,
    /// 4 bytes.
    W,
    /// 8 bytes.
    D,
}

impl Width {
    /// The access of so many bytes.
    pub fn of(bytes: u32) -> Option<Self> {
        Some(match bytes {
            1 => Self::B,
            2 => Self::H,
            4 => Self::W,
            8 => Self::D,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::W => 0x00,
            Self::H => 0x08,
            Self::B => 0x10,
            Self::D => 0x18,
        }
    }
}

/// Operations with two operands (high bits of the code).
#[allow(missing_docs)]
pub mod alu {
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
}

/// Conditions of jumps (high bits of the code).
#[allow(missing_docs)]
pub mod cond {
    pub const EQ: u8 = 0x10;
    pub const GT: u8 = 0x20;
    pub const GE: u8 = 0x30;
    pub const SET: u8 = 0x40;
    pub const NE: u8 = 0x50;
    pub const SGT: u8 = 0x60;
    pub const SGE: u8 = 0x70;
    pub const LT: u8 = 0xa0;
    pub const LE: u8 = 0xb0;
    pub const SLT: u8 = 0xc0;
    pub const SLE: u8 = 0xd0;
}

/// A register or a constant as second operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Src {
    /// Register.
    Reg(u8),
    /// Constant.
    Imm(i32),
}

/// A program being written.
#[derive(Debug, Default)]
pub struct Asm {
    insns: Vec<Insn>,
    labels: Vec<Option<u32>>,
    jumps: Vec<(u32, Label)>,
    functions: Vec<(u32, Label)>,
    relocs: Vec<Reloc>,
    lines: Vec<LineMark>,
}

/// What [`Asm::finish`] gives.
#[derive(Debug, Default)]
pub struct Assembled {
    /// Instructions, jumps resolved.
    pub insns: Vec<Insn>,
    /// What the loader fills in.
    pub relocs: Vec<Reloc>,
    /// Places in the script.
    pub lines: Vec<LineMark>,
    labels: Vec<Option<u32>>,
}

impl Asm {
    /// How many instructions there are.
    pub fn at(&self) -> u32 {
        self.insns.len() as u32
    }

    fn push(&mut self, code: u8, dst: u8, src: u8, off: i32, imm: i32) {
        let off = off.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        self.insns.push(Insn { code, dst, src, off, imm });
    }

    /// A label to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Places a label here.
    pub fn bind(&mut self, label: Label) {
        let at = self.at();
        if let Some(slot) = self.labels.get_mut(label.0 as usize) {
            *slot = Some(at);
        }
    }

    /// Where a label is.
    pub fn place(&self, label: Label) -> Option<u32> {
        self.labels.get(label.0 as usize).copied().flatten()
    }

    /// What follows comes from this place of the script.
    pub fn line(&mut self, start: u32, end: u32) {
        let insn = self.at();
        if let Some(last) = self.lines.last_mut()
            && last.insn == insn
        {
            *last = LineMark { insn, start, end };
            return;
        }
        self.lines.push(LineMark { insn, start, end });
    }

    /// `dst = *(width *)(src + off)`
    pub fn load(&mut self, width: Width, dst: u8, src: u8, off: i32) {
        self.push(0x61 | width.bits(), dst, src, off, 0);
    }

    /// `*(width *)(dst + off) = src`
    pub fn store(&mut self, width: Width, dst: u8, off: i32, src: u8) {
        self.push(0x63 | width.bits(), dst, src, off, 0);
    }

    /// `*(width *)(dst + off) = imm`
    pub fn store_imm(&mut self, width: Width, dst: u8, off: i32, imm: i32) {
        self.push(0x62 | width.bits(), dst, 0, off, imm);
    }

    /// `lock *(u64 *)(dst + off) += src`
    pub fn atomic_add(&mut self, dst: u8, off: i32, src: u8) {
        self.push(0xdb, dst, src, off, 0);
    }

    /// `dst op= src` on 64 bits.
    pub fn alu(&mut self, op: u8, dst: u8, src: Src) {
        match src {
            Src::Reg(src) => self.push(0x0f | op, dst, src, 0, 0),
            Src::Imm(imm) => self.push(0x07 | op, dst, 0, 0, imm),
        }
    }

    /// `dst = src`
    pub fn mov(&mut self, dst: u8, src: u8) {
        if dst != src {
            self.alu(alu::MOV, dst, Src::Reg(src));
        }
    }

    /// `dst = dst`, the upper half cleared.
    pub fn zext32(&mut self, dst: u8) {
        self.push(0xbc, dst, dst, 0, 0);
    }

    /// `dst = imm`
    pub fn imm(&mut self, dst: u8, value: i64) {
        match i32::try_from(value) {
            Ok(small) => self.alu(alu::MOV, dst, Src::Imm(small)),
            Err(_) => {
                self.push(LDDW, dst, 0, 0, value as i32);
                self.push(0, 0, 0, 0, (value >> 32) as i32);
            }
        }
    }

    /// `dst = be(dst)`, of 16, 32 or 64 bits.
    pub fn swap(&mut self, dst: u8, bits: i32) {
        self.push(0xdc, dst, 0, 0, bits);
    }

    /// `dst = map`
    pub fn map(&mut self, dst: u8, map: u32) {
        self.reloc(RelocTarget::Map(map));
        self.push(LDDW, dst, 1, 0, 0);
        self.push(0, 0, 0, 0, 0);
    }

    /// `dst = address of a map's value`
    pub fn map_value(&mut self, dst: u8, map: u32, offset: u32) {
        self.reloc(RelocTarget::MapValue(map, offset));
        self.push(LDDW, dst, 2, 0, 0);
        self.push(0, 0, 0, 0, offset as i32);
    }

    /// `dst = address of a function of this program`
    pub fn function(&mut self, dst: u8, label: Label, index: u32) {
        self.functions.push((self.at(), label));
        self.reloc(RelocTarget::Subprogram(index));
        self.push(LDDW, dst, 4, 0, 0);
        self.push(0, 0, 0, 0, 0);
    }

    fn reloc(&mut self, target: RelocTarget) {
        let insn = self.at();
        self.relocs.push(Reloc { insn, target });
    }

    /// Jumps always.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.at(), to));
        self.push(0x05, 0, 0, 0, 0);
    }

    /// Jumps when `dst condition src`, on 64 bits.
    pub fn branch(&mut self, condition: u8, dst: u8, src: Src, to: Label) {
        self.jumps.push((self.at(), to));
        match src {
            Src::Reg(src) => self.push(0x0d | condition, dst, src, 0, 0),
            Src::Imm(imm) => self.push(0x05 | condition, dst, 0, 0, imm),
        }
    }

    /// Calls a helper.
    pub fn call(&mut self, helper: i32) {
        self.push(CALL, 0, 0, 0, helper);
    }

    /// Returns from the function.
    pub fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// Which instructions can be reached; the verifier refuses programs with others.
    fn reachable(&self) -> Option<Vec<bool>> {
        let mut seen = vec![false; self.insns.len()];
        let target = |list: &[(u32, Label)], at: usize| -> Option<Option<u32>> {
            match list.binary_search_by_key(&(at as u32), |(i, _)| *i) {
                Ok(i) => list.get(i).map(|(_, label)| self.place(*label)),
                Err(_) => None,
            }
        };
        let mut todo = vec![0usize];
        while let Some(at) = todo.pop() {
            let slot = seen.get_mut(at)?;
            if std::mem::replace(slot, true) {
                continue;
            }
            let insn = self.insns.get(at)?;
            if let Some(to) = target(&self.jumps, at).or_else(|| target(&self.functions, at)) {
                todo.push(to? as usize);
            }
            match insn.code {
                EXIT | 0x05 => {}
                LDDW => {
                    *seen.get_mut(at + 1)? = true;
                    todo.push(at + 2);
                }
                _ => todo.push(at + 1),
            }
        }
        Some(seen)
    }

    /// Resolves labels and drops what cannot be reached or only jumps to what follows; `None` when a jump does not
    /// reach or a label was never placed.
    pub fn finish(self) -> Option<Assembled> {
        let mut keep = self.reachable()?;
        for (at, label) in &self.jumps {
            let target = self.place(*label)? as usize;
            let at = *at as usize;
            let between = keep.get(at + 1..target).is_some_and(|s| s.iter().all(|k| !k));
            if self.insns.get(at)?.code == 0x05 && target > at && between {
                *keep.get_mut(at)? = false;
            }
        }
        // Where each instruction goes; one more for labels at the end.
        let mut place = Vec::with_capacity(keep.len() + 1);
        let mut next = 0u32;
        for kept in &keep {
            place.push(next);
            next += u32::from(*kept);
        }
        place.push(next);
        let kept = |at: u32| keep.get(at as usize).copied().unwrap_or(false);
        let moved = |at: u32| place.get(at as usize).copied();
        let mut insns: Vec<Insn> =
            self.insns.iter().zip(&keep).filter(|(_, k)| **k).map(|(i, _)| *i).collect();
        for (at, label) in self.jumps.iter().filter(|(at, _)| kept(*at)) {
            let (from, to) = (moved(*at)?, moved(self.place(*label)?)?);
            insns.get_mut(from as usize)?.off = i16::try_from(i64::from(to) - i64::from(from) - 1).ok()?;
        }
        for (at, label) in self.functions.iter().filter(|(at, _)| kept(*at)) {
            let (from, to) = (moved(*at)?, moved(self.place(*label)?)?);
            insns.get_mut(from as usize)?.imm = i32::try_from(i64::from(to) - i64::from(from) - 1).ok()?;
        }
        let relocs = self.relocs.iter().filter(|r| kept(r.insn));
        let relocs = relocs.map(|r| Some(Reloc { insn: moved(r.insn)?, ..*r })).collect::<Option<_>>()?;
        let mut lines: Vec<LineMark> = Vec::new();
        for mark in &self.lines {
            let mark = LineMark { insn: moved(mark.insn)?, ..*mark };
            match lines.last_mut() {
                Some(last) if last.insn == mark.insn => *last = mark,
                _ => lines.push(mark),
            }
        }
        let labels = self.labels.iter().map(|l| l.and_then(moved)).collect();
        Some(Assembled { insns, relocs, lines, labels })
    }
}

impl Assembled {
    /// Where a label came to be.
    pub fn place(&self, label: Label) -> Option<u32> {
        self.labels.get(label.0 as usize).copied().flatten()
    }
}
