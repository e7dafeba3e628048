//! Where `struct pt_regs` keeps things (uapi asm/ptrace.h of each processor).

use crate::features::Arch;

const X86: [&str; 21] = [
    "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di",
    "orig_ax", "ip", "cs", "flags", "sp", "ss",
];

/// Offset of a register by name.
pub(crate) fn offset(arch: Arch, name: &str) -> Option<u32> {
    match arch {
        Arch::X86_64 => {
            let name = name.strip_prefix('r').filter(|n| X86.contains(n)).unwrap_or(name);
            X86.iter().position(|r| *r == name).map(|i| i as u32 * 8)
        }
        Arch::Aarch64 => match name {
            "sp" => Some(31 * 8),
            "pc" => Some(32 * 8),
            "pstate" => Some(33 * 8),
            _ => name.strip_prefix('r')?.parse::<u32>().ok().filter(|n| *n < 31).map(|n| n * 8),
        },
    }
}

/// Offset of an argument passed in a register.
pub(crate) fn argument(arch: Arch, n: usize) -> Option<u32> {
    match arch {
        Arch::X86_64 => ["di", "si", "dx", "cx", "r8", "r9"].get(n).and_then(|r| offset(arch, r)),
        Arch::Aarch64 => (n < 8).then_some(n as u32 * 8),
    }
}

/// Offset of the returned value.
pub(crate) fn returned(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 80,
        Arch::Aarch64 => 0,
    }
}
