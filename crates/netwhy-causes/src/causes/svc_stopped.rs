//! # The process of the service is stopped
//!
//! ## What you see
//! Connections stand, because the kernel completes the handshake, and then nothing answers; later ones hang when the
//! accept queue is full. UDP requests get no answer.
//!
//! ## What happens
//! Every process that holds the socket is stopped by a signal (SIGSTOP, SIGTSTP, a full terminal), by a debugger, or
//! frozen with its control group (a paused container).
//! Its queue fills and nobody empties it.
//!
//! ## How netwhy knows
//! /proc/PID/stat says T or t for each of them, or /proc/PID/wchan that they wait in the freezer, and connections or datagrams wait in the queue.
//!
//! ## Look-alikes
//! A process at its descriptor limit (fd-limit-process), or blocked in the kernel or on a lock (svc-stuck): it is not in
//! state T.
//!
//! ## What to do
//! Let it go on: kill -CONT, or detach the debugger.
//!
//! ## References
//! proc(5) stat, signal(7) SIGSTOP and SIGCONT, ptrace(2).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "svc-stopped",
    title: "the process of the service is stopped",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Process,
    scope: Scope::EveryFlow,
    needs: service::NEEDS,
    explains: &[
        "http-no-answer",
        "tls-silent",
        "accept-queue-full",
        "udp-rcvbuf-full",
        "reuseport-dead-member",
        "fd-limit-process",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto == Proto::Icmp || !case.serves_here() {
        return Verdict::Silent;
    }
    let mut verdicts = Vec::new();
    for s in case.listeners() {
        let processes = match case.processes_of(s) {
            Ok(all) if !all.is_empty() => all,
            Ok(_) => continue,
            Err(a) if s.rqueue > 0 => {
                verdicts.push(Verdict::unknown("whether the service's process is stopped", a));
                continue;
            }
            Err(_) => continue,
        };
        if !processes.iter().all(|p| matches!(p.state, 'T' | 't') || service::frozen(p)) {
            continue;
        }
        let Some(p) = processes.first() else { continue };
        let what = if s.proto == Proto::Udp { "bytes" } else { "connections" };
        let mut finding = Finding::new(
            Locus::Process { pid: p.pid, process: p.comm.clone(), detail: format!("state {}", p.state) },
            format!(
                "{} (pid {}), which serves {}, is {}: {} {what} wait and nobody takes them",
                p.comm,
                p.pid,
                s.local_text(),
                if service::frozen(p) {
                    "frozen in its control group"
                } else {
                    service::state_words(p.state)
                },
                s.rqueue
            ),
        );
        for p in processes.iter().take(4) {
            finding = finding.evidence(service::ev_process(p));
        }
        if s.proto == Proto::Tcp {
            finding = finding.evidence(service::ev_queue(s)).maybe(case.ev_counter("TcpExt.ListenOverflows"));
        } else {
            finding = finding.evidence(
                Evidence::new("receive-queue", format!("{} bytes wait to be read", s.rqueue), "sock_diag")
                    .value(s.rqueue)
                    .command(service::ss_command(s.proto, s.lport)),
            );
        }
        let pids: Vec<String> = processes.iter().map(|p| p.pid.to_string()).collect();
        let pids = pids.join(" ");
        finding = if service::frozen(p) {
            finding.fix(thaw(p))
        } else if processes.iter().any(|p| p.state == 't') {
            finding.fix(Fix::act(format!(
                "detach the debugger or tracer: grep TracerPid /proc/{}/status",
                p.pid
            )))
        } else {
            finding.fix(Fix::run(
                "let the process go on",
                format!("kill -CONT {pids}"),
                format!("kill -STOP {pids}"),
            ))
        };
        verdicts.push(
            finding
                .maybe(case.ev_attempt())
                .maybe(case.ev_capture())
                .verify(case.ask_again())
                .proven_if(s.rqueue > 0),
        );
    }
    Verdict::several(verdicts)
}

/// How to let a frozen control group go on.
fn thaw(p: &netwhy_facts::process::Process) -> Fix {
    match p.cgroup.value().filter(|path| path.starts_with('/')) {
        Some(path) if p.wchan.value().is_some_and(|w| w == "do_freezer_trap") => {
            let file = quote(&format!("/sys/fs/cgroup{}/cgroup.freeze", path.trim_end_matches('/')));
            Fix::run(
                "let the control group go on (docker unpause, or whoever froze it)",
                format!("echo 0 > {file}"),
                format!("echo 1 > {file}"),
            )
        }
        _ => {
            Fix::act(format!("thaw the control group of pid {} (docker unpause, or whoever froze it)", p.pid))
        }
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::process::Processes;

    use super::*;
    use crate::testing::*;

    fn server(waiting: u32, state: char) -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, waiting, 4)])
            .process(process(state))
            .request_in()
    }

    #[test]
    fn a_stopped_process_with_connections_waiting_is_proven() {
        let f = proven(server(1, 'T').judge(&CAUSE));
        assert_eq!((f.fix[0].command.as_str(), f.fix[0].undo.as_str()), ("kill -CONT 100", "kill -STOP 100"));
        assert!(proven(server(1, 't').judge(&CAUSE)).fix[0].command.is_empty());
    }

    #[test]
    fn a_client_of_the_own_host_sees_it_although_connect_succeeds() {
        let scene = Scene::client("198.51.100.7", 80)
            .sockets(vec![listener("198.51.100.7", 80, 1, 4)])
            .process(process('T'));
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn datagrams_wait_too() {
        let mut scene = Scene::inbound("203.0.113.2", 53);
        scene.flow.proto = Proto::Udp;
        let scene = scene.sockets(vec![udp_socket("0.0.0.0", 53, 2304, 0)]).process(process('T'));
        assert!(proven(scene.judge(&CAUSE)).summary.contains("2304 bytes"));
    }

    #[test]
    fn with_nothing_waiting_it_is_only_consistent() {
        consistent(server(0, 'T').judge(&CAUSE));
    }

    #[test]
    fn a_process_that_sleeps_or_one_of_several_that_runs_is_innocent() {
        silent(server(1, 'S').judge(&CAUSE));
        let mut other = process('S');
        other.pid = 101;
        let mut socket = listener("0.0.0.0", 80, 1, 4);
        let owner = |pid| netwhy_facts::socket::Owner { pid, comm: "service".into(), fd: 3 };
        socket.owners = netwhy_facts::Reading::known(vec![owner(100), owner(101)], "test", 1);
        let scene = Scene::inbound("203.0.113.2", 80)
            .sockets(vec![socket])
            .with(Processes(vec![process('T'), other]));
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_process_that_may_not_be_read_is_unknown() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 1, 4)])
            .denied::<Processes>("CAP_SYS_PTRACE");
        unknown(scene.judge(&CAUSE));
    }

    #[test]
    fn a_frozen_control_group_is_stopped_too() {
        let mut p = process('S');
        p.wchan = netwhy_facts::Reading::known("do_freezer_trap".into(), "test", 1);
        p.cgroup = netwhy_facts::Reading::known("/system.slice/web.scope".into(), "test", 1);
        let scene = Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, 2, 4)]).process(p);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.summary.contains("frozen in its control group"), "{}", f.summary);
        assert_eq!(f.fix[0].command, "echo 0 > /sys/fs/cgroup/system.slice/web.scope/cgroup.freeze");
    }
}
