//! What the tests in namespaces share: a namespace of one's own, the classical tools as oracles.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part")]

use std::process::Command;

use netwhy_facts::Reading;
use netwhy_sys::caps::{self, Capability};
use netwhy_sys::netns;
use serde_json::Value;

/// Runs `test` in an empty network namespace, on a thread of its own. Without the privilege to make one, or
/// without one of `tools`, says so and returns.
pub fn in_namespace(tools: &[&str], test: impl FnOnce() + Send) {
    for tool in tools {
        if Command::new(tool).arg("-V").output().is_err() {
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    if let Err(error) = netns::in_new_netns(test) {
        let able = caps::effective().is_ok_and(|held| held.has(Capability::SysAdmin));
        assert!(!able, "could not make a network namespace: {error}");
        println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
    }
}

/// The value of a reading that must have one, with a source and a time.
pub fn value<T>(reading: Reading<T>) -> T {
    match reading {
        Reading::Known { value, source, at } => {
            assert!(at > 0 && !source.is_empty());
            value
        }
        other => panic!("{:?}", other.absence()),
    }
}

/// Runs a command line; `false` and a message if it fails, as a kernel without the feature makes it.
pub fn try_run(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    if !output.status.success() {
        println!("failed: {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    output.status.success()
}

/// Runs command lines, one per line of text; every one must succeed.
pub fn run(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(try_run(line), "{line}");
    }
}

/// What a command prints.
pub fn output(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command prints, as JSON; an empty output is an empty list.
pub fn json(line: &str) -> Vec<Value> {
    let text = output(line);
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
}

/// The messages of a recorded fixture: hexadecimal, `#` starts a comment, an empty line ends a message.
pub fn fixture(name: &str) -> Vec<Vec<u8>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut messages = vec![Vec::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            messages.push(Vec::new());
            continue;
        }
        let hex: String = line.split('#').next().unwrap().split_whitespace().collect();
        let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
        messages.last_mut().unwrap().extend(bytes);
    }
    messages.retain(|message| !message.is_empty());
    messages
}

/// Writes payloads as a fixture: the family header on the first line, then one attribute a line.
pub fn write_fixture(name: &str, header: usize, about: &str, payloads: &[Vec<u8>]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut text = format!("# {about}\n# First line: the family header; then one attribute a line.\n");
    for payload in payloads {
        text.push('\n');
        text.push_str(&hex(&payload[..header.min(payload.len())]));
        text.push_str("  # header\n");
        let mut rest = &payload[header.min(payload.len())..];
        while rest.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]])).clamp(4, rest.len());
            let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
            let step = length.next_multiple_of(4).min(rest.len());
            let shown: String = rest[4..length].iter().map(|b| char::from(*b)).collect();
            let words: String = shown.trim_end_matches('\0').to_owned();
            let readable = words.len() > 1 && words.chars().all(|c| c.is_ascii_graphic());
            let note = if readable { format!(" {words}") } else { String::new() };
            text.push_str(&format!("{}  # {kind}{note}\n", hex(&rest[..step])));
            rest = &rest[step..];
        }
    }
    std::fs::write(path, text).unwrap();
}
