//! The ring buffer map (`BPF_MAP_TYPE_RINGBUF`, Documentation/bpf/ringbuf.rst): records from programs, in order.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Map;
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// Bytes of a record's header: length word and page offset.
const HEADER: u64 = 8;
/// The record is still being written.
const BUSY: u32 = 1 << 31;
/// The record was given up.
const DISCARD: u32 = 1 << 30;

/// A mapped ring and the reader's place in it.
#[derive(Debug)]
pub struct RingReader {
    map: Map,
    consumer: Mapping,
    /// The producer's page, then the data twice in a row, so that no record is ever cut in two.
    producer: Mapping,
    page: usize,
    size: u64,
}

#[derive(Debug)]
struct Mapping {
    memory: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to its value alone and is not tied to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, length: usize, offset: usize, write: bool) -> Result<Self> {
        let protection = if write { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let offset = libc::off_t::try_from(offset)
            .map_err(|_| SysError::new("mmap", "ring buffer offset", Errno::EINVAL))?;
        // SAFETY: a new shared mapping at an address the kernel chooses; it refuses what the map does not have.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if memory == libc::MAP_FAILED {
            return Err(SysError::last("mmap", "ring buffer"));
        }
        let memory = NonNull::new(memory.cast())
            .ok_or_else(|| SysError::new("mmap", "ring buffer at 0", Errno::EINVAL))?;
        Ok(Mapping { memory, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped; nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.length) };
    }
}

impl RingReader {
    /// Maps a ring of `size` bytes, as it was made; a ring has one reader.
    pub fn new(map: Map, size: u32) -> Result<Self> {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(|_| SysError::last("sysconf", "page size"))?;
        if !size.is_power_of_two() || !(size as usize).is_multiple_of(page) {
            return Err(SysError::new("mmap", "ring buffer size", Errno::EINVAL));
        }
        let consumer = Mapping::new(map.as_fd(), page, 0, true)?;
        let producer = Mapping::new(map.as_fd(), page + 2 * size as usize, page, false)?;
        Ok(RingReader { map, consumer, producer, page, size: u64::from(size) })
    }

    /// Hands each record that is complete to `take`, oldest first, at most `limit` of them, and frees their
    /// room; says how many there were.
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut at = self.consumed().load(Ordering::Acquire);
        let mut taken = 0;
        while taken < limit && at < self.produced().load(Ordering::Acquire) {
            let word = self.word(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            let length = word & !DISCARD;
            if word & DISCARD == 0 {
                take(self.record(at, length));
                taken += 1;
            }
            at += (u64::from(length) + HEADER).next_multiple_of(8);
            self.consumed().store(at, Ordering::Release);
        }
        taken
    }

    /// The map.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    fn consumed(&self) -> &AtomicU64 {
        // SAFETY: the consumer page starts with the consumer position, page aligned; the kernel reads it too,
        // which is why it is only touched as an atomic.
        unsafe { AtomicU64::from_ptr(self.consumer.memory.cast().as_ptr()) }
    }

    fn produced(&self) -> &AtomicU64 {
        // SAFETY: as for `consumed`; the mapping is read only and only loads are done.
        unsafe { AtomicU64::from_ptr(self.producer.memory.cast().as_ptr()) }
    }

    fn word(&self, at: u64) -> &AtomicU32 {
        let offset = self.page + (at & (self.size - 1)) as usize;
        // SAFETY: the offset is inside the first copy of the data; records start at multiples of eight; only
        // loads are done.
        unsafe { AtomicU32::from_ptr(self.producer.memory.add(offset).cast().as_ptr()) }
    }

    fn record(&self, at: u64, length: u32) -> &[u8] {
        let offset = self.page + (at & (self.size - 1)) as usize + HEADER as usize;
        let length = (length as usize).min(self.producer.length - offset);
        // SAFETY: `offset` is below page + size + 8 and the mapping ends at page + 2 * size, so the slice lies
        // inside it; the record is complete, and the kernel writes there again only after `consumed` has
        // passed it, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.producer.memory.add(offset).as_ptr(), length) }
    }
}

impl AsFd for RingReader {
    /// Readable when there are records.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
