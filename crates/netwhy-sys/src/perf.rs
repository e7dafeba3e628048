//! perf_event_open(2): clocks, software events and tracepoints that run a BPF program.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// What makes an event happen (`type` and `config` of `struct perf_event_attr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `PERF_TYPE_HARDWARE`: `PERF_COUNT_HW_*`.
    Hardware(u64),
    /// `PERF_TYPE_SOFTWARE`: `PERF_COUNT_SW_*`; 0 is the CPU clock, 1 the task clock, its unit nanoseconds.
    Software(u64),
    /// `PERF_TYPE_TRACEPOINT`: the number in the event's `id` file.
    Tracepoint(u64),
}

/// An open event; closing it ends it.
#[derive(Debug)]
pub struct Event {
    fd: OwnedFd,
}

const ATTR_SIZE: usize = 112;

impl Event {
    /// Opens an event for every process on one CPU (`pid` `None`), or for one process on any (`cpu` `None`),
    /// sampled every `period` occurrences. Nothing is recorded: it is there to run a program.
    pub fn open(source: Source, period: u64, pid: Option<u32>, cpu: Option<u32>) -> Result<Self> {
        let (kind, config) = match source {
            Source::Hardware(config) => (0_u32, config),
            Source::Software(config) => (1, config),
            Source::Tracepoint(config) => (2, config),
        };
        // struct perf_event_attr: type 0, size 4, config 8, sample_period 16, sample_type 24, read_format 32,
        // flags 40, wakeup_events 48.
        let mut attr = [0_u8; ATTR_SIZE];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = attr.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &kind.to_ne_bytes());
        put(4, &(ATTR_SIZE as u32).to_ne_bytes());
        put(8, &config.to_ne_bytes());
        put(16, &period.to_ne_bytes());
        // PERF_SAMPLE_RAW for tracepoints, as their program reads the record.
        put(24, &(if kind == 2 { 1_u64 << 10 } else { 0 }).to_ne_bytes());
        put(48, &1_u32.to_ne_bytes());
        let pid = pid.map_or(-1, |pid| pid as libc::pid_t);
        let cpu = cpu.map_or(-1, |cpu| cpu as libc::c_int);
        const CLOEXEC: libc::c_ulong = 8;
        // SAFETY: `attr` is as long as its size field says; the kernel only reads it.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), pid, cpu, -1, CLOEXEC) };
        if fd < 0 {
            return Err(SysError::last("perf_event_open", format!("{source:?}")));
        }
        let fd = i32::try_from(fd).map_err(|_| SysError::new("perf_event_open", "", Errno::EINVAL))?;
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Event { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Has a program run at each sample, for kernels without links to perf events (before 5.15).
    pub fn set_program(&self, program: BorrowedFd<'_>) -> Result<()> {
        // _IOW('$', 8, __u32)
        const SET_BPF: libc::c_ulong = 0x4004_2408;
        // SAFETY: the argument is a descriptor number, not a pointer.
        let done = unsafe { libc::ioctl(self.fd.as_raw_fd(), SET_BPF as _, program.as_raw_fd()) };
        if done < 0 { Err(SysError::last("ioctl PERF_EVENT_IOC_SET_BPF", "")) } else { Ok(()) }
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// CPUs that run now, by number (`/sys/devices/system/cpu/online`).
pub fn online_cpus() -> Result<Vec<u32>> {
    let path = "/sys/devices/system/cpu/online";
    let mut text = String::new();
    let failed = |error: std::io::Error| SysError::io("read", path, &error);
    std::io::Read::read_to_string(&mut File::open(path).map_err(failed)?, &mut text).map_err(failed)?;
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) if last < 65_536 => cpus.extend(first..=last),
            _ => return Err(SysError::new("parse", path, Errno::EINVAL)),
        }
    }
    Ok(cpus)
}
