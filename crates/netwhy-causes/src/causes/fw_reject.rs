//! # A firewall rejects the flow with an answer
//!
//! ## What you see
//! connect() fails after one round trip (at once when the rule is on this host): ECONNREFUSED, EHOSTUNREACH or
//! ENETUNREACH. On the wire there is an ICMP error or a reset.
//!
//! ## What happens
//! A rule refuses the packet and says so: with an ICMP error of its choice or a TCP reset.
//!
//! ## How netwhy knows
//! On this host: the ruleset, executed on the packet, ends in a reject rule, its answer was seen, its counter rose, and
//! for a reset `Tcp.OutRsts` stayed flat (the stack did not send it). From afar: the ICMP error came from another
//! address, whose owner is the rejecter; the code says what kind of refusal it is.
//!
//! ## Look-alikes
//! Nothing listens (svc-not-listening): a reset by the stack, `Tcp.OutRsts` rises on the server; no ICMP for TCP.
//! An own failed neighbour resolution: EHOSTUNREACH after three seconds, the ICMP error is this host's own.
//!
//! ## What to do
//! Accept the flow before the rule, on the host that rejects.
//!
//! ## References
//! nft(8) "REJECT STATEMENT"; RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1; net/ipv4/icmp.c (icmp_err_convert).

use netwhy_facts::attempt::IcmpError;
use netwhy_facts::nft::Nft;
use netwhy_facts::path::Paths;
use netwhy_facts::question::Scenario;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::firewall;
use crate::fix::Fix;
use crate::obstacle::{Direction, Obstacle, Sight, Way, object_text};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-reject",
    title: "a firewall rejects the flow with an answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "mib", "capture", "attempts", "addresses", "kernel-events", "links", "paths"],
    explains: &["svc-not-listening", "path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let here: Vec<Verdict> = case
        .obstacles()
        .iter()
        .filter_map(|o| match &o.path.end {
            End::Rejected { with, .. } => Some(by_rule(case, o, with)),
            _ => None,
        })
        .collect();
    let here = Verdict::several(here);
    if here != Verdict::Silent {
        return here;
    }
    match case.question.role {
        Role::Client => from_afar(case),
        Role::Inbound => reset_beside_the_stack(case),
        Role::Transit => Verdict::Silent,
    }
}

fn sight(case: &Case<'_>, o: &Obstacle<'_>) -> Sight {
    if !case.met(o) {
        return Sight::Nothing;
    }
    match o.locus.and_then(|l| case.rule_counter(l)) {
        Some(0) => return Sight::Contradicts,
        Some(_) => return Sight::Agrees,
        None => {}
    }
    let s = &case.seen;
    let refused = s.resets_out > 0 || !s.icmp_out.is_empty();
    match (o.direction, o.way) {
        (Direction::Forward, Way::Out) if s.requests_out > 0 => Sight::Contradicts,
        (Direction::Forward, Way::Out) if case.errno().is_some() && case.icmp_remote().is_empty() => {
            Sight::Agrees
        }
        (Direction::Forward, Way::Out) => Sight::Nothing,
        (Direction::Forward, Way::In) if s.answers_out > 0 => Sight::Contradicts,
        (Direction::Forward, Way::Through) if s.requests_out > 0 => Sight::Contradicts,
        (Direction::Forward, _) if refused || case.errno().is_some() => Sight::Agrees,
        (Direction::Forward, _) => Sight::Nothing,
        (Direction::Reply, _) => case.sight(o),
    }
}

fn by_rule(case: &Case<'_>, o: &Obstacle<'_>, with: &str) -> Verdict {
    let Some(locus) = o.locus else { return Verdict::Silent };
    let sight = sight(case, o);
    if sight == Sight::Contradicts {
        return Verdict::ruled_out(
            format!("{} was predicted to reject the flow, but packets got past it", object_text(locus)),
            case.ev_rule_counter(locus).into_iter().chain(case.ev_capture()).collect(),
        );
    }
    let mut summary = format!("{} rejects {} with {with}", object_text(locus), case.packets_text(o));
    if let Some(later) = firewall::shadowed_accept(case, o) {
        summary.push_str(&format!("; {later}, which would accept them, comes too late"));
    }
    let mut finding = Finding::new(locus.clone(), summary);
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    if with.contains("reset") && !o.next {
        finding = finding.maybe(case.ev_counter("Tcp.OutRsts"));
    }
    for f in firewall::let_pass(o) {
        finding = finding.fix(f);
    }
    let sure = case.firm(o.path) || case.rule_counter(locus).is_some_and(|n| n > 0);
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && sure && !o.next)
}

/// What a destination-unreachable message says about its reason, and whether only a rule sends it for this flow.
fn meaning(proto: Proto, e: &IcmpError) -> Option<(&'static str, bool)> {
    let port = proto == Proto::Tcp;
    Some(match (e.v6, e.icmp_type, e.code) {
        (false, 3, 0) => ("network unreachable: it has no route on, or a rule there says so", false),
        (false, 3, 1) => {
            ("host unreachable: it cannot reach the target on its link, or a rule there says so", false)
        }
        (false, 3, 2) => ("protocol unreachable", true),
        // No TCP stack answers with a port unreachable; a firewall's REJECT does by default.
        (false, 3, 3) => ("port unreachable", port),
        (false, 3, 6) => ("network unknown", false),
        (false, 3, 7) => ("host unknown", false),
        (false, 3, 8) => ("source host isolated", false),
        (false, 3, 9) => ("network administratively prohibited", true),
        (false, 3, 10) => ("host administratively prohibited", true),
        (false, 3, 11) => ("network unreachable for the type of service", false),
        (false, 3, 12) => ("host unreachable for the type of service", false),
        (false, 3, 13) => ("communication administratively prohibited", true),
        (false, 3, 14) => ("host precedence violation", true),
        (false, 3, 15) => ("precedence cutoff", true),
        (false, 3, 5) => ("source route failed", false),
        (true, 1, 0) => ("no route to destination: it has no route on, or a rule there says so", false),
        (true, 1, 1) => ("administratively prohibited", true),
        (true, 1, 2) => ("beyond the scope of the source address", false),
        (true, 1, 3) => {
            ("address unreachable: it cannot reach the target on its link, or a rule there says so", false)
        }
        (true, 1, 4) => ("port unreachable", port),
        (true, 1, 5) => ("source address failed its policy", true),
        (true, 1, 6) => ("reject route to destination", true),
        _ => return None,
    })
}

fn from_afar(case: &Case<'_>) -> Verdict {
    let own = case.own_addresses();
    let Some(attempt) = case.attempt() else { return Verdict::Silent };
    for e in attempt.icmp.iter().filter(|e| !e.local) {
        let (Some(from), Some((text, only_a_rule))) = (e.from, meaning(case.flow.proto, e)) else { continue };
        if own.contains(&from) {
            if only_a_rule {
                return unread_rule_here(case, text);
            }
            continue;
        }
        if !only_a_rule {
            return Verdict::Silent; // path-hop-unreachable
        }
        // A closed UDP port of the target itself is not a firewall's doing.
        let closed = case.flow.proto == Proto::Udp && from == case.flow.dst && text == "port unreachable";
        if closed {
            return Verdict::Silent;
        }
        return rejected_by(case, e, from, text);
    }
    // An instant ECONNREFUSED with a RST is the stack's way.
    if case.errno() == Some("ECONNREFUSED") && case.flow.proto == Proto::Tcp && case.seen.resets_in > 0 {
        return Verdict::ruled_out(
            "the refusal is a reset from the target; no ICMP error arrived and no rule here rejects the flow",
            case.ev_capture().into_iter().chain(case.ev_counter("Icmp.InDestUnreachs")).collect(),
        );
    }
    Verdict::Silent
}

fn rejected_by(case: &Case<'_>, e: &IcmpError, from: std::net::IpAddr, text: &str) -> Verdict {
    let flow = case.flow;
    let ttl = case.facts.latest::<Paths>().value().and_then(|paths| {
        let path = paths.0.iter().find(|p| p.flow.dst == flow.dst)?;
        path.hops.iter().find(|h| h.replies.iter().any(|r| r.from == from)).map(|h| h.ttl)
    });
    let locus = if from == flow.dst {
        Locus::RemoteEndpoint { address: flow.dst, port: flow.dport, proto: flow.proto }
    } else {
        Locus::Hop {
            address: Some(from),
            ttl: ttl.unwrap_or(0),
            detail: format!("answers ICMP {}", code_text(e)),
        }
    };
    let who = if from == flow.dst { "the target itself".to_string() } else { from.to_string() };
    let counter = if e.v6 { "Icmp6InDestUnreachs" } else { "Icmp.InDestUnreachs" };
    let src = flow.src.map(|s| s.to_string()).unwrap_or_else(|| "CLIENT".into());
    let side = if from == flow.dst { "--inbound" } else { "--transit" };
    Finding::new(
        locus,
        format!("{who} rejects the flow by a rule to {}: {text} (ICMP {})", flow.target(), code_text(e)),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "icmp-error",
            format!(
                "ICMP {} ({text}) arrived from {from} after {:.1} ms",
                code_text(e),
                e.after_us as f64 / 1000.0
            ),
            "IP_RECVERR",
        )
        .value(serde_json::json!({"from": from.to_string(), "type": e.icmp_type, "code": e.code}))
        .command(format!("tcpdump -nni any '{} and src {from}'", if e.v6 { "icmp6" } else { "icmp" })),
    )
    .maybe(case.ev_counter(counter))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("on {from}: netwhy connect {} {side} --from {src}", flow.target())))
    .verify(case.ask_again())
    .outside()
    .proven()
}

fn code_text(e: &IcmpError) -> String {
    let v = if e.v6 { "v6 " } else { "" };
    format!("{v}{}/{}", e.icmp_type, e.code)
}

/// This host refused its own packet and the rule could not be read.
fn unread_rule_here(case: &Case<'_>, text: &str) -> Verdict {
    let Some(absence) = case.firewall_absence() else { return Verdict::Silent };
    Verdict::several(vec![
        Verdict::unknown("whether a firewall rule of this host drops the flow", absence),
        Finding::new(
            Locus::Host { detail: "output path (rule not readable)".into() },
            format!(
                "a rule of this host, which cannot be read, rejects its packets to {}: {text}",
                case.flow.target()
            ),
        )
        .maybe(case.ev_attempt())
        .fix(Fix::act(format!("ask again with CAP_NET_ADMIN: {}", case.ask_again())))
        .verify(case.ask_again())
        .consistent(),
    ])
}

/// A reset left this host that its stack did not send, and the rules could not be read.
fn reset_beside_the_stack(case: &Case<'_>) -> Verdict {
    let s = &case.seen;
    if !s.known || s.resets_out == 0 || case.flow.proto != Proto::Tcp {
        return Verdict::Silent;
    }
    let readable = case.facts.get::<Nft>().is_known() && case.facts.get::<Xtables>().is_known();
    match (case.grew("Tcp.OutRsts"), readable) {
        (Some(n), _) if n > 0 => Verdict::ruled_out(
            "the stack itself sent the reset (OutRsts rose); no rule did",
            case.ev_counter("Tcp.OutRsts").into_iter().collect(),
        ),
        (Some(0), false) => firewall::unreadable(case, true),
        _ => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn rejected(with: &str) -> End {
        End::Rejected { locus: nft_rule("x", 9), with: with.into() }
    }

    #[test]
    fn an_own_output_rule_is_proven_by_the_immediate_error() {
        let f = proven(
            Scene::client("203.0.113.2", 80)
                .forward(&[Stage::Output], rejected("icmp port-unreachable"))
                .errno("ECONNREFUSED", 0)
                .captured()
                .judge(&CAUSE),
        );
        assert_eq!(f.locus, nft_rule("x", 9));
        assert!(f.summary.contains("icmp port-unreachable"), "{}", f.summary);
    }

    #[test]
    fn an_input_rule_is_proven_by_the_reset_it_sends() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Input], rejected("tcp reset"))
            .request_in()
            .reset_out()
            .rose("Tcp.OutRsts", 0);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.evidence.iter().any(|e| e.id == "counter:Tcp.OutRsts"));
    }

    #[test]
    fn a_forward_rule_is_proven_by_the_icmp_error_it_sends() {
        let scene = Scene::transit("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Forward], rejected("icmp admin-prohibited"))
            .request_in()
            .icmp(true, "198.51.100.1", 3, 13);
        proven(scene.judge(&CAUSE));
    }

    #[test]
    fn a_rejecter_far_away_is_named_and_outside() {
        let f = proven(
            Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 13).judge(&CAUSE),
        );
        assert!(f.outside);
        assert!(matches!(f.locus, Locus::Hop { address: Some(a), .. } if a == ip("198.51.100.1")));
        assert!(f.summary.contains("administratively prohibited"), "{}", f.summary);
    }

    #[test]
    fn a_port_unreachable_for_tcp_is_a_rule_of_the_target() {
        let f = proven(
            Scene::client("203.0.113.2", 80).icmp_error("ECONNREFUSED", "203.0.113.2", 3, 3).judge(&CAUSE),
        );
        assert!(f.summary.contains("the target itself rejects the flow by a rule"), "{}", f.summary);
        let v6 = Scene::client("2001:db8::2", 80).icmp_error("ECONNREFUSED", "2001:db8::2", 1, 4);
        assert!(proven(v6.judge(&CAUSE)).outside);
    }

    #[test]
    fn a_closed_udp_port_is_no_firewall() {
        silent(
            Scene::client_udp("203.0.113.2", 53)
                .icmp_error("ECONNREFUSED", "203.0.113.2", 3, 3)
                .judge(&CAUSE),
        );
    }

    #[test]
    fn the_stacks_reset_rules_it_out() {
        let scene = Scene::client("203.0.113.2", 80).errno("ECONNREFUSED", 1).request_out().reset_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("reset from the target"));
        let scene = Scene::inbound("203.0.113.2", 80).request_in().reset_out().rose("Tcp.OutRsts", 1);
        assert!(ruled_out(scene.judge(&CAUSE)).contains("OutRsts rose"));
    }

    #[test]
    fn a_reset_without_out_rsts_and_unreadable_rules_is_unknown() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .denied::<Nft>("CAP_NET_ADMIN")
            .request_in()
            .reset_out()
            .rose("Tcp.OutRsts", 0);
        unknown(scene.judge(&CAUSE));
    }

    #[test]
    fn a_silent_flow_is_not_rejected() {
        silent(Scene::client("203.0.113.2", 80).timeout(3000).request_out().judge(&CAUSE));
    }
}
