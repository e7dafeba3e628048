//! From a compiled script to maps and programs of this kernel. Nothing is attached yet.

use std::os::fd::{AsFd, AsRawFd};

use netwhy_lang::program::{
    Attach, Kind, MapKind, MapSpec, Program as Compiled, ProgramSpec, RelocTarget, Role,
};
use netwhy_sys::bpf::{self, AttachType, Instruction, MapType, ProgramType};
use netwhy_sys::process::{Limit, Resource, set_limit};
use netwhy_sys::{Errno, SysError};

use crate::btf::Kind as TypeKind;
use crate::kernel::Kernel;
use crate::stub;

/// Frames the kernel keeps of a stack (`kernel.perf_event_max_stack`'s default).
const STACK_FRAMES: u32 = 127;

/// Why a script cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A map was refused.
    #[error("map {name}: {error}")]
    Map {
        /// Its name.
        name: String,
        /// Why.
        error: SysError,
    },
    /// A program was refused.
    #[error(transparent)]
    Program(Box<Refused>),
    /// The event or function is not in this kernel's types.
    #[error("{0} is not in this kernel's types")]
    NoTarget(String),
    /// A place could not be attached to.
    #[error("cannot attach {place}: {reason}")]
    Attach {
        /// The place.
        place: String,
        /// Why, and what else there is.
        reason: String,
    },
    /// Another call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// A program the kernel did not take.
#[derive(Debug, thiserror::Error)]
#[error("program {name}: {error}{}", .verdict.as_deref().map(|v| format!("\nverifier: {v}")).unwrap_or_default())]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// Why.
    pub error: SysError,
    /// Bytes of the script its refused instruction comes from.
    pub place: Option<(u32, u32)>,
    /// The verifier's last meaningful line.
    pub verdict: Option<String>,
    /// All it said.
    pub log: String,
}

/// One program, possibly loaded several times: kinds that are bound to their place when loaded need one each.
#[derive(Debug)]
pub struct Loaded {
    /// Index in the spec.
    pub index: u32,
    /// As loaded.
    pub instances: Vec<Instance>,
}

/// A program as loaded, and what it is for.
#[derive(Debug)]
pub struct Instance {
    /// The program.
    pub program: bpf::Program,
    /// Its places.
    pub places: Vec<Attach>,
    /// How they are attached.
    pub way: Way,
    /// For one link of all places, a number for each, when the program asks for it.
    pub cookies: Vec<u64>,
}

/// Maps and programs of a script.
#[derive(Debug)]
pub struct Objects {
    /// In the order of the spec.
    pub maps: Vec<bpf::Map>,
    /// In the order of the spec.
    pub programs: Vec<Loaded>,
}

impl Objects {
    /// Makes the maps and loads the programs.
    pub fn load(spec: &ProgramSpec, kernel: &Kernel) -> Result<Self, LoadError> {
        // Before Linux 5.11 maps count as locked memory. Later the limit is not looked at, so failing is no matter.
        let unlimited = Limit { soft: None, hard: None };
        let _ = set_limit(std::process::id(), Resource::LockedMemory, unlimited);
        let maps = spec.maps.iter().map(make_map).collect::<Result<Vec<_>, _>>()?;
        for (map, made) in spec.maps.iter().zip(&maps) {
            if map.role == Role::Start {
                let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                let now = ns(netwhy_sys::clock::since_boot());
                let ahead = ns(netwhy_sys::clock::realtime()).wrapping_sub(now);
                let mut both = now.to_ne_bytes().to_vec();
                both.extend(ahead.to_ne_bytes());
                made.update(&vec![0; map.key_size as usize], &both, bpf::Update::Any)?;
            }
        }
        let programs = spec.programs.iter().map(|one| load(one, &maps, kernel)).collect::<Result<_, _>>()?;
        Ok(Objects { maps, programs })
    }
}

fn make_map(map: &MapSpec) -> Result<bpf::Map, LoadError> {
    let kind = match map.kind {
        MapKind::Hash => MapType::HASH,
        MapKind::PercpuHash => MapType::PERCPU_HASH,
        MapKind::LruHash => MapType::LRU_HASH,
        MapKind::LruPercpuHash => MapType::LRU_PERCPU_HASH,
        MapKind::Array => MapType::ARRAY,
        MapKind::PercpuArray => MapType::PERCPU_ARRAY,
        MapKind::Ring => MapType::RINGBUF,
        MapKind::StackTrace => MapType::STACK_TRACE,
    };
    let value_size = if map.kind == MapKind::StackTrace { STACK_FRAMES * 8 } else { map.value_size };
    let (key_size, value_size) = if map.kind == MapKind::Ring { (0, 0) } else { (map.key_size, value_size) };
    let short = map.name.trim_start_matches('@');
    let name = if short.is_empty() { "anonymous" } else { short };
    bpf::Map::create(&bpf::MapSpec {
        kind,
        key_size,
        value_size,
        max_entries: map.max_entries,
        flags: 0,
        name,
    })
    .map_err(|error| LoadError::Map { name: map.name.clone(), error })
}

/// How a place is loaded: kind, point, and the type it is bound to.
fn how(compiled: &Compiled, place: Option<&Attach>, kernel: &Kernel) -> Result<How, LoadError> {
    let raw = |event: &str| {
        let id = kernel.btf().raw_tracepoint(event).map(|(_, id)| id);
        let id = id.ok_or_else(|| LoadError::NoTarget(format!("tracepoint {event}")))?;
        Ok(How {
            kind: ProgramType::TRACING,
            attach: Some(AttachType::TRACE_RAW_TP),
            target: id,
            object: None,
        })
    };
    let function = |module: Option<&str>, name: &str, attach| {
        let missing = || LoadError::NoTarget(format!("function {name}"));
        let kind = ProgramType::TRACING;
        let Some(module) = module else {
            let target = kernel.btf().find(&[TypeKind::Func], name).ok_or_else(missing)?;
            return Ok(How { kind, attach: Some(attach), target, object: None });
        };
        let (_, btf) = kernel.module(module).ok_or_else(missing)?;
        let target = btf.find(&[TypeKind::Func], name).ok_or_else(missing)?;
        Ok(How { kind, attach: Some(attach), target, object: Some(bpf::Btf::of_kernel(module)?) })
    };
    let plain = |kind| Ok(How { kind, attach: None, target: 0, object: None });
    match (compiled.kind, place) {
        (Kind::BtfTracepoint, Some(Attach::RawTracepoint { event } | Attach::Tracepoint { event, .. })) => {
            raw(event)
        }
        (Kind::Tracepoint, _) => plain(ProgramType::TRACEPOINT),
        (Kind::Once | Kind::RawTracepoint | Kind::BtfTracepoint, _) => plain(ProgramType::RAW_TRACEPOINT),
        (Kind::Kprobe, _) => plain(ProgramType::KPROBE),
        (Kind::PerfEvent, _) => plain(ProgramType::PERF_EVENT),
        (Kind::Fentry, Some(Attach::Fentry { function: name, module })) => {
            function(module.as_deref(), name, AttachType::TRACE_FENTRY)
        }
        (Kind::Fexit, Some(Attach::Fexit { function: name, module })) => {
            function(module.as_deref(), name, AttachType::TRACE_FEXIT)
        }
        (Kind::Iter, Some(Attach::Iter { target })) => {
            function(None, &format!("bpf_iter_{target}"), AttachType::TRACE_ITER)
        }
        (kind, place) => Err(LoadError::Attach {
            place: place.map(|p| format!("{p:?}")).unwrap_or_default(),
            reason: format!("the compiler made a program of kind {kind:?} for it"),
        }),
    }
}

struct How {
    kind: ProgramType,
    attach: Option<AttachType>,
    target: u32,
    /// The module's types that `target` is in.
    object: Option<bpf::Btf>,
}

/// How a group of places is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Each by itself.
    Each,
    /// All by one link.
    Multi,
    /// Tracepoints whose body does not look at its record: on the raw tracepoint, which is cheaper and needs no
    /// tracefs.
    Raw,
    /// Events of single system calls: one raw tracepoint that all calls share, `sys_enter` or `sys_exit`, and a table
    /// of the calls that are meant.
    Folded(&'static str),
}

/// Places that share a loaded program, and how they are attached.
fn groups(compiled: &Compiled, kernel: &Kernel) -> Vec<(Vec<Attach>, Way)> {
    match compiled.kind {
        Kind::BtfTracepoint | Kind::Fentry | Kind::Fexit | Kind::Iter => {
            compiled.attach.iter().map(|place| (vec![place.clone()], Way::Each)).collect()
        }
        Kind::Tracepoint if !compiled.reads_context && !compiled.wants_cookie => {
            grouped(compiled, |place| match tracepoint_way(place, kernel) {
                Way::Folded(event) => Some((event.to_owned(), false)),
                Way::Raw => Some((String::new(), false)),
                _ => None,
            })
            .into_iter()
            .map(|(key, list)| {
                let way = match (key, list.first()) {
                    (Some(_), Some(first)) => tracepoint_way(first, kernel),
                    _ => Way::Each,
                };
                (list, way)
            })
            .collect()
        }
        Kind::Kprobe if compiled.attach.len() > 1 => {
            // What one link can hold: functions of the kernel, or places of one file; entries or returns.
            let key = |place: &Attach| match place {
                Attach::Kprobe { offset: 0, .. } => Some((String::new(), false)),
                Attach::Kretprobe { .. } => Some((String::new(), true)),
                Attach::Uprobe { path, .. } | Attach::Usdt { path, .. } => Some((path.clone(), false)),
                Attach::Uretprobe { path, .. } => Some((path.clone(), true)),
                _ => None,
            };
            let multi = |key: Option<(String, bool)>, list: &[Attach]| {
                let Some((path, _)) = key.filter(|_| list.len() > 1) else { return Way::Each };
                let probing = kernel.probing();
                let outcome = if path.is_empty() { probing.kprobe_multi() } else { probing.uprobe_multi() };
                if outcome.yes() { Way::Multi } else { Way::Each }
            };
            grouped(compiled, key)
                .into_iter()
                .map(|(key, list)| (multi(key, &list), list))
                .map(|(w, l)| (l, w))
                .collect()
        }
        _ => vec![(compiled.attach.clone(), Way::Each)],
    }
}

/// Places by key, in order.
#[allow(clippy::type_complexity, reason = "used twice, right above")]
fn grouped(
    compiled: &Compiled,
    key: impl Fn(&Attach) -> Option<(String, bool)>,
) -> Vec<(Option<(String, bool)>, Vec<Attach>)> {
    let mut all: Vec<(Option<(String, bool)>, Vec<Attach>)> = Vec::new();
    for place in &compiled.attach {
        let key = key(place);
        match all.iter_mut().find(|(other, _)| *other == key) {
            Some((_, list)) => list.push(place.clone()),
            None => all.push((key, vec![place.clone()])),
        }
    }
    all
}

fn tracepoint_way(place: &Attach, kernel: &Kernel) -> Way {
    let Attach::Tracepoint { category, event } = place else { return Way::Each };
    if category == "syscalls" {
        return match syscall(event) {
            Some((raw, _)) => Way::Folded(raw),
            None => Way::Each,
        };
    }
    if kernel.events().binary_search(event).is_ok() { Way::Raw } else { Way::Each }
}

/// The raw tracepoint and the number of a single system call's event.
fn syscall(event: &str) -> Option<(&'static str, u32)> {
    let (raw, name) = match event.strip_prefix("sys_enter_") {
        Some(name) => ("sys_enter", name),
        None => ("sys_exit", event.strip_prefix("sys_exit_")?),
    };
    Some((raw, netwhy_sys::syscalls::number(name).filter(|number| *number < SYSCALLS)?))
}

/// Entries of the table of calls; the newest have numbers below 500.
const SYSCALLS: u32 = 1024;

/// Instructions put before a program on `sys_enter` or `sys_exit`: it goes on for calls in a table of bytes. The
/// number is the second argument of the one; for the other it is among the registers, which are the first.
fn only_calls(raw: &str, table: &bpf::Map) -> Vec<Instruction> {
    let fd = table.as_fd().as_raw_fd();
    let insn = Instruction::new;
    let mut out = Vec::new();
    if raw == "sys_enter" {
        out.push(insn(0x79, 2, 1, 8, 0));
    } else {
        // r6 = ctx; read 8 bytes of pt_regs to the stack; the context comes back.
        let at = if cfg!(target_arch = "aarch64") { ORIG_ARM } else { ORIG_X86 };
        out.extend([
            insn(0xbf, 6, 1, 0, 0),
            insn(0x79, 3, 1, 0, 0),
            insn(0x07, 3, 0, 0, at),
            insn(0x7a, 10, 0, -8, 0),
            insn(0xbf, 1, 10, 0, 0),
            insn(0x07, 1, 0, 0, -8),
            insn(0xb7, 2, 0, 0, 8),
            insn(0x85, 0, 0, 0, 113),
            insn(0x79, 2, 10, -8, 0),
            insn(0xbf, 1, 6, 0, 0),
        ]);
        if cfg!(target_arch = "aarch64") {
            // syscallno is 32 bits wide.
            out.extend([insn(0x67, 2, 0, 0, 32), insn(0x77, 2, 0, 0, 32)]);
        }
    }
    let limit = i32::try_from(SYSCALLS).unwrap_or(0);
    out.extend([
        // Beyond the table: leave.
        insn(0x35, 2, 0, 5, limit),
        insn(0x18, 3, 2, 0, fd),
        insn(0, 0, 0, 0, 0),
        insn(0x0f, 3, 2, 0, 0),
        insn(0x71, 3, 3, 0, 0),
        insn(0x55, 3, 0, 2, 0),
        insn(0xb7, 0, 0, 0, 0),
        insn(0x95, 0, 0, 0, 0),
    ]);
    out
}

/// `orig_ax` in x86-64's `struct pt_regs`.
const ORIG_X86: i32 = 120;
/// `syscallno` in arm64's, behind what user space sees of it.
const ORIG_ARM: i32 = 280;

/// The table of the calls that are meant.
fn calls(places: &[Attach]) -> Result<bpf::Map, LoadError> {
    let mut bytes = vec![0_u8; SYSCALLS as usize];
    for place in places {
        if let Attach::Tracepoint { event, .. } = place
            && let Some((_, number)) = syscall(event)
            && let Some(byte) = bytes.get_mut(number as usize)
        {
            *byte = 1;
        }
    }
    let spec = bpf::MapSpec {
        kind: MapType::ARRAY,
        key_size: 4,
        value_size: SYSCALLS,
        max_entries: 1,
        flags: 0,
        name: "calls",
    };
    let map = bpf::Map::create(&spec)?;
    map.update(&0_u32.to_ne_bytes(), &bytes, bpf::Update::Any)?;
    Ok(map)
}

fn load(compiled: &Compiled, maps: &[bpf::Map], kernel: &Kernel) -> Result<Loaded, LoadError> {
    let instructions = relocated(compiled, maps)?;
    let types = subprogram_types(compiled)?;
    let mut instances = Vec::new();
    for (places, way) in groups(compiled, kernel) {
        let mut how = how(compiled, places.first(), kernel)?;
        let mut before = Vec::new();
        // Held by the program once that is loaded.
        let mut table = None;
        match &way {
            Way::Each => {}
            Way::Multi => {
                let first = places.first();
                let functions = matches!(first, Some(Attach::Kprobe { .. } | Attach::Kretprobe { .. }));
                how.attach = Some(match functions {
                    true => AttachType::TRACE_KPROBE_MULTI,
                    false => AttachType::TRACE_UPROBE_MULTI,
                });
            }
            Way::Raw => how.kind = ProgramType::RAW_TRACEPOINT,
            Way::Folded(raw) => {
                how.kind = ProgramType::RAW_TRACEPOINT;
                before = only_calls(raw, table.insert(calls(&places)?));
            }
        }
        // Everything behind moves down; jumps are relative.
        let moved = u32::try_from(before.len()).unwrap_or(0);
        before.extend_from_slice(&instructions);
        let functions: Vec<(u32, u32)> = types
            .iter()
            .flat_map(|(_, functions)| functions)
            .map(|&(at, id)| (if at == 0 { 0 } else { at + moved }, id))
            .collect();
        let spec = bpf::ProgramSpec {
            attach: how.attach,
            name: &compiled.name,
            attach_btf_id: how.target,
            attach_btf_object: how.object.as_ref().map(|object| object.as_fd()),
            btf: types.as_ref().map(|(btf, _)| btf.as_fd()),
            functions: &functions,
            ..bpf::ProgramSpec::new(how.kind, &before)
        };
        let program = bpf::Program::load(&spec).map_err(|refused| explain(compiled, moved, refused))?;
        let cookies = if compiled.wants_cookie && way == Way::Multi {
            let index = |place| compiled.attach.iter().position(|p| p == place).unwrap_or(0) as u64;
            places.iter().map(index).collect()
        } else {
            Vec::new()
        };
        instances.push(Instance { program, places, way, cookies });
    }
    Ok(Loaded { index: compiled.index, instances })
}

/// A description of the entry and the subprograms, when there are any.
#[allow(clippy::type_complexity, reason = "a pair, used once")]
fn subprogram_types(compiled: &Compiled) -> Result<Option<(bpf::Btf, Vec<(u32, u32)>)>, LoadError> {
    if compiled.subprograms.is_empty() {
        return Ok(None);
    }
    let mut functions = vec![("entry", 1)];
    functions.extend(compiled.subprograms.iter().map(|sub| (sub.name.as_str(), sub.params)));
    let (blob, ids) = stub::functions(&functions);
    let starts = std::iter::once(0).chain(compiled.subprograms.iter().map(|sub| sub.insn));
    Ok(Some((bpf::Btf::load(&blob)?, starts.zip(ids).collect())))
}

fn relocated(compiled: &Compiled, maps: &[bpf::Map]) -> Result<Vec<Instruction>, LoadError> {
    const PSEUDO_MAP_FD: u8 = 1;
    const PSEUDO_MAP_VALUE: u8 = 2;
    const PSEUDO_FUNC: u8 = 4;
    let mut insns = compiled.insns.clone();
    for reloc in &compiled.relocs {
        let invalid = || SysError::new("relocation", format!("instruction {}", reloc.insn), Errno::EINVAL);
        let fd = |map: u32| maps.get(map as usize).map(|map| map.as_fd().as_raw_fd()).ok_or_else(invalid);
        let at = reloc.insn as usize;
        let (source, low, high) = match reloc.target {
            RelocTarget::Map(map) => (PSEUDO_MAP_FD, Some(fd(map)?), 0),
            RelocTarget::MapValue(map, offset) => (PSEUDO_MAP_VALUE, Some(fd(map)?), offset as i32),
            RelocTarget::Subprogram(_) => (PSEUDO_FUNC, None, 0),
        };
        let first = insns.get_mut(at).ok_or_else(invalid)?;
        first.src = source;
        if let Some(low) = low {
            first.imm = low;
            insns.get_mut(at + 1).ok_or_else(invalid)?.imm = high;
        }
    }
    Ok(insns.iter().map(|i| Instruction::new(i.code, i.dst, i.src, i.off, i.imm)).collect())
}

/// Finds the place in the script the verifier stopped at: it names the instruction before its verdict.
fn explain(compiled: &Compiled, moved: u32, refused: bpf::LoadError) -> LoadError {
    let number = |line: &str| line.split_once(':').and_then(|(n, _)| n.trim().parse::<u32>().ok());
    let stopped = refused.log.lines().rev().find_map(number);
    let mark = stopped.and_then(|at| compiled.lines.iter().rev().find(|mark| mark.insn + moved <= at));
    LoadError::Program(Box::new(Refused {
        name: compiled.name.clone(),
        place: mark.map(|mark| (mark.start, mark.end)),
        verdict: verdict(&refused.log),
        error: refused.error,
        log: refused.log,
    }))
}

fn verdict(log: &str) -> Option<String> {
    let noise = |line: &str| {
        line.is_empty()
            || line.starts_with("processed ")
            || line.starts_with("verification time")
            || line.starts_with("stack depth")
    };
    log.lines().rev().map(str::trim).find(|line| !noise(line)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_last_line_that_says_something() {
        let log = "0: (95) exit\nR0 !read_ok\nverification time 3 usec\nstack depth 0\nprocessed 1 insns\n\n";
        assert_eq!(verdict(log).as_deref(), Some("R0 !read_ok"));
        assert_eq!(verdict(""), None);
    }
}
