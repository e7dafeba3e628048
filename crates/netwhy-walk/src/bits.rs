//! Bytes of which some bits may be unknown: packet headers and registers.

use std::rc::Rc;

/// Why some bits are unknown, and what they can be when that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// In words: `the value of numgen random`.
    pub(crate) why: String,
    /// Every value the bytes can have, when they are few.
    pub(crate) values: Option<Vec<Vec<u8>>>,
}

/// A run of bytes with a mask of known bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    /// Values; unknown bits read 0.
    pub(crate) value: Vec<u8>,
    /// Set where the bit is known; same length as `value`.
    pub(crate) known: Vec<u8>,
    /// Why bits are missing, when any is.
    pub(crate) gap: Option<Rc<Gap>>,
}

impl Bits {
    /// All bits known.
    pub(crate) fn known(bytes: &[u8]) -> Self {
        Self { value: bytes.to_vec(), known: vec![0xff; bytes.len()], gap: None }
    }
    /// A host-order 32-bit word.
    pub(crate) fn host32(v: u32) -> Self {
        Self::known(&v.to_ne_bytes())
    }
    /// No bit known.
    pub(crate) fn unknown(len: usize, why: impl Into<String>) -> Self {
        let gap = Some(Rc::new(Gap { why: why.into(), values: None }));
        Self { value: vec![0; len], known: vec![0; len], gap }
    }
    /// An unknown host-order word inside a range; a range of one value is known.
    pub(crate) fn within(low: u32, high: u32, why: impl Into<String>) -> Self {
        if low == high {
            return Self::host32(low);
        }
        let few = high.saturating_sub(low) < 1024;
        let values = few.then(|| (low..=high).map(|v| v.to_ne_bytes().to_vec()).collect());
        let gap = Some(Rc::new(Gap { why: why.into(), values }));
        Self { value: vec![0; 4], known: vec![0; 4], gap }
    }
    /// Applies an operation to the value, to its mask of unknown bits, and to every value it can have.
    pub(crate) fn transform(&self, f: impl Fn(&[u8]) -> Vec<u8>, mask: impl Fn(&[u8]) -> Vec<u8>) -> Bits {
        let unknown: Vec<u8> = self.known.iter().map(|k| !k).collect();
        let known: Vec<u8> = mask(&unknown).iter().map(|u| !u).collect();
        let value: Vec<u8> = f(&self.value).iter().zip(&known).map(|(v, k)| v & k).collect();
        let gap = self.gap.as_ref().map(|g| {
            Rc::new(Gap {
                why: g.why.clone(),
                values: g.values.as_ref().map(|vs| vs.iter().map(|v| f(v)).collect()),
            })
        });
        Bits { value, known, gap }
    }
    pub(crate) fn len(&self) -> usize {
        self.value.len()
    }
    pub(crate) fn is_known(&self) -> bool {
        self.known.iter().all(|k| *k == 0xff)
    }
    /// Why it is not known.
    pub(crate) fn why(&self) -> String {
        self.gap.as_ref().map(|g| g.why.clone()).unwrap_or_else(|| "a header field".to_string())
    }
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.value.extend_from_slice(bytes);
        self.known.resize(self.value.len(), 0xff);
    }
    /// Appends bytes of which only the bits of `known` are known.
    pub(crate) fn push_masked(&mut self, bytes: &[u8], known: &[u8]) {
        for (b, k) in bytes.iter().zip(known) {
            self.value.push(b & k);
            self.known.push(*k);
        }
    }
    pub(crate) fn push_unknown(&mut self, len: usize) {
        self.value.resize(self.value.len() + len, 0);
        self.known.resize(self.value.len(), 0);
    }
    /// A part; `None` when it reaches past the end.
    pub(crate) fn get(&self, offset: usize, len: usize) -> Option<Bits> {
        let end = offset.checked_add(len)?;
        let known = self.known.get(offset..end)?.to_vec();
        let gap = match &self.gap {
            _ if known.iter().all(|k| *k == 0xff) => None,
            Some(g) => Some(Rc::new(Gap {
                why: g.why.clone(),
                values: g
                    .values
                    .as_ref()
                    .and_then(|vs| vs.iter().map(|v| v.get(offset..end).map(<[u8]>::to_vec)).collect()),
            })),
            None => None,
        };
        Some(Bits { value: self.value.get(offset..end)?.to_vec(), known, gap })
    }
    /// As a host-order 32-bit word, when known.
    pub(crate) fn as_host32(&self) -> Option<u32> {
        if !self.is_known() {
            return None;
        }
        Some(u32::from_ne_bytes(self.value.get(..4)?.try_into().ok()?))
    }
    /// Every value the bytes can have, when they are few enough to try all.
    pub(crate) fn candidates(&self) -> Option<Vec<Vec<u8>>> {
        if self.is_known() {
            return Some(vec![self.value.clone()]);
        }
        self.gap.as_ref()?.values.clone().filter(|vs| vs.iter().all(|v| v.len() == self.len()))
    }
    /// Compares with known bytes of the same length, as memcmp does: `None` when unknown bits decide.
    pub(crate) fn equals(&self, other: &[u8]) -> Option<bool> {
        let mut open = false;
        for (i, o) in other.iter().enumerate() {
            let (v, k) = (self.value.get(i)?, self.known.get(i)?);
            if (v ^ o) & k != 0 {
                return Some(false);
            }
            open |= *k != 0xff;
        }
        if !open {
            return Some(true);
        }
        match self.candidates() {
            Some(all) => uniform(all.iter().map(|c| c.get(..other.len()) == Some(other))),
            None => None,
        }
    }
    /// memcmp order against known bytes: `None` when unknown bits decide.
    pub(crate) fn order(&self, other: &[u8]) -> Option<std::cmp::Ordering> {
        if let Some(all) = self.candidates() {
            let mut orders = all.iter().map(|c| c.get(..other.len()).unwrap_or(c).cmp(other));
            let first = orders.next()?;
            return orders.all(|o| o == first).then_some(first);
        }
        for (i, o) in other.iter().enumerate() {
            let (v, k) = (self.value.get(i)?, self.known.get(i)?);
            let (low, high) = (v & k, v | !k);
            if high < *o {
                return Some(std::cmp::Ordering::Less);
            }
            if low > *o {
                return Some(std::cmp::Ordering::Greater);
            }
            if *k != 0xff {
                return None;
            }
        }
        Some(std::cmp::Ordering::Equal)
    }
}

/// The common answer of several, when they agree.
pub(crate) fn uniform(mut answers: impl Iterator<Item = bool>) -> Option<bool> {
    let first = answers.next()?;
    answers.all(|a| a == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    #[test]
    fn unknown_bits_decide_only_where_they_must() {
        let mut b = Bits::known(&[0x12]);
        b.push_masked(&[0x40], &[0xbf]);
        assert_eq!(b.equals(&[0x13, 0x40]), Some(false));
        assert_eq!(b.equals(&[0x12, 0x00]), None);
        assert_eq!(b.order(&[0x13, 0]), Some(Ordering::Less));
        assert_eq!(b.get(0, 1).unwrap().equals(&[0x12]), Some(true));
        assert!(b.get(1, 2).is_none());
    }

    #[test]
    fn a_bounded_value_is_tried_in_full() {
        let b = Bits::within(0, 9, "numgen");
        assert_eq!(b.equals(&20u32.to_ne_bytes()), Some(false));
        assert_eq!(b.equals(&3u32.to_ne_bytes()), None);
        assert!(Bits::within(4, 4, "x").is_known());
    }
}
