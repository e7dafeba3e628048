//! Ethernet II frames and VLAN tags inside them (IEEE 802.3, 802.1Q).

use super::{PacketError, array, be16, split};

/// Bytes of the header without tags.
pub const HEADER: usize = 14;
/// IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1ad service tag.
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// The address everybody listens to.
pub const BROADCAST: Mac = Mac([0xff; 6]);

/// A hardware address of six bytes. Displays as `02:00:00:00:00:01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// VLAN id of the outermost tag that is still in the frame; the kernel usually strips one.
    pub vlan: Option<u16>,
    /// What the payload is, after all tags.
    pub ethertype: u16,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads the header and up to two tags.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, mut payload) = split(bytes, "ethernet", HEADER)?;
        let mut ethertype = be16(header, 12);
        let mut vlan = None;
        for _ in 0..2 {
            if !matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_QINQ) {
                break;
            }
            let (tag, rest) = split(payload, "vlan tag", 4)?;
            vlan = vlan.or(Some(be16(tag, 0) & 0x0fff));
            ethertype = be16(tag, 2);
            payload = rest;
        }
        Ok(Ethernet { dst: Mac(array(header, 0)), src: Mac(array(header, 6)), vlan, ethertype, payload })
    }

    /// The frame as bytes, with one 802.1Q tag if it has a VLAN id; not padded to the minimum of the medium.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + 4 + self.payload.len());
        out.extend(self.dst.0);
        out.extend(self.src.0);
        if let Some(id) = self.vlan {
            out.extend(ETHERTYPE_VLAN.to_be_bytes());
            out.extend((id & 0x0fff).to_be_bytes());
        }
        out.extend(self.ethertype.to_be_bytes());
        out.extend(self.payload);
        out
    }
}
