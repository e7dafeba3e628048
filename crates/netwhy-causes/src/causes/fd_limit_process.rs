//! # The listening process has used up its descriptors
//!
//! ## What you see
//! New connections hang, or stand and are never served; the service logs "Too many open files". From outside it looks
//! like a full accept queue.
//!
//! ## What happens
//! accept() needs a descriptor and fails with EMFILE. The process cannot take connections off the queue, which fills up.
//!
//! ## How netwhy knows
//! The process that owns the listener has as many descriptors open as its soft RLIMIT_NOFILE allows, while connections
//! wait in its accept queue.
//!
//! ## Look-alikes
//! A slow or stopped process: descriptors are far below the limit.
//!
//! ## What to do
//! Raise the limit of the running process (prlimit) and in its unit (LimitNOFILE=); look for a leak.
//!
//! ## References
//! accept(2) EMFILE, getrlimit(2), prlimit(1).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Reading, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fd-limit-process",
    title: "the listening process has used up its descriptors",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Process,
    scope: Scope::EveryFlow,
    needs: service::NEEDS,
    explains: &["http-no-answer", "tls-silent", "accept-queue-full", "reuseport-dead-member"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.serves_here() {
        return Verdict::Silent;
    }
    // Whoever has nothing waiting has nothing to fail at.
    let Some(s) = case.listeners().into_iter().max_by_key(|s| s.rqueue).filter(|s| s.rqueue > 0) else {
        return Verdict::Silent;
    };
    let full = service::overflows(s) == Some(true);
    let processes = match case.processes_of(s) {
        Ok(all) => all,
        Err(a) if full => return Verdict::unknown("the descriptors of the listener's process", a),
        Err(_) => return Verdict::Silent,
    };
    // A socket shared by several processes is served as long as one of them can accept.
    let Some(p) = processes.iter().max_by_key(|p| {
        let room = p.nofile_soft.value().zip(p.open_fds.value()).map(|(l, o)| l.saturating_sub(*o));
        room.unwrap_or(u64::MAX)
    }) else {
        return Verdict::Silent;
    };
    let (Reading::Known { value: open, .. }, Reading::Known { value: limit, .. }) =
        (&p.open_fds, &p.nofile_soft)
    else {
        let absence = p.open_fds.absence().or(p.nofile_soft.absence()).filter(|_| full);
        return absence
            .map_or(Verdict::Silent, |a| Verdict::unknown(format!("descriptors of pid {}", p.pid), a));
    };
    let fds = Evidence::new(
        "descriptors",
        format!("{} (pid {}) has {open} descriptors open, its limit is {limit}", p.comm, p.pid),
        "/proc/PID/fd, /proc/PID/limits",
    )
    .value(serde_json::json!({"open": open, "limit": limit}))
    .command(format!("ls /proc/{0}/fd | wc -l; grep 'open files' /proc/{0}/limits", p.pid));
    if open < limit {
        return if full {
            let because = format!("{} (pid {}) is below its descriptor limit", p.comm, p.pid);
            Verdict::ruled_out(because, vec![fds])
        } else {
            Verdict::Silent
        };
    }
    let hard = p.nofile_hard.value().copied().unwrap_or(*limit);
    let raised = (limit.saturating_mul(4)).max(1024);
    Finding::new(
        Locus::Process { pid: p.pid, process: p.comm.clone(), detail: format!("RLIMIT_NOFILE {limit}") },
        format!(
            "{} (pid {}) has used all {limit} descriptors, so accept() fails and connections to {} wait for ever",
            p.comm,
            p.pid,
            s.local_text()
        ),
    )
    .evidence(fds)
    .evidence(service::ev_queue(s))
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .fix(
        Fix::run(
            "raise the limit of the running process",
            format!("prlimit --pid {} --nofile={raised}:{}", p.pid, hard.max(raised)),
            format!("prlimit --pid {} --nofile={limit}:{hard}", p.pid),
        )
        .risk("a leak only fills the larger limit later; set LimitNOFILE= in the unit too"),
    )
    .verify(format!("ss -ltn 'sport = :{}'", s.lport))
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::process::{Process, Processes};

    use super::*;
    use crate::testing::*;

    fn at(open: u64, limit: u64) -> Process {
        let known = |n| Reading::known(n, "test", 1);
        Process { open_fds: known(open), nofile_soft: known(limit), ..process('S') }
    }
    fn server(waiting: u32, p: Process) -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, waiting, 1)])
            .process(p)
            .request_in()
    }

    #[test]
    fn a_process_at_its_limit_with_connections_waiting_is_proven() {
        let f = proven(server(2, at(32, 32)).rose("TcpExt.ListenOverflows", 2).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "prlimit --pid 100 --nofile=1024:4096");
        // The queue need not be full yet.
        proven(server(1, at(32, 32)).judge(&CAUSE));
    }

    #[test]
    fn descriptors_to_spare_rule_it_out() {
        assert!(ruled_out(server(2, at(10, 1024)).judge(&CAUSE)).contains("below"));
    }

    #[test]
    fn a_process_at_its_limit_that_keeps_up_is_innocent() {
        silent(server(0, at(32, 32)).judge(&CAUSE));
    }

    #[test]
    fn one_of_several_processes_with_room_is_enough() {
        let mut other = at(3, 1024);
        other.pid = 101;
        let mut socket = listener("0.0.0.0", 80, 2, 1);
        let owner = |pid| netwhy_facts::socket::Owner { pid, comm: "service".into(), fd: 3 };
        socket.owners = Reading::known(vec![owner(100), owner(101)], "test", 1);
        let scene =
            Scene::inbound("203.0.113.2", 80).sockets(vec![socket]).with(Processes(vec![at(32, 32), other]));
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn processes_that_may_not_be_read_are_unknown() {
        let mut hidden = at(1, 1);
        hidden.open_fds = Reading::denied("CAP_SYS_PTRACE");
        unknown(server(2, hidden).judge(&CAUSE));
        let scene = Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 2, 1)])
            .denied::<Processes>("CAP_SYS_PTRACE");
        unknown(scene.judge(&CAUSE));
    }
}
