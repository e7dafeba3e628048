//! The registers of the nftables machine.

use std::rc::Rc;

use crate::bits::{Bits, Gap};

/// Sixteen words of four bytes; the verdict register is not kept here.
#[derive(Debug, Clone)]
pub(crate) struct Regs {
    value: [u8; 64],
    known: [u8; 64],
    gaps: [Option<Rc<Gap>>; 16],
}

impl Default for Regs {
    fn default() -> Self {
        Self { value: [0; 64], known: [0xff; 64], gaps: Default::default() }
    }
}

/// Byte offset of a register: 1..4 hold 16 bytes, 8..23 hold 4.
fn offset(reg: u32) -> Option<usize> {
    match reg {
        1..=4 => Some((reg as usize - 1) * 16),
        8..=23 => Some((reg as usize - 8) * 4),
        _ => None,
    }
}

impl Regs {
    /// Stores bytes; the rest of the last word becomes zero. `None` when the register does not exist or is too small.
    pub(crate) fn store(&mut self, reg: u32, bits: &Bits) -> Option<()> {
        let at = offset(reg)?;
        let padded = bits.len().div_ceil(4) * 4;
        let end = at.checked_add(padded)?;
        self.value.get_mut(at..end)?.fill(0);
        self.known.get_mut(at..end)?.fill(0xff);
        for (i, (v, k)) in bits.value.iter().zip(&bits.known).enumerate() {
            *self.value.get_mut(at + i)? = *v;
            *self.known.get_mut(at + i)? = *k;
        }
        let words = self.gaps.get_mut(at / 4..end / 4)?;
        words.fill(None);
        if let Some(gap) = &bits.gap {
            for (n, slot) in words.iter_mut().enumerate() {
                let values = if bits.len() <= 4 { gap.values.clone() } else { None };
                let known = self.known.get(at + n * 4..at + n * 4 + 4);
                if known.is_some_and(|k| k.iter().any(|k| *k != 0xff)) {
                    *slot = Some(Rc::new(Gap { why: gap.why.clone(), values }));
                }
            }
        }
        Some(())
    }

    /// Makes every register unknown: something was written that cannot be followed.
    pub(crate) fn forget(&mut self, why: &str) {
        self.value = [0; 64];
        self.known = [0; 64];
        self.gaps.fill(Some(Rc::new(Gap { why: why.to_string(), values: None })));
    }

    /// Reads bytes.
    pub(crate) fn load(&self, reg: u32, len: usize) -> Option<Bits> {
        let at = offset(reg)?;
        let end = at.checked_add(len)?;
        let known = self.known.get(at..end)?.to_vec();
        let gap = if known.iter().all(|k| *k == 0xff) {
            None
        } else {
            let gap = self.gaps.get(at / 4..end.div_ceil(4))?.iter().flatten().next().cloned();
            gap.map(|g| {
                let values = (len <= 4)
                    .then(|| {
                        let cut = |v: &Vec<u8>| {
                            let mut v = v.clone();
                            v.resize(len, 0);
                            v
                        };
                        g.values.as_ref().map(|vs| vs.iter().map(cut).collect())
                    })
                    .flatten();
                Rc::new(Gap { why: g.why.clone(), values })
            })
        };
        Some(Bits { value: self.value.get(at..end)?.to_vec(), known, gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_overlap_as_in_the_kernel() {
        let mut r = Regs::default();
        r.store(1, &Bits::known(&[1, 2, 3, 4, 5])).unwrap();
        assert_eq!(r.load(8, 4).unwrap().value, [1, 2, 3, 4]);
        assert_eq!(r.load(9, 4).unwrap().value, [5, 0, 0, 0]);
        r.store(9, &Bits::unknown(2, "x")).unwrap();
        assert!(r.load(8, 4).unwrap().is_known());
        assert_eq!(r.load(1, 8).unwrap().why(), "x");
        assert!(r.load(9, 2).unwrap().equals(&[5, 0]).is_none());
        assert!(r.store(23, &Bits::known(&[0; 8])).is_none());
        assert!(r.load(0, 4).is_none() && r.load(5, 4).is_none() && r.load(24, 1).is_none());
    }

    #[test]
    fn a_bounded_value_keeps_its_values() {
        let mut r = Regs::default();
        r.store(10, &Bits::within(0, 3, "numgen")).unwrap();
        assert_eq!(r.load(10, 4).unwrap().candidates().unwrap().len(), 4);
    }
}
