//! Every program, map and link of the machine, whoever loaded it: bpf(2) by id, and what only the
//! descriptor's entry in `/proc/self/fdinfo` tells. Needs CAP_SYS_ADMIN (or CAP_BPF for some).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netwhy_sys::SysError;
use netwhy_sys::bpf::{self, LinkInfo, MapInfo, Object, ProgramInfo};

use crate::collector::Collector;
use crate::error::CollectError;

/// A program and the memory it holds.
#[derive(Debug, Clone)]
pub struct BpfProgram {
    /// What the kernel says.
    pub info: ProgramInfo,
    /// Bytes charged for it (`memlock`).
    pub memlock: Option<u64>,
}

/// A map and the memory it holds.
#[derive(Debug, Clone)]
pub struct BpfMap {
    /// What the kernel says.
    pub info: MapInfo,
    /// Bytes charged for it (`memlock`).
    pub memlock: Option<u64>,
    /// Whether user space can no longer write to it.
    pub frozen: bool,
}

impl Collector {
    /// All programs, or the one with an id.
    pub fn bpf_all_programs(&self, only: Option<u32>) -> Result<Vec<BpfProgram>, CollectError> {
        self.each(Object::Program, only, |fd| {
            let (memlock, _) = self.descriptor(fd);
            Ok(BpfProgram { info: bpf::program_info(fd)?, memlock })
        })
    }

    /// All maps, or the one with an id.
    pub fn bpf_all_maps(&self, only: Option<u32>) -> Result<Vec<BpfMap>, CollectError> {
        self.each(Object::Map, only, |fd| {
            let (memlock, frozen) = self.descriptor(fd);
            Ok(BpfMap { info: bpf::map_info(fd)?, memlock, frozen })
        })
    }

    /// All links, or the one with an id.
    pub fn bpf_all_links(&self, only: Option<u32>) -> Result<Vec<LinkInfo>, CollectError> {
        self.each(Object::Link, only, bpf::link_info)
    }

    /// Hands over the keys and values of a map, in the kernel's order; a value of a map with one for each CPU
    /// holds them one after another, each filled up to eight bytes.
    pub fn bpf_map_entries(
        &self,
        id: u32,
        mut each: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), CollectError> {
        let map = bpf::Map::by_id(id)?;
        let mut key = map.next_key(None)?;
        while let Some(at) = key {
            let value = map.lookup(&at)?;
            each(&at, value.as_deref());
            key = map.next_key(Some(&at))?;
        }
        Ok(())
    }

    fn each<T>(
        &self,
        kind: Object,
        only: Option<u32>,
        read: impl Fn(BorrowedFd<'_>) -> Result<T, SysError>,
    ) -> Result<Vec<T>, CollectError> {
        let ids = match only {
            Some(id) => vec![id],
            None => bpf::ids(kind)?,
        };
        let mut out = Vec::with_capacity(ids.len());
        for id in ids {
            match kind.open(id).and_then(|fd| read(fd.as_fd())) {
                Ok(one) => out.push(one),
                // It went away since its id was listed.
                Err(error) if only.is_none() && error.errno.name() == "ENOENT" => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(out)
    }

    /// `memlock` and `frozen` of a descriptor's entry.
    fn descriptor(&self, fd: BorrowedFd<'_>) -> (Option<u64>, bool) {
        let path = self.proc("self/fdinfo").join(fd.as_raw_fd().to_string());
        let text = crate::collector::read_text(&path).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        (field("memlock:"), field("frozen:") == Some(1))
    }
}
