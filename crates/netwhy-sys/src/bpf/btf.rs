//! BTF of one's own, given to the kernel with a program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Attr, Command};
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// A type description the kernel has accepted.
#[derive(Debug)]
pub struct Btf {
    fd: OwnedFd,
}

impl Btf {
    /// Loads a whole BTF blob, header included.
    pub fn load(blob: &[u8]) -> Result<Self> {
        let size = u32::try_from(blob.len())
            .map_err(|_| SysError::new(Command::BtfLoad.name(), "size", Errno::E2BIG))?;
        let mut attr = Attr::new().pointer(0, blob.as_ptr()).u32(16, size);
        // SAFETY: the pointer is to `size` bytes that outlive the call; the kernel returns a new descriptor.
        let fd = unsafe { attr.run_fd(Command::BtfLoad, "")? };
        Ok(Btf { fd })
    }
}

impl AsFd for Btf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
