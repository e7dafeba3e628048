//! What every call here returns when the kernel says no.

use std::fmt;
use std::io;

use crate::errno::Errno;

/// A system call that failed: which, on what, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SysError {
    /// The operation, as a system call or a field of one: `"bind"`, `"setsockopt SO_MARK"`.
    pub operation: &'static str,
    /// What it was done to: an address, a path, a device. Empty if the operation says it all.
    pub object: String,
    /// Why it failed.
    pub errno: Errno,
}

/// The result of asking the kernel.
pub type Result<T, E = SysError> = std::result::Result<T, E>;

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            write!(f, "{}: {}", self.operation, self.errno)
        } else {
            write!(f, "{} {}: {}", self.operation, self.object, self.errno)
        }
    }
}

impl SysError {
    /// An error that is known by its number.
    pub fn new(operation: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        SysError { operation, object: object.into(), errno }
    }

    /// The error the thread's last call left behind.
    pub(crate) fn last(operation: &'static str, object: impl Into<String>) -> Self {
        // Read before `into` may call anything.
        let errno = Errno::last();
        SysError { operation, object: object.into(), errno }
    }

    /// An error of the standard library.
    pub(crate) fn io(operation: &'static str, object: impl Into<String>, error: &io::Error) -> Self {
        SysError { operation, object: object.into(), errno: Errno::from(error) }
    }

    /// For want of privilege (`EPERM`, `EACCES`).
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        self.errno.is_denied()
    }

    /// The kernel lacks the feature.
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        self.errno.is_unsupported()
    }
}

impl From<SysError> for io::Error {
    fn from(error: SysError) -> Self {
        let kind = io::Error::from_raw_os_error(error.errno.number()).kind();
        io::Error::new(kind, error)
    }
}

/// The value of a call that returns -1 for failure.
pub(crate) fn check(value: libc::c_int, operation: &'static str) -> Result<libc::c_int> {
    if value < 0 { Err(SysError::last(operation, "")) } else { Ok(value) }
}

/// The length of a call that returns -1 for failure.
pub(crate) fn check_len(value: libc::ssize_t, operation: &'static str) -> Result<usize> {
    usize::try_from(value).map_err(|_| SysError::last(operation, ""))
}
