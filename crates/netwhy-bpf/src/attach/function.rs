//! Entry and return of kernel functions.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use netwhy_lang::program::Attach;
use netwhy_sys::Errno;
use netwhy_sys::bpf::{Link, LinkTarget};
use netwhy_sys::perf::{Dynamic, Event, Function};

use super::failed;
use crate::kernel::Kernel;
use crate::ladder;
use crate::load::{Instance, LoadError};
use crate::tracefs::Tracefs;

/// Opens the event of one place.
pub(super) fn one(place: &Attach, kernel: &Kernel) -> Result<Event, LoadError> {
    let (name, offset, returns) = match place {
        Attach::Kprobe { function, offset } => (function, *offset, false),
        Attach::Kretprobe { function } => (function, 0, true),
        _ => return Err(failed(place, "no kernel function")),
    };
    let kind = Dynamic::find("kprobe").map_err(|error| failed(place, absent(name, kernel, &error)))?;
    let symbol = compiled_name(name, kernel);
    // The kernel itself would take a place in whatever function lies there.
    if offset > 0
        && let Some(start) = kernel.symbols().address(&symbol)
        && kernel.symbols().resolve(start.saturating_add(offset)).is_none_or(|(_, within)| within != offset)
    {
        return Err(failed(place, format!("Offset outside the function bounds of '{symbol}'")));
    }
    Event::function(kind, Function::Kernel { symbol: &symbol, offset }, returns, None).map_err(|error| {
        let reason = match error.errno {
            Errno::ENOENT => "this kernel has no such function, or it was inlined".to_owned(),
            Errno::EINVAL => {
                "the kernel does not let this function be probed (notrace, or in the list of those \
                              that must not be)"
                    .to_owned()
            }
            Errno::EILSEQ => "this is not the start of an instruction".to_owned(),
            Errno::EADDRNOTAVAIL => "several functions have this name".to_owned(),
            _ => error.to_string(),
        };
        failed(place, reason)
    })
}

/// The compiler may have changed a function's arguments and with them its name (`.constprop.0`, `.isra.0`): the one
/// symbol that is left of it.
fn compiled_name(name: &str, kernel: &Kernel) -> String {
    let symbols = kernel.symbols();
    if name.contains('.') || symbols.address(name).is_some() {
        return name.to_owned();
    }
    match symbols.variants(name).as_slice() {
        [only] => {
            kernel.note(format!(
                "{name} is {only} in this kernel: the compiler may have changed its arguments"
            ));
            only.clone()
        }
        _ => name.to_owned(),
    }
}

fn absent(function: &str, kernel: &Kernel, error: &netwhy_sys::SysError) -> String {
    if error.errno != Errno::ENOENT {
        return error.to_string();
    }
    let near = ladder::instead_of(function).filter(|rung| ladder::reachable(rung, kernel));
    let hint = near.map_or(String::new(), |rung| {
        format!("; `{}` sees nearly the same here ({})", rung.point, rung.lost)
    });
    format!("this kernel has no kprobes{hint}")
}

/// One link for all places of an instance. What the kernel's tracer does not list would fail them all: it is left out
/// and noted.
pub(super) fn many(instance: &Instance, kernel: &Kernel) -> Result<Link, LoadError> {
    let listed = kernel.tracefs().and_then(Tracefs::functions);
    let listed: Option<HashSet<&str>> =
        listed.as_ref().map(|text| text.lines().filter_map(|line| line.split(' ').next()).collect());
    let mut names = Vec::new();
    let mut cookies = Vec::new();
    let mut returns = false;
    for (at, place) in instance.places.iter().enumerate() {
        let name = match place {
            Attach::Kprobe { function, .. } => function,
            Attach::Kretprobe { function } => {
                returns = true;
                function
            }
            _ => continue,
        };
        let symbol = compiled_name(name, kernel);
        if listed.as_ref().is_some_and(|listed| !listed.contains(symbol.as_str())) {
            kernel.note(failed(place, "this kernel has no such function that can be traced").to_string());
            continue;
        }
        names.push(CString::new(symbol).map_err(|_| failed(place, "a name with a NUL"))?);
        cookies.extend(instance.cookies.get(at));
    }
    let symbols: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
    let target = LinkTarget::Functions { symbols: &symbols, returns, cookies: &cookies };
    Link::create(&instance.program, target).map_err(|error| LoadError::Attach {
        place: format!("{} kernel functions", symbols.len()),
        reason: error.to_string(),
    })
}
