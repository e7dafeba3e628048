//! Answers as text, held against `tests/golden`. A stale file is rewritten and the test fails once.

#![allow(clippy::disallowed_methods, reason = "tests read their golden files")]

mod common;

use netwhy_render::{TextOptions, report_text};

fn golden(name: &str, text: &str) -> Result<(), String> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let now = std::fs::read_to_string(&file).unwrap_or_default();
    if now == text {
        return Ok(());
    }
    if std::env::var_os("CI").is_none() {
        std::fs::write(&file, text).unwrap();
        return Err(format!("tests/golden/{name} was stale and has been rewritten: look at the difference"));
    }
    Err(format!("tests/golden/{name} is stale: run the tests outside CI and commit it"))
}

#[test]
fn answers_read_as_recorded() {
    let mut stale = Vec::new();
    for (name, report) in common::all() {
        for verbosity in 0..=2 {
            let options = TextOptions { verbosity, ..TextOptions::default() };
            let file = format!("{name}{}.txt", ["", ".v", ".vv"][verbosity as usize]);
            stale.extend(golden(&file, &report_text(&report, &options)).err());
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

/// Commands that fold at 80 columns take a few lines more; so does a second cause with its fact and its fix.
#[test]
fn the_default_answer_fits_a_screen() {
    for (name, report) in common::all().into_iter().filter(|(name, _)| *name != "hostile") {
        for (width, most) in [(80, 30), (100, 27), (140, 24)] {
            let most = if name == "two-causes" { most + 13 } else { most };
            let text = report_text(&report, &TextOptions { width, ..TextOptions::default() });
            let lines: usize = text.lines().map(|l| l.chars().count().div_ceil(width).max(1)).sum();
            assert!(lines <= most, "{name} at {width} columns takes {lines} lines:\n{text}");
        }
    }
}

#[test]
fn the_default_answer_keeps_three_proofs_and_what_to_do() {
    let text = report_text(&common::drop_outbound(), &TextOptions { width: 60, ..TextOptions::default() });
    assert!(text.starts_with("PROBLEM"));
    for needed in ["no answer from", "ruled out", "fix", "undo", "verify", "cost", "handle 7"] {
        assert!(text.contains(needed), "{needed:?} is missing:\n{text}");
    }
    let facts = text.split("ruled out").next().unwrap();
    assert!(facts.matches("$ ").count() >= 3, "three facts with their commands:\n{text}");
}

#[test]
fn nothing_from_outside_reaches_the_terminal_unescaped() {
    for verbosity in 0..=2 {
        let text = report_text(&common::hostile(), &TextOptions { verbosity, ..TextOptions::default() });
        for c in text.chars().filter(|c| *c != '\n') {
            assert!(!c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c), "{c:?} in {text}");
        }
        assert!(!text.lines().any(|l| l.starts_with("HEALTHY")));
        assert!(text.contains("\\x1b[2J\\x1b]0;owned\\x07\\r\\nHEALTHY \\x9b1m\\u{202e}lla si\\u{200b}"));
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    for (name, report) in common::all() {
        let plain = report_text(&report, &TextOptions { verbosity: 2, ..TextOptions::default() });
        let mut painted =
            report_text(&report, &TextOptions { verbosity: 2, color: true, ..TextOptions::default() });
        assert!(painted.contains("\x1b["), "{name}");
        while let Some(start) = painted.find("\x1b[") {
            let end = start + painted[start..].find('m').unwrap();
            painted.replace_range(start..=end, "");
        }
        assert_eq!(plain, painted, "{name}");
    }
}
