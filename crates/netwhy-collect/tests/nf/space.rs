//! A network namespace for one test, and the tools run in it.

use std::process::{Command, Stdio};

use netwhy_facts::Reading;
use netwhy_sys::{caps, netns};

/// Runs `test` in a new namespace with its loopback up. Skipped, with the reason, where none can be made or a
/// tool is missing; as root with every capability a namespace that cannot be made is a failure.
pub(crate) fn with(tools: &[&str], test: impl FnOnce() + Send) {
    for tool in tools {
        if !exists(tool) {
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    let inside = netns::in_new_netns(|| {
        run("ip", &["link", "set", "lo", "up"]);
        test();
    });
    if let Err(error) = inside {
        let able = caps::effective().is_ok_and(|held| held.has(caps::Capability::SysAdmin));
        assert!(!able, "could not make a network namespace: {error}");
        println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
    }
}

/// Whether a program is in the path.
pub(crate) fn exists(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| std::path::Path::new(dir).join(tool).exists())
}

/// Runs a tool with text on its standard input: what it said, and whether it was content.
pub(crate) fn try_run(tool: &str, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool}: {error}"));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// Runs a tool that must succeed, and returns what it printed.
pub(crate) fn run(tool: &str, args: &[&str]) -> String {
    let (fine, text) = try_run(tool, args, "");
    assert!(fine, "{tool} {}: {text}", args.join(" "));
    text
}

/// The value of a reading that must be known.
pub(crate) fn known<T: std::fmt::Debug>(reading: Reading<T>) -> T {
    match reading {
        Reading::Known { value, .. } => value,
        other => panic!("not known: {other:?}"),
    }
}
