//! What this kernel attaches, found by trying and never by version; each is tried once per run, when asked for.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::fmt;
use std::path::Path;

use netwhy_sys::bpf::{
    AttachType, Instruction, Link, LinkTarget, Map, MapSpec, MapType, Program, ProgramSpec, ProgramType,
};
use netwhy_sys::perf::{Dynamic, Event, Function, Source, online_cpus};
use netwhy_sys::{Errno, SysError};

use crate::btf::Kind;
use crate::elf::Elf;
use crate::kernel::Kernel;

/// The outcome of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Yes,
    /// The kernel does not have it; why, in its words.
    No(String),
    /// It may be there, but not for this process.
    Denied(String),
}

impl Outcome {
    /// It works.
    #[must_use]
    pub fn yes(&self) -> bool {
        matches!(self, Outcome::Yes)
    }

    fn of<T>(result: Result<T, SysError>) -> Self {
        match result {
            Ok(_) => Outcome::Yes,
            Err(error) if matches!(error.errno, Errno::EPERM | Errno::EACCES) => {
                Outcome::Denied(error.to_string())
            }
            Err(error) => Outcome::No(error.to_string()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Yes => f.write_str("yes"),
            Outcome::No(why) => write!(f, "no ({why})"),
            Outcome::Denied(why) => write!(f, "denied ({why})"),
        }
    }
}

/// Outcomes so far.
#[derive(Debug, Default)]
pub struct Probing {
    kprobe: OnceCell<Outcome>,
    kprobe_multi: OnceCell<Outcome>,
    uprobe: OnceCell<Outcome>,
    uprobe_multi: OnceCell<Outcome>,
    fentry: OnceCell<Outcome>,
    hardware: OnceCell<Outcome>,
    watchpoint: OnceCell<Outcome>,
    iter: OnceCell<Outcome>,
    tp_btf: OnceCell<Outcome>,
    perf_link: OnceCell<Outcome>,
    raw_tracepoint: OnceCell<Outcome>,
    long_keys: OnceCell<Outcome>,
}

/// A function every kernel has that lets itself be probed, hardly ever called.
const FUNCTION: &str = "vprintk";

/// `r0 = 0; exit`
const NOTHING: [Instruction; 2] = [Instruction::new(0xb7, 0, 0, 0, 0), Instruction::new(0x95, 0, 0, 0, 0)];

fn program(kind: ProgramType, attach: Option<AttachType>, target: u32) -> Result<Program, SysError> {
    let spec = ProgramSpec { attach, attach_btf_id: target, ..ProgramSpec::new(kind, &NOTHING) };
    Program::load(&spec).map_err(|refused| refused.error)
}

impl Probing {
    /// Entry and return of kernel functions by breakpoint.
    pub fn kprobe(&self) -> &Outcome {
        self.kprobe.get_or_init(|| {
            Outcome::of(Dynamic::find("kprobe").and_then(|kind| {
                Event::function(kind, Function::Kernel { symbol: FUNCTION, offset: 0 }, false, None)
            }))
        })
    }

    /// Many kernel functions in one link.
    pub fn kprobe_multi(&self) -> &Outcome {
        self.kprobe_multi.get_or_init(|| {
            let symbols: [&CStr; 1] = [c"vprintk"];
            let program = program(ProgramType::KPROBE, Some(AttachType::TRACE_KPROBE_MULTI), 0);
            Outcome::of(program.and_then(|program| {
                Link::create(
                    &program,
                    LinkTarget::Functions { symbols: &symbols, returns: false, cookies: &[] },
                )
            }))
        })
    }

    /// Places in files that processes run.
    pub fn uprobe(&self) -> &Outcome {
        self.uprobe.get_or_init(|| {
            Outcome::of(Dynamic::find("uprobe").and_then(|kind| {
                let path = "/proc/self/exe";
                let invalid = |_| SysError::new("read", path, Errno::EINVAL);
                let elf = Elf::open(Path::new(path)).map_err(invalid)?;
                // It has run already and does so once only.
                let offset = elf.file_offset(elf.entry()).unwrap_or(0);
                Event::function(kind, Function::User { path, offset, semaphore: 0 }, false, None)
            }))
        })
    }

    /// Many places of a file in one link.
    pub fn uprobe_multi(&self) -> &Outcome {
        self.uprobe_multi.get_or_init(|| {
            let program = program(ProgramType::KPROBE, Some(AttachType::TRACE_UPROBE_MULTI), 0);
            let made = program.and_then(|program| {
                let target = LinkTarget::Places {
                    path: c"/",
                    offsets: &[1],
                    semaphores: &[],
                    cookies: &[],
                    returns: false,
                    pid: None,
                };
                Link::create(&program, target)
            });
            match made {
                // It looked at the path, and a directory cannot be probed.
                Err(error) if error.errno == Errno::EBADF => Outcome::Yes,
                other => Outcome::of(other),
            }
        })
    }

    /// Kernel functions by trampoline.
    pub fn fentry(&self, kernel: &Kernel) -> &Outcome {
        self.fentry.get_or_init(|| {
            let Some(target) = kernel.btf().find(&[Kind::Func], FUNCTION) else {
                return Outcome::No(format!("{FUNCTION} is not in this kernel's types"));
            };
            let loaded = program(ProgramType::TRACING, Some(AttachType::TRACE_FENTRY), target);
            Outcome::of(loaded.and_then(|program| Link::raw_tracepoint(&program, None)))
        })
    }

    /// Counters of the processor.
    pub fn hardware(&self) -> &Outcome {
        self.hardware.get_or_init(|| Outcome::of(everywhere(Source::Hardware(0), 1_000_000)))
    }

    /// Addresses watched by the processor.
    pub fn watchpoint(&self) -> &Outcome {
        self.watchpoint.get_or_init(|| {
            let place = std::ptr::from_ref(self).cast::<u8>() as usize as u64 & !7;
            let source = Source::Breakpoint { address: place, length: 8, access: 2 };
            Outcome::of(Event::open(source, 1, Some(std::process::id()), None))
        })
    }

    /// Iterators.
    pub fn iter(&self, kernel: &Kernel) -> &Outcome {
        self.iter.get_or_init(|| {
            let Some(target) = kernel.btf().find(&[Kind::Func], "bpf_iter_task") else {
                return Outcome::No("bpf_iter_task is not in this kernel's types".to_owned());
            };
            Outcome::of(program(ProgramType::TRACING, Some(AttachType::TRACE_ITER), target))
        })
    }

    /// Tracepoints with typed arguments.
    pub fn tp_btf(&self, kernel: &Kernel) -> &Outcome {
        self.tp_btf.get_or_init(|| {
            let Some((_, target)) = kernel.btf().raw_tracepoint("sched_switch") else {
                return Outcome::No("sched_switch is not in this kernel's types".to_owned());
            };
            let loaded = program(ProgramType::TRACING, Some(AttachType::TRACE_RAW_TP), target);
            Outcome::of(loaded.and_then(|program| Link::raw_tracepoint(&program, None)))
        })
    }

    /// Tracepoints with untyped arguments.
    pub fn raw_tracepoint(&self) -> &Outcome {
        self.raw_tracepoint.get_or_init(|| {
            let loaded = program(ProgramType::RAW_TRACEPOINT, None, 0);
            Outcome::of(loaded.and_then(|program| Link::raw_tracepoint(&program, Some("sched_switch"))))
        })
    }

    /// Keys longer than a program's stack.
    pub fn long_keys(&self) -> &Outcome {
        self.long_keys.get_or_init(|| {
            let made = Map::create(&MapSpec {
                kind: MapType::HASH,
                key_size: 1024,
                value_size: 8,
                max_entries: 1,
                flags: 0,
                name: "long_keys",
            });
            match made {
                // Whoever may not make maps is told so where it matters.
                Err(error) if error.errno == Errno::E2BIG => Outcome::No(error.to_string()),
                _ => Outcome::Yes,
            }
        })
    }

    /// Links to perf events, and with them cookies.
    pub fn perf_link(&self) -> &Outcome {
        self.perf_link.get_or_init(|| {
            use std::os::fd::AsFd;
            let made = program(ProgramType::PERF_EVENT, None, 0).and_then(|program| {
                let event = everywhere(Source::Software(0), 1_000_000_000)?;
                Link::create(&program, LinkTarget::PerfEvent { event: event.as_fd(), cookie: 0 })
            });
            Outcome::of(made)
        })
    }
}

fn everywhere(source: Source, period: u64) -> Result<Event, SysError> {
    let first = online_cpus()?.first().copied();
    Event::open(source, period, None, first)
}
