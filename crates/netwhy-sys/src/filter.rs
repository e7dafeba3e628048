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
