//! # The datagrams leave and nothing answers, which UDP allows
//!
//! ## What you see
//! No error and no answer.
//!
//! ## What happens
//! One of four things, which look the same from here: the service got the datagrams and does not answer what was sent;
//! a firewall drops them silently; the target's ICMP errors are filtered or rate-limited; the path loses them.
//!
//! ## How netwhy knows
//! The capture saw the datagrams leave; no reply and no ICMP error arrived. It is never more than consistent: a datagram
//! need not be answered.
//!
//! ## Look-alikes
//! A closed port: the target says so with ICMP port unreachable (udp-port-closed). A drop on this host: sendto() fails
//! with EPERM or nothing leaves.
//!
//! ## What to do
//! Ask on the target's host whether the datagrams arrive; or speak the service's own protocol (dns:// for a name server).
//!
//! ## References
//! RFC 768, RFC 1122 section 4.1.3.3.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "udp-filtered-or-silent",
    title: "the datagrams leave and nothing answers, which UDP allows",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Udp || !case.timed_out() || case.serves_here() {
        return Verdict::Silent;
    }
    let s = &case.seen;
    if s.known && (s.requests_out == 0 || s.answers_in > 0 || !s.icmp_in.is_empty()) {
        return Verdict::ruled_out(
            if s.requests_out == 0 { "no datagram left this host" } else { "something came back" },
            case.ev_capture().into_iter().collect(),
        );
    }
    if case.forward.blocker().is_some() {
        return Verdict::Silent;
    }
    Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Udp },
        format!(
            "datagrams to {} leave this host and nothing comes back, neither a reply nor an error; a service need not answer, so this decides nothing",
            case.flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(service::ask_there(case.flow))
    .verify(case.ask_again())
    .outside()
    .consistent()
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    #[test]
    fn silence_is_consistent_and_never_proof() {
        assert!(
            consistent(Scene::client_udp("203.0.113.2", 514).timeout(3000).request_out().judge(&CAUSE))
                .outside
        );
    }

    #[test]
    fn datagrams_that_never_left_rule_it_out() {
        let scene = Scene::client_udp("203.0.113.2", 514).timeout(3000).captured();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("left"));
    }

    #[test]
    fn a_predicted_drop_here_and_tcp_are_other_causes() {
        let scene = Scene::client_udp("203.0.113.2", 514)
            .timeout(3000)
            .forward(&[Stage::Output], End::Dropped { locus: nft_rule("output", 4) });
        silent(scene.judge(&CAUSE));
        silent(Scene::client("203.0.113.2", 80).timeout(3000).request_out().judge(&CAUSE));
    }
}
