//! Numbers and addresses as text, straight into a buffer: tables of a hundred thousand lines are made of them.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A decimal number.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit is below ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A decimal number, with blanks behind it up to a width.
pub fn padded(out: &mut Vec<u8>, number: u64, width: usize) {
    let start = out.len();
    decimal(out, number);
    let used = out.len() - start;
    out.resize(out.len() + width.saturating_sub(used), b' ');
}

/// A hexadecimal number.
pub fn hex(out: &mut Vec<u8>, number: u64) {
    let _ = write!(out, "{number:x}");
}

/// Text behind text.
pub fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// `name` and a number behind it.
pub fn named(out: &mut Vec<u8>, name: &str, number: u64) {
    text(out, name);
    decimal(out, number);
}

/// An address, without brackets.
pub fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(four) => ipv4(out, four),
        IpAddr::V6(six) => ipv6(out, six),
    }
}

fn ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        decimal(out, octet.into());
    }
}

/// As inet_ntop(3) writes it.
fn ipv6(out: &mut Vec<u8>, address: Ipv6Addr) {
    let _ = write!(out, "{address}");
}

/// Thousandths of a unit as printf's `%g` writes them: `0.028`, `12.5`, `3`.
pub fn thousandths(out: &mut Vec<u8>, number: u64) {
    if number >= 1_000_000 {
        return general(out, number as f64 / 1000.0, 6);
    }
    decimal(out, number / 1000);
    let rest = number % 1000;
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
    let used = 3 - digits.iter().rev().take_while(|digit| **digit == b'0').count();
    out.extend_from_slice(&digits[..used]);
}

/// A number as printf's `%.{digits}g` writes it.
pub fn general(out: &mut Vec<u8>, number: f64, digits: usize) {
    if number == 0.0 || !number.is_finite() {
        let _ =
            write!(out, "{}", if number == 0.0 { "0".to_owned() } else { number.to_string().to_lowercase() });
        return;
    }
    let digits = digits.max(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
        return;
    }
    let places = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    let _ = write!(out, "{}", trimmed(&format!("{number:.places$}")));
}

/// `*`, `?` and plain characters, in either case (fnmatch(3) with FNM_CASEFOLD).
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(one) if *one == '?' || Some(one) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                // The last star takes one character more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|one| *one == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(work: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        work(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_printf_does() {
        for (number, digits, text) in [
            (2.88672, 6, "2.88672"),
            (0.000012345, 6, "1.2345e-05"),
            (1234567.0, 6, "1.23457e+06"),
            (52.42880, 3, "52.4"),
            (577.0, 3, "577"),
            (1.0, 3, "1"),
            (999.9, 3, "1e+03"),
            (0.0, 6, "0"),
        ] {
            assert_eq!(written(|out| general(out, number, digits)), text);
        }
        for number in (0..2_000_000).step_by(977).chain([28, 100, 10, 1, 1000, 999_999, 1_000_000]) {
            let plain = written(|out| general(out, number as f64 / 1000.0, 6));
            assert_eq!(written(|out| thousandths(out, number)), plain);
        }
        assert_eq!(written(|out| padded(out, 128, 6)), "128   ");
        assert_eq!(written(|out| decimal(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| address(out, "198.51.100.7".parse().unwrap())), "198.51.100.7");
        assert_eq!(written(|out| address(out, "::ffff:192.0.2.1".parse().unwrap())), "::ffff:192.0.2.1");
    }
}
