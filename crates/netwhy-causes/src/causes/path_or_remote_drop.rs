//! # The packets leave this host and nothing comes back
//!
//! ## What you see
//! connect() hangs until it times out.
//!
//! ## What happens
//! A router, a firewall on the way, or the target itself drops the packets silently; or the answers are lost on their way back.
//!
//! ## How netwhy knows
//! The capture saw the packets leave the egress device, no answer, no reset and no ICMP error arrived, and
//! `TcpExt.TCPRetransFail` stayed flat. Probes of the same flow with small TTLs name the last hop that answers.
//!
//! ## Look-alikes
//! A drop on this host: nothing leaves and `TCPRetransFail` rises. An unresolved neighbour: only ARP or neighbour
//! solicitations leave. A refusal: a reset or an ICMP error arrives.
//!
//! ## What to do
//! Nothing on this host. Hand the flow, the time and the last answering hop to the owner of the next one; run netwhy
//! there with --transit or --inbound.
//!
//! ## References
//! RFC 9293 section 3.8.3; RFC 1812 section 5.3.

use netwhy_facts::path::Paths;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "path-or-remote-drop",
    title: "the packets leave this host and nothing comes back",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "paths", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if !case.timed_out() || case.target_is_local() {
        return Verdict::Silent;
    }
    let s = &case.seen;
    if !s.known {
        // Without a capture the counters still tell a local drop from a remote one.
        return without_capture(case);
    }
    if s.requests_out == 0 {
        return Verdict::ruled_out(
            "no packet of the flow left this host, so nothing beyond it can have dropped it",
            case.ev_capture().into_iter().collect(),
        );
    }
    if s.answers_in > 0 || s.resets_in > 0 || !s.icmp_in.is_empty() {
        return Verdict::ruled_out(
            "answers of the flow arrived at this host",
            case.ev_capture().into_iter().collect(),
        );
    }
    // UDP silence is no failure: a datagram need not be answered.
    let silence_is_failure = case.flow.proto != Proto::Udp;
    finding(case).proven_if(silence_is_failure && case.grew("TcpExt.TCPRetransFail").unwrap_or(0) <= 0)
}

fn without_capture(case: &Case<'_>) -> Verdict {
    let left = case.flow.proto == Proto::Tcp
        && case.grew("TcpExt.TCPRetransFail") == Some(0)
        && case.grew("TcpExt.TCPSynRetrans").is_some_and(|d| d > 0);
    if left && case.forward_passes() { finding(case).consistent() } else { Verdict::Silent }
}

fn finding(case: &Case<'_>) -> Finding {
    let flow = case.flow;
    let last = case.facts.latest::<Paths>().value().and_then(|paths| {
        let path = paths.0.iter().find(|p| p.flow.dst == flow.dst && p.proto == flow.proto)?;
        path.hops.iter().rev().find_map(|h| h.replies.first().map(|r| (h.ttl, r.from)))
    });
    let (locus, where_) = match last {
        Some((ttl, from)) => (
            Locus::Hop { address: Some(from), ttl, detail: "last hop that answers".into() },
            format!("after {from} (hop {ttl}), the last hop that answers"),
        ),
        None => (
            Locus::RemoteEndpoint { address: flow.dst, port: flow.dport, proto: flow.proto },
            "beyond this host; no hop answers probes of this flow".to_string(),
        ),
    };
    let mut finding = Finding::new(
        locus,
        format!(
            "packets to {} leave this host and nothing comes back: they, or the answers, are lost {where_}",
            flow.target()
        ),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture());
    if flow.proto == Proto::Tcp {
        finding = finding.maybe(case.ev_counter("TcpExt.TCPRetransFail"));
    }
    if let Some((ttl, from)) = last {
        finding = finding.evidence(
            Evidence::new(
                "last-hop",
                format!("hop {ttl} is {from}; nothing answers beyond it"),
                "TTL-limited probes",
            )
            .value(from.to_string())
            .command(match flow.proto {
                Proto::Tcp => format!("traceroute -T -p {} {}", flow.dport, flow.dst),
                Proto::Udp => format!("traceroute -U -p {} {}", flow.dport, flow.dst),
                Proto::Icmp => format!("traceroute -I {}", flow.dst),
            }),
        );
    }
    let src = flow.src.map(|s| s.to_string()).unwrap_or_else(|| "CLIENT".into());
    finding
        .fix(Fix::act(format!("on {}: netwhy connect {} --inbound --from {src}", flow.dst, flow.target())))
        .fix(Fix::act(format!(
            "on a router between: netwhy connect {} --transit --from {src}",
            flow.target()
        )))
        .verify(case.ask_again())
        .outside()
}
