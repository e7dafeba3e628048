//! Links: attachments that end with their last descriptor.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{AttachType, Attr, Command, LinkInfo, Object, Program, link_info};
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// What a program is linked to.
#[derive(Debug, Clone, Copy)]
pub enum LinkTarget<'a> {
    /// Traffic control ingress or egress of a device (since Linux 6.6).
    Tcx {
        /// The device.
        ifindex: u32,
        /// [`AttachType::TCX_INGRESS`] or [`AttachType::TCX_EGRESS`].
        attach: AttachType,
    },
    /// XDP of a device (since Linux 5.9).
    Xdp {
        /// The device.
        ifindex: u32,
        /// `XDP_FLAGS_*`; 2 is the generic mode that every device has.
        flags: u32,
    },
    /// A netfilter hook of the thread's network namespace (since Linux 6.4).
    Netfilter {
        /// `NFPROTO_IPV4` (2) or `NFPROTO_IPV6` (10).
        family: u32,
        /// `NF_INET_*`: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
        hook: u32,
        /// Order among the hook's users; neither the first nor the last may be taken.
        priority: i32,
    },
    /// A control group.
    Cgroup {
        /// Its directory.
        directory: BorrowedFd<'a>,
        /// The point.
        attach: AttachType,
    },
    /// A network namespace: flow dissector or socket lookup.
    Netns {
        /// The namespace.
        namespace: BorrowedFd<'a>,
        /// The point.
        attach: AttachType,
    },
    /// The kernel function or tracepoint the program was loaded for.
    Tracing {
        /// The point.
        attach: AttachType,
        /// A number the program can read.
        cookie: u64,
    },
    /// An iterator; `map` for those over a map's elements.
    Iter {
        /// The map.
        map: Option<BorrowedFd<'a>>,
    },
    /// Many functions of the kernel at once (since Linux 5.18, where the kernel is built with fprobe).
    Functions {
        /// Their names, as in tracefs' `available_filter_functions`.
        symbols: &'a [&'a CStr],
        /// At their return instead of their entry.
        returns: bool,
        /// A number for each that the program can read; empty or as many as `symbols`.
        cookies: &'a [u64],
    },
    /// Many places of one file at once (since Linux 6.6).
    Places {
        /// The file.
        path: &'a CStr,
        /// Bytes from the file's start.
        offsets: &'a [u64],
        /// Where counters are that are raised while attached; empty or as many as `offsets`.
        semaphores: &'a [u64],
        /// Empty or as many as `offsets`.
        cookies: &'a [u64],
        /// At the function's return instead.
        returns: bool,
        /// In this process only.
        pid: Option<u32>,
    },
    /// A perf event: kprobe, uprobe, tracepoint or sampling (since Linux 5.15).
    PerfEvent {
        /// The event.
        event: BorrowedFd<'a>,
        /// A number the program can read.
        cookie: u64,
    },
}

/// An attachment.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

impl Link {
    /// Attaches a program. `EINVAL` from an older kernel means that it does not know this kind of link.
    pub fn create(program: &Program, target: LinkTarget<'_>) -> Result<Self> {
        let attr = Attr::new().fd(0, program.as_fd());
        // Live until after the call: union bpf_iter_link_info with its first member, a map; pointers to names.
        let mut iterator = [0_u8; 4];
        let mut names = Vec::new();
        let (mut attr, object) = match target {
            LinkTarget::Tcx { ifindex, attach } => {
                (attr.u32(4, ifindex).u32(8, attach.0), format!("{attach} ifindex {ifindex}"))
            }
            LinkTarget::Xdp { ifindex, flags } => (
                attr.u32(4, ifindex).u32(8, AttachType::XDP.0).u32(12, flags),
                format!("xdp ifindex {ifindex}"),
            ),
            LinkTarget::Netfilter { family, hook, priority } => (
                attr.u32(8, AttachType::NETFILTER.0)
                    .u32(16, family)
                    .u32(20, hook)
                    .u32(24, priority as u32)
                    .u32(28, 0),
                format!("netfilter family {family} hook {hook} priority {priority}"),
            ),
            LinkTarget::Cgroup { directory, attach } => {
                (attr.fd(4, directory).u32(8, attach.0), attach.to_string())
            }
            LinkTarget::Netns { namespace, attach } => {
                (attr.fd(4, namespace).u32(8, attach.0), attach.to_string())
            }
            LinkTarget::Tracing { attach, cookie } => {
                let attr = attr.u32(8, attach.0);
                // The cookie lies behind what kernels before 5.19 know.
                (if cookie == 0 { attr } else { attr.u64(24, cookie) }, attach.to_string())
            }
            LinkTarget::Iter { map } => {
                let attr = attr.u32(8, AttachType::TRACE_ITER.0);
                let attr = match map {
                    None => attr,
                    Some(map) => {
                        use std::os::fd::AsRawFd;
                        iterator = map.as_raw_fd().to_ne_bytes();
                        attr.pointer(16, iterator.as_ptr()).u32(24, iterator.len() as u32)
                    }
                };
                (attr, "iterator".to_owned())
            }
            LinkTarget::Functions { symbols, returns, cookies } => {
                if !cookies.is_empty() && cookies.len() != symbols.len() {
                    return Err(SysError::new(Command::LinkCreate.name(), "cookies", Errno::EINVAL));
                }
                names = symbols.iter().map(|name| name.as_ptr() as usize as u64).collect();
                let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
                let attr = attr.u32(8, AttachType::TRACE_KPROBE_MULTI.0).u32(16, u32::from(returns));
                let attr = attr.u32(20, count).pointer(24, names.as_ptr()).u64(32, 0);
                let attr = if cookies.is_empty() { attr } else { attr.pointer(40, cookies.as_ptr()) };
                (attr, format!("{} functions", symbols.len()))
            }
            LinkTarget::Places { path, offsets, semaphores, cookies, returns, pid } => {
                let fits = |list: &[u64]| list.is_empty() || list.len() == offsets.len();
                if !fits(semaphores) || !fits(cookies) {
                    return Err(SysError::new(Command::LinkCreate.name(), "places", Errno::EINVAL));
                }
                let attr = attr.u32(8, AttachType::TRACE_UPROBE_MULTI.0).pointer(16, path.as_ptr());
                let list = |attr: Attr, at: usize, list: &[u64]| {
                    if list.is_empty() { attr.u64(at, 0) } else { attr.pointer(at, list.as_ptr()) }
                };
                let attr = list(list(list(attr, 24, offsets), 32, semaphores), 40, cookies);
                let attr = attr.u32(48, u32::try_from(offsets.len()).unwrap_or(u32::MAX));
                let attr = attr.u32(52, u32::from(returns)).u32(56, pid.unwrap_or(0));
                (attr, format!("{} places of {}", offsets.len(), path.to_string_lossy()))
            }
            LinkTarget::PerfEvent { event, cookie } => {
                let attr = attr.fd(4, event).u32(8, AttachType::PERF_EVENT.0);
                (if cookie == 0 { attr } else { attr.u64(16, cookie) }, "perf event".to_owned())
            }
        };
        // SAFETY: pointers are to `iterator`, `names`, and what `target` borrows, all of the lengths stated; the kernel
        // returns a descriptor.
        let fd = unsafe { attr.run_fd(Command::LinkCreate, object)? };
        // Used until here.
        let _ = (iterator, names);
        Ok(Link { fd })
    }

    /// Attaches a program to a raw tracepoint by name, or with `None` to the BTF tracepoint it was loaded
    /// for.
    pub fn raw_tracepoint(program: &Program, name: Option<&str>) -> Result<Self> {
        let text = CString::new(name.unwrap_or_default())
            .map_err(|_| SysError::new(Command::RawTracepointOpen.name(), "", Errno::EINVAL))?;
        let attr = Attr::new();
        let attr = if name.is_some() { attr.pointer(0, text.as_ptr()) } else { attr.u64(0, 0) };
        let mut attr = attr.fd(8, program.as_fd());
        // SAFETY: the pointer is null or to a NUL-terminated string that outlives the call; the kernel returns
        // a new descriptor.
        let fd = unsafe { attr.run_fd(Command::RawTracepointOpen, name.unwrap_or("btf tracepoint"))? };
        Ok(Link { fd })
    }

    /// Takes hold of a link; needs `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> Result<Self> {
        Object::Link.open(id).map(|fd| Link { fd })
    }

    /// What the kernel knows about it.
    pub fn info(&self) -> Result<LinkInfo> {
        link_info(self.as_fd())
    }

    /// Ends the attachment now, whoever else holds the link (since Linux 5.9).
    pub fn detach(&self) -> Result<()> {
        let mut attr = Attr::new().fd(0, self.as_fd());
        // SAFETY: no pointers.
        unsafe { attr.run(Command::LinkDetach, "") }.map(drop)
    }

    /// Starts an iterator: reading the file runs the program over its objects and gives what it wrote.
    pub fn iterate(&self) -> Result<File> {
        let mut attr = Attr::new().fd(0, self.as_fd()).u32(4, 0);
        // SAFETY: no pointers; the kernel returns a new descriptor.
        unsafe { attr.run_fd(Command::IterCreate, "") }.map(File::from)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets the kernel count runs and run times of all programs while the returned descriptor is open. It costs
/// every program on the machine some nanoseconds a run, so it is only for those who asked.
pub fn enable_run_statistics() -> Result<OwnedFd> {
    let mut attr = Attr::new().u32(0, 0);
    // SAFETY: no pointers; the kernel returns a new descriptor.
    unsafe { attr.run_fd(Command::EnableStats, "run time") }
}
