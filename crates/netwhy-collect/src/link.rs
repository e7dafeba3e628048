//! Links (RTM_GETLINK), bridge ports and their VLANs, forwarding databases.

mod fdb;
mod kinds;

use netwhy_facts::Reading;
use netwhy_facts::link::{Link, LinkStats, Links, OperState, PortVlan, XdpAttach};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attribute, Attributes, Builder, Fixed};

pub use fdb::decode_fdb;

use crate::collector::Collector;
use crate::decode::{Decoded, header, mac, structure};
use crate::error::CollectError;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// `AF_BRIDGE`.
const AF_BRIDGE: u8 = 7;
const IFLA_EXT_MASK: u16 = 29;
/// `RTEXT_FILTER_BRVLAN_COMPRESSED`: VLANs of bridge ports, ranges in one piece.
const VLANS: u32 = 1 << 2;
/// `struct ifinfomsg`.
const HEADER: usize = 16;

impl Collector {
    /// All links of the namespace with their settings and counters.
    pub fn links(&self) -> Reading<Links> {
        Self::reading("RTM_GETLINK", "access to the network namespace", || {
            let mut links = self.link_dump()?;
            // A bridge that does not filter sends every VLAN everywhere.
            let filtering = links.iter().any(|link| link.bridge.as_ref().is_some_and(|b| b.vlan_filtering));
            if filtering {
                self.add_port_vlans(&mut links)?;
            }
            Ok(Links(links))
        })
    }

    pub(crate) fn link_dump(&self) -> Result<Vec<Link>, CollectError> {
        let wrong = CollectError::attribute("RTM_GETLINK");
        self.dump(Protocol::Route, RTM_GETLINK, &[0; HEADER], |links: &mut Vec<Link>, kind, payload| {
            if kind == RTM_NEWLINK {
                links.push(decode_link(payload).map_err(&wrong)?);
            }
            Ok(())
        })
    }

    fn add_port_vlans(&self, links: &mut [Link]) -> Result<(), CollectError> {
        let mut request = Builder::with_header(&{
            let mut header = [0; HEADER];
            header[0] = AF_BRIDGE;
            header
        });
        request.u32(IFLA_EXT_MASK, VLANS);
        let wrong = CollectError::attribute("RTM_GETLINK of AF_BRIDGE");
        let payload = request.finish()?;
        let vlans =
            self.dump(Protocol::Route, RTM_GETLINK, &payload, |all: &mut Vec<_>, kind, payload| {
                if kind == RTM_NEWLINK {
                    all.push(decode_port_vlans(payload).map_err(&wrong)?);
                }
                Ok(())
            })?;
        for (index, vlans) in vlans {
            let link = links.iter_mut().find(|link| link.index == index);
            if let Some(port) = link.and_then(|link| link.bridge_port.as_mut()) {
                port.vlans = vlans;
            }
        }
        Ok(())
    }
}

/// One link from the payload of an RTM_NEWLINK message (uapi `linux/if_link.h`, IFLA_*).
pub fn decode_link(payload: &[u8]) -> Decoded<Link> {
    let fixed = header(payload, HEADER)?;
    let mut link = Link {
        hw_type: fixed.u16(2).unwrap_or(0),
        index: fixed.u32(4).unwrap_or(0),
        flags: fixed.u32(8).unwrap_or(0),
        ..Link::default()
    };
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => link.mac = mac(attribute.payload),
            3 => link.name = attribute.text().into_owned(),
            4 => link.mtu = attribute.u32()?,
            5 => link.lower = Some(attribute.u32()?),
            6 => link.qdisc = attribute.text().into_owned(),
            10 => link.master = Some(attribute.u32()?),
            13 => link.txqlen = attribute.u32()?,
            16 => link.operstate = operstate(attribute.u8()?),
            18 => kinds::decode_info(&attribute, &mut link)?,
            20 => link.alias = Some(attribute.text().into_owned()),
            23 => link.stats = stats(structure(&attribute, 21 * 8)?),
            33 => link.carrier = Some(attribute.u8()? != 0),
            35 => link.carrier_changes = Some(attribute.u32()?),
            37 => link.peer_netns = Some(attribute.i32()?),
            39 => link.proto_down = attribute.u8()? != 0,
            43 => link.xdp = xdp(&attribute)?,
            // Known, and not part of any question: broadcast address, 32-bit counters, STP cost and priority,
            // wireless, protinfo, map, weight, link mode, virtual functions, per-family settings (read from
            // /proc/sys instead), group, queue counts, promiscuity, GSO limits, names by other schemes ...
            // 69 is IFLA_TAILROOM, the newest as of Linux 6.18.
            0..=69 => {}
            other => link.unknown.push(other),
        }
    }
    Ok(link)
}

fn operstate(number: u8) -> OperState {
    match number {
        1 => OperState::NotPresent,
        2 => OperState::Down,
        3 => OperState::LowerLayerDown,
        4 => OperState::Testing,
        5 => OperState::Dormant,
        6 => OperState::Up,
        _ => OperState::Unknown,
    }
}

/// `struct rtnl_link_stats64`; its last two fields are younger than the rest (4.6, 5.19).
fn stats(fixed: Fixed<'_>) -> LinkStats {
    let at = |index: usize| fixed.u64(index * 8).unwrap_or(0);
    LinkStats {
        rx_packets: at(0),
        tx_packets: at(1),
        rx_bytes: at(2),
        tx_bytes: at(3),
        rx_errors: at(4),
        tx_errors: at(5),
        rx_dropped: at(6),
        tx_dropped: at(7),
        multicast: at(8),
        collisions: at(9),
        rx_length_errors: at(10),
        rx_over_errors: at(11),
        rx_crc_errors: at(12),
        rx_frame_errors: at(13),
        rx_fifo_errors: at(14),
        rx_missed_errors: at(15),
        tx_aborted_errors: at(16),
        tx_carrier_errors: at(17),
        tx_fifo_errors: at(18),
        tx_heartbeat_errors: at(19),
        tx_window_errors: at(20),
        rx_compressed: at(21),
        tx_compressed: at(22),
        rx_nohandler: at(23),
        rx_otherhost_dropped: at(24),
    }
}

/// IFLA_XDP: one program in IFLA_XDP_PROG_ID with the mode in IFLA_XDP_ATTACHED, or several each in its own.
fn xdp(nest: &Attribute<'_>) -> Decoded<Vec<XdpAttach>> {
    let (mut mode, mut single, mut found) = (0, None, Vec::new());
    let named = |mode: &str, prog_id| XdpAttach { mode: mode.to_owned(), prog_id };
    for attribute in nest.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            2 => mode = attribute.u8()?,
            4 => single = Some(attribute.u32()?),
            5 => found.push(named("native", attribute.u32()?)),
            6 => found.push(named("generic", attribute.u32()?)),
            7 => found.push(named("offloaded", attribute.u32()?)),
            _ => {}
        }
    }
    // The per-mode attributes are younger (4.20) than the single one.
    if let (true, Some(id)) = (found.is_empty(), single) {
        let mode = match mode {
            1 => "native",
            2 => "generic",
            3 => "offloaded",
            _ => return Ok(found),
        };
        found.push(named(mode, id));
    }
    Ok(found)
}

/// Index and VLANs of a bridge port from an AF_BRIDGE RTM_NEWLINK message (IFLA_AF_SPEC,
/// IFLA_BRIDGE_VLAN_INFO), ranges expanded.
pub fn decode_port_vlans(payload: &[u8]) -> Decoded<(u32, Vec<PortVlan>)> {
    let fixed = header(payload, HEADER)?;
    let mut vlans = Vec::new();
    let mut begin = None;
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        if attribute.kind != 26 {
            continue;
        }
        for inner in attribute.attributes() {
            let inner = inner?;
            if inner.kind != 2 {
                continue;
            }
            let info = structure(&inner, 4)?;
            let (flags, vid) = (info.u16(0).unwrap_or(0), info.u16(2).unwrap_or(0));
            if flags & 8 != 0 {
                begin = Some(vid);
                continue;
            }
            let first = if flags & 16 != 0 { begin.take().unwrap_or(vid) } else { vid };
            // A VLAN id has twelve bits: a broken range cannot grow beyond them.
            for vid in first.min(4095)..=vid.min(4095) {
                vlans.push(PortVlan { vid, pvid: flags & 2 != 0, untagged: flags & 4 != 0 });
            }
        }
    }
    vlans.truncate(4096);
    Ok((fixed.u32(4).unwrap_or(0), vlans))
}
