//! What can go wrong between a netlink question and its answer.

use std::fmt;

use super::Protocol;
use crate::errno::Errno;
use crate::error::SysError;

/// A question to the kernel that brought no full answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// The socket itself failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// The kernel understood and said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The listing changed while it was read, each time it was tried: what came may be incomplete or double.
    #[error("netlink {protocol:?} message {kind}: the listing changed while it was read ({tries} tries)")]
    Interrupted {
        /// The protocol.
        protocol: Protocol,
        /// The request's message type.
        kind: u16,
        /// How often it was read.
        tries: u32,
    },
    /// The kernel had more to say than the socket could hold (`ENOBUFS`): events are missing.
    #[error("netlink {protocol:?}: messages were lost (ENOBUFS)")]
    Lost {
        /// The protocol.
        protocol: Protocol,
    },
    /// A datagram was larger than the buffer and is gone. The buffer has grown: a repeated read will fit.
    #[error("netlink {protocol:?}: a datagram of {needed} bytes was cut to {had}")]
    Truncated {
        /// The protocol.
        protocol: Protocol,
        /// Its size.
        needed: usize,
        /// The buffer's size then.
        had: usize,
    },
    /// No answer in time.
    #[error("netlink {protocol:?}: no answer in time")]
    TimedOut {
        /// The protocol.
        protocol: Protocol,
    },
    /// The answer is not netlink, or breaks its rules.
    #[error("netlink {protocol:?}: {what}")]
    Malformed {
        /// The protocol.
        protocol: Protocol,
        /// The rule.
        what: &'static str,
    },
}

impl NetlinkError {
    /// The error number, where there is one.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            NetlinkError::Sys(error) => Some(error.errno),
            NetlinkError::Refused(refusal) => Some(refusal.errno),
            NetlinkError::Lost { .. } => Some(Errno::ENOBUFS),
            NetlinkError::TimedOut { .. } => Some(Errno::ETIMEDOUT),
            _ => None,
        }
    }

    /// For want of privilege.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.errno().is_some_and(Errno::is_denied)
    }

    /// The kernel lacks the protocol or the message type.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.errno().is_some_and(Errno::is_unsupported)
    }
}

/// The kernel's no, with as much of its reasons as it gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The protocol.
    pub protocol: Protocol,
    /// The request's message type.
    pub kind: u16,
    /// The error number.
    pub errno: Errno,
    /// The kernel's own words (extended acknowledgement).
    pub message: Option<String>,
    /// Where in the request, counted from its header, the trouble starts.
    pub offset: Option<u32>,
    /// The type of the attribute there.
    pub attribute: Option<u16>,
    /// The type of an attribute that should have been there (since Linux 6.1).
    pub missing: Option<u32>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "netlink {:?} message {}: {}", self.protocol, self.kind, self.errno)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match (self.attribute, self.offset) {
            (Some(attribute), Some(offset)) => write!(f, " (attribute {attribute} at byte {offset})")?,
            (None, Some(offset)) => write!(f, " (at byte {offset})")?,
            _ => {}
        }
        if let Some(missing) = self.missing {
            write!(f, " (attribute {missing} is missing)")?;
        }
        Ok(())
    }
}

/// A batch that was not carried out. Nothing of it was: nfnetlink batches are all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The kernel refused messages, each with its index in the batch; `None` is the batch as a whole.
    #[error("{}", list(.0))]
    Refused(Vec<(Option<usize>, Refusal)>),
    /// There was no full answer; whether the batch was carried out is unknown.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

fn list(refusals: &[(Option<usize>, Refusal)]) -> String {
    let line = |(index, refusal): &(Option<usize>, Refusal)| match index {
        Some(index) => format!("batch message #{index}: {refusal}"),
        None => format!("batch: {refusal}"),
    };
    refusals.iter().map(line).collect::<Vec<_>>().join("; ")
}
