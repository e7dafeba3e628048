//! # The listening process has used up its descriptors
//!
//! ## What you see
//! New connections hang; the service logs "Too many open files". From outside it looks like a full accept queue.
//!
//! ## What happens
//! accept() needs a descriptor and fails with EMFILE. The process cannot take connections off the queue, which fills up.
//!
//! ## How netwhy knows
//! The process that owns the listener has as many descriptors open as its soft RLIMIT_NOFILE allows, while its accept
//! queue is over its limit.
//!
//! ## Look-alikes
//! A slow or stopped process: descriptors are far below the limit.
//!
//! ## What to do
//! Raise the limit of the running process (prlimit) and in its unit (LimitNOFILE=); look for a leak.
//!
//! ## References
//! accept(2) EMFILE, getrlimit(2), prlimit(1).

use netwhy_facts::process::Processes;
use netwhy_facts::question::Scenario;
use netwhy_facts::socket::Sockets;
use netwhy_facts::{Locus, Proto, Reading, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fd-limit-process",
    title: "the listening process has used up its descriptors",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Process,
    scope: Scope::FailedFlow,
    needs: &["sockets", "processes", "addresses"],
    explains: &["accept-queue-full"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !(case.question.role == Role::Inbound || case.target_is_local()) {
        return Verdict::Silent;
    }
    let End::Delivered { locus: Locus::Socket { inode, .. } } = &case.forward.end else {
        return Verdict::Silent;
    };
    let Some(s) = case
        .facts
        .latest::<Sockets>()
        .value()
        .and_then(|all| all.sockets.iter().find(|s| s.inode == *inode && s.state == "LISTEN"))
    else {
        return Verdict::Silent;
    };
    if s.rqueue <= s.wqueue {
        return Verdict::Silent;
    }
    let Some(owner) = s.owners.value().and_then(|o| o.first()) else {
        return s
            .owners
            .absence()
            .map_or(Verdict::Silent, |a| Verdict::unknown("the descriptors of the listener's process", a));
    };
    let Some(p) = case.facts.latest::<Processes>().value().and_then(|all| all.find(owner.pid)) else {
        return Verdict::Silent;
    };
    let (Reading::Known { value: open, .. }, Reading::Known { value: limit, .. }) =
        (&p.open_fds, &p.nofile_soft)
    else {
        let absence = p.open_fds.absence().or(p.nofile_soft.absence());
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
        return Verdict::ruled_out(
            format!("{} (pid {}) is below its descriptor limit", p.comm, p.pid),
            vec![fds],
        );
    }
    let hard = p.nofile_hard.value().copied().unwrap_or(*limit);
    let raised = (limit.saturating_mul(4)).max(1024);
    Finding::new(
        Locus::Process { pid: p.pid, process: p.comm.clone(), detail: format!("RLIMIT_NOFILE {limit}") },
        format!(
            "{} (pid {}) has used all {limit} descriptors, so accept() fails and its queue stays full",
            p.comm, p.pid
        ),
    )
    .evidence(fds)
    .evidence(
        Evidence::new(
            "accept-queue",
            format!("{} connections wait for accept(), the limit is {}", s.rqueue, s.wqueue),
            "sock_diag idiag_rqueue/idiag_wqueue",
        )
        .value(s.rqueue)
        .command(format!("ss -ltnp 'sport = :{}'", s.lport)),
    )
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
