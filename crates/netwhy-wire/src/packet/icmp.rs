//! ICMP for IPv4: echo and errors (RFC 792, RFC 1191 for the MTU word, RFC 4884 lengths ignored).

use super::{PacketError, Quoted, Sum, array, be16, split};

/// Bytes of the header.
pub const HEADER: usize = 8;
/// Echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Echo request.
pub const ECHO: u8 = 8;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Code of [`UNREACHABLE`]: fragmentation needed and DF set.
pub const FRAGMENTATION_NEEDED: u8 = 4;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The word after the checksum: identifier and sequence of an echo, MTU of fragmentation needed.
    pub rest: [u8; 4],
    /// What follows: echo data, or the packet an error quotes.
    pub payload: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// An echo request.
    #[must_use]
    pub const fn echo(id: u16, sequence: u16, payload: &'a [u8]) -> Self {
        let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
        Icmp { kind: ECHO, code: 0, rest: [a, b, c, d], payload }
    }

    /// Reads a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, payload) = split(bytes, "icmp", HEADER)?;
        let [kind, code] = array(header, 0);
        Ok(Icmp { kind, code, rest: array(header, 4), payload })
    }

    /// An error about another packet, as opposed to a query or its answer.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.kind, UNREACHABLE | 4 | 5 | TIME_EXCEEDED | 12)
    }

    /// The packet an error quotes.
    #[must_use]
    pub fn quoted(&self) -> Option<Quoted> {
        if self.is_error() { Quoted::parse(self.payload).ok() } else { None }
    }

    /// The MTU of fragmentation needed; 0 from routers older than RFC 1191.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        (self.kind == UNREACHABLE && self.code == FRAGMENTATION_NEEDED).then(|| be16(&self.rest, 2))
    }

    /// Identifier and sequence of an echo request or reply.
    #[must_use]
    pub fn echo_id(&self) -> Option<(u16, u16)> {
        matches!(self.kind, ECHO | ECHO_REPLY).then(|| (be16(&self.rest, 0), be16(&self.rest, 2)))
    }

    /// The message as bytes with its checksum.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        out.extend([self.kind, self.code, 0, 0]);
        out.extend(self.rest);
        out.extend(self.payload);
        let sum = Sum::default().plus(&out).finish();
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out
    }
}
