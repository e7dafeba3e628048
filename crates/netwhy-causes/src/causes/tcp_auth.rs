//! # TCP signatures do not agree
//!
//! ## What you see
//! Clients time out: SYNs arrive and nothing answers. Typical of BGP sessions.
//!
//! ## What happens
//! The listener wants every segment of this peer signed (TCP MD5, RFC 2385, or TCP-AO, RFC 5925), or wants none of them
//! signed, and drops what does not fit without a word.
//!
//! ## How netwhy knows
//! SYNs arrived, no answer left, and one of `TCPMD5NotFound`, `TCPMD5Unexpected`, `TCPMD5Failure`, `TCPAORequired`,
//! `TCPAOBad`, `TCPAOKeyNotFound` rose.
//!
//! ## Look-alikes
//! A firewall drop (fw-drop-inbound): no counter of TCP moves.
//!
//! ## What to do
//! Set the same key for this peer at both ends, or none at both.
//!
//! ## References
//! RFC 2385, RFC 5925; tcp(7) TCP_MD5SIG; net/ipv4/tcp_ipv4.c (tcp_inbound_md5_hash).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tcp-auth",
    title: "TCP signatures do not agree",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "mib", "capture", "attempts", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

const COUNTERS: [(&str, &str); 6] = [
    ("TcpExt.TCPMD5NotFound", "a signature (MD5) is required and segments come without"),
    ("TcpExt.TCPMD5Unexpected", "segments come signed (MD5) and no key is set for this peer"),
    ("TcpExt.TCPMD5Failure", "signatures (MD5) come and do not match the key"),
    ("TcpExt.TCPAORequired", "a signature (TCP-AO) is required and segments come without"),
    ("TcpExt.TCPAOKeyNotFound", "segments come signed (TCP-AO) with a key that is not set here"),
    ("TcpExt.TCPAOBad", "signatures (TCP-AO) come and do not match the key"),
];

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto != Proto::Tcp {
        return Verdict::Silent;
    }
    let Some((counter, what)) = COUNTERS.into_iter().find(|(c, _)| case.grew(c).is_some_and(|d| d > 0))
    else {
        return Verdict::Silent;
    };
    let s = &case.seen;
    let peer = match case.question.role {
        Role::Client => case.flow.dst.to_string(),
        _ => case.question.from.map(|f| f.to_string()).unwrap_or_else(|| "the client".into()),
    };
    let listener = case.serves_here().then(|| case.listeners().first().copied()).flatten();
    let locus = match listener {
        Some(l) => service::locus(l),
        None => Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Tcp },
    };
    // The counter is the namespace's: it is this flow's when its segments came and were not answered.
    let observed = match case.question.role {
        Role::Client => case.timed_out() && s.known && s.answers_in > 0,
        _ => s.known && s.requests_in > 0 && s.answers_out == 0,
    };
    Finding::new(
        locus,
        format!("TCP signatures of {peer} and this host do not agree for {}: {what}", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_counter(counter))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("set the same key for {peer} at both ends, or none at both")))
    .verify(case.ask_again())
    .proven_if(observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 179).sockets(vec![listener("0.0.0.0", 179, 0, 8)])
    }

    #[test]
    fn unanswered_syns_and_the_counter_prove_it() {
        let f = proven(server().request_in().rose(COUNTERS[0].0, 2).judge(&CAUSE));
        assert!(f.summary.contains("required"), "{}", f.summary);
    }

    #[test]
    fn a_counter_that_rises_for_others_is_no_proof() {
        consistent(server().request_in().answer_out().rose(COUNTERS[2].0, 2).judge(&CAUSE));
    }

    #[test]
    fn flat_counters_say_nothing() {
        silent(server().request_in().rose(COUNTERS[0].0, 0).judge(&CAUSE));
    }
}
