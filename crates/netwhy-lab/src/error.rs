//! What can go wrong while breaking, asking or healing.

use netwhy_change::ChangeError;
use netwhy_sys::SysError;
use netwhy_sys::netlink::{BatchError, NetlinkError};
use netwhy_wire::netlink::TooLong;

/// The result of a step of the lab.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Why a step of the lab failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
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
    /// A file or a pipe.
    #[error("{what}: {error}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        error: std::io::Error,
    },
    /// A change was about to reach the namespace the lab was started in.
    #[error("refused: this would change the network namespace the lab was started in")]
    OutsideLab,
    /// The kernel or this machine cannot produce the case.
    #[error("not possible here: {0}")]
    Unsupported(String),
    /// Words that do not parse.
    #[error("{0}")]
    Usage(String),
    /// Something did not behave as the case says it must.
    #[error("{0}")]
    Unexpected(String),
}

impl LabError {
    /// Wraps an input or output error with what was attempted.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| LabError::Io { what, error }
    }

    /// Wraps a netlink error with what was attempted.
    pub fn netlink(what: impl Into<String>) -> impl FnOnce(NetlinkError) -> Self {
        let what = what.into();
        move |error| LabError::Netlink { what, error }
    }

    /// The kernel lacks the feature, as far as the error tells.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            LabError::Unsupported(_) => true,
            LabError::Sys(error) => error.is_unsupported(),
            LabError::Netlink { error, .. } => error.is_unsupported(),
            LabError::Batch(BatchError::Netlink(error)) => error.is_unsupported(),
            _ => false,
        }
    }
}

impl From<ChangeError> for LabError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Sys(error) => LabError::Sys(error),
            ChangeError::Netlink { what, error } => LabError::Netlink { what, error },
            ChangeError::Batch(error) => LabError::Batch(error),
            ChangeError::TooLong(error) => LabError::TooLong(error),
            error @ ChangeError::File { .. } => LabError::Unexpected(error.to_string()),
            ChangeError::Usage(text) => LabError::Usage(text),
            ChangeError::Unexpected(text) => LabError::Unexpected(text),
        }
    }
}
