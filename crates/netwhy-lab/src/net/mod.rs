//! Changes to a node's network, written over netlink: every one on a socket that was opened inside the node.

pub mod addr;
pub mod bpf;
pub mod conntrack;
pub mod link;
pub mod neigh;
pub mod route;
pub mod rule;
pub mod tc;

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL};
use netwhy_wire::netlink::Builder;

use crate::error::{LabError, Result};
use crate::node::Node;

/// Make it, and fail if it is there.
pub(crate) const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// `AF_INET`, `AF_INET6` and `AF_BRIDGE` (uapi `linux/socket.h`).
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;
pub(crate) const AF_BRIDGE: u8 = 7;

pub(crate) fn family_of(address: &IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// Parses an address.
pub fn ip(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| LabError::Usage(format!("{text} is not an address")))
}

/// Parses a prefix; an address alone is a host. `default` is written `0.0.0.0/0` or `::/0`.
pub fn prefix(text: &str) -> Result<IpNet> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            let length =
                length.parse().map_err(|_| LabError::Usage(format!("{text} has no prefix length")))?;
            (ip(address)?, length)
        }
        None => (ip(text)?, 128),
    };
    Ok(IpNet::new(address, length))
}

/// As [`prefix`], keeping the host part: an address on an interface.
pub fn interface_address(text: &str) -> Result<(IpAddr, u8)> {
    let address = text.split('/').next().unwrap_or(text);
    Ok((ip(address)?, prefix(text)?.len))
}

impl Node {
    /// One order over the route socket.
    pub(crate) fn route_order(
        &mut self,
        what: impl Into<String>,
        kind: u16,
        flags: u16,
        message: Builder,
    ) -> Result<()> {
        let what = format!("{}: {}", self.name, what.into());
        let payload = message.finish()?;
        self.route.ack(kind, flags, &payload).map_err(LabError::netlink(what))
    }
}
