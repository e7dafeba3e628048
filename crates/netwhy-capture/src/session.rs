//! A capture that runs beside the question and is bounded in packets and memory.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netwhy_sys::packet::{Capture, Config, ETH_P_ALL, Layer};
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::{Errno, SysError};

use crate::filter::{FlowFilter, TooLong};
use crate::frame::Frame;

/// How long the kernel may hold back frames.
const HELD_BACK: Duration = Duration::from_millis(4);

/// Where to listen, and how much to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Devices by number; empty for all of the namespace.
    pub devices: Vec<u32>,
    /// Packets to keep; what comes after is counted.
    pub packets: usize,
    /// Bytes to keep of each.
    pub snap_length: u32,
}

impl Default for Options {
    /// All devices, 512 packets, 128 bytes of each.
    fn default() -> Self {
        Options { devices: Vec::new(), packets: 512, snap_length: 128 }
    }
}

/// Why there is no capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The kernel refused. `CAP_NET_RAW` is what it takes.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// More flows than a filter can hold.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The reading thread ended without a word.
    #[error("the capture thread failed")]
    Thread,
}

impl CaptureError {
    /// For want of privilege.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, CaptureError::Sys(error) if error.is_denied())
    }
}

/// What was captured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Frames the filter wants, in order.
    pub frames: Vec<Frame>,
    /// Wanted frames beyond the bound.
    pub beyond_bound: u64,
    /// Frames the kernel could not deliver; some of them may not have been wanted.
    pub dropped: u64,
}

/// A running capture. Dropping it ends it.
#[derive(Debug)]
pub struct Session {
    kept: Arc<Kept>,
    wake: UnixStream,
    thread: Option<JoinHandle<Result<(), SysError>>>,
}

/// What the reader and the owner share.
#[derive(Debug, Default)]
struct Kept {
    captured: Mutex<Captured>,
    /// Told of every frame.
    more: Condvar,
}

impl Session {
    /// Starts in the calling thread's network namespace. When this returns, nothing that passes is missed.
    pub fn start(filter: FlowFilter, options: &Options) -> Result<Self, CaptureError> {
        let program = filter.program(options.snap_length)?;
        let capture = Capture::open(&Config {
            ifindex: match options.devices.as_slice() {
                [single] => Some(*single),
                _ => None,
            },
            protocol: ETH_P_ALL,
            layer: Layer::Link,
            filter: program,
            snap_length: options.snap_length,
            ignore_outgoing: false,
            block_size: 64 * 1024,
            blocks: 8,
            block_timeout: HELD_BACK,
        })?;
        let pair = UnixStream::pair();
        let (wake, asleep) = pair.map_err(|error| io("socketpair", &error))?;
        let kept = Arc::new(Kept::default());
        let reader = Reader { capture, filter, options: options.clone(), kept: Arc::clone(&kept) };
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || reader.run(&asleep))
            .map_err(|error| io("start a thread", &error))?;
        Ok(Session { kept, wake, thread: Some(thread) })
    }

    /// What has been captured so far. The newest few milliseconds may not be in it yet.
    #[must_use]
    pub fn so_far(&self) -> Captured {
        lock(&self.kept).clone()
    }

    /// Whether a frame captured so far satisfies `want`; copies nothing.
    pub fn saw(&self, want: impl FnMut(&Frame) -> bool) -> bool {
        lock(&self.kept).frames.iter().any(want)
    }

    /// Waits until more than `count` frames are there or `deadline` has passed; the frames from the `count`th on.
    #[must_use]
    pub fn wait_beyond(&self, count: usize, deadline: Instant) -> Vec<Frame> {
        let mut captured = lock(&self.kept);
        while captured.frames.len() <= count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.kept.more.wait_timeout(captured, left);
            captured = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        captured.frames.get(count..).unwrap_or(&[]).to_vec()
    }

    /// Ends the capture, waiting until what has passed is here too.
    pub fn stop(mut self) -> Result<Captured, CaptureError> {
        self.end()?;
        Ok(std::mem::take(&mut lock(&self.kept)))
    }

    fn end(&mut self) -> Result<(), CaptureError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // A reader that has ended by itself has closed its end; then there is nobody to wake.
        let _ = self.wake.write_all(&[1]);
        thread.join().map_err(|_| CaptureError::Thread)?.map_err(CaptureError::Sys)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

struct Reader {
    capture: Capture,
    filter: FlowFilter,
    options: Options,
    kept: Arc<Kept>,
}

impl Reader {
    fn run(mut self, asleep: &UnixStream) -> Result<(), SysError> {
        loop {
            let watched = [(self.capture.as_fd(), Interest::READ), (asleep.as_fd(), Interest::READ)];
            let ready = poll::poll(&watched, None)?;
            let ended = ready.get(1).is_some_and(|wake| wake.any());
            self.read(Instant::now())?;
            if ended {
                // What is in a block that is not full comes when its time is over.
                return self.read(Instant::now() + 3 * HELD_BACK);
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<(), SysError> {
        loop {
            match self.capture.next(deadline) {
                Ok(Some(frame)) => {
                    let devices = &self.options.devices;
                    if !devices.is_empty() && !devices.contains(&frame.ifindex) {
                        continue;
                    }
                    let Some(frame) = Frame::new(&frame) else { continue };
                    if !self.filter.wants(frame.ethertype, &frame.packet) {
                        continue;
                    }
                    let mut kept = lock(&self.kept);
                    if kept.frames.len() < self.options.packets {
                        kept.frames.push(frame);
                        self.kept.more.notify_all();
                    } else {
                        kept.beyond_bound += 1;
                    }
                }
                Ok(None) => break,
                // A device that goes down says so once; the others go on.
                Err(error) if error.errno == Errno::ENETDOWN => {}
                Err(error) => return Err(error),
            }
        }
        let dropped = self.capture.statistics()?.dropped;
        lock(&self.kept).dropped = dropped;
        Ok(())
    }
}

fn lock(kept: &Kept) -> MutexGuard<'_, Captured> {
    // Every change under the lock is complete by itself.
    kept.captured.lock().unwrap_or_else(PoisonError::into_inner)
}

fn io(operation: &'static str, error: &std::io::Error) -> SysError {
    SysError::new(operation, "", Errno::from(error))
}

#[cfg(test)]
mod tests;
