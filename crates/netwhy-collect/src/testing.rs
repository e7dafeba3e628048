//! What the decoders' tests share: recorded answers, and damage done to them.

/// A recorded answer: what it is, and its bytes.
pub(crate) type Recorded = (String, Vec<u8>);

/// Reads a recording: a line holds a word and hex digits, `#` starts a comment.
pub(crate) fn recorded(text: &str) -> Vec<Recorded> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (word, hex) = line.split_once(' ').unwrap_or((line, ""));
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            (word.to_owned(), hex.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

/// Hands `times` damaged copies of `bytes` to `look`: bits turned, bytes replaced, lengths changed, ends cut,
/// pieces repeated. The same ones every time.
pub(crate) fn damage(bytes: &[u8], times: u32, mut look: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_u32 ^ bytes.len() as u32;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below.max(1)
    };
    for _ in 0..times {
        let mut copy = bytes.to_vec();
        for _ in 0..=next(4) {
            let length = copy.len();
            match (next(5), length) {
                (_, 0) => copy.push(next(256) as u8),
                (0, _) => copy[next(length)] ^= 1 << next(8),
                (1, _) => copy[next(length)] = [0, 1, 3, 4, 5, 0x7f, 0x80, 0xff][next(8)],
                // Netlink lengths and offsets of structures start on multiples of four.
                (2, _) => copy[next(length) & !3] = next(256) as u8,
                (3, _) => copy.truncate(next(length)),
                _ => {
                    let (from, to) = (next(length), next(length));
                    let piece = copy[from.min(to)..from.max(to)].to_vec();
                    copy.splice(next(length)..next(length).max(length), piece);
                }
            }
        }
        look(&copy);
    }
}
