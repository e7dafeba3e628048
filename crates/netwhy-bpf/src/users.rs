//! Names of user addresses: a process's mappings, the symbols of the files mapped, names a just-in-time compiler
//! left in `/tmp/perf-PID.map`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use netwhy_sys::procfs::Tree;

use crate::elf::{Elf, Symbol};

/// A name for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Function.
    pub symbol: String,
    /// Bytes after its start.
    pub offset: u64,
    /// File, or a name in brackets.
    pub module: String,
}

/// One executable mapping of a process (a line of `/proc/PID/maps`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Bytes from the file's start.
    pub offset: u64,
    /// The file as the process sees it, or a name in brackets; empty for none.
    pub path: String,
}

#[derive(Debug)]
struct File {
    elf: Elf,
    /// Functions by address.
    symbols: Vec<Symbol>,
}

#[derive(Debug, Default)]
struct Process {
    mappings: Vec<Mapping>,
    /// Start, size, name.
    compiled: Vec<(u64, u64, String)>,
}

/// Everything learnt so far.
#[derive(Debug, Default)]
pub struct Users {
    processes: RefCell<HashMap<u32, Rc<Process>>>,
    files: RefCell<HashMap<String, Option<Rc<File>>>>,
}

impl Users {
    /// Nothing is read yet.
    #[must_use]
    pub fn new() -> Self {
        Users::default()
    }

    /// Notes a process's mappings while it lives, so that its addresses have names when it is gone.
    pub fn remember(&self, pid: u32) {
        if let Some(found) = read(pid) {
            self.processes.borrow_mut().insert(pid, Rc::new(found));
        }
    }

    /// The name of an address. `None`: the process is gone and was never looked at, or there is no name.
    #[must_use]
    pub fn resolve(&self, pid: u32, address: u64) -> Option<Named> {
        self.mapped(pid, address).or_else(|| {
            // Perhaps it has mapped something since.
            self.remember(pid);
            self.mapped(pid, address)
        })
    }

    fn mapped(&self, pid: u32, address: u64) -> Option<Named> {
        let process = Rc::clone(self.processes.borrow().get(&pid)?);
        let at = process.mappings.partition_point(|m| m.start <= address).checked_sub(1)?;
        let mapping = process.mappings.get(at).filter(|m| address < m.end)?;
        if let Some((start, _, name)) = process
            .compiled
            .iter()
            .find(|(start, size, _)| (*start..start.saturating_add(*size)).contains(&address))
        {
            return Some(Named { symbol: name.clone(), offset: address - start, module: "[jit]".to_owned() });
        }
        let file = self.file(pid, mapping)?;
        let wanted = file.elf.address_of(address - mapping.start + mapping.offset)?;
        let (symbol, offset) = nearest(&file.symbols, wanted)?;
        Some(Named { symbol: symbol.name.clone(), offset, module: mapping.path.clone() })
    }

    fn file(&self, pid: u32, mapping: &Mapping) -> Option<Rc<File>> {
        let key = match mapping.path.as_str() {
            "" => return None,
            "[vdso]" => "[vdso]".to_owned(),
            path if path.starts_with('/') => format!("{pid}{path}"),
            _ => return None,
        };
        if let Some(found) = self.files.borrow().get(&key) {
            return found.clone();
        }
        let opened = if mapping.path == "[vdso]" {
            vdso().and_then(|bytes| Elf::from_bytes(bytes).ok())
        } else {
            // As the process sees it; when it is gone, as this one does.
            Elf::open(Path::new(&format!("/proc/{pid}/root{}", mapping.path)))
                .or_else(|_| Elf::open(Path::new(&mapping.path)))
                .ok()
        };
        let made = opened.map(|elf| {
            let cut = if elf.has_all_symbols() { None } else { elf.debug_file() };
            let more = cut.and_then(|path| Elf::open(Path::new(&path)).ok());
            let mut symbols = elf.symbols();
            symbols.extend(more.iter().flat_map(Elf::symbols));
            symbols.retain(|symbol| symbol.function);
            symbols.sort_by_key(|symbol| symbol.address);
            Rc::new(File { elf, symbols })
        });
        self.files.borrow_mut().insert(key, made.clone());
        made
    }
}

/// The function an address lies in. One without a size reaches to the next.
fn nearest(symbols: &[Symbol], address: u64) -> Option<(&Symbol, u64)> {
    let after = symbols.partition_point(|symbol| symbol.address <= address);
    let last = symbols.get(after.checked_sub(1)?)?;
    let first = symbols.partition_point(|symbol| symbol.address < last.address);
    // Of several names at one address the first that reaches so far.
    let reaches = |s: &&Symbol| s.size == 0 || address - s.address < s.size;
    let found = symbols.get(first..after)?.iter().find(reaches)?;
    Some((found, address - found.address))
}

fn read(pid: u32) -> Option<Process> {
    let text = Tree::proc().read(format!("{pid}/maps")).ok()?;
    let mappings = mappings(&text);
    if mappings.is_empty() {
        return None;
    }
    // The name is the one the process has in its own namespace.
    let inner = Tree::proc().read(format!("{pid}/status")).ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_whitespace().last()?.parse::<u32>().ok()
    });
    let inner = inner.unwrap_or(pid);
    let compiled = Tree::proc().read(format!("{pid}/root/tmp/perf-{inner}.map")).unwrap_or_default();
    Some(Process { mappings, compiled: perf_map(&compiled) })
}

/// Executable mappings of a `maps` file, by address.
#[must_use]
pub fn mappings(text: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let mut words = rest.splitn(5, ' ');
        let access = words.next()?;
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let path = words.nth(2).unwrap_or_default().trim();
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        access.contains('x').then_some(())?;
        Some(Mapping {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            offset,
            path: path.to_owned(),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Lines `START SIZE NAME`, both numbers in hex.
fn perf_map(text: &str) -> Vec<(u64, u64, String)> {
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let start = u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
        let size = u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
        Some((start, size, words.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// The object the kernel maps into every process.
fn vdso() -> Option<Vec<u8>> {
    let maps = Tree::proc().read("self/maps").ok()?;
    let own = mappings(&maps).into_iter().find(|mapping| mapping.path == "[vdso]")?;
    let mut bytes = vec![0; usize::try_from(own.end - own.start).ok()?];
    std::fs::File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, own.start).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_process_has_its_functions_name() {
        let users = Users::new();
        let address = std::process::id as fn() -> u32 as usize as u64;
        let named = users.resolve(std::process::id(), address).expect("a name");
        assert!(named.symbol.contains("id") && named.module.starts_with('/'), "{named:?}");
        assert_eq!(users.resolve(std::process::id(), 8), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_names() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(Users::new().resolve(child.id(), 0x40_0000), None);
    }

    #[test]
    fn the_vdso_is_an_object_with_functions() {
        let elf = Elf::from_bytes(vdso().expect("a vDSO")).unwrap();
        assert!(elf.symbols().iter().any(|symbol| symbol.name.contains("gettime")));
    }

    #[test]
    fn maps_and_perf_maps_are_read() {
        let text = "00400000-00401000 r-xp 00001000 08:01 42    /bin/a b (deleted)\n\
                    7000-8000 rw-p 00000000 00:00 0 \n\
                    7fff0000-7fff1000 r-xp 00000000 00:00 0   [vdso]\nrubbish\n";
        let all = mappings(text);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].offset, all[0].path.as_str()), (0x1000, "/bin/a b"));
        assert_eq!(perf_map("7f00 10 Lmain;::run it\nx\n"), [(0x7f00, 0x10, "Lmain;::run it".to_owned())]);
    }
}
