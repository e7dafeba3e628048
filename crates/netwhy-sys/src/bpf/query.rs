//! Which programs are attached somewhere.

use std::os::fd::BorrowedFd;

use super::{AttachType, Attr, Command};
use crate::errno::Errno;
use crate::error::Result;

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub enum QueryTarget<'a> {
    /// A device of the thread's network namespace, for the tcx and netkit points.
    Device(u32),
    /// A control group's directory.
    Cgroup(BorrowedFd<'a>),
    /// A network namespace, for socket lookup and flow dissector.
    Netns(BorrowedFd<'a>),
}

/// One program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Its id.
    pub program: u32,
    /// The link that holds it, where the point has such and the kernel tells.
    pub link: Option<u32>,
}

/// The programs at one point, in the order they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments {
    /// The programs.
    pub programs: Vec<Attached>,
    /// `BPF_F_ALLOW_OVERRIDE` (1), `BPF_F_ALLOW_MULTI` (2); a control group says how it shares.
    pub flags: u32,
    /// Changes with each change at this point; 0 where it is not counted.
    pub revision: u64,
}

/// Asks for the programs at one point. With `effective`, those that a control group inherits are included.
///
/// `EINVAL` means that this kernel does not know the point.
pub fn query(target: QueryTarget<'_>, attach: AttachType, effective: bool) -> Result<Attachments> {
    const EFFECTIVE: u32 = 1;
    let mut room = 64_usize;
    loop {
        let mut programs = vec![0_u32; room];
        let mut links = vec![0_u32; room];
        let attr = match target {
            QueryTarget::Device(ifindex) => Attr::new().u32(0, ifindex),
            QueryTarget::Cgroup(fd) | QueryTarget::Netns(fd) => Attr::new().fd(0, fd),
        };
        let attr = attr
            .u32(4, attach.0)
            .u32(8, if effective { EFFECTIVE } else { 0 })
            .u32(12, 0)
            .pointer(16, programs.as_mut_ptr().cast_const())
            .u32(24, room as u32);
        let on_device = matches!(target, QueryTarget::Device(_));
        let mut attr = if on_device {
            // Only the points on devices have links here, and only kernels that have the points know of them.
            attr.pointer(40, links.as_mut_ptr().cast_const()).u64(56, 0)
        } else {
            attr
        };
        // SAFETY: both buffers have `room` elements, as stated, and outlive the call.
        match unsafe { attr.run(Command::ProgQuery, attach.name()) } {
            Ok(_) => {
                let count = (attr.get_u32(24) as usize).min(room);
                let programs = programs.iter().zip(&links).take(count);
                return Ok(Attachments {
                    programs: programs
                        .map(|(&program, &link)| Attached { program, link: (link != 0).then_some(link) })
                        .collect(),
                    flags: attr.get_u32(12),
                    revision: if on_device { attr.get_u64(56) } else { 0 },
                });
            }
            Err(error) if error.errno == Errno::ENOSPC && room < 65_536 => room *= 4,
            // The points on devices say so when nothing was ever attached.
            Err(error) if error.errno == Errno::ENOENT && on_device => return Ok(Attachments::default()),
            Err(error) => return Err(error),
        }
    }
}
