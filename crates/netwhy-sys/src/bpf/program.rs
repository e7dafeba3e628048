//! Loading, running and attaching programs.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{AttachType, Attr, Command, Object, ProgramInfo, ProgramType, program_info};
use crate::errno::Errno;
use crate::error::{Result, SysError};

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    registers: u8,
    /// Offset.
    pub offset: i16,
    /// Immediate.
    pub immediate: i32,
}

impl Instruction {
    /// Puts one together; registers are 0 to 15.
    #[must_use]
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        // Two bit fields of four bits: the first is the low half on little endian machines only.
        let registers = if cfg!(target_endian = "little") {
            destination & 15 | (source & 15) << 4
        } else {
            (destination & 15) << 4 | source & 15
        };
        Instruction { code, registers, offset, immediate }
    }

    /// The register written.
    #[must_use]
    pub const fn destination(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers & 15 } else { self.registers >> 4 }
    }

    /// The register read.
    #[must_use]
    pub const fn source(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers >> 4 } else { self.registers & 15 }
    }
}

/// A program to load.
#[derive(Debug, Clone, Copy)]
pub struct ProgramSpec<'a> {
    /// What it is for.
    pub kind: ProgramType,
    /// Where it will be attached, for the kinds that want to know when loading.
    pub attach: Option<AttachType>,
    /// Shown by tools; at most 15 bytes of letters, digits, `_` and `.`.
    pub name: &'a str,
    /// `"GPL"` gives access to the functions reserved for it.
    pub license: &'a str,
    /// Its code.
    pub instructions: &'a [Instruction],
    /// The kernel type it is attached to: a BTF tracepoint, function or iterator.
    pub attach_btf_id: u32,
    /// The BTF of the module that has that type; `None` is the kernel itself.
    pub attach_btf_object: Option<BorrowedFd<'a>>,
    /// Bind it to a device (hardware offload or device-bound XDP).
    pub ifindex: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The program's own types, needed for functions that are called back.
    pub btf: Option<BorrowedFd<'a>>,
    /// First instruction and type of each function (`struct bpf_func_info`), the entry first.
    pub functions: &'a [(u32, u32)],
}

impl<'a> ProgramSpec<'a> {
    /// The least a program needs.
    #[must_use]
    pub const fn new(kind: ProgramType, instructions: &'a [Instruction]) -> Self {
        ProgramSpec {
            kind,
            attach: None,
            name: "netwhy",
            license: "GPL",
            instructions,
            attach_btf_id: 0,
            attach_btf_object: None,
            ifindex: 0,
            flags: 0,
            btf: None,
            functions: &[],
        }
    }
}

/// A program that was refused, and what the verifier said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}{}", last_line(.log))]
pub struct LoadError {
    /// Why, in a word.
    pub error: SysError,
    /// The verifier's log; empty if it was not reached.
    pub log: String,
}

/// The verifier puts its verdict before its statistics, which start with "processed".
fn last_line(log: &str) -> String {
    let line = log.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("processed "));
    line.map(|line| format!(": {line}")).unwrap_or_default()
}

/// What a run on made-up input brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun {
    /// The program's result.
    pub result: u32,
    /// How long one run took.
    pub duration: Duration,
    /// The packet afterwards.
    pub data: Vec<u8>,
}

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

const LOG_START: usize = 64 * 1024;
const LOG_LIMIT: usize = 16 * 1024 * 1024;

impl Program {
    /// Loads a program. A refused one is loaded again to hear why.
    pub fn load(spec: &ProgramSpec<'_>) -> Result<Self, LoadError> {
        let refused = |errno: Errno, log: String| LoadError {
            error: SysError::new(Command::ProgLoad.name(), spec.name, errno),
            log,
        };
        let license = CString::new(spec.license).map_err(|_| refused(Errno::EINVAL, String::new()))?;
        let count =
            u32::try_from(spec.instructions.len()).map_err(|_| refused(Errno::E2BIG, String::new()))?;
        let functions: Vec<u32> = spec.functions.iter().flat_map(|&(at, kind)| [at, kind]).collect();
        let attr = || {
            let mut attr = Attr::new()
                .u32(0, spec.kind.0)
                .u32(4, count)
                .pointer(8, spec.instructions.as_ptr())
                .pointer(16, license.as_ptr())
                .u32(44, spec.flags)
                .name(48, spec.name);
            if spec.ifindex != 0 {
                attr = attr.u32(64, spec.ifindex);
            }
            if let Some(attach) = spec.attach {
                attr = attr.u32(68, attach.0);
            }
            if let Some(btf) = spec.btf {
                attr = attr.fd(72, btf);
                if !functions.is_empty() {
                    let count = (functions.len() / 2) as u32;
                    attr = attr.u32(76, 8).pointer(80, functions.as_ptr()).u32(88, count);
                }
            }
            if spec.attach_btf_id != 0 {
                attr = attr.u32(108, spec.attach_btf_id);
            }
            if let Some(object) = spec.attach_btf_object {
                attr = attr.fd(112, object);
            }
            attr
        };
        let errno = match load(&mut attr()) {
            Ok(fd) => return Ok(Program { fd }),
            Err(errno) => errno,
        };
        if errno == Errno::EPERM {
            return Err(refused(errno, String::new()));
        }
        let mut size = LOG_START;
        loop {
            let mut log = vec![0_u8; size];
            let mut attr = attr().u32(24, 1).u32(28, size as u32).pointer(32, log.as_mut_ptr().cast_const());
            match load(&mut attr) {
                // It was a passing trouble, such as too little memory.
                Ok(fd) => return Ok(Program { fd }),
                Err(Errno::ENOSPC) if size < LOG_LIMIT => size *= 4,
                Err(_) => {
                    let text = log.split(|&byte| byte == 0).next().unwrap_or(&[]);
                    return Err(refused(errno, String::from_utf8_lossy(text).into_owned()));
                }
            }
        }
    }

    /// Takes hold of a loaded program; needs `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> Result<Self> {
        Object::Program.open(id).map(|fd| Program { fd })
    }

    /// What the kernel knows about it.
    pub fn info(&self) -> Result<ProgramInfo> {
        program_info(self.as_fd())
    }

    /// Runs it `repeat` times on a packet. The kinds that work on packets want at least 14 bytes.
    pub fn test_run(&self, packet: &[u8], repeat: u32) -> Result<TestRun> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // It may grow the packet by what an skb or an XDP buffer has as headroom.
        let mut out = vec![0_u8; packet.len() + 512];
        let mut attr = Attr::new()
            .fd(0, self.as_fd())
            .u32(8, length(packet))
            .u32(12, length(&out))
            .pointer(16, packet.as_ptr())
            .pointer(24, out.as_mut_ptr().cast_const())
            .u32(32, repeat)
            .u32(36, 0);
        // SAFETY: the two buffers outlive the call and have the lengths stated.
        unsafe { attr.run(Command::ProgTestRun, "")? };
        out.truncate(attr.get_u32(12) as usize);
        let duration = Duration::from_nanos(u64::from(attr.get_u32(36)));
        Ok(TestRun { result: attr.get_u32(4), duration, data: out })
    }

    /// Runs a raw tracepoint's program once in this process, with these words as its arguments.
    pub fn run_raw(&self, arguments: &[u64]) -> Result<u32> {
        let length = u32::try_from(std::mem::size_of_val(arguments)).unwrap_or(u32::MAX);
        let mut attr =
            Attr::new().fd(0, self.as_fd()).u32(40, length).pointer(48, arguments.as_ptr()).u32(68, 0);
        // SAFETY: the context has the length stated and outlives the call.
        unsafe { attr.run(Command::ProgTestRun, "")? };
        Ok(attr.get_u32(4))
    }

    /// Attaches it to a control group or a network namespace without a link: it stays when this program
    /// ends. Prefer a link; this is for making the faults of those who did not. `BPF_F_ALLOW_MULTI` is 2.
    pub fn attach(&self, target: BorrowedFd<'_>, attach: AttachType, flags: u32) -> Result<()> {
        let mut attr = Attr::new().fd(0, target).fd(4, self.as_fd()).u32(8, attach.0).u32(12, flags);
        // SAFETY: no pointers.
        unsafe { attr.run(Command::ProgAttach, attach.name()) }.map(drop)
    }

    /// Takes back [`Self::attach`].
    pub fn detach(&self, target: BorrowedFd<'_>, attach: AttachType) -> Result<()> {
        let mut attr = Attr::new().fd(0, target).fd(4, self.as_fd()).u32(8, attach.0);
        // SAFETY: no pointers.
        unsafe { attr.run(Command::ProgDetach, attach.name()) }.map(drop)
    }
}

fn load(attr: &mut Attr) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: `Program::load` wrote pointers to instructions, licence, functions and log with their lengths, and keeps
    // them alive; the kernel returns a new descriptor.
    unsafe { attr.call(Command::ProgLoad).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_found_before_the_statistics() {
        let log = "0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(last_line(log), ": R0 !read_ok");
        assert_eq!(last_line(""), "");
    }

    #[test]
    fn registers_lead_back() {
        let one = Instruction::new(0xbf, 3, 10, -4, 7);
        assert_eq!((one.destination(), one.source()), (3, 10));
    }
}
