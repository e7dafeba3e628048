//! The binary itself: every verb answers, its JSON keeps the contract, its exit codes are the documented ones.

use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;

fn netwhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netwhy")).args(args).env_remove("NO_COLOR").output().unwrap()
}

fn stdout(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn json(args: &[&str]) -> (Value, i32) {
    let out = netwhy(args);
    let text = stdout(&out);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{args:?}: {e}: {text}{}", String::from_utf8_lossy(&out.stderr));
    });
    (value, out.status.code().unwrap())
}

#[track_caller]
fn keeps_the_contract(report: &Value) {
    if let Err(problems) = netwhy_render::schema::validate(report) {
        panic!("{}\n{report:#}", problems.join("\n"));
    }
}

#[test]
fn a_listening_port_is_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let (report, code) = json(&["connect", &target, "--json"]);
    keeps_the_contract(&report);
    assert_eq!((report["verdict"].as_str(), code), (Some("healthy"), 0), "{report:#}");
}

#[test]
fn a_closed_port_of_this_host_is_named() {
    // Taken and given back: nobody listens there for the moment.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (report, code) = json(&["connect", &format!("127.0.0.1:{port}"), "--json"]);
    keeps_the_contract(&report);
    assert_eq!((report["verdict"].as_str(), code), (Some("problem"), 1), "{report:#}");
    assert_eq!(report["causes"][0]["id"], "svc-not-listening");
    assert_eq!(report["causes"][0]["locus"]["kind"], "missing-listener");
}

#[test]
fn jsonl_is_one_line_and_the_same_document() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let out = netwhy(&["connect", &target, "--jsonl"]);
    let text = stdout(&out);
    assert_eq!(text.lines().count(), 1);
    keeps_the_contract(&serde_json::from_str(&text).unwrap());
}

#[test]
fn a_mistake_of_usage_is_two_and_says_what() {
    for (args, word) in [
        (&["connect", "127.0.0.1:0"][..], "port"),
        (&["connect", "127.0.0.1:65536"], "port"),
        (&["connect", ":80"], "--inbound"),
        (&["connect", "a\u{1b}[2Jb:1"], "character"),
        (&["walk", "tcp", "127.0.0.1", "127.0.0.1"], "port"),
        (&["walk", "sctp", "127.0.0.1", "127.0.0.1:1"], "sctp"),
        (&["walk", "tcp", "127.0.0.1", "127.0.0.1:1", "--in", "no-such-dev"], "no-such-dev"),
        (&["facts", "nonsense"], "nonsense"),
        (&["facts", "sockets"], "--about"),
        (&["explain", "nonsensical-word"], "no entry"),
        (&["nonsense"], "nonsense"),
    ] {
        let out = netwhy(args);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
        assert!(!text.contains('\u{1b}'), "{args:?}: {text:?}");
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_missing_namespace_is_named() {
    let out = netwhy(&["connect", "127.0.0.1:1", "--netns", "no-such-namespace"]);
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.contains("no-such-namespace"), "{text}");
    assert!(matches!(out.status.code(), Some(2 | 5)), "{:?}", out.status);
}

#[test]
fn words_are_explained_offline() {
    let out = netwhy(&["explain", "tcpext.listendrops"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(stdout(&out).starts_with("TcpExt.ListenDrops"));
    let (value, _) = json(&["explain", "ECONNREFUSED", "--json"]);
    assert_eq!(value["entries"][0]["kind"], "errno");
    let (value, code) = json(&["explain", "ECONREFUSED", "--json"]);
    assert_eq!((value["unknown"][0].as_str(), code), (Some("ECONNREFUSED"), 2));
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_checked() {
    let (schema, code) = json(&["schema"]);
    assert_eq!(code, 0);
    assert_eq!(schema, netwhy_render::schema::report_schema());
}

#[test]
fn facts_can_be_loaded_again() {
    for family in ["host", "links", "mib", "sysctls"] {
        let (value, code) = json(&["facts", family]);
        assert_eq!(code, 0);
        assert_eq!(value[family]["before"]["reading"], "known", "{family}: {value:#}");
        netwhy_facts::Facts::from_json(&value).unwrap_or_else(|e| panic!("{family}: {e}"));
    }
    let (families, _) = json(&["facts", "--list", "--json"]);
    assert_eq!(families.as_array().unwrap().len(), netwhy_facts::KIND_NAMES.len());
    let (value, _) = json(&["facts", "sockets", "--about", "127.0.0.1:1"]);
    assert!(value["sockets"]["before"]["reading"].is_string());
}

#[test]
fn capabilities_have_three_outcomes() {
    let (value, code) = json(&["capabilities", "--json"]);
    assert_eq!(code, 0);
    let items = value["items"].as_array().unwrap();
    assert!(items.len() > 30);
    for item in items {
        let word = item["available"].as_str().unwrap();
        assert!(["yes", "no", "unknown"].contains(&word), "{item}");
        assert!(!item["why"].as_str().unwrap().is_empty(), "{item}");
    }
}

#[test]
fn a_walk_ends_at_the_socket_or_says_that_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let (walk, code) = json(&["walk", "tcp", "127.0.0.1", &target, "--json"]);
    assert_eq!((walk["forward"]["path"]["end"]["end"].as_str(), code), (Some("delivered"), 0), "{walk:#}");
    drop(listener);
    let (walk, code) = json(&["walk", "tcp", "127.0.0.1", &target, "--json"]);
    assert_eq!((walk["forward"]["path"]["end"]["end"].as_str(), code), (Some("no_socket"), 1), "{walk:#}");
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let out = netwhy(&["completions", shell]);
        assert_eq!(out.status.code(), Some(0));
        assert!(stdout(&out).contains("netwhy"), "{shell}");
    }
}
