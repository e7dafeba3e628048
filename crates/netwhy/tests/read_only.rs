//! A question changes nothing: every system call of an answer is looked at, and the host is the same before and after.
//!
//! Oracles: strace for the calls; ip, nft and sysctl for the state. In a network namespace of its own.

use std::process::Command;

const SCENE: &str = r#"
set -e
ip link set lo up
sysctl -qw net.ipv6.conf.default.addr_gen_mode=1
ip link add v0 type veth peer name v1
ip addr add 203.0.113.1/24 dev v0
ip addr add 2001:db8::1/64 dev v0 nodad
ip link set v0 up
ip link set v1 up
nft add table inet filter
nft 'add chain inet filter output { type filter hook output priority 0; }'
nft add rule inet filter output tcp dport 8080 drop
state() {
  nft list ruleset; ip -d link show; ip addr show; ip -4 route show table all; ip -6 route show table all
  ip rule; ip neigh show nud permanent; sysctl -a --pattern '^net\.' 2>/dev/null | grep -v 'conntrack_count\|random\|secret'
  tc qdisc show; ls /sys/fs/bpf 2>/dev/null
}
state > "$DIR/before"
for target in 203.0.113.1:81 203.0.113.9:8080 203.0.113.9 udp://203.0.113.1:81 localhost:81; do
  strace -f -v -s 64 -o "$DIR/calls.$(echo "$target" | tr ':/' '__')" "$NETWHY" connect --timeout 2 "$target" > /dev/null || true
done
timeout 20 strace -f -v -s 64 -o "$DIR/calls.inbound" "$NETWHY" connect :81 --inbound --from 203.0.113.9 --timeout 1 > /dev/null || true
state > "$DIR/after"
"#;

#[test]
fn a_question_changes_nothing() {
    for tool in ["unshare", "strace", "ip", "nft", "sysctl"] {
        if Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output()
            .is_ok_and(|o| !o.status.success())
        {
            eprintln!("skipped: {tool} is not installed");
            return;
        }
    }
    let dir = std::env::temp_dir().join(format!("netwhy-read-only-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let out = Command::new("unshare")
        .args(["--net", "sh", "-c", SCENE])
        .env("DIR", &dir)
        .env("NETWHY", env!("CARGO_BIN_EXE_netwhy"))
        .output()
        .unwrap();
    let grumble = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() && grumble.contains("unshare failed") {
        eprintln!("skipped: {grumble}");
        return;
    }
    assert!(out.status.success(), "{grumble}");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(read("before"), read("after"));
    let mut looked_at = 0;
    for file in std::fs::read_dir(&dir).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        if !name.starts_with("calls.") {
            continue;
        }
        for line in read(&name).lines() {
            looked_at += 1;
            if let Some(why) = changes_something(line) {
                panic!("{name}: {why}: {line}");
            }
        }
    }
    assert!(looked_at > 1000, "only {looked_at} calls were seen");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Why a line of strace's output is a change of the system, if it is one.
fn changes_something(line: &str) -> Option<&'static str> {
    let call = line.split_once(' ').map_or(line, |(_, rest)| rest.trim_start());
    let name = call.split('(').next().unwrap_or("");
    const NEVER: &[&str] = &[
        "mount",
        "umount2",
        "init_module",
        "finit_module",
        "delete_module",
        "ptrace",
        "kill",
        "tkill",
        "rename",
        "renameat",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "chmod",
        "fchmod",
        "chown",
        "sethostname",
        "unshare",
        "perf_event_open",
    ];
    if NEVER.contains(&name) {
        return Some("a call that changes the system");
    }
    let opens_for_writing = name.starts_with("open")
        && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag))
        && !call.contains("\"/dev/null\"");
    if opens_for_writing {
        return Some("a file opened for writing");
    }
    if name == "bpf" {
        const READS: &[&str] = &[
            "BPF_PROG_QUERY",
            "BPF_PROG_GET_NEXT_ID",
            "BPF_PROG_GET_FD_BY_ID",
            "BPF_OBJ_GET_INFO_BY_FD",
            "BPF_LINK_GET_NEXT_ID",
            "BPF_LINK_GET_FD_BY_ID",
            "BPF_MAP_GET_FD_BY_ID",
            "BPF_BTF_GET_FD_BY_ID",
            // strace of older releases prints commands it does not know by number; these two are the link reads.
            "0x1e",
            "0x1f",
        ];
        // What only watches, and is gone with the process that made it: maps of its own, programs at tracepoints.
        const WATCHES: &[&str] = &[
            "BPF_MAP_CREATE",
            "BPF_MAP_UPDATE_ELEM",
            "BPF_MAP_LOOKUP_ELEM",
            "BPF_MAP_GET_NEXT_KEY",
            "BPF_MAP_DELETE_ELEM",
            "BPF_MAP_FREEZE",
            "BPF_BTF_LOAD",
            "BPF_RAW_TRACEPOINT_OPEN",
            // Runs a program on bytes that netwhy made.
            "BPF_PROG_TEST_RUN",
        ];
        let watching_program = (call.starts_with("bpf(BPF_PROG_LOAD")
            && ["TRACEPOINT,", "TRACING,"].iter().any(|kind| call.contains(kind)))
            || (call.starts_with("bpf(BPF_LINK_CREATE") && call.contains("BPF_TRACE"));
        let harmless = READS.iter().chain(WATCHES).any(|one| call.starts_with(&format!("bpf({one}")));
        return (!harmless && !watching_program).then_some("a bpf command that writes");
    }
    if matches!(name, "sendto" | "sendmsg") && call.contains("nlmsg_type=") {
        let kinds = call.split("nlmsg_type=").skip(1);
        for kind in kinds {
            let word = kind.split([',', '}', ' ']).next().unwrap_or("");
            let message = word.rsplit("<<8|").next().unwrap_or(word);
            let reads = message.contains("_GET")
                || message.contains("SOCK_DIAG_BY_FAMILY")
                || message.contains("GENL_ID_CTRL")
                || message.contains("nlctrl")
                || message.contains("ethtool")
                || message.contains("_CT_GET")
                || message.contains("IPSET")
                || message == "0x14";
            if !reads {
                return Some("a netlink message that is no question");
            }
        }
    }
    (name == "setsockopt" && (call.contains("PACKET_ADD_MEMBERSHIP") || call.contains("SO_SET_REPLACE")))
        .then_some("a socket option that changes the system")
}
