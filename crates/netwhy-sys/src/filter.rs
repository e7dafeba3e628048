//! Classic BPF programs on sockets (uapi `linux/filter.h`).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError, check};

/// One instruction, `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if true.
    pub jt: u8,
    /// Instructions to skip if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_RET | BPF_K`: ends with how many bytes to keep, 0 for none.
const RETURN_CONSTANT: u16 = 0x06;
/// The kernel takes no longer programs (`BPF_MAXINSNS`).
const LIMIT: usize = 4096;

/// The same program, keeping at most `snap` bytes of what it accepts. An empty one accepts everything.
#[must_use]
pub fn with_snap_length(program: &[Instruction], snap: u32) -> Vec<Instruction> {
    if program.is_empty() {
        return vec![Instruction { code: RETURN_CONSTANT, jt: 0, jf: 0, k: snap }];
    }
    program
        .iter()
        .map(|one| match one.code {
            RETURN_CONSTANT => Instruction { k: one.k.min(snap), ..*one },
            _ => *one,
        })
        .collect()
}

/// The number of connect(2) here.
pub const CONNECT: u32 = libc::SYS_connect as u32;

/// Makes system calls of this process and its children fail with an errno from now on, for good (seccomp(2)). Other
/// calls go on as before. Only the first 255 numbers are taken.
pub fn deny_calls(numbers: &[u32], errno: Errno) -> Result<()> {
    /// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`.
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    /// Offset of the call's number in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    let mut program = vec![Instruction { code: LOAD_WORD, jt: 0, jf: 0, k: NUMBER }];
    let count = numbers.len().min(255);
    for (at, number) in numbers.iter().take(count).enumerate() {
        // To the last instruction, over the remaining comparisons and the one that allows.
        let over = u8::try_from(count - at).unwrap_or(u8::MAX);
        program.push(Instruction { code: JUMP_IF_EQUAL, jt: over, jf: 0, k: *number });
    }
    let failing = libc::SECCOMP_RET_ERRNO | (errno.number() as u32 & libc::SECCOMP_RET_DATA);
    for k in [libc::SECCOMP_RET_ALLOW, failing] {
        program.push(Instruction { code: RETURN_CONSTANT, jt: 0, jf: 0, k });
    }
    let length = u16::try_from(program.len()).unwrap_or(u16::MAX);
    let whole = libc::sock_fprog { len: length, filter: program.as_mut_ptr().cast() };
    // SAFETY: plain numbers; it only takes a right away from this process.
    let code = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(code, "prctl PR_SET_NO_NEW_PRIVS")?;
    // SAFETY: the structure points to `length` instructions of the kernel's layout that outlive the call; the kernel
    // copies them.
    let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const whole) };
    check(code, "prctl PR_SET_SECCOMP").map(drop)
}

/// Attaches a program; the kernel checks it first and refuses a bad one with `EINVAL`.
pub(crate) fn attach(fd: BorrowedFd<'_>, program: &[Instruction]) -> Result<()> {
    let operation = "setsockopt SO_ATTACH_FILTER";
    let length = u16::try_from(program.len())
        .ok()
        .filter(|&length| length > 0 && usize::from(length) <= LIMIT)
        .ok_or_else(|| SysError::new(operation, format!("{} instructions", program.len()), Errno::EINVAL))?;
    let whole = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the structure points to `length` instructions of the kernel's layout that outlive the call; the
    // kernel only reads them.
    let code = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const whole).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    check(code, operation).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snap_length_only_shortens() {
        let ret = |k| Instruction { code: RETURN_CONSTANT, jt: 0, jf: 0, k };
        let load = Instruction { code: 0x28, jt: 0, jf: 0, k: 12 };
        assert_eq!(with_snap_length(&[], 96), [ret(96)]);
        assert_eq!(with_snap_length(&[load, ret(262_144), ret(0)], 96), [load, ret(96), ret(0)]);
        assert_eq!(with_snap_length(&[ret(64)], 96), [ret(64)]);
    }
}
