//! IPv4 headers (RFC 791).

use std::net::Ipv4Addr;

use super::{PacketError, Sum, array, be16, split};

/// Bytes of the header without options.
pub const HEADER: usize = 20;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4<'a> {
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Length of the whole packet in bytes as declared; emitting computes it.
    pub total_length: u16,
    /// Identification.
    pub id: u16,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Where this fragment's payload belongs, in bytes.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Transport protocol.
    pub protocol: u8,
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Options, as much of them as there is.
    pub options: &'a [u8],
    /// Payload, as much of it as there is and the declared length covers.
    pub payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// An unfragmented packet with DF set and no options.
    #[must_use]
    pub const fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, ttl: u8, payload: &'a [u8]) -> Self {
        Ipv4 {
            tos: 0,
            total_length: 0,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl,
            protocol,
            src,
            dst,
            options: &[],
            payload,
        }
    }

    /// Reads a packet. A declared length of 0 (segmentation offload) covers everything.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) = split(bytes, "ipv4", HEADER)?;
        let first = header.first().copied().unwrap_or(0);
        if first >> 4 != 4 {
            return Err(PacketError::Field { layer: "ipv4", field: "version", value: u32::from(first >> 4) });
        }
        let words = usize::from(first & 0x0f);
        let Some(options) = (words * 4).checked_sub(HEADER) else {
            return Err(PacketError::Field { layer: "ipv4", field: "header length", value: words as u32 });
        };
        let total_length = be16(header, 2);
        let rest = match usize::from(total_length).checked_sub(HEADER) {
            Some(declared) => rest.get(..declared).unwrap_or(rest),
            None => rest,
        };
        let (options, payload) = rest.split_at_checked(options).unwrap_or((rest, &[]));
        let fragment = be16(header, 6);
        Ok(Ipv4 {
            tos: header.get(1).copied().unwrap_or(0),
            total_length,
            id: be16(header, 4),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: (fragment & 0x1fff) << 3,
            ttl: header.get(8).copied().unwrap_or(0),
            protocol: header.get(9).copied().unwrap_or(0),
            src: array(header, 12).into(),
            dst: array(header, 16).into(),
            options,
            payload,
        })
    }

    /// The packet as bytes, with length and checksum computed. Options are cut to the forty bytes that fit
    /// and padded to whole words; a payload longer than the length field can say is cut.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let options = self.options.get(..40).unwrap_or(self.options);
        let header = HEADER + options.len().next_multiple_of(4);
        let payload = self.payload.get(..usize::from(u16::MAX) - header).unwrap_or(self.payload);
        let mut flags = self.fragment_offset >> 3;
        flags |= u16::from(self.dont_fragment) << 14 | u16::from(self.more_fragments) << 13;
        let mut out = Vec::with_capacity(header + payload.len());
        out.extend([0x40 | (header / 4) as u8, self.tos]);
        out.extend(((header + payload.len()) as u16).to_be_bytes());
        out.extend(self.id.to_be_bytes());
        out.extend(flags.to_be_bytes());
        out.extend([self.ttl, self.protocol, 0, 0]);
        out.extend(self.src.octets());
        out.extend(self.dst.octets());
        out.extend(options);
        out.resize(header, 0);
        let sum = Sum::default().plus(&out).finish();
        if let Some(field) = out.get_mut(10..12) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out.extend(payload);
        out
    }
}
