//! The shipped tools by their names: as verbs, and as the name netwhy is called with.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

fn netwhy() -> Command {
    Command::new(env!("CARGO_BIN_EXE_netwhy"))
}

fn text(command: &mut Command) -> (String, String, Option<i32>) {
    let output = command.output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    (out, String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn tools_are_listed_and_explain_themselves() {
    let (out, _, code) = text(netwhy().args(["trace", "--list"]));
    assert!(code == Some(0) && out.lines().any(|line| line.starts_with("tcplife ")), "{out}");
    let (by_trace, _, _) = text(netwhy().args(["trace", "tcplife", "--help"]));
    let (by_name, _, code) = text(netwhy().args(["tcplife", "-h"]));
    assert!(code == Some(0) && by_name.contains("usage: netwhy tcplife") && by_name.contains("Sample:"));
    assert_eq!(by_trace, by_name);
    let (_, err, code) = text(netwhy().args(["trace", "tcplive"]));
    assert!(code == Some(2) && err.contains("no tool `tcplive`"), "{err}");
    let (_, err, code) = text(netwhy().args(["tcplife", "--moon"]));
    assert!(code == Some(2) && err.contains("no option `--moon`"), "{err}");
}

#[test]
fn a_link_named_like_a_tool_is_that_tool() {
    let held = netwhy_sys::caps::effective().unwrap();
    if !held.has(netwhy_sys::caps::Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return;
    }
    let directory = std::env::temp_dir().join(format!("netwhy-trace-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["tcplife", "tcplife-bpfcc"] {
        let link = directory.join(name);
        symlink(env!("CARGO_BIN_EXE_netwhy"), &link).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let args = ["-s", "-L", &port, "--duration", "20"];
        let mut child = Command::new(&link).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "PID,COMM,IP,LADDR,LPORT,RADDR,RPORT,TX_KB,RX_KB,MS");
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(client);
        drop(listener.accept().unwrap());
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!(",4,127.0.0.1,{port},127.0.0.1,")), "{line}");
        netwhy_sys::process::kill(child.id(), netwhy_sys::signal::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_tools_script_runs_as_a_script() {
    let (script, err, code) = text(netwhy().args(["trace", "tcplife", "--print"]));
    if code != Some(0) {
        println!("skipped: {err}");
        return;
    }
    let file = std::env::temp_dir().join(format!("netwhy-{}.nw", std::process::id()));
    std::fs::write(&file, script).unwrap();
    let (out, err, code) =
        text(netwhy().args(["bpftrace", "-d", file.to_str().unwrap(), "--", "--port=443"]));
    std::fs::remove_file(&file).unwrap();
    assert!(code == Some(0) && out.contains("inet_sock_set_state"), "{out}{err}");
}
