//! What the kernel knows about programs, maps and links, whoever made them.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{AttachType, Attr, Command, LinkType, MapType, ProgramType};
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// A kind of object that has ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// Programs.
    Program,
    /// Maps.
    Map,
    /// Links (since Linux 5.8).
    Link,
    /// Type information.
    Btf,
}

impl Object {
    const fn next(self) -> Command {
        match self {
            Object::Program => Command::ProgNextId,
            Object::Map => Command::MapNextId,
            Object::Link => Command::LinkNextId,
            Object::Btf => Command::BtfNextId,
        }
    }

    const fn by_id(self) -> Command {
        match self {
            Object::Program => Command::ProgById,
            Object::Map => Command::MapById,
            Object::Link => Command::LinkById,
            Object::Btf => Command::BtfById,
        }
    }

    /// Takes hold of an object; `ENOENT` if it went away since its id was listed.
    pub fn open(self, id: u32) -> Result<OwnedFd> {
        let mut attr = Attr::new().u32(0, id);
        // SAFETY: no pointers; the kernel returns a new descriptor.
        unsafe { attr.run_fd(self.by_id(), format!("id {id}")) }
    }
}

/// The ids of all objects of a kind, ascending.
pub fn ids(kind: Object) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut last = 0;
    loop {
        let mut attr = Attr::new().u32(0, last).u32(4, 0);
        // SAFETY: no pointers.
        match unsafe { attr.run(kind.next(), "") } {
            Ok(_) => {
                last = attr.get_u32(4);
                found.push(last);
            }
            Err(error) if error.errno == Errno::ENOENT => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramInfo {
    /// What it is for.
    pub kind: ProgramType,
    /// Its id.
    pub id: u32,
    /// A digest of its code.
    pub tag: [u8; 8],
    /// The name it was given; at most 15 bytes.
    pub name: String,
    /// When it was loaded, since boot.
    pub loaded: Duration,
    /// Who loaded it.
    pub uid: u32,
    /// The maps it uses.
    pub maps: Vec<u32>,
    /// The device it is bound to, 0 for none.
    pub ifindex: u32,
    /// Time spent in it, ns; 0 unless run statistics are on.
    pub run_time_ns: u64,
    /// How often it ran; 0 unless run statistics are on.
    pub runs: u64,
    /// How often it did not run because it was running already.
    pub recursion_misses: u64,
    /// Its own type information, 0 for none.
    pub btf_id: u32,
    /// The kernel type it is attached to, 0 for none.
    pub attach_btf_id: u32,
    /// Bytes of its instructions as the kernel rewrote them.
    pub translated_bytes: u32,
    /// Bytes of machine code, 0 if it is interpreted.
    pub jited_bytes: u32,
    /// Whether it may call functions that are for GPL programs only.
    pub gpl: bool,
}

/// A map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapInfo {
    /// How it stores.
    pub kind: MapType,
    /// Its id.
    pub id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The name it was given; at most 15 bytes.
    pub name: String,
    /// The device it is bound to, 0 for none.
    pub ifindex: u32,
    /// Type information of its keys and values, 0 for none.
    pub btf_id: u32,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// What it holds.
    pub kind: LinkType,
    /// Its id.
    pub id: u32,
    /// Its program's id.
    pub program: u32,
    /// Where it is attached.
    pub at: LinkAt,
}

/// Where a link is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAt {
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// A kernel function or tracepoint, by its type.
    Tracing {
        /// The point.
        attach: AttachType,
        /// The program or type information it belongs to.
        object: u32,
        /// The type.
        btf_id: u32,
    },
    /// A control group.
    Cgroup {
        /// Its id, the inode number of its directory.
        id: u64,
        /// The point.
        attach: AttachType,
    },
    /// An iterator.
    Iter {
        /// What it goes over.
        target: String,
    },
    /// A network namespace.
    Netns {
        /// Its inode number.
        inode: u32,
        /// The point.
        attach: AttachType,
    },
    /// XDP of a device; 0 if the device is gone.
    Xdp {
        /// The device.
        ifindex: u32,
    },
    /// Traffic control of a device; 0 if the device is gone.
    Tcx {
        /// The device.
        ifindex: u32,
        /// The direction.
        attach: AttachType,
    },
    /// A netkit device.
    Netkit {
        /// The device.
        ifindex: u32,
        /// The end.
        attach: AttachType,
    },
    /// A netfilter hook.
    Netfilter {
        /// `NFPROTO_*`.
        family: u32,
        /// `NF_INET_*`.
        hook: u32,
        /// Order among the hook's users.
        priority: i32,
        /// `BPF_F_NETFILTER_*`.
        flags: u32,
    },
    /// Something else, or what this kernel does not tell.
    Other,
}

/// Reads a kernel structure by offset; what lies beyond an older kernel's end reads as 0.
struct Raw {
    bytes: [u8; 256],
}

impl Raw {
    const fn new() -> Self {
        Raw { bytes: [0; 256] }
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.array(offset))
    }

    fn name(&self, offset: usize) -> String {
        text(&self.array::<16>(offset))
    }

    /// Hands the kernel room to write to: a pointer at `offset`, how much at `length`.
    fn lend<T>(&mut self, offset: usize, length: usize, room: &mut [T]) {
        let pointer = room.as_mut_ptr() as usize as u64;
        let count = u32::try_from(room.len()).unwrap_or(0);
        if let Some(place) = self.bytes.get_mut(offset..offset + 8) {
            place.copy_from_slice(&pointer.to_ne_bytes());
        }
        if let Some(place) = self.bytes.get_mut(length..length + 4) {
            place.copy_from_slice(&count.to_ne_bytes());
        }
    }

    /// # Safety
    /// What was lent must have the length stated, in the elements the kernel counts in, and live.
    unsafe fn fill(&mut self, fd: BorrowedFd<'_>) -> Result<()> {
        let mut attr = Attr::new()
            .fd(0, fd)
            .u32(4, self.bytes.len() as u32)
            .pointer(8, self.bytes.as_mut_ptr().cast_const());
        // SAFETY: the buffer has the length stated; the pointers in it are the caller's promise.
        unsafe { attr.run(Command::InfoByFd, "") }.map(drop)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or(&[])).into_owned()
}

/// The name of a description of types (`struct bpf_btf_info`): `vmlinux`, a module's, or empty for a program's.
pub(super) fn btf_name(fd: BorrowedFd<'_>) -> Result<String> {
    let mut name = [0_u8; 64];
    let mut raw = Raw::new();
    raw.lend(16, 24, &mut name);
    // SAFETY: room for as many bytes as stated.
    unsafe { raw.fill(fd)? };
    Ok(text(&name))
}

/// A program's information (`struct bpf_prog_info`).
pub fn program_info(fd: BorrowedFd<'_>) -> Result<ProgramInfo> {
    let mut raw = Raw::new();
    // SAFETY: nothing lent.
    unsafe { raw.fill(fd)? };
    let count = (raw.u32(52) as usize).min(4096);
    let mut maps = vec![0_u32; count];
    if count > 0 {
        let mut again = Raw::new();
        again.lend(56, 52, &mut maps);
        // SAFETY: room for `count` ids of four bytes, as the kernel counts them.
        unsafe { again.fill(fd)? };
        maps.truncate(again.u32(52) as usize);
    }
    Ok(ProgramInfo {
        kind: ProgramType(raw.u32(0)),
        id: raw.u32(4),
        tag: raw.array(8),
        name: raw.name(64),
        loaded: Duration::from_nanos(raw.u64(40)),
        uid: raw.u32(48),
        maps,
        ifindex: raw.u32(80),
        run_time_ns: raw.u64(192),
        runs: raw.u64(200),
        recursion_misses: raw.u64(208),
        btf_id: raw.u32(128),
        attach_btf_id: raw.u32(224),
        jited_bytes: raw.u32(16),
        translated_bytes: raw.u32(20),
        gpl: raw.u32(84) & 1 != 0,
    })
}

/// A map's information (`struct bpf_map_info`).
pub fn map_info(fd: BorrowedFd<'_>) -> Result<MapInfo> {
    let mut raw = Raw::new();
    // SAFETY: nothing lent.
    unsafe { raw.fill(fd)? };
    Ok(MapInfo {
        kind: MapType(raw.u32(0)),
        id: raw.u32(4),
        key_size: raw.u32(8),
        value_size: raw.u32(12),
        max_entries: raw.u32(16),
        flags: raw.u32(20),
        name: raw.name(24),
        ifindex: raw.u32(40),
        btf_id: raw.u32(64),
    })
}

/// A link's information (`struct bpf_link_info`).
pub fn link_info(fd: BorrowedFd<'_>) -> Result<LinkInfo> {
    let mut raw = Raw::new();
    // SAFETY: nothing lent.
    unsafe { raw.fill(fd)? };
    let kind = LinkType(raw.u32(0));
    let at = match kind {
        LinkType::RAW_TRACEPOINT => LinkAt::RawTracepoint { name: link_name(fd)? },
        LinkType::TRACING => {
            LinkAt::Tracing { attach: AttachType(raw.u32(16)), object: raw.u32(20), btf_id: raw.u32(24) }
        }
        LinkType::CGROUP => LinkAt::Cgroup { id: raw.u64(16), attach: AttachType(raw.u32(24)) },
        LinkType::ITER => LinkAt::Iter { target: link_name(fd)? },
        LinkType::NETNS => LinkAt::Netns { inode: raw.u32(16), attach: AttachType(raw.u32(20)) },
        LinkType::XDP => LinkAt::Xdp { ifindex: raw.u32(16) },
        LinkType::TCX => LinkAt::Tcx { ifindex: raw.u32(16), attach: AttachType(raw.u32(20)) },
        LinkType::NETKIT => LinkAt::Netkit { ifindex: raw.u32(16), attach: AttachType(raw.u32(20)) },
        LinkType::NETFILTER => LinkAt::Netfilter {
            family: raw.u32(16),
            hook: raw.u32(20),
            priority: raw.u32(24) as i32,
            flags: raw.u32(28),
        },
        _ => LinkAt::Other,
    };
    Ok(LinkInfo { kind, id: raw.u32(4), program: raw.u32(8), at })
}

/// The name of a raw tracepoint's or an iterator's target, which both have at the same place.
fn link_name(fd: BorrowedFd<'_>) -> Result<String> {
    let mut room = [0_u8; 128];
    let mut raw = Raw::new();
    raw.lend(16, 24, &mut room);
    // SAFETY: room for as many bytes as stated.
    match unsafe { raw.fill(fd) } {
        Ok(()) => Ok(text(&room)),
        // Longer than the room: what fits is there.
        Err(SysError { errno: Errno::ENOSPC, .. }) => Ok(text(&room)),
        Err(error) => Err(error),
    }
}
