//! An explanation on a screen.

use super::{Entry, Found};
use crate::text::TextOptions;
use crate::text::page::{Page, Style};

/// What was found for a word, as text. For an unknown word: what looks alike.
pub fn explanation_text(word: &str, found: &Found, options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    match found {
        Found::Cause(cause) => return cause_text(&cause.text, cause.id, page),
        Found::Entries(entries) => {
            for entry in entries {
                page.gap();
                write_entry(&mut page, entry);
            }
        }
        Found::Unknown(near) => {
            page.styled("unknown", Style::Unsure, &format!("no entry for {word:?}"), Style::Plain);
            if !near.is_empty() {
                page.entry("perhaps", &near.join(", "));
            }
        }
    }
    page.finish()
}

fn write_entry(page: &mut Page, e: &Entry) {
    let unit = if e.unit.is_empty() { String::new() } else { format!(", in {}", e.unit) };
    page.heading(&e.name, &format!("{}{unit}, from {}", e.kind.words(), e.source));
    page.entry("means", &e.meaning);
    for (i, hint) in e.readings.iter().enumerate() {
        page.entry(if i == 0 { "when" } else { "" }, &format!("{}: {}", hint.when, hint.meaning));
    }
    if !e.raised_by.is_empty() {
        page.entry("raised by", e.raised_by);
    }
    if !e.mistaken_for.is_empty() {
        page.entry("is not", e.mistaken_for);
    }
    if !e.causes.is_empty() {
        page.entry("causes", &e.causes.join(", "));
    }
    if !e.command.is_empty() {
        page.labelled_command("shown by", &e.command);
    }
}

/// A cause's header: Markdown with one level of headings. Paragraphs are filled anew.
fn cause_text(markdown: &str, id: &str, mut page: Page) -> String {
    let mut label = String::new();
    let mut paragraph = String::new();
    let flush = |page: &mut Page, label: &mut String, paragraph: &mut String| {
        if !paragraph.is_empty() {
            page.entry(label, paragraph);
            label.clear();
            paragraph.clear();
        }
    };
    for line in markdown.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            page.heading(id, title);
        } else if let Some(heading) = line.strip_prefix("## ") {
            flush(&mut page, &mut label, &mut paragraph);
            page.gap();
            label = short_heading(heading).to_string();
        } else if line.trim().is_empty() {
            flush(&mut page, &mut label, &mut paragraph);
        } else {
            // An item of a list begins a paragraph of its own.
            if line.trim_start().starts_with("- ") {
                flush(&mut page, &mut label, &mut paragraph);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(&line.trim().replace('`', ""));
        }
    }
    flush(&mut page, &mut label, &mut paragraph);
    page.finish()
}

fn short_heading(heading: &str) -> &str {
    match heading {
        "What you see" => "you see",
        "What happens" => "happens",
        "How netwhy knows" => "known by",
        "Look-alikes" => "is not",
        "What to do" => "to do",
        "References" => "read",
        other => other,
    }
}
