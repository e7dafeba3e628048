//! # The listener's accept queue is full
//!
//! ## What you see
//! Some connections work, new ones hang until they time out. No reset, no ICMP error.
//!
//! ## What happens
//! The process does not call accept() fast enough (or at all). When the queue holds more than the backlog, the kernel
//! silently drops the handshake's SYN or final ACK (with tcp_abort_on_overflow it resets).
//!
//! ## How netwhy knows
//! The listener's queue is longer than its limit (sock_diag), and `TcpExt.ListenOverflows` rose together with
//! `ListenDrops` while the client tried. Reason events show nothing for this drop on any kernel.
//!
//! ## Look-alikes
//! `ListenDrops` alone: the answer could not be routed (reply-route-missing) or an ICMP error hit the SYN-ACK. A full SYN
//! queue (syn-queue-full) moves `TCPReqQFull*`. A firewall drop moves none of them.
//!
//! ## What to do
//! Find why accept() stalls: descriptor limit (fd-limit-process), a stopped process (svc-stopped), a blocked one
//! (svc-stuck). Only when it overflows in bursts (backlog-too-small), raise the backlog in listen() and
//! net.core.somaxconn.
//!
//! ## References
//! listen(2); net/ipv4/tcp_ipv4.c (tcp_v4_syn_recv_sock), include/net/sock.h (sk_acceptq_is_full: strictly greater).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Absence, Proto};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "accept-queue-full",
    title: "the listener's accept queue is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: service::NEEDS,
    explains: &["http-no-answer", "tls-silent"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.serves_here() {
        return Verdict::Silent;
    }
    if let Err(a) = case.sockets() {
        return Verdict::unknown("the accept queue", a);
    }
    let listeners = case.listeners();
    let Some(s) = listeners.iter().copied().max_by_key(|s| s.rqueue.saturating_sub(s.wqueue)) else {
        return Verdict::Silent;
    };
    let grew = case.grew("TcpExt.ListenOverflows").unwrap_or(0) > 0;
    let Some(over) = service::overflows(s) else {
        let why = Absence::Unsupported("/proc/net/tcp does not tell a listener's limit".into());
        return if grew { Verdict::unknown("the accept queue", why) } else { Verdict::Silent };
    };
    if !over && !grew {
        return Verdict::ruled_out(
            "the accept queue has room and ListenOverflows did not move",
            [Some(service::ev_queue(s)), case.ev_counter("TcpExt.ListenOverflows")]
                .into_iter()
                .flatten()
                .collect(),
        );
    }
    let was_over = case.listeners_before().iter().any(|b| service::overflows(b) == Some(true));
    if !over && !was_over {
        // Some listener of this namespace overflowed in the window, and this one has room before and after.
        return Verdict::Silent;
    }
    let process = service::owner_text(s);
    let mut finding = Finding::new(
        service::locus(s),
        format!(
            "the accept queue of {} is full ({} waiting, limit {}): {process} does not accept connections",
            s.local_text(),
            s.rqueue,
            s.wqueue
        ),
    )
    .evidence(service::ev_queue(s))
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .maybe(case.ev_counter("TcpExt.ListenDrops"))
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture());
    if let Ok(processes) = case.processes_of(s) {
        for p in processes.iter().take(3) {
            finding = finding.evidence(service::ev_process(p));
        }
    }
    let look = match service::owner(s) {
        Some(o) => format!(
            "find why {process} does not call accept(): cat /proc/{}/stack, its logs, its threads",
            o.pid
        ),
        None => "find why the process does not call accept(): its logs, its threads".to_string(),
    };
    finding
        .fix(Fix::act(look))
        .fix(Fix::act(
            "only if the queue overflows in bursts: raise the backlog in listen() and net.core.somaxconn",
        ))
        .verify(format!("ss -ltn 'sport = :{}'", s.lport))
        .proven_if(grew)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::Sockets;

    use super::*;
    use crate::testing::*;

    fn server(waiting: u32, limit: u32) -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, waiting, limit)])
            .request_in()
            .request_in()
    }

    #[test]
    fn a_queue_over_its_limit_and_the_counter_prove_it() {
        let f = proven(server(2, 1).rose("TcpExt.ListenOverflows", 2).process(process('S')).judge(&CAUSE));
        assert!(f.summary.contains("2 waiting, limit 1"), "{}", f.summary);
        assert!(f.evidence.iter().any(|e| e.id == "process-state"));
    }

    #[test]
    fn a_queue_at_its_limit_still_has_room_for_one() {
        assert!(ruled_out(server(1, 1).rose("TcpExt.ListenOverflows", 0).judge(&CAUSE)).contains("room"));
    }

    #[test]
    fn listen_drops_alone_rule_it_out() {
        let scene = server(0, 128).rose("TcpExt.ListenDrops", 2).rose("TcpExt.ListenOverflows", 0);
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn a_full_queue_nobody_met_is_consistent() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 5, 4)])
            .rose("TcpExt.ListenOverflows", 0);
        consistent(scene.judge(&CAUSE));
    }

    #[test]
    fn an_overflow_of_another_listener_accuses_nobody() {
        silent(server(0, 128).rose("TcpExt.ListenOverflows", 3).judge(&CAUSE));
        let other = listener("0.0.0.0", 81, 5, 4);
        silent(
            Scene::inbound("203.0.113.2", 80)
                .sockets(vec![listener("0.0.0.0", 80, 0, 128), other])
                .rose("TcpExt.ListenOverflows", 3)
                .judge(&CAUSE),
        );
    }

    #[test]
    fn an_untold_limit_and_refused_sockets_are_unknown() {
        unknown(server(3, u32::MAX).rose("TcpExt.ListenOverflows", 1).judge(&CAUSE));
        unknown(Scene::inbound("203.0.113.2", 80).denied::<Sockets>("CAP_NET_ADMIN").judge(&CAUSE));
    }

    #[test]
    fn from_afar_a_queue_cannot_be_seen() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).request_out().judge(&CAUSE));
    }
}
