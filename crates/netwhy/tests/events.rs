//! The kernel's events in an answer: cited with reason and place, and recorded as a fact.

use std::process::{Command, Output};

use netwhy_sys::caps::{self, Capability};
use netwhy_sys::netns;
use serde_json::Value;

/// Runs `test` in a network namespace of its own. Without the privilege or the tools it says so and returns.
fn with(tools: &[&str], test: impl FnOnce() + Send) {
    if let Some(missing) = tools.iter().find(|tool| Command::new(tool).arg("-V").output().is_err()) {
        println!("skipped: {missing} is not installed");
        return;
    }
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return;
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        println!("skipped: this kernel does not describe its types");
        return;
    }
    netns::in_new_netns(|| {
        run("ip", &["link", "set", "lo", "up"]);
        test();
    })
    .unwrap();
}

fn run(tool: &str, args: &[&str]) {
    assert!(Command::new(tool).args(args).status().unwrap().success(), "{tool} {args:?}");
}

fn netwhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netwhy")).args(args).output().unwrap()
}

fn evidence<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["causes"][0]["evidence"].as_array()?.iter().find(|one| one["id"] == id)
}

#[test]
fn the_answer_cites_reason_and_place_of_the_packet_the_kernel_freed() {
    with(&["ip", "nft"], || {
        run("nft", &["add table inet f; add chain inet f o { type filter hook output priority 0; }"]);
        // Without a counter: the event is what tells that the rule was met.
        run("nft", &["add rule inet f o tcp dport 8124 drop"]);
        let file = std::env::temp_dir().join(format!("netwhy-events-{}.json", std::process::id()));
        let out = netwhy(&["connect", "127.0.0.1:8124", "--json", "--record", file.to_str().unwrap()]);
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(report["causes"][0]["id"], "fw-drop-outbound", "{report:#}");
        assert_eq!(report["causes"][0]["confidence"], "proven");
        let cited = evidence(&report, "drop-event").unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!(cited["value"], "NETFILTER_DROP@nft_do_chain");
        assert_eq!(report["disagreements"], Value::Array(Vec::new()), "{report:#}");
        let recorded = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let fact = recorded.pointer("/facts/kernel-events/before/value").unwrap();
        assert_eq!(fact["lost"], 0, "{fact:#}");
        let drop = |event: &Value| {
            event["event"] == "drop" && event["way"] == "forward" && event["packet"]["dport"] == 8124
        };
        assert!(fact["events"].as_array().unwrap().iter().any(drop), "{fact:#}");
        let text = netwhy(&["connect", "127.0.0.1:8124"]);
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("the kernel freed 1 packet to 127.0.0.1:8124: NETFILTER_DROP at nft_do_chain"),
            "{text}"
        );
    });
}

#[test]
fn every_reason_an_answer_can_print_is_explained() {
    with(&["ip"], || {
        let out = netwhy(&["connect", "127.0.0.1:8125", "--json"]);
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let cited = evidence(&report, "drop-event").unwrap_or_else(|| panic!("{report:#}"));
        let reason = cited["value"].as_str().unwrap().split('@').next().unwrap();
        assert_eq!(reason, "NO_SOCKET");
        let explained = netwhy(&["explain", reason]);
        assert!(explained.status.success(), "{}", String::from_utf8_lossy(&explained.stderr));
        let reset = evidence(&report, "reset-sent").unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!(reset["value"], "NO_SOCKET");
    });
}
