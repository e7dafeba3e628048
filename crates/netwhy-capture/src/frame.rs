//! A captured frame that owns its bytes.

use std::time::Duration;

use netwhy_sys::packet::{Direction, Frame as Borrowed};
use netwhy_wire::packet::ethernet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Mac,
};

/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK` (uapi `linux/if_arp.h`): the devices whose frames begin with an Ethernet
/// header.
const ETHERNET: [u16; 2] = [1, 772];

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel saw it, since 1970.
    pub at: Duration,
    /// The device.
    pub ifindex: u32,
    /// Which way.
    pub direction: Direction,
    /// EtherType of the packet itself, behind all tags.
    pub ethertype: u16,
    /// VLAN number, whether the tag was still in the frame or not.
    pub vlan: Option<u16>,
    /// Destination and source of an Ethernet header.
    pub macs: Option<(Mac, Mac)>,
    /// Bytes the frame had.
    pub length: u32,
    /// From the network header on, as much as was kept.
    pub packet: Vec<u8>,
}

impl Frame {
    /// Takes over what is to be kept. `None` if the frame ends before its network header.
    #[must_use]
    pub fn new(frame: &Borrowed<'_>) -> Option<Self> {
        let mut packet = frame.data.get(frame.network_offset..)?;
        let mut ethertype = frame.protocol;
        let mut vlan = frame.vlan.map(|tag| tag.tci & 0x0fff);
        if matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_QINQ) {
            // A tag that is still there: the network header is either behind it or the tag itself.
            if let Some((tag, inner)) = behind_tag(packet) {
                (ethertype, packet) = (inner, packet.get(4..)?);
                vlan = vlan.or(Some(tag));
            } else {
                ethertype = looks_like(packet)?;
                vlan = vlan.or_else(|| {
                    let tag = frame.data.get(frame.network_offset.checked_sub(4)?..)?.first_chunk::<2>()?;
                    Some(u16::from_be_bytes(*tag) & 0x0fff)
                });
            }
        }
        let ethernet = ETHERNET.contains(&frame.hardware) && frame.network_offset >= 14;
        let macs = || Some((Mac(*frame.data.first_chunk()?), Mac(*frame.data.get(6..)?.first_chunk()?)));
        Some(Frame {
            at: frame.at,
            ifindex: frame.ifindex,
            direction: frame.direction,
            ethertype,
            vlan,
            macs: if ethernet { macs() } else { None },
            length: frame.length,
            packet: packet.to_vec(),
        })
    }
}

/// The VLAN number and EtherType of a tag with a packet of that kind behind it.
fn behind_tag(bytes: &[u8]) -> Option<(u16, u16)> {
    let [t0, t1, e0, e1] = *bytes.first_chunk::<4>()?;
    let ethertype = u16::from_be_bytes([e0, e1]);
    let found = looks_like(bytes.get(4..)?)?;
    (found == ethertype).then_some((u16::from_be_bytes([t0, t1]) & 0x0fff, ethertype))
}

/// What a packet is by its first bytes.
fn looks_like(bytes: &[u8]) -> Option<u16> {
    match (bytes.first()? >> 4, bytes.get(..4)?) {
        (4, _) => Some(ETHERTYPE_IPV4),
        (6, _) => Some(ETHERTYPE_IPV6),
        (_, [0, 1, 8, 0]) => Some(ETHERTYPE_ARP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_sys::packet::Vlan;
    use netwhy_wire::packet::ethernet::Ethernet;
    use netwhy_wire::packet::ipv4::Ipv4;

    fn frame(data: &[u8], network_offset: usize, protocol: u16) -> Borrowed<'_> {
        Borrowed {
            data,
            network_offset,
            length: data.len() as u32,
            at: Duration::ZERO,
            ifindex: 3,
            direction: Direction::Outgoing,
            protocol,
            hardware: 1,
            link_address: &[],
            vlan: None,
            checksum_pending: false,
            segmented_later: false,
        }
    }

    #[test]
    fn tags_are_found_wherever_they_are() {
        let packet = Ipv4::new([198, 51, 100, 1].into(), [198, 51, 100, 2].into(), 6, 64, &[0; 20]).emit();
        let (dst, src) = (Mac([2; 6]), Mac([4; 6]));
        let plain = Ethernet { dst, src, vlan: None, ethertype: ETHERTYPE_IPV4, payload: &packet }.emit();
        let tagged =
            Ethernet { dst, src, vlan: Some(100), ethertype: ETHERTYPE_IPV4, payload: &packet }.emit();
        let expect = |vlan, length: usize| Frame {
            at: Duration::ZERO,
            ifindex: 3,
            direction: Direction::Outgoing,
            ethertype: ETHERTYPE_IPV4,
            vlan,
            macs: Some((dst, src)),
            length: length as u32,
            packet: packet.clone(),
        };
        // Never tagged; taken out by the kernel; sent with the tag in place; the inner one of two.
        assert_eq!(Frame::new(&frame(&plain, 14, ETHERTYPE_IPV4)), Some(expect(None, plain.len())));
        let stripped =
            Borrowed { vlan: Some(Vlan { tci: 0x6064, tpid: 0x8100 }), ..frame(&plain, 14, ETHERTYPE_IPV4) };
        assert_eq!(Frame::new(&stripped), Some(expect(Some(100), plain.len())));
        assert_eq!(Frame::new(&frame(&tagged, 18, ETHERTYPE_VLAN)), Some(expect(Some(100), tagged.len())));
        assert_eq!(Frame::new(&frame(&tagged, 14, ETHERTYPE_VLAN)), Some(expect(Some(100), tagged.len())));
    }

    #[test]
    fn a_frame_cut_before_its_packet_is_none() {
        assert_eq!(Frame::new(&frame(&[0; 10], 14, ETHERTYPE_IPV4)), None);
        assert_eq!(Frame::new(&frame(&[0; 16], 14, ETHERTYPE_VLAN)), None);
        let tunnel = Borrowed { hardware: 65534, ..frame(&[0x45; 20], 0, ETHERTYPE_IPV4) };
        assert_eq!(Frame::new(&tunnel).unwrap().macs, None);
    }
}
