//! What iproute2's tools write: one description of an object becomes text or JSON.
//!
//! The JSON has iproute2's layout: compact on one line, or with `-p` four spaces a level.

use std::fmt;
use std::io::Write;

/// Output is handed on in pieces of this size.
const PIECE: usize = 1 << 16;

/// What a piece of text is, for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Device,
    Mac,
    Inet,
    Inet6,
    Up,
    Down,
}

impl Paint {
    /// The colour of an address of a family.
    pub(crate) fn of_family(family: u8) -> Self {
        match family {
            2 => Paint::Inet,
            10 => Paint::Inet6,
            17 => Paint::Mac,
            _ => Paint::Plain,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Device => "\x1b[36m",
            Paint::Mac => "\x1b[33m",
            Paint::Inet => "\x1b[35m",
            Paint::Inet6 => "\x1b[34m",
            Paint::Up => "\x1b[32m",
            Paint::Down => "\x1b[31m",
        }
    }
}

/// A JSON scalar.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Owned(String),
    Uint(u64),
    Int(i64),
    Bool(bool),
    Null,
    /// A number as it is written.
    Number(String),
}

macro_rules! numbers {
    ($($type:ty => $variant:ident;)*) => {$(
        impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Value::$variant(value.into())
            }
        }
    )*};
}

numbers! {
    u8 => Uint;
    u16 => Uint;
    u32 => Uint;
    i16 => Int;
    i32 => Int;
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Value::Uint(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Owned(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a std::borrow::Cow<'a, str>> for Value<'a> {
    fn from(text: &'a std::borrow::Cow<'a, str>) -> Self {
        Value::Text(text)
    }
}

/// How JSON is being written.
struct Json {
    pretty: bool,
    /// For every open list or object: whether it still is empty.
    open: Vec<bool>,
}

/// The page a tool writes.
pub(crate) struct Page<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    json: Option<Json>,
    oneline: bool,
    color: bool,
}

impl<'a> Page<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Page { out, buffer: Vec::with_capacity(PIECE + 4096), json: None, oneline: false, color: false }
    }

    /// Text, perhaps with colours, perhaps with every object on one line.
    pub(crate) fn set_text(&mut self, oneline: bool, color: bool) {
        (self.oneline, self.color) = (oneline, color);
    }

    /// JSON instead.
    pub(crate) fn set_json(&mut self, pretty: bool) {
        self.json = Some(Json { pretty, open: Vec::new() });
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json.is_some()
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a vector does not fail.
        let _ = match text.as_str() {
            Some(text) => self.buffer.write_all(text.as_bytes()),
            None => self.buffer.write_fmt(text),
        };
    }

    /// Hands on what has gathered, if it is worth it.
    pub(crate) fn turn(&mut self) -> std::io::Result<()> {
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Hands on everything.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }

    /// Text that JSON does without.
    pub(crate) fn text(&mut self, text: fmt::Arguments<'_>) {
        if self.json.is_none() {
            self.write(text);
        }
    }

    /// Fixed text that JSON does without.
    pub(crate) fn say(&mut self, text: &str) {
        if self.json.is_none() {
            self.buffer.extend_from_slice(text.as_bytes());
        }
    }

    /// The end of a line inside an object: a backslash when every object is one line.
    pub(crate) fn line(&mut self) {
        let end = if self.oneline { "\\" } else { "\n" };
        self.say(end);
    }

    /// A value: `text` in text, under `key` in JSON.
    pub(crate) fn put<'v>(&mut self, key: &str, text: fmt::Arguments<'_>, value: impl Into<Value<'v>>) {
        if self.json.is_some() {
            self.json(key, value);
        } else {
            self.write(text);
        }
    }

    /// As [`Self::put`], in colour.
    pub(crate) fn paint<'v>(
        &mut self,
        paint: Paint,
        key: &str,
        text: fmt::Arguments<'_>,
        value: impl Into<Value<'v>>,
    ) {
        if self.json.is_some() {
            self.json(key, value);
        } else {
            self.tint(paint, text);
        }
    }

    /// Coloured text that JSON does without.
    pub(crate) fn tint(&mut self, paint: Paint, text: fmt::Arguments<'_>) {
        if self.json.is_some() {
            return;
        }
        if self.color && paint != Paint::Plain {
            self.buffer.extend_from_slice(paint.code().as_bytes());
            self.write(text);
            self.buffer.extend_from_slice(b"\x1b[0m");
        } else {
            self.write(text);
        }
    }

    /// A value that text does without. An empty key is an element of a list.
    pub(crate) fn json<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        if self.json.is_none() {
            return;
        }
        self.member(key);
        match value.into() {
            Value::Text(text) => self.string(text),
            Value::Owned(text) => self.string(&text),
            Value::Uint(number) => self.write(format_args!("{number}")),
            Value::Int(number) => self.write(format_args!("{number}")),
            Value::Bool(yes) => self.write(format_args!("{yes}")),
            Value::Null => self.buffer.extend_from_slice(b"null"),
            Value::Number(text) => self.write(format_args!("{text}")),
        }
    }

    fn string(&mut self, text: &str) {
        self.buffer.push(b'"');
        for letter in text.chars() {
            match letter {
                '"' => self.buffer.extend_from_slice(b"\\\""),
                '\\' => self.buffer.extend_from_slice(b"\\\\"),
                '\n' => self.buffer.extend_from_slice(b"\\n"),
                '\t' => self.buffer.extend_from_slice(b"\\t"),
                '\r' => self.buffer.extend_from_slice(b"\\r"),
                other if u32::from(other) < 0x20 => self.write(format_args!("\\u{:04x}", u32::from(other))),
                other => self.write(format_args!("{other}")),
            }
        }
        self.buffer.push(b'"');
    }

    /// What stands before a value: comma, new line, key.
    fn member(&mut self, key: &str) {
        let Some(json) = &mut self.json else { return };
        let (depth, pretty) = (json.open.len(), json.pretty);
        let first = json.open.last_mut().is_none_or(|empty| std::mem::replace(empty, false));
        if !first {
            self.buffer.push(b',');
        }
        if !key.is_empty() {
            self.indent(pretty, depth);
            self.string(key);
            self.buffer.push(b':');
            if pretty {
                self.buffer.push(b' ');
            }
        }
    }

    fn indent(&mut self, pretty: bool, depth: usize) {
        if pretty {
            self.buffer.push(b'\n');
            self.buffer.extend(std::iter::repeat_n(b' ', depth * 4));
        }
    }

    fn begin(&mut self, key: &str, sign: &[u8]) {
        if self.json.is_none() {
            return;
        }
        self.member(key);
        self.buffer.extend_from_slice(sign);
        if let Some(json) = &mut self.json {
            json.open.push(true);
            if json.pretty && sign == b"[" {
                self.buffer.push(b' ');
            }
        }
    }

    /// Opens an object; no key inside a list.
    pub(crate) fn open(&mut self, key: &str) {
        self.begin(key, b"{");
    }

    /// Closes an object.
    pub(crate) fn close(&mut self) {
        let Some(json) = &mut self.json else { return };
        let empty = json.open.pop().unwrap_or(true);
        let (pretty, depth) = (json.pretty, json.open.len());
        if !empty {
            self.indent(pretty, depth);
        }
        self.buffer.push(b'}');
    }

    /// Opens a list.
    pub(crate) fn list(&mut self, key: &str) {
        self.begin(key, b"[");
    }

    /// Closes a list.
    pub(crate) fn end_list(&mut self) {
        let Some(json) = &mut self.json else { return };
        let empty = json.open.pop().unwrap_or(true);
        if json.pretty && !empty {
            self.buffer.push(b' ');
        }
        self.buffer.push(b']');
    }

    /// The end of the whole answer in JSON.
    pub(crate) fn end(&mut self) {
        if self.json.is_some() {
            self.buffer.push(b'\n');
        }
    }

    /// `true` under `key`, or a word.
    pub(crate) fn flag(&mut self, key: &str, text: &str) {
        if self.json.is_some() {
            self.json(key, true);
        } else {
            self.say(text);
        }
    }

    /// `null` under `key`, or a word.
    pub(crate) fn null(&mut self, key: &str, text: &str) {
        if self.json.is_some() {
            self.json(key, Value::Null);
        } else {
            self.say(text);
        }
    }

    /// `on` or `off` after a word; a truth value in JSON.
    pub(crate) fn on_off(&mut self, key: &str, word: &str, value: bool) {
        let text = if value { "on" } else { "off" };
        self.put(key, format_args!("{word} {text} "), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(work: impl FnOnce(&mut Page<'_>)) -> String {
        let mut bytes = Vec::new();
        let mut page = Page::new(&mut bytes);
        work(&mut page);
        page.flush().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn sample(page: &mut Page<'_>) {
        page.list("");
        page.open("");
        page.paint(Paint::Device, "ifname", format_args!("{}: ", "lo"), "lo");
        page.list("flags");
        page.json("", "UP");
        page.json("", "LOOP\"BACK");
        page.end_list();
        page.list("none");
        page.end_list();
        page.open("stats");
        page.put("bytes", format_args!("bytes {} ", 5), 5_u32);
        page.close();
        page.null("router", "router ");
        page.close();
        page.end_list();
        page.end();
    }

    #[test]
    fn one_description_becomes_text_or_json() {
        assert_eq!(written(sample), "lo: bytes 5 router ");
        let compact = written(|page| {
            page.set_json(false);
            sample(page);
        });
        assert_eq!(
            compact,
            "[{\"ifname\":\"lo\",\"flags\":[\"UP\",\"LOOP\\\"BACK\"],\"none\":[],\"stats\":{\"bytes\":5},\"router\":null}]\n"
        );
        let pretty = written(|page| {
            page.set_json(true);
            sample(page);
        });
        let first = "[ {\n        \"ifname\": \"lo\",\n        \"flags\": [ \"UP\",\"LOOP\\\"BACK\" ],\n";
        let second = "        \"none\": [ ],\n        \"stats\": {\n            \"bytes\": 5\n        },\n";
        assert_eq!(pretty, format!("{first}{second}        \"router\": null\n    }} ]\n"));
    }

    #[test]
    fn colours_surround_the_text_as_it_is() {
        let text = written(|page| {
            page.set_text(true, true);
            sample(page);
            page.line();
        });
        assert_eq!(text, "\x1b[36mlo: \x1b[0mbytes 5 router \\");
    }
}
