//! A [`ProgramSpec`] as text, for `-d` and for tests.

use std::fmt;

use crate::insn::LDDW;
use crate::program::{ProgramSpec, RelocTarget};

impl fmt::Display for ProgramSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, map) in self.maps.iter().enumerate() {
            writeln!(
                f,
                "map {i} {} {:?} {:?} key={} value={} entries={}",
                map.name, map.kind, map.role, map.key_size, map.value_size, map.max_entries
            )?;
        }
        for (i, action) in self.actions.iter().enumerate() {
            writeln!(f, "action {i} {action:?}")?;
        }
        for program in &self.programs {
            writeln!(
                f,
                "program {} {} {:?} {:?}",
                program.index, program.name, program.kind, program.attach
            )?;
            let mut at = 0;
            while let Some(insn) = program.insns.get(at) {
                if let Some(sub) = program.subprograms.iter().find(|s| s.insn as usize == at) {
                    writeln!(f, "{}:", sub.name)?;
                }
                let reloc = program.relocs.iter().find(|r| r.insn as usize == at);
                match (insn.code, reloc) {
                    (LDDW, Some(reloc)) => match reloc.target {
                        RelocTarget::Map(m) => writeln!(f, "{at:5}: r{} = map {m}", insn.dst)?,
                        RelocTarget::MapValue(m, o) => {
                            writeln!(f, "{at:5}: r{} = map {m} value+{o}", insn.dst)?
                        }
                        RelocTarget::Subprogram(s) => writeln!(f, "{at:5}: r{} = subprogram {s}", insn.dst)?,
                    },
                    (LDDW, None) => {
                        let high = program.insns.get(at + 1).map_or(0, |i| i.imm);
                        let value = u64::from(insn.imm as u32) | u64::from(high as u32) << 32;
                        writeln!(f, "{at:5}: r{} = {value:#x} ll", insn.dst)?;
                    }
                    _ => writeln!(f, "{at:5}: {insn}")?,
                }
                at += if insn.code == LDDW { 2 } else { 1 };
            }
        }
        Ok(())
    }
}
