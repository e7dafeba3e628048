//! Runs compiled programs: one flat memory, the helpers the compiler calls, every access checked.

use netwhy_lang::helpers as h;
use netwhy_lang::program::*;
use std::collections::BTreeMap;

const BASE: u64 = 0x1_0000;

#[derive(Default)]
pub struct Vm {
    memory: Vec<u8>,
    /// By map: key to address of the value.
    entries: Vec<BTreeMap<Vec<u8>, u64>>,
    /// Submitted records.
    pub records: Vec<Vec<u8>>,
    reserved: BTreeMap<u64, usize>,
    steps: u64,
}

type Res<T> = Result<T, String>;

impl Vm {
    pub fn new(spec: &ProgramSpec) -> Self {
        let mut vm = Self::default();
        for map in &spec.maps {
            let mut entries = BTreeMap::new();
            if matches!(map.kind, MapKind::Array | MapKind::PercpuArray) {
                for i in 0..map.max_entries.min(2000) {
                    entries.insert(i.to_le_bytes().to_vec(), vm.alloc(map.value_size as usize));
                }
            }
            vm.entries.push(entries);
        }
        vm
    }

    pub fn alloc(&mut self, size: usize) -> u64 {
        let at = self.memory.len();
        self.memory.resize(at + size.next_multiple_of(8) + 8, 0);
        BASE + at as u64
    }

    pub fn bytes(&mut self, at: u64, len: usize) -> Res<&mut [u8]> {
        let start = at.checked_sub(BASE).ok_or(format!("access to {at:#x}"))? as usize;
        self.memory.get_mut(start..start + len).ok_or(format!("access to {at:#x}+{len}"))
    }

    /// The value of a map at a key, for plain scalars.
    pub fn value(&mut self, map: usize, key: &[u8], len: usize) -> Option<Vec<u8>> {
        let at = *self.entries.get(map)?.get(key)?;
        Some(self.bytes(at, len).ok()?.to_vec())
    }

    /// Keys and values of a map, in order of the keys' bytes.
    pub fn dump(&mut self, spec: &ProgramSpec, map: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let size = spec.maps[map].value_size as usize;
        let list: Vec<(Vec<u8>, u64)> = self.entries[map].iter().map(|(k, v)| (k.clone(), *v)).collect();
        list.into_iter().map(|(k, at)| (k, self.bytes(at, size).unwrap().to_vec())).collect()
    }

    pub fn run(&mut self, spec: &ProgramSpec, program: usize, ctx: u64) -> Res<u64> {
        self.steps = 0;
        self.call(spec, &spec.programs[program], 0, [ctx, 0, 0, 0, 0])
    }

    fn call(&mut self, spec: &ProgramSpec, p: &Program, entry: usize, args: [u64; 5]) -> Res<u64> {
        let stack = self.alloc(512) + 512;
        let mut r = [0u64; 11];
        r[1..6].copy_from_slice(&args);
        r[10] = stack;
        let mut pc = entry;
        loop {
            self.steps += 1;
            if self.steps > 2_000_000 {
                return Err("runs too long".into());
            }
            let i = *p.insns.get(pc).ok_or("ran off the end")?;
            let (d, s) = (i.dst as usize, i.src as usize);
            pc += 1;
            let size = match i.code & 0x18 {
                0 => 4,
                8 => 2,
                0x10 => 1,
                _ => 8,
            };
            match i.code & 7 {
                0 => {
                    let hi = p.insns[pc].imm;
                    pc += 1;
                    let reloc = p.relocs.iter().find(|x| x.insn as usize == pc - 2).map(|x| x.target);
                    r[d] = match reloc {
                        Some(RelocTarget::Map(m)) => 0xaaaa_0000_0000 + u64::from(m),
                        Some(RelocTarget::MapValue(m, o)) => {
                            self.entries[m as usize][&vec![0; 4]] + u64::from(o)
                        }
                        Some(RelocTarget::Subprogram(n)) => {
                            let target = (pc as i64 - 1 + i64::from(i.imm)) as usize;
                            assert_eq!(target, p.subprograms[n as usize].insn as usize);
                            target as u64
                        }
                        None => u64::from(i.imm as u32) | u64::from(hi as u32) << 32,
                    };
                }
                1 => {
                    let at = r[s].wrapping_add(i.off as i64 as u64);
                    if at >= stack - 512 && at < stack && at % size as u64 != 0 {
                        return Err("misaligned stack access".into());
                    }
                    let mut word = [0u8; 8];
                    word[..size].copy_from_slice(self.bytes(at, size)?);
                    r[d] = u64::from_le_bytes(word);
                }
                class @ (2 | 3) => {
                    let at = r[d].wrapping_add(i.off as i64 as u64);
                    let value = if class == 2 { i64::from(i.imm) as u64 } else { r[s] };
                    if i.code & 0xe0 == 0xc0 {
                        let old = u64::from_le_bytes(self.bytes(at, 8)?.try_into().unwrap());
                        self.bytes(at, 8)?.copy_from_slice(&old.wrapping_add(value).to_le_bytes());
                    } else {
                        self.bytes(at, size)?.copy_from_slice(&value.to_le_bytes()[..size]);
                    }
                }
                class @ (4 | 7) => {
                    let b = if i.code & 8 != 0 { r[s] } else { i64::from(i.imm) as u64 };
                    let a = r[d];
                    r[d] = match i.code & 0xf0 {
                        0x00 => a.wrapping_add(b),
                        0x10 => a.wrapping_sub(b),
                        0x20 => a.wrapping_mul(b),
                        0x30 => a.checked_div(b).unwrap_or(0),
                        0x40 => a | b,
                        0x50 => a & b,
                        0x60 => a << (b & 63),
                        0x70 => a >> (b & 63),
                        0x80 => a.wrapping_neg(),
                        0x90 => a.checked_rem(b).unwrap_or(a),
                        0xa0 => a ^ b,
                        0xb0 => b,
                        0xc0 => ((a as i64) >> (b & 63)) as u64,
                        0xd0 => match i.imm {
                            16 => u64::from((a as u16).swap_bytes()),
                            32 => u64::from((a as u32).swap_bytes()),
                            _ => a.swap_bytes(),
                        },
                        _ => return Err(format!("alu {:#x}", i.code)),
                    };
                    if class == 4 && i.code & 0xf0 != 0xd0 {
                        r[d] = u64::from(r[d] as u32);
                    }
                }
                _ => {
                    let b = if i.code & 8 != 0 { r[s] } else { i64::from(i.imm) as u64 };
                    let a = r[d];
                    let taken = match i.code & 0xf0 {
                        0x00 => true,
                        0x10 => a == b,
                        0x20 => a > b,
                        0x30 => a >= b,
                        0x40 => a & b != 0,
                        0x50 => a != b,
                        0x60 => a as i64 > b as i64,
                        0x70 => a as i64 >= b as i64,
                        0xa0 => a < b,
                        0xb0 => a <= b,
                        0xc0 => (a as i64) < b as i64,
                        0xd0 => a as i64 <= b as i64,
                        0x80 => {
                            r[0] = self.helper(spec, p, i.imm, [r[1], r[2], r[3], r[4], r[5]])?;
                            // A call leaves nothing in the argument registers.
                            r[1..6].fill(0xdead_dead_dead_dead);
                            false
                        }
                        _ => return Ok(r[0]),
                    };
                    if taken {
                        pc = (pc as i64 + i64::from(i.off)) as usize;
                    }
                }
            }
        }
    }

    fn read(&mut self, dst: u64, size: usize, src: u64) -> Res<u64> {
        let data = self.bytes(src, size).map(|b| b.to_vec());
        let to = self.bytes(dst, size)?;
        match data {
            Ok(data) => {
                to.copy_from_slice(&data);
                Ok(0)
            }
            Err(_) => {
                to.fill(0);
                Ok(-14i64 as u64)
            }
        }
    }

    fn helper(&mut self, spec: &ProgramSpec, p: &Program, id: i32, a: [u64; 5]) -> Res<u64> {
        let map = |n: u64| n.checked_sub(0xaaaa_0000_0000).map(|m| m as usize).ok_or("not a map".to_string());
        Ok(match id {
            h::MAP_LOOKUP => {
                let m = map(a[0])?;
                let key = self.bytes(a[1], spec.maps[m].key_size as usize)?.to_vec();
                self.entries[m].get(&key).copied().unwrap_or(0)
            }
            h::MAP_UPDATE => {
                let m = map(a[0])?;
                let key = self.bytes(a[1], spec.maps[m].key_size as usize)?.to_vec();
                let value = self.bytes(a[2], spec.maps[m].value_size as usize)?.to_vec();
                let at = match self.entries[m].get(&key) {
                    Some(at) => *at,
                    None if self.entries[m].len() >= spec.maps[m].max_entries as usize => {
                        return Ok(-7i64 as u64);
                    }
                    None => self.alloc(value.len()),
                };
                self.bytes(at, value.len())?.copy_from_slice(&value);
                self.entries[m].insert(key, at);
                0
            }
            h::MAP_DELETE => {
                let m = map(a[0])?;
                let key = self.bytes(a[1], spec.maps[m].key_size as usize)?.to_vec();
                if self.entries[m].remove(&key).is_some() { 0 } else { -2i64 as u64 }
            }
            h::KTIME | h::KTIME_BOOT | h::KTIME_TAI => 1_000_000_000,
            h::PRANDOM => 4,
            h::CPU | h::NUMA => 1,
            h::PID_TGID => 1234 << 32 | 1235,
            h::UID_GID => 100 << 32 | 1000,
            h::CGROUP_ID => 77,
            h::STACKID => 7,
            h::TASK | h::TASK_BTF => 0,
            h::COMM => {
                let to = self.bytes(a[0], a[1] as usize)?;
                to.fill(0);
                to[..4].copy_from_slice(b"bash");
                0
            }
            h::READ_KERNEL | h::READ_USER => self.read(a[0], a[1] as usize, a[2])?,
            h::READ_KERNEL_STR | h::READ_USER_STR => {
                for i in 0..a[1] {
                    if self.read(a[0] + i, 1, a[2] + i)? != 0 {
                        return Ok(-14i64 as u64);
                    }
                    if self.bytes(a[0] + i, 1)?[0] == 0 {
                        return Ok(i + 1);
                    }
                }
                self.bytes(a[0] + a[1] - 1, 1)?[0] = 0;
                a[1]
            }
            h::RING_RESERVE => {
                let at = self.alloc(a[1] as usize);
                // What the kernel hands out is not cleared.
                self.bytes(at, a[1] as usize)?.fill(0xa5);
                self.reserved.insert(at, a[1] as usize);
                at
            }
            h::RING_SUBMIT => {
                let size = self.reserved.remove(&a[0]).ok_or("submits what was not reserved")?;
                let record = self.bytes(a[0], size)?.to_vec();
                self.records.push(record);
                0
            }
            h::LOOP => {
                for i in 0..a[0] {
                    if self.call(spec, p, a[1] as usize, [i, a[2], 0, 0, 0])? != 0 {
                        break;
                    }
                }
                0
            }
            h::FOR_EACH => {
                let m = map(a[0])?;
                let list: Vec<(Vec<u8>, u64)> =
                    self.entries[m].iter().map(|(k, v)| (k.clone(), *v)).collect();
                for (key, value) in list {
                    let at = self.alloc(key.len());
                    self.bytes(at, key.len())?.copy_from_slice(&key);
                    if self.call(spec, p, a[1] as usize, [a[0], at, value, a[2], 0])? != 0 {
                        break;
                    }
                }
                0
            }
            other => return Err(format!("helper {other}")),
        })
    }
}
