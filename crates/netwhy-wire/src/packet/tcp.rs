//! TCP headers and options (RFC 9293).

use std::net::IpAddr;

use super::{PacketError, Sum, be16, be32, protocol, split};

/// Bytes of the header without options.
pub const HEADER: usize = 20;

/// Flag bits of the byte at offset 13.
pub mod flag {
    #![allow(missing_docs)]
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
    pub const ECE: u8 = 0x40;
    pub const CWR: u8 = 0x80;
}

/// A segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags: see [`flag`].
    pub flags: u8,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options, as much of them as there is.
    pub options: &'a [u8],
    /// Payload, as much of it as there is.
    pub payload: &'a [u8],
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TcpOption<'a> {
    MaximumSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    Timestamps { value: u32, echo: u32 },
    Other { kind: u8, data: &'a [u8] },
}

impl<'a> Tcp<'a> {
    /// Reads a segment.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) = split(bytes, "tcp", HEADER)?;
        let words = usize::from(header.get(12).copied().unwrap_or(0) >> 4);
        let Some(options) = (words * 4).checked_sub(HEADER) else {
            return Err(PacketError::Field { layer: "tcp", field: "data offset", value: words as u32 });
        };
        let (options, payload) = rest.split_at_checked(options).unwrap_or((rest, &[]));
        Ok(Tcp {
            src: be16(header, 0),
            dst: be16(header, 2),
            seq: be32(header, 4),
            ack: be32(header, 8),
            flags: header.get(13).copied().unwrap_or(0),
            window: be16(header, 14),
            urgent: be16(header, 18),
            options,
            payload,
        })
    }

    /// The options in order, up to the first that is malformed.
    pub fn options(&self) -> impl Iterator<Item = TcpOption<'a>> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            loop {
                match *rest.first()? {
                    0 => return None,
                    1 => rest = rest.get(1..)?,
                    kind => {
                        let length = usize::from(*rest.get(1)?);
                        let data = rest.get(2..length)?;
                        rest = rest.get(length..)?;
                        return Some(match (kind, data.len()) {
                            (2, 2) => TcpOption::MaximumSegmentSize(be16(data, 0)),
                            (3, 1) => TcpOption::WindowScale(data.first().copied().unwrap_or(0)),
                            (4, 0) => TcpOption::SackPermitted,
                            (8, 8) => TcpOption::Timestamps { value: be32(data, 0), echo: be32(data, 4) },
                            _ => TcpOption::Other { kind, data },
                        });
                    }
                }
            }
        })
    }

    /// The segment as bytes with its checksum for a packet between two addresses. Options are cut to the
    /// forty bytes that fit and padded to whole words.
    #[must_use]
    pub fn emit(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let options = self.options.get(..40).unwrap_or(self.options);
        let header = HEADER + options.len().next_multiple_of(4);
        let mut out = Vec::with_capacity(header + self.payload.len());
        out.extend(self.src.to_be_bytes());
        out.extend(self.dst.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([(header / 4) as u8 * 16, self.flags]);
        out.extend(self.window.to_be_bytes());
        out.extend([0, 0]);
        out.extend(self.urgent.to_be_bytes());
        out.extend(options);
        out.resize(header, 0);
        out.extend(self.payload);
        let sum = Sum::default().pseudo(src, dst, protocol::TCP, out.len()).plus(&out).finish();
        if let Some(field) = out.get_mut(16..18) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out
    }
}
