//! Devices (rtnetlink `RTM_NEWLINK`, uapi `linux/if_link.h`).

use std::os::fd::{AsRawFd, BorrowedFd};

use netwhy_wire::netlink::{Attributes, Builder};

use crate::words::{AF_BRIDGE, CREATE};
use crate::{ChangeError, Result, RouteWriter};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_GROUP: u16 = 2;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_BR_STP_STATE: u16 = 5;

const IFF_UP: u32 = 1;
const IFF_NOARP: u32 = 0x80;

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// A hardware address, `02:00:00:00:00:01`, as bytes.
pub fn hardware(text: &str) -> Result<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = parts
            .next()
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .ok_or_else(|| ChangeError::Usage(format!("{text} is not a hardware address")))?;
    }
    Ok(bytes)
}

impl RouteWriter<'_> {
    /// Adds a cable: one end here, the other in the namespace `other`; neither is up.
    pub fn veth_add(&mut self, device: &str, peer: &str, other: BorrowedFd<'_>) -> Result<()> {
        let mut message = Builder::with_header(&header(0, 0, 0));
        message.str(IFLA_IFNAME, device).nest(IFLA_LINKINFO, |info| {
            info.str(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |inner| {
                    inner.raw(&header(0, 0, 0));
                    inner.str(IFLA_IFNAME, peer);
                    inner.i32(IFLA_NET_NS_FD, other.as_raw_fd());
                });
            });
        });
        self.order(format!("add veth {device}"), RTM_NEWLINK, CREATE, message)
    }

    /// Attaches an XDP program in generic mode, as `ip link set dev DEV xdpgeneric` does, or takes it off.
    pub fn xdp_set(&mut self, device: &str, program: Option<BorrowedFd<'_>>) -> Result<()> {
        const XDP_FLAGS_SKB_MODE: u32 = 2;
        let fd = program.map_or(-1, |program| program.as_raw_fd());
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.nest(IFLA_XDP, |inside| {
            inside.i32(IFLA_XDP_FD, fd).u32(IFLA_XDP_FLAGS, XDP_FLAGS_SKB_MODE);
        });
        self.order(format!("set xdp of {device}"), RTM_SETLINK, 0, message)
    }

    /// The index of a device.
    pub fn index(&mut self, device: &str) -> Result<u32> {
        let mut message = Builder::with_header(&header(0, 0, 0));
        message.str(IFLA_IFNAME, device);
        let what = format!("look up {device}");
        let replies =
            self.socket.request(RTM_GETLINK, 0, &message.finish()?).map_err(ChangeError::netlink(what))?;
        let index = replies.first().and_then(|reply| reply.payload.get(4..8)?.try_into().ok());
        index.map(u32::from_ne_bytes).ok_or_else(|| ChangeError::Unexpected(format!("{device} has no index")))
    }

    /// The hardware address of a device.
    pub fn hardware_address(&mut self, device: &str) -> Result<String> {
        let mut message = Builder::with_header(&header(0, 0, 0));
        message.str(IFLA_IFNAME, device);
        let what = format!("look up {device}");
        let replies =
            self.socket.request(RTM_GETLINK, 0, &message.finish()?).map_err(ChangeError::netlink(what))?;
        let found =
            replies.first().and_then(|reply| Attributes::after(&reply.payload, 16).find(IFLA_ADDRESS));
        let bytes = found.map(|attribute| attribute.payload.to_vec()).unwrap_or_default();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
    }

    /// Adds a device that is not a veth: `fill` writes the kind's data.
    pub fn link_add(
        &mut self,
        device: &str,
        kind: &str,
        lower: Option<&str>,
        fill: impl FnOnce(&mut Builder),
    ) -> Result<()> {
        let lower = lower.map(|lower| self.index(lower)).transpose()?;
        let mut message = Builder::with_header(&header(0, 0, 0));
        message.str(IFLA_IFNAME, device);
        if let Some(lower) = lower {
            message.u32(IFLA_LINK, lower);
        }
        message.nest(IFLA_LINKINFO, |info| {
            info.str(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, fill);
        });
        self.order(format!("add {kind} {device}"), RTM_NEWLINK, CREATE, message)
    }

    /// Adds a bridge.
    pub fn bridge_add(&mut self, device: &str) -> Result<()> {
        self.link_add(device, "bridge", None, |_| {})
    }

    /// Turns the spanning tree of a bridge on or off.
    pub fn bridge_stp(&mut self, device: &str, on: bool) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.nest(IFLA_LINKINFO, |info| {
            info.str(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |data| {
                data.u32(IFLA_BR_STP_STATE, u32::from(on));
            });
        });
        self.order(format!("set {device} stp"), RTM_NEWLINK, 0, message)
    }

    /// Adds a macvlan device in bridge mode.
    pub fn macvlan_add(&mut self, device: &str, lower: &str) -> Result<()> {
        // MACVLAN_MODE_BRIDGE
        self.link_add(device, "macvlan", Some(lower), |data| {
            data.u32(IFLA_MACVLAN_MODE, 4);
        })
    }

    /// Adds a vxlan device towards one remote host.
    pub fn vxlan_add(&mut self, device: &str, vni: u32, local: &str, remote: &str, port: u16) -> Result<()> {
        let (local, remote) = (crate::words::ip(local)?, crate::words::ip(remote)?);
        self.link_add(device, "vxlan", None, |data| {
            data.u32(IFLA_VXLAN_ID, vni);
            data.ip(IFLA_VXLAN_GROUP, remote);
            data.ip(IFLA_VXLAN_LOCAL, local);
            data.be16(IFLA_VXLAN_PORT, port);
        })
    }

    /// Removes a device.
    pub fn link_del(&mut self, device: &str) -> Result<()> {
        let message = Builder::with_header(&header(self.index(device)?, 0, 0));
        self.order(format!("delete {device}"), RTM_DELLINK, 0, message)
    }

    /// Sets a device up.
    pub fn link_up(&mut self, device: &str) -> Result<()> {
        let message = Builder::with_header(&header(self.index(device)?, IFF_UP, IFF_UP));
        self.order(format!("set {device} up"), RTM_SETLINK, 0, message)
    }

    /// Sets a device down.
    pub fn link_down(&mut self, device: &str) -> Result<()> {
        let message = Builder::with_header(&header(self.index(device)?, 0, IFF_UP));
        self.order(format!("set {device} down"), RTM_SETLINK, 0, message)
    }

    /// Lets a device ask for hardware addresses, or not.
    pub fn link_arp(&mut self, device: &str, on: bool) -> Result<()> {
        let flags = if on { 0 } else { IFF_NOARP };
        let message = Builder::with_header(&header(self.index(device)?, flags, IFF_NOARP));
        self.order(format!("set {device} arp {on}"), RTM_SETLINK, 0, message)
    }

    /// Sets a device's MTU.
    pub fn link_mtu(&mut self, device: &str, bytes: u32) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.u32(IFLA_MTU, bytes);
        self.order(format!("set {device} mtu {bytes}"), RTM_SETLINK, 0, message)
    }

    /// Makes a device send one segment at a time. Larger ones pass a cable of the lab whatever the MTU at its
    /// other end.
    pub fn link_single_segments(&mut self, device: &str) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.u32(IFLA_GSO_MAX_SEGS, 1);
        self.order(format!("set {device} gso_max_segs 1"), RTM_SETLINK, 0, message)
    }

    /// Sets a device's hardware address.
    pub fn link_address(&mut self, device: &str, address: &str) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.bytes(IFLA_ADDRESS, &hardware(address)?);
        self.order(format!("set {device} address {address}"), RTM_SETLINK, 0, message)
    }

    /// Makes a device a port of a bridge, or of none.
    pub fn link_master(&mut self, device: &str, bridge: Option<&str>) -> Result<()> {
        let master = bridge.map_or(Ok(0), |bridge| self.index(bridge))?;
        let mut message = Builder::with_header(&header(self.index(device)?, 0, 0));
        message.u32(IFLA_MASTER, master);
        self.order(format!("set {device} master {bridge:?}"), RTM_SETLINK, 0, message)
    }

    /// Sets the state of a bridge port: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking.
    pub fn bridge_port_state(&mut self, port: &str, state: u8) -> Result<()> {
        let mut bytes = header(self.index(port)?, 0, 0);
        bytes[0] = AF_BRIDGE;
        let mut message = Builder::with_header(&bytes);
        message.nest(IFLA_PROTINFO, |inside| {
            inside.u8(IFLA_BRPORT_STATE, state);
        });
        self.order(format!("set port {port} state {state}"), RTM_SETLINK, 0, message)
    }
}
