//! BTF of one's own, given to the kernel with a program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::info::btf_name;
use super::{Attr, Command, Object, ids};
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

impl Btf {
    /// The kernel's own description (`vmlinux`) or that of a module, by name; `ENOENT` when there is none. Needs
    /// `CAP_SYS_ADMIN`.
    pub fn of_kernel(name: &str) -> Result<Self> {
        for id in ids(Object::Btf)? {
            match Object::Btf.open(id) {
                Ok(fd) if btf_name(fd.as_fd())? == name => return Ok(Btf { fd }),
                // It may have gone since it was listed.
                Ok(_) => {}
                Err(error) if error.errno == Errno::ENOENT => {}
                Err(error) => return Err(error),
            }
        }
        Err(SysError::new("bpf btf by name", name, Errno::ENOENT))
    }
}

impl AsFd for Btf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
