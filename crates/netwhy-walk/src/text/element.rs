//! One element of a named set or map, as nft(8) writes it.

use netwhy_facts::nft::{NftElem, NftSet};

use super::nft::type_len;
use super::values::{Plain, Ty, value};

const INTERVAL_END: u32 = 1;
const CATCHALL: u32 = 2;

/// Types of the fields of a key: six bits each in the number user space keeps with the set.
fn types(set: &NftSet) -> Vec<Ty> {
    let mut out = Vec::new();
    let mut rest = set.key_type;
    while rest > 0 {
        out.push(Ty::of_number(rest & 0x3f).unwrap_or(Ty::Raw));
        rest >>= 6;
    }
    out.reverse();
    if out.is_empty() { vec![Ty::Raw] } else { out }
}

/// The element's key: a value, a prefix, a range, or fields joined by dots.
pub fn element_text(set: &NftSet, elem: &NftElem) -> String {
    if elem.flags & CATCHALL != 0 {
        return "*".into();
    }
    let interval = set.flags & 4 != 0;
    let types = types(set);
    if let [ty] = types.as_slice() {
        let last = elem.key_end.clone().or_else(|| if interval { end_of(set, elem) } else { None });
        return span(*ty, &elem.key, last.as_deref().unwrap_or(&elem.key), interval);
    }
    let mut at = 0;
    let mut words = Vec::new();
    for ty in types {
        let len = type_len(ty);
        let from = elem.key.get(at..at + len).unwrap_or_default();
        let to = elem.key_end.as_ref().and_then(|k| k.get(at..at + len)).unwrap_or(from);
        words.push(span(ty, from, to, interval));
        at += len.div_ceil(4) * 4;
    }
    words.join(" . ")
}

/// The last value of an interval whose end is an element of its own (exclusive), or of one without an end.
fn end_of(set: &NftSet, elem: &NftElem) -> Option<Vec<u8>> {
    let after = |e: &&NftElem| e.flags & CATCHALL == 0 && e.key > elem.key;
    let next = set.elements.iter().filter(after).min_by(|a, b| a.key.cmp(&b.key).then(b.flags.cmp(&a.flags)));
    let Some(end) = next.filter(|e| e.flags & INTERVAL_END != 0) else {
        // Touching intervals share the boundary; the last one reaches to the end.
        return next.map(|e| before(&e.key)).or_else(|| Some(vec![0xff; elem.key.len()]));
    };
    Some(before(&end.key))
}

fn before(key: &[u8]) -> Vec<u8> {
    let mut out = key.to_vec();
    for b in out.iter_mut().rev() {
        let (v, borrow) = b.overflowing_sub(1);
        *b = v;
        if !borrow {
            break;
        }
    }
    out
}

fn span(ty: Ty, from: &[u8], to: &[u8], big_endian: bool) -> String {
    let text = |bytes: &[u8]| value(ty, bytes, big_endian, &Plain(&|_| None));
    if from == to {
        return text(from);
    }
    if matches!(ty, Ty::Ip4 | Ty::Ip6) {
        let differ: Vec<u8> = from.iter().zip(to).map(|(a, b)| a ^ b).collect();
        let ones: u32 = differ.iter().map(|b| b.count_ones()).sum();
        let bits = u32::try_from(from.len()).unwrap_or(0) * 8;
        // A prefix: the differing bits are the lowest ones, zero in front and one at the end.
        let lowest = differ.iter().rev().enumerate().all(|(i, b)| {
            let below = ones.saturating_sub(u32::try_from(i).unwrap_or(0) * 8).min(8);
            u32::from(*b) == (1u32 << below) - 1
        });
        let zero = from.iter().zip(&differ).all(|(a, d)| a & d == 0);
        if lowest && zero {
            return format!("{}/{}", text(from), bits - ones);
        }
    }
    format!("{}-{}", text(from), text(to))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::NftFamily;

    use super::*;

    fn set(key_type: u32, flags: u32, elements: Vec<NftElem>) -> NftSet {
        NftSet {
            family: NftFamily::Ip,
            table: "t".into(),
            name: "s".into(),
            handle: 1,
            flags,
            key_type,
            key_len: 4,
            data_type: None,
            data_len: None,
            field_lens: vec![],
            timeout_ms: None,
            size: None,
            elements,
            elements_read: true,
            ..NftSet::default()
        }
    }
    fn elem(key: &[u8], flags: u32) -> NftElem {
        NftElem { key: key.to_vec(), flags, ..Default::default() }
    }

    #[test]
    fn values_prefixes_ranges_and_fields() {
        // 7 is ipv4_addr, 13 inet_service.
        let one = set(7, 0, vec![elem(&[203, 0, 113, 2], 0)]);
        assert_eq!(element_text(&one, &one.elements[0]), "203.0.113.2");
        let net = set(7, 4, vec![elem(&[203, 0, 113, 0], 0), elem(&[203, 0, 113, 16], 1)]);
        assert_eq!(element_text(&net, &net.elements[0]), "203.0.113.0/28");
        let odd = set(7, 4, vec![elem(&[203, 0, 113, 1], 0), elem(&[203, 0, 113, 4], 1)]);
        assert_eq!(element_text(&odd, &odd.elements[0]), "203.0.113.1-203.0.113.3");
        let both = set((7 << 6) | 13, 0x80, vec![elem(&[203, 0, 113, 2, 0x1f, 0x90, 0, 0], 0)]);
        assert_eq!(element_text(&both, &both.elements[0]), "203.0.113.2 . 8080");
        let all = set(7, 0, vec![elem(&[], 2)]);
        assert_eq!(element_text(&all, &all.elements[0]), "*");
    }
}
