//! Trials: the attempt again with one thing changed, to tell a wrong choice of this host (route, source, next hop)
//! from a target that is out of reach. A candidate that could be refuted this way names its trial here.

use std::net::IpAddr;

use netwhy_facts::address::Addresses;
use netwhy_facts::attempt::{Attempt, Attempts, Outcome};
use netwhy_facts::link::Links;
use netwhy_facts::route::{RouteType, Routes};
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Facts, Flow, IpNet, Locus, Proto, Question, Role};
use netwhy_walk::{End, Path};

use crate::case::{Case, Fate, Seen};
use crate::engine::FlowPaths;

/// Trials of one question at most.
const MAX: usize = 4;

/// One attempt to make in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// To the same target.
    pub flow: Flow,
    /// Bound to this device instead of the one the routes choose.
    pub device: Option<String>,
    /// Bound to this source address instead of the one the kernel chooses.
    pub source: Option<IpAddr>,
}

impl Trial {
    /// What the attempt is called among the facts.
    pub fn variant(&self) -> String {
        match (&self.device, self.source) {
            (Some(d), _) => format!("device={d}"),
            (None, Some(s)) => format!("source={s}"),
            (None, None) => "again".into(),
        }
    }
}

/// A SYN to send by hand: what it is called among the facts, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SynTrial {
    pub variant: String,
    pub ecn: bool,
    pub sack: bool,
    pub timestamps: bool,
    pub window_scale: bool,
}

/// How a SYN by hand is called that carries all that the kernel's own does.
pub const AS_SENT: &str = "as-sent";
/// The same without any option but the segment size.
pub const WITHOUT_OPTIONS: &str = "without-options";
/// The same question from other source ports.
pub const OTHER_PORT: &str = "other-source-port";
/// The same question from the source port that failed.
pub const SAME_PORT: &str = "same-source-port";

/// The SYNs that tell whether an option is what gets lost: as the kernel sends them here, and each with one thing
/// left out. Empty where the settings are not known.
pub fn syns(facts: &Facts) -> Vec<SynTrial> {
    let Some(settings) = facts.value::<Sysctls>() else { return Vec::new() };
    let on = |name: &str| settings.number(&format!("net.ipv4.{name}")).is_some_and(|n| n > 0);
    // 1 asks for it; 2, the usual, only grants it. 3 and above ask for accurate ECN, which begins with the same flags.
    let ecn = settings.number("net.ipv4.tcp_ecn").is_some_and(|n| n == 1 || n >= 3);
    let (sack, timestamps) = (on("tcp_sack"), on("tcp_timestamps"));
    let window_scale = on("tcp_window_scaling");
    let all = SynTrial { variant: AS_SENT.into(), ecn, sack, timestamps, window_scale };
    let less = |variant: &str, change: fn(&mut SynTrial)| {
        let mut one = SynTrial { variant: variant.into(), ..all.clone() };
        change(&mut one);
        one
    };
    let mut out = vec![
        all.clone(),
        less("without-ecn", |s| s.ecn = false),
        less("without-sack", |s| s.sack = false),
        less("without-timestamps", |s| s.timestamps = false),
        less("without-window-scale", |s| s.window_scale = false),
        less(WITHOUT_OPTIONS, |s| {
            (s.ecn, s.sack, s.timestamps, s.window_scale) = (false, false, false, false);
        }),
    ];
    // What is not sent cannot be left out.
    let carries = |s: &SynTrial| (s.ecn, s.sack, s.timestamps, s.window_scale);
    out.retain(|s| s.variant == AS_SENT || carries(s) != carries(&all));
    out
}

/// Whether the call itself was denied, as a policy does: no packet, no route, no rule explains it.
pub fn denied(case: &Case<'_>) -> bool {
    case.flow.proto == Proto::Tcp
        && matches!(case.errno(), Some("EACCES" | "EPERM"))
        && case.forward_passes()
        && case.seen.requests_out == 0
}

/// Whether the connection requests of a flow left this host and vanished without a word.
pub fn vanished(case: &Case<'_>) -> bool {
    let s = &case.seen;
    // Without a capture the counters say whether the repeated ones left.
    let uncaught = || {
        case.grew("TcpExt.TCPRetransFail") == Some(0)
            && case.grew("TcpExt.TCPSynRetrans").is_some_and(|n| n > 0)
            && case.forward_passes()
    };
    case.flow.proto == Proto::Tcp
        && case.timed_out()
        && (s.syn_out > 0 || (!s.known && uncaught()))
        && s.answers_in + s.resets_in == 0
        && s.icmp_in.is_empty()
        && case.icmp_remote().is_empty()
        && !case.target_is_local()
}

/// The trials worth making after the plain attempts failed.
pub fn wanted(facts: &Facts, question: &Question, paths: &[FlowPaths]) -> Vec<Trial> {
    let mut out = Vec::new();
    if question.role != Role::Client {
        return out;
    }
    for p in paths {
        let seen = Seen::of(facts, &p.flow, &p.forward, question.role, question.from);
        let case = Case {
            facts,
            question,
            flow: &p.flow,
            forward: &p.forward,
            reply: &p.reply,
            beyond: &p.beyond,
            seen,
        };
        if case.fate() != Fate::Fails || case.target_is_local() || p.flow.proto == Proto::Udp || !lost(&case)
        {
            continue;
        }
        let Some(dev) = egress(&p.forward) else { continue };
        if p.flow.dev.is_none() {
            for device in other_devices(facts, &p.flow, &dev) {
                out.push(Trial { flow: p.flow.clone(), device: Some(device), source: None });
            }
        }
        for source in better_sources(facts, &p.forward, &dev) {
            out.push(Trial { flow: p.flow.clone(), device: None, source: Some(source) });
        }
    }
    out.truncate(MAX);
    out
}

/// The attempt got lost after it was routed: silence, an own failed resolution, or an error from another host.
fn lost(case: &Case<'_>) -> bool {
    let s = &case.seen;
    let silence = case.timed_out() && s.known && s.answers_in + s.resets_in == 0;
    let unresolved = case.errno() == Some("EHOSTUNREACH") && case.elapsed_ms().is_some_and(|ms| ms > 500);
    silence || unresolved || !case.icmp_remote().is_empty()
}

/// The device a path leaves by, or would if its next hop answered.
pub fn egress(path: &Path) -> Option<String> {
    match &path.end {
        End::Sent { dev, .. } => Some(dev.clone()),
        End::Unresolved { locus: Locus::Neighbour { dev, .. } } => Some(dev.clone()),
        _ => None,
    }
}

/// Other devices that are up and have a route for the destination in any table.
fn other_devices(facts: &Facts, flow: &Flow, chosen: &str) -> Vec<String> {
    let (Some(routes), Some(links)) = (facts.value::<Routes>(), facts.value::<Links>()) else {
        return Vec::new();
    };
    let mut out: Vec<String> = Vec::new();
    let covers = |r: &&netwhy_facts::route::Route| r.kind == RouteType::Unicast && r.dst.contains(&flow.dst);
    for hop in routes.routes.iter().filter(covers).flat_map(|r| &r.hops) {
        let Some(link) = hop.oif.and_then(|i| links.by_index(i)) else { continue };
        let usable = link.is_up() && link.carrier != Some(false) && !link.is_loopback() && !hop.is_dead();
        if usable && link.name != chosen && !out.contains(&link.name) {
            out.push(link.name.clone());
        }
    }
    out.truncate(2);
    out
}

/// Addresses of the egress device that lie in the next hop's network, where the chosen source does not.
fn better_sources(facts: &Facts, path: &Path, dev: &str) -> Vec<IpAddr> {
    let (Some(links), Some(addresses)) = (facts.value::<Links>(), facts.value::<Addresses>()) else {
        return Vec::new();
    };
    let Some(index) = links.by_name(dev).map(|l| l.index) else { return Vec::new() };
    let hop = match &path.end {
        End::Sent { next_hop: Some(hop), .. } => *hop,
        _ => return Vec::new(),
    };
    // Before translation: what the socket is bound to.
    let chosen = if path.packet.src.is_unspecified() { path.finally.src } else { path.packet.src };
    let near = |a: &&netwhy_facts::address::Address| {
        a.ifindex == index && a.addr.is_ipv4() == hop.is_ipv4() && IpNet::new(a.addr, a.prefix).contains(&hop)
    };
    let usable = |a: &&netwhy_facts::address::Address| {
        !a.is_tentative() && !a.is_dadfailed() && !a.is_deprecated() && a.scope == 0
    };
    if addresses.0.iter().filter(near).any(|a| a.addr == chosen && !a.is_deprecated()) {
        return Vec::new();
    }
    addresses.0.iter().filter(near).filter(usable).map(|a| a.addr).take(1).collect()
}

/// Attempts to a flow that varied something named `prefix=`: what it was varied to, and the attempt.
pub fn of<'a>(case: &Case<'a>, prefix: &str) -> Vec<(&'a str, &'a Attempt)> {
    let Some(attempts) = case.facts.latest::<Attempts>().value() else { return Vec::new() };
    let ours =
        |a: &&Attempt| a.dst == case.flow.dst && a.dport == case.flow.dport && a.proto == case.flow.proto;
    attempts
        .0
        .iter()
        .filter(ours)
        .filter_map(|a| {
            let (name, to) = a.variant.as_deref()?.split_once('=')?;
            (name == prefix).then_some((to, a))
        })
        .collect()
}

/// Whether the target itself answered an attempt: it stood, or was refused by a reset.
pub fn answered(a: &Attempt) -> bool {
    match &a.outcome {
        Outcome::Ok | Outcome::ClosedEarly { .. } => true,
        Outcome::Error { name, .. } => name == "ECONNREFUSED" && a.icmp.is_empty(),
        Outcome::Timeout => false,
    }
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn trials(scene: Scene) -> Vec<String> {
        let mut scene = scene;
        if let Some(packets) = scene.packets.take() {
            scene.put(netwhy_facts::capture::FlowCapture {
                packets,
                dropped: 0,
                beyond_bound: 0,
                of_others: 0,
            });
        }
        let paths = [FlowPaths {
            flow: scene.flow.clone(),
            forward: scene.forward.clone(),
            reply: scene.reply.clone(),
            beyond: vec![],
        }];
        wanted(&scene.facts, &scene.question, &paths).iter().map(Trial::variant).collect()
    }
    fn two_ways() -> Scene {
        Scene::client("203.0.113.2", 80).with(Routes {
            routes: vec![
                scene_route("0.0.0.0", 0, 2, "198.51.100.1"),
                scene_route("203.0.113.0", 25, 3, "192.0.2.254"),
            ],
            complete: true,
        })
    }

    #[test]
    fn a_lost_packet_is_tried_by_the_other_device() {
        let scene = two_ways().forward(
            &[Stage::Routing, Stage::Link],
            End::Sent { dev: "eth1".into(), next_hop: Some(ip("192.0.2.254")) },
        );
        assert_eq!(trials(scene.timeout(3000).request_out()), ["device=eth0"]);
    }

    #[test]
    fn a_flow_that_works_or_is_refused_is_not_tried_again() {
        let refused = two_ways().errno("ECONNREFUSED", 1).request_out().reset_in();
        assert!(trials(refused).is_empty());
        assert!(trials(two_ways()).is_empty());
    }

    #[test]
    fn only_what_a_syn_carries_is_left_out() {
        let names = |settings: &[(&str, &str)]| {
            let mut scene = Scene::client("203.0.113.2", 80);
            let known = settings.iter().map(|(k, v)| (format!("net.ipv4.{k}"), v.to_string()));
            scene.put(Sysctls(known.collect()));
            syns(&scene.facts).into_iter().map(|s| s.variant).collect::<Vec<_>>()
        };
        assert_eq!(names(&[("tcp_ecn", "2")]), ["as-sent"]);
        assert_eq!(names(&[("tcp_ecn", "1")]), ["as-sent", "without-ecn", "without-options"]);
        assert_eq!(
            names(&[("tcp_sack", "1"), ("tcp_timestamps", "2"), ("tcp_window_scaling", "0")]),
            ["as-sent", "without-sack", "without-timestamps", "without-options"]
        );
        assert!(syns(&Facts::new()).is_empty());
    }

    #[test]
    fn a_source_outside_the_next_hops_network_is_tried_with_the_one_inside() {
        let mut scene = two_ways()
            .with(Addresses(vec![address(2, "192.0.2.77", 32), address(2, CLIENT4, 24)]))
            .forward(
                &[Stage::Routing, Stage::Link],
                End::Sent { dev: "eth0".into(), next_hop: Some(ip("198.51.100.1")) },
            )
            .timeout(3000)
            .request_out();
        scene.forward.packet.src = ip("192.0.2.77");
        assert_eq!(trials(scene), ["device=eth1", format!("source={CLIENT4}").as_str()]);
    }
}
