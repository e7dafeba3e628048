//! Names: patterns with `*`, `?` and `[..]`, and the nearest of many.

/// Whether a whole name matches.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go back to: after the last star, and one further into the name.
    let mut back: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                back = Some((p + 1, n));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(b'?'), Some(_)) => Some(1),
            (Some(b'['), Some(&c)) => class(pattern.get(p..).unwrap_or_default(), c),
            (Some(a), Some(b)) if a == b => Some(1),
            _ => None,
        };
        match (step, back) {
            (Some(by), _) => {
                p += by;
                n += 1;
            }
            (None, Some((star, at))) if at < name.len() => {
                back = Some((star, at + 1));
                p = star;
                n = at + 1;
            }
            _ => return false,
        }
    }
}

/// Length of the class at the start of `pattern` when it holds `c`. One that is not closed is a plain bracket.
fn class(pattern: &[u8], c: u8) -> Option<usize> {
    let Some(end) = pattern.iter().skip(1).position(|&b| b == b']').map(|at| at + 1) else {
        return (c == b'[').then_some(1);
    };
    let inside = pattern.get(1..end)?;
    let (negated, inside) = match inside.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, inside),
    };
    let mut found = inside.contains(&c);
    for window in inside.windows(3) {
        if let [from, b'-', to] = window {
            found |= (*from..=*to).contains(&c);
        }
    }
    (found != negated).then_some(end + 1)
}

/// Of these names the one nearest to a misspelt one, if few edits lead to it.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).clamp(1, 3);
    let near = known.filter(|other| other.len().abs_diff(name.len()) <= most);
    near.map(|other| (edits(name, other), other)).filter(|(edits, _)| *edits <= most).min().map(|(_, n)| n)
}

fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut next = vec![i + 1];
        for ((y, &diagonal), &above) in b.bytes().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near() {
        let known = ["tcp_probe", "tcp_send_reset", "tcp_receive_reset"];
        assert_eq!(nearest("tcp_porbe", known.into_iter()), Some("tcp_probe"));
        assert_eq!(nearest("udp_something", known.into_iter()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn stars_questions_and_classes() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("tcp:*", "tcp:tcp_probe", true),
            ("tcp:*reset", "tcp:tcp_send_reset", true),
            ("tcp:*reset", "tcp:tcp_send_resets", false),
            ("s?b", "skb", true),
            ("s?b", "sb", false),
            ("v[46]_*", "v6_x", true),
            ("v[!46]_*", "v6_x", false),
            ("v[0-9]", "v7", true),
            ("[", "[", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
