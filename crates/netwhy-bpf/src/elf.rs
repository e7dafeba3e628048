//! What probes need of an ELF file: symbols, where addresses lie in the file, and statically defined probes.
//!
//! Sources: elf(5), the System V gABI, SystemTap's description of `.note.stapsdt`. Files may be anything: every
//! read is bounded and what does not fit is as if it were not there. 64-bit files of this machine's byte order.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Why a file cannot be read as ELF.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It cannot be opened or read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is something else.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong, with the field.
        what: &'static str,
    },
}

/// A function or object with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// As the file says it.
    pub name: String,
    /// Virtual address.
    pub address: u64,
    /// Bytes; 0 when the file does not say.
    pub size: u64,
    /// Whether it is a function.
    pub function: bool,
}

/// One place of a statically defined probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Provider.
    pub provider: String,
    /// Name.
    pub name: String,
    /// Bytes from the file's start.
    pub offset: u64,
    /// Where in the file the counter is that tells the program somebody looks; 0 for none.
    pub semaphore: u64,
    /// Where the arguments are, in the notation of the assembler.
    pub args: String,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
}

#[derive(Debug)]
enum Content {
    File(File),
    Memory(Vec<u8>),
}

/// An opened file.
#[derive(Debug)]
pub struct Elf {
    content: Content,
    sections: Vec<Section>,
    segments: Vec<Segment>,
    names: Vec<u8>,
    fixed: bool,
    entry: u64,
}

/// The largest table that is read.
const LIMIT: u64 = 256 << 20;
const SYMTAB: u32 = 2;
const DYNSYM: u32 = 11;
const NOTE: u32 = 7;

impl Elf {
    /// Opens a file and reads its headers.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let file =
            File::open(path).map_err(|error| ElfError::Read { path: path.display().to_string(), error })?;
        Elf::new(Content::File(file))
            .map_err(|what| ElfError::Format { path: path.display().to_string(), what })
    }

    /// From bytes, such as those of the vDSO.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ElfError> {
        Elf::new(Content::Memory(bytes)).map_err(|what| ElfError::Format { path: "memory".to_owned(), what })
    }

    fn new(content: Content) -> Result<Self, &'static str> {
        let header = content.read(0, 64).ok_or("shorter than an ELF header")?;
        if !header.starts_with(b"\x7fELF") {
            return Err("no ELF file");
        }
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if header.get(4) != Some(&2) || header.get(5) != Some(&order) {
            return Err("e_ident: not a 64-bit file of this byte order");
        }
        let fixed = u16_at(&header, 16) == Some(2);
        let entry = u64_at(&header, 24).unwrap_or(0);
        let (sections, segments, names) = (Vec::new(), Vec::new(), Vec::new());
        let mut elf = Elf { content, sections, segments, names, fixed, entry };
        elf.read_segments(&header).ok_or("e_phoff: program headers outside the file")?;
        // A file without section headers still has segments.
        let _ = elf.read_sections(&header);
        Ok(elf)
    }

    fn read_segments(&mut self, header: &[u8]) -> Option<()> {
        let (at, size, count) = (u64_at(header, 32)?, u16_at(header, 54)?, u16_at(header, 56)?);
        if count == 0 {
            return Some(());
        }
        let table = self.content.read(at, u64::from(size) * u64::from(count))?;
        for one in table.chunks_exact(usize::from(size).max(56)) {
            if u32_at(one, 0)? == 1 {
                let flags = u32_at(one, 4)?;
                let (offset, address, size) = (u64_at(one, 8)?, u64_at(one, 16)?, u64_at(one, 32)?);
                self.segments.push(Segment { flags, offset, address, size });
            }
        }
        Some(())
    }

    fn read_sections(&mut self, header: &[u8]) -> Option<()> {
        let (at, size, count) = (u64_at(header, 40)?, u16_at(header, 58)?, u16_at(header, 60)?);
        let table = self.content.read(at, u64::from(size) * u64::from(count))?;
        for one in table.chunks_exact(usize::from(size).max(64)) {
            self.sections.push(Section {
                name: u32_at(one, 0)?,
                kind: u32_at(one, 4)?,
                flags: u64_at(one, 8)?,
                address: u64_at(one, 16)?,
                offset: u64_at(one, 24)?,
                size: u64_at(one, 32)?,
                link: u32_at(one, 40)?,
            });
        }
        let names = self.sections.get(usize::from(u16_at(header, 62)?))?;
        self.names = self.content.read(names.offset, names.size)?;
        Some(())
    }

    fn named(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| text(&self.names, section.name as usize) == name.as_bytes())
    }

    /// Whether addresses are final: not a shared object and not position independent.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// The address the program starts at; 0 for a library that only lends its functions.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Where an address lies in the file.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        let within = |s: &&Segment| address >= s.address && address - s.address < s.size;
        let executable = self.segments.iter().filter(|s| s.flags & 1 != 0).find(within);
        let found = executable.or_else(|| self.segments.iter().find(within))?;
        Some(address - found.address + found.offset)
    }

    /// Whether an address lies in what may be executed.
    #[must_use]
    pub fn is_code(&self, address: u64) -> bool {
        let within = |s: &Segment| address >= s.address && address - s.address < s.size;
        let executable = self.segments.iter().any(|s| s.flags & 1 != 0 && within(s));
        // One segment may hold headers and code: the sections tell them apart.
        let code = |s: &Section| s.flags & 4 != 0 && address >= s.address && address - s.address < s.size;
        executable && (self.sections.is_empty() || self.sections.iter().any(code))
    }

    /// The address of a place in the file.
    #[must_use]
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let within = |s: &&Segment| offset >= s.offset && offset - s.offset < s.size;
        let executable = self.segments.iter().filter(|s| s.flags & 1 != 0).find(within);
        let found = executable.or_else(|| self.segments.iter().find(within))?;
        Some(offset - found.offset + found.address)
    }

    /// Every defined function and object, those of the full table and of the dynamic one, by address.
    #[must_use]
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut all = Vec::new();
        for section in self.sections.iter().filter(|s| matches!(s.kind, SYMTAB | DYNSYM)) {
            let _ = self.read_symbols(section, &mut all);
        }
        all.sort_by(|a: &Symbol, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        all.dedup_by(|a, b| a.address == b.address && a.name == b.name);
        all
    }

    fn read_symbols(&self, section: &Section, into: &mut Vec<Symbol>) -> Option<()> {
        let table = self.content.read(section.offset, section.size)?;
        let strings = self.sections.get(section.link as usize)?;
        let strings = self.content.read(strings.offset, strings.size)?;
        for one in table.chunks_exact(24) {
            let kind = one.get(4)? & 15;
            let (home, address, size) = (u16_at(one, 6)?, u64_at(one, 8)?, u64_at(one, 16)?);
            // Objects, functions and indirect functions that are defined here.
            if home == 0 || !matches!(kind, 1 | 2 | 10) {
                continue;
            }
            let name = text(&strings, u32_at(one, 0)? as usize);
            if !name.is_empty() {
                let name = String::from_utf8_lossy(name).into_owned();
                into.push(Symbol { name, address, size, function: kind != 1 });
            }
        }
        Some(())
    }

    /// Where a distribution keeps the symbols that were cut from this file, by its build id
    /// (`/usr/lib/debug/.build-id/xx/rest.debug`).
    #[must_use]
    pub fn debug_file(&self) -> Option<String> {
        let section = self.named(".note.gnu.build-id")?;
        let note = self.content.read(section.offset, section.size)?;
        let (name, size) = (u32_at(&note, 0)? as usize, u32_at(&note, 4)? as usize);
        let start = 12 + name.next_multiple_of(4);
        let id = note.get(start..start.checked_add(size)?)?;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, rest) = (hex.get(..2)?, hex.get(2..)?);
        Some(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug"))
    }

    /// Whether the full table of symbols was left in the file.
    #[must_use]
    pub fn has_all_symbols(&self) -> bool {
        self.sections.iter().any(|section| section.kind == SYMTAB)
    }

    /// Every place of every statically defined probe (`.note.stapsdt`).
    #[must_use]
    pub fn sites(&self) -> Vec<Site> {
        let base = self.named(".stapsdt.base").map_or(0, |section| section.address);
        let mut all = Vec::new();
        for section in self.sections.iter().filter(|section| section.kind == NOTE) {
            if text(&self.names, section.name as usize) != b".note.stapsdt" {
                continue;
            }
            let Some(notes) = self.content.read(section.offset, section.size) else { continue };
            let mut at = 0_usize;
            while let (Some(name), Some(size), Some(kind)) =
                (u32_at(&notes, at), u32_at(&notes, at + 4), u32_at(&notes, at + 8))
            {
                let start = at + 12 + (name as usize).next_multiple_of(4);
                let Some(body) = notes.get(start..start.saturating_add(size as usize)) else { break };
                at = start + (size as usize).next_multiple_of(4);
                if kind == 3 {
                    all.extend(self.site(body, base));
                }
            }
        }
        all
    }

    fn site(&self, body: &[u8], base: u64) -> Option<Site> {
        let (address, noted, semaphore) = (u64_at(body, 0)?, u64_at(body, 8)?, u64_at(body, 16)?);
        let mut texts = body.get(24..)?.split(|&b| b == 0).map(|t| String::from_utf8_lossy(t).into_owned());
        let (provider, name) = (texts.next()?, texts.next()?);
        let args = texts.next().unwrap_or_default();
        // Prelinking moves the sections but not what the notes say.
        let moved = if base == 0 { 0 } else { base.wrapping_sub(noted) };
        let offset = self.file_offset(address.wrapping_add(moved))?;
        let semaphore = match semaphore {
            0 => 0,
            at => self.file_offset(at.wrapping_add(moved))?,
        };
        Some(Site { provider, name, offset, semaphore, args })
    }
}

impl Content {
    fn read(&self, offset: u64, size: u64) -> Option<Vec<u8>> {
        match self {
            Content::Memory(bytes) => {
                let start = usize::try_from(offset).ok()?;
                bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?).map(<[u8]>::to_vec)
            }
            Content::File(file) => {
                let length = file.metadata().ok()?.len();
                if size > LIMIT || offset.checked_add(size)? > length {
                    return None;
                }
                let mut bytes = vec![0; usize::try_from(size).ok()?];
                file.read_exact_at(&mut bytes, offset).ok()?;
                Some(bytes)
            }
        }
    }
}

fn text(table: &[u8], at: usize) -> &[u8] {
    table.get(at..).and_then(|rest| rest.split(|&b| b == 0).next()).unwrap_or_default()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_has_symbols_that_lie_in_its_file() {
        let elf = Elf::open(Path::new("/proc/self/exe")).unwrap();
        let symbols = elf.symbols();
        let main = symbols.iter().find(|symbol| symbol.name == "main").expect("a symbol main");
        assert!(main.function);
        let offset = elf.file_offset(main.address).unwrap();
        assert_eq!(elf.address_of(offset), Some(main.address));
    }

    #[test]
    fn damaged_files_are_refused_or_empty() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        assert!(Elf::from_bytes(b"#!/bin/sh\n".to_vec()).is_err());
        for cut in [64, 128, 4096, whole.len() / 2] {
            if let Ok(elf) = Elf::from_bytes(whole.get(..cut).unwrap().to_vec()) {
                assert!(elf.symbols().is_empty() && elf.sites().is_empty());
            }
        }
        let mut wild = whole.get(..4096).unwrap().to_vec();
        wild[32..64].fill(0xff);
        assert!(Elf::from_bytes(wild).is_err());
    }
}
