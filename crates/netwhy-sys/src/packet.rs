//! Frames as devices see them (`packet(7)`): capture into a shared ring, and sending raw ones.
//!
//! Never promiscuous. The filter is in place before the socket is bound, so no frame that it would have
//! refused is ever seen. Needs `CAP_NET_RAW`.

mod ring;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::{Result, SysError};
use crate::fd;
use crate::filter::{self, Instruction};
use crate::poll::{self, Interest};
use ring::Ring;

/// `ETH_P_ALL`: every protocol (uapi `linux/if_ether.h`).
pub const ETH_P_ALL: u16 = 3;

const SOL_PACKET: i32 = 263;
const PACKET_STATISTICS: i32 = 6;
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// Where a frame's data starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// With the link header (`SOCK_RAW`).
    Link,
    /// With the network header (`SOCK_DGRAM`): the same for every kind of device.
    Network,
}

impl Layer {
    const fn socket_type(self) -> i32 {
        match self {
            Layer::Link => libc::SOCK_RAW,
            Layer::Network => libc::SOCK_DGRAM,
        }
    }
}

/// What to capture, and into how much memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// One device, or all of the namespace.
    pub ifindex: Option<u32>,
    /// `ETH_P_*`; [`ETH_P_ALL`] also shows what leaves, a single protocol only what arrives.
    pub protocol: u16,
    /// Where data starts.
    pub layer: Layer,
    /// Classic BPF; empty accepts everything.
    pub filter: Vec<Instruction>,
    /// Bytes to keep of each frame.
    pub snap_length: u32,
    /// Leave out what leaves (since Linux 4.20).
    pub ignore_outgoing: bool,
    /// Bytes of a ring block; a power of two and at least a page.
    pub block_size: u32,
    /// Blocks in the ring.
    pub blocks: u32,
    /// How long frames may wait in a block that is not full.
    pub block_timeout: Duration,
}

impl Default for Config {
    /// All devices, whole headers, 2 MiB.
    fn default() -> Self {
        Config {
            ifindex: None,
            protocol: ETH_P_ALL,
            layer: Layer::Link,
            filter: Vec::new(),
            snap_length: 256,
            ignore_outgoing: false,
            block_size: 128 * 1024,
            blocks: 16,
            block_timeout: Duration::from_millis(10),
        }
    }
}

/// Which way a frame went (`sll_pkttype`, uapi `linux/if_packet.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To this host.
    Host,
    /// To everybody on the link.
    Broadcast,
    /// To a group.
    Multicast,
    /// To another host; seen because the device is promiscuous for somebody else, or a bridge floods.
    OtherHost,
    /// From this host.
    Outgoing,
    /// A kind this program has no name for.
    Other(u8),
}

impl Direction {
    const fn new(kind: u8) -> Self {
        match kind {
            0 => Direction::Host,
            1 => Direction::Broadcast,
            2 => Direction::Multicast,
            3 => Direction::OtherHost,
            4 => Direction::Outgoing,
            other => Direction::Other(other),
        }
    }
}

/// A VLAN tag that the kernel or the device took out of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vlan {
    /// Priority and VLAN number.
    pub tci: u16,
    /// The tag's protocol, 0x8100 or 0x88a8; 0 where the kernel does not say.
    pub tpid: u16,
}

/// One captured frame. It borrows the ring: copy what is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// As much as was kept.
    pub data: &'a [u8],
    /// Where in `data` the kernel takes the network header to be; it may lie past the end of a cut frame.
    pub network_offset: usize,
    /// Bytes the frame had.
    pub length: u32,
    /// When the kernel saw it, since 1970.
    pub at: Duration,
    /// The device.
    pub ifindex: u32,
    /// Which way.
    pub direction: Direction,
    /// `ETH_P_*`.
    pub protocol: u16,
    /// The kind of device (`ARPHRD_*`).
    pub hardware: u16,
    /// The sender's link address; empty if the device has none.
    pub link_address: &'a [u8],
    /// A tag that is no longer in `data`.
    pub vlan: Option<Vlan>,
    /// The checksum is to be filled in by the device: a wrong one here means nothing.
    pub checksum_pending: bool,
    /// One large segment that the device will cut up: longer than the MTU without anything being wrong.
    pub segmented_later: bool,
}

/// What the kernel counted since the capture began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Frames the filter accepted, lost ones included.
    pub accepted: u64,
    /// Of these, lost because the ring was full.
    pub dropped: u64,
    /// How often the ring was full.
    pub freezes: u64,
}

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    fd: OwnedFd,
    ring: Ring,
    statistics: Statistics,
}

impl Capture {
    /// Starts it in the calling thread's network namespace. From here on nothing that passes is missed
    /// without being counted.
    pub fn open(config: &Config) -> Result<Self> {
        // Protocol 0 hears nothing until bound.
        let fd = fd::socket(libc::AF_PACKET, config.layer.socket_type() | libc::SOCK_NONBLOCK, 0)
            .map_err(|error| SysError { object: "packet".to_owned(), ..error })?;
        filter::attach(fd.as_fd(), &filter::with_snap_length(&config.filter, config.snap_length))?;
        if config.ignore_outgoing {
            let operation = "setsockopt PACKET_IGNORE_OUTGOING";
            fd::set_int(fd.as_fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, operation)?;
        }
        let ring = Ring::new(fd.as_fd(), config)?;
        bind(fd.as_fd(), config.ifindex, config.protocol)?;
        Ok(Capture { fd, ring, statistics: Statistics::default() })
    }

    /// The next frame; `None` if none came until the deadline. Frames reach the reader up to the block
    /// timeout after they passed: wait that much longer for the last one.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Frame<'_>>> {
        loop {
            if let Some(place) = self.ring.advance() {
                // Looked at twice because a borrow cannot be given up again in a loop.
                if self.ring.frame(place).is_none() {
                    continue;
                }
                return Ok(self.ring.frame(place));
            }
            if !poll::wait(self.fd.as_fd(), Interest::READ, Some(deadline))? {
                return Ok(None);
            }
            // A device that went away is reported once as an error, which also ends the wait.
            let error =
                fd::get_int(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, "getsockopt SO_ERROR")?;
            if error != 0 {
                return Err(SysError::new("read packet ring", "", crate::errno::Errno::new(error)));
            }
        }
    }

    /// The counts so far.
    pub fn statistics(&mut self) -> Result<Statistics> {
        // struct tpacket_stats_v3: packets, drops, freezes; the kernel starts over at each reading.
        let mut bytes = [0; 12];
        fd::get_option(
            self.fd.as_fd(),
            SOL_PACKET,
            PACKET_STATISTICS,
            &mut bytes,
            "getsockopt PACKET_STATISTICS",
        )?;
        let mut words =
            bytes.chunks_exact(4).map(|word| word.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b)));
        let mut take = || u64::from(words.next().unwrap_or(0));
        self.statistics.accepted += take();
        self.statistics.dropped += take();
        self.statistics.freezes += take();
        Ok(self.statistics)
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sends frames by one device, past routing and past most filters. It hears nothing.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
    ifindex: u32,
}

impl Sender {
    /// Opens it in the calling thread's network namespace.
    pub fn open(ifindex: u32, layer: Layer) -> Result<Self> {
        let fd = fd::socket(libc::AF_PACKET, layer.socket_type() | libc::SOCK_NONBLOCK, 0)
            .map_err(|error| SysError { object: "packet".to_owned(), ..error })?;
        Ok(Sender { fd, ifindex })
    }

    /// Sends one frame. With [`Layer::Network`] the kernel writes the link header from `protocol` and
    /// `destination`; with [`Layer::Link`] both only describe what the frame itself says.
    pub fn send(&self, frame: &[u8], protocol: u16, destination: &[u8]) -> Result<usize> {
        let address = link_address(Some(self.ifindex), protocol, destination);
        fd::send_to(self.fd.as_fd(), frame, &address, 0)
            .map_err(|error| SysError { object: format!("ifindex {}", self.ifindex), ..error })
    }
}

fn bind(fd: BorrowedFd<'_>, ifindex: Option<u32>, protocol: u16) -> Result<()> {
    fd::bind(fd, &link_address(ifindex, protocol, &[])).map_err(|error| SysError {
        object: ifindex.map_or_else(|| "all devices".to_owned(), |index| format!("ifindex {index}")),
        ..error
    })
}

/// `struct sockaddr_ll`.
fn link_address(ifindex: Option<u32>, protocol: u16, hardware: &[u8]) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&protocol.to_be_bytes());
    bytes[4..8].copy_from_slice(&ifindex.unwrap_or(0).to_ne_bytes());
    let length = hardware.len().min(8);
    bytes[11] = length as u8;
    for (to, from) in bytes[12..].iter_mut().zip(hardware) {
        *to = *from;
    }
    bytes
}

impl<'a> Frame<'a> {
    /// Reads `struct tpacket3_hdr` and the `sockaddr_ll` behind it; `None` if either is cut.
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let u32_at = |offset: usize| Some(u32::from_ne_bytes(*packet.get(offset..)?.first_chunk()?));
        let u16_at = |offset: usize| Some(u16::from_ne_bytes(*packet.get(offset..)?.first_chunk()?));
        const STATUS_CHECKSUM_NOT_READY: u32 = 1 << 3;
        const STATUS_VLAN_VALID: u32 = 1 << 4;
        const STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
        const STATUS_GSO_TCP: u32 = 1 << 8;
        let status = u32_at(20)?;
        let start = usize::from(u16_at(24)?);
        let kept = u32_at(12)? as usize;
        let link = packet.get(HEADER..HEADER + 20)?;
        let address_length = usize::from(*link.get(11)?).min(8);
        Some(Frame {
            data: packet.get(start..start.checked_add(kept)?)?,
            network_offset: usize::from(u16_at(26)?).saturating_sub(start),
            length: u32_at(16)?,
            at: Duration::new(u64::from(u32_at(4)?), u32_at(8)?.min(999_999_999)),
            ifindex: u32_at(HEADER + 4)?,
            direction: Direction::new(*link.get(10)?),
            protocol: u16::from_be_bytes(*link.get(2..)?.first_chunk()?),
            hardware: u16_at(HEADER + 8)?,
            link_address: link.get(12..12 + address_length)?,
            vlan: (status & STATUS_VLAN_VALID != 0)
                .then(|| {
                    let known = status & STATUS_VLAN_TPID_VALID != 0;
                    Some(Vlan { tci: u32_at(32)? as u16, tpid: if known { u16_at(36)? } else { 0 } })
                })
                .flatten(),
            checksum_pending: status & STATUS_CHECKSUM_NOT_READY != 0,
            segmented_later: status & STATUS_GSO_TCP != 0,
        })
    }
}

/// `TPACKET_ALIGN(sizeof(struct tpacket3_hdr))`.
const HEADER: usize = 48;
