//! The flow a question is about, and small address types.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4 (AF_INET, NFPROTO_IPV4).
    Inet,
    /// IPv6 (AF_INET6, NFPROTO_IPV6).
    Inet6,
}

impl Family {
    /// The family of an address.
    pub fn of(addr: &IpAddr) -> Self {
        if addr.is_ipv4() { Self::Inet } else { Self::Inet6 }
    }
    /// Bits in an address: 32 or 128.
    pub fn bits(self) -> u8 {
        if self == Self::Inet { 32 } else { 128 }
    }
    /// `4` or `6`, for option letters and words such as IPv4.
    pub fn digit(self) -> u8 {
        if self == Self::Inet { 4 } else { 6 }
    }
}

/// Transport of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proto {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
    /// ICMP echo: protocol 1 for IPv4, 58 for IPv6.
    Icmp,
}

impl Proto {
    /// IANA protocol number for the family.
    pub fn number(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Tcp, _) => 6,
            (Self::Udp, _) => 17,
            (Self::Icmp, Family::Inet) => 1,
            (Self::Icmp, Family::Inet6) => 58,
        }
    }
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// A prefix: address with host bits zero, and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IpNet {
    /// Network address.
    pub addr: IpAddr,
    /// Prefix length in bits.
    pub len: u8,
}

impl IpNet {
    /// The prefix that holds `addr`, with host bits cleared. `len` above the family's bits is cut to it.
    pub fn new(addr: IpAddr, len: u8) -> Self {
        let len = len.min(Family::of(&addr).bits());
        Self { addr: mask(addr, len), len }
    }
    /// The default prefix of a family: `0.0.0.0/0` or `::/0`.
    pub fn any(family: Family) -> Self {
        match family {
            Family::Inet => Self { addr: IpAddr::from([0u8; 4]), len: 0 },
            Family::Inet6 => Self { addr: IpAddr::from([0u8; 16]), len: 0 },
        }
    }
    /// Whether the address is of this family and inside the prefix.
    pub fn contains(&self, addr: &IpAddr) -> bool {
        Family::of(addr) == Family::of(&self.addr) && mask(*addr, self.len) == mask(self.addr, self.len)
    }
}

impl std::fmt::Display for IpNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

fn mask(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => {
            let m = u32::MAX.checked_shl(32u32.saturating_sub(len.into())).unwrap_or(0);
            IpAddr::from((u32::from(a) & m).to_be_bytes())
        }
        IpAddr::V6(a) => {
            let m = u128::MAX.checked_shl(128u32.saturating_sub(len.into())).unwrap_or(0);
            IpAddr::from((u128::from(a) & m).to_be_bytes())
        }
    }
}

/// A device name and index, as both are needed: the name for people, the index for the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dev {
    /// Interface index (1-based).
    pub index: u32,
    /// Interface name.
    pub name: String,
}

/// The flow under judgement: one address of the target, as the victim would use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Transport.
    pub proto: Proto,
    /// Source address: chosen by the kernel for a client (from the FIB answer), given by `--from` otherwise.
    pub src: Option<IpAddr>,
    /// Source port when known (after an attempt).
    pub sport: Option<u16>,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port; 0 for ICMP.
    pub dport: u16,
    /// Socket mark (SO_MARK).
    pub mark: u32,
    /// User id of the victim.
    pub uid: Option<u32>,
    /// Device the socket is bound to (SO_BINDTODEVICE) for a client; device of arrival for inbound and transit when known.
    pub dev: Option<String>,
}

impl Flow {
    /// Address family of the flow.
    pub fn family(&self) -> Family {
        Family::of(&self.dst)
    }
    /// Protocol number on the wire.
    pub fn proto_number(&self) -> u8 {
        self.proto.number(self.family())
    }
    /// `ADDR:PORT`, with brackets for IPv6; only the address for ICMP.
    pub fn target(&self) -> String {
        match self.proto {
            Proto::Icmp => self.dst.to_string(),
            _ => std::net::SocketAddr::new(self.dst, self.dport).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_contains_its_addresses_and_no_other_family() {
        let net = IpNet::new("198.51.100.7".parse().unwrap(), 24);
        assert_eq!(net.to_string(), "198.51.100.0/24");
        assert!(net.contains(&"198.51.100.255".parse().unwrap()));
        assert!(!net.contains(&"198.51.101.0".parse().unwrap()));
        assert!(IpNet::any(Family::Inet).contains(&"1.2.3.4".parse().unwrap()));
        assert!(!IpNet::any(Family::Inet).contains(&"::1".parse().unwrap()));
        assert!(IpNet::new("2001:db8::1".parse().unwrap(), 128).contains(&"2001:db8::1".parse().unwrap()));
    }
}
