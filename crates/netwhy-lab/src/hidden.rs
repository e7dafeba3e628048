//! What the binary does when the lab runs it: the node's processes, its services and its probes.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use netwhy_sys::isolate::Isolation;
use netwhy_sys::mount::Mount;
use netwhy_sys::signal::Signal;

use crate::error::{LabError, Result};
use crate::node::HIDDEN;

/// The variable that makes connect(2) fail in every program of a node.
pub(crate) const DENIED: &str = "NETWHY_LAB_DENIES_CONNECT";

/// Plays the hidden part if `arguments` (the program's name first) ask for one, and returns the exit
/// code; `None` if they do not. The binary calls this before anything else.
pub fn hidden_main(arguments: &[OsString]) -> Option<i32> {
    let [_, first, role, rest @ ..] = arguments else { return None };
    if first != HIDDEN {
        return None;
    }
    let words: Vec<&str> = rest.iter().filter_map(|word| word.to_str()).collect();
    let role = role.to_string_lossy();
    let result = match role.as_ref() {
        "hold" => hold(words.first().copied().unwrap_or("node")),
        "init" => init(),
        "enter" => enter(&words),
        "signal" => signal(&words),
        "serve" => crate::serve::main(&words).map(|()| 0),
        "try" => crate::probe::main(&words),
        other => Err(LabError::Usage(format!("no such role: {other}"))),
    };
    Some(result.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "netwhy lab {role}: {error}");
        70
    }))
}

/// Holds the node's namespaces and starts its init, whose process id it prints.
fn hold(name: &str) -> Result<i32> {
    // Only a courtesy to whoever opens a shell in the node.
    let _ = fs::write("/proc/sys/kernel/hostname", name);
    let exe = std::env::current_exe().map_err(LabError::io("find this program"))?;
    let mut command = Command::new(exe);
    command.args([HIDDEN, "init"]).stdin(Stdio::inherit()).stdout(Stdio::null());
    let isolation = Isolation::new().mount(Mount::proc(Path::new("/proc"))?).death_signal(Signal::KILL);
    let mut child = isolation.spawn(command)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", child.id()).and_then(|()| out.flush()).map_err(LabError::io("tell the init's id"))?;
    let status = child.wait().map_err(LabError::io("wait for the node's init"))?;
    Ok(status.code().unwrap_or(1))
}

/// The first process of the node: lives until the lab lets go of the pipe.
fn init() -> Result<i32> {
    let mut nothing = [0];
    loop {
        match std::io::stdin().read(&mut nothing) {
            Ok(0) => return Ok(0),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LabError::io("read the lifeline")(error)),
        }
    }
}

/// Starts a program as a process of the node this one has entered, and ends as it ends.
///
/// With `--tell` its process id, as the lab sees it, is printed first.
fn enter(words: &[&str]) -> Result<i32> {
    let (tell, words) = match words {
        ["--tell", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let [program, arguments @ ..] = words else {
        return Err(LabError::Usage("enter what?".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if std::env::var_os(DENIED).is_some() {
        // For good, and for every program started here: what a container's profile does.
        netwhy_sys::filter::deny_calls(&[netwhy_sys::filter::CONNECT], netwhy_sys::Errno::EACCES)?;
    }
    let mut child = Isolation::new().death_signal(Signal::KILL).spawn(command)?;
    if tell {
        let mut out = std::io::stdout();
        let told = writeln!(out, "pid {}", child.id()).and_then(|()| out.flush());
        told.map_err(LabError::io("tell the process id"))?;
    }
    let status = child.wait().map_err(LabError::io(format!("wait for {program}")))?;
    Ok(status.code().unwrap_or(125))
}

/// Sends a signal to a process, by their numbers, from inside the node.
fn signal(words: &[&str]) -> Result<i32> {
    let number = |word: &str| word.parse().map_err(|_| LabError::Usage(format!("{word} is not a number")));
    let [signal, pid] = words else { return Err(LabError::Usage("signal what to whom?".to_owned())) };
    let pid: u32 = pid.parse().map_err(|_| LabError::Usage(format!("{pid} is not a process id")))?;
    netwhy_sys::process::kill(pid, Signal::new(number(signal)?))?;
    Ok(0)
}
