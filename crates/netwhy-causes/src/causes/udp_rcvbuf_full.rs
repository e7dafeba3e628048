//! # The UDP socket's receive buffer is full
//!
//! ## What you see
//! Requests arrive at the host and stay without an answer; some get through. No error anywhere but a counter.
//!
//! ## What happens
//! The process does not read as fast as datagrams come, or not at all. When the socket's receive buffer is full, the
//! kernel drops the next one.
//!
//! ## How netwhy knows
//! The drop counter of the socket itself (SK_MEMINFO_DROPS) rose in the window, `Udp.RcvbufErrors` with it.
//!
//! ## Look-alikes
//! A stopped process (svc-stopped explains this one). A firewall drop: no socket counter moves. Another socket's drops:
//! `Udp.RcvbufErrors` rises, this socket's counter does not.
//!
//! ## What to do
//! Find why the process does not read; a larger SO_RCVBUF (net.core.rmem_max) only rides out bursts.
//!
//! ## References
//! socket(7) SO_RCVBUF, udp(7); net/ipv4/udp.c (__udp_enqueue_schedule_skb).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "udp-rcvbuf-full",
    title: "the UDP socket's receive buffer is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::EveryFlow,
    needs: &["sockets", "mib", "attempts", "capture", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Udp || !case.serves_here() {
        return Verdict::Silent;
    }
    let counter = if case.flow.dst.is_ipv4() { "Udp.RcvbufErrors" } else { "Udp6RcvbufErrors" };
    let before = case.listeners_before();
    for s in case.listeners() {
        let Some(mem) = &s.mem else { continue };
        let earlier = before.iter().find(|b| b.inode == s.inode).and_then(|b| b.mem);
        let dropped = earlier.map(|e| mem.drops.wrapping_sub(e.drops)).unwrap_or(0);
        let full = mem.rcvbuf > 0 && u64::from(mem.rmem_alloc) * 10 >= u64::from(mem.rcvbuf) * 9;
        if dropped == 0 {
            if full {
                continue;
            }
            if case.grew(counter).is_some_and(|d| d > 0) {
                return Verdict::ruled_out(
                    "this socket dropped nothing; the receive buffer of another one overflowed",
                    case.ev_counter(counter).into_iter().collect(),
                );
            }
            continue;
        }
        let process = service::owner_text(s);
        return Finding::new(
            service::locus(s),
            format!(
                "{process} does not read {} fast enough: its receive buffer holds {} of {} bytes and {dropped} datagrams were dropped in the window",
                s.local_text(),
                mem.rmem_alloc,
                mem.rcvbuf
            ),
        )
        .evidence(
            Evidence::new(
                "socket-drops",
                format!("the socket dropped {dropped} datagrams in the window"),
                "sock_diag SK_MEMINFO_DROPS",
            )
            .value(dropped)
            .window(case.window_us().unwrap_or(0))
            .command(format!("ss -uanpm 'sport = :{}'", s.lport)),
        )
        .maybe(case.ev_counter(counter))
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("find why {process} does not read: its state, its threads, its load")))
        .verify(format!("ss -uanpm 'sport = :{}'", s.lport))
        .proven();
    }
    Verdict::Silent
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::{Socket, Sockets};

    use super::*;
    use crate::testing::*;

    fn server(before: Socket, after: Socket) -> Scene {
        let of = |s| Sockets { sockets: vec![s], ..Sockets::default() };
        let mut scene = Scene::inbound("203.0.113.2", 53);
        scene.flow.proto = Proto::Udp;
        scene.with(of(before)).after(of(after))
    }

    #[test]
    fn drops_of_the_socket_itself_prove_it() {
        let scene = server(udp_socket("0.0.0.0", 53, 200_000, 4), udp_socket("0.0.0.0", 53, 212_000, 9));
        assert!(proven(scene.rose("Udp.RcvbufErrors", 5).judge(&CAUSE)).summary.contains("5 datagrams"));
    }

    #[test]
    fn drops_of_another_socket_rule_it_out() {
        let same = udp_socket("0.0.0.0", 53, 100, 4);
        ruled_out(server(same.clone(), same).rose("Udp.RcvbufErrors", 5).judge(&CAUSE));
    }

    #[test]
    fn a_socket_that_keeps_up_is_innocent() {
        let same = udp_socket("0.0.0.0", 53, 100, 4);
        silent(server(same.clone(), same).rose("Udp.RcvbufErrors", 0).judge(&CAUSE));
    }
}
