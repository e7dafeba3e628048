//! The few types the kernel wants of a program with functions that are called back.
//!
//! Names must be given and differ, and a static function is one that callers are verified through.

/// A description of functions that return `int` and take so many 64-bit integers; type numbers in order.
pub(crate) fn functions(functions: &[(&str, u8)]) -> (Vec<u8>, Vec<u32>) {
    let mut strings = vec![0_u8];
    let mut name = |text: &str| {
        let at = strings.len() as u32;
        strings.extend(text.bytes().map(|c| if c.is_ascii_alphanumeric() { c } else { b'_' }));
        strings.push(0);
        at
    };
    // 1: int; 2: unsigned long long, wide enough for any pointer.
    let mut types: Vec<u32> = vec![name("int"), 1 << 24, 4, 1 << 24 | 32];
    types.extend([name("u64"), 1 << 24, 8, 64]);
    let mut next = 3;
    let mut ids = Vec::new();
    for (function, params) in functions {
        types.extend([0, 13 << 24 | u32::from(*params), 1]);
        for n in 0..*params {
            types.extend([name(&format!("a{n}")), 2]);
        }
        types.extend([name(function), 12 << 24, next]);
        ids.push(next + 1);
        next += 2;
    }
    let length = types.len() as u32 * 4;
    let mut blob = Vec::new();
    blob.extend(0xeb9f_u16.to_ne_bytes());
    blob.extend([1, 0]);
    for word in [24, 0, length, length, strings.len() as u32] {
        blob.extend(word.to_ne_bytes());
    }
    blob.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
    blob.extend(strings);
    (blob, ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{Btf, Kind};

    #[test]
    fn our_own_reader_reads_it() {
        let (blob, ids) = functions(&[("main prog", 1), ("each", 4)]);
        let btf = Btf::new(blob).unwrap();
        assert_eq!(ids, [4, 6]);
        assert_eq!(btf.find(&[Kind::Func], "main_prog"), Some(4));
        assert_eq!(btf.function("each").unwrap().params.len(), 4);
    }
}
