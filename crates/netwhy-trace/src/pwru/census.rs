//! Where a packet can be seen on this kernel, found in its types.

use std::collections::HashSet;

use netwhy_bpf::btf::Kind;
use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::wildcard;
use netwhy_lang::types::{Signature, TypeDesc, Types};

/// An event that carries a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Name of the raw tracepoint.
    pub(crate) name: String,
    /// Name of its argument.
    pub(crate) argument: String,
}

/// Functions by the position of the packet among their arguments, first ones first.
pub(crate) type Functions = [Vec<String>; 5];

/// The position of the first packet in a signature.
fn packet(kernel: &Kernel, signature: &Signature) -> Option<usize> {
    signature.params.iter().position(|param| match kernel.describe(param.ty) {
        Some(TypeDesc::Ptr(to)) => {
            matches!(kernel.describe(to), Some(TypeDesc::Struct { name, .. }) if name == "sk_buff")
        }
        _ => false,
    })
}

/// Tracepoints with a packet.
pub(crate) fn events(kernel: &Kernel, pattern: &str) -> Vec<Event> {
    let mut all = Vec::new();
    for name in kernel.events().iter().filter(|name| wildcard::matches(pattern, name)) {
        let Some(signature) = kernel.raw_tracepoint(name) else { continue };
        let argument = packet(kernel, &signature).and_then(|at| signature.params.get(at));
        if let Some(argument) = argument.filter(|param| !param.name.is_empty()) {
            all.push(Event { name: name.clone(), argument: argument.name.clone() });
        }
    }
    all
}

/// Functions of the kernel itself that take a packet among their first five arguments and have a place of their own.
pub(crate) fn functions(kernel: &Kernel, pattern: &str) -> Functions {
    let symbols: HashSet<&str> = kernel.symbols().functions().collect();
    let mut seen = HashSet::new();
    let mut all = Functions::default();
    for (_, name) in kernel.btf().named(&[Kind::Func]) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        // What the tracer itself runs, and what is never to be probed.
        let barred =
            ["__bpf_trace_", "__traceiter_", "bpf_", "__probestub_", "perf_trace_", "trace_event_raw_"];
        if barred.iter().any(|prefix| name.starts_with(prefix)) || !wildcard::matches(pattern, name) {
            continue;
        }
        if !symbols.contains(name) || !seen.insert(name) {
            continue;
        }
        let Some(at) = kernel.function(None, name).and_then(|signature| packet(kernel, &signature)) else {
            continue;
        };
        if let Some(list) = all.get_mut(at) {
            list.push(name.to_owned());
        }
    }
    for list in &mut all {
        list.sort();
    }
    all
}
