//! Sockets of no IP family: unix, packet, netlink, vsock. Sources: sock_diag, and `/proc/net` where its module is not loaded.

use serde::{Deserialize, Serialize};

use crate::socket::SkMem;

/// A unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixSocket {
    /// SOCK_STREAM (1), SOCK_DGRAM (2) or SOCK_SEQPACKET (5).
    pub kind: u8,
    /// `TCP_*` as a number: 1 connected, 7 not, 10 listening.
    pub state: u8,
    /// Inode in sockfs.
    pub inode: u64,
    /// Kernel cookie; 0 where `/proc/net/unix` was read.
    pub cookie: u64,
    /// Path, or abstract name behind `@`, raw; `None` for a socket without a name.
    pub name: Option<String>,
    /// Inode of the socket it is connected to.
    pub peer: Option<u32>,
    /// Inode and device of the path.
    pub vfs: Option<(u32, u32)>,
    /// Inodes of connections that wait for accept().
    pub waiting: Option<Vec<u32>>,
    /// Bytes to be received, or connections that wait.
    pub rqueue: u32,
    /// Bytes sent and not yet received, or a listener's limit.
    pub wqueue: u32,
    /// Memory.
    pub mem: Option<SkMem>,
    /// Shutdown bits: 1 receive, 2 send.
    pub shutdown: Option<u8>,
    /// Owner's user id (since Linux 5.3).
    pub uid: Option<u32>,
    /// References to it; known from `/proc/net/unix`.
    pub refs: Option<u32>,
    /// Its address in the kernel, as far as that is shown; known from `/proc/net/unix`.
    pub address: Option<String>,
}

/// A packet socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSocket {
    /// SOCK_RAW (3) or SOCK_DGRAM (2).
    pub kind: u8,
    /// Ethernet protocol it takes (ETH_P_*); 3 for all, 0 for none.
    pub protocol: u16,
    /// Inode in sockfs.
    pub inode: u64,
    /// Kernel cookie; 0 where `/proc/net/packet` was read.
    pub cookie: u64,
    /// Device it is bound to; 0 for all.
    pub ifindex: u32,
    /// Version of the ring's headers, less one.
    pub version: Option<u32>,
    /// Bytes of a packet copied beside the ring.
    pub copy_thresh: Option<u32>,
    /// PDI_* flags.
    pub flags: Option<u32>,
    /// Receive and transmit ring.
    pub rx_ring: Option<PacketRing>,
    /// The ring packets are sent from.
    pub tx_ring: Option<PacketRing>,
    /// Fanout group in the low half, its kind in the high one.
    pub fanout: Option<u32>,
    /// Owner's user id.
    pub uid: Option<u32>,
    /// Bytes waiting to be received.
    pub rqueue: u32,
    /// Memory.
    pub mem: Option<SkMem>,
    /// Classic filter: code, jumps, argument of each instruction.
    pub filter: Option<Vec<(u16, u8, u8, u32)>>,
}

/// A packet socket's ring (`struct packet_diag_ring`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PacketRing {
    pub block_size: u32,
    pub block_nr: u32,
    pub frame_size: u32,
    pub frame_nr: u32,
    /// Milliseconds after which a block is handed over though not full.
    pub timeout: u32,
    pub private: u32,
    pub features: u32,
}

/// A netlink socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetlinkSocket {
    /// NETLINK_* protocol.
    pub protocol: u8,
    /// Port id; 0 for the kernel's own.
    pub port: u32,
    /// Group it sends to.
    pub dst_port: u32,
    /// Inode in sockfs.
    pub inode: u64,
    /// Kernel cookie; 0 where `/proc/net/netlink` was read.
    pub cookie: u64,
    /// Groups it listens to, the first 32 as bits.
    pub groups: u32,
    /// Bytes waiting to be received.
    pub rqueue: u32,
    /// Bytes on their way out.
    pub wqueue: u32,
    /// Memory.
    pub mem: Option<SkMem>,
    /// Messages dropped because its buffer was full; known from `/proc/net/netlink` and from `mem`.
    pub drops: Option<u32>,
}

/// A vsock socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsockSocket {
    /// SOCK_STREAM (1), SOCK_DGRAM (2) or SOCK_SEQPACKET (5).
    pub kind: u8,
    /// `TCP_*` as a number.
    pub state: u8,
    /// Shutdown bits: 1 receive, 2 send.
    pub shutdown: u8,
    /// Local context id and port; all ones for any.
    pub local: (u32, u32),
    /// Remote context id and port.
    pub remote: (u32, u32),
    /// Inode in sockfs.
    pub inode: u64,
    /// Kernel cookie.
    pub cookie: u64,
}
