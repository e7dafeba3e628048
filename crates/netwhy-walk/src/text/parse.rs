//! nft's words back into bytes: the inverse of how values, fields and keys are written.

use std::net::IpAddr;

use netwhy_facts::nft::PayloadBase;

use super::fields::{self, Header};
use super::values::{self, Plain, Ty};

/// A kind of value, and how many bytes one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NftType {
    ty: Ty,
    /// Bytes of a value.
    pub len: usize,
}

/// A header's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NftField {
    /// What it is counted from.
    pub base: PayloadBase,
    /// Its first bit.
    pub at: u32,
    /// Its bits.
    pub bits: u32,
    /// What it holds.
    pub kind: NftType,
}

const HEADERS: &[Header] = &[
    Header::Ether,
    Header::Vlan,
    Header::Arp,
    Header::Ip,
    Header::Ip6,
    Header::Tcp,
    Header::Udp,
    Header::Udplite,
    Header::Sctp,
    Header::Dccp,
    Header::Icmp,
    Header::Icmp6,
    Header::Igmp,
    Header::Ah,
    Header::Esp,
    Header::Comp,
    Header::Th,
];

/// A field by the names of its header and its own.
pub fn nft_field(header: &str, field: &str) -> Option<NftField> {
    let header = *HEADERS.iter().find(|one| one.name() == header)?;
    let (_, at, bits, ty) = *header.fields().iter().find(|one| one.0 == field)?;
    let base = match header {
        Header::Ether | Header::Vlan => PayloadBase::Link,
        Header::Arp | Header::Ip | Header::Ip6 => PayloadBase::Network,
        _ => PayloadBase::Transport,
    };
    let len = bits.div_ceil(8) as usize;
    Some(NftField { base, at, bits, kind: NftType { ty, len } })
}

/// The protocol number in front of a transport header.
pub fn nft_header_proto(header: &str) -> Option<u8> {
    (0..=u8::MAX).find(|number| Header::of_proto(*number).is_some_and(|one| one.name() == header))
}

/// A key of `meta` by name: its number and its values.
pub fn nft_meta(name: &str) -> Option<(u32, NftType)> {
    let (key, ty) = (0..64).find_map(|key| {
        let (known, ty, _) = fields::meta(key)?;
        (known == name).then_some((key, ty))
    })?;
    let len = match key {
        1 | 8 | 9 | 29 => 2,
        12 | 15 | 16 | 19 | 25 | 31 => 1,
        6 | 7 | 17 | 18 | 26 | 27 | 34 => 16,
        30 => 8,
        _ => 4,
    };
    Some((key, NftType { ty, len }))
}

/// A key of `ct` by name.
pub fn nft_ct(name: &str) -> Option<(u32, NftType)> {
    let (key, ty) = (0..32).find_map(|key| {
        let (known, ty) = fields::ct(key, false)?;
        (known == name).then_some((key, ty))
    })?;
    let len = match key {
        1 | 7 | 10 => 1,
        11 | 12 | 17 => 2,
        14..=16 => 8,
        6 | 13 | 21 | 22 => 16,
        _ => 4,
    };
    Some((key, NftType { ty, len }))
}

/// A type by the name sets are declared with, and its number.
pub fn nft_type(name: &str) -> Option<(u32, NftType)> {
    let number = (1..=46).find(|number| super::type_words(*number) == name)?;
    let ty = Ty::of_number(number)?;
    let len = match ty {
        Ty::Ip4 | Ty::Mark | Ty::IfIndex | Ty::Uid | Ty::Class | Ty::CtState | Ty::CtStatus | Ty::FibType => {
            4
        }
        _ => super::nft::type_len(ty),
    };
    Some((number, NftType { ty, len }))
}

impl NftType {
    /// The same kind with another number of bytes.
    #[must_use]
    pub const fn with_len(self, len: usize) -> Self {
        NftType { ty: self.ty, len }
    }

    /// nft's number of the type; what has none is an integer.
    pub fn number(self) -> u32 {
        (1..=46).find(|number| Ty::of_number(*number) == Some(self.ty)).unwrap_or(4)
    }

    /// Whether values are kept in the host's order.
    pub fn host_order(self) -> bool {
        self.ty.host_order()
    }

    /// Bits by name, of which several may be given.
    pub fn is_flags(self) -> bool {
        self.ty.is_flags()
    }

    /// Whether the value is the name of a device by its index, which the caller has to look up.
    pub fn is_device_index(self) -> bool {
        self.ty == Ty::IfIndex
    }

    /// Names that are compared as far as they go, so that `eth*` is a beginning.
    pub fn is_name(self) -> bool {
        self.ty == Ty::IfName
    }

    /// Durations, kept in milliseconds.
    pub fn is_time(self) -> bool {
        self.ty == Ty::Seconds
    }

    /// A number in the type's order.
    pub fn bytes_of(self, number: u64) -> Option<Vec<u8>> {
        let big = number.to_be_bytes();
        let skip = big.len().checked_sub(self.len.min(8))?;
        if big.iter().take(skip).any(|byte| *byte != 0) {
            return None;
        }
        let mut out = vec![0; self.len.saturating_sub(8)];
        out.extend(big.iter().skip(skip));
        if self.ty.host_order() && cfg!(target_endian = "little") {
            out.reverse();
        }
        Some(out)
    }

    /// The bytes of a value in words; `None` if it is none of this type.
    pub fn parse(self, text: &str) -> Option<Vec<u8>> {
        match self.ty {
            Ty::Ip4 => match text.parse().ok()? {
                IpAddr::V4(address) => Some(address.octets().to_vec()),
                IpAddr::V6(_) => None,
            },
            Ty::Ip6 => match text.parse().ok()? {
                IpAddr::V6(address) => Some(address.octets().to_vec()),
                IpAddr::V4(_) => None,
            },
            Ty::Mac => {
                let bytes: Option<Vec<u8>> =
                    text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
                bytes.filter(|bytes| bytes.len() == 6)
            }
            // Labels are bits with names of their own, and moments are in a time zone.
            Ty::CtLabel | Ty::Moment => None,
            Ty::IfName | Ty::Text => {
                // The name of a device has at most 15 bytes and a zero.
                if text.len() >= self.len {
                    return None;
                }
                let mut out = text.as_bytes().to_vec();
                out.resize(self.len, 0);
                Some(out)
            }
            Ty::Class if text == "none" => self.bytes_of(0),
            Ty::Class if text == "root" => self.bytes_of(0xffff_ffff),
            Ty::Class => {
                let (major, minor) = text.split_once(':')?;
                let part = |text: &str| u64::from_str_radix(text, 16).ok().filter(|part| *part <= 0xffff);
                self.bytes_of(part(major)? << 16 | part(minor)?)
            }
            _ => self.bytes_of(self.number_in(text)?),
        }
    }

    fn number_in(self, text: &str) -> Option<u64> {
        let plain = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        if plain.is_some() {
            return plain;
        }
        match self.ty {
            Ty::Proto => super::proto_number(text).map(u64::from),
            // nft's older word of one.
            Ty::EtherType if text == "vlan" => Some(0x8100),
            Ty::EtherType => {
                [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8].into_iter().find(|number| self.is(*number, text))
            }
            ty if ty.is_flags() => (0..32).map(|bit| 1 << bit).find(|bit| self.is(*bit, text)),
            // Every other kind of name stands for a small number.
            _ => (0..1024).find(|number| self.is(*number, text)),
        }
    }

    /// Whether a number is written as this word.
    fn is(self, number: u64, text: &str) -> bool {
        let Some(bytes) = self.bytes_of(number) else { return false };
        let shown = values::value(self.ty, &bytes, false, &Plain(&|_| None));
        shown == text || shown.trim_matches('"') == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_the_bytes_they_were_written_from() {
        let port = nft_field("tcp", "dport").unwrap();
        assert_eq!((port.base, port.at, port.bits), (PayloadBase::Transport, 16, 16));
        assert_eq!(port.kind.parse("80"), Some(vec![0, 80]));
        assert_eq!(port.kind.parse("70000"), None);
        let (key, state) = nft_ct("state").unwrap();
        assert_eq!((key, state.parse("established")), (0, Some(2_u32.to_ne_bytes().to_vec())));
        let (_, proto) = nft_meta("l4proto").unwrap();
        assert_eq!((proto.parse("icmpv6"), proto.parse("nonsense")), (Some(vec![58]), None));
        let kind = nft_field("icmp", "type").unwrap().kind;
        assert_eq!(kind.parse("echo-request"), Some(vec![8]));
        assert_eq!(nft_type("inet_service").unwrap().0, 13);
        assert_eq!(nft_header_proto("udp"), Some(17));
    }
}
