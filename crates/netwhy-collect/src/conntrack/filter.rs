//! Which entries of the table are wanted. What the kernel can filter by, it is asked to; everything is
//! compared again here, because older kernels ignore parts of a filter they do not know.

use std::net::IpAddr;

use netwhy_facts::conntrack::{CtEntry, CtListed, CtTuple};
use netwhy_facts::{Family, IpNet};
use netwhy_wire::netlink::Builder;

use super::message::{self, CTA_FILTER, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, part};

/// A wanted part of one direction's tuple.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CtSide {
    /// Source address or net.
    pub src: Option<IpNet>,
    /// Destination address or net.
    pub dst: Option<IpNet>,
    /// Source port, key or ICMP id.
    pub sport: Option<u16>,
    /// Destination port or key.
    pub dport: Option<u16>,
}

/// An address translation that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtNat {
    /// Of the source.
    pub source: bool,
    /// Of the destination.
    pub destination: bool,
    /// To this address.
    pub address: Option<IpAddr>,
}

/// What is wanted of the table; the default wants everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CtFilter {
    /// Address family.
    pub family: Option<Family>,
    /// Transport protocol.
    pub proto: Option<u8>,
    /// The original direction.
    pub orig: CtSide,
    /// The reply direction.
    pub reply: CtSide,
    /// ICMP type of the original direction.
    pub icmp_type: Option<u8>,
    /// ICMP code of the original direction.
    pub icmp_code: Option<u8>,
    /// Mark and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// Status bits that must be set.
    pub status: u32,
    /// Protocol state.
    pub state: Option<u8>,
    /// Translation; every one given must hold.
    pub nat: Vec<CtNat>,
    /// Zone.
    pub zone: Option<u16>,
    /// Zone of the original direction.
    pub orig_zone: Option<u16>,
    /// Zone of the reply direction.
    pub reply_zone: Option<u16>,
    /// SCTP verification tags of the two directions.
    pub vtags: (Option<u32>, Option<u32>),
}

impl CtFilter {
    /// Whether an entry is wanted.
    #[must_use]
    pub fn matches(&self, one: &CtListed) -> bool {
        let entry = &one.entry;
        let zone = |wanted: Option<u16>, has: Option<u16>| wanted.is_none_or(|wanted| has == Some(wanted));
        self.family.is_none_or(|family| Family::of(&entry.orig.src) == family)
            && self.proto.is_none_or(|proto| entry.orig.proto == proto)
            && side(&self.orig, &entry.orig)
            && side(&self.reply, &entry.reply)
            && self.icmp_type.is_none_or(|kind| entry.orig.dport.to_be_bytes()[0] == kind)
            && self.icmp_code.is_none_or(|code| entry.orig.dport.to_be_bytes()[1] == code)
            && self.mark.is_none_or(|(mark, mask)| one.mark.unwrap_or(0) & mask == mark & mask)
            && entry.status & self.status == self.status
            && self.state.is_none_or(|state| one.proto_state == Some(state))
            && self.nat.iter().all(|nat| translated(nat, entry))
            // Zone 0 is not sent.
            && self.zone.is_none_or(|wanted| one.zone.unwrap_or(0) == wanted)
            && zone(self.orig_zone, one.orig_zone)
            && zone(self.reply_zone, one.reply_zone)
            && self.vtags.0.is_none_or(|tag| one.vtags.is_some_and(|(orig, _)| orig == tag))
            && self.vtags.1.is_none_or(|tag| one.vtags.is_some_and(|(_, reply)| reply == tag))
    }

    /// The request for a listing: the family, and what the kernel compares by itself.
    pub(super) fn request(&self) -> Builder {
        let family = self.family.map_or(0, |family| if family == Family::Inet { 2 } else { 10 });
        let mut request = Builder::with_header(&[family, 0, 0, 0]);
        if let Some((mark, mask)) = self.mark {
            request.be32(8, mark).be32(21, mask);
        }
        if self.status != 0 {
            request.be32(3, self.status).be32(26, self.status);
        }
        if let Some(zone) = self.zone {
            request.be16(18, zone);
        }
        // The tuple filter needs a family, and a protocol for ports. The kernel compares IPv6 addresses the
        // wrong way round (seen on 6.18), so those are compared here only.
        if let Some(family) = self.family {
            let orig = self.parts(family, CTA_TUPLE_ORIG);
            let reply = self.parts(family, CTA_TUPLE_REPLY);
            if orig | reply != 0 {
                for (direction, parts) in [(CTA_TUPLE_ORIG, orig), (CTA_TUPLE_REPLY, reply)] {
                    if parts != 0 {
                        message::write(&mut request, direction, &self.tuple(family, direction));
                    }
                }
                request.nest(CTA_FILTER, |filter| {
                    filter.u32(1, orig).u32(2, reply);
                });
            }
        }
        request
    }

    fn side(&self, direction: u16) -> &CtSide {
        if direction == CTA_TUPLE_ORIG { &self.orig } else { &self.reply }
    }

    fn parts(&self, family: Family, direction: u16) -> u32 {
        let side = self.side(direction);
        let whole =
            |net: &Option<IpNet>| family == Family::Inet && net.as_ref().is_some_and(|net| net.len == 32);
        let mut parts = 0;
        for (wanted, bit) in [(whole(&side.src), part::SRC), (whole(&side.dst), part::DST)] {
            parts |= if wanted { bit } else { 0 };
        }
        if self.proto.is_some() && (direction == CTA_TUPLE_ORIG || parts != 0 || side.sport.is_some()) {
            parts |= part::PROTO;
        }
        if self.proto.is_some_and(|proto| matches!(proto, 6 | 17 | 132 | 136)) {
            for (wanted, bit) in [(side.sport, part::SPORT), (side.dport, part::DPORT)] {
                parts |= if wanted.is_some() { bit | part::PROTO } else { 0 };
            }
        }
        parts
    }

    fn tuple(&self, family: Family, direction: u16) -> CtTuple {
        let side = self.side(direction);
        let nowhere: IpAddr = if family == Family::Inet { [0_u8; 4].into() } else { [0_u8; 16].into() };
        let address = |net: &Option<IpNet>| net.as_ref().map_or(nowhere, |net| net.addr);
        CtTuple {
            src: address(&side.src),
            dst: address(&side.dst),
            proto: self.proto.unwrap_or(0),
            sport: side.sport.unwrap_or(0),
            dport: side.dport.unwrap_or(0),
        }
    }
}

fn side(wanted: &CtSide, tuple: &CtTuple) -> bool {
    wanted.src.as_ref().is_none_or(|net| net.contains(&tuple.src))
        && wanted.dst.as_ref().is_none_or(|net| net.contains(&tuple.dst))
        && wanted.sport.is_none_or(|port| tuple.sport == port)
        && wanted.dport.is_none_or(|port| tuple.dport == port)
}

/// Whether the reply's addresses or ports show the translation.
fn translated(wanted: &CtNat, entry: &CtEntry) -> bool {
    let to = |address: IpAddr| wanted.address.is_none_or(|wanted| wanted == address);
    let source = entry.is_snat() && to(entry.reply.dst);
    let destination = entry.is_dnat() && to(entry.reply.src);
    (wanted.source && source) || (wanted.destination && destination)
}
