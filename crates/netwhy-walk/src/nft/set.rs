//! Lookup in sets and maps: exact, interval, concatenated ranges, catch-all.

use std::cmp::Ordering;

use netwhy_facts::nft::{NftElem, NftSet};

use crate::bits::Bits;

const INTERVAL: u32 = 4;
const CATCHALL: u32 = 2;
const INTERVAL_END: u32 = 1;

/// What a lookup found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Hit<'a> {
    /// The element, and the last one when several could match is never needed: sets do not overlap.
    Elem(&'a NftElem),
    Miss,
    /// The elements were not read.
    Unread,
    /// The key or the set is not fully known: every distinct outcome.
    Open(Vec<Option<&'a NftElem>>),
}

/// One range of an interval set.
struct Range<'a> {
    start: &'a [u8],
    /// Exclusive; `None`: to the end.
    end: Option<&'a [u8]>,
    /// Inclusive end of a newer kernel's element.
    last: Option<&'a [u8]>,
    elem: &'a NftElem,
}

fn expired(e: &NftElem) -> bool {
    e.expires_ms == Some(0)
}

/// The ranges of an interval set that is not a concatenation.
fn ranges(set: &NftSet) -> Vec<Range<'_>> {
    let mut elems: Vec<&NftElem> = set.elements.iter().filter(|e| e.flags & CATCHALL == 0).collect();
    // Ends before starts at the same key: a range may begin where another ends.
    elems.sort_by(|a, b| a.key.cmp(&b.key).then((b.flags & INTERVAL_END).cmp(&(a.flags & INTERVAL_END))));
    let mut out: Vec<Range<'_>> = Vec::new();
    let mut open: Option<&NftElem> = None;
    for e in elems {
        let close = open.take();
        if let Some(start) = close {
            out.push(Range { start: &start.key, end: Some(&e.key), last: None, elem: start });
        }
        if e.flags & INTERVAL_END == 0 {
            match &e.key_end {
                Some(last) => out.push(Range { start: &e.key, end: None, last: Some(last), elem: e }),
                None => open = Some(e),
            }
        }
    }
    if let Some(start) = open {
        out.push(Range { start: &start.key, end: None, last: None, elem: start });
    }
    out.retain(|r| !expired(r.elem));
    out
}

/// Three-valued: key inside the range.
fn inside(key: &Bits, r: &Range<'_>) -> Option<bool> {
    let low = key.order(r.start).map(|o| o != Ordering::Less);
    let high = match (r.end, r.last) {
        (Some(end), _) => key.order(end).map(|o| o == Ordering::Less),
        (None, Some(last)) => key.order(last).map(|o| o != Ordering::Greater),
        (None, None) => Some(true),
    };
    match (low, high) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Three-valued: key inside a concatenation's element, field by field.
fn inside_concat(key: &Bits, fields: &[u32], e: &NftElem) -> Option<bool> {
    let end = e.key_end.as_ref().unwrap_or(&e.key);
    let mut at = 0usize;
    let mut all = Some(true);
    for len in fields {
        let len = *len as usize;
        let (Some(k), Some(low), Some(high)) =
            (key.get(at, len), e.key.get(at..at + len), end.get(at..at + len))
        else {
            return Some(false);
        };
        let above = k.order(low).map(|o| o != Ordering::Less);
        let below = k.order(high).map(|o| o != Ordering::Greater);
        match (above, below) {
            (Some(false), _) | (_, Some(false)) => return Some(false),
            (Some(true), Some(true)) => {}
            _ => all = None,
        }
        at += len.div_ceil(4) * 4;
    }
    all
}

/// Looks a key up.
pub(crate) fn lookup<'a>(set: &'a NftSet, key: &Bits) -> Hit<'a> {
    if !set.elements_read {
        return Hit::Unread;
    }
    let catchall = set.elements.iter().find(|e| e.flags & CATCHALL != 0 && !expired(e));
    if let (false, Some(values)) = (key.is_known(), key.candidates()) {
        let mut options: Vec<Option<&NftElem>> = Vec::new();
        for value in values {
            let hit = match exact(set, &Bits::known(&value)) {
                Some(found) => found.or(catchall),
                None => None,
            };
            push_distinct(&mut options, std::iter::once(hit));
        }
        return match options.as_slice() {
            [Some(e)] => Hit::Elem(e),
            [None] => Hit::Miss,
            _ => Hit::Open(options),
        };
    }
    match exact(set, key) {
        Some(Some(e)) => Hit::Elem(e),
        Some(None) => catchall.map_or(Hit::Miss, Hit::Elem),
        None => {
            let mut options: Vec<Option<&NftElem>> = vec![catchall];
            push_distinct(&mut options, maybe(set, key).into_iter().map(Some));
            match options.as_slice() {
                [Some(e)] => Hit::Elem(e),
                [None] => Hit::Miss,
                _ => Hit::Open(options),
            }
        }
    }
}

/// Adds outcomes that lead elsewhere: elements of a plain set all lead to "found".
fn push_distinct<'a>(
    options: &mut Vec<Option<&'a NftElem>>,
    more: impl Iterator<Item = Option<&'a NftElem>>,
) {
    for m in more {
        let same = |o: &Option<&NftElem>| match (o, &m) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                a.data == b.data && a.object == b.object && a.exprs.is_empty() == b.exprs.is_empty()
            }
            _ => false,
        };
        if !options.iter().any(same) {
            options.push(m);
        }
    }
}

/// The element, no element, or `None` when unknown bits decide. The catch-all is left to the caller.
fn exact<'a>(set: &'a NftSet, key: &Bits) -> Option<Option<&'a NftElem>> {
    let mut open = false;
    let mut hit = None;
    for (inside, elem) in tests(set, key) {
        match inside {
            Some(true) => {
                hit = Some(elem);
                break;
            }
            Some(false) => {}
            None => open = true,
        }
    }
    if open && hit.is_none() {
        None
    } else if open {
        maybe_only(set, key, hit)
    } else {
        Some(hit)
    }
}

/// With a certain hit and open others: the hit stands when all of them carry the same data.
fn maybe_only<'a>(set: &'a NftSet, key: &Bits, hit: Option<&'a NftElem>) -> Option<Option<&'a NftElem>> {
    let same = maybe(set, key).iter().all(|e| Some(&e.data) == hit.map(|h| &h.data));
    if same { Some(hit) } else { None }
}

fn maybe<'a>(set: &'a NftSet, key: &Bits) -> Vec<&'a NftElem> {
    tests(set, key).into_iter().filter(|(inside, _)| *inside != Some(false)).map(|(_, e)| e).collect()
}

fn tests<'a>(set: &'a NftSet, key: &Bits) -> Vec<(Option<bool>, &'a NftElem)> {
    let plain = set.elements.iter().filter(|e| e.flags & (CATCHALL | INTERVAL_END) == 0 && !expired(e));
    if set.flags & INTERVAL == 0 {
        return plain.map(|e| (key.equals(&e.key), e)).collect();
    }
    if !set.field_lens.is_empty() {
        return plain.map(|e| (inside_concat(key, &set.field_lens, e), e)).collect();
    }
    ranges(set).into_iter().map(|r| (inside(key, &r), r.elem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::nft::NftFamily;

    pub(super) fn set(flags: u32, elements: Vec<NftElem>) -> NftSet {
        NftSet {
            family: NftFamily::Inet,
            table: "t".into(),
            name: "s".into(),
            handle: 1,
            flags,
            key_type: 0,
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
    fn el(key: &[u8], flags: u32) -> NftElem {
        NftElem { key: key.to_vec(), flags, ..Default::default() }
    }
    fn found(s: &NftSet, key: &[u8]) -> bool {
        matches!(lookup(s, &Bits::known(key)), Hit::Elem(_))
    }

    #[test]
    fn exact_keys() {
        let s = set(0, vec![el(&[0, 80], 0), el(&[0, 22], 0)]);
        assert!(found(&s, &[0, 80]) && !found(&s, &[0, 81]));
        assert!(matches!(lookup(&s, &Bits::unknown(2, "x")), Hit::Open(o) if o.len() == 2));
    }

    #[test]
    fn intervals_with_end_markers() {
        // 10-19, 19..=29 as two touching ranges, 200- to the end
        let s = set(
            INTERVAL,
            vec![
                el(&[0], INTERVAL_END),
                el(&[10], 0),
                el(&[20], INTERVAL_END),
                el(&[20], 0),
                el(&[30], INTERVAL_END),
                el(&[200], 0),
            ],
        );
        for (k, want) in [
            (9, false),
            (10, true),
            (19, true),
            (20, true),
            (29, true),
            (30, false),
            (199, false),
            (255, true),
        ] {
            assert_eq!(found(&s, &[k]), want, "{k}");
        }
    }

    #[test]
    fn concatenated_ranges_compare_each_field() {
        let mut s = set(
            INTERVAL | 0x80,
            vec![NftElem {
                key: vec![10, 0, 0, 0, 0, 80, 0, 0],
                key_end: Some(vec![10, 0, 0, 255, 0, 90, 0, 0]),
                ..Default::default()
            }],
        );
        s.field_lens = vec![4, 2];
        assert!(found(&s, &[10, 0, 0, 7, 0, 85, 0, 0]));
        assert!(!found(&s, &[10, 0, 0, 7, 0, 91, 0, 0]));
        assert!(!found(&s, &[10, 0, 1, 7, 0, 85, 0, 0]));
    }

    #[test]
    fn the_catch_all_takes_the_rest_and_expired_elements_are_gone() {
        let mut gone = el(&[1], 0);
        gone.expires_ms = Some(0);
        let mut s = set(0, vec![gone, el(&[], CATCHALL)]);
        assert!(found(&s, &[1]));
        s.elements.pop();
        assert!(!found(&s, &[1]));
    }

    #[test]
    fn unread_elements_leave_it_open() {
        let mut s = set(0, vec![]);
        s.elements_read = false;
        assert_eq!(lookup(&s, &Bits::known(&[1])), Hit::Unread);
    }
}
