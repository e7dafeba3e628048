//! `netwhy bpftrace` as people use it: exit codes, signals, the command's end, and nothing left behind.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netwhy_sys::bpf::{Object, ids, map_info};
use netwhy_sys::caps::{self, Capability};
use netwhy_sys::process::kill;
use netwhy_sys::signal::Signal;

fn privileged() -> bool {
    let has = caps::effective().unwrap().has(Capability::SysAdmin);
    if !has {
        println!("skipped: privilege: needs CAP_SYS_ADMIN");
    }
    has
}

fn netwhy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netwhy"));
    command.arg("bpftrace").args(args).env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end: exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let done = netwhy(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

/// Starts, and comes back once everything is attached.
fn attached(args: &[&str]) -> Child {
    let mut child = netwhy(args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    loop {
        match lines.next() {
            Some(Ok(line)) if line == "__BPFTRACE_NOTIFY_PROBES_ATTACHED" => break,
            Some(Ok(line)) => said += &line,
            _ => panic!("it ended before it was attached: {said}"),
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Maps with this name that exist now.
fn maps(name: &str) -> usize {
    let named = |id: &u32| {
        let info = Object::Map.open(*id).ok().and_then(|fd| map_info(std::os::fd::AsFd::as_fd(&fd)).ok());
        info.is_some_and(|info| info.name == name)
    };
    ids(Object::Map).unwrap().iter().filter(|id| named(id)).count()
}

#[test]
fn exit_codes_are_those_of_the_script_or_1() {
    if !privileged() {
        return;
    }
    assert_eq!(
        run(&["-q", "-e", "BEGIN { printf(\"hi\\n\"); exit(7); }"]),
        (7, "hi\n\n\n".into(), NOTIFY.into())
    );
    let (code, out, said) = run(&["-e", "BEGIN { nonsense( }"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains("ERROR") && said.contains('~'), "{said}");
    let (code, _, said) = run(&["-e", "uprobe:/bin/sh:no_such_function { }"]);
    assert!(code == 1 && said.contains("No matches for uprobe /bin/sh:no_such_function"), "{said}");
    let (code, _, said) = run(&["-p", "x1", "-e", "BEGIN { }"]);
    assert!(code == 1 && said.contains("invalid integer: x1"), "{said}");
    let (code, _, said) = run(&["no-such-file.bt"]);
    assert!(code == 1 && said.contains("failed to open file 'no-such-file.bt'"), "{said}");
    let (code, out, _) = run(&["--dry-run", "-e", "interval:s:1 { exit(3); }"]);
    assert_eq!((code, out.as_str()), (0, ""));
}

const NOTIFY: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n";

#[test]
fn the_end_of_the_command_is_the_end_of_the_script() {
    if !privileged() {
        return;
    }
    let script = "tracepoint:syscalls:sys_enter_execve { @[pid] = count(); } END { printf(\"end\\n\"); }";
    let (code, out, _) = run(&["-q", "-c", "sleep 0.05", "-e", script]);
    assert!(code == 0 && out.starts_with("end\n\n\n@["), "{out}");
    let (code, _, said) = run(&["-c", "/no/such/program", "-e", "interval:s:9 { }"]);
    assert!(code == 1 && said.contains("/no/such/program"), "{said}");
}

#[test]
fn an_interrupt_prints_the_maps() {
    if !privileged() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = attached(&["-e", "BEGIN { @answer = 42; } interval:s:9 { }"]);
        kill(child.id(), signal).unwrap();
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(out, "\n\n@answer: 42\n");
    }
}

#[test]
fn nothing_is_left_after_a_kill() {
    if !privileged() {
        return;
    }
    let name = format!("left{}", std::process::id());
    let script = format!("tracepoint:sched:sched_switch {{ @{name} = count(); }}");
    let mut child = attached(&["-e", &script]);
    assert_eq!(maps(&name), 1);
    kill(child.id(), Signal::KILL).unwrap();
    child.wait().unwrap();
    // The kernel frees a map some time after its last user: when nobody can be in its program any more.
    let end = Instant::now() + Duration::from_secs(20);
    while maps(&name) != 0 {
        assert!(Instant::now() < end, "the map outlived its process");
        std::thread::yield_now();
    }
}

#[test]
fn listings_show_names_and_arguments() {
    if !privileged() {
        return;
    }
    let (code, out, _) = run(&["-l", "tracepoint:sock:inet_sock_set_*"]);
    assert_eq!((code, out.as_str()), (0, "tracepoint:sock:inet_sock_set_state\n"));
    let (_, out, _) = run(&["-lv", "tracepoint:sock:inet_sock_set_state"]);
    assert!(out.contains("\n    int oldstate\n    int newstate\n"), "{out}");
    let (_, out, _) = run(&["-lv", "struct list_head"]);
    assert!(
        out.starts_with("struct list_head {\n\tstruct list_head *next;\n\tstruct list_head *prev;\n};"),
        "{out}"
    );
    let (_, out, _) = run(&["-l", "-e", "tracepoint:sock:inet_sock_set_s* { } interval:s:1 { }"]);
    assert_eq!(out, "tracepoint:sock:inet_sock_set_state\ninterval:s:1\n");
    let (_, out, _) = run(&["--info"]);
    assert!(out.contains("  tracepoint: yes\n") && out.contains("  uprobe"), "{out}");
}
