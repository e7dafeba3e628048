//! # The connection meets its own predecessor in TIME-WAIT
//!
//! ## What you see
//! Now and then a connection hangs for a second or fails; it depends on the source port. Common behind NAT with few ports.
//!
//! ## What happens
//! The client reuses addresses and ports of a connection the server still keeps in TIME-WAIT. Unless sequence numbers or
//! timestamps show the SYN to be newer, the server answers with an ACK of the old connection, or drops it.
//!
//! ## How netwhy knows
//! The SYN was answered by an ACK without SYN, or by nothing, while the server's TIME-WAIT counters
//! (`TcpExt.TCPACKSkippedTimeWait`, `TcpExt.PAWSTimewait`) rose.
//!
//! ## Look-alikes
//! A silent drop on the way (path-or-remote-drop): nothing comes back for any source port.
//!
//! ## What to do
//! Switch timestamps on at both ends, widen the client's (the NAT's) port range.
//!
//! ## References
//! RFC 6191, RFC 9293 section 3.6.1; net/ipv4/tcp_minisocks.c (tcp_timewait_state_process).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tw-collision",
    title: "the connection meets its own predecessor in TIME-WAIT",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

const COUNTERS: [&str; 2] = ["TcpExt.TCPACKSkippedTimeWait", "TcpExt.PAWSTimewait"];

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp || !case.seen.known {
        return Verdict::Silent;
    }
    let s = &case.seen;
    let (syns, acks, syn_acks, remote) = match case.question.role {
        Role::Client if !case.target_is_local() => (s.syn_out, s.answers_in, s.syn_acks_in, true),
        Role::Client => return Verdict::Silent,
        _ => (s.syn_in, s.answers_out, s.syn_acks_out, false),
    };
    if syns == 0 || syn_acks > 0 {
        return Verdict::Silent;
    }
    let grew = COUNTERS.into_iter().find(|c| case.grew(c).is_some_and(|d| d > 0)).filter(|_| !remote);
    // Answers that are neither SYN-ACK nor RST belong to another life of the same ports.
    if acks == 0 && grew.is_none() {
        return Verdict::Silent;
    }
    let target = case.flow.target();
    let finding = Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Tcp },
        format!("{target} answered the SYN as part of an older connection with the same ports, which is in TIME-WAIT there"),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "ack-for-syn",
            format!("{syns} SYNs, {acks} answers without SYN, no SYN-ACK"),
            "AF_PACKET",
        )
        .value(serde_json::json!({"syns": syns, "acks": acks}))
        .command(format!("tcpdump -nni any host {} and port {}", case.flow.dst, case.flow.dport)),
    )
    .maybe(grew.and_then(|c| case.ev_counter(c)))
    .fix(Fix::act("switch TCP timestamps on at both ends (net.ipv4.tcp_timestamps=1) and give the client or its NAT more source ports"))
    .verify(case.ask_again());
    let finding = if remote { finding.outside() } else { finding };
    finding.proven_if(acks > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn ack_in(scene: Scene) -> Scene {
        scene.packet(false, false, 0x10)
    }

    #[test]
    fn an_ack_in_answer_to_a_syn_is_proven() {
        let scene = Scene::client("203.0.113.2", 80).timeout(3000).request_out();
        assert!(proven(ack_in(scene).judge(&CAUSE)).outside);
        let server = Scene::inbound("203.0.113.2", 80).request_in().tcp_out(0x10);
        assert!(!proven(server.rose(COUNTERS[0], 1).judge(&CAUSE)).outside);
    }

    #[test]
    fn the_counter_alone_fits() {
        consistent(Scene::inbound("203.0.113.2", 80).request_in().rose(COUNTERS[1], 1).judge(&CAUSE));
    }

    #[test]
    fn silence_or_a_syn_ack_is_another_matter() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).request_out().judge(&CAUSE));
        silent(ack_in(Scene::client("203.0.113.2", 80).request_out().answer_in()).judge(&CAUSE));
        silent(Scene::inbound("203.0.113.2", 80).request_in().rose(COUNTERS[1], 0).judge(&CAUSE));
    }
}
