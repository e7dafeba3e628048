//! The sections of a 64-bit little-endian ELF object file (System V ABI, chapter 4; `elf(5)`), as compilers write BPF
//! programs.

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It does not begin with the magic number.
    #[error("it is not an ELF file")]
    NotElf,
    /// It is for 32 bits or big-endian.
    #[error("it is not a 64-bit little-endian ELF file")]
    OtherClass,
    /// A table or a section leads outside of the file.
    #[error("{what} at byte {offset} leads outside of the file")]
    Outside {
        /// What is read there.
        what: &'static str,
        /// Where in the file.
        offset: usize,
    },
}

/// One section.
#[derive(Debug, Clone, Copy)]
struct Section<'a> {
    name: &'a str,
    kind: u32,
    info: usize,
    bytes: &'a [u8],
}

/// An object file's sections.
#[derive(Debug, Clone)]
pub struct Elf<'a> {
    sections: Vec<Section<'a>>,
}

const SHT_NOBITS: u32 = 8;
const SHT_RELA: u32 = 4;
const SHT_REL: u32 = 9;

/// Bytes of a section's entry (`Elf64_Shdr`).
const ENTRY: usize = 64;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn number(&self, what: &'static str, offset: usize, length: usize) -> Result<usize, ElfError> {
        let outside = ElfError::Outside { what, offset };
        let bytes = offset.checked_add(length).and_then(|end| self.0.get(offset..end)).ok_or(outside)?;
        let number = bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        usize::try_from(number).map_err(|_| outside)
    }

    fn part(&self, what: &'static str, offset: usize, length: usize) -> Result<&'a [u8], ElfError> {
        let end = offset.checked_add(length);
        end.and_then(|end| self.0.get(offset..end)).ok_or(ElfError::Outside { what, offset })
    }
}

impl<'a> Elf<'a> {
    /// Reads the section table.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if bytes.get(..4) != Some(b"\x7fELF") {
            return Err(ElfError::NotElf);
        }
        if bytes.get(4..6) != Some(&[2, 1]) {
            return Err(ElfError::OtherClass);
        }
        let file = Bytes(bytes);
        let table = file.number("the place of the section table", 0x28, 8)?;
        let size = file.number("the size of a section's entry", 0x3a, 2)?;
        let count = file.number("the number of sections", 0x3c, 2)?;
        let names = file.number("the section of names", 0x3e, 2)?;
        let entry = |number: usize| {
            let what = "a section's entry";
            let at = number.checked_mul(size).and_then(|at| table.checked_add(at));
            let at = at.ok_or(ElfError::Outside { what, offset: table })?;
            file.part(what, at, ENTRY).map(|_| at)
        };
        let body = |at: usize| {
            let (offset, length) = (
                file.number("a section's place", at + 0x18, 8)?,
                file.number("a section's size", at + 0x20, 8)?,
            );
            if file.number("a section's type", at + 4, 4)? == SHT_NOBITS as usize {
                return Ok(&bytes[..0]);
            }
            file.part("a section", offset, length)
        };
        let strings = if count == 0 { &bytes[..0] } else { body(entry(names)?)? };
        let mut sections = Vec::with_capacity(count.min(1024));
        for number in 0..count {
            let at = entry(number)?;
            let place = file.number("a section's name", at, 4)?;
            let name = strings.get(place..).unwrap_or(&[]).split(|byte| *byte == 0).next().unwrap_or(&[]);
            sections.push(Section {
                name: std::str::from_utf8(name).unwrap_or_default(),
                kind: u32::try_from(file.number("a section's type", at + 4, 4)?).unwrap_or(0),
                info: file.number("a section's information", at + 0x2c, 4)?,
                bytes: body(at)?,
            });
        }
        Ok(Elf { sections })
    }

    /// The bytes of the first section with a name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.sections.iter().find(|section| section.name == name).map(|section| section.bytes)
    }

    /// Whether a linker would have to change a section's bytes.
    #[must_use]
    pub fn relocates(&self, name: &str) -> bool {
        let Some(number) = self.sections.iter().position(|section| section.name == name) else {
            return false;
        };
        self.sections.iter().any(|section| {
            matches!(section.kind, SHT_REL | SHT_RELA) && section.info == number && !section.bytes.is_empty()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with sections: none, `xdp` with its bytes, `.relxdp` of `relocations` bytes, names.
    fn file(code: &[u8], relocations: usize) -> Vec<u8> {
        let names = b"\0xdp\0.relxdp\0.names\0";
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let code_at = bytes.len();
        bytes.extend_from_slice(code);
        let relocations_at = bytes.len();
        bytes.resize(bytes.len() + relocations, 0);
        let names_at = bytes.len();
        bytes.extend_from_slice(names);
        let table = bytes.len();
        let mut section = |name: u32, kind: u32, at: usize, length: usize, info: u32| {
            let mut entry = [0; 64];
            entry[..4].copy_from_slice(&name.to_le_bytes());
            entry[4..8].copy_from_slice(&kind.to_le_bytes());
            entry[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            entry[0x20..0x28].copy_from_slice(&(length as u64).to_le_bytes());
            entry[0x2c..0x30].copy_from_slice(&info.to_le_bytes());
            bytes.extend_from_slice(&entry);
        };
        section(0, 0, 0, 0, 0);
        section(1, 1, code_at, code.len(), 0);
        section(5, SHT_REL, relocations_at, relocations, 1);
        section(13, 3, names_at, names.len(), 0);
        bytes[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        bytes[0x3c..0x3e].copy_from_slice(&4_u16.to_le_bytes());
        bytes[0x3e..0x40].copy_from_slice(&3_u16.to_le_bytes());
        bytes
    }

    #[test]
    fn sections_are_found_by_name_and_relocations_are_told() {
        let bytes = file(&[1, 2, 3, 4, 5, 6, 7, 8], 0);
        let elf = Elf::read(&bytes).unwrap();
        assert_eq!(elf.section("xdp"), Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
        assert_eq!(elf.section("tc"), None);
        assert!(!elf.relocates("xdp"));
        let bytes = file(&[0; 8], 16);
        assert!(Elf::read(&bytes).unwrap().relocates("xdp"));
    }

    #[test]
    fn a_cut_file_is_an_error_and_never_a_panic() {
        let bytes = file(&[0; 16], 16);
        for length in 0..bytes.len() {
            assert!(Elf::read(&bytes[..length]).is_err(), "{length}");
        }
        let mut wild = bytes.clone();
        wild[0x28..0x30].copy_from_slice(&[0xff; 8]);
        assert!(Elf::read(&wild).is_err());
    }
}
