//! # The accept queue is too short for bursts
//!
//! ## What you see
//! Under bursts of connections some hang for a second or more, or time out; between bursts all is well.
//!
//! ## What happens
//! The process accepts, but the queue between handshake and accept() holds fewer connections than arrive at once. Its
//! limit is the smaller of listen()'s backlog and net.core.somaxconn when listen() was called.
//!
//! ## How netwhy knows
//! `TcpExt.ListenOverflows` rose in the window; the listener's queue was over its limit at one end of the window and had
//! room at the other.
//!
//! ## Look-alikes
//! A process that accepts nothing (accept-queue-full, svc-stopped, fd-limit-process): the queue stays full.
//!
//! ## What to do
//! Raise the backlog in listen(), and net.core.somaxconn where that is the smaller one; restart the service.
//!
//! ## References
//! listen(2), tcp(7); Documentation/networking/ip-sysctl.rst (somaxconn).

use netwhy_facts::question::Scenario;
use netwhy_facts::socket::Socket;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "backlog-too-small",
    title: "the accept queue is too short for bursts",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::EveryFlow,
    needs: &["sockets", "sysctls", "mib", "addresses"],
    explains: &["accept-queue-full"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp
        || !case.serves_here()
        || case.grew("TcpExt.ListenOverflows").unwrap_or(0) <= 0
    {
        return Verdict::Silent;
    }
    let before = case.listeners_before();
    let pair = case.listeners().into_iter().find_map(|after| {
        let before = before.iter().find(|b| b.inode == after.inode)?;
        (service::overflows(before)? != service::overflows(after)?).then_some((*before, after))
    });
    let Some((before, after)) = pair else { return Verdict::Silent };
    let somaxconn = case.facts.value::<Sysctls>().and_then(|s| s.number("net.core.somaxconn"));
    let capped = somaxconn == Some(i64::from(after.wqueue));
    let (locus, which) = if capped {
        let locus = Locus::Sysctl { name: "net.core.somaxconn".into(), value: after.wqueue.to_string() };
        (locus, "net.core.somaxconn when it was opened")
    } else {
        (service::locus(after), "the backlog given to listen()")
    };
    let both = |s: &Socket| format!("{} of {}", s.rqueue, s.wqueue);
    Finding::new(
        locus,
        format!(
            "bursts overflow the accept queue of {}: its limit of {} comes from {which}",
            after.local_text(),
            after.wqueue
        ),
    )
    .evidence(
        Evidence::new(
            "accept-queue",
            format!("{} waited when the window began, {} at its end", both(before), both(after)),
            "sock_diag idiag_rqueue/idiag_wqueue",
        )
        .value(serde_json::json!({"before": before.rqueue, "after": after.rqueue, "limit": after.wqueue}))
        .command(format!("ss -ltn 'sport = :{}'", after.lport)),
    )
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .fix(if capped {
        Fix::run(
            "allow longer queues, then restart the service",
            "sysctl -w net.core.somaxconn=4096",
            format!("sysctl -w net.core.somaxconn={}", after.wqueue),
        )
    } else {
        let process = service::owner_text(after);
        Fix::act(format!("raise the backlog {process} gives to listen(), and restart it"))
    })
    .verify(format!("ss -ltn 'sport = :{}'", after.lport))
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::socket::Sockets;

    use super::*;
    use crate::testing::*;

    fn burst(before: u32, after: u32, limit: u32) -> Scene {
        let at = |n| Sockets { sockets: vec![listener("0.0.0.0", 80, n, limit)], ..Sockets::default() };
        Scene::inbound("203.0.113.2", 80)
            .with(at(before))
            .after(at(after))
            .with(Sysctls([("net.core.somaxconn".to_string(), "128".to_string())].into()))
    }

    #[test]
    fn a_queue_that_overflows_and_drains_proves_it() {
        let f = proven(burst(5, 0, 4).rose("TcpExt.ListenOverflows", 3).judge(&CAUSE));
        assert!(f.summary.contains("listen()"), "{}", f.summary);
        let f = proven(burst(0, 129, 128).rose("TcpExt.ListenOverflows", 3).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Sysctl { .. }));
    }

    #[test]
    fn a_queue_that_stays_full_or_empty_is_another_cause() {
        silent(burst(5, 5, 4).rose("TcpExt.ListenOverflows", 3).judge(&CAUSE));
        silent(burst(0, 0, 4).rose("TcpExt.ListenOverflows", 3).judge(&CAUSE));
        silent(burst(5, 0, 4).rose("TcpExt.ListenOverflows", 0).judge(&CAUSE));
    }
}
