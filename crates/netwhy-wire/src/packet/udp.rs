//! UDP headers (RFC 768).

use std::net::IpAddr;

use super::{PacketError, Sum, be16, protocol, split};

/// Bytes of the header.
pub const HEADER: usize = 8;

/// A datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Bytes of header and payload as declared; emitting computes it.
    pub length: u16,
    /// Payload, as much of it as there is and the declared length covers.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Reads a datagram.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) = split(bytes, "udp", HEADER)?;
        let length = be16(header, 4);
        let payload = match usize::from(length).checked_sub(HEADER) {
            Some(declared) => rest.get(..declared).unwrap_or(rest),
            None => rest,
        };
        Ok(Udp { src: be16(header, 0), dst: be16(header, 2), length, payload })
    }

    /// The datagram as bytes with length and checksum for a packet between two addresses.
    #[must_use]
    pub fn emit(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let payload = self.payload.get(..usize::from(u16::MAX) - HEADER).unwrap_or(self.payload);
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend(self.src.to_be_bytes());
        out.extend(self.dst.to_be_bytes());
        out.extend(((HEADER + payload.len()) as u16).to_be_bytes());
        out.extend([0, 0]);
        out.extend(payload);
        let sum = Sum::default().pseudo(src, dst, protocol::UDP, out.len()).plus(&out).finish();
        // Zero would say that there is no checksum.
        let sum = if sum == 0 { 0xffff } else { sum };
        if let Some(field) = out.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out
    }
}
