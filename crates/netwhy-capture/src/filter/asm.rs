//! A small assembler for classic BPF (uapi `linux/bpf_common.h`, `linux/filter.h`).

use netwhy_sys::filter::Instruction;

/// The kernel takes at most 4,096 instructions (`BPF_MAXINSNS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the filter has {instructions} instructions, the kernel takes {MAX}")]
pub struct TooLong {
    /// How many there would be.
    pub instructions: usize,
}

const MAX: usize = 4096;

/// Opcodes: `A` is the accumulator, `X` the index register, `k` the constant, `P` the packet.
pub(super) mod op {
    pub(crate) const LD_W: u16 = 0x20; // A = P[k:4]
    pub(crate) const LD_H: u16 = 0x28; // A = P[k:2]
    pub(crate) const LD_B: u16 = 0x30; // A = P[k:1]
    pub(crate) const LD_W_X: u16 = 0x40; // A = P[X+k:4]
    pub(crate) const LD_H_X: u16 = 0x48; // A = P[X+k:2]
    pub(crate) const LD_B_X: u16 = 0x50; // A = P[X+k:1]
    pub(crate) const LDX_MSH: u16 = 0xb1; // X = 4*(P[k:1]&0xf)
    pub(crate) const AND: u16 = 0x54; // A &= k
    pub(crate) const LSH: u16 = 0x64; // A <<= k
    pub(crate) const ADD_X: u16 = 0x0c; // A += X
    pub(crate) const TAX: u16 = 0x07; // X = A
    pub(crate) const JA: u16 = 0x05; // skip k
    pub(crate) const JEQ: u16 = 0x15; // A == k
    pub(crate) const JGE: u16 = 0x35; // A >= k
    pub(crate) const JSET: u16 = 0x45; // A & k
    pub(crate) const RET: u16 = 0x06; // accept k bytes
}

/// `SKF_NET_OFF`: offsets from here on count from the network header.
pub(super) const NET: u32 = -0x10_0000_i32 as u32;
/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the EtherType the kernel sees, in host order.
pub(super) const AD_PROTOCOL: u32 = -0x1000_i32 as u32;

/// A place to jump to that is not known yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label(usize);

enum Jump {
    None,
    /// Conditional: where to go if the condition has the given value; otherwise fall through.
    If(bool, Label),
    Always(Label),
}

/// Collects instructions; every jump is forward, as the kernel demands.
#[derive(Default)]
pub(super) struct Asm {
    code: Vec<(Instruction, Jump)>,
    labels: Vec<Option<usize>>,
}

impl Asm {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label means the next instruction.
    pub(super) fn bind(&mut self, label: Label) {
        let here = self.code.len();
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(here);
        }
    }

    pub(super) fn push(&mut self, code: u16, k: u32) {
        self.code.push((Instruction { code, jt: 0, jf: 0, k }, Jump::None));
    }

    /// Goes to `label` unless the accumulator satisfies `code k`.
    pub(super) fn unless(&mut self, code: u16, k: u32, label: Label) {
        self.code.push((Instruction { code, jt: 0, jf: 0, k }, Jump::If(false, label)));
    }

    /// Goes to `label` if the accumulator satisfies `code k`.
    pub(super) fn when(&mut self, code: u16, k: u32, label: Label) {
        self.code.push((Instruction { code, jt: 0, jf: 0, k }, Jump::If(true, label)));
    }

    pub(super) fn jump(&mut self, label: Label) {
        self.code.push((Instruction { code: op::JA, jt: 0, jf: 0, k: 0 }, Jump::Always(label)));
    }

    /// Resolves the jumps. Conditional jumps reach 255 instructions; the callers keep their blocks shorter and
    /// use [`Asm::jump`] for the rest, so that a longer one would be a mistake here: it ends the program's use.
    pub(super) fn finish(self) -> Result<Vec<Instruction>, TooLong> {
        let too_long = TooLong { instructions: self.code.len() };
        if self.code.len() > MAX {
            return Err(too_long);
        }
        let mut out = Vec::with_capacity(self.code.len());
        for (at, (mut instruction, jump)) in self.code.into_iter().enumerate() {
            let distance = |label: Label| {
                let target = self.labels.get(label.0).copied().flatten().ok_or(too_long)?;
                target.checked_sub(at + 1).ok_or(too_long)
            };
            match jump {
                Jump::None => {}
                Jump::Always(label) => instruction.k = distance(label)? as u32,
                Jump::If(value, label) => {
                    let short = u8::try_from(distance(label)?).map_err(|_| too_long)?;
                    if value { instruction.jt = short } else { instruction.jf = short }
                }
            }
            out.push(instruction);
        }
        Ok(out)
    }
}
