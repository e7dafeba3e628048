//! Makes text from outside harmless for a terminal: control bytes, invisible characters and direction overrides
//! become visible escapes. Letters of every script stay as they are.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text with everything that could move a cursor, change a colour, hide or reorder characters written as `\x1b` or
/// `\u{202e}`. A line break becomes `\n`: a value from outside never starts a line of its own.
pub fn escape_terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hostile(c) && u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_hostile(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// As [`escape_terminal`] for text of several lines: line breaks stay.
pub fn escape_lines(text: &str) -> String {
    text.lines().map(escape_terminal).collect::<Vec<_>>().join("\n")
}

/// Whether a character can do something to a terminal or a reader besides being read.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()                                  // C0, DEL, C1: escape sequences in 7 and 8 bits
        || matches!(c,
            '\u{ad}'                                // soft hyphen: invisible
            | '\u{61c}' | '\u{200e}' | '\u{200f}'   // direction marks
            | '\u{202a}'..='\u{202e}'               // direction embeddings and overrides
            | '\u{2066}'..='\u{2069}'               // direction isolates
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // zero width
            | '\u{2028}' | '\u{2029}'               // line and paragraph separator
            | '\u{fff9}'..='\u{fffb}'               // interlinear annotation
            | '\u{e0000}'..='\u{e007f}'             // tag characters
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_cannot_clear_the_screen() {
        assert_eq!(escape_terminal("\x1b[2J\x1b]0;owned\x07sshd"), "\\x1b[2J\\x1b]0;owned\\x07sshd");
        assert_eq!(escape_terminal("a\u{9b}31mb"), "a\\x9b31mb");
        assert_eq!(escape_terminal("fake\nPROBLEM"), "fake\\nPROBLEM");
        assert_eq!(escape_terminal("x\rHEALTHY"), "x\\rHEALTHY");
        assert_eq!(escape_terminal("\u{7f}\u{0}"), "\\x7f\\x00");
    }

    #[test]
    fn text_cannot_be_reordered_or_hidden() {
        assert_eq!(escape_terminal("abc\u{202e}gpj.exe"), "abc\\u{202e}gpj.exe");
        assert_eq!(escape_terminal("pay\u{200b}pal.test"), "pay\\u{200b}pal.test");
        assert_eq!(escape_terminal("\u{e0041}"), "\\u{e0041}");
    }

    #[test]
    fn ordinary_text_of_any_script_is_not_copied() {
        for text in ["nginx: worker", "бд.внутри", "数据库", "café", "C:\\path"] {
            assert!(matches!(escape_terminal(text), Cow::Borrowed(t) if t == text));
        }
    }

    #[test]
    fn nothing_hostile_is_left_whatever_comes_in() {
        let all: String = (0..=0x10ffff).filter_map(char::from_u32).collect();
        assert!(!escape_terminal(&all).chars().any(is_hostile));
        assert_eq!(escape_lines("a\nb\x1b"), "a\nb\\x1b");
    }
}
