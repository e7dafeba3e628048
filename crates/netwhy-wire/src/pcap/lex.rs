//! Words, numbers, addresses and signs of an expression.

use std::net::IpAddr;

use super::PcapError;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tok {
    /// A word, lower case as written.
    Word(String),
    /// A number.
    Number(u32),
    /// An address with all of its parts.
    Addr(IpAddr),
    /// One to three numbers of an IPv4 network, as in `net 10.1`.
    Partial(Vec<u8>),
    /// A sign.
    Sign(&'static str),
    /// The end.
    End,
}

/// A token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) start: usize,
    pub(super) end: usize,
}

const SIGNS: [&str; 23] = [
    "&&", "||", "!=", "==", "<=", ">=", "<<", ">>", "(", ")", "[", "]", ":", "/", "+", "-", "*", "%", "&",
    "|", "^", "<", ">",
];

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// All tokens, `End` last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, PcapError> {
    let mut out = Vec::new();
    let mut at = 0;
    // Inside brackets a colon separates offset and size; elsewhere it belongs to an address of IPv6.
    let mut brackets = 0_u32;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let (tok, length) = one(rest, brackets > 0).map_err(|message| {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            PcapError { start: at, end: at + length, message }
        })?;
        match tok {
            Tok::Sign("[") => brackets += 1,
            Tok::Sign("]") => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        out.push(Token { tok, start: at, end: at + length });
        at += length;
    }
    out.push(Token { tok: Tok::End, start: text.len(), end: text.len() });
    Ok(out)
}

fn one(rest: &str, brackets: bool) -> Result<(Tok, usize), String> {
    let first = rest.chars().next().unwrap_or(' ');
    if !brackets && (first.is_ascii_hexdigit() || first == ':') {
        let length =
            rest.find(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.')).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        if text.contains(':')
            && let Ok(address) = text.parse::<IpAddr>()
        {
            return Ok((Tok::Addr(address), length));
        }
    }
    if first.is_ascii_digit() {
        return digits(rest, brackets);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        return Ok((Tok::Word(rest.get(..length).unwrap_or_default().to_ascii_lowercase()), length));
    }
    if first == '\\' {
        // A keyword as a name: `ip proto \tcp`.
        let word = rest.get(1..).unwrap_or_default();
        let length = word.find(|c| !in_word(c)).unwrap_or(word.len());
        if length > 0 {
            return Ok((Tok::Word(word.get(..length).unwrap_or_default().to_ascii_lowercase()), length + 1));
        }
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Tok::Sign(sign), sign.len()));
    }
    match first {
        '=' => Ok((Tok::Sign("=="), 1)),
        '!' => Ok((Tok::Sign("!"), 1)),
        other if other.is_control() => Err("a control character has no meaning here".to_owned()),
        other => Err(format!("`{other}` has no meaning here")),
    }
}

/// A number, an address, a part of one, or a word that begins with a digit such as a name of a service.
fn digits(rest: &str, brackets: bool) -> Result<(Tok, usize), String> {
    let length =
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(rest.len());
    let text = rest.get(..length).unwrap_or_default();
    if let Some(number) = number(text) {
        return number
            .map(|n| (Tok::Number(n), length))
            .ok_or_else(|| format!("`{text}` does not fit 32 bits"));
    }
    if text.contains('.') && !brackets {
        if let Ok(address) = text.parse() {
            return Ok((Tok::Addr(address), length));
        }
        let parts: Option<Vec<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
        return match parts {
            Some(parts) if (2..=3).contains(&parts.len()) => Ok((Tok::Partial(parts), length)),
            _ => Err(format!("`{text}` is no address")),
        };
    }
    Err(format!("`{text}` is neither a number nor an address"))
}

/// `None` when it is no number at all, `Some(None)` when it is too large.
fn number(text: &str) -> Option<Option<u32>> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..).unwrap_or_default(), 8),
        None => (lower.as_str(), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u32::from_str_radix(digits, radix).ok())
}
