//! # The listener's accept queue is full
//!
//! ## What you see
//! Some connections work, new ones hang until they time out. No reset, no ICMP error.
//!
//! ## What happens
//! The process does not call accept() fast enough (or at all). When the queue holds more than the backlog, the kernel
//! silently drops the handshake's SYN or final ACK.
//!
//! ## How netwhy knows
//! The listener's queue is longer than its limit now (sock_diag), and `TcpExt.ListenOverflows` rose together with
//! `ListenDrops` while the client tried. Reason events show nothing for this drop on any kernel.
//!
//! ## Look-alikes
//! `ListenDrops` alone: the answer could not be routed (reply-route-missing) or an ICMP error hit the SYN-ACK. A full SYN
//! queue (syn-queue-full) moves `TCPReqQFull*`. A firewall drop moves none of them.
//!
//! ## What to do
//! Find why accept() stalls: descriptor limit (fd-limit-process), a stopped process, a blocked thread. Only when it
//! overflows in bursts, raise the backlog in listen() and net.core.somaxconn.
//!
//! ## References
//! listen(2); net/ipv4/tcp_ipv4.c (tcp_v4_syn_recv_sock), include/net/sock.h (sk_acceptq_is_full: strictly greater).

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
    id: "accept-queue-full",
    title: "the listener's accept queue is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "mib", "capture", "attempts", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !(case.question.role == Role::Inbound || case.target_is_local()) {
        return Verdict::Silent;
    }
    let End::Delivered { locus: Locus::Socket { inode, .. } } = &case.forward.end else {
        return Verdict::Silent;
    };
    let sockets = match case.facts.latest::<Sockets>() {
        Reading::Known { value, .. } => value,
        absent => {
            return absent.absence().map_or(Verdict::Silent, |a| Verdict::unknown("the accept queue", a));
        }
    };
    let Some(s) = sockets.sockets.iter().find(|s| s.inode == *inode && s.state == "LISTEN") else {
        return Verdict::Silent;
    };
    let grew = case.grew("TcpExt.ListenOverflows");
    let queue = Evidence::new(
        "accept-queue",
        format!("{} connections wait for accept(), the limit is {}", s.rqueue, s.wqueue),
        "sock_diag idiag_rqueue/idiag_wqueue",
    )
    .value(serde_json::json!({"waiting": s.rqueue, "limit": s.wqueue}))
    .command(format!("ss -ltnp 'sport = :{}'", s.lport));
    if s.rqueue <= s.wqueue {
        if case.grew("TcpExt.ListenDrops").is_some_and(|d| d > 0) {
            return Verdict::ruled_out(
                "the accept queue has room and ListenOverflows did not move",
                [Some(queue), case.ev_counter("TcpExt.ListenOverflows")].into_iter().flatten().collect(),
            );
        }
        return Verdict::Silent;
    }
    let owner = s.owners.value().and_then(|o| o.first());
    let process =
        owner.map(|o| format!("{} (pid {})", o.comm, o.pid)).unwrap_or_else(|| "the process".into());
    Finding::new(
        Locus::Socket {
            proto: Proto::Tcp,
            local: s.local_text(),
            remote: None,
            inode: s.inode,
            pid: owner.map(|o| o.pid),
            process: owner.map(|o| o.comm.clone()),
        },
        format!(
            "the accept queue of {} is full ({} waiting, limit {}): {process} does not accept connections",
            s.local_text(),
            s.rqueue,
            s.wqueue
        ),
    )
    .evidence(queue)
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .maybe(case.ev_counter("TcpExt.ListenDrops"))
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "find why {process} does not call accept(): cat /proc/{}/stack, its logs, its threads",
        owner.map_or(0, |o| o.pid)
    )))
    .fix(Fix::act(
        "only if the queue overflows in bursts: raise the backlog in listen() and net.core.somaxconn",
    ))
    .verify(format!("ss -ltn 'sport = :{}'", s.lport))
    .proven_if(grew.is_some_and(|d| d > 0))
}
