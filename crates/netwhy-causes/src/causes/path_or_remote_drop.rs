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

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::Direction;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "path-or-remote-drop",
    title: "the packets leave this host and nothing comes back",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Transit],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "paths", "addresses", "kernel-events", "links"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.question.role == Role::Transit {
        return in_between(case);
    }
    // UDP silence is no failure: a datagram need not be answered (udp-filtered-or-silent).
    if case.target_is_local() || case.flow.proto == Proto::Udp || case.fate() != Fate::Fails {
        return Verdict::Silent;
    }
    let s = &case.seen;
    if s.known && s.requests_out == 0 {
        return Verdict::ruled_out(
            "no packet of the flow left this host, so nothing beyond it can have dropped it",
            case.ev_capture().into_iter().collect(),
        );
    }
    if s.answers_in > 0 || s.resets_in > 0 || !s.icmp_in.is_empty() || !case.icmp_remote().is_empty() {
        return Verdict::ruled_out(
            "answers of the flow arrived at this host",
            case.ev_capture().into_iter().chain(case.ev_attempt()).collect(),
        );
    }
    if !case.timed_out() {
        return Verdict::Silent;
    }
    if let Some(freed) = case.drop_event(|f| f.is(Direction::Forward) || f.is(Direction::Reply)) {
        let here = "the kernel of this host freed packets of the flow";
        return Verdict::ruled_out(here, vec![case.ev_freed(&freed)]);
    }
    if !s.known {
        // Without a capture the counters still tell a local drop from a remote one.
        return without_capture(case);
    }
    if case.grew("TcpExt.TCPRetransFail").unwrap_or(0) > 0 {
        return finding(case).consistent();
    }
    finding(case).proven()
}

/// Asked on a host between: what came was passed on, and nothing came back to it. Who loses it is not known here, so
/// this yields to every explanation on this host.
fn in_between(case: &Case<'_>) -> Verdict {
    let s = &case.seen;
    if !s.known || s.requests_in == 0 || case.flow.proto == Proto::Udp {
        return Verdict::Silent;
    }
    if s.requests_out == 0 {
        return Verdict::ruled_out(
            "no packet of the flow left this host, so nothing beyond it can have dropped it",
            case.ev_capture().into_iter().collect(),
        );
    }
    if s.answers_in + s.resets_in > 0 || !s.icmp_in.is_empty() || s.lost > 0 {
        return Verdict::Silent;
    }
    let flow = case.flow;
    let next = match &case.forward.end {
        netwhy_walk::End::Sent { dev, next_hop: Some(hop) } => format!("to {hop} on {dev}"),
        netwhy_walk::End::Sent { dev, .. } => format!("by {dev}"),
        _ => "on".into(),
    };
    Finding::new(
        Locus::RemoteEndpoint { address: flow.dst, port: flow.dport, proto: flow.proto },
        format!("this host passes packets for {} {next}, and nothing comes back to it", flow.target()),
    )
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "on {}: netwhy connect {} --inbound --from {}",
        flow.dst,
        flow.target(),
        client(case)
    )))
    .verify(case.ask_again())
    .outside()
    .consistent()
}

fn client(case: &Case<'_>) -> String {
    case.question.from.or(case.flow.src).map_or("CLIENT".into(), |s| s.to_string())
}

fn without_capture(case: &Case<'_>) -> Verdict {
    let left = case.flow.proto == Proto::Tcp
        && case.grew("TcpExt.TCPRetransFail") == Some(0)
        && case.grew("TcpExt.TCPSynRetrans").is_some_and(|d| d > 0);
    if left && case.forward_passes() { finding(case).consistent() } else { Verdict::Silent }
}

fn finding(case: &Case<'_>) -> Finding {
    let flow = case.flow;
    let path = case
        .facts
        .latest::<Paths>()
        .value()
        .and_then(|paths| paths.0.iter().find(|p| p.flow.dst == flow.dst && p.proto == flow.proto));
    let reached = path.and_then(|p| p.reached_at);
    let last =
        path.and_then(|p| p.hops.iter().rev().find_map(|h| h.replies.first().map(|r| (h.ttl, r.from))));
    let (locus, where_) = match last {
        Some((ttl, from)) if reached.is_none() => (
            Locus::Hop { address: Some(from), ttl, detail: "last hop that answers".into() },
            format!("after {from} (hop {ttl}), the last hop that answers"),
        ),
        _ => (
            Locus::RemoteEndpoint { address: flow.dst, port: flow.dport, proto: flow.proto },
            match reached {
                Some(ttl) => format!("now and then: the target itself answered a probe at hop {ttl}"),
                None if path.is_some() => "beyond this host; no hop answers probes of this flow".to_string(),
                None => "beyond this host".to_string(),
            },
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
    if let Some((ttl, from)) = last.filter(|_| reached.is_none()) {
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

#[cfg(test)]
mod tests {
    use netwhy_facts::path::{Hop, HopReply, HopReplyKind, Path};

    use super::*;
    use crate::testing::*;

    const FAIL: &str = "TcpExt.TCPRetransFail";

    fn lost() -> Scene {
        Scene::client("203.0.113.2", 80).timeout(3000).request_out().request_out().rose(FAIL, 0)
    }
    fn traced(scene: Scene, reached_at: Option<u8>) -> Scene {
        let reply = HopReply { from: ip("198.51.100.1"), rtt_us: 300, kind: HopReplyKind::TimeExceeded };
        let hops =
            vec![Hop { ttl: 1, replies: vec![reply], sent: 2 }, Hop { ttl: 2, replies: vec![], sent: 2 }];
        let flow = scene.flow.clone();
        scene.with(Paths(vec![Path { flow, proto: Proto::Tcp, hops, reached_at, sent: 4 }]))
    }

    #[test]
    fn packets_that_leave_into_silence_prove_it() {
        let f = proven(lost().judge(&CAUSE));
        assert!(f.outside && matches!(f.locus, Locus::RemoteEndpoint { .. }));
    }

    #[test]
    fn the_last_hop_that_answers_is_named() {
        let f = proven(traced(lost(), None).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Hop { ttl: 1, .. }), "{:?}", f.locus);
        assert!(proven(traced(lost(), Some(3)).judge(&CAUSE)).summary.contains("now and then"));
    }

    #[test]
    fn nothing_that_left_or_an_answer_rules_it_out() {
        let here = Scene::client("203.0.113.2", 80).timeout(3000).captured();
        assert!(ruled_out(here.judge(&CAUSE)).contains("no packet"));
        assert!(ruled_out(lost().answer_in().judge(&CAUSE)).contains("arrived"));
        let unreachable = Scene::client("203.0.113.2", 80).errno("EHOSTUNREACH", 3000).captured();
        ruled_out(unreachable.judge(&CAUSE));
    }

    #[test]
    fn without_a_capture_the_counters_still_speak() {
        let scene = Scene::client("203.0.113.2", 80).timeout(3000);
        consistent(scene.rose(FAIL, 0).rose("TcpExt.TCPSynRetrans", 2).judge(&CAUSE));
        let scene = Scene::client("203.0.113.2", 80).timeout(3000);
        silent(scene.rose(FAIL, 2).rose("TcpExt.TCPSynRetrans", 2).judge(&CAUSE));
    }

    #[test]
    fn silence_after_datagrams_and_local_targets_are_other_causes() {
        silent(Scene::client_udp("203.0.113.2", 53).timeout(3000).request_out().judge(&CAUSE));
        silent(Scene::client(CLIENT4, 80).timeout(3000).request_out().judge(&CAUSE));
    }
}
