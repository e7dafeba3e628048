//! ICMPv6: echo, errors, and neighbour discovery (RFC 4443, RFC 4861).

use std::net::Ipv6Addr;

use super::ethernet::Mac;
use super::{PacketError, Quoted, Sum, array, be16, protocol, split};

/// Bytes of the header.
pub const HEADER: usize = 8;
/// Destination unreachable.
pub const UNREACHABLE: u8 = 1;
/// Packet too big.
pub const TOO_BIG: u8 = 2;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 3;
/// Echo request.
pub const ECHO: u8 = 128;
/// Echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Neighbour solicitation.
pub const NEIGHBOUR_SOLICIT: u8 = 135;
/// Neighbour advertisement.
pub const NEIGHBOUR_ADVERT: u8 = 136;
/// Option: the sender's link-layer address.
const SOURCE_LINK: u8 = 1;
/// Option: the target's link-layer address.
const TARGET_LINK: u8 = 2;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmpv6<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The word after the checksum: identifier and sequence of an echo, MTU of packet too big.
    pub rest: [u8; 4],
    /// What follows: echo data, the packet an error quotes, target and options of neighbour discovery.
    pub payload: &'a [u8],
}

/// A neighbour solicitation or advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// True for an advertisement.
    pub advert: bool,
    /// The address asked for or announced.
    pub target: Ipv6Addr,
    /// The link-layer address option that belongs to the kind: the asker's or the target's.
    pub link: Option<Mac>,
}

impl<'a> Icmpv6<'a> {
    /// An echo request.
    #[must_use]
    pub const fn echo(id: u16, sequence: u16, payload: &'a [u8]) -> Self {
        let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
        Icmpv6 { kind: ECHO, code: 0, rest: [a, b, c, d], payload }
    }

    /// Reads a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, payload) = split(bytes, "icmpv6", HEADER)?;
        let [kind, code] = array(header, 0);
        Ok(Icmpv6 { kind, code, rest: array(header, 4), payload })
    }

    /// An error about another packet: the types below 128.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.kind < 128
    }

    /// The packet an error quotes.
    #[must_use]
    pub fn quoted(&self) -> Option<Quoted> {
        if self.is_error() { Quoted::parse(self.payload).ok() } else { None }
    }

    /// The MTU of packet too big.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        (self.kind == TOO_BIG).then(|| u32::from_be_bytes(self.rest))
    }

    /// Identifier and sequence of an echo request or reply.
    #[must_use]
    pub fn echo_id(&self) -> Option<(u16, u16)> {
        matches!(self.kind, ECHO | ECHO_REPLY).then(|| (be16(&self.rest, 0), be16(&self.rest, 2)))
    }

    /// The message as neighbour discovery, if it is a solicitation or advertisement.
    #[must_use]
    pub fn neighbour(&self) -> Option<Neighbour> {
        let advert = match self.kind {
            NEIGHBOUR_SOLICIT => false,
            NEIGHBOUR_ADVERT => true,
            _ => return None,
        };
        let (target, mut options) = self.payload.split_first_chunk::<16>()?;
        let wanted = if advert { TARGET_LINK } else { SOURCE_LINK };
        let mut link = None;
        while let Some((&[kind, length], _)) = options.split_first_chunk::<2>() {
            let size = usize::from(length) * 8;
            let Some(option) = options.get(..size).filter(|_| size > 0) else { break };
            if kind == wanted && size >= 8 && link.is_none() {
                link = Some(Mac(array(option, 2)));
            }
            options = options.get(size..).unwrap_or(&[]);
        }
        Some(Neighbour { advert, target: (*target).into(), link })
    }

    /// The message as bytes with its checksum for a packet between two addresses.
    #[must_use]
    pub fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        out.extend([self.kind, self.code, 0, 0]);
        out.extend(self.rest);
        out.extend(self.payload);
        let sum =
            Sum::default().pseudo(src.into(), dst.into(), protocol::ICMPV6, out.len()).plus(&out).finish();
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        out
    }
}

impl Neighbour {
    /// A solicitation as an ICMPv6 message between two addresses.
    #[must_use]
    pub fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
        let mut payload = self.target.octets().to_vec();
        if let Some(mac) = self.link {
            payload.extend([if self.advert { TARGET_LINK } else { SOURCE_LINK }, 1]);
            payload.extend(mac.0);
        }
        let kind = if self.advert { NEIGHBOUR_ADVERT } else { NEIGHBOUR_SOLICIT };
        // Advertisements here are answers to a solicitation that override: S and O.
        let rest = if self.advert { [0x60, 0, 0, 0] } else { [0; 4] };
        Icmpv6 { kind, code: 0, rest, payload: &payload }.emit(src, dst)
    }

    /// The solicited-node multicast address a solicitation for `target` goes to (RFC 4291 section 2.7.1).
    #[must_use]
    pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
        let [.., a, b, c] = target.octets();
        Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
    }

    /// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
    #[must_use]
    pub fn multicast_mac(group: Ipv6Addr) -> Mac {
        let [.., a, b, c, d] = group.octets();
        Mac([0x33, 0x33, a, b, c, d])
    }
}
