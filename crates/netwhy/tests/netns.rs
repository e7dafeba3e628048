//! Asked about another namespace, the answer's commands work as they are printed, typed outside of it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};

use netwhy_sys::caps::{self, Capability};
use netwhy_sys::netns;
use serde_json::Value;

fn netwhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netwhy")).args(args).output().unwrap()
}

/// What a person who pastes the line gets.
#[track_caller]
fn shell(line: &str) -> String {
    let out = Command::new("sh").args(["-c", line]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

#[track_caller]
fn ask(netns: &str) -> Value {
    let out = netwhy(&["--netns", netns, "connect", "127.0.0.1:8125", "--json"]);
    let text = String::from_utf8_lossy(&out.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn fix_undo_and_evidence_work_from_outside() {
    let there = |tool: &str| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|d| std::path::Path::new(d).join(tool).exists())
    };
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN to make a network namespace");
        return;
    }
    if let Some(missing) = ["ip", "nft", "nsenter", "awk", "xargs"].iter().find(|tool| !there(tool)) {
        println!("skipped: {missing} is not installed");
        return;
    }
    let (listener, namespace) = netns::in_new_netns(|| {
        shell("ip link set lo up");
        shell("nft add table inet f");
        shell("nft 'add chain inet f o { type filter hook output priority 0; }'");
        shell("nft add rule inet f o tcp dport 8125 drop");
        let listener = std::net::TcpListener::bind("127.0.0.1:8125").unwrap();
        (listener, File::open("/proc/thread-self/ns/net").unwrap())
    })
    .unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());

    let report = ask(&path);
    assert_eq!(report["question"]["command"], format!("netwhy --netns {path} connect 127.0.0.1:8125"));
    let cause = &report["causes"][0];
    assert_eq!(cause["id"], "fw-drop-outbound", "{report:#}");
    let shown: Vec<&str> = cause["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["command"].as_str().unwrap())
        .filter(|command| command.contains("nft "))
        .collect();
    assert!(!shown.is_empty(), "{report:#}");
    for command in shown {
        assert!(shell(command).contains("8125"), "{command}");
    }
    let fix = &cause["fix"][0];
    shell(fix["command"].as_str().unwrap());
    assert_eq!(ask(&path)["verdict"], "healthy");
    shell(fix["undo"].as_str().unwrap());
    assert_eq!(ask(&path)["causes"][0]["id"], "fw-drop-outbound");
    assert_eq!(cause["verify"], format!("netwhy --netns {path} connect 127.0.0.1:8125"));
    drop(listener);
}
