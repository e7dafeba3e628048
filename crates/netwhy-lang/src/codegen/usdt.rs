//! Arguments of statically defined probes: `4@%edi`, `-8@16(%rsp)`, `1@$5`, `4@[sp, 12]`; size in bytes, negative
//! when signed, then the operand as the assembler writes it.

use super::{CTX, Gen};
use crate::asm::{Src, Width, alu};
use crate::ast::Expr;
use crate::diag::{Diagnostic, Result};
use crate::features::Arch;
use crate::helpers;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Constant(i64),
    Register(String),
    Memory { base: String, index: Option<(String, u32)>, offset: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    size: u32,
    signed: bool,
    operand: Operand,
}

/// How many arguments there are, and for each whether it is signed and its bytes.
pub(crate) fn signatures(args: &str) -> Vec<(bool, u32)> {
    words(args).iter().map(|word| head(word).map_or((false, 8), |(signed, size, _)| (signed, size))).collect()
}

/// Blanks inside of brackets do not separate.
fn words(args: &str) -> Vec<String> {
    let (mut all, mut one, mut depth) = (Vec::new(), String::new(), 0_u32);
    for c in args.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => {
                all.push(std::mem::take(&mut one));
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    all.push(one);
    all.retain(|word| !word.is_empty());
    all
}

fn head(word: &str) -> Option<(bool, u32, &str)> {
    let (size, operand) = word.split_once('@')?;
    // A trailing `f` marks floating point: the bits are given.
    let size: i32 = size.trim_end_matches('f').parse().ok()?;
    let bytes = size.unsigned_abs();
    matches!(bytes, 1 | 2 | 4 | 8).then_some((size < 0, bytes, operand))
}

fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => digits.parse::<u64>().ok()? as i64,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

fn parse(word: &str, arch: Arch) -> Option<Argument> {
    let (signed, size, text) = head(word)?;
    let operand = match arch {
        Arch::X86_64 => x86(text)?,
        Arch::Aarch64 => aarch64(text)?,
    };
    Some(Argument { size, signed, operand })
}

fn x86(text: &str) -> Option<Operand> {
    if let Some(constant) = text.strip_prefix('$') {
        return number(constant).map(Operand::Constant);
    }
    if let Some(register) = text.strip_prefix('%') {
        return Some(Operand::Register(register.to_owned()));
    }
    let (offset, inside) = text.split_once('(')?;
    let offset = if offset.is_empty() { 0 } else { number(offset)? };
    let mut parts = inside.strip_suffix(')')?.split(',').map(str::trim);
    let base = parts.next()?.strip_prefix('%')?.to_owned();
    let index = match parts.next() {
        Some(index) => {
            let scale = parts.next().map_or(Some(1), |scale| scale.parse().ok())?;
            Some((index.strip_prefix('%')?.to_owned(), scale))
        }
        None => None,
    };
    Some(Operand::Memory { base, index, offset })
}

fn aarch64(text: &str) -> Option<Operand> {
    if let Some(inside) = text.strip_prefix('[') {
        let mut parts = inside.strip_suffix(']')?.split(',').map(str::trim);
        let base = parts.next()?.to_owned();
        return Some(match parts.next() {
            None => Operand::Memory { base, index: None, offset: 0 },
            Some(second) => match number(second.trim_start_matches('#')) {
                Some(offset) => Operand::Memory { base, index: None, offset },
                None => {
                    let shift = parts.next().and_then(|p| p.strip_prefix("lsl")).map(str::trim);
                    let shift =
                        shift.and_then(|n| n.trim_start_matches('#').parse::<u32>().ok()).unwrap_or(0);
                    Operand::Memory { base, index: Some((second.to_owned(), 1 << shift.min(3))), offset: 0 }
                }
            },
        });
    }
    Some(match number(text.trim_start_matches('#')) {
        Some(constant) => Operand::Constant(constant),
        None => Operand::Register(text.to_owned()),
    })
}

/// The whole register a name is part of, and how many bits to shift right for the part.
fn whole(arch: Arch, name: &str) -> Option<(u32, u32)> {
    let of = |name: &str| super::regs::offset(arch, name);
    match arch {
        Arch::Aarch64 => {
            let wide = name.strip_prefix(['x', 'w']).map_or_else(|| name.to_owned(), |n| format!("r{n}"));
            of(&wide).map(|at| (at, 0))
        }
        Arch::X86_64 => {
            if let Some(at) = of(name) {
                return Some((at, 0));
            }
            // ah, bh, ch, dh: the second byte.
            if let Some(letter) = name.strip_suffix('h').filter(|n| n.len() == 1) {
                return of(&format!("{letter}x")).map(|at| (at, 8));
            }
            let plain = match name {
                "al" | "bl" | "cl" | "dl" => format!("{}x", name.trim_end_matches('l')),
                "sil" | "dil" | "bpl" | "spl" => name.trim_end_matches('l').to_owned(),
                n if n.starts_with('e') => n.trim_start_matches('e').to_owned(),
                // r8d, r8w, r8b.
                n => n.trim_end_matches(['d', 'w', 'b']).to_owned(),
            };
            of(&plain).map(|at| (at, 0))
        }
    }
}

impl Gen<'_, '_> {
    /// `r0 =` argument `n` of a probe whose arguments are described by `args`.
    pub(super) fn usdt_argument(&mut self, args: &str, n: usize, e: &Expr) -> Result<()> {
        let arch = self.s.features.arch;
        let strange = |what: &str| {
            Diagnostic::error(e.span, format!("arg{n} of this probe is at `{what}`, which is not understood"))
        };
        let all = words(args);
        let word = all.get(n).ok_or_else(|| Diagnostic::error(e.span, "no such argument"))?;
        let argument = parse(word, arch).ok_or_else(|| strange(word))?;
        match &argument.operand {
            Operand::Constant(value) => {
                self.a.imm(0, *value);
                self.extend(argument.size, argument.signed);
            }
            Operand::Register(name) => {
                let (at, shift) = whole(arch, name).ok_or_else(|| strange(word))?;
                self.a.load(Width::D, 0, self.frame, CTX);
                self.a.load(Width::D, 0, 0, at as i32);
                if shift > 0 {
                    self.a.alu(alu::RSH, 0, Src::Imm(shift as i32));
                }
                self.extend(argument.size, argument.signed);
            }
            Operand::Memory { base, index, offset } => {
                let (at, _) = whole(arch, base).ok_or_else(|| strange(word))?;
                self.a.load(Width::D, 1, self.frame, CTX);
                self.a.load(Width::D, 3, 1, at as i32);
                if let Some((index, scale)) = index {
                    let (at, _) = whole(arch, index).ok_or_else(|| strange(word))?;
                    self.a.load(Width::D, 1, 1, at as i32);
                    self.a.alu(alu::MUL, 1, Src::Imm(*scale as i32));
                    self.a.alu(alu::ADD, 3, Src::Reg(1));
                }
                let offset = i32::try_from(*offset).map_err(|_| strange(word))?;
                if offset != 0 {
                    self.a.alu(alu::ADD, 3, Src::Imm(offset));
                }
                let mem = self.temp_stack(8);
                self.a.store_imm(Width::D, 10, mem, 0);
                self.a.mov(1, 10);
                self.a.alu(alu::ADD, 1, Src::Imm(mem));
                self.a.imm(2, i64::from(argument.size));
                self.a.call(helpers::READ_USER);
                self.a.load(Width::D, 0, 10, mem);
                self.extend(argument.size, argument.signed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_of_both_processors() {
        let of = |word: &str| parse(word, Arch::X86_64).unwrap();
        assert_eq!(of("-4@$-5").operand, Operand::Constant(-5));
        assert_eq!(of("1@%dil").operand, Operand::Register("dil".into()));
        let memory = |base: &str, index, offset| Operand::Memory { base: base.into(), index, offset };
        assert_eq!(of("8@-16(%rbp)").operand, memory("rbp", None, -16));
        assert_eq!(of("8@(%rax,%rbx,4)").operand, memory("rax", Some(("rbx".into(), 4)), 0));
        let arm = |word: &str| parse(word, Arch::Aarch64).unwrap().operand;
        assert_eq!(arm("4@[sp, 12]"), memory("sp", None, 12));
        assert_eq!(arm("8@x3"), Operand::Register("x3".into()));
        assert_eq!(arm("-4@7"), Operand::Constant(7));
        assert_eq!(words("4@[sp, 12] -8@x0"), ["4@[sp, 12]", "-8@x0"]);
        assert_eq!(signatures("-4@%eax 8@%rbx"), [(true, 4), (false, 8)]);
        assert_eq!(parse("8@foo(%rip)", Arch::X86_64), None);
    }

    #[test]
    fn parts_of_registers_are_found_in_the_whole() {
        let of = |name| whole(Arch::X86_64, name).map(|(at, shift)| (at / 8, shift));
        for (name, at) in
            [("eax", 10), ("al", 10), ("ax", 10), ("rax", 10), ("r8d", 9), ("r10b", 7), ("dil", 14)]
        {
            assert_eq!(of(name), Some((at, 0)), "{name}");
        }
        assert_eq!(of("ah"), Some((10, 8)));
        assert_eq!(of("xmm0"), None);
    }
}
