//! JSON on standard output: one document, or one line a record. The shape is the types' own; this file
//! only makes sure that what is written can be shown on a terminal without doing anything to it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::escape::is_hostile;

/// One indented document with a final line break. Characters that could steer a terminal are written as `\uXXXX`,
/// which every JSON reader turns back.
pub fn document<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = inert(serde_json::to_string_pretty(value)?);
    text.push('\n');
    Ok(text)
}

/// One record on one line with a final line break, for `--jsonl`.
pub fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = inert(serde_json::to_string(value)?);
    text.push('\n');
    Ok(text)
}

/// serde_json escapes C0 only. Anything else hostile can only stand inside a string, where `\uXXXX` means the same.
fn inert(json: String) -> String {
    let hostile = |c: char| c != '\n' && is_hostile(c);
    if !json.chars().any(hostile) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_inert_on_a_terminal_and_loses_nothing() {
        let name = "\x1b[2J\u{9b}31m\u{202e}x\u{e0041}\u{7f}é";
        let text = document(&serde_json::json!({ "name": name })).unwrap();
        assert!(text.ends_with("}\n"));
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text:?}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["name"], name);
        assert_eq!(line(&serde_json::json!({"a": [1, 2]})).unwrap(), "{\"a\":[1,2]}\n");
    }
}
