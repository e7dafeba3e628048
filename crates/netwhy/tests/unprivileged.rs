//! What an ordinary user gets, in a namespace of its own: what can be answered, and the privilege that the rest needs.
//! Skipped, with the reason, where the test is not root or a tool is missing.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use netwhy_sys::netns;
use serde_json::Value;

/// The user nobody.
const NOBODY: u32 = 65534;

/// A copy of the program where every user may run it, removed at the end.
struct Program(PathBuf);

impl Program {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("netwhy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_netwhy"), dir.join("netwhy")).unwrap();
        std::fs::set_permissions(dir.join("netwhy"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    /// The report and the exit code.
    fn connect(&self, target: &str) -> (Value, i32) {
        let mut command = Command::new(self.0.join("netwhy"));
        command.args(["connect", target, "--json"]).uid(NOBODY).gid(NOBODY).current_dir("/");
        let out = command.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&out.stderr)));
        if let Err(problems) = netwhy_render::schema::validate(&report) {
            panic!("{}\n{report:#}", problems.join("\n"));
        }
        (report, out.status.code().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(tool: &str, args: &[&str]) {
    let out = Command::new(tool).args(args).output().unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(out.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// One test at a time: a program that is being copied cannot be started, and another test's child holds the copy open
/// between its fork and its exec (ETXTBSY).
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs the test as root in a new namespace with its loopback up.
fn with(tools: &[&str], test: impl FnOnce() + Send) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: needs root, to become another user in a namespace of its own");
        return;
    }
    let there = |tool: &str| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
            .iter()
            .any(|dir| std::path::Path::new(dir).join(tool).exists())
    };
    if let Some(missing) = tools.iter().find(|tool| !there(tool)) {
        println!("skipped: {missing} is not installed");
        return;
    }
    netns::in_new_netns(|| {
        run("ip", &["link", "set", "lo", "up"]);
        test();
    })
    .unwrap();
}

/// What the report says is needed for what it could not check.
fn needs(report: &Value) -> String {
    let list = report["not_checkable"].as_array().unwrap();
    list.iter().map(|one| one["needs"].as_str().unwrap()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_closed_port_is_proven_without_privilege() {
    with(&["ip"], || {
        let (report, code) = Program::new("closed").connect("127.0.0.1:8123");
        assert_eq!(code, 1);
        assert_eq!(report["causes"][0]["id"], "svc-not-listening", "{report:#}");
        assert_eq!(report["causes"][0]["confidence"], "proven");
        // Other namespaces are closed to this user, so nothing is said of them.
        let summary = report["causes"][0]["summary"].as_str().unwrap();
        assert!(summary.contains("of this network namespace"), "{summary}");
        assert!(needs(&report).contains("CAP_SYS_PTRACE"), "{report:#}");
    });
}

#[test]
fn a_drop_rule_that_may_not_be_read_is_told_by_its_symptom() {
    with(&["ip", "nft"], || {
        run("nft", &["add table inet f; add chain inet f o { type filter hook output priority 0; }"]);
        run("nft", &["add rule inet f o tcp dport 8124 drop"]);
        let (report, code) = Program::new("drop").connect("127.0.0.1:8124");
        assert_eq!(code, 1);
        assert_eq!(report["causes"][0]["id"], "fw-drop-outbound", "{report:#}");
        assert_eq!(report["causes"][0]["confidence"], "consistent");
        assert!(needs(&report).contains("CAP_NET_ADMIN"), "{report:#}");
        // The kernel's events are out of reach as well, which is said and spoils nothing.
        assert!(needs(&report).contains("CAP_BPF and CAP_PERFMON"), "{report:#}");
    });
}
