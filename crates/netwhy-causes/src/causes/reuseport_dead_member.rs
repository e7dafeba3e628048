//! # One of several processes that share the port does not accept
//!
//! ## What you see
//! Some connections work, others hang, and it depends on the client's source port: the same one fails every time.
//!
//! ## What happens
//! Several sockets listen on the same address and port (SO_REUSEPORT). The kernel picks one by a hash of the connection's
//! addresses and ports. One member's process does not accept, and its share of the connections is lost.
//!
//! ## How netwhy knows
//! sock_diag lists several listeners with the same address; the queue of one is over its limit while another's has room,
//! and `TcpExt.ListenOverflows` rose.
//!
//! ## Look-alikes
//! A single listener with a full queue (accept-queue-full). One bad path or back end (one-bad-path): nothing on this host.
//!
//! ## What to do
//! Restart the process of the full socket, or have it closed: the kernel then spreads the connections over the others.
//!
//! ## References
//! socket(7) SO_REUSEPORT; net/core/sock_reuseport.c (reuseport_select_sock).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "reuseport-dead-member",
    title: "one of several processes that share the port does not accept",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::EveryFlow,
    needs: &["sockets", "mib", "attempts", "capture", "addresses"],
    explains: &["accept-queue-full"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.serves_here() {
        return Verdict::Silent;
    }
    let all = case.listeners();
    let full: Vec<_> = all.iter().copied().filter(|s| service::overflows(s) == Some(true)).collect();
    let room = all.len() - full.len();
    let (Some(bad), true) = (full.first(), room > 0) else { return Verdict::Silent };
    let grew = case.grew("TcpExt.ListenOverflows").is_some_and(|d| d > 0);
    let lines: Vec<String> =
        all.iter().map(|s| format!("{}: {} of {}", service::owner_text(s), s.rqueue, s.wqueue)).collect();
    Finding::new(
        service::locus(bad),
        format!(
            "{} of {} sockets that share {} do not accept: every connection the kernel gives to {} is lost",
            full.len(),
            all.len(),
            bad.local_text(),
            service::owner_text(bad)
        ),
    )
    .evidence(
        Evidence::new("reuseport-group", lines.join("; "), "sock_diag idiag_rqueue/idiag_wqueue")
            .value(serde_json::json!({"members": all.len(), "full": full.len()}))
            .command(format!("ss -ltnp 'sport = :{}'", bad.lport)),
    )
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("restart {}, or have it close its socket", service::owner_text(bad))))
    .verify(format!("ss -ltnp 'sport = :{}'", bad.lport))
    .proven_if(grew)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::Socket;

    use super::*;
    use crate::testing::*;

    fn pair(first: u32, second: u32) -> Scene {
        let other = Socket { inode: 2, cookie: 2, ..listener("0.0.0.0", 80, second, 4) };
        Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, first, 4), other])
    }

    #[test]
    fn one_full_queue_beside_one_with_room_is_proven() {
        let f = proven(pair(0, 5).rose("TcpExt.ListenOverflows", 1).judge(&CAUSE));
        assert!(matches!(f.locus, netwhy_facts::Locus::Socket { inode: 2, .. }));
        consistent(pair(0, 5).judge(&CAUSE));
    }

    #[test]
    fn all_full_all_empty_or_a_single_one_is_another_matter() {
        silent(pair(5, 5).rose("TcpExt.ListenOverflows", 1).judge(&CAUSE));
        silent(pair(0, 1).rose("TcpExt.ListenOverflows", 1).judge(&CAUSE));
        let single = Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, 5, 4)]);
        silent(single.rose("TcpExt.ListenOverflows", 1).judge(&CAUSE));
    }
}
