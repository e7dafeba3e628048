//! One eBPF instruction (`struct bpf_insn` of linux/bpf.h) and its text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instruction of eight bytes; `lddw` takes two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination register.
    pub dst: u8,
    /// Source register, or the pseudo kind of a relocated immediate.
    pub src: u8,
    /// Offset of memory accesses and jumps.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Insn {
    /// As the kernel takes it: little-endian, destination in the low nibble.
    pub fn to_bytes(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [self.code, self.dst | (self.src << 4), off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }
}

/// `BPF_LD | BPF_IMM | BPF_DW`
pub const LDDW: u8 = 0x18;
/// `BPF_JMP | BPF_CALL`
pub const CALL: u8 = 0x85;
/// `BPF_JMP | BPF_EXIT`
pub const EXIT: u8 = 0x95;

const ALU: [&str; 14] =
    ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian"];
const JMP: [&str; 14] =
    ["goto", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<="];

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, dst, src, off, imm } = *self;
        let size = match code & 0x18 {
            0x00 => "u32",
            0x08 => "u16",
            0x10 => "u8",
            _ => "u64",
        };
        let by_reg = code & 8 != 0;
        let op = usize::from(code >> 4);
        match code & 7 {
            0 if code == LDDW => write!(f, "r{dst} = {imm:#x} ll (src {src})"),
            1 => write!(f, "r{dst} = *({size} *)(r{src} {off:+})"),
            2 => write!(f, "*({size} *)(r{dst} {off:+}) = {imm}"),
            3 if code & 0xe0 == 0xc0 => write!(f, "lock *({size} *)(r{dst} {off:+}) op {imm:#x} r{src}"),
            3 => write!(f, "*({size} *)(r{dst} {off:+}) = r{src}"),
            class @ (4 | 7) => {
                let reg = if class == 4 { 'w' } else { 'r' };
                match (op, by_reg) {
                    (8, _) => write!(f, "{reg}{dst} = -{reg}{dst}"),
                    (13, _) => write!(f, "{reg}{dst} = {}{imm} {reg}{dst}", if by_reg { "be" } else { "le" }),
                    (_, true) => write!(f, "{reg}{dst} {} {reg}{src}", ALU.get(op).unwrap_or(&"?")),
                    (_, false) => write!(f, "{reg}{dst} {} {imm}", ALU.get(op).unwrap_or(&"?")),
                }
            }
            class @ (5 | 6) => {
                let reg = if class == 6 { 'w' } else { 'r' };
                match (op, by_reg) {
                    (0, _) => write!(f, "goto {off:+}"),
                    (8, _) if src == 1 => write!(f, "call pc{imm:+}"),
                    (8, _) => write!(f, "call {}", crate::helpers::name(imm)),
                    (9, _) => f.write_str("exit"),
                    (_, true) => {
                        write!(f, "if {reg}{dst} {} {reg}{src} goto {off:+}", JMP.get(op).unwrap_or(&"?"))
                    }
                    (_, false) => {
                        write!(f, "if {reg}{dst} {} {imm} goto {off:+}", JMP.get(op).unwrap_or(&"?"))
                    }
                }
            }
            _ => write!(f, "code {code:#x} r{dst} r{src} {off} {imm:#x}"),
        }
    }
}
