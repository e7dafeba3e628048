//! # A router on the way cannot reach the target
//!
//! ## What you see
//! connect() fails after a round trip with EHOSTUNREACH or ENETUNREACH ("No route to host", "Network is unreachable").
//!
//! ## What happens
//! A router on the path has no route to the target, or the target does not answer on the router's own link. It says so
//! with an ICMP error.
//!
//! ## How netwhy knows
//! The error queue of the attempt's socket holds an unreachable message that another host sent, with a code that routers
//! send of themselves (network or host unreachable, ICMPv6 no route or address unreachable).
//!
//! ## Look-alikes
//! A firewall's rejection (fw-reject): codes that only rules send, such as "administratively prohibited". A missing route
//! here (route-missing): no ICMP error arrives. This host's own failed resolution (neigh-unresolved): the message is its
//! own.
//!
//! ## What to do
//! Hand it to the owner of the named router: for "network", its routes; for "host", the target or the link behind it.
//!
//! ## References
//! RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1; net/ipv4/icmp.c (icmp_err_convert).

use netwhy_facts::attempt::IcmpError;
use netwhy_facts::path::Paths;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "path-hop-unreachable",
    title: "a router on the way cannot reach the target",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "paths", "mib", "capture", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

/// What a router says of itself with a code; `None` for codes that rules or ports send.
pub fn meaning(e: &IcmpError) -> Option<&'static str> {
    Some(match (e.v6, e.icmp_type, e.code) {
        (false, 3, 0 | 6 | 11) => "it has no route to the network",
        (false, 3, 1 | 7 | 12) => "the target does not answer on the link behind it",
        (false, 3, 5) => "the source route failed",
        (false, 3, 8) => "it takes the source for isolated",
        (true, 1, 2) => "the target is beyond the scope of the source address",
        (true, 1, 0) => "it has no route to the target",
        (true, 1, 3) => "the target does not answer on the link behind it",
        _ => return None,
    })
}

fn judge(case: &Case<'_>) -> Verdict {
    let remote = case.icmp_remote();
    let Some((e, from, what)) = remote.iter().find_map(|e| Some((*e, e.from?, meaning(e)?))) else {
        return Verdict::Silent;
    };
    let ttl = case.facts.latest::<Paths>().value().and_then(|paths| {
        let path = paths.0.iter().find(|p| p.flow.dst == case.flow.dst)?;
        path.hops.iter().find(|h| h.replies.iter().any(|r| r.from == from)).map(|h| h.ttl)
    });
    let name = format!("ICMP{} {}/{}", if e.v6 { "v6" } else { "" }, e.icmp_type, e.code);
    let src = case.flow.src.map(|s| s.to_string()).unwrap_or_else(|| "CLIENT".into());
    let hop = ttl.map(|t| format!(" (hop {t})")).unwrap_or_default();
    Finding::new(
        Locus::Hop { address: Some(from), ttl: ttl.unwrap_or(0), detail: name.clone() },
        format!("{from}{hop} cannot deliver to {}: {what} ({name})", case.flow.target()),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "icmp-error",
            format!("{name} arrived from {from} after {:.1} ms", e.after_us as f64 / 1000.0),
            "IP_RECVERR",
        )
        .value(serde_json::json!({"from": from.to_string(), "type": e.icmp_type, "code": e.code}))
        .command(format!("tcpdump -nni any '{} and src {from}'", if e.v6 { "icmp6" } else { "icmp" })),
    )
    .maybe(case.ev_counter(if e.v6 { "Icmp6InDestUnreachs" } else { "Icmp.InDestUnreachs" }))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!("on {from}: netwhy connect {} --transit --from {src}", case.flow.target())))
    .verify(case.ask_again())
    .outside()
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_routers_message_names_it() {
        let scene = Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 1);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.outside && matches!(f.locus, Locus::Hop { .. }));
        let scene = Scene::client("2001:db8::2", 80).icmp_error("ENETUNREACH", "2001:db8:1::1", 1, 0);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("ICMPv6 1/0"));
    }

    #[test]
    fn codes_of_rules_and_own_messages_are_other_causes() {
        silent(
            Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "198.51.100.1", 3, 13).judge(&CAUSE),
        );
        silent(Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", CLIENT4, 3, 1).judge(&CAUSE));
        silent(Scene::client("203.0.113.2", 80).timeout(3000).judge(&CAUSE));
    }
}
