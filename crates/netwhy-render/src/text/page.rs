//! A page of text: labels in a gutter, entries wrapped beside it, commands on lines of their own.

use std::fmt::Write as _;

use crate::escape::{escape_terminal, is_hostile};

/// Columns of the label gutter.
pub(crate) const GUTTER: usize = 11;

/// Meaning of a colour; a word always says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bad,
    Good,
    Unsure,
    Label,
    Command,
    Faint,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bad => "1;31",
            Self::Good => "1;32",
            Self::Unsure => "1;33",
            Self::Label => "1",
            Self::Command => "36",
            Self::Faint => "2",
        }
    }
}

/// Collects lines. Every text given to it is escaped here, once.
pub(crate) struct Page {
    width: usize,
    color: bool,
    out: String,
    /// Whether parts are separated by empty lines.
    pub(crate) airy: bool,
}

impl Page {
    pub(crate) fn new(width: usize, color: bool) -> Self {
        Self { width: width.max(40), color, out: String::new(), airy: true }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if !self.color || style == Style::Plain || text.is_empty() {
            return text.to_string();
        }
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    }

    /// A title with what it is.
    pub(crate) fn heading(&mut self, title: &str, what: &str) {
        let title = escape_terminal(title);
        let at = columns(&title) + 2;
        self.column(at.min(self.width / 2), &title, Style::Label, what, Style::Faint);
    }

    /// An entry with its label; an empty label continues the one above.
    pub(crate) fn entry(&mut self, label: &str, text: &str) {
        self.styled(label, Style::Label, text, Style::Plain);
    }

    /// An entry with chosen styles.
    pub(crate) fn styled(&mut self, label: &str, label_style: Style, text: &str, style: Style) {
        self.column(GUTTER, label, label_style, text, style);
    }

    /// An entry whose text stands at a column of its own. A wider label pushes its first line to the right.
    pub(crate) fn column(&mut self, at: usize, label: &str, label_style: Style, text: &str, style: Style) {
        let text = escape_terminal(text);
        let first = at.max(columns(label) + if label.is_empty() { 0 } else { 2 });
        let pad = " ".repeat(first.saturating_sub(columns(label)));
        let pad = if text.is_empty() { String::new() } else { pad };
        let lines = wrap(&text, self.width.saturating_sub(first), self.width.saturating_sub(at).max(20));
        let _ = write!(self.out, "{}", self.paint(label_style, label));
        for (i, line) in lines.iter().enumerate() {
            let lead = if i == 0 { pad.clone() } else { " ".repeat(at) };
            let _ = writeln!(self.out, "{lead}{}", self.paint(style, line));
        }
    }

    /// A remark below an entry.
    pub(crate) fn note(&mut self, text: &str) {
        self.column(GUTTER + 2, "", Style::Plain, text, Style::Faint);
    }

    /// An entry and the command that shows it: beside it when both fit, else below.
    pub(crate) fn shown_by(&mut self, label: &str, text: &str, command: &str) {
        let (text, command) = (escape_terminal(text), escape_terminal(command));
        let room = GUTTER + columns(&text) + 5 + columns(&command) <= self.width;
        if command.is_empty() || !room {
            self.entry(label, &text);
            if !command.is_empty() {
                self.command(&command);
            }
            return;
        }
        let pad = " ".repeat(GUTTER.saturating_sub(columns(label)));
        let (label, shown) =
            (self.paint(Style::Label, label), self.paint(Style::Command, &format!("$ {command}")));
        let _ = writeln!(self.out, "{label}{pad}{text}   {shown}");
    }

    /// A command on its own line. Never wrapped: it is there to be copied.
    pub(crate) fn command(&mut self, command: &str) {
        let command = escape_terminal(command);
        let text = self.paint(Style::Command, &format!("$ {command}"));
        let _ = writeln!(self.out, "{}{text}", " ".repeat(GUTTER + 2));
    }

    /// A label with a command beside it.
    pub(crate) fn labelled_command(&mut self, label: &str, command: &str) {
        let command = escape_terminal(command);
        let pad = " ".repeat((GUTTER + 2).saturating_sub(columns(label)));
        let text = self.paint(Style::Command, &format!("$ {command}"));
        let _ = writeln!(self.out, "{}{pad}{text}", self.paint(Style::Label, label));
    }

    /// An empty line between parts; never two, never the first.
    pub(crate) fn gap(&mut self) {
        if self.airy && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Lines the page takes on a screen of its width, long commands folded by the terminal.
    pub(crate) fn height(&self) -> usize {
        self.out.lines().map(|l| visible(l).div_ceil(self.width).max(1)).sum()
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// Columns of a line without its colours.
fn visible(line: &str) -> usize {
    let (mut n, mut chars) = (0, line.chars());
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().find(|c| *c == 'm');
        } else {
            n += width_of(c);
        }
    }
    n
}

/// Columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Columns of a character: two for the wide blocks of East Asian scripts and emoji, none for combining marks.
fn width_of(c: char) -> usize {
    match c {
        c if is_hostile(c) => 0,
        '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Breaks text at spaces; a word longer than a line stays whole on its own.
fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let room = if lines.is_empty() { first } else { rest };
        let w = columns(word);
        if !line.is_empty() && used + 1 + w > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += w;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_beside_the_gutter_and_commands_do_not() {
        let mut page = Page::new(40, false);
        page.entry("where", "a device that is named and described at length");
        page.command("ip -s link show dev eth0 and a tail longer than forty columns");
        assert_eq!(
            page.finish(),
            "where      a device that is named and\n           described at length\n             $ ip -s link show dev eth0 and a tail longer than forty columns\n"
        );
    }

    #[test]
    fn colours_do_not_count_and_wide_letters_do() {
        assert_eq!(visible("\x1b[1;31mab\x1b[0mc"), 3);
        assert_eq!(columns("数据库"), 6);
        let mut page = Page::new(40, true);
        page.styled("PROBLEM", Style::Bad, "x", Style::Plain);
        assert_eq!(page.height(), 1);
        page.gap();
        page.gap();
        assert_eq!(page.finish(), "\x1b[1;31mPROBLEM\x1b[0m    x\n\n");
    }

    #[test]
    fn what_comes_from_outside_is_escaped_once() {
        let mut page = Page::new(80, true);
        page.shown_by("evidence", "name \x1b[2J", "cat '\u{202e}'");
        let text = page.finish();
        assert!(text.contains("name \\x1b[2J") && text.contains("cat '\\u{202e}'"), "{text:?}");
    }
}
