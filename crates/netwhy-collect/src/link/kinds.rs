//! What a link's kind adds: IFLA_LINKINFO.

use std::net::IpAddr;

use netwhy_facts::link::{Bond, Bridge, BridgePort, Link, TunnelDev, VlanDev, Vxlan};
use netwhy_wire::netlink::{Attribute, Attributes};

use crate::decode::{Decoded, given};

/// Reads IFLA_LINKINFO into the link. The kind comes before its data in every kernel, yet is looked up first.
pub(super) fn decode_info(info: &Attribute<'_>, link: &mut Link) -> Decoded<()> {
    let text = |kind| info.attributes().find(kind).map(|a| a.text().into_owned());
    link.kind = text(1);
    let slave = text(4);
    for attribute in info.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            2 => data(link, attribute.attributes())?,
            5 if slave.as_deref() == Some("bridge") => {
                link.bridge_port = Some(bridge_port(attribute.attributes())?);
            }
            _ => {}
        }
    }
    Ok(())
}

fn data(link: &mut Link, data: Attributes<'_>) -> Decoded<()> {
    match link.kind.as_deref().unwrap_or("") {
        "bridge" => link.bridge = Some(bridge(data)?),
        "vlan" => link.vlan = vlan(data)?,
        "vxlan" => link.vxlan = Some(vxlan(data)?),
        "bond" => link.bond = Some(bond(data)?),
        "vrf" => {
            link.vrf_table = data.find(1).map(|a| a.u32()).transpose()?;
        }
        "macvlan" | "macvtap" => {
            link.mode = data.find(1).map(|a| a.u32()).transpose()?.map(macvlan_mode);
        }
        "ipvlan" | "ipvtap" => {
            link.mode = data.find(1).map(|a| a.u16()).transpose()?.map(|mode| match mode {
                0 => "l2".to_owned(),
                1 => "l3".to_owned(),
                2 => "l3s".to_owned(),
                other => other.to_string(),
            });
        }
        "ipip" | "sit" | "ip6tnl" => link.tunnel = Some(tunnel(data, IPTUN)?),
        "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => {
            link.tunnel = Some(tunnel(data, GRE)?);
        }
        "vti" | "vti6" => link.tunnel = Some(tunnel(data, VTI)?),
        "geneve" => link.tunnel = Some(geneve(data)?),
        _ => {}
    }
    Ok(())
}

/// IFLA_BR_*.
fn bridge(data: Attributes<'_>) -> Decoded<Bridge> {
    let mut bridge = Bridge::default();
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            5 => bridge.stp_state = attribute.u32()?,
            7 => bridge.vlan_filtering = attribute.u8()? != 0,
            23 => bridge.mcast_snooping = attribute.u8()? != 0,
            36 => bridge.nf_call_iptables = attribute.u8()? != 0,
            37 => bridge.nf_call_ip6tables = attribute.u8()? != 0,
            38 => bridge.nf_call_arptables = attribute.u8()? != 0,
            39 => bridge.default_pvid = attribute.u16()?,
            _ => {}
        }
    }
    Ok(bridge)
}

/// IFLA_BRPORT_*.
fn bridge_port(data: Attributes<'_>) -> Decoded<BridgePort> {
    let mut port = BridgePort::default();
    for attribute in data {
        let attribute = attribute?;
        let on = || attribute.u8().map(|value| value != 0);
        match attribute.kind {
            1 => {
                port.state = match attribute.u8()? {
                    0 => "disabled".to_owned(),
                    1 => "listening".to_owned(),
                    2 => "learning".to_owned(),
                    3 => "forwarding".to_owned(),
                    4 => "blocking".to_owned(),
                    other => other.to_string(),
                };
            }
            3 => port.cost = attribute.u32()?,
            4 => port.hairpin = on()?,
            5 => port.guard = on()?,
            8 => port.learning = on()?,
            9 => port.unicast_flood = on()?,
            27 => port.mcast_flood = on()?,
            30 => port.bcast_flood = on()?,
            32 => port.neigh_suppress = on()?,
            33 => port.isolated = on()?,
            39 => port.locked = on()?,
            _ => {}
        }
    }
    Ok(port)
}

/// IFLA_VLAN_*.
fn vlan(data: Attributes<'_>) -> Decoded<Option<VlanDev>> {
    let (mut id, mut protocol) = (None, 0x8100);
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            1 => id = Some(attribute.u16()?),
            5 => protocol = attribute.be16()?,
            _ => {}
        }
    }
    Ok(id.map(|id| VlanDev { id, protocol }))
}

/// IFLA_VXLAN_*.
fn vxlan(data: Attributes<'_>) -> Decoded<Vxlan> {
    let mut vxlan = Vxlan::default();
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            1 => vxlan.vni = attribute.u32()?,
            2 | 16 => vxlan.remote = given(attribute.ip()?),
            3 => vxlan.lower = Some(attribute.u32()?).filter(|index| *index != 0),
            4 | 17 => vxlan.local = given(attribute.ip()?),
            7 => vxlan.learning = attribute.u8()? != 0,
            15 => vxlan.port = attribute.be16()?,
            // Older kernels send one byte, newer ones a bare flag.
            25 => vxlan.external = attribute.payload.first() != Some(&0),
            _ => {}
        }
    }
    Ok(vxlan)
}

/// IFLA_BOND_*.
fn bond(data: Attributes<'_>) -> Decoded<Bond> {
    let mut bond = Bond::default();
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            1 => bond.mode = attribute.u8()?,
            2 => bond.active = Some(attribute.u32()?).filter(|index| *index != 0),
            _ => {}
        }
    }
    Ok(bond)
}

/// MACVLAN_MODE_*: one bit each.
fn macvlan_mode(mode: u32) -> String {
    match mode {
        1 => "private".to_owned(),
        2 => "vepa".to_owned(),
        4 => "bridge".to_owned(),
        8 => "passthru".to_owned(),
        16 => "source".to_owned(),
        other => other.to_string(),
    }
}

/// Attribute numbers of one family of tunnels: end points, keys, and the words that say a key is in use.
struct Numbers {
    local: u16,
    remote: u16,
    keys: Option<(u16, u16)>,
    flags: Option<(u16, u16)>,
}

const IPTUN: Numbers = Numbers { local: 2, remote: 3, keys: None, flags: None };
const GRE: Numbers = Numbers { local: 6, remote: 7, keys: Some((4, 5)), flags: Some((2, 3)) };
const VTI: Numbers = Numbers { local: 4, remote: 5, keys: Some((2, 3)), flags: None };
/// `GRE_KEY` in IFLA_GRE_IFLAGS and IFLA_GRE_OFLAGS, as a network-order number.
const GRE_KEY: u16 = 0x2000;

fn tunnel(data: Attributes<'_>, numbers: Numbers) -> Decoded<TunnelDev> {
    let address = |kind: u16| -> Decoded<Option<IpAddr>> {
        Ok(data.clone().find(kind).map(|a| a.ip()).transpose()?.and_then(given))
    };
    let key = |kind: u16, flags: Option<u16>| -> Decoded<Option<u32>> {
        let value = data.clone().find(kind).map(|a| a.be32()).transpose()?;
        let Some(flags) = flags else { return Ok(value.filter(|key| *key != 0)) };
        let flags = data.clone().find(flags).map(|a| a.be16()).transpose()?.unwrap_or(0);
        Ok(value.filter(|_| flags & GRE_KEY != 0))
    };
    Ok(TunnelDev {
        local: address(numbers.local)?,
        remote: address(numbers.remote)?,
        ikey: numbers.keys.map(|(i, _)| key(i, numbers.flags.map(|f| f.0))).transpose()?.flatten(),
        okey: numbers.keys.map(|(_, o)| key(o, numbers.flags.map(|f| f.1))).transpose()?.flatten(),
    })
}

/// IFLA_GENEVE_*: the network identifier stands in for both keys.
fn geneve(data: Attributes<'_>) -> Decoded<TunnelDev> {
    let mut tunnel = TunnelDev::default();
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                tunnel.ikey = Some(attribute.u32()?);
                tunnel.okey = tunnel.ikey;
            }
            2 | 7 => tunnel.remote = given(attribute.ip()?),
            _ => {}
        }
    }
    Ok(tunnel)
}
