//! # The target has no UDP socket on the port
//!
//! ## What you see
//! Sending works; the next call fails with ECONNREFUSED after one round trip.
//!
//! ## What happens
//! The target host is reached, no UDP socket of it is bound to the port, and its stack answers with ICMP port
//! unreachable (3/3, ICMPv6 1/4), as often as its rate limit allows.
//!
//! ## How netwhy knows
//! The socket's error queue holds a port-unreachable message that came from the target's own address.
//!
//! ## Look-alikes
//! A firewall's rejection: the message comes from another address or carries another code (fw-reject). Silence: nothing
//! can be said of UDP (udp-filtered-or-silent). On the server itself the missing socket is seen (svc-not-listening).
//!
//! ## What to do
//! Start the service there, or correct the port.
//!
//! ## References
//! RFC 1122 section 4.1.3.1, RFC 4443 section 3.1; net/ipv4/udp.c (__udp4_lib_rcv), icmp(7) icmp_ratelimit.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "udp-port-closed",
    title: "the target has no UDP socket on the port",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Udp || case.serves_here() {
        return Verdict::Silent;
    }
    let Some(attempt) = case.attempt() else { return Verdict::Silent };
    let closed = |e: &&netwhy_facts::attempt::IcmpError| {
        matches!((e.v6, e.icmp_type, e.code), (false, 3, 3) | (true, 1, 4)) && !e.local
    };
    let Some(error) = attempt.icmp.iter().find(closed) else { return Verdict::Silent };
    if error.from != Some(case.flow.dst) {
        return Verdict::ruled_out(
            "the port-unreachable message came from another address than the target's",
            case.ev_attempt().into_iter().collect(),
        );
    }
    Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Udp },
        format!(
            "{} answered with ICMP port unreachable: the host is reached, and no UDP socket is bound to the port there (or a rule there rejects like the stack does)",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "icmp-error",
            format!("ICMP {}/{} arrived from {}", error.icmp_type, error.code, case.flow.dst),
            "IP_RECVERR",
        )
        .value(serde_json::json!({"type": error.icmp_type, "code": error.code}))
        .command(format!("tcpdump -nni any 'src {} and (icmp or icmp6)'", case.flow.dst)),
    )
    .maybe(case.ev_capture())
    .fix(service::ask_there(case.flow))
    .verify(case.ask_again())
    .outside()
    // From here a rule there that rejects with port unreachable looks exactly the same.
    .consistent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_port_unreachable_of_the_target_proves_it() {
        let scene = Scene::client_udp("203.0.113.2", 53).icmp_error("ECONNREFUSED", "203.0.113.2", 3, 3);
        assert!(consistent(scene.judge(&CAUSE)).outside);
        let scene = Scene::client_udp("2001:db8::2", 53).icmp_error("ECONNREFUSED", "2001:db8::2", 1, 4);
        consistent(scene.judge(&CAUSE));
    }

    #[test]
    fn one_of_a_router_rules_it_out() {
        let scene = Scene::client_udp("203.0.113.2", 53).icmp_error("ECONNREFUSED", "198.51.100.1", 3, 3);
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn silence_and_tcp_are_none_of_its_business() {
        silent(Scene::client_udp("203.0.113.2", 53).timeout(3000).judge(&CAUSE));
        silent(Scene::client("203.0.113.2", 53).errno("ECONNREFUSED", 1).judge(&CAUSE));
    }
}
