//! Mounts inside a mount namespace of one's own (mount(2)).

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// A file system that is mounted nowhere: it is reached through this descriptor only, nobody else sees it, and it
/// is gone with it. Needs `CAP_SYS_ADMIN` and Linux 5.2.
#[derive(Debug)]
pub struct Detached {
    fd: OwnedFd,
}

impl Detached {
    /// Opens a file system that needs no device, such as `tracefs`.
    pub fn open(kind: &str) -> Result<Self> {
        let name = CString::new(kind).map_err(|_| SysError::new("fsopen", kind, Errno::EINVAL))?;
        let failed = |operation| SysError::last(operation, kind.to_owned());
        const CLOEXEC: libc::c_long = 1;
        const CMD_CREATE: libc::c_long = 6;
        let take = |fd: libc::c_long| {
            // SAFETY: the kernel has just given us this descriptor.
            unsafe { OwnedFd::from_raw_fd(fd as i32) }
        };
        // SAFETY: the name is ended by NUL and outlives the call.
        let context = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), CLOEXEC) };
        if context < 0 {
            return Err(failed("fsopen"));
        }
        let context = take(context);
        let none = std::ptr::null::<libc::c_char>();
        // SAFETY: creating takes neither key nor value.
        if unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CMD_CREATE, none, none, 0) } < 0 {
            return Err(failed("fsconfig"));
        }
        // SAFETY: plain numbers.
        let mount = unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0) };
        if mount < 0 {
            return Err(failed("fsmount"));
        }
        Ok(Detached { fd: take(mount) })
    }

    /// Where this process finds it while it is open.
    #[must_use]
    pub fn path(&self) -> std::path::PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }
}

/// One mount, prepared so that it can be carried out between fork and exec.
#[derive(Debug, Clone)]
pub struct Mount {
    source: CString,
    target: CString,
    kind: CString,
    flags: libc::c_ulong,
    options: CString,
    operation: &'static str,
}

impl Mount {
    /// Takes `target` and everything below out of mount propagation, both ways: what is mounted later is
    /// not seen outside, and nothing comes in.
    pub fn make_private(target: &Path) -> Result<Self> {
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        Mount::new("mount private", Path::new("none"), target, "", flags, "")
    }

    /// Takes `target` and everything below out of propagation to the outside only.
    pub fn make_slave(target: &Path) -> Result<Self> {
        let flags = libc::MS_REC | libc::MS_SLAVE;
        Mount::new("mount slave", Path::new("none"), target, "", flags, "")
    }

    /// Lets mounts below `target` appear in every copy of it and the other way round.
    pub fn make_shared(target: &Path) -> Result<Self> {
        let flags = libc::MS_REC | libc::MS_SHARED;
        Mount::new("mount shared", Path::new("none"), target, "", flags, "")
    }

    /// Shows `source`, a directory with everything mounted below it, at `target`.
    pub fn bind_all(source: &Path, target: &Path) -> Result<Self> {
        Mount::new("mount bind", source, target, "", libc::MS_BIND | libc::MS_REC, "")
    }

    /// Shows `source`, a file or a directory, at `target`.
    pub fn bind(source: &Path, target: &Path) -> Result<Self> {
        Mount::new("mount bind", source, target, "", libc::MS_BIND, "")
    }

    /// An empty file system in memory of at most `bytes`.
    pub fn tmpfs(target: &Path, bytes: u64) -> Result<Self> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        Mount::new(
            "mount tmpfs",
            Path::new("tmpfs"),
            target,
            "tmpfs",
            flags,
            &format!("size={bytes},mode=755"),
        )
    }

    /// `/sys` of the network namespace the mounting thread is in.
    pub fn sysfs(target: &Path) -> Result<Self> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        Mount::new("mount sysfs", Path::new("sysfs"), target, "sysfs", flags, "")
    }

    /// `/proc` of the process namespace the mounting process is in.
    pub fn proc(target: &Path) -> Result<Self> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        Mount::new("mount proc", Path::new("proc"), target, "proc", flags, "")
    }

    /// The version 2 control group tree.
    pub fn cgroup2(target: &Path) -> Result<Self> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        Mount::new("mount cgroup2", Path::new("cgroup2"), target, "cgroup2", flags, "")
    }

    fn new(
        operation: &'static str,
        source: &Path,
        target: &Path,
        kind: &str,
        flags: libc::c_ulong,
        options: &str,
    ) -> Result<Self> {
        let text = |bytes: &[u8]| {
            CString::new(bytes)
                .map_err(|_| SysError::new(operation, target.display().to_string(), Errno::EINVAL))
        };
        Ok(Mount {
            source: text(source.as_os_str().as_bytes())?,
            target: text(target.as_os_str().as_bytes())?,
            kind: text(kind.as_bytes())?,
            flags,
            options: text(options.as_bytes())?,
            operation,
        })
    }

    /// Mounts it now, in the calling thread's mount namespace.
    pub fn apply(&self) -> Result<()> {
        self.apply_raw()
            .map_err(|errno| SysError::new(self.operation, self.target.to_string_lossy().into_owned(), errno))
    }

    /// Async-signal-safe: one system call, no allocation.
    pub(crate) fn apply_raw(&self) -> Result<(), Errno> {
        // SAFETY: all four are NUL-terminated strings that outlive the call.
        let code = unsafe {
            libc::mount(
                self.source.as_ptr(),
                self.target.as_ptr(),
                self.kind.as_ptr(),
                self.flags,
                self.options.as_ptr().cast(),
            )
        };
        if code < 0 { Err(Errno::last()) } else { Ok(()) }
    }

    pub(crate) const fn operation(&self) -> &'static str {
        self.operation
    }
}

/// Removes the topmost mount at `target`, even if it is in use.
pub fn unmount(target: &Path) -> Result<()> {
    let failed = |errno| SysError::new("umount", target.display().to_string(), errno);
    let path = CString::new(target.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
    // SAFETY: a NUL-terminated string that outlives the call.
    let code = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    if code < 0 { Err(failed(Errno::last())) } else { Ok(()) }
}
