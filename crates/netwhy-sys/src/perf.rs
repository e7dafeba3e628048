//! perf_event_open(2): clocks, counters, tracepoints, functions and watched addresses that run a BPF program.

use std::ffi::CString;
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
    /// `PERF_TYPE_BREAKPOINT`: an address that is read, written or executed.
    Breakpoint {
        /// Where.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        length: u64,
        /// `HW_BREAKPOINT_*`: 1 read, 2 written, 4 executed, or-ed.
        access: u32,
    },
}

/// A function or an instruction, in the kernel or in a file that processes map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function<'a> {
    /// A symbol of the kernel and bytes after its start.
    Kernel {
        /// Name as in kallsyms.
        symbol: &'a str,
        /// Bytes.
        offset: u64,
    },
    /// An address of the kernel, for names that stand for several symbols.
    Address(u64),
    /// A place in a file.
    User {
        /// The file.
        path: &'a str,
        /// Bytes from the file's start.
        offset: u64,
        /// Where in the file the counter is that is raised while somebody looks; 0 for none.
        semaphore: u32,
    },
}

/// Numbers of the kinds of events that the kernel gives out when it starts (`/sys/bus/event_source/devices`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dynamic {
    kind: u32,
    /// `config` that makes an event one of returns.
    returns: u64,
}

impl Dynamic {
    /// `kprobe` or `uprobe`; `ENOENT` where the kernel has none.
    pub fn find(name: &str) -> Result<Self> {
        let at = |file: &str| format!("/sys/bus/event_source/devices/{name}/{file}");
        let read = |path: String| {
            std::fs::read_to_string(&path).map_err(|error| SysError::io("read", path.as_str(), &error))
        };
        let invalid = |file: &str| SysError::new("parse", at(file), Errno::EINVAL);
        let kind = read(at("type"))?.trim().parse().map_err(|_| invalid("type"))?;
        let bit = read(at("format/retprobe"))?;
        let bit = bit.trim().strip_prefix("config:").and_then(|bit| bit.parse::<u32>().ok());
        let bit = bit.filter(|bit| *bit < 64).ok_or_else(|| invalid("format/retprobe"))?;
        Ok(Dynamic { kind, returns: 1 << bit })
    }
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
        let mut attr = match source {
            Source::Hardware(config) => Attributes::new(0, config, period),
            Source::Software(config) => Attributes::new(1, config, period),
            Source::Tracepoint(config) => Attributes::new(2, config, period),
            Source::Breakpoint { address, length, access } => {
                let mut attr = Attributes::new(5, 0, period);
                attr.put(52, &access.to_ne_bytes());
                attr.put(56, &address.to_ne_bytes());
                attr.put(64, &length.to_ne_bytes());
                attr
            }
        };
        // PERF_SAMPLE_RAW for tracepoints, as their program reads the record.
        if matches!(source, Source::Tracepoint(_)) {
            attr.put(24, &(1_u64 << 10).to_ne_bytes());
        }
        attr.put(48, &1_u32.to_ne_bytes());
        // SAFETY: no pointers inside.
        unsafe { attr.open(pid, cpu, format!("{source:?}")) }
    }

    /// Opens a function's entry or return, for every process or for one.
    pub fn function(kind: Dynamic, function: Function<'_>, returns: bool, pid: Option<u32>) -> Result<Self> {
        let object = format!("{function:?}");
        let text = match function {
            Function::Kernel { symbol, .. } => symbol,
            Function::Address(_) => "",
            Function::User { path, .. } => path,
        };
        let name = CString::new(text)
            .map_err(|_| SysError::new("perf_event_open", object.as_str(), Errno::EINVAL))?;
        let mut config = if returns { kind.returns } else { 0 };
        let offset = match function {
            Function::Kernel { offset, .. } => offset,
            Function::Address(address) => address,
            Function::User { offset, semaphore, .. } => {
                config |= u64::from(semaphore) << 32;
                offset
            }
        };
        let mut attr = Attributes::new(kind.kind, config, 1);
        let pointer = if text.is_empty() { 0 } else { name.as_ptr() as usize as u64 };
        attr.put(56, &pointer.to_ne_bytes());
        attr.put(64, &offset.to_ne_bytes());
        // The program runs on every CPU whichever is named here.
        let cpu = if pid.is_some() { None } else { Some(0) };
        // SAFETY: the only pointer is to `name`, ended by NUL, which outlives the call.
        let opened = unsafe { attr.open(pid, cpu, object) };
        drop(name);
        opened
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

/// `struct perf_event_attr`: type 0, size 4, config 8, sample_period 16, sample_type 24, read_format 32, flags 40,
/// wakeup_events 48, bp_type 52, config1 56, config2 64.
struct Attributes([u8; ATTR_SIZE]);

impl Attributes {
    fn new(kind: u32, config: u64, period: u64) -> Self {
        let mut attr = Attributes([0; ATTR_SIZE]);
        attr.put(0, &kind.to_ne_bytes());
        attr.put(4, &(ATTR_SIZE as u32).to_ne_bytes());
        attr.put(8, &config.to_ne_bytes());
        attr.put(16, &period.to_ne_bytes());
        attr
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// # Safety
    /// Pointers among the attributes must be good until the call returns.
    unsafe fn open(&self, pid: Option<u32>, cpu: Option<u32>, object: String) -> Result<Event> {
        let pid = pid.map_or(-1, |pid| pid as libc::pid_t);
        let cpu = cpu.map_or(-1, |cpu| cpu as libc::c_int);
        const CLOEXEC: libc::c_ulong = 8;
        // SAFETY: the attributes are as long as their size field says; the kernel only reads them, and what they
        // point to is the caller's promise.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, self.0.as_ptr(), pid, cpu, -1, CLOEXEC) };
        if fd < 0 {
            return Err(SysError::last("perf_event_open", object));
        }
        let fd = i32::try_from(fd).map_err(|_| SysError::new("perf_event_open", "", Errno::EINVAL))?;
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Event { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
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
