//! printf's conversions on typed arguments.

use netwhy_lang::program::{Part, Shape};

use crate::value::{Reader, part, u64_at};

/// One conversion.
#[derive(Debug, Default, Clone, Copy)]
struct Conversion {
    left: bool,
    zero: bool,
    alternate: bool,
    plus: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
    /// What a number is cut to: an `int` unless `hh`, `h`, `l`, `ll`, `j`, `z` or `t` say otherwise.
    bits: u32,
    letter: char,
}

/// The most a width or precision may ask for.
const LIMIT: usize = 4096;

/// Formats the record's arguments.
pub(crate) fn format(reader: &Reader<'_>, format: &str, args: &[Part], bytes: &[u8]) -> String {
    let mut out = String::with_capacity(format.len() + 32);
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let mut one = Conversion::default();
        while let Some(flag) = chars.next_if(|c| "-0#+ ".contains(*c)) {
            match flag {
                '-' => one.left = true,
                '0' => one.zero = true,
                '#' => one.alternate = true,
                '+' => one.plus = true,
                _ => one.space = true,
            }
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut value = 0_usize;
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                value = (value * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(LIMIT);
            }
            value
        };
        one.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            one.precision = Some(number(&mut chars));
        }
        one.bits = 32;
        while let Some(modifier) = chars.next_if(|c| "lhqjzt".contains(*c)) {
            one.bits = if modifier == 'h' { one.bits / 2 } else { 64 };
        }
        one.letter = chars.next().unwrap_or('d');
        // `%rx` prints every byte of a buffer in hex, `%rh` without escapes, with spaces.
        let style = match one.letter {
            'r' => chars.next_if(|c| "xh".contains(*c)),
            _ => None,
        };
        let Some(arg) = args.next() else { continue };
        let text = convert(reader, one, style, &arg.shape, part(bytes, arg));
        pad(&mut out, one, &text);
    }
    out
}

fn convert(reader: &Reader<'_>, one: Conversion, style: Option<char>, shape: &Shape, bytes: &[u8]) -> String {
    let whole = u64_at(bytes, 0);
    let cut = 64 - one.bits.clamp(8, 64);
    let word = (whole << cut) >> cut;
    let unsigned = |text: String, prefix: &str| {
        let text = match one.precision {
            Some(digits) => format!("{text:0>digits$}"),
            None => text,
        };
        if one.alternate && word != 0 { format!("{prefix}{text}") } else { text }
    };
    match one.letter {
        'd' | 'i' => {
            let value = ((whole << cut) as i64) >> cut;
            let negative = value < 0;
            let digits = value.unsigned_abs().to_string();
            let digits = unsigned(digits, "");
            let sign = match (negative, one.plus, one.space) {
                (true, ..) => "-",
                (_, true, _) => "+",
                (_, _, true) => " ",
                _ => "",
            };
            format!("{sign}{digits}")
        }
        'u' => unsigned(word.to_string(), ""),
        'x' => unsigned(format!("{word:x}"), "0x"),
        'X' => unsigned(format!("{word:X}"), "0X"),
        'o' => unsigned(format!("{word:o}"), "0"),
        'p' if whole == 0 => "0".to_owned(),
        'p' => format!("{whole:#x}"),
        'c' => u32::try_from(word & 0xff).ok().and_then(char::from_u32).map(String::from).unwrap_or_default(),
        'r' => {
            let escaped = reader.buffer(bytes, style.is_none());
            match style {
                Some('x') => escaped,
                Some(_) => escaped.replacen("\\x", "", 1).replace("\\x", " "),
                None => escaped,
            }
        }
        _ => {
            let text = reader.text(shape, bytes);
            match one.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text,
            }
        }
    }
}

fn pad(out: &mut String, one: Conversion, text: &str) {
    let missing = one.width.saturating_sub(text.chars().count());
    let number = "dixXuo".contains(one.letter) && one.precision.is_none();
    if one.left {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if one.zero && number {
        let sign = text.len() - text.trim_start_matches(['-', '+', ' ']).len();
        let sign = if text[sign..].starts_with("0x") && one.alternate { sign + 2 } else { sign };
        let (sign, digits) = text.split_at(sign);
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;
    use crate::users::Users;

    fn show(text: &str, shape: Shape, bytes: &[u8]) -> String {
        let symbols = Symbols::from_text(String::new());
        let reader =
            Reader { symbols: &symbols, users: &Users::new(), stacks: None, strlen: 1024, trailer: ".." };
        format(&reader, text, &[Part { name: String::new(), offset: 0, shape }], bytes)
    }

    #[test]
    fn numbers() {
        let signed = Shape::Int { signed: true };
        let minus = (-42_i64).to_ne_bytes();
        assert_eq!(show("<%d>", signed.clone(), &minus), "<-42>");
        assert_eq!(show("<%6lld|%%>", signed.clone(), &minus), "<   -42|%>");
        assert_eq!(show("<%-6d>", signed.clone(), &minus), "<-42   >");
        assert_eq!(show("<%06d>", signed.clone(), &minus), "<-00042>");
        assert_eq!(show("<%#x>", signed.clone(), &255_u64.to_ne_bytes()), "<0xff>");
        assert_eq!(show("<%08X>", signed.clone(), &255_u64.to_ne_bytes()), "<000000FF>");
        assert_eq!(show("<%c>", signed.clone(), &65_u64.to_ne_bytes()), "<A>");
        assert_eq!(show("<%u>", signed, &u64::MAX.to_ne_bytes()), "<4294967295>");
        let signed = Shape::Int { signed: true };
        assert_eq!(show("<%lu>", signed.clone(), &u64::MAX.to_ne_bytes()), "<18446744073709551615>");
        assert_eq!(show("<%hhx>", signed, &0xabcd_u64.to_ne_bytes()), "<cd>");
    }

    #[test]
    fn texts_are_cleaned_and_cut() {
        let text = Shape::Str { size: 16 };
        assert_eq!(show("%-8s|", text.clone(), b"nc\0rest\0\0\0\0\0\0\0\0\0"), "nc      |");
        assert_eq!(show("%.2s|", text.clone(), b"ncat\0\0\0\0\0\0\0\0\0\0\0\0"), "nc|");
        assert_eq!(show("%s", text, b"\x1b[31m\0"), "\\x1b[31m");
        let mut inet = vec![2, 0, 0, 0, 198, 51, 100, 7];
        inet.resize(24, 0);
        assert_eq!(show("%s", Shape::Inet, &inet), "198.51.100.7");
        assert_eq!(show("%r", Shape::Buf { max: 4 }, &[3, 0, 0, 0, b'a', 0, 9, 0]), "a\\x00\\x09");
    }

    #[test]
    fn too_few_arguments_and_cut_formats_do_no_harm() {
        let one = Shape::Int { signed: true };
        assert_eq!(show("%d %d %", one.clone(), &[]), "0  ");
        assert_eq!(show("%99999999999d", one, &[]).len(), 4096);
    }
}
