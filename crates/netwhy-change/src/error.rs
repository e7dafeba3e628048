//! Why a change was not made.

use netwhy_sys::SysError;
use netwhy_sys::netlink::{BatchError, NetlinkError};
use netwhy_wire::netlink::TooLong;

/// The result of a change.
pub type Result<T, E = ChangeError> = std::result::Result<T, E>;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A system call.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A netlink request, with what it was for.
    #[error("{what}: {error}")]
    Netlink {
        /// What was to be done.
        what: String,
        /// The kernel's words.
        error: NetlinkError,
    },
    /// An nftables transaction.
    #[error("nftables: {0}")]
    Batch(#[from] BatchError),
    /// A message that cannot be expressed.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// A file could not be written.
    #[error("{what} {path}: {}", errno.description())]
    File {
        /// What was attempted.
        what: &'static str,
        /// Its path.
        path: String,
        /// Why not.
        errno: netwhy_sys::Errno,
    },
    /// Words that do not parse.
    #[error("{0}")]
    Usage(String),
    /// The kernel answered in a way that makes no sense.
    #[error("{0}")]
    Unexpected(String),
}

impl ChangeError {
    /// The name of the kernel's error number, such as `ENOENT`, where there is one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self {
            ChangeError::Sys(error) => Some(error.errno.name()),
            ChangeError::Netlink { error, .. } => error.errno().map(netwhy_sys::Errno::name),
            ChangeError::Batch(BatchError::Refused(all)) => all.first().map(|(_, one)| one.errno.name()),
            _ => None,
        }
    }

    /// Wraps a netlink error with what was attempted.
    pub fn netlink(what: impl Into<String>) -> impl FnOnce(NetlinkError) -> Self {
        let what = what.into();
        move |error| ChangeError::Netlink { what, error }
    }
}
