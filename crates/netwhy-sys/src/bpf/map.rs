//! Maps: the memory programs share with us.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Attr, Command, MapInfo, MapType, Object, map_info};
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// A map to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapSpec<'a> {
    /// How it stores.
    pub kind: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries; bytes for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// Shown by tools; at most 15 bytes of letters, digits, `_` and `.`.
    pub name: &'a str,
}

/// What an update may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Update {
    /// Create or replace.
    Any = 0,
    /// Create only.
    Create = 1,
    /// Replace only.
    Replace = 2,
}

/// An open map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    key_size: usize,
    value_size: usize,
}

impl Map {
    /// Makes a map.
    pub fn create(spec: &MapSpec<'_>) -> Result<Self> {
        let mut attr = Attr::new()
            .u32(0, spec.kind.0)
            .u32(4, spec.key_size)
            .u32(8, spec.value_size)
            .u32(12, spec.max_entries)
            .u32(16, spec.flags)
            .name(28, spec.name);
        // SAFETY: no pointers; the kernel returns a new descriptor.
        let fd = unsafe { attr.run_fd(Command::MapCreate, spec.name)? };
        Map::sized(fd, spec.kind, spec.key_size, spec.value_size)
    }

    /// Takes hold of a map; needs `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> Result<Self> {
        let fd = Object::Map.open(id)?;
        let info = map_info(fd.as_fd())?;
        Map::sized(fd, info.kind, info.key_size, info.value_size)
    }

    fn sized(fd: OwnedFd, kind: MapType, key_size: u32, value_size: u32) -> Result<Self> {
        // As the kernel reckons how much it copies: a value for each CPU, rounded up to eight bytes.
        let value_size = match kind {
            kind if kind.is_per_cpu() => (value_size as usize).next_multiple_of(8) * possible_cpus()?,
            kind if kind.holds_descriptors() => 4,
            _ => value_size as usize,
        };
        Ok(Map { fd, key_size: key_size as usize, value_size })
    }

    /// Another descriptor of the same map.
    pub fn duplicate(&self) -> Result<Self> {
        let fd = self.fd.try_clone().map_err(|error| SysError::io("dup", "map", &error))?;
        Ok(Map { fd, key_size: self.key_size, value_size: self.value_size })
    }

    /// What the kernel knows about it.
    pub fn info(&self) -> Result<MapInfo> {
        map_info(self.as_fd())
    }

    /// Bytes of a value as looked up: for a map with a value for each CPU, those of all possible CPUs, each
    /// rounded up to eight bytes.
    #[must_use]
    pub const fn value_size(&self) -> usize {
        self.value_size
    }

    /// The value of a key; `None` if there is none.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.expect(Command::MapLookup, key, self.key_size)?;
        let mut value = vec![0_u8; self.value_size];
        let mut attr = Attr::new()
            .fd(0, self.as_fd())
            .pointer(8, key.as_ptr())
            .pointer(16, value.as_mut_ptr().cast_const());
        // SAFETY: the key has the map's key size and the buffer the map's value size; both outlive the call.
        match unsafe { attr.run(Command::MapLookup, "") } {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.errno == Errno::ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a key's value.
    pub fn update(&self, key: &[u8], value: &[u8], how: Update) -> Result<()> {
        self.expect(Command::MapUpdate, key, self.key_size)?;
        self.expect(Command::MapUpdate, value, self.value_size)?;
        let mut attr = Attr::new()
            .fd(0, self.as_fd())
            .pointer(8, key.as_ptr())
            .pointer(16, value.as_ptr())
            .u64(24, how as u64);
        // SAFETY: key and value have the map's sizes and outlive the call.
        unsafe { attr.run(Command::MapUpdate, "") }.map(drop)
    }

    /// Lets nobody of user space write to it any more, which programs need of text they take for constant (5.2).
    pub fn freeze(&self) -> Result<()> {
        let mut attr = Attr::new().fd(0, self.as_fd());
        // SAFETY: no pointers.
        unsafe { attr.run(Command::MapFreeze, "") }.map(drop)
    }

    /// Removes a key; `false` if it was not there.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.expect(Command::MapDelete, key, self.key_size)?;
        let mut attr = Attr::new().fd(0, self.as_fd()).pointer(8, key.as_ptr());
        // SAFETY: the key has the map's key size and outlives the call.
        match unsafe { attr.run(Command::MapDelete, "") } {
            Ok(_) => Ok(true),
            Err(error) if error.errno == Errno::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The key after `key`, the first one after `None`; `None` at the end. A hash whose keys are removed
    /// meanwhile starts over: bound the walk.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        let mut next = vec![0_u8; self.key_size];
        let mut attr = Attr::new().fd(0, self.as_fd());
        if let Some(key) = key {
            self.expect(Command::MapNextKey, key, self.key_size)?;
            attr = attr.pointer(8, key.as_ptr());
        }
        attr = attr.pointer(16, next.as_mut_ptr().cast_const());
        // SAFETY: the key, if any, and the buffer have the map's key size and outlive the call.
        match unsafe { attr.run(Command::MapNextKey, "") } {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.errno == Errno::ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The kernel copies as much as the map's sizes say, so a shorter slice must not get there.
    fn expect(&self, command: Command, bytes: &[u8], size: usize) -> Result<()> {
        if bytes.len() == size {
            return Ok(());
        }
        let object = format!("{} bytes where the map has {size}", bytes.len());
        Err(SysError::new(command.name(), object, Errno::EINVAL))
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many CPUs this kernel could ever have, which is how many values a per-CPU map has.
pub fn possible_cpus() -> Result<usize> {
    let path = "/sys/devices/system/cpu/possible";
    let text = std::fs::read_to_string(path).map_err(|error| SysError::io("read", path, &error))?;
    count_list(text.trim()).ok_or_else(|| SysError::new("parse", path, Errno::EINVAL))
}

/// Counts a list such as `0-3,8`.
fn count_list(list: &str) -> Option<usize> {
    let mut total = 0_usize;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        total = total.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("0-3,8,10-11"), Some(7));
        assert_eq!(count_list("3-1"), None);
        assert_eq!(count_list(""), None);
    }
}
