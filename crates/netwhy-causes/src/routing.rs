//! What the causes about routes and policy rules share.

use netwhy_facts::route::{FibAnswers, FibResult, Route, Routes};
use netwhy_facts::{Family, Locus, Role};
use netwhy_walk::{End, Stage};

use crate::case::Case;
use crate::cause::{Finding, Verdict};
use crate::evidence::Evidence;
use crate::obstacle::{Direction, Obstacle, Sight, Way, object_text};

/// Facts `denied` and its helpers read, for the causes' `needs`.
pub const NEEDS: &[&str] = &["attempts", "capture", "mib", "addresses", "fib-answers"];

/// The errno or ICMP error an unroutable path ends with; empty for a silent drop.
pub fn error_of<'a>(o: &Obstacle<'a>) -> &'a str {
    match &o.path.end {
        End::Unroutable { error, .. } => error,
        _ => "",
    }
}

/// What was observed at a lookup that fails or denies.
pub fn sight(case: &Case<'_>, o: &Obstacle<'_>) -> Sight {
    if (o.direction, o.way) == (Direction::Forward, Way::Out) {
        // The sender learns of its own failed lookup at once and by errno; nothing else does that without an ICMP error.
        if case.errno() == Some(error_of(o)) && case.icmp_remote().is_empty() {
            return Sight::Agrees;
        }
        return if case.seen.requests_out > 0 || (case.attempt().is_some() && case.errno().is_none()) {
            Sight::Contradicts
        } else {
            Sight::Nothing
        };
    }
    // A router that refuses says so to the sender.
    let s = &case.seen;
    let told = match o.direction {
        Direction::Forward => s.requests_in > 0 && s.requests_out == 0 && !s.icmp_out.is_empty(),
        Direction::Reply => s.answers_in > 0 && s.answers_out == 0 && !s.icmp_out.is_empty(),
    };
    if told && o.way == Way::Through { Sight::Agrees } else { case.sight(o) }
}

/// The counter that a failed or refused lookup moves, where the kernel has one.
pub fn counter(o: &Obstacle<'_>) -> &'static str {
    let v4 = o.path.packet.family() == Family::Inet;
    match (o.way, v4) {
        (Way::Out, true) => "Ip.OutNoRoutes",
        (Way::Out, false) => "Ip6OutNoRoutes",
        (_, true) => "IpExt.InNoRoutes",
        (_, false) => "Ip6InNoRoutes",
    }
}

/// The kernel's own answer for the destination of a path that starts here, as evidence.
pub fn ev_fib(case: &Case<'_>, o: &Obstacle<'_>) -> Option<Evidence> {
    let dst = o.path.finally.dst;
    let answers = case.facts.value::<FibAnswers>()?;
    let answer = answers.0.iter().find(|a| {
        a.key.dst == dst
            && match o.way {
                Way::Out => a.key.iif.is_none(),
                Way::In | Way::Through => a.key.iif.is_some(),
            }
    })?;
    let from = match (answer.key.src, answer.key.iif) {
        (Some(src), Some(iif)) => format!(" from {src} iif {}", crate::fix::quote(&case.dev_name(iif))),
        (Some(src), None) => format!(" from {src}"),
        _ => String::new(),
    };
    let (text, value) = match &answer.result {
        FibResult::Error { name, .. } => {
            (format!("the kernel's route lookup for {dst} answers {name}"), name.clone())
        }
        FibResult::Route(r) => {
            let dev = r.oif.map(|i| case.dev_name(i)).unwrap_or_default();
            (format!("the kernel's route lookup for {dst} answers {} dev {dev}", r.kind.name()), dev)
        }
    };
    Some(Evidence::new("fib", text, "RTM_GETROUTE").value(value).command(format!("ip route get {dst}{from}")))
}

/// Judges every obstacle that is a lookup which fails or denies and satisfies `wanted`.
/// `say` gives the sentence, `extend` adds fixes and further evidence.
pub fn denied<'a>(
    case: &Case<'a>,
    wanted: impl Fn(&Obstacle<'a>, &Locus) -> bool,
    say: impl Fn(&Obstacle<'a>, &Locus) -> String,
    extend: impl Fn(&Obstacle<'a>, Finding) -> Finding,
) -> Verdict {
    let mut all = Vec::new();
    for o in case.obstacles() {
        let Some(locus) = o.locus else { continue };
        if !wanted(&o, locus) {
            continue;
        }
        let sight = sight(case, &o);
        if sight == Sight::Contradicts {
            all.push(Verdict::ruled_out(
                format!("{} was predicted to stop the flow, but packets got past it", object_text(locus)),
                case.ev_attempt().into_iter().chain(case.ev_capture()).collect(),
            ));
            continue;
        }
        let mut finding = Finding::new(locus.clone(), say(&o, locus));
        if o.next {
            finding = finding.evidence(case.ev_next(&o));
        } else {
            finding = finding
                .maybe(case.ev_attempt())
                .maybe(ev_fib(case, &o))
                .evidence(case.ev_prediction(o.path, case.direction_text(&o)))
                .maybe(case.ev_capture());
        }
        let finding = extend(&o, finding);
        let finding = if finding.verify.is_empty() { finding.verify(case.ask_again()) } else { finding };
        all.push(finding.proven_if(sight == Sight::Agrees && !o.next));
    }
    Verdict::several(all)
}

/// Rules a missing route out where a path was routed.
pub fn found(case: &Case<'_>, path: &netwhy_walk::Path) -> Verdict {
    let Some(route) = deciding_route(path) else { return Verdict::Silent };
    let dst = path.finally.dst;
    let text = format!("the lookup for {dst} finds {}", object_text(route));
    let _ = case;
    Verdict::ruled_out(
        text.clone(),
        vec![Evidence::new("fib", text, "rules and routes").command(format!("ip route get {dst}"))],
    )
}

/// The destination whose lookup an obstacle is about.
pub fn wanted_dst(o: &Obstacle<'_>) -> std::net::IpAddr {
    o.path.finally.dst
}

/// Whether the path is this host's own way out: a client's packets, a server's answers.
pub fn is_own(o: &Obstacle<'_>) -> bool {
    o.way == Way::Out
}

/// Whether the host is asked about packets that pass it.
pub fn is_passing(case: &Case<'_>, o: &Obstacle<'_>) -> bool {
    o.way == Way::Through || case.question.role == Role::Transit
}

/// The route an obstacle or a step names.
pub fn route_of<'a>(case: &Case<'a>, locus: &Locus) -> Option<&'a Route> {
    let Locus::Route { table, dst, gateway, metric, route_type, .. } = locus else { return None };
    case.facts.value::<Routes>()?.routes.iter().find(|r| {
        r.table == *table
            && r.dst == *dst
            && r.priority == *metric
            && r.kind.name() == *route_type
            && gateway.is_none_or(|g| r.hops.iter().any(|h| h.gateway == Some(g)))
    })
}

/// The route that decided a path, by the last routing step that names one.
pub fn deciding_route(path: &netwhy_walk::Path) -> Option<&Locus> {
    path.steps
        .iter()
        .rev()
        .filter(|s| s.stage == Stage::Routing)
        .find_map(|s| s.locus.as_ref().filter(|l| matches!(l, Locus::Route { .. })))
}

/// A route as a command of ip-route(8) names it: `203.0.113.0/24 via 198.51.100.1 dev eth0 table 100`.
pub fn route_words(locus: &Locus) -> String {
    let Locus::Route { table, dst, dev, gateway, route_type, metric } = locus else { return String::new() };
    let mut out = String::new();
    if route_type != "unicast" {
        out.push_str(&format!("{route_type} "));
    }
    match dst.len {
        0 => out.push_str("default"),
        _ => out.push_str(&dst.to_string()),
    }
    if let Some(g) = gateway {
        out.push_str(&format!(" via {g}"));
    }
    if let Some(d) = dev {
        out.push_str(&format!(" dev {}", crate::fix::quote(d)));
    }
    if *metric != 0 {
        out.push_str(&format!(" metric {metric}"));
    }
    if *table != 254 {
        out.push_str(&format!(" table {table}"));
    }
    out
}

/// The command name with the family's option where the arguments alone do not tell it.
pub fn ip_command(v4: bool) -> &'static str {
    if v4 { "ip" } else { "ip -6" }
}
