//! # The queue of half-open connections is full
//!
//! ## What you see
//! New connections hang and time out while established ones go on. The kernel log may say "Possible SYN flooding".
//!
//! ## What happens
//! The listener remembers each SYN until the handshake is complete. When as many are half open as the listener's backlog
//! allows, and SYN cookies are off, the next SYN is dropped. The half-open ones come from a flood, or from clients that
//! never hear the answer.
//!
//! ## How netwhy knows
//! `TcpExt.TCPReqQFullDrop` rose while the client tried (`ListenDrops` with it), and net.ipv4.tcp_syncookies is 0. With
//! cookies on, `TCPReqQFullDoCookies` rises instead and connections work.
//!
//! ## Look-alikes
//! A full accept queue (accept-queue-full): `ListenOverflows` rises. An answer that cannot be routed: `OutNoRoutes`.
//!
//! ## What to do
//! Switch SYN cookies on; filter a flood upstream; raise the backlog and net.core.somaxconn for real load.
//!
//! ## References
//! tcp(7) tcp_syncookies, tcp_max_syn_backlog; net/ipv4/tcp_input.c (tcp_conn_request, tcp_syn_flood_action).

use netwhy_facts::question::Scenario;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "syn-queue-full",
    title: "the queue of half-open connections is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "sysctls", "mib", "capture", "attempts", "addresses"],
    explains: &[],
    judge,
};

const DROPPED: &str = "TcpExt.TCPReqQFullDrop";
const DROPS: &str = "TcpExt.ListenDrops";
const OVERFLOWS: &str = "TcpExt.ListenOverflows";

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.serves_here() {
        return Verdict::Silent;
    }
    let listeners = case.listeners();
    let Some(s) = listeners.first() else { return Verdict::Silent };
    let dropped = case.grew(DROPPED).unwrap_or(0);
    let drops = case.grew(DROPS).unwrap_or(0);
    let cookies = case.facts.value::<Sysctls>().and_then(|s| s.number("net.ipv4.tcp_syncookies"));
    // Without cookies the last quarter of tcp_max_syn_backlog is kept for known peers; that drop has no counter of its own.
    let quietly = cookies == Some(0) && drops > 0 && case.grew(OVERFLOWS) == Some(0);
    let met = case.seen.known && case.seen.syn_in > 0 && case.seen.syn_acks_out == 0;
    if dropped <= 0 && !quietly {
        if drops > 0 && case.grew(DROPPED) == Some(0) {
            return Verdict::ruled_out(
                "the queue of half-open connections did not overflow: TCPReqQFullDrop did not move",
                case.ev_counter(DROPPED).into_iter().collect(),
            );
        }
        return Verdict::Silent;
    }
    if dropped <= 0 && case.reply.blocker().is_some() {
        return Verdict::Silent; // The answer could not be sent, which counts as a listen drop too.
    }
    let half_open = case.sockets().ok().and_then(|s| s.to_target.get("SYN-RECV").copied());
    let mut finding = Finding::new(
        service::locus(s),
        format!(
            "{} drops new connections because too many are half open and SYN cookies are {}",
            s.local_text(),
            if cookies == Some(0) { "off" } else { "not enough" }
        ),
    )
    .maybe(case.ev_counter(DROPPED))
    .maybe(case.ev_counter(DROPS))
    .maybe(half_open.map(|n| {
        Evidence::new("half-open", format!("{n} connections of the port are half open"), "sock_diag")
            .value(n)
            .command(format!("ss -tn state syn-recv 'sport = :{}' | wc -l", s.lport))
    }))
    .maybe(cookies.map(|v| {
        Evidence::new("syncookies", format!("net.ipv4.tcp_syncookies is {v}"), "/proc/sys")
            .value(v)
            .command("sysctl net.ipv4.tcp_syncookies")
    }))
    .maybe(case.ev_capture());
    if cookies == Some(0) {
        finding = finding.fix(Fix::run(
            "answer with SYN cookies when the queue is full",
            "sysctl -w net.ipv4.tcp_syncookies=1",
            "sysctl -w net.ipv4.tcp_syncookies=0",
        ));
    }
    let process = service::owner_text(s);
    finding
        .fix(Fix::act(format!(
            "find who sends the unfinished SYNs (ss -tn state syn-recv) and filter them; for real load raise the backlog of {process} and net.core.somaxconn"
        )))
        .verify(case.ask_again())
        .proven_if(dropped > 0 && (met || !case.seen.known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn server(cookies: &str) -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 0, 4)])
            .with(Sysctls([("net.ipv4.tcp_syncookies".to_string(), cookies.to_string())].into()))
            .request_in()
            .rose(OVERFLOWS, 0)
    }

    #[test]
    fn the_counter_of_the_full_queue_proves_it() {
        let f = proven(server("0").rose(DROPPED, 2).rose(DROPS, 2).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv4.tcp_syncookies=1");
    }

    #[test]
    fn listen_drops_without_cookies_fit() {
        consistent(server("0").rose(DROPPED, 0).rose(DROPS, 2).judge(&CAUSE));
    }

    #[test]
    fn with_cookies_a_flat_counter_rules_it_out() {
        ruled_out(server("1").rose(DROPPED, 0).rose(DROPS, 2).judge(&CAUSE));
        silent(server("1").rose(DROPPED, 0).rose(DROPS, 0).judge(&CAUSE));
    }

    #[test]
    fn an_answer_that_cannot_be_routed_is_another_cause() {
        use netwhy_walk::{End, Stage};
        let locus = netwhy_facts::Locus::MissingRoute { table: 254, dst: ip(CLIENT4) };
        let scene = server("0")
            .rose(DROPPED, 0)
            .rose(DROPS, 2)
            .reply(&[Stage::Routing], End::Unroutable { locus, error: "ENETUNREACH".into() });
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn an_overflow_of_a_port_that_answers_is_not_proven() {
        consistent(server("0").answer_out().rose(DROPPED, 2).rose(DROPS, 2).judge(&CAUSE));
    }
}
