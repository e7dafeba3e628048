//! printf formats: what each conversion takes.

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A number.
    Number,
    /// A string or anything with a text of its own.
    Text,
    /// Bytes.
    Bytes,
}

/// The conversions of a format in order, or what is wrong with it.
pub fn conversions(format: &str) -> Result<Vec<Takes>, String> {
    let mut out = Vec::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            continue;
        }
        let mut conversion = None;
        for c in chars.by_ref() {
            match c {
                '-' | '+' | ' ' | '#' | '0'..='9' | '.' | 'l' | 'h' | 'z' | 'j' | 't' => {}
                'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' | 'p' => {
                    conversion = Some(Takes::Number);
                    break;
                }
                's' => {
                    conversion = Some(Takes::Text);
                    break;
                }
                'r' => {
                    conversion = Some(Takes::Bytes);
                    // `%rx` and `%rh` print hex.
                    break;
                }
                other => return Err(format!("`%{other}` is no conversion")),
            }
        }
        match conversion {
            Some(Takes::Bytes) => {
                if matches!(chars.peek(), Some('x' | 'h')) {
                    chars.next();
                }
                out.push(Takes::Bytes);
            }
            Some(takes) => out.push(takes),
            None => return Err("the format ends inside a conversion".into()),
        }
    }
    Ok(out)
}
