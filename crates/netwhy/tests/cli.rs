//! The command line as a user meets it: bad input is named, exit codes are those of the manual.

use std::process::{Command, Output};

fn netwhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netwhy")).args(args).env_remove("NO_COLOR").output().unwrap()
}

fn refused(args: &[&str]) -> String {
    let out = netwhy(args);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
    assert!(out.stdout.is_empty(), "{args:?} printed a result");
    text
}

#[test]
fn a_bad_target_is_named_with_its_field() {
    assert!(refused(&["connect", "db:0"]).contains("port \"0\""));
    assert!(refused(&["connect", "db:65536"]).contains("port \"65536\""));
    assert!(refused(&["connect", "[2001:db8::1:443"]).contains("brackets"));
    assert!(refused(&["connect", "gopher://127.0.0.1:70"]).contains("gopher"));
    assert!(refused(&["connect", ":80"]).contains("--inbound"));
    assert!(refused(&["connect", "-6", "127.0.0.1:80"]).contains("IPv6"));
    assert!(
        refused(&["connect", "--from", "::1", "127.0.0.1:80", "--inbound"]).contains("different families")
    );
    assert!(refused(&["connect", "--from", "127.0.0.1", "127.0.0.1:80"]).contains("--inbound or --transit"));
    assert!(refused(&["connect", "--transit", "127.0.0.1:80"]).contains("--from"));
}

#[test]
fn control_bytes_of_the_arguments_do_not_reach_the_terminal() {
    let text = refused(&["connect", "a\u{1b}[2Jb:1"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_missing_namespace_is_named() {
    let text = refused(&["connect", "--container", "no-such-container", "127.0.0.1:1"]);
    assert!(text.contains("no-such-container"), "{text}");
    let text = refused(&["connect", "--netns", "no-such-namespace", "127.0.0.1:1"]);
    assert!(text.contains("no-such-namespace"), "{text}");
}

#[test]
fn an_unknown_case_offers_the_list() {
    assert!(refused(&["lab", "try", "no-such-case"]).contains("lab list"));
}

#[test]
fn a_closed_port_of_this_host_is_a_problem_and_the_json_keeps_the_contract() {
    // A port that was just free: bound and closed again, so nothing listens on it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = netwhy(&["connect", "--json", &format!("127.0.0.1:{port}")]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    netwhy_render::schema::validate(&report).unwrap();
    assert_eq!(report["causes"][0]["id"], "svc-not-listening");
    assert_eq!(report["causes"][0]["locus"]["kind"], "missing-listener");
}

#[test]
fn a_listening_port_of_this_host_is_healthy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || listener.accept().map(|(stream, _)| stream));
    let out = netwhy(&["connect", &format!("127.0.0.1:{port}")]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.starts_with("HEALTHY"), "{text}");
    drop(server.join());
}

#[test]
fn every_answer_can_be_one_line_of_json() {
    let out = netwhy(&["connect", "--jsonl", "127.0.0.1:1"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
}
