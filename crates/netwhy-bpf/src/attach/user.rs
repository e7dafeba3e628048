//! Places in files that processes run: functions and statically defined probes.

use std::ffi::CString;

use netwhy_lang::program::Attach;
use netwhy_sys::bpf::{Link, LinkTarget};
use netwhy_sys::perf::{Dynamic, Event, Function};

use super::failed;
use crate::kernel::Kernel;
use crate::libraries;
use crate::load::{Instance, LoadError};

/// Where in which file.
struct Place {
    path: String,
    offset: u64,
    semaphore: u64,
    returns: bool,
}

/// Finds a place in its file.
fn find(place: &Attach, kernel: &Kernel) -> Result<Place, LoadError> {
    let file = |path: &str| {
        let all = libraries::files(path, kernel.target());
        all.into_iter().next().ok_or_else(|| failed(place, format!("no file {path}")))
    };
    let (path, symbol, offset, returns) = match place {
        Attach::Uprobe { path, symbol, offset } => (path, symbol, *offset, false),
        Attach::Uretprobe { path, symbol } => (path, symbol, 0, true),
        Attach::Usdt { path, offset, semaphore, .. } => {
            if *offset == 0 {
                return Err(failed(place, "no such probe"));
            }
            return Ok(Place { path: file(path)?, offset: *offset, semaphore: *semaphore, returns: false });
        }
        _ => return Err(failed(place, "no place in a file")),
    };
    let path = file(path)?;
    let opened = kernel.file(&path).map_err(|error| failed(place, error))?;
    let (address, size) = if symbol.is_empty() {
        (0, u64::MAX)
    } else {
        let found = opened.functions.get(symbol);
        let (address, size) =
            *found.ok_or_else(|| failed(place, format!("{path} has no function {symbol}")))?;
        (address, if size == 0 { u64::MAX } else { size })
    };
    if offset >= size {
        return Err(failed(place, format!("Offset outside the function bounds ('{symbol}' size is {size})")));
    }
    let offset = opened
        .elf
        .file_offset(address.saturating_add(offset))
        .filter(|_| opened.elf.is_code(address.saturating_add(offset)))
        .ok_or_else(|| failed(place, format!("Could not resolve address: {path}:{offset:#x}")))?;
    Ok(Place { path, offset, semaphore: 0, returns })
}

/// Opens the event of one place.
pub(super) fn one(place: &Attach, kernel: &Kernel) -> Result<Event, LoadError> {
    let found = find(place, kernel)?;
    let kind = Dynamic::find("uprobe")
        .map_err(|error| failed(place, format!("this kernel has no uprobes: {error}")))?;
    let semaphore = u32::try_from(found.semaphore).map_err(|_| failed(place, "semaphore beyond 4 GB"))?;
    let function = Function::User { path: &found.path, offset: found.offset, semaphore };
    Event::function(kind, function, found.returns, kernel.target())
        .map_err(|error| failed(place, error.to_string()))
}

/// One link for all places of an instance; all are in one file.
pub(super) fn many(instance: &Instance, kernel: &Kernel) -> Result<Link, LoadError> {
    let mut found = Vec::new();
    for place in &instance.places {
        found.push(find(place, kernel)?);
    }
    let refused =
        |reason: String| LoadError::Attach { place: format!("{} user probes", found.len()), reason };
    let Some(first) = found.first() else { return Err(refused("none".to_owned())) };
    let path = CString::new(first.path.as_str()).map_err(|_| refused("a path with a NUL".to_owned()))?;
    let offsets: Vec<u64> = found.iter().map(|place| place.offset).collect();
    let mut semaphores: Vec<u64> = found.iter().map(|place| place.semaphore).collect();
    if semaphores.iter().all(|at| *at == 0) {
        semaphores.clear();
    }
    let target = LinkTarget::Places {
        path: &path,
        offsets: &offsets,
        semaphores: &semaphores,
        cookies: &instance.cookies,
        returns: first.returns,
        pid: kernel.target(),
    };
    Link::create(&instance.program, target).map_err(|error| refused(error.to_string()))
}
