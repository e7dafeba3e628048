//! Text to tokens, one at a time: attach points are not made of tokens, so the parser says when to lex.

use crate::diag::{Diagnostic, Result, Span};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok {
    Ident(String),
    Int(u64),
    Str(String),
    Var(String),
    Map(String),
    Param(u32),
    ParamCount,
    Punct(&'static str),
    Directive(String),
    End,
}

/// A token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) span: Span,
}

const PUNCTS: [&str; 49] = [
    "<<=", ">>=", "...", "..", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=",
    "*=", "/=", "%=", "&=", "|=", "^=", "{", "}", "(", ")", "[", "]", ",", ";", ":", "?", "=", "<", ">", "!",
    "~", "+", "-", "*", "/", "%", "&", "|", "^", ".", "@", "#",
];

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

/// First byte at or after `pos` that is neither blank nor comment.
pub(crate) fn skip(src: &str, mut pos: usize) -> Result<usize> {
    loop {
        let rest = src.get(pos..).unwrap_or("");
        let blank = rest.len() - rest.trim_start().len();
        pos += blank;
        let rest = &rest[blank..];
        if rest.starts_with("//") {
            pos += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            match rest.find("*/") {
                Some(end) => pos += end + 2,
                None => return Err(Diagnostic::error(span(pos, pos + 2), "comment without an end")),
            }
        } else {
            return Ok(pos);
        }
    }
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// The token at or after `pos`.
pub(crate) fn next(src: &str, pos: usize) -> Result<Token> {
    let pos = skip(src, pos)?;
    let rest = src.get(pos..).unwrap_or("");
    let done = |tok, len: usize| Ok(Token { tok, span: span(pos, pos + len) });
    let Some(first) = rest.chars().next() else { return done(Tok::End, 0) };
    if first.is_ascii_alphabetic() || first == '_' {
        let len = word(rest);
        return done(Tok::Ident(rest[..len].to_string()), len);
    }
    if first.is_ascii_digit() {
        return number(rest, pos);
    }
    match first {
        '"' => return string(rest, pos),
        '$' => {
            let len = word(&rest[1..]);
            let name = &rest[1..=len];
            if rest[1..].starts_with('#') {
                return done(Tok::ParamCount, 2);
            }
            if name.is_empty() {
                return Err(Diagnostic::error(span(pos, pos + 1), "expected a name after `$`"));
            }
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return match name.parse() {
                    Ok(n) if n < 1_000 => done(Tok::Param(n), len + 1),
                    _ => Err(Diagnostic::error(span(pos, pos + len + 1), "no such positional parameter")),
                };
            }
            return done(Tok::Var(name.to_string()), len + 1);
        }
        '@' => {
            let len = word(&rest[1..]);
            return done(Tok::Map(rest[1..=len].to_string()), len + 1);
        }
        '#' => {
            let len = rest.find('\n').unwrap_or(rest.len());
            return done(Tok::Directive(rest[..len].to_string()), len);
        }
        '\'' => {
            let mut chars = rest.chars().skip(1);
            if let (Some(c), Some('\'')) = (chars.next(), chars.next())
                && c.is_ascii()
            {
                return done(Tok::Int(u64::from(u32::from(c))), 3);
            }
        }
        _ => {}
    }
    match PUNCTS.iter().find(|p| rest.starts_with(**p)) {
        Some(p) => done(Tok::Punct(p), p.len()),
        None => {
            let c = if first.is_control() { ' ' } else { first };
            Err(Diagnostic::error(span(pos, pos + first.len_utf8()), format!("`{c}` has no meaning here")))
        }
    }
}

/// Numbers: decimal, hex, octal, binary, `_` between digits, `1e6`, C suffixes, durations (`1ms` is nanoseconds).
fn number(rest: &str, pos: usize) -> Result<Token> {
    let len = word(rest);
    let text = &rest[..len];
    let at = span(pos, pos + len);
    let bad = |why: &str| Diagnostic::error(at, format!("{why}: `{text}`"));
    let clean: String = text.chars().filter(|c| *c != '_').collect();
    let lower = clean.to_ascii_lowercase();
    let radix = |digits: &str, radix| {
        let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        let (digits, suffix) = digits.split_at(end);
        u64::from_str_radix(digits, radix).ok().map(|n| (n, suffix.to_string()))
    };
    let parsed = if let Some(hex) = lower.strip_prefix("0x") {
        radix(hex, 16)
    } else if let Some(bin) = lower.strip_prefix("0b") {
        radix(bin, 2)
    } else if lower.len() > 1 && lower.starts_with('0') && lower.as_bytes()[1].is_ascii_digit() {
        radix(&lower[1..], 8)
    } else {
        radix(&lower, 10)
    };
    let Some((value, suffix)) = parsed else { return Err(bad("this number does not fit 64 bits")) };
    let scale: u64 = match suffix.as_str() {
        "" | "u" | "l" | "ul" | "ll" | "ull" | "lu" | "llu" | "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        e => match e.strip_prefix('e').and_then(|n| n.parse::<u32>().ok()).and_then(|n| 10u64.checked_pow(n))
        {
            Some(scale) => scale,
            None => return Err(bad("not a number")),
        },
    };
    let value = value.checked_mul(scale).ok_or_else(|| bad("this number does not fit 64 bits"))?;
    Ok(Token { tok: Tok::Int(value), span: at })
}

fn string(rest: &str, pos: usize) -> Result<Token> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok(Token { tok: Tok::Str(out), span: span(pos, pos + i + 1) }),
            '\\' => {
                let Some((j, e)) = chars.next() else { break };
                out.push(match e {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\x08',
                    'a' => '\x07',
                    'f' => '\x0c',
                    'v' => '\x0b',
                    'e' => '\x1b',
                    '"' | '\\' | '\'' | '?' => e,
                    '\n' => continue,
                    '0'..='7' | 'x' => {
                        let (radix, max) = if e == 'x' { (16, 2) } else { (8, 2) };
                        let mut value = if e == 'x' { 0 } else { e.to_digit(8).unwrap_or(0) };
                        for _ in 0..max {
                            let Some(d) = chars.peek().and_then(|(_, c)| c.to_digit(radix)) else { break };
                            value = value * radix + d;
                            chars.next();
                        }
                        char::from(value.min(255) as u8)
                    }
                    _ => {
                        return Err(Diagnostic::error(
                            span(pos + i, pos + j + e.len_utf8()),
                            "unknown escape sequence in a string",
                        ));
                    }
                });
            }
            _ => out.push(c),
        }
    }
    Err(Diagnostic::error(span(pos, pos + 1), "string without an end"))
}
