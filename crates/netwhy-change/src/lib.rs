//! Changes exactly one thing in the kernel over netlink, ioctl or `/proc/sys`, and says how to undo it.
//!
//! Every function takes the socket it speaks through, so that a change can only reach the namespace that
//! socket was opened in. Nothing here decides whether a change is wanted.
#![forbid(unsafe_code)]

pub mod addr;
pub mod conntrack;
mod error;
pub mod ipt;
pub mod link;
pub mod neigh;
pub mod netns;
pub mod nft;
pub mod route;
pub mod rule;
pub mod socket;
pub mod sysctl;
pub mod tc;
pub mod words;

use netwhy_sys::netlink::Socket;
use netwhy_wire::netlink::Builder;

pub use error::{ChangeError, Result};

/// Writes devices, addresses, routes, rules, neighbours, qdiscs and filters through a route socket: the
/// namespace it was opened in is the one that changes.
#[derive(Debug)]
pub struct RouteWriter<'a> {
    socket: &'a mut Socket,
}

impl<'a> RouteWriter<'a> {
    /// Through a socket of `NETLINK_ROUTE`.
    pub const fn new(socket: &'a mut Socket) -> Self {
        RouteWriter { socket }
    }

    /// One order, acknowledged; `what` names it in an error.
    pub fn order(&mut self, what: impl Into<String>, kind: u16, flags: u16, message: Builder) -> Result<()> {
        let payload = message.finish()?;
        self.socket.ack(kind, flags, &payload).map_err(ChangeError::netlink(what))
    }
}
