//! What the kernel does with a classic BPF program, as far as these programs go.

use super::Instruction;
use super::asm::{AD_PROTOCOL, NET};

/// A packet as a socket filter sees it.
pub(super) struct View<'a> {
    /// From the network header on.
    pub(super) network: &'a [u8],
    /// `skb->protocol`.
    pub(super) protocol: u16,
}

/// Runs a program; how many bytes it accepts. Reading past the end rejects, as in the kernel.
pub(super) fn run(program: &[Instruction], packet: &View<'_>) -> u32 {
    execute(program, packet).unwrap_or(0)
}

fn execute(program: &[Instruction], packet: &View<'_>) -> Option<u32> {
    let (mut a, mut x, mut pc) = (0_u32, 0_u32, 0_usize);
    let load = |at: u32, size: usize| -> Option<u32> {
        if at == AD_PROTOCOL && size == 4 {
            return Some(packet.protocol.into());
        }
        assert!(at >= NET, "only offsets from the network header are used: {at:#x}");
        let at = (at - NET) as usize;
        let bytes = packet.network.get(at..at + size)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        let mut branch = |holds: bool| pc += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => a = load(k, 4)?,
            0x28 => a = load(k, 2)?,
            0x30 => a = load(k, 1)?,
            0x40 => a = load(k.wrapping_add(x), 4)?,
            0x48 => a = load(k.wrapping_add(x), 2)?,
            0x50 => a = load(k.wrapping_add(x), 1)?,
            0xb1 => x = 4 * (load(k, 1)? & 0xf),
            0x54 => a &= k,
            0x64 => a <<= k,
            0x0c => a = a.wrapping_add(x),
            0x07 => x = a,
            0x05 => pc += k as usize,
            0x15 => branch(a == k),
            0x35 => branch(a >= k),
            0x45 => branch(a & k != 0),
            0x06 => return Some(k),
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}
