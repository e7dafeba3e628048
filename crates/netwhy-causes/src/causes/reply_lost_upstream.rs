//! # The answers leave this host and do not reach the client
//!
//! ## What you see
//! Clients time out. On the server requests arrive, the SYN-ACK leaves, is repeated, and no ACK comes.
//!
//! ## What happens
//! Something between this host and the client loses the answer: a router without a route back, a firewall that saw only
//! one direction, a translation that does not know the flow.
//!
//! ## How netwhy knows
//! The capture saw the answer leave more than once, and neither an ACK nor a reset for it came in. An ICMP error about
//! the answer, when one comes, names who refuses it.
//!
//! ## Look-alikes
//! A full accept queue drops the final ACK, which then was seen to arrive (accept-queue-full). No route back: the answer
//! does not leave (reply-route-missing). An answer that leaves by another device (reply-route-asymmetric).
//!
//! ## What to do
//! Nothing on this host. Follow the way back from here to the client, hop by hop.
//!
//! ## References
//! RFC 9293 section 3.8.3; knowledge of path asymmetry: RFC 2992.

use netwhy_facts::capture::FlowCapture;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "reply-lost-upstream",
    title: "the answers leave this host and do not reach the client",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["capture", "attempts", "mib"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let s = &case.seen;
    if case.flow.proto != Proto::Tcp || !s.known || s.syn_acks_out == 0 {
        return Verdict::Silent;
    }
    if s.acks > 0 || s.resets_out > 0 {
        return Verdict::ruled_out(
            "the client acknowledged an answer",
            case.ev_capture().into_iter().collect(),
        );
    }
    // Answers that take another device than the requests are a condition of their own (reply-route-asymmetric).
    if other_device(case) {
        return Verdict::Silent;
    }
    let client = case.question.from.or(case.flow.src);
    let refused = s.icmp_in.first();
    let (locus, where_) = match (refused, &case.reply.end) {
        (Some(p), _) => (
            Locus::Hop {
                address: Some(p.src),
                ttl: 0,
                detail: "refuses the answer with an ICMP error".into(),
            },
            format!("; {} refuses them with an ICMP error", p.src),
        ),
        (None, End::Sent { next_hop: Some(hop), dev }) => (
            Locus::Hop { address: Some(*hop), ttl: 1, detail: format!("next hop of the answers, on {dev}") },
            format!("; their next hop is {hop} on {dev}"),
        ),
        (None, _) => match client {
            Some(c) => (Locus::RemoteEndpoint { address: c, port: 0, proto: Proto::Tcp }, String::new()),
            None => return Verdict::Silent,
        },
    };
    let to = client.map_or("the client".to_string(), |c| c.to_string());
    Finding::new(
        locus,
        format!("this host's answers to {to} leave it and are not acknowledged{where_}"),
    )
    .maybe(case.ev_capture())
    .evidence(
        Evidence::new("syn-acks", format!("{} SYN-ACKs left, no ACK came", s.syn_acks_out), "AF_PACKET")
            .value(s.syn_acks_out)
            .command(format!("tcpdump -nni any 'tcp port {} and tcp[tcpflags] & tcp-syn != 0'", case.flow.dport)),
    )
    .maybe(refused.and_then(|p| {
        let (kind, code, _) = p.icmp?;
        Some(
            Evidence::new("icmp-error", format!("ICMP {kind}/{code} about an answer came from {}", p.src), "AF_PACKET")
                .value(p.src.to_string()),
        )
    }))
    .fix(Fix::act(format!(
        "follow the way back: mtr {to} from here; on a router between: netwhy connect {} --transit --from {to}",
        case.flow.target()
    )))
    .verify(case.ask_again())
    .outside()
    // One answer may simply be under way still; a repeated one was not acknowledged in time.
    .proven_if((s.syn_acks_out > 1 || refused.is_some()) && s.lost == 0)
}

fn other_device(case: &Case<'_>) -> bool {
    let Some(capture) = case.facts.latest::<FlowCapture>().value() else { return false };
    let came = capture.toward(case.flow).find(|p| !p.out).map(|p| p.ifindex);
    let mut went = capture.back(case.flow).filter(|p| p.out && !p.is_rst());
    came.is_some_and(|came| went.all(|p| p.ifindex != came))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn server() -> Scene {
        Scene::inbound("203.0.113.2", 80).request_in().answer_out()
    }

    #[test]
    fn a_repeated_answer_without_an_ack_is_proven_and_outside() {
        let f = proven(server().answer_out().judge(&CAUSE));
        assert!(f.outside);
    }

    #[test]
    fn one_answer_may_be_under_way() {
        consistent(server().judge(&CAUSE));
    }

    #[test]
    fn an_icmp_error_names_who_refuses_it() {
        let f = proven(server().icmp(false, "192.0.2.1", 3, 0).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Hop { address: Some(a), .. } if a == ip("192.0.2.1")));
    }

    #[test]
    fn an_ack_rules_it_out() {
        assert!(ruled_out(server().answer_out().ack_in().judge(&CAUSE)).contains("acknowledged"));
    }

    #[test]
    fn without_an_answer_it_is_another_matter() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().judge(&CAUSE));
    }
}
