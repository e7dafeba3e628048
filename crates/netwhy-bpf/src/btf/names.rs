//! Where a name is: a table of all types by name, made when the first name is looked up.
//!
//! A description has more than 100,000 names; going through them for each of the dozens a script asks for would take
//! longer than everything else about starting it.

use super::{Btf, Kind, head};

/// Numbers of types in the order of their names' hashes, with gaps; 0 is a gap.
#[derive(Debug, Default)]
pub(super) struct Names {
    slots: Vec<u32>,
}

impl Names {
    /// Goes through all types once.
    pub(super) fn new(btf: &Btf) -> Self {
        let size = (btf.starts.len() * 2).next_power_of_two().max(16);
        let mut slots = vec![0_u32; size];
        let section = btf.section();
        for (id, &start) in (btf.first()..).zip(&btf.starts) {
            let Some(head) = head(section, start as usize) else { continue };
            // Only these are ever looked for by name.
            let wanted = matches!(
                head.kind,
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Typedef | Kind::Func
            );
            if !wanted || head.name == 0 {
                continue;
            }
            let mut at = hash(btf.name_bytes(head.name)) as usize & (size - 1);
            while let Some(slot) = slots.get_mut(at) {
                if *slot == 0 {
                    *slot = id;
                    break;
                }
                at = (at + 1) & (size - 1);
            }
        }
        Names { slots }
    }

    /// Types that may have this name, in ascending order among those that do.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = u32> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        let first = hash(name.as_bytes()) as usize & mask;
        (0..self.slots.len())
            .map_while(move |by| self.slots.get((first + by) & mask).copied())
            .take_while(|id| *id != 0)
    }
}

/// Where an enumerator is: a table of all by name, made when the first is looked up.
#[derive(Debug, Default)]
pub(super) struct Enumerators {
    /// Type and place in it, in the order of the names' hashes, with gaps of type 0.
    slots: Vec<(u32, u32)>,
}

impl Enumerators {
    /// Goes through all enumerations once.
    pub(super) fn new(btf: &Btf) -> Self {
        let mut all = Vec::new();
        for id in btf.first()..btf.len() {
            let Some(head) = btf.head(id) else { continue };
            let Some(step) = step(head.kind) else { continue };
            for n in 0..head.vlen {
                let Some(name) = btf.word(&head, n * step) else { break };
                all.push((hash(btf.name_bytes(name)), id, n as u32));
            }
        }
        let size = (all.len() * 2).next_power_of_two().max(16);
        let mut slots = vec![(0, 0); size];
        for (hash, id, n) in all {
            let mut at = hash as usize & (size - 1);
            while let Some(slot) = slots.get_mut(at) {
                if slot.0 == 0 {
                    *slot = (id, n);
                    break;
                }
                at = (at + 1) & (size - 1);
            }
        }
        Enumerators { slots }
    }

    /// Those that may have this name, in ascending order among those that do.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        let first = hash(name.as_bytes()) as usize & mask;
        (0..self.slots.len())
            .map_while(move |by| self.slots.get((first + by) & mask).copied())
            .take_while(|(id, _)| *id != 0)
    }
}

/// Words of an enumerator; `None` for other kinds of types.
pub(super) fn step(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Enum => Some(2),
        Kind::Enum64 => Some(3),
        _ => None,
    }
}

/// FNV-1a.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
