//! # Packets run out of hops: a routing loop or a small TTL
//!
//! ## What you see
//! connect() fails with EHOSTUNREACH or times out; the path shows the same routers again and again. On a router in the
//! loop the same packet passes several times with a falling TTL.
//!
//! ## What happens
//! Two routers each take the other for the way to the target, or the packet starts with too small a TTL. The router
//! where the TTL ends drops it and says time exceeded.
//!
//! ## How netwhy knows
//! An ICMP time-exceeded message about the flow arrived (or left this host), hops repeat on the probed path, or the
//! capture saw one packet come in more than once with different TTLs.
//!
//! ## Look-alikes
//! A rejection (fw-reject): another ICMP type. A long path: hops do not repeat and the TTL this host sends is small.
//!
//! ## What to do
//! Correct the routes of the two routers that name each other; or raise net.ipv4.ip_default_ttl where it is small.
//!
//! ## References
//! RFC 1812 section 5.2.7.3, RFC 4443 section 3.3; net/ipv4/ip_forward.c.

use netwhy_facts::capture::FlowCapture;
use netwhy_facts::path::{HopReplyKind, Paths};
use netwhy_facts::question::Scenario;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "ttl-or-loop",
    title: "packets run out of hops: a routing loop or a small TTL",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Transit],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["attempts", "paths", "capture", "sysctls", "mib", "addresses", "links"],
    explains: &["path-or-remote-drop", "path-hop-unreachable", "fw-reject"],
    judge,
};

/// A TTL this small does not cross the Internet.
const SMALL: i64 = 32;

fn judge(case: &Case<'_>) -> Verdict {
    match case.question.role {
        Role::Transit => on_the_way(case),
        _ => from_the_client(case),
    }
}

fn exceeded(v6: bool, icmp_type: u8) -> bool {
    icmp_type == if v6 { 3 } else { 11 }
}

fn from_the_client(case: &Case<'_>) -> Verdict {
    let told = case.icmp_remote().into_iter().find(|e| exceeded(e.v6, e.icmp_type) && e.code == 0);
    let looped = repeated_hops(case);
    if told.is_none() && looped.is_none() {
        return Verdict::Silent;
    }
    let target = case.flow.target();
    let v4 = case.flow.dst.is_ipv4();
    let setting = if v4 { "net.ipv4.ip_default_ttl" } else { "net.ipv6.conf.all.hop_limit" };
    let ttl = case.facts.value::<Sysctls>().and_then(|s| s.number(setting));
    // Hops that repeat are a loop whatever the TTL; without them a small TTL of our own is the nearer explanation.
    if let (None, Some(ttl)) = (&looped, ttl.filter(|t| *t < SMALL)) {
        return Finding::new(
            Locus::Sysctl { name: setting.into(), value: ttl.to_string() },
            format!("{setting} = {ttl}: packets of this host end before they reach {target}"),
        )
        .maybe(case.ev_attempt())
        .maybe(told.and_then(|e| ev_told(e.from?, e.v6)))
        .fix(Fix::run(
            "the usual value",
            format!("sysctl -w {setting}=64"),
            format!("sysctl -w {setting}={ttl}"),
        ))
        .verify(case.ask_again())
        .proven_if(told.is_some());
    }
    let (address, ttl_of, text) = match &looped {
        Some((a, b, ttl)) => (
            Some(*a),
            *ttl,
            format!("packets to {target} run in a circle: {a} and {b} send them to each other"),
        ),
        None => (told.and_then(|e| e.from), 0, format!("packets to {target} run out of hops on the way")),
    };
    let who = address.map(|a| a.to_string()).unwrap_or_else(|| "a router".into());
    let mut finding = Finding::new(
        Locus::Hop { address, ttl: ttl_of, detail: "time exceeded".into() },
        format!("{text} (ICMP time exceeded)"),
    )
    .maybe(case.ev_attempt());
    if let Some(e) = told.and_then(|e| ev_told(e.from?, e.v6)) {
        finding = finding.evidence(e);
    }
    if let Some((a, b, _)) = &looped {
        finding = finding.evidence(
            Evidence::new(
                "loop",
                format!("{a} and {b} answer again at greater distances"),
                "TTL-limited probes",
            )
            .value(serde_json::json!([a.to_string(), b.to_string()]))
            .command(format!("traceroute -n {}", case.flow.dst)),
        );
    }
    finding
        .maybe(case.ev_capture())
        .fix(Fix::act(format!("on {who}: ip route get {} — and on the router it names", case.flow.dst)))
        .verify(case.ask_again())
        .outside()
        .proven()
}

fn ev_told(from: std::net::IpAddr, v6: bool) -> Option<Evidence> {
    Some(
        Evidence::new("icmp-error", format!("time exceeded arrived from {from}"), "IP_RECVERR")
            .value(from.to_string())
            .command(format!("tcpdump -nni any '{} and src {from}'", if v6 { "icmp6" } else { "icmp" })),
    )
}

/// Two hops that answer at more than one distance each: the ends of the circle, and where it begins.
fn repeated_hops(case: &Case<'_>) -> Option<(std::net::IpAddr, std::net::IpAddr, u8)> {
    let paths = case.facts.latest::<Paths>().value()?;
    let path = paths.0.iter().find(|p| p.flow.dst == case.flow.dst)?;
    let seen: Vec<(u8, std::net::IpAddr)> = path
        .hops
        .iter()
        .filter_map(|h| {
            let reply = h.replies.iter().find(|r| matches!(r.kind, HopReplyKind::TimeExceeded))?;
            Some((h.ttl, reply.from))
        })
        .collect();
    for (i, (ttl, a)) in seen.iter().enumerate() {
        let rest = seen.get(i + 1..)?;
        let Some(again) = rest.iter().position(|(_, x)| x == a) else { continue };
        // Something else between: a silent device that answers twice in a row is no circle.
        if let Some((_, b)) = rest.get(..again).and_then(|between| between.iter().find(|(_, x)| x != a)) {
            return Some((*a, *b, *ttl));
        }
    }
    None
}

fn on_the_way(case: &Case<'_>) -> Verdict {
    let Some(capture) = case.facts.latest::<FlowCapture>().value() else { return Verdict::Silent };
    // One packet that comes in again with a smaller TTL: it left here and was sent back.
    let mut circle = None;
    for (i, a) in
        capture.packets.iter().enumerate().filter(|(_, p)| !p.out && p.icmp.is_none() && p.arp.is_none())
    {
        let same = |b: &&netwhy_facts::capture::CapturedPacket| {
            !b.out
                && (b.src, b.dst, b.proto, b.sport, b.dport, b.seq)
                    == (a.src, a.dst, a.proto, a.sport, a.dport, a.seq)
                && b.tcp_flags == a.tcp_flags
                && b.ttl < a.ttl
        };
        if let Some(b) = capture.packets.iter().skip(i + 1).find(same) {
            circle = Some((a.clone(), b.clone()));
            break;
        }
    }
    let told = case.seen.icmp_out.iter().any(|p| {
        let v6 = p.src.is_ipv6();
        p.icmp.is_some_and(|(t, _, _)| exceeded(v6, t))
    });
    let Some((first, again)) = circle else { return Verdict::Silent };
    let Some(route) = routing::deciding_route(case.forward) else { return Verdict::Silent };
    let back = case.dev_name(again.ifindex);
    Finding::new(
        route.clone(),
        format!(
            "{} sends packets for {} to a router that sends them back (by {back}): they run in a circle",
            object_text(route),
            case.flow.target()
        ),
    )
    .evidence(
        Evidence::new(
            "circle",
            format!("one packet came in with TTL {} and again with TTL {} by {back}", first.ttl, again.ttl),
            "AF_PACKET",
        )
        .value(serde_json::json!([first.ttl, again.ttl]))
        .command(format!("tcpdump -nnvi any dst {}", case.flow.dst)),
    )
    .maybe(if told { case.ev_counter("Icmp.OutTimeExcds") } else { None })
    .maybe(case.ev_counter("Ip.InHdrErrors"))
    .maybe(case.ev_capture())
    .fix(Fix::act(format!(
        "one of the two routes is wrong: {} here, and the route for {} on the next hop",
        object_text(route),
        case.flow.dst
    )))
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Proto;
    use netwhy_facts::path::{Hop, HopReply, Path};

    use super::*;
    use crate::testing::*;

    fn told() -> Scene {
        Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "192.0.2.1", 11, 0)
    }
    fn traced(hops: &[&str]) -> Paths {
        let flow = Scene::client("203.0.113.2", 80).flow;
        let hop = |(i, a): (usize, &&str)| Hop {
            ttl: i as u8 + 1,
            replies: vec![HopReply { from: ip(a), rtt_us: 100, kind: HopReplyKind::TimeExceeded }],
            sent: 1,
        };
        Paths(vec![Path {
            flow,
            proto: Proto::Tcp,
            hops: hops.iter().enumerate().map(hop).collect(),
            reached_at: None,
            sent: 3,
        }])
    }

    #[test]
    fn time_exceeded_is_outside_and_names_its_sender() {
        let f = proven(told().judge(&CAUSE));
        assert!(f.outside);
        assert!(matches!(f.locus, Locus::Hop { address: Some(a), .. } if a == ip("192.0.2.1")));
    }

    #[test]
    fn hops_that_repeat_name_the_circle() {
        let hops = ["198.51.100.1", "192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"];
        let f = proven(told().with(traced(&hops)).judge(&CAUSE));
        assert!(f.summary.contains("192.0.2.1 and 192.0.2.2"), "{}", f.summary);
    }

    #[test]
    fn a_small_ttl_of_our_own_is_ours_to_change() {
        let small = Sysctls([("net.ipv4.ip_default_ttl".to_string(), "2".to_string())].into());
        let f = proven(told().with(small).judge(&CAUSE));
        assert!(!f.outside && f.fix[0].command == "sysctl -w net.ipv4.ip_default_ttl=64");
    }

    #[test]
    fn a_router_that_answers_twice_in_a_row_is_no_circle() {
        let hops = ["198.51.100.1", "192.0.2.1", "192.0.2.1"];
        silent(Scene::client("203.0.113.2", 80).timeout(3000).with(traced(&hops)).judge(&CAUSE));
    }

    #[test]
    fn another_icmp_error_is_another_matter() {
        silent(Scene::client("203.0.113.2", 80).icmp_error("EHOSTUNREACH", "192.0.2.1", 3, 1).judge(&CAUSE));
    }

    #[test]
    fn a_packet_that_comes_again_with_less_to_live_is_a_circle_here() {
        let mut scene = Scene::transit("203.0.113.2", 80).request_in().request_out().request_in();
        if let Some(p) = scene.packets.as_mut().and_then(|p| p.last_mut()) {
            p.ttl = 62;
            p.ifindex = 3;
        }
        scene.forward.steps[0].stage = netwhy_walk::Stage::Routing;
        scene.forward.steps[0].locus = Some(Locus::Route {
            table: 254,
            dst: netwhy_facts::IpNet::new(ip("203.0.113.0"), 24),
            dev: Some("eth1".into()),
            gateway: Some(ip("192.0.2.2")),
            route_type: "unicast".into(),
            metric: 0,
        });
        assert!(matches!(proven(scene.judge(&CAUSE)).locus, Locus::Route { .. }));
        let repeated = Scene::transit("203.0.113.2", 80).request_in().request_out().request_in();
        silent(repeated.judge(&CAUSE));
    }
}
