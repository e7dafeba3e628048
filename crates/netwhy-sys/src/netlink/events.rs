//! Multicast groups: what the kernel tells without being asked.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::Instant;

use super::message::{self, OVERRUN};
use super::{NetlinkError, SOL_NETLINK, Socket};
use crate::error::{Result, SysError};
use crate::fd;

const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const NETLINK_DROP_MEMBERSHIP: i32 = 2;

/// How many datagrams are taken after the deadline: events may come faster than they are read.
const LATE: u32 = 4096;

/// One message of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags; `NLM_F_CREATE` and the like tell new from changed.
    pub flags: u16,
    /// The port whose request caused it; 0 if none did, or the family does not say.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Socket {
    /// Joins a group by number (`RTNLGRP_*`, `NFNLGRP_*`; generic families name theirs). Use a socket of
    /// its own for events: a request on the same one discards what comes in between.
    pub fn join(&mut self, group: u32) -> Result<()> {
        self.membership(NETLINK_ADD_MEMBERSHIP, group, "setsockopt NETLINK_ADD_MEMBERSHIP")
    }

    /// Leaves a group.
    pub fn leave(&mut self, group: u32) -> Result<()> {
        self.membership(NETLINK_DROP_MEMBERSHIP, group, "setsockopt NETLINK_DROP_MEMBERSHIP")
    }

    /// Hands events to `each` until it breaks or the deadline passes. What waits at the deadline is still
    /// taken, so a past deadline empties the queue. `Break` discards the rest of the datagram.
    ///
    /// `Err(Lost)` says that events are missing before those still to come: take stock anew, then go on.
    pub fn recv_events(
        &mut self,
        deadline: Instant,
        mut each: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), NetlinkError> {
        let protocol = self.protocol;
        let mut late = 0;
        while late < LATE {
            late += u32::from(Instant::now() >= deadline);
            let length = match self.receive(deadline) {
                Ok(length) => length,
                Err(NetlinkError::TimedOut { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            for one in message::messages(self.buffer.get(..length).unwrap_or(&[])) {
                let what = "a message is longer than its datagram";
                let one = one.map_err(|()| NetlinkError::Malformed { protocol, what })?;
                if one.kind == OVERRUN {
                    return Err(NetlinkError::Lost { protocol });
                }
                let event = Event { kind: one.kind, flags: one.flags, port: one.port, payload: one.payload };
                if each(event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The next datagram as it is, for the protocols that send no messages (device events). `None`: none
    /// came in time.
    pub fn recv_raw(&mut self, deadline: Instant) -> Result<Option<&[u8]>, NetlinkError> {
        match self.receive(deadline) {
            Ok(length) => Ok(self.buffer.get(..length)),
            Err(NetlinkError::TimedOut { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn membership(&mut self, option: i32, group: u32, operation: &'static str) -> Result<()> {
        fd::set_option(self.as_fd(), SOL_NETLINK, option, &group.to_ne_bytes(), operation)
            .map_err(|error| SysError { object: format!("{:?} group {group}", self.protocol), ..error })
    }
}
