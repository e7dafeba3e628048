//! Words and numbers that several kinds of change share.

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL};

use crate::error::{ChangeError, Result};

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
    text.parse().map_err(|_| ChangeError::Usage(format!("{text} is not an address")))
}

/// Parses a prefix; an address alone is a host. `default` is written `0.0.0.0/0` or `::/0`.
pub fn prefix(text: &str) -> Result<IpNet> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            let length =
                length.parse().map_err(|_| ChangeError::Usage(format!("{text} has no prefix length")))?;
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
