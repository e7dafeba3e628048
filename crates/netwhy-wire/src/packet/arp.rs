//! ARP for IPv4 over Ethernet (RFC 826; probes and announcements: RFC 5227).

use std::net::Ipv4Addr;

use super::ethernet::{ETHERTYPE_IPV4, Mac};
use super::{PacketError, array, be16, split};

/// Bytes of a packet for IPv4 over Ethernet.
pub const LENGTH: usize = 28;
/// Who has?
pub const REQUEST: u16 = 1;
/// Is at.
pub const REPLY: u16 = 2;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Arp {
    /// [`REQUEST`] or [`REPLY`]; others exist and are kept.
    pub operation: u16,
    pub sender_mac: Mac,
    pub sender: Ipv4Addr,
    pub target_mac: Mac,
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads a packet; anything but IPv4 over Ethernet is an error that names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let (packet, _padding) = split(bytes, "arp", LENGTH)?;
        let want = |field, value: u16, expected: u16| {
            if value == expected {
                Ok(())
            } else {
                Err(PacketError::Field { layer: "arp", field, value: value.into() })
            }
        };
        want("hardware type", be16(packet, 0), 1)?;
        want("protocol type", be16(packet, 2), ETHERTYPE_IPV4)?;
        want("address lengths", be16(packet, 4), 0x0604)?;
        Ok(Arp {
            operation: be16(packet, 6),
            sender_mac: Mac(array(packet, 8)),
            sender: array(packet, 14).into(),
            target_mac: Mac(array(packet, 18)),
            target: array(packet, 24).into(),
        })
    }

    /// The packet as bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let [o0, o1] = self.operation.to_be_bytes();
        let fields: [&[u8]; 5] = [
            &[0, 1, 8, 0, 6, 4, o0, o1],
            &self.sender_mac.0,
            &self.sender.octets(),
            &self.target_mac.0,
            &self.target.octets(),
        ];
        for (to, from) in out.iter_mut().zip(fields.iter().copied().flatten()) {
            *to = *from;
        }
        out
    }
}
