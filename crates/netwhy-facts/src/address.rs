//! Addresses of one namespace. Source: RTM_GETADDR (rtnetlink).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// All addresses of the namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Addresses(pub Vec<Address>);

impl Fact for Addresses {
    const KIND: &'static str = "addresses";
}

/// One address on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Device index (ifa_index).
    pub ifindex: u32,
    /// The local address (IFA_LOCAL, or IFA_ADDRESS where there is no peer).
    pub addr: IpAddr,
    /// Prefix length (ifa_prefixlen).
    pub prefix: u8,
    /// Peer address of a point-to-point device (IFA_ADDRESS when it differs from IFA_LOCAL).
    pub peer: Option<IpAddr>,
    /// Broadcast address (IFA_BROADCAST).
    pub broadcast: Option<IpAddr>,
    /// Scope (RT_SCOPE_*): 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// Flags (IFA_F_*) as the kernel's bits.
    pub flags: u32,
    /// Seconds it stays preferred; `u32::MAX` for ever.
    pub preferred_s: u32,
    /// Seconds it stays valid; `u32::MAX` for ever.
    pub valid_s: u32,
    /// Label (IFA_LABEL), IPv4.
    pub label: Option<String>,
}

impl Address {
    /// IFA_F_SECONDARY (IPv4; the same bit is TEMPORARY for IPv6).
    pub fn is_secondary(&self) -> bool {
        self.flags & 0x01 != 0
    }
    /// IFA_F_DADFAILED: duplicate address detection found another holder.
    pub fn is_dadfailed(&self) -> bool {
        self.flags & 0x08 != 0
    }
    /// IFA_F_DEPRECATED: not to be chosen as a source.
    pub fn is_deprecated(&self) -> bool {
        self.flags & 0x20 != 0
    }
    /// IFA_F_TENTATIVE: duplicate address detection still runs.
    pub fn is_tentative(&self) -> bool {
        self.flags & 0x40 != 0
    }
    /// IFA_F_OPTIMISTIC: usable while tentative.
    pub fn is_optimistic(&self) -> bool {
        self.flags & 0x04 != 0
    }
    /// IFA_F_NOPREFIXROUTE: no connected route was made for it.
    pub fn has_no_prefix_route(&self) -> bool {
        self.flags & 0x200 != 0
    }
}
