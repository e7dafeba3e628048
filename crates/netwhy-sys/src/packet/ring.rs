//! The memory that frames are written to by the kernel (`TPACKET_V3`, Documentation/networking/packet_mmap).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Config, Frame, SOL_PACKET};
use crate::errno::Errno;
use crate::error::{Result, SysError};
use crate::fd;

const PACKET_RX_RING: i32 = 5;
const PACKET_VERSION: i32 = 10;
const TPACKET_V3: i32 = 2;
/// The smallest frame slot the kernel takes; version 3 packs frames closer than that.
const FRAME_SIZE: u32 = 2048;
/// Far more than a diagnosis needs, and less than a mistake could ask for.
const LIMIT: u64 = 1 << 30;

/// Offsets in `struct tpacket_block_desc`.
const BLOCK_STATUS: usize = 8;
const BLOCK_PACKETS: usize = 12;
const BLOCK_FIRST: usize = 16;
const BLOCK_LENGTH: usize = 20;
/// The kernel owns the block, the value to give it back.
const STATUS_KERNEL: u32 = 0;
/// The reader owns the block.
const STATUS_USER: u32 = 1;

/// The mapped ring and the reader's place in it.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    block_size: usize,
    blocks: usize,
    block: usize,
    /// Frames not yet read in the current block; `None`: it still belongs to the kernel.
    left: Option<u32>,
    offset: usize,
}

/// Where a frame is: in the current block, at this offset.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Ring {}

impl Ring {
    pub(super) fn new(fd: BorrowedFd<'_>, config: &Config) -> Result<Self> {
        let invalid = |object: &str| SysError::new("setsockopt PACKET_RX_RING", object, Errno::EINVAL);
        let total = u64::from(config.block_size) * u64::from(config.blocks);
        if total == 0 || total > LIMIT || !config.block_size.is_multiple_of(FRAME_SIZE) {
            return Err(invalid("ring size"));
        }
        fd::set_int(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3, "setsockopt PACKET_VERSION")?;
        // struct tpacket_req3: block size, blocks, frame size, frames, block timeout in ms, private bytes,
        // features.
        let timeout = u32::try_from(config.block_timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        let frames = config.block_size / FRAME_SIZE * config.blocks;
        let words = [config.block_size, config.blocks, FRAME_SIZE, frames, timeout, 0, 0];
        let request: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        fd::set_option(fd, SOL_PACKET, PACKET_RX_RING, &request, "setsockopt PACKET_RX_RING")?;
        let length = usize::try_from(total).map_err(|_| invalid("ring size"))?;
        // SAFETY: a new shared mapping at an address the kernel chooses; the ring above is `length` bytes.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(SysError::last("mmap", "packet ring"));
        }
        let memory = NonNull::new(memory.cast()).ok_or_else(|| invalid("mapped at 0"))?;
        Ok(Ring {
            memory,
            block_size: config.block_size as usize,
            blocks: config.blocks as usize,
            block: 0,
            left: None,
            offset: 0,
        })
    }

    /// Goes to the next frame, giving a block that was read to its end back to the kernel.
    pub(super) fn advance(&mut self) -> Option<Place> {
        loop {
            match self.left {
                None => {
                    if self.status().load(Ordering::Acquire) & STATUS_USER == 0 {
                        return None;
                    }
                    self.left = Some(self.word(BLOCK_PACKETS));
                    self.offset = self.word(BLOCK_FIRST) as usize;
                }
                Some(0) => {
                    self.status().store(STATUS_KERNEL, Ordering::Release);
                    self.block = (self.block + 1) % self.blocks;
                    self.left = None;
                }
                Some(left) => {
                    let here = self.offset;
                    let step = self.word(here) as usize;
                    // The last frame of a block has no next one.
                    self.left = Some(if step == 0 { 0 } else { left - 1 });
                    self.offset = here.saturating_add(step);
                    if here >= self.block_size {
                        self.left = Some(0);
                        continue;
                    }
                    return Some(Place(here));
                }
            }
        }
    }

    /// The frame at a place that [`Self::advance`] has just given.
    pub(super) fn frame(&self, place: Place) -> Option<Frame<'_>> {
        let used = (self.word(BLOCK_LENGTH) as usize).min(self.block_size);
        Frame::parse(self.block_bytes().get(place.0..used)?)
    }

    fn block_start(&self) -> NonNull<u8> {
        // SAFETY: `block` is less than `blocks`, so the result is inside the mapping.
        unsafe { self.memory.add(self.block * self.block_size) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: blocks are page aligned and the status lies at a multiple of four inside one; the kernel
        // writes it too, which is why it is only touched as an atomic.
        unsafe { AtomicU32::from_ptr(self.block_start().add(BLOCK_STATUS).cast().as_ptr()) }
    }

    /// A number in the current block, which the reader owns.
    fn word(&self, offset: usize) -> u32 {
        self.block_bytes()
            .get(offset..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |b| u32::from_ne_bytes(*b))
    }

    /// The current block. Only to be read while the reader owns it: the kernel does not write then.
    fn block_bytes(&self) -> &[u8] {
        // SAFETY: the block lies inside the mapping, which lives as long as `self`; callers come here only
        // after the status said that it is the reader's, and it is given back only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.block_start().as_ptr(), self.block_size) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped; nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.block_size * self.blocks) };
    }
}
