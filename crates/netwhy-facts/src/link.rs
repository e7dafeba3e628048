//! Links: network devices of one namespace. Source: RTM_GETLINK (rtnetlink), scope: namespace.

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// All links of the namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Links(pub Vec<Link>);

impl Fact for Links {
    const KIND: &'static str = "links";
}

impl Links {
    /// The link with this index.
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.0.iter().find(|l| l.index == index)
    }
    /// The link with this name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.0.iter().find(|l| l.name == name)
    }
}

/// One network device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index (ifi_index).
    pub index: u32,
    /// Name (IFLA_IFNAME).
    pub name: String,
    /// Kind (IFLA_INFO_KIND): veth, bridge, vlan, vxlan …; `None` for hardware and loopback.
    pub kind: Option<String>,
    /// Hardware type (ifi_type, ARPHRD_*): 1 Ethernet, 772 loopback, 65534 none.
    pub hw_type: u16,
    /// Hardware address (IFLA_ADDRESS), lower-case with colons; empty when the device has none.
    pub mac: String,
    /// MTU in bytes (IFLA_MTU).
    pub mtu: u32,
    /// Flags (IFF_*, ifi_flags) as the kernel's bits.
    pub flags: u32,
    /// Operational state (IFLA_OPERSTATE, RFC 2863).
    pub operstate: OperState,
    /// Carrier (IFLA_CARRIER); `None` when the kernel did not say.
    pub carrier: Option<bool>,
    /// Carrier changes since creation (IFLA_CARRIER_CHANGES), counter.
    pub carrier_changes: Option<u32>,
    /// Index of the master: bridge, bond, VRF (IFLA_MASTER).
    pub master: Option<u32>,
    /// Index of the lower or peer device (IFLA_LINK); in another namespace when `peer_netns` is set.
    pub lower: Option<u32>,
    /// Local id of the namespace the lower or peer device lives in (IFLA_LINK_NETNSID).
    pub peer_netns: Option<i32>,
    /// Root qdisc name (IFLA_QDISC).
    pub qdisc: String,
    /// Transmit queue length in packets (IFLA_TXQLEN).
    pub txqlen: u32,
    /// Device held down by a protocol (IFLA_PROTO_DOWN).
    pub proto_down: bool,
    /// Free text set by the administrator (IFLA_IFALIAS).
    pub alias: Option<String>,
    /// Counters (IFLA_STATS64), since creation.
    pub stats: LinkStats,
    /// XDP program (IFLA_XDP).
    pub xdp: Vec<XdpAttach>,
    /// State as a bridge port (IFLA_INFO_SLAVE_DATA of kind bridge).
    pub bridge_port: Option<BridgePort>,
    /// Settings as a bridge (IFLA_INFO_DATA of kind bridge).
    pub bridge: Option<Bridge>,
    /// VLAN device: id and whether 802.1ad (IFLA_VLAN_ID, IFLA_VLAN_PROTOCOL).
    pub vlan: Option<VlanDev>,
    /// VXLAN device settings.
    pub vxlan: Option<Vxlan>,
    /// Bond settings, when a bond.
    pub bond: Option<Bond>,
    /// Point-to-point tunnel endpoints (ipip, gre, sit, ip6tnl, vti, geneve).
    pub tunnel: Option<TunnelDev>,
    /// macvlan, macvtap or ipvlan mode in the kernel's words (bridge, private, vepa, passthru, source, l2, l3).
    pub mode: Option<String>,
    /// VRF table (IFLA_VRF_TABLE), when a VRF.
    pub vrf_table: Option<u32>,
    /// Attributes whose layout this build does not know, by number.
    pub unknown: Vec<u16>,
}

impl Link {
    /// IFF_UP: administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & 1 != 0
    }
    /// IFF_LOOPBACK.
    pub fn is_loopback(&self) -> bool {
        self.flags & 8 != 0
    }
    /// IFF_NOARP: no neighbour resolution.
    pub fn is_noarp(&self) -> bool {
        self.flags & 0x80 != 0
    }
    /// IFF_POINTOPOINT.
    pub fn is_pointopoint(&self) -> bool {
        self.flags & 0x10 != 0
    }
    /// IFF_LOWER_UP: the driver signals carrier.
    pub fn is_lower_up(&self) -> bool {
        self.flags & 0x1_0000 != 0
    }
}

/// Operational state (RFC 2863, IF_OPER_*).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are those of RFC 2863
pub enum OperState {
    #[default]
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

/// Counters of a link (struct rtnl_link_stats64), packets unless named bytes, since creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are those of struct rtnl_link_stats64
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_fifo_errors: u64,
    pub rx_missed_errors: u64,
    pub tx_aborted_errors: u64,
    pub tx_carrier_errors: u64,
    pub tx_fifo_errors: u64,
    pub tx_heartbeat_errors: u64,
    pub tx_window_errors: u64,
    #[serde(default)]
    pub rx_compressed: u64,
    #[serde(default)]
    pub tx_compressed: u64,
    pub rx_nohandler: u64,
    pub rx_otherhost_dropped: u64,
}

/// An XDP program on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpAttach {
    /// native, generic or offloaded (IFLA_XDP_ATTACHED).
    pub mode: String,
    /// Program id.
    pub prog_id: u32,
}

/// A bridge port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgePort {
    /// STP state (IFLA_BRPORT_STATE): disabled, listening, learning, forwarding, blocking.
    pub state: String,
    /// Isolated ports do not forward to each other (IFLA_BRPORT_ISOLATED).
    pub isolated: bool,
    /// Source address learning (IFLA_BRPORT_LEARNING).
    pub learning: bool,
    /// Flooding of unknown unicast (IFLA_BRPORT_UNICAST_FLOOD).
    pub unicast_flood: bool,
    /// Flooding of broadcast (IFLA_BRPORT_BCAST_FLOOD).
    pub bcast_flood: bool,
    /// Flooding of multicast (IFLA_BRPORT_MCAST_FLOOD).
    pub mcast_flood: bool,
    /// Frames go back out of the port they came in by (IFLA_BRPORT_MODE).
    pub hairpin: bool,
    /// Neighbour suppression (IFLA_BRPORT_NEIGH_SUPPRESS).
    pub neigh_suppress: bool,
    /// Locked port, 802.1X (IFLA_BRPORT_LOCKED).
    pub locked: bool,
    /// BPDU guard (IFLA_BRPORT_GUARD).
    pub guard: bool,
    /// Path cost.
    pub cost: u32,
    /// VLANs when the bridge filters them; empty otherwise.
    pub vlans: Vec<PortVlan>,
}

/// One VLAN of a bridge port (IFLA_BRIDGE_VLAN_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortVlan {
    /// VLAN id.
    pub vid: u16,
    /// Port VLAN for untagged frames.
    pub pvid: bool,
    /// Leaves untagged.
    pub untagged: bool,
}

/// A bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// VLAN filtering on (IFLA_BR_VLAN_FILTERING).
    pub vlan_filtering: bool,
    /// STP state (IFLA_BR_STP_STATE): 0 off, 1 kernel, 2 user space.
    pub stp_state: u32,
    /// Bridged IPv4 passes iptables/nft ip hooks for this bridge (IFLA_BR_NF_CALL_IPTABLES).
    pub nf_call_iptables: bool,
    /// As above for IPv6 (IFLA_BR_NF_CALL_IP6TABLES).
    pub nf_call_ip6tables: bool,
    /// As above for ARP (IFLA_BR_NF_CALL_ARPTABLES).
    pub nf_call_arptables: bool,
    /// Multicast snooping (IFLA_BR_MCAST_SNOOPING).
    pub mcast_snooping: bool,
    /// Default port VLAN.
    pub default_pvid: u16,
}

/// A VLAN device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanDev {
    /// VLAN id.
    pub id: u16,
    /// EtherType: 0x8100 or 0x88a8.
    pub protocol: u16,
}

/// A VXLAN device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vxlan {
    /// Network identifier (IFLA_VXLAN_ID).
    pub vni: u32,
    /// Default remote or multicast group.
    pub remote: Option<std::net::IpAddr>,
    /// Local tunnel address.
    pub local: Option<std::net::IpAddr>,
    /// UDP destination port, host order.
    pub port: u16,
    /// Learns remote addresses from data.
    pub learning: bool,
    /// Lower device index.
    pub lower: Option<u32>,
    /// Metadata mode.
    pub external: bool,
}

/// A bond.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// Mode number (IFLA_BOND_MODE).
    pub mode: u8,
    /// Index of the active slave.
    pub active: Option<u32>,
}

/// A tunnel device with fixed endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelDev {
    /// Local endpoint.
    pub local: Option<std::net::IpAddr>,
    /// Remote endpoint.
    pub remote: Option<std::net::IpAddr>,
    /// Input key.
    pub ikey: Option<u32>,
    /// Output key.
    pub okey: Option<u32>,
}

/// A forwarding-database entry of a bridge or VXLAN device (RTM_GETNEIGH, AF_BRIDGE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// Device (bridge port or VXLAN device) index.
    pub ifindex: u32,
    /// MAC address.
    pub mac: String,
    /// VLAN.
    pub vlan: Option<u16>,
    /// VXLAN remote.
    pub remote: Option<std::net::IpAddr>,
    /// Master bridge index.
    pub master: Option<u32>,
    /// Entry belongs to the device itself or was set by hand (NUD_PERMANENT).
    pub permanent: bool,
}

/// Forwarding databases of bridges and VXLAN devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fdb(pub Vec<FdbEntry>);

impl Fact for Fdb {
    const KIND: &'static str = "fdb";
}
