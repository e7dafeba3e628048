//! IPv6 headers and the extension headers between them and the transport (RFC 8200).

use std::net::Ipv6Addr;

use super::{PacketError, array, be16, be32, split};

/// Bytes of the fixed header.
pub const HEADER: usize = 40;
/// Hop-by-hop options, routing, fragment, authentication, no next header, destination options.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6<'a> {
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Bytes after the fixed header as declared; emitting computes it.
    pub payload_length: u16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source.
    pub src: Ipv6Addr,
    /// Destination.
    pub dst: Ipv6Addr,
    /// What follows the fixed header, as much of it as there is and the declared length covers.
    pub payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// A packet without extension headers.
    #[must_use]
    pub const fn new(
        src: Ipv6Addr,
        dst: Ipv6Addr,
        next_header: u8,
        hop_limit: u8,
        payload: &'a [u8],
    ) -> Self {
        Ipv6 { traffic_class: 0, flow_label: 0, payload_length: 0, next_header, hop_limit, src, dst, payload }
    }

    /// Reads a packet. A declared length of 0 (jumbograms, segmentation offload) covers everything.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) = split(bytes, "ipv6", HEADER)?;
        let first = be32(header, 0);
        if first >> 28 != 6 {
            return Err(PacketError::Field { layer: "ipv6", field: "version", value: first >> 28 });
        }
        let payload_length = be16(header, 4);
        let declared = usize::from(payload_length);
        let payload = if declared == 0 { rest } else { rest.get(..declared).unwrap_or(rest) };
        Ok(Ipv6 {
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0x000f_ffff,
            payload_length,
            next_header: header.get(6).copied().unwrap_or(0),
            hop_limit: header.get(7).copied().unwrap_or(0),
            src: array::<16>(header, 8).into(),
            dst: array::<16>(header, 24).into(),
            payload,
        })
    }

    /// The transport protocol and its bytes behind the extension headers. `None` for a later fragment and
    /// where a header is cut.
    #[must_use]
    pub fn upper(&self) -> Option<(u8, &'a [u8])> {
        let (mut kind, mut rest) = (self.next_header, self.payload);
        // Each header has at least eight bytes, so the loop is bounded by the packet.
        loop {
            let length = match kind {
                HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(*rest.get(1)?) + 1) * 8,
                AUTHENTICATION => (usize::from(*rest.get(1)?) + 2) * 4,
                FRAGMENT => {
                    if be16(rest.get(..8)?, 2) & 0xfff8 != 0 {
                        return None;
                    }
                    8
                }
                _ => return Some((kind, rest)),
            };
            kind = *rest.first()?;
            rest = rest.get(length..)?;
        }
    }

    /// The packet as bytes with its length computed; a payload longer than the length field can say is cut.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let payload = self.payload.get(..usize::from(u16::MAX)).unwrap_or(self.payload);
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend(first.to_be_bytes());
        out.extend((payload.len() as u16).to_be_bytes());
        out.extend([self.next_header, self.hop_limit]);
        out.extend(self.src.octets());
        out.extend(self.dst.octets());
        out.extend(payload);
        out
    }
}
