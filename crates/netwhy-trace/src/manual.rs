//! The manual of a tool: usage, text, options, what it needs, what is lost, sample.

use std::fmt::Write as _;

use crate::header::{Opt, Tool};
use crate::options;

/// One line: how it is called.
#[must_use]
pub fn usage(tool: &Tool) -> String {
    let words: Vec<String> =
        tool.options.iter().filter(|opt| opt.positional()).map(|opt| format!(" [{}]", opt.shown())).collect();
    format!("usage: netwhy {} [options]{}", tool.name, words.concat())
}

/// Text broken into lines of at most `width` characters, all but the first indented.
fn wrap(out: &mut String, text: &str, indent: usize, width: usize) {
    let mut at = indent;
    for (n, word) in text.split_whitespace().enumerate() {
        if n > 0 && at + 1 + word.chars().count() > width {
            let _ = write!(out, "\n{:indent$}{word}", "");
            at = indent + word.chars().count();
        } else {
            let gap = if n > 0 { " " } else { "" };
            let _ = write!(out, "{gap}{word}");
            at += word.chars().count() + gap.len();
        }
    }
    out.push('\n');
}

/// What `--help` shows.
#[must_use]
pub fn text(tool: &Tool) -> String {
    let mut out = format!("{}: {}\n\n{}\n", tool.name, tool.title, usage(tool));
    for paragraph in &tool.manual {
        out.push('\n');
        wrap(&mut out, paragraph, 0, 96);
    }
    let all = options::all(tool);
    let width = all.iter().map(|opt| opt.shown().chars().count()).max().unwrap_or(0);
    out.push_str("\nOptions:\n");
    for opt in &all {
        let shown = opt.shown();
        let _ = write!(out, "  {shown:<width$}  ");
        wrap(&mut out, &about(opt), width + 4, 96);
    }
    for (title, lines) in [("Needs", &tool.needs), ("Lost", &tool.lost)] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}:");
        }
        for line in lines {
            out.push_str("  ");
            wrap(&mut out, line, 2, 96);
        }
    }
    if !tool.sample.is_empty() {
        out.push_str("\nSample:\n");
    }
    for line in &tool.sample {
        let _ = writeln!(out, "{}", format!("  {line}").trim_end());
    }
    out
}

fn about(opt: &Opt) -> String {
    match &opt.value {
        Some(value) if opt.positional() && value != "0" => format!("{} (default {value})", opt.text),
        _ => opt.text.clone(),
    }
}

/// The list of tools.
#[must_use]
pub fn list(tools: &[Tool]) -> String {
    let width = tools.iter().map(|tool| tool.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for tool in tools {
        let _ = writeln!(out, "{:<width$}  {}", tool.name, tool.title);
    }
    out
}

/// docs/tools.md.
#[must_use]
pub fn document(tools: &[Tool]) -> String {
    let mut out = String::from(
        "# Tools\n\n<!-- Written by a test of netwhy-trace from the headers of probes/*.nw; do not edit. -->\n\n\
         Each tool is a script in `probes/`, compiled for the running kernel when it is called. None needs kprobes.\n\
         `netwhy TOOL` runs one, so does a link of that name to netwhy; `netwhy trace TOOL --print` shows its script as\n\
         it is for this kernel, ready to be changed and run with `netwhy bpftrace FILE`.\n\n| tool | shows |\n|---|---|\n",
    );
    for tool in tools {
        let _ = writeln!(out, "| [{0}](#{0}) | {1} |", tool.name, tool.title);
    }
    for tool in tools {
        let _ = write!(out, "\n## {}\n\n```text\n{}```\n", tool.name, text(tool));
    }
    out
}
