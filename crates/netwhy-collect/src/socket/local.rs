//! Sockets of no IP family, streamed: sock_diag's answers, or the lines of `/proc/net` where its module is not
//! loaded (uapi `linux/{unix,packet,netlink,vm_sockets}_diag.h`).

use std::ops::ControlFlow;

use netwhy_facts::local_socket::{NetlinkSocket, PacketRing, PacketSocket, UnixSocket, VsockSocket};
use netwhy_sys::netlink::{NetlinkError, Protocol};
use netwhy_wire::inet_diag::SOCK_DIAG_BY_FAMILY;
use netwhy_wire::netlink::{Attribute, Attributes, Fixed};

use super::decode::mem;
use crate::collector::{Collector, read_text};
use crate::error::CollectError;
use crate::kernel::{NETLINK_DIAG, PACKET_DIAG, Part, UNIX_DIAG, VSOCK_DIAG};

const AF_UNIX: u8 = 1;
const AF_NETLINK: u8 = 16;
const AF_PACKET: u8 = 17;
const AF_VSOCK: u8 = 40;

/// `UNIX_DIAG_SHOW_*`: name, path, peer, waiting, queues, memory, user.
const UNIX_SHOW: u32 = 0x7f;
/// `PACKET_SHOW_*`: info, rings, fanout, memory.
const PACKET_SHOW: u32 = 0x01 | 0x04 | 0x08 | 0x10;
/// `PACKET_SHOW_FILTER`; needs CAP_NET_ADMIN.
const PACKET_SHOW_FILTER: u32 = 0x20;
/// `NDIAG_SHOW_*`: memory, groups.
const NETLINK_SHOW: u32 = 0x01 | 0x02;
/// `NDIAG_PROTO_ALL`.
const ALL_PROTOCOLS: u8 = 255;

/// What a caller does with one socket.
type Each<'a, T> = &'a mut dyn FnMut(T) -> ControlFlow<()>;

impl Collector {
    /// Unix sockets in any of the states (bits of `1 << TCP_*`).
    pub fn unix_sockets(&self, states: u32, each: Each<'_, UnixSocket>) -> Result<(), CollectError> {
        let mut request = vec![AF_UNIX, 0, 0, 0];
        for word in [states, 0, UNIX_SHOW, u32::MAX, u32::MAX] {
            request.extend_from_slice(&word.to_ne_bytes());
        }
        self.local(UNIX_DIAG, &request, ("unix", unix_line), unix, &mut |one| match states >> one.state & 1 {
            1 => each(one),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Unix sockets as `/proc/net/unix` lists them: with their references, without queues and peers.
    pub fn unix_file(&self, each: Each<'_, UnixSocket>) -> Result<(), CollectError> {
        let text = self.inside(|| read_text(&self.proc_net("unix")))??;
        for one in text.lines().skip(1).filter_map(unix_line) {
            if each(one).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Packet sockets; `filters`: with their classic filters, which needs CAP_NET_ADMIN.
    pub fn packet_sockets(&self, filters: bool, each: Each<'_, PacketSocket>) -> Result<(), CollectError> {
        let show = if filters { PACKET_SHOW | PACKET_SHOW_FILTER } else { PACKET_SHOW };
        let mut request = vec![AF_PACKET, 0, 0, 0];
        for word in [0, show, u32::MAX, u32::MAX] {
            request.extend_from_slice(&word.to_ne_bytes());
        }
        self.local(PACKET_DIAG, &request, ("packet", packet_line), packet, each)
    }

    /// Netlink sockets.
    pub fn netlink_sockets(&self, each: Each<'_, NetlinkSocket>) -> Result<(), CollectError> {
        let mut request = vec![AF_NETLINK, ALL_PROTOCOLS, 0, 0];
        for word in [0, NETLINK_SHOW, u32::MAX, u32::MAX] {
            request.extend_from_slice(&word.to_ne_bytes());
        }
        self.local(NETLINK_DIAG, &request, ("netlink", netlink_line), netlink, each)
    }

    /// Vsock sockets in any of the states. `Missing` without its diag module: no file tells of them.
    pub fn vsock_sockets(&self, states: u32, each: Each<'_, VsockSocket>) -> Result<(), CollectError> {
        self.require(VSOCK_DIAG)?;
        let mut request = vec![AF_VSOCK, 0, 0, 0];
        for word in [states, 0, 0, u32::MAX, u32::MAX] {
            request.extend_from_slice(&word.to_ne_bytes());
        }
        self.diag(&request, vsock, each)
    }

    fn local<T: Send>(
        &self,
        part: Part,
        request: &[u8],
        (file, line): (&str, fn(&str) -> Option<T>),
        decode: fn(&[u8]) -> Option<T>,
        each: Each<'_, T>,
    ) -> Result<(), CollectError> {
        if self.require(part).is_ok() {
            match self.diag(request, decode, &mut *each) {
                // Built without this family's diag: the file tells of it.
                Err(error)
                    if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {}
                other => return other,
            }
        }
        let text = self.inside(|| read_text(&self.proc_net(file)))??;
        for one in text.lines().skip(1).filter_map(line) {
            if each(one).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn diag<T>(
        &self,
        request: &[u8],
        decode: fn(&[u8]) -> Option<T>,
        each: Each<'_, T>,
    ) -> Result<(), CollectError> {
        self.netlink(Protocol::SockDiag, |diag| {
            let read = diag.dump(SOCK_DIAG_BY_FAMILY, 0, request, |_, payload| match decode(payload) {
                Some(one) => each(one),
                None => ControlFlow::Continue(()),
            });
            match read {
                // Sockets come and go while they are listed.
                Ok(()) | Err(NetlinkError::Interrupted { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

fn cookie(fixed: Fixed<'_>, at: usize) -> Option<u64> {
    Some(u64::from(fixed.u32(at)?) | u64::from(fixed.u32(at + 4)?) << 32)
}

fn words(attribute: &Attribute<'_>) -> Vec<u32> {
    let chunks = attribute.payload.chunks_exact(4);
    chunks.map(|word| u32::from_ne_bytes(word.try_into().unwrap_or_default())).collect()
}

/// A unix socket's name: an abstract one starts with NUL and may hold more of them, all shown as `@`.
fn unix_name(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let bytes = match bytes.first() {
        Some(0) => bytes,
        _ => bytes.split(|byte| *byte == 0).next().unwrap_or(bytes),
    };
    Some(String::from_utf8_lossy(bytes).replace('\0', "@"))
}

/// An answer about a unix socket: `struct unix_diag_msg` and its attributes.
#[must_use]
pub fn unix(payload: &[u8]) -> Option<UnixSocket> {
    let fixed = Fixed(payload);
    let mut socket = UnixSocket {
        kind: fixed.u8(1)?,
        state: fixed.u8(2)?,
        inode: fixed.u32(4)?.into(),
        cookie: cookie(fixed, 8)?,
        ..UnixSocket::default()
    };
    for one in Attributes::after(payload, 16).flatten() {
        match one.kind {
            0 => socket.name = unix_name(one.payload),
            1 => socket.vfs = one.fixed().u32(0).zip(one.fixed().u32(4)),
            2 => socket.peer = one.u32().ok(),
            3 => socket.waiting = Some(words(&one)),
            4 => (socket.rqueue, socket.wqueue) = (one.fixed().u32(0)?, one.fixed().u32(4)?),
            5 => socket.mem = mem(one.fixed()),
            6 => socket.shutdown = one.u8().ok(),
            7 => socket.uid = one.u32().ok(),
            _ => {}
        }
    }
    Some(socket)
}

/// A line of `/proc/net/unix`: Num RefCount Protocol Flags Type St Inode Path.
#[must_use]
pub fn unix_line(line: &str) -> Option<UnixSocket> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u32 = 1 << 16;
    let mut words = line.split_ascii_whitespace();
    let hex = |word: &str| u32::from_str_radix(word, 16).ok();
    let address = words.next()?.strip_suffix(':')?.to_owned();
    let refs = hex(words.next()?);
    let _protocol = words.next()?;
    let (flags, kind) = (hex(words.next()?)?, hex(words.next()?)?);
    // SS_UNCONNECTED 1, SS_CONNECTED 3.
    let state = match (hex(words.next()?)?, flags & LISTENS) {
        (_, LISTENS) => 10,
        (3, _) => 1,
        _ => 7,
    };
    let inode = words.next()?.parse().ok()?;
    let name = words.next().map(str::to_owned);
    let address = Some(address);
    Some(UnixSocket { kind: kind as u8, state, inode, name, refs, address, ..UnixSocket::default() })
}

/// An answer about a packet socket: `struct packet_diag_msg` and its attributes.
#[must_use]
pub fn packet(payload: &[u8]) -> Option<PacketSocket> {
    let fixed = Fixed(payload);
    let mut socket = PacketSocket {
        kind: fixed.u8(1)?,
        protocol: fixed.u16(2)?,
        inode: fixed.u32(4)?.into(),
        cookie: cookie(fixed, 8)?,
        ..PacketSocket::default()
    };
    for one in Attributes::after(payload, 16).flatten() {
        match one.kind {
            0 => {
                let info = one.fixed();
                socket.ifindex = info.u32(0)?;
                socket.version = info.u32(4);
                socket.copy_thresh = info.u32(12);
                socket.flags = info.u32(20);
            }
            2 => socket.rx_ring = ring(one.fixed()),
            3 => socket.tx_ring = ring(one.fixed()),
            4 => socket.fanout = one.u32().ok(),
            5 => socket.uid = one.u32().ok(),
            6 => {
                socket.mem = mem(one.fixed());
                socket.rqueue = socket.mem.map_or(0, |memory| memory.rmem_alloc);
            }
            7 => {
                let code = one.payload.chunks_exact(8).map(Fixed);
                let decoded = code.map(|op| Some((op.u16(0)?, op.u8(2)?, op.u8(3)?, op.u32(4)?)));
                socket.filter = decoded.collect();
            }
            _ => {}
        }
    }
    Some(socket)
}

fn ring(fixed: Fixed<'_>) -> Option<PacketRing> {
    let word = |index: usize| fixed.u32(index * 4);
    Some(PacketRing {
        block_size: word(0)?,
        block_nr: word(1)?,
        frame_size: word(2)?,
        frame_nr: word(3)?,
        timeout: word(4)?,
        private: word(5)?,
        features: word(6)?,
    })
}

/// A line of `/proc/net/packet`: sk RefCnt Type Proto Iface R Rmem User Inode.
#[must_use]
pub fn packet_line(line: &str) -> Option<PacketSocket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, _, kind, protocol, device, _, rmem, user, inode, ..] = words[..] else { return None };
    Some(PacketSocket {
        kind: kind.parse().ok()?,
        protocol: u16::from_str_radix(protocol, 16).ok()?,
        ifindex: device.parse().ok()?,
        rqueue: rmem.parse().ok()?,
        uid: user.parse().ok(),
        inode: inode.parse().ok()?,
        ..PacketSocket::default()
    })
}

/// An answer about a netlink socket: `struct netlink_diag_msg` and its attributes.
#[must_use]
pub fn netlink(payload: &[u8]) -> Option<NetlinkSocket> {
    let fixed = Fixed(payload);
    let mut socket = NetlinkSocket {
        protocol: fixed.u8(2)?,
        port: fixed.u32(4)?,
        dst_port: fixed.u32(8)?,
        inode: fixed.u32(16)?.into(),
        cookie: cookie(fixed, 20)?,
        ..NetlinkSocket::default()
    };
    for one in Attributes::after(payload, 28).flatten() {
        match one.kind {
            0 => {
                socket.mem = mem(one.fixed());
                if let Some(memory) = socket.mem {
                    (socket.rqueue, socket.wqueue) = (memory.rmem_alloc, memory.wmem_alloc);
                    socket.drops = Some(memory.drops);
                }
            }
            1 => socket.groups = one.fixed().u32(0).unwrap_or(0),
            _ => {}
        }
    }
    Some(socket)
}

/// A line of `/proc/net/netlink`: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode.
#[must_use]
pub fn netlink_line(line: &str) -> Option<NetlinkSocket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, protocol, port, groups, rmem, wmem, _, _, drops, inode, ..] = words[..] else { return None };
    Some(NetlinkSocket {
        protocol: protocol.parse().ok()?,
        port: port.parse().ok()?,
        groups: u32::from_str_radix(groups, 16).ok()?,
        rqueue: rmem.parse().ok()?,
        wqueue: wmem.parse().ok()?,
        drops: drops.parse().ok(),
        inode: inode.parse().ok()?,
        ..NetlinkSocket::default()
    })
}

/// An answer about a vsock socket: `struct vsock_diag_msg`.
#[must_use]
pub fn vsock(payload: &[u8]) -> Option<VsockSocket> {
    let fixed = Fixed(payload);
    Some(VsockSocket {
        kind: fixed.u8(1)?,
        state: fixed.u8(2)?,
        shutdown: fixed.u8(3)?,
        local: (fixed.u32(4)?, fixed.u32(8)?),
        remote: (fixed.u32(12)?, fixed.u32(16)?),
        inode: fixed.u32(20)?.into(),
        cookie: cookie(fixed, 24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::damage;

    #[test]
    fn both_doors_tell_of_the_same_unix_sockets() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("netwhy-local-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        let _client = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        let mut found = Vec::new();
        let collector = Collector::here().unwrap();
        collector
            .unix_sockets(u32::MAX, &mut |one| {
                found.push(one);
                ControlFlow::Continue(())
            })
            .unwrap();
        let wanted = format!("@{name}");
        let ours: Vec<_> = found.iter().filter(|one| one.name.as_deref() == Some(&wanted)).collect();
        assert!(ours.iter().any(|one| (one.state, one.kind) == (10, 1)), "{ours:?}");
        let text = read_text(&collector.proc_net("unix")).unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter_map(unix_line)
            .filter(|one| one.name.as_deref() == Some(&wanted))
            .map(|one| (one.inode, one.state, one.kind))
            .collect();
        for one in &ours {
            // A connection that waits for accept() has no inode yet.
            assert!(lines.contains(&(one.inode, one.state, one.kind)), "{one:?} in {lines:?}");
        }
        drop(listener);
    }

    #[test]
    fn lines_decode_and_others_are_none() {
        let packet = packet_line("000000007bb2ad6b 3      3    0003   3     1 43392  0      109285").unwrap();
        assert_eq!((packet.kind, packet.protocol, packet.ifindex, packet.rqueue), (3, 3, 3, 43392));
        let netlink = netlink_line("000000003057e869 0 13749 00000001 0 0 0 2 7 109287").unwrap();
        assert_eq!((netlink.port, netlink.groups, netlink.drops, netlink.inode), (13749, 1, Some(7), 109287));
        for bad in ["", "x", "a b c d e f g h i j k", "1 2 3"] {
            assert!(
                packet_line(bad).is_none() && netlink_line(bad).is_none() && unix_line(bad).is_none(),
                "{bad}"
            );
        }
    }

    #[test]
    fn abstract_names_start_with_an_at_sign() {
        assert_eq!(unix_name(b"\0abc\0d"), Some("@abc@d".into()));
        assert_eq!(unix_name(b"/run/x\0junk"), Some("/run/x".into()));
        assert_eq!(unix_name(b""), None);
    }

    #[test]
    fn damaged_answers_end_without_panic() {
        let whole: Vec<u8> = (0..=200).collect();
        damage(&whole, 500, |broken| _ = (unix(broken), packet(broken), netlink(broken), vsock(broken)));
    }
}
