//! Names of a few kernel addresses, asked of the kernel itself.
//!
//! Reading /proc/kallsyms makes the kernel write out more than 100,000 lines, which takes longer than everything else
//! about a short run. A program of seven instructions lets the kernel print the one name that is wanted
//! (`bpf_snprintf` with `%ps`, Linux 5.13). Where that cannot be had the list is read after all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};

use netwhy_sys::SysError;
use netwhy_sys::bpf::{Instruction, Map, MapSpec, MapType, Program, ProgramSpec, ProgramType, Update};

use crate::symbols::Symbols;

/// Bytes of a name; the kernel's own have fewer than 512 (`KSYM_NAME_LEN`), those of functions fewer than 100.
const LENGTH: u32 = 256;
/// `BPF_F_RDONLY_PROG`
const READ_ONLY: u32 = 1 << 7;
const SNPRINTF: i32 = 165;
const KEY: [u8; 4] = [0; 4];

/// Tells names, remembering those it has told.
#[derive(Debug)]
pub struct Namer<'a> {
    asked: Result<Asked, SysError>,
    list: &'a Symbols,
    known: RefCell<HashMap<u64, String>>,
}

#[derive(Debug)]
struct Asked {
    program: Program,
    address: Map,
    name: Map,
}

impl<'a> Namer<'a> {
    /// Loads the program; with `list` to fall back to.
    #[must_use]
    pub fn new(list: &'a Symbols) -> Self {
        Namer { asked: Asked::new(), list, known: RefCell::default() }
    }

    /// Whether the kernel is asked for names rather than for the whole list.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.asked.is_ok()
    }

    /// The function an address lies in; the address in hex where nobody knows.
    #[must_use]
    pub fn name(&self, address: u64) -> String {
        if let Some(name) = self.known.borrow().get(&address) {
            return name.clone();
        }
        let asked = self.asked.as_ref().ok().and_then(|asked| asked.name(address).ok().flatten());
        let name = asked.unwrap_or_else(|| self.list.show(address, false));
        self.known.borrow_mut().insert(address, name.clone());
        name
    }
}

impl Asked {
    fn new() -> Result<Self, SysError> {
        let make = |name, value_size, flags| {
            Map::create(&MapSpec {
                kind: MapType::ARRAY,
                key_size: 4,
                value_size,
                max_entries: 1,
                flags,
                name,
            })
        };
        let (address, name, format) =
            (make("address", 8, 0)?, make("name", LENGTH, 0)?, make("format", 8, READ_ONLY)?);
        format.update(&KEY, b"%ps\0\0\0\0\0", Update::Any)?;
        // The kernel reads formats only where they cannot change.
        format.freeze()?;
        let value = |register, map: &Map| {
            // BPF_LD | BPF_IMM | BPF_DW with BPF_PSEUDO_MAP_VALUE: the address of the map's value.
            let first = Instruction::new(0x18, register, 2, 0, map.as_fd().as_raw_fd());
            [first, Instruction::new(0, 0, 0, 0, 0)]
        };
        let number = |register, value| Instruction::new(0xb7, register, 0, 0, value);
        let mut code = Vec::new();
        code.extend(value(1, &name));
        code.push(number(2, LENGTH as i32));
        code.extend(value(3, &format));
        code.extend(value(4, &address));
        code.push(number(5, 8));
        code.push(Instruction::new(0x85, 0, 0, 0, SNPRINTF));
        code.push(number(0, 0));
        code.push(Instruction::new(0x95, 0, 0, 0, 0));
        let spec = ProgramSpec { name: "name", ..ProgramSpec::new(ProgramType::RAW_TRACEPOINT, &code) };
        let program = Program::load(&spec).map_err(|refused| refused.error)?;
        Ok(Asked { program, address, name })
    }

    /// `None` where the kernel has no name and prints the address.
    fn name(&self, address: u64) -> Result<Option<String>, SysError> {
        self.address.update(&KEY, &address.to_ne_bytes(), Update::Any)?;
        self.program.run_raw(&[0])?;
        let bytes = self.name.lookup(&KEY)?.unwrap_or_default();
        let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        // A function of a module is followed by " [MODULE]".
        let name = text.split(' ').next().unwrap_or_default();
        Ok((!name.is_empty() && !name.starts_with("0x")).then(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use netwhy_sys::caps::{self, Capability};

    use super::*;

    #[test]
    fn the_kernel_names_functions_as_its_list_does() {
        let held = caps::effective().unwrap();
        let symbols = Symbols::new();
        let Some(address) = symbols.address("tcp_v4_rcv").filter(|_| held.has(Capability::SysAdmin)) else {
            println!("skipped: needs CAP_SYS_ADMIN and readable kernel addresses");
            return;
        };
        let empty = Symbols::from_text(String::new());
        let namer = Namer::new(&empty);
        if !namer.asks() {
            println!("skipped: {:?}", namer.asked);
            return;
        }
        for by in [0, 1, 16] {
            assert_eq!(namer.name(address + by), "tcp_v4_rcv");
            assert_eq!(symbols.show(address + by, false), "tcp_v4_rcv");
        }
        assert_eq!(namer.name(0x10), "0x10");
    }

    #[test]
    fn without_the_privilege_the_list_is_asked() {
        let list = Symbols::from_text("ffffffff81000000 T first\n".to_owned());
        let refused = Err(SysError::new("bpf", "", netwhy_sys::Errno::EINVAL));
        let namer = Namer { asked: refused, list: &list, known: RefCell::default() };
        assert_eq!(namer.name(0xffff_ffff_8100_0004), "first");
    }
}
