//! # The service closes connections right after accepting them
//!
//! ## What you see
//! connect() succeeds, and the first read or write fails with ECONNRESET or EPIPE, or reads end of file.
//!
//! ## What happens
//! The handshake is complete, and the far side ends the connection before it has said anything: the process closes it (an
//! access list such as TCP wrappers, a limit on connections, a crash, a proxy without back end), with RST when SO_LINGER
//! is zero or data was left unread.
//!
//! ## How netwhy knows
//! The attempt was connected and ended by the peer within its watch, without a byte. On the server the capture shows the
//! complete handshake and then this host's own FIN or RST, with no data before it, and a listener that accepts.
//!
//! ## Look-alikes
//! Nothing listens (svc-not-listening): the RST answers the SYN, connect() itself fails. A rule with a reset: the
//! handshake never completes. A service that speaks TLS or waits for a question: the connection stays open.
//!
//! ## What to do
//! Look into the service: its log, its access list, its limits, its back end.
//!
//! ## References
//! tcp(7), socket(7) SO_LINGER; net/ipv4/tcp.c (__tcp_close), RFC 2525 section 2.17.

use netwhy_facts::attempt::Outcome;
use netwhy_facts::capture::FlowCapture;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "reset-after-accept",
    title: "the service closes connections right after accepting them",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Application,
    scope: Scope::EveryFlow,
    needs: &["sockets", "mib", "capture", "attempts", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp {
        return Verdict::Silent;
    }
    match case.question.role {
        Role::Client => as_client(case),
        _ => as_server(case),
    }
}

fn as_client(case: &Case<'_>) -> Verdict {
    let Some(Outcome::ClosedEarly { reset, after_us, bytes: 0 }) = case.attempt().map(|a| &a.outcome) else {
        return Verdict::Silent;
    };
    let how = if *reset { "resets" } else { "closes" };
    let after = format!("after {:.1} ms, without a byte", *after_us as f64 / 1000.0);
    let here = case.serves_here().then(|| case.listeners().first().copied()).flatten();
    let summary = match here {
        Some(s) => format!(
            "{} accepts connections to {} and {how} them {after}",
            service::owner_text(s),
            case.flow.target()
        ),
        None => format!("{} accepts the connection and {how} it {after}", case.flow.target()),
    };
    let locus = here.map(service::locus).unwrap_or(Locus::RemoteEndpoint {
        address: case.flow.dst,
        port: case.flow.dport,
        proto: Proto::Tcp,
    });
    let finding = Finding::new(locus, summary).maybe(case.ev_attempt()).maybe(case.ev_capture());
    match here {
        Some(s) => finding.fix(look(&service::owner_text(s))).verify(case.ask_again()).proven(),
        None => finding.fix(service::ask_there(case.flow)).verify(case.ask_again()).outside().proven(),
    }
}

fn look(process: &str) -> Fix {
    Fix::act(format!("look into {process}: its log, its access list and limits, its back end"))
}

/// Connections that the capture saw come up and end by this host's hand before it sent anything: by RST, by FIN.
fn ended_here(case: &Case<'_>) -> (u32, u32) {
    let Some(capture) = case.facts.latest::<FlowCapture>().value() else { return (0, 0) };
    let (dst, port) = case.served_end();
    let (mut resets, mut fins) = (0, 0);
    let mut clients: Vec<(std::net::IpAddr, u16)> =
        capture.packets.iter().filter(|p| p.is_syn_ack() && p.out).map(|p| (p.dst, p.dport)).collect();
    clients.sort_unstable();
    clients.dedup();
    for (addr, sport) in clients {
        if case.question.from.is_some_and(|from| from != addr) {
            continue;
        }
        let (mut up, mut spoke) = (false, false);
        for p in capture.packets.iter().filter(|p| p.proto == 6 && p.icmp.is_none()) {
            let from_client = (p.src, p.sport) == (addr, sport) && p.dport == port;
            let from_here = (p.dst, p.dport) == (addr, sport) && p.sport == port && (p.src == dst || p.out);
            if from_client {
                up |= p.tcp_flags & 0x16 == 0x10;
                // The client ends it: what this host does then is an answer.
                if p.tcp_flags & 0x05 != 0 {
                    break;
                }
            } else if from_here && up {
                // PSH marks data; Linux sets it on the last segment of every write.
                spoke |= p.tcp_flags & 0x08 != 0;
                if p.is_rst() && !spoke {
                    resets += 1;
                }
                if p.tcp_flags & 0x01 != 0 && !spoke {
                    fins += 1;
                }
                if p.tcp_flags & 0x05 != 0 {
                    break;
                }
            }
        }
    }
    (resets, fins)
}

fn as_server(case: &Case<'_>) -> Verdict {
    let listeners = case.listeners();
    let Some(s) = listeners.first() else { return Verdict::Silent };
    let (resets, fins) = ended_here(case);
    if resets + fins == 0 {
        return Verdict::Silent;
    }
    let (n, how) = if resets >= fins { (resets, "resets") } else { (fins, "closes") };
    let process = service::owner_text(s);
    Finding::new(
        service::locus(s),
        format!(
            "{process} accepts connections to {} and {how} them before it has sent anything",
            case.flow.target()
        ),
    )
    .evidence(
        Evidence::new(
            "early-end",
            format!("{n} connections came up and were ended by this host with no data before it"),
            "AF_PACKET",
        )
        .value(serde_json::json!({"resets": resets, "fins": fins}))
        .command(format!("tcpdump -nni any 'port {} and tcp[tcpflags] & (tcp-rst|tcp-fin) != 0'", s.lport)),
    )
    .maybe(case.ev_counter("Tcp.OutRsts").filter(|_| resets > 0))
    .maybe(case.ev_capture())
    .fix(look(&process))
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn closed(scene: Scene, reset: bool) -> Scene {
        scene.closed_early(reset, 300)
    }
    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 80)
            .sockets(vec![listener("0.0.0.0", 80, 0, 4)])
            .request_in()
            .answer_out()
            .tcp_in(0x10)
    }

    #[test]
    fn a_client_sees_it_and_says_outside() {
        let f = proven(closed(Scene::client("203.0.113.2", 80), true).judge(&CAUSE));
        assert!(f.outside && f.summary.contains("resets"), "{}", f.summary);
        assert!(
            proven(closed(Scene::client("203.0.113.2", 80), false).judge(&CAUSE)).summary.contains("closes")
        );
    }

    #[test]
    fn on_the_own_host_the_process_is_named() {
        let scene = Scene::client("198.51.100.7", 80).sockets(vec![listener("0.0.0.0", 80, 0, 4)]);
        let f = proven(closed(scene, true).judge(&CAUSE));
        assert!(!f.outside && f.summary.contains("service (pid 100)"));
    }

    #[test]
    fn the_server_sees_its_own_reset_after_the_handshake() {
        assert!(proven(server().reset_out().judge(&CAUSE)).summary.contains("resets"));
        assert!(proven(server().tcp_out(0x11).judge(&CAUSE)).summary.contains("closes"));
    }

    #[test]
    fn a_reset_to_a_syn_or_after_data_or_after_the_clients_end_is_innocent() {
        let listening = || Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, 0, 4)]);
        silent(listening().request_in().reset_out().judge(&CAUSE));
        silent(server().tcp_out(0x18).reset_out().judge(&CAUSE));
        silent(server().tcp_in(0x11).tcp_out(0x11).judge(&CAUSE));
        silent(server().judge(&CAUSE));
    }
}
