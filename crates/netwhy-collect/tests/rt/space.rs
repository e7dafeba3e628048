//! What the tests in namespaces share: a namespace of one's own, the classical tools as oracles.

use std::process::Command;

use netwhy_facts::Reading;
use netwhy_sys::caps::{self, Capability};
use netwhy_sys::netns;
use serde_json::Value;

/// Runs `test` in an empty network namespace, on a thread of its own. Without the privilege to make one, or
/// without one of `tools`, says so and returns.
pub(crate) fn in_namespace(tools: &[&str], test: impl FnOnce() + Send) {
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
pub(crate) fn value<T>(reading: Reading<T>) -> T {
    match reading {
        Reading::Known { value, source, at } => {
            assert!(at > 0 && !source.is_empty());
            value
        }
        other => panic!("{:?}", other.absence()),
    }
}

/// Runs a command line; `false` and a message if it fails, as a kernel without the feature makes it.
pub(crate) fn try_run(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    if !output.status.success() {
        println!("failed: {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    output.status.success()
}

/// Runs command lines, one per line of text; every one must succeed.
pub(crate) fn run(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(try_run(line), "{line}");
    }
}

/// What a command prints.
pub(crate) fn output(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command prints, as JSON; an empty output is an empty list.
pub(crate) fn json(line: &str) -> Vec<Value> {
    let text = output(line);
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
}

/// Turns IPv6 off for devices still to be made: it sends packets of its own accord, which tests that count
/// or compare cannot have.
pub(crate) fn without_ipv6() {
    for name in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        if std::path::Path::new(&path).exists() {
            std::fs::write(path, "1").unwrap();
        }
    }
}
