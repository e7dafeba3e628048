//! Why a fact could not be read, and which absence that is.

use std::io;
use std::path::{Path, PathBuf};

use netwhy_facts::Reading;
use netwhy_sys::netlink::NetlinkError;
use netwhy_sys::{Errno, SysError};
use netwhy_wire::netlink::{AttributeError, TooLong};

/// A reading that did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// A system call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A netlink question brought no full answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A file could not be read.
    #[error("read {}: {errno}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// The kernel's answer does not have the shape this build knows.
    #[error("{what}: {detail}")]
    Malformed {
        /// What was being read: a message or a file.
        what: &'static str,
        /// Where it departs from the expected shape.
        detail: String,
    },
    /// A request of ours would not fit its message.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The kernel lacks the subsystem, or its module is not loaded and is not loaded by a read.
    #[error("{0}")]
    Missing(String),
}

impl CollectError {
    /// A file error.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        CollectError::File { path: path.to_owned(), errno: Errno::from(error) }
    }

    /// An answer of another shape.
    pub(crate) fn malformed(what: &'static str, detail: impl ToString) -> Self {
        CollectError::Malformed { what, detail: detail.to_string() }
    }

    /// A broken attribute in an answer.
    pub(crate) fn attribute(what: &'static str) -> impl Fn(AttributeError) -> Self {
        move |error| Self::malformed(what, error)
    }

    /// The error number, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            CollectError::Sys(error) => Some(error.errno),
            CollectError::Netlink(error) => error.errno(),
            CollectError::File { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// The absence this error stands for; `needs` names the privilege that a refusal is about.
    #[must_use]
    pub fn into_reading<T>(self, needs: &str) -> Reading<T> {
        let missing_file =
            matches!(&self, CollectError::File { errno, .. } if *errno == Errno::new(2 /* ENOENT */));
        match self.errno() {
            Some(errno) if errno.is_denied() => Reading::denied(needs),
            Some(errno) if errno.is_unsupported() => Reading::unsupported(self),
            _ if missing_file || matches!(self, CollectError::Missing(_)) => Reading::unsupported(self),
            _ => Reading::failed(self),
        }
    }
}

impl From<CollectError> for String {
    fn from(error: CollectError) -> Self {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_becomes_its_own_absence() {
        let file = |number| CollectError::File { path: "/proc/net/x".into(), errno: Errno::new(number) };
        let denied: Reading<u8> = file(13).into_reading("CAP_NET_ADMIN");
        assert_eq!(denied, Reading::denied("CAP_NET_ADMIN"));
        assert!(matches!(file(2).into_reading::<u8>("x"), Reading::Unsupported { .. }));
        assert!(matches!(file(5).into_reading::<u8>("x"), Reading::Failed { .. }));
        let sys = |number| CollectError::from(SysError::new("bpf", "", Errno::new(number)));
        assert!(matches!(sys(1).into_reading::<u8>("x"), Reading::Denied { .. }));
        assert!(matches!(sys(95).into_reading::<u8>("x"), Reading::Unsupported { .. }));
        let missing = CollectError::Missing("no xfrm".into());
        assert_eq!(missing.into_reading::<u8>("x"), Reading::unsupported("no xfrm"));
    }
}
