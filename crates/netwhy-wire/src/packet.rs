//! Packet headers: views that never panic on what a network delivers, and their opposite.
//!
//! A view borrows the bytes it was read from. Captured packets and the packets that ICMP errors quote are
//! usually cut, so a view asks only for its fixed header: options and payload are what is left of them, and
//! the lengths the sender declared are fields of their own.
//!
//! | module | layer |
//! |---|---|
//! | [`ethernet`] | Ethernet II and 802.1Q / 802.1ad tags |
//! | [`arp`] | ARP for IPv4 over Ethernet (RFC 826) |
//! | [`ipv4`], [`ipv6`] | IP headers, extension headers skipped |
//! | [`tcp`], [`udp`] | transport headers |
//! | [`icmp`], [`icmpv6`] | echo, errors with the packet they quote, neighbour discovery |

pub mod arp;
pub mod ethernet;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;

use std::net::IpAddr;

/// A header that is not there, or not what it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PacketError {
    /// Fewer bytes than the fixed header has.
    #[error("{layer}: {have} bytes, the header alone has {need}")]
    Cut { layer: &'static str, need: usize, have: usize },
    /// A field holds what it must not hold.
    #[error("{layer}: {field} is {value}")]
    Field { layer: &'static str, field: &'static str, value: u32 },
}

/// IANA protocol numbers used here.
pub mod protocol {
    #![allow(missing_docs)]
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
}

/// The sum of RFC 1071, to be folded and inverted at the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even offset.
    #[must_use]
    pub fn plus(self, bytes: &[u8]) -> Self {
        let mut sum = self.0;
        let (pairs, last) = bytes.as_chunks::<2>();
        for pair in pairs {
            sum += u64::from(u16::from_be_bytes(*pair));
        }
        if let [odd] = last {
            sum += u64::from(*odd) << 8;
        }
        Sum(sum)
    }

    /// Adds the pseudo header of TCP, UDP and ICMPv6 (RFC 9293, RFC 8200 section 8.1). Addresses of two
    /// families give no meaningful sum.
    #[must_use]
    pub fn pseudo(self, src: IpAddr, dst: IpAddr, protocol: u8, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let add = |sum: Sum, address: IpAddr| match address {
            IpAddr::V4(address) => sum.plus(&address.octets()),
            IpAddr::V6(address) => sum.plus(&address.octets()),
        };
        add(add(self, src), dst).plus(&length).plus(&[0, protocol])
    }

    /// The checksum: what goes into the field, and 0 over data that holds a right one.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // The loop leaves at most sixteen bits.
        !(sum as u16)
    }
}

/// The packet an ICMP error quotes: enough of it to know whose it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Source of the quoted packet.
    pub src: IpAddr,
    /// Destination of the quoted packet.
    pub dst: IpAddr,
    /// Its transport protocol.
    pub protocol: u8,
    /// Its IP total length as declared.
    pub length: u32,
    /// First and second 16-bit word of its transport header (the ports of TCP and UDP), when quoted and when
    /// it was not a later fragment.
    pub ports: Option<(u16, u16)>,
    /// Second 32-bit word: the sequence number of TCP; identifier and sequence of an echo.
    pub word: Option<u32>,
}

impl Quoted {
    /// Reads an IPv4 or IPv6 packet as an ICMP error quotes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let ip = Ip::parse(bytes)?;
        let upper = ip.upper();
        let first = upper.and_then(|(_, payload)| payload.first_chunk::<4>());
        Ok(Quoted {
            src: ip.src(),
            dst: ip.dst(),
            protocol: upper.map_or(ip.protocol(), |(protocol, _)| protocol),
            length: ip.length(),
            ports: first.map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
            word: upper.and_then(|(_, payload)| payload.get(4..8)?.try_into().ok()).map(u32::from_be_bytes),
        })
    }
}

/// An IP packet of either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ip<'a> {
    V4(ipv4::Ipv4<'a>),
    V6(ipv6::Ipv6<'a>),
}

impl<'a> Ip<'a> {
    /// Reads the version nibble and then that version's header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => ipv4::Ipv4::parse(bytes).map(Ip::V4),
            Some(6) => ipv6::Ipv6::parse(bytes).map(Ip::V6),
            Some(other) => Err(PacketError::Field { layer: "ip", field: "version", value: u32::from(other) }),
            None => Err(PacketError::Cut { layer: "ip", need: ipv4::HEADER, have: 0 }),
        }
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        match self {
            Ip::V4(ip) => ip.src.into(),
            Ip::V6(ip) => ip.src.into(),
        }
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        match self {
            Ip::V4(ip) => ip.dst.into(),
            Ip::V6(ip) => ip.dst.into(),
        }
    }

    /// TTL or hop limit.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        match self {
            Ip::V4(ip) => ip.ttl,
            Ip::V6(ip) => ip.hop_limit,
        }
    }

    /// Length of the whole packet as declared, in bytes.
    #[must_use]
    pub fn length(&self) -> u32 {
        match self {
            Ip::V4(ip) => ip.total_length.into(),
            Ip::V6(ip) => u32::from(ip.payload_length) + ipv6::HEADER as u32,
        }
    }

    /// The protocol field of the first header: for IPv6 it may name an extension header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Ip::V4(ip) => ip.protocol,
            Ip::V6(ip) => ip.next_header,
        }
    }

    /// The transport protocol and as much of its packet as there is. `None` for a fragment other than the
    /// first, and where extension headers are cut or unknown.
    #[must_use]
    pub fn upper(&self) -> Option<(u8, &'a [u8])> {
        match self {
            Ip::V4(ip) => (ip.fragment_offset == 0).then_some((ip.protocol, ip.payload)),
            Ip::V6(ip) => ip.upper(),
        }
    }
}

/// `bytes[at..at + 2]` as a big-endian number; 0 past the end. For headers whose length was checked.
fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at.saturating_add(2)).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
}

/// As [`be16`], 32 bits.
fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at.saturating_add(4)).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// `N` bytes from `at`; zeroes past the end. For headers whose length was checked.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at.saturating_add(N)).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

/// The first `need` bytes and the rest, or an error that names the layer.
fn split<'a>(bytes: &'a [u8], layer: &'static str, need: usize) -> Result<(&'a [u8], &'a [u8]), PacketError> {
    bytes.split_at_checked(need).ok_or(PacketError::Cut { layer, need, have: bytes.len() })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
