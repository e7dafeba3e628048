//! bpf(2): programs, maps and links, one's own and those others have attached.
//!
//! What is loaded here goes away with its last descriptor: nothing is pinned, nothing is switched on. Every
//! call needs `CAP_BPF` or more, and most on other people's objects `CAP_SYS_ADMIN`. Devices and control
//! groups are named in the calling thread's namespaces.

mod btf;
mod info;
mod link;
mod map;
mod names;
mod program;
mod query;
mod ring;

#[cfg(test)]
mod tests;

use std::os::fd::{FromRawFd, OwnedFd};

pub use btf::Btf;
pub use info::{LinkAt, LinkInfo, MapInfo, Object, ProgramInfo, ids, link_info, map_info, program_info};
pub use link::{Link, LinkTarget, enable_run_statistics};
pub use map::{Map, MapSpec, Update, possible_cpus};
pub use names::{AttachType, LinkType, MapType, ProgramType};
pub use program::{Instruction, LoadError, Program, ProgramSpec, TestRun};
pub use query::{Attached, Attachments, QueryTarget, query};
pub use ring::RingReader;

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// The commands (`enum bpf_cmd`).
#[derive(Clone, Copy)]
#[repr(i32)]
enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    ProgLoad = 5,
    ProgAttach = 8,
    ProgDetach = 9,
    ProgTestRun = 10,
    ProgNextId = 11,
    MapNextId = 12,
    ProgById = 13,
    MapById = 14,
    InfoByFd = 15,
    ProgQuery = 16,
    RawTracepointOpen = 17,
    BtfLoad = 18,
    BtfById = 19,
    MapFreeze = 22,
    BtfNextId = 23,
    LinkCreate = 28,
    LinkById = 30,
    LinkNextId = 31,
    EnableStats = 32,
    IterCreate = 33,
    LinkDetach = 34,
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Command::MapCreate => "bpf map create",
            Command::MapLookup => "bpf map lookup",
            Command::MapUpdate => "bpf map update",
            Command::MapDelete => "bpf map delete",
            Command::MapNextKey => "bpf map next key",
            Command::ProgLoad => "bpf program load",
            Command::ProgAttach => "bpf program attach",
            Command::ProgDetach => "bpf program detach",
            Command::ProgTestRun => "bpf program test run",
            Command::ProgNextId => "bpf next program id",
            Command::MapNextId => "bpf next map id",
            Command::ProgById => "bpf program by id",
            Command::MapById => "bpf map by id",
            Command::InfoByFd => "bpf object info",
            Command::ProgQuery => "bpf program query",
            Command::RawTracepointOpen => "bpf raw tracepoint open",
            Command::BtfLoad => "bpf btf load",
            Command::BtfById => "bpf btf by id",
            Command::MapFreeze => "bpf map freeze",
            Command::BtfNextId => "bpf next btf id",
            Command::LinkCreate => "bpf link create",
            Command::LinkById => "bpf link by id",
            Command::LinkNextId => "bpf next link id",
            Command::EnableStats => "bpf enable stats",
            Command::IterCreate => "bpf iterator create",
            Command::LinkDetach => "bpf link detach",
        }
    }
}

/// `union bpf_attr`, written by offset. Only as much of it is passed as was written: an older kernel refuses
/// a longer one whose tail it does not know.
#[repr(C, align(8))]
struct Attr {
    bytes: [u8; 168],
    used: usize,
}

impl Attr {
    const fn new() -> Self {
        Attr { bytes: [0; 168], used: 0 }
    }

    fn put(&mut self, offset: usize, value: &[u8]) {
        let end = offset + value.len();
        if let Some(place) = self.bytes.get_mut(offset..end) {
            place.copy_from_slice(value);
            self.used = self.used.max(end);
        }
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.put(offset, &value.to_ne_bytes());
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        self.put(offset, &value.to_ne_bytes());
        self
    }

    fn fd(self, offset: usize, fd: std::os::fd::BorrowedFd<'_>) -> Self {
        use std::os::fd::AsRawFd;
        self.u32(offset, fd.as_raw_fd() as u32)
    }

    /// A pointer the kernel reads from, or writes to for the length that goes with it.
    fn pointer<T: ?Sized>(self, offset: usize, to: *const T) -> Self {
        self.u64(offset, to.cast::<u8>() as usize as u64)
    }

    /// A name of at most 15 bytes; other characters than the kernel takes become underscores.
    fn name(mut self, offset: usize, name: &str) -> Self {
        let safe = |c: u8| if c.is_ascii_alphanumeric() || c == b'_' || c == b'.' { c } else { b'_' };
        let bytes: Vec<u8> = name.bytes().take(15).map(safe).collect();
        self.put(offset, &bytes);
        self
    }

    fn get_u32(&self, offset: usize) -> u32 {
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
    }

    fn get_u64(&self, offset: usize) -> u64 {
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
    }

    /// bpf(2). The non-negative result, or the errno.
    ///
    /// # Safety
    /// Every pointer in the attributes must be good for what `command` does with it, for the length that the
    /// attributes state, until the call returns.
    unsafe fn call(&mut self, command: Command) -> Result<i32, Errno> {
        // SAFETY: `bytes` holds at least `used` bytes; its pointers are the caller's promise.
        let value =
            unsafe { libc::syscall(libc::SYS_bpf, command as i32, self.bytes.as_mut_ptr(), self.used) };
        if value < 0 { Err(Errno::last()) } else { Ok(value as i32) }
    }

    /// As [`Self::call`], with the error made.
    ///
    /// # Safety
    /// As [`Self::call`].
    unsafe fn run(&mut self, command: Command, object: impl Into<String>) -> Result<i32> {
        // SAFETY: the caller's promise.
        unsafe { self.call(command) }.map_err(|errno| SysError::new(command.name(), object, errno))
    }

    /// As [`Self::run`], for commands that return a descriptor.
    ///
    /// # Safety
    /// As [`Self::call`]; the command must return a new descriptor.
    unsafe fn run_fd(&mut self, command: Command, object: impl Into<String>) -> Result<OwnedFd> {
        // SAFETY: the caller's promise; the kernel has just given us the descriptor, closed on exec.
        unsafe { self.run(command, object).map(|fd| OwnedFd::from_raw_fd(fd)) }
    }
}
