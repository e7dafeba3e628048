//! nft's text, cut into words.

/// A piece of a command or a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word or a number.
    Word(String),
    /// Text in double quotes.
    Quoted(String),
    /// `{ } ( ) , ; = == != < > <= >= & | ^ << >> ! . : - /` and the end of a line.
    Sign(&'static str),
}

impl Token {
    /// How an error names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Word(word) => word.clone(),
            Token::Quoted(text) => format!("\"{text}\""),
            Token::Sign("\n") => "end of line".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "<<", ">>", "{", "}", "(", ")", ",", ";", "=", "<", ">", "&", "|", "^", "!", "\n",
];

/// Cuts a text; comments (`#` to the end of the line) are left out. A quote that does not end is named by its
/// line.
pub(super) fn cut(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut line = 1_usize;
    while let Some(first) = rest.chars().next() {
        if first == '\\' && rest.starts_with("\\\n") {
            line += 1;
            rest = rest.get(2..).unwrap_or("");
            continue;
        }
        if first != '\n' && first.is_whitespace() {
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        }
        if first == '#' {
            rest = rest.find('\n').map_or("", |end| rest.get(end..).unwrap_or(""));
            continue;
        }
        if first == '"' {
            let inner = rest.get(1..).unwrap_or("");
            let Some(end) = inner.find('"') else { return Err(format!("line {line}: a quote does not end")) };
            let quoted = inner.get(..end).unwrap_or("");
            rest = inner.get(end + 1..).unwrap_or("");
            // `"eth"*` is a beginning.
            if let Some(behind) = rest.strip_prefix('*') {
                rest = behind;
                out.push(Token::Quoted(format!("{quoted}*")));
            } else {
                out.push(Token::Quoted(quoted.to_owned()));
            }
            if let Some(behind) = rest.strip_prefix('-') {
                rest = behind;
                out.push(Token::Sign("-"));
            }
            continue;
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            line += usize::from(*sign == "\n");
            out.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or("");
            continue;
        }
        let end = rest
            .char_indices()
            .find(|(_, letter)| letter.is_whitespace() || "{}(),;=<>&|^!\"#".contains(*letter))
            .map_or(rest.len(), |(at, _)| at);
        let word = rest.get(..end).unwrap_or("");
        rest = rest.get(end..).unwrap_or("");
        match word {
            "." | ":" | "-" | "/" => {
                let sign = [".", ":", "-", "/"].into_iter().find(|sign| *sign == word);
                out.extend(sign.map(Token::Sign));
            }
            // `mark:verdict` and the like, written without spaces; an address keeps its colons.
            _ => match word.strip_suffix(':').filter(|head| !head.is_empty() && !head.ends_with(':')) {
                Some(head) => out.extend([Token::Word(head.to_owned()), Token::Sign(":")]),
                None => out.push(Token::Word(word.to_owned())),
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_signs_are_told_apart() {
        let shown = |text: &str| cut(text).unwrap().iter().map(Token::shown).collect::<Vec<_>>();
        assert_eq!(
            shown("tcp dport {22,80-90} log prefix \"a b: \" # note"),
            ["tcp", "dport", "{", "22", ",", "80-90", "}", "log", "prefix", "\"a b: \""]
        );
        assert_eq!(
            shown("ip6 saddr fe80::1 . 22: accept"),
            ["ip6", "saddr", "fe80::1", ".", "22", ":", "accept"]
        );
        assert_eq!(shown("meta hour \"10:00\"-\"18:00\""), ["meta", "hour", "\"10:00\"", "-", "\"18:00\""]);
        assert!(cut("log prefix \"x").is_err());
    }
}
