//! The fixed part of an entry: addresses, devices, protocol.

use std::net::IpAddr;

use crate::netlink::Fixed;

/// An address compared under a mask; what it is compared with has its unmasked bits clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// The address.
    pub addr: IpAddr,
    /// The bits that count.
    pub mask: IpAddr,
    /// Everything else fits instead.
    pub invert: bool,
}

/// `struct ipt_ip` and `struct ip6t_ip6`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpSelector {
    /// Source; `None` for any.
    pub src: Option<Masked>,
    /// Destination.
    pub dst: Option<Masked>,
    /// Device of arrival, with a trailing `+` for a prefix, and whether inverted.
    pub iif: Option<(String, bool)>,
    /// Device of departure.
    pub oif: Option<(String, bool)>,
    /// Protocol and whether inverted.
    pub proto: Option<(u16, bool)>,
    /// IPv4: second and further fragments only (`true`) or anything but those.
    pub fragment: Option<bool>,
    /// IPv6: traffic class and whether inverted.
    pub tos: Option<(u8, bool)>,
    /// A jump of this rule does not come back.
    pub goto: bool,
}

const INV_VIA_IN: u8 = 0x01;
const INV_VIA_OUT: u8 = 0x02;
const INV_TOS: u8 = 0x04;
const INV_SRCIP: u8 = 0x08;
const INV_DSTIP: u8 = 0x10;
const INV_FRAG: u8 = 0x20;
const INV_PROTO: u8 = 0x40;

impl IpSelector {
    /// Of an entry of iptables; `None` if it is cut.
    #[must_use]
    pub fn of_ipv4(header: &[u8]) -> Option<Self> {
        let f = Fixed(header);
        let (proto, flags, inverted) = (f.u16(80)?, f.u8(82)?, f.u8(83)?);
        let has = |bit: u8| inverted & bit != 0;
        let address = |at| f.array::<4>(at).map(IpAddr::from);
        Some(IpSelector {
            src: masked(address(0)?, address(8)?, has(INV_SRCIP)),
            dst: masked(address(4)?, address(12)?, has(INV_DSTIP)),
            iif: device(f, 16, 48, has(INV_VIA_IN))?,
            oif: device(f, 32, 64, has(INV_VIA_OUT))?,
            proto: (proto != 0).then_some((proto, has(INV_PROTO))),
            // IPT_F_FRAG.
            fragment: (flags & 1 != 0).then_some(!has(INV_FRAG)),
            tos: None,
            // IPT_F_GOTO.
            goto: flags & 2 != 0,
        })
    }

    /// Of an entry of ip6tables; `None` if it is cut.
    #[must_use]
    pub fn of_ipv6(header: &[u8]) -> Option<Self> {
        let f = Fixed(header);
        let (proto, tos, flags, inverted) = (f.u16(128)?, f.u8(130)?, f.u8(131)?, f.u8(132)?);
        let has = |bit: u8| inverted & bit != 0;
        let address = |at| f.array::<16>(at).map(IpAddr::from);
        Some(IpSelector {
            src: masked(address(0)?, address(32)?, has(INV_SRCIP)),
            dst: masked(address(16)?, address(48)?, has(INV_DSTIP)),
            iif: device(f, 64, 96, has(INV_VIA_IN))?,
            oif: device(f, 80, 112, has(INV_VIA_OUT))?,
            // IP6T_F_PROTO, IP6T_F_TOS, IP6T_F_GOTO.
            proto: (flags & 1 != 0 && proto != 0).then_some((proto, has(INV_PROTO))),
            tos: (flags & 2 != 0).then_some((tos, has(INV_TOS))),
            goto: flags & 4 != 0,
            fragment: None,
        })
    }
}

/// A number compared under a mask, and whether inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedNumber {
    /// The number.
    pub value: u16,
    /// The bits that count.
    pub mask: u16,
    /// Everything else fits instead.
    pub invert: bool,
}

/// A hardware address compared under a mask, and whether inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedHardware {
    /// The address; devices with shorter ones use its beginning.
    pub addr: [u8; 16],
    /// The bits that count.
    pub mask: [u8; 16],
    /// Everything else fits instead.
    pub invert: bool,
}

/// `struct arpt_arp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArpSelector {
    /// Sender's protocol address.
    pub src: Option<Masked>,
    /// Target's protocol address.
    pub dst: Option<Masked>,
    /// Device of arrival, and whether inverted.
    pub iif: Option<(String, bool)>,
    /// Device of departure.
    pub oif: Option<(String, bool)>,
    /// Sender's hardware address.
    pub src_hardware: Option<MaskedHardware>,
    /// Target's hardware address.
    pub dst_hardware: Option<MaskedHardware>,
    /// Length of hardware addresses.
    pub hardware_length: Option<MaskedNumber>,
    /// 1 request, 2 reply.
    pub operation: Option<MaskedNumber>,
    /// `ARPHRD_*`.
    pub hardware_type: Option<MaskedNumber>,
    /// EtherType of the protocol.
    pub protocol_type: Option<MaskedNumber>,
}

impl ArpSelector {
    /// Of an entry of arptables; `None` if it is cut.
    #[must_use]
    pub fn of(header: &[u8]) -> Option<Self> {
        let f = Fixed(header);
        let inverted = f.u16(160)?;
        let has = |bit: u16| inverted & bit != 0;
        let address = |at| f.array::<4>(at).map(IpAddr::from);
        let hardware = |at, bit| {
            let (addr, mask) = (f.array::<16>(at)?, f.array::<16>(at + 16)?);
            let any = mask == [0; 16];
            Some((!any).then_some(MaskedHardware { addr, mask, invert: has(bit) }))
        };
        let number = |at, bit| {
            let (value, mask) = (f.be16(at)?, f.be16(at + 2)?);
            Some((mask != 0).then_some(MaskedNumber { value, mask, invert: has(bit) }))
        };
        let (length, length_mask) = (f.u8(16)?, f.u8(17)?);
        let length = MaskedNumber { value: length.into(), mask: length_mask.into(), invert: has(0x200) };
        Some(ArpSelector {
            src: masked(address(0)?, address(8)?, has(4)),
            dst: masked(address(4)?, address(12)?, has(8)),
            iif: device(f, 94, 126, has(1))?,
            oif: device(f, 110, 142, has(2))?,
            src_hardware: hardware(18, 0x10)?,
            dst_hardware: hardware(50, 0x20)?,
            hardware_length: (length_mask != 0).then_some(length),
            operation: number(82, 0x40)?,
            hardware_type: number(86, 0x80)?,
            protocol_type: number(90, 0x100)?,
        })
    }
}

fn masked(addr: IpAddr, mask: IpAddr, invert: bool) -> Option<Masked> {
    (!mask.is_unspecified() || invert).then_some(Masked { addr, mask, invert })
}

/// A device's name under its mask (`char[16]` each): the mask covers the name and its NUL, or for a prefix the
/// prefix alone, which then gets a trailing `+`. Empty: any device. `None` if it is cut.
#[must_use]
pub fn device_name(f: Fixed<'_>, name: usize, mask: usize) -> Option<String> {
    let (bytes, mask) = (f.bytes(name, 16)?, f.bytes(mask, 16)?);
    let length = bytes.iter().take_while(|byte| **byte != 0).count();
    let covered = mask.iter().take_while(|byte| **byte != 0).count();
    let text = |length| String::from_utf8_lossy(bytes.get(..length).unwrap_or(bytes)).into_owned();
    Some(match covered {
        0 => String::new(),
        covered if covered > length || length == 16 => text(length),
        covered => text(covered) + "+",
    })
}

fn device(f: Fixed<'_>, name: usize, mask: usize, invert: bool) -> Option<Option<(String, bool)>> {
    let text = device_name(f, name, mask)?;
    Some(match (text.is_empty(), invert) {
        (true, false) => None,
        (true, true) => Some(("+".to_owned(), true)),
        _ => Some((text, invert)),
    })
}
