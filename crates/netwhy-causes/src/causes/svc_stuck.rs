//! # The process of the service is blocked
//!
//! ## What you see
//! Connections stand and are never served, later ones hang; the process is alive and uses no CPU.
//!
//! ## What happens
//! Every thread of the process waits for something else than connections: in the kernel for a disk or a network file
//! system (state D), or for a lock that nobody releases (futex).
//!
//! ## How netwhy knows
//! Connections wait in the accept queue at both ends of the window, the process used no CPU between them, and /proc shows
//! it in state D, or all its threads in a futex wait. A thread that waits in accept, poll, epoll, select or io_uring
//! excludes it.
//!
//! ## Look-alikes
//! A stopped process (svc-stopped). A descriptor limit (fd-limit-process). A process that is merely slow: it uses CPU.
//!
//! ## What to do
//! Look where it hangs (cat /proc/PID/stack, gdb -p PID), free what it waits for, or restart it.
//!
//! ## References
//! proc(5) stat and wchan, futex(2).

use netwhy_facts::process::{Process, Processes};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "svc-stuck",
    title: "the process of the service is blocked",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Process,
    scope: Scope::EveryFlow,
    needs: service::NEEDS,
    explains: &["http-no-answer", "tls-silent", "accept-queue-full", "reuseport-dead-member"],
    judge,
};

/// What every thread of the process waits for, when it is not for connections.
fn blocked(p: &Process) -> Option<String> {
    // A matter of its control group (svc-stopped).
    if service::frozen(p) {
        return None;
    }
    if p.state == 'D' {
        let place = p.wchan.value().filter(|w| !matches!(w.as_str(), "" | "0"));
        let place = place.map(|w| format!(" in {w}")).unwrap_or_default();
        return Some(format!("is in uninterruptible sleep{place}"));
    }
    let all_locked =
        !p.threads.is_empty() && p.threads.iter().all(|(s, w)| *s == 'S' && w.starts_with("futex"));
    all_locked.then(|| format!("waits for a lock with all {} threads", p.threads.len()))
}

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.serves_here() {
        return Verdict::Silent;
    }
    let before = case.listeners_before();
    for s in case.listeners() {
        if s.rqueue == 0 || !before.iter().any(|b| b.inode == s.inode && b.rqueue > 0) {
            continue;
        }
        let Ok(processes) = case.processes_of(s) else { continue };
        let why: Vec<(&Process, String)> =
            processes.iter().filter_map(|p| blocked(p).map(|w| (*p, w))).collect();
        let Some((p, what)) = why.first().filter(|_| why.len() == processes.len()) else { continue };
        let earlier = case.facts.get::<Processes>().value().and_then(|all| all.find(p.pid));
        let idle = earlier.is_some_and(|e| e.cpu_ticks == p.cpu_ticks && blocked(e).is_some());
        return Finding::new(
            Locus::Process { pid: p.pid, process: p.comm.clone(), detail: what.clone() },
            format!(
                "{} (pid {}), which serves {}, {what}, so {} connections wait",
                p.comm,
                p.pid,
                s.local_text(),
                s.rqueue
            ),
        )
        .evidence(service::ev_process(p))
        .evidence(
            Evidence::new(
                "threads",
                p.threads.iter().map(|(s, w)| format!("{s} {w}")).collect::<Vec<_>>().join(", "),
                "/proc/PID/task/TID/wchan",
            )
            .command(format!("ps -L -o tid,stat,wchan:30 -p {}", p.pid)),
        )
        .evidence(service::ev_queue(s))
        .maybe(case.ev_attempt())
        .fix(Fix::act(format!("see where it hangs (cat /proc/{}/stack), or restart {}", p.pid, p.comm)))
        .verify(case.ask_again())
        .proven_if(idle);
    }
    Verdict::Silent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn server(waiting: u32, p: Process) -> Scene {
        Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, waiting, 4)]).process(p)
    }
    fn locked() -> Process {
        Process { threads: vec![('S', "futex_wait_queue".into()); 2], ..process('S') }
    }

    #[test]
    fn uninterruptible_sleep_and_a_lock_that_all_wait_for_are_proven() {
        assert!(proven(server(2, process('D')).judge(&CAUSE)).summary.contains("uninterruptible"));
        assert!(proven(server(2, locked()).judge(&CAUSE)).summary.contains("lock"));
    }

    #[test]
    fn one_thread_that_waits_for_connections_is_enough() {
        let mut p = locked();
        p.threads.push(('S', "do_epoll_wait".into()));
        silent(server(2, p).judge(&CAUSE));
        silent(server(2, process('S')).judge(&CAUSE));
    }

    #[test]
    fn with_nobody_waiting_nothing_is_stuck() {
        silent(server(0, process('D')).judge(&CAUSE));
    }

    #[test]
    fn a_process_that_ran_meanwhile_is_not_proven() {
        let mut later = locked();
        later.cpu_ticks += 3;
        let scene = Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 2, 4)])
            .with(Processes(vec![locked()]))
            .after(Processes(vec![later]));
        consistent(scene.judge(&CAUSE));
    }
}
