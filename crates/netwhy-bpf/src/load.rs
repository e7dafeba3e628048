//! From a compiled script to maps and programs of this kernel. Nothing is attached yet.

use std::os::fd::{AsFd, AsRawFd};

use netwhy_lang::program::{
    Attach, Kind, MapKind, MapSpec, Program as Compiled, ProgramSpec, RelocTarget, Role,
};
use netwhy_sys::bpf::{self, AttachType, Instruction, MapType, ProgramType};
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
    /// As loaded, with the places each instance is for.
    pub instances: Vec<(bpf::Program, Vec<Attach>)>,
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
        let maps = spec.maps.iter().map(make_map).collect::<Result<Vec<_>, _>>()?;
        for (map, made) in spec.maps.iter().zip(&maps) {
            if map.role == Role::Start {
                let now = u64::try_from(netwhy_sys::clock::since_boot().as_nanos()).unwrap_or(u64::MAX);
                made.update(&vec![0; map.key_size as usize], &now.to_ne_bytes(), bpf::Update::Any)?;
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
        Ok(How { kind: ProgramType::TRACING, attach: Some(AttachType::TRACE_RAW_TP), target: id })
    };
    let function = |name: &str, attach| {
        let id = kernel.btf().find(&[TypeKind::Func], name);
        let id = id.ok_or_else(|| LoadError::NoTarget(format!("function {name}")))?;
        Ok(How { kind: ProgramType::TRACING, attach: Some(attach), target: id })
    };
    let plain = |kind| Ok(How { kind, attach: None, target: 0 });
    match (compiled.kind, place) {
        (Kind::BtfTracepoint, Some(Attach::RawTracepoint { event } | Attach::Tracepoint { event, .. })) => {
            raw(event)
        }
        (Kind::Tracepoint, _) if as_raw(compiled, kernel) => plain(ProgramType::RAW_TRACEPOINT),
        (Kind::Tracepoint, _) => plain(ProgramType::TRACEPOINT),
        (Kind::Once | Kind::RawTracepoint | Kind::BtfTracepoint, _) => plain(ProgramType::RAW_TRACEPOINT),
        (Kind::Kprobe, _) => plain(ProgramType::KPROBE),
        (Kind::PerfEvent, _) => plain(ProgramType::PERF_EVENT),
        (Kind::Fentry, Some(Attach::Fentry { function: name, .. })) => {
            function(name, AttachType::TRACE_FENTRY)
        }
        (Kind::Fexit, Some(Attach::Fexit { function: name, .. })) => function(name, AttachType::TRACE_FEXIT),
        (Kind::Iter, Some(Attach::Iter { target })) => {
            function(&format!("bpf_iter_{target}"), AttachType::TRACE_ITER)
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
}

/// A tracepoint's body that does not look at its record can run on the raw tracepoint, which is cheaper and
/// needs no tracefs. Only where the event has one of its own: those of system calls do not.
pub(crate) fn as_raw(compiled: &Compiled, kernel: &Kernel) -> bool {
    compiled.kind == Kind::Tracepoint
        && !compiled.reads_context
        && !compiled.wants_cookie
        && compiled.attach.iter().all(|place| match place {
            Attach::Tracepoint { event, .. } => kernel.events().binary_search(event).is_ok(),
            _ => false,
        })
}

fn load(compiled: &Compiled, maps: &[bpf::Map], kernel: &Kernel) -> Result<Loaded, LoadError> {
    let bound = matches!(compiled.kind, Kind::BtfTracepoint | Kind::Fentry | Kind::Fexit | Kind::Iter);
    let groups: Vec<Vec<Attach>> = if bound {
        compiled.attach.iter().map(|place| vec![place.clone()]).collect()
    } else {
        vec![compiled.attach.clone()]
    };
    let instructions = relocated(compiled, maps)?;
    let types = subprogram_types(compiled)?;
    let mut instances = Vec::new();
    for group in groups {
        let how = how(compiled, group.first(), kernel)?;
        let spec = bpf::ProgramSpec {
            attach: how.attach,
            name: &compiled.name,
            attach_btf_id: how.target,
            btf: types.as_ref().map(|(btf, _)| btf.as_fd()),
            functions: types.as_ref().map_or(&[], |(_, functions)| functions),
            ..bpf::ProgramSpec::new(how.kind, &instructions)
        };
        let program = bpf::Program::load(&spec).map_err(|refused| explain(compiled, refused))?;
        instances.push((program, group));
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
fn explain(compiled: &Compiled, refused: bpf::LoadError) -> LoadError {
    let number = |line: &str| line.split_once(':').and_then(|(n, _)| n.trim().parse::<u32>().ok());
    let stopped = refused.log.lines().rev().find_map(number);
    let mark = stopped.and_then(|at| compiled.lines.iter().rev().find(|mark| mark.insn <= at));
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
