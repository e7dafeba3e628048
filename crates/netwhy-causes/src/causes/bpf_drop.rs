//! # A BPF program drops the flow
//!
//! ## What you see
//! Packets vanish and no rule, route or counter of the usual kind says why; or connect() fails at once with EPERM.
//!
//! ## What happens
//! A BPF program at a hook the packet passes refuses it: XDP before anything else sees the frame, tc or tcx on a device,
//! a netfilter link beside the rules, or a control group's connect, egress or ingress hook.
//!
//! ## How netwhy knows
//! A program is attached where the packet was last seen before it vanished, and the kernel, asked to run the program on a
//! packet of the flow (BPF_PROG_TEST_RUN), answers "drop"; or it is the only thing left between the last sight and the
//! next, everything else being evaluated. A program that is merely attached is accused of nothing.
//!
//! ## Look-alikes
//! A rule (its counter, NETFILTER_DROP in nft_do_chain); a drop on the path (the packet was seen to leave). A program
//! that lets the packet pass when it is run.
//!
//! ## What to do
//! Correct the program's map or policy, or detach it. Whoever loaded it will load it again: look for its owner first.
//!
//! ## References
//! bpf(2), tc-bpf(8), bpftool(8); Documentation/bpf; net/core/filter.c, net/core/dev.c (do_xdp_generic).

use netwhy_facts::bpf::{BpfAttached, BpfGaps, BpfPrograms, BpfTrials};
use netwhy_facts::link::Links;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::{Packet, Path, Stage};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::events::{Freed, by_tracking};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::{Direction, Way, object_text};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "bpf-drop",
    title: "a BPF program drops the flow",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Bpf,
    scope: Scope::EveryFlow,
    needs: &[
        "bpf",
        "bpf-gaps",
        "bpf-trials",
        "links",
        "mib",
        "capture",
        "attempts",
        "addresses",
        "kernel-events",
    ],
    explains: &[
        "path-or-remote-drop",
        "neigh-unresolved",
        "reply-lost-upstream",
        "request-not-arriving",
        "fw-drop-outbound",
    ],
    judge,
};

/// Where a program stands relative to where packets are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the capture: XDP.
    Unseen,
    /// Behind the capture on the way in, or between the devices.
    Inside,
    /// Before the capture on the way out.
    Outgoing,
    /// At the system call.
    Call,
}

/// A program on the flow's way that could be the one.
pub struct Suspect<'a> {
    locus: Locus,
    place: Place,
    /// The attachment; absent for a classic filter without an id.
    pub program: Option<&'a BpfAttached>,
    /// Preference of the tc filter that carries it.
    pref: Option<u32>,
    /// Toward the target, or back.
    pub request: bool,
    /// The packet as the program would see it.
    pub packet: &'a Packet,
}

fn judge(case: &Case<'_>) -> Verdict {
    if case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    let suspects = suspects(case);
    if suspects.is_empty() {
        // Only where packets vanished and nothing else is predicted to stop them would a program be suspected.
        return match case.bpf_absence() {
            Some(absence) if case.vanished().is_some() && case.obstacles().is_empty() => {
                Verdict::unknown("whether a BPF program drops the flow", absence)
            }
            _ => gap(case),
        };
    }
    let tried: Vec<(&Suspect<'_>, Option<bool>)> = suspects.iter().map(|s| (s, drops(case, s))).collect();
    if let Some((s, _)) = tried.iter().find(|(_, d)| *d == Some(true)) {
        let sure = s.place != Place::Unseen || frames_came(case, s) || freed_by(case, s).is_some();
        return finding(case, s, true).proven_if(sure);
    }
    let open: Vec<&Suspect<'_>> = tried.iter().filter(|(_, d)| d.is_none()).map(|(s, _)| *s).collect();
    match open.as_slice() {
        [] => Verdict::ruled_out(
            "every BPF program on the way, run on a packet of the flow, lets it pass",
            suspects.iter().filter_map(|s| ev_trial(case, s)).collect(),
        ),
        // The kernel freed packets of the flow at the hook of one of them.
        open if open.iter().filter(|s| freed_by(case, s).is_some()).count() == 1 => {
            match open.iter().find(|s| freed_by(case, s).is_some()) {
                Some(one) => finding(case, one, false).proven(),
                None => Verdict::Silent,
            }
        }
        // Nothing else lies between where the packet was seen and where it was not.
        [only] if only.place != Place::Unseen && nothing_else(case) => finding(case, only, false).proven(),
        [first, ..] if nothing_else(case) => finding(case, first, false).consistent(),
        _ => Verdict::Silent,
    }
}

/// Hooks that could not be asked, where a program there could be the one.
fn gap(case: &Case<'_>) -> Verdict {
    if case.vanished().is_none() || !case.obstacles().is_empty() || !nothing_else(case) {
        return Verdict::Silent;
    }
    match case.facts.value::<BpfGaps>().and_then(|g| g.0.first()) {
        Some((what, why)) => Verdict::unknown(
            format!("whether a BPF program of {what} drops the flow"),
            netwhy_facts::Absence::Unsupported(why.clone()),
        ),
        None => Verdict::Silent,
    }
}

/// Programs on the stretch on which the packets were lost.
pub fn suspects<'a>(case: &Case<'a>) -> Vec<Suspect<'a>> {
    let mut out = Vec::new();
    // Paths and places that fit what was seen: the request or the answer, and before or behind the capture.
    for (request, place) in stretches(case) {
        let path = if request { case.forward } else { case.reply };
        out.extend(on_path(case, path, request, place));
    }
    out
}

fn stretches(case: &Case<'_>) -> Vec<(bool, Place)> {
    let s = &case.seen;
    let sure = s.known && s.lost == 0;
    let silent_back = sure && s.requests_out > 0 && s.answers_in + s.resets_in == 0 && s.icmp_in.is_empty();
    match case.question.role {
        Role::Client => match case.vanished() {
            Some((Direction::Forward, _)) => vec![(true, Place::Call), (true, Place::Outgoing)],
            Some((Direction::Reply, _)) => vec![(false, Place::Inside)],
            None if case.timed_out() && silent_back => vec![(false, Place::Unseen)],
            None => vec![],
        },
        Role::Inbound => match case.vanished() {
            Some((Direction::Forward, Way::In)) => vec![(true, Place::Inside), (false, Place::Outgoing)],
            Some(_) => vec![(true, Place::Inside)],
            None if sure && s.requests_in == 0 => vec![(true, Place::Unseen)],
            None => vec![],
        },
        Role::Transit => match case.vanished() {
            Some((Direction::Forward, _)) => vec![(true, Place::Inside)],
            Some((Direction::Reply, _)) => vec![(false, Place::Inside)],
            None if sure && s.requests_in == 0 => vec![(true, Place::Unseen)],
            None if silent_back => vec![(false, Place::Unseen)],
            None => vec![],
        },
    }
}

fn on_path<'a>(case: &Case<'a>, path: &'a Path, request: bool, wanted: Place) -> Vec<Suspect<'a>> {
    let programs = case.facts.value::<BpfPrograms>().map(|b| b.0.as_slice()).unwrap_or_default();
    let mut out: Vec<Suspect<'a>> = Vec::new();
    for step in &path.steps {
        let Some(locus @ (Locus::Bpf { .. } | Locus::Filter { .. })) = &step.locus else { continue };
        let program = program_of(case, programs, locus);
        let hook = program.map_or("", |p| p.hook.as_str());
        let place = match step.stage {
            Stage::Xdp => Place::Unseen,
            Stage::CgroupBpf if hook.contains("connect") || hook.contains("sendmsg") => Place::Call,
            Stage::CgroupBpf | Stage::TcEgress | Stage::Output | Stage::Postrouting
                if wanted == Place::Outgoing =>
            {
                Place::Outgoing
            }
            Stage::CgroupBpf if hook != "cgroup-ingress" => Place::Outgoing,
            _ => Place::Inside,
        };
        if place != wanted {
            continue;
        }
        let pref = match locus {
            Locus::Filter { pref, .. } => Some(*pref),
            _ => None,
        };
        let locus = match (locus, program) {
            (Locus::Filter { dev, .. }, Some(p)) => Locus::Bpf {
                hook: p.hook.clone(),
                dev: Some(dev.clone()),
                prog_id: p.prog_id,
                name: p.name.clone(),
            },
            _ => locus.clone(),
        };
        let packet = if place == Place::Unseen { &path.packet } else { &path.finally };
        if !out.iter().any(|s| s.locus == locus) {
            out.push(Suspect { locus, place, program, pref, request, packet });
        }
    }
    // The control group of the receiving socket is asked last; the walker does not know which one that is.
    if wanted == Place::Inside && case.question.role != Role::Transit {
        for p in programs.iter().filter(|p| p.hook == "cgroup-ingress") {
            let locus =
                Locus::Bpf { hook: p.hook.clone(), dev: None, prog_id: p.prog_id, name: p.name.clone() };
            out.push(Suspect {
                locus,
                place: Place::Inside,
                program: Some(p),
                pref: None,
                request,
                packet: &path.finally,
            });
        }
    }
    out
}

fn program_of<'a>(case: &Case<'a>, programs: &'a [BpfAttached], locus: &Locus) -> Option<&'a BpfAttached> {
    match locus {
        Locus::Bpf { prog_id, hook, .. } => programs
            .iter()
            .find(|p| p.prog_id == *prog_id && p.hook == *hook)
            .or_else(|| programs.iter().find(|p| p.prog_id == *prog_id)),
        Locus::Filter { dev, parent, .. } => {
            let index = case.facts.value::<Links>()?.by_name(dev)?.index;
            let hook = if parent.ends_with("fff3") { "tc-egress" } else { "tc-ingress" };
            programs.iter().find(|p| p.ifindex == Some(index) && p.hook == hook)
        }
        _ => None,
    }
}

/// What the program's answer for the packet means, when it was run on it.
fn drops(case: &Case<'_>, s: &Suspect<'_>) -> Option<bool> {
    let program = s.program?;
    let trials = case.facts.value::<BpfTrials>()?;
    let result =
        trials.0.iter().find(|t| t.prog_id == program.prog_id && t.request == s.request).map(|t| t.result)?;
    Some(match program.hook.as_str() {
        h if h.starts_with("xdp") => matches!(result, 0 | 1),
        h if h.starts_with("tc") => result == 2,
        h if h.starts_with("cgroup") => result & 1 == 0,
        "netfilter" => result == 0,
        _ => return None,
    })
}

/// Programs that can be run on a packet; the question's runner asks for these.
pub fn can_be_run(s: &Suspect<'_>) -> bool {
    let Some(p) = s.program else { return false };
    let v4 = s.packet.src.is_ipv4();
    p.hook.starts_with("xdp")
        || p.hook.starts_with("tc")
        || matches!(p.hook.as_str(), "cgroup-egress" | "cgroup-ingress")
        // The kernel assumes IPv4 unless it is told the hook's state.
        || (p.hook == "netfilter" && v4)
}

/// The device received frames in the window although none of the flow was seen behind its program.
fn frames_came(case: &Case<'_>, s: &Suspect<'_>) -> bool {
    let Locus::Bpf { dev: Some(dev), .. } = &s.locus else { return false };
    let at = |links: Option<&Links>| links?.by_name(dev).map(|l| l.stats.rx_packets);
    match (at(case.facts.get::<Links>().value()), at(case.facts.after::<Links>().value())) {
        (Some(before), Some(after)) => after > before,
        _ => false,
    }
}

/// Everything that could be evaluated lets the packet pass, and no counter speaks for another silent drop.
fn nothing_else(case: &Case<'_>) -> bool {
    let by_bpf = |p: &Path| {
        p.passes()
            && p.assumptions.iter().all(|a| {
                a.contains("BPF program")
                    || a.contains("XDP program")
                    || a.starts_with("not known: ")
                    || a.ends_with("taken as none")
            })
    };
    let both = by_bpf(case.forward) && (case.question.role == Role::Client || by_bpf(case.reply));
    const OTHERS: &[&str] = &[
        "TcpExt.ListenDrops",
        "TcpExt.ListenOverflows",
        "TcpExt.IPReversePathFilter",
        "TcpExt.TCPReqQFullDrop",
        "Ip.InAddrErrors",
        "Ip.OutNoRoutes",
        "Udp.RcvbufErrors",
    ];
    let flat = OTHERS.iter().all(|c| case.grew(c).unwrap_or(0) == 0);
    both && flat
}

/// Packets of the flow that the kernel freed where this program stands. XDP has a reason of its own that the generic
/// and the veth hook do not use: there the place tells.
fn freed_by<'a>(case: &Case<'a>, s: &Suspect<'_>) -> Option<Freed<'a>> {
    let direction = if s.request { Direction::Forward } else { Direction::Reply };
    let hook = match (&s.locus, s.program) {
        (_, Some(p)) => p.hook.as_str(),
        (Locus::Filter { parent, .. }, _) if parent.ends_with("fff3") => "tc-egress",
        (Locus::Filter { .. }, _) => "tc-ingress",
        (Locus::Bpf { hook, .. }, _) => hook.as_str(),
        _ => return None,
    };
    let device = s.program.and_then(|p| p.ifindex);
    case.drop_event(|f| {
        let at_hook = match hook {
            h if h.starts_with("xdp") => f.reason == "XDP" || f.location.contains("xdp"),
            h if h.starts_with("tc") && h.ends_with("egress") => f.reason == "TC_EGRESS",
            h if h.starts_with("tc") => f.reason == "TC_INGRESS",
            "cgroup-egress" => f.reason == "BPF_CGROUP_EGRESS",
            "cgroup-ingress" => f.reason == "SOCKET_FILTER",
            "netfilter" => f.by_netfilter() && by_tracking(f.location),
            _ => false,
        };
        f.is(direction) && at_hook && (f.dev.is_none() || device.is_none() || f.dev == device)
    })
}

fn ev_trial(case: &Case<'_>, s: &Suspect<'_>) -> Option<Evidence> {
    let program = s.program?;
    let dropped = drops(case, s)?;
    let what = if s.request { "a packet of the flow" } else { "an answer of the flow" };
    let verb = if dropped { "drops it" } else { "lets it pass" };
    Some(
        Evidence::new(
            "program-run",
            format!("run on {what}, program {} {verb}", program.prog_id),
            "BPF_PROG_TEST_RUN",
        )
        .value(dropped)
        .command(format!("bpftool prog run id {} data_in PACKET", program.prog_id)),
    )
}

fn finding(case: &Case<'_>, s: &Suspect<'_>, ran: bool) -> Finding {
    let whose = match (s.request, case.question.role) {
        (true, Role::Client) => format!("the packets this host sends to {}", case.flow.target()),
        (true, _) => format!("the packets to {}", case.flow.target()),
        (false, _) => format!("the answers of {}", case.flow.target()),
    };
    let mut summary = format!("{} drops {whose}", object_text(&s.locus));
    if !ran {
        summary.push_str(": nothing else stands where they vanish");
    }
    let mut f = Finding::new(s.locus.clone(), summary)
        .maybe(case.ev_attempt())
        .maybe(ev_trial(case, s))
        .maybe(s.program.map(|p| {
            let who = match p.holders.value().and_then(|h| h.first()) {
                Some((pid, comm)) => format!(", held by {comm} (pid {pid})"),
                None => String::new(),
            };
            let at = p.cgroup.as_deref().map(|c| format!(" of cgroup {c}")).unwrap_or_default();
            Evidence::new(
                "program",
                format!(
                    "program {} {:?} (tag {}) is attached at {}{at}{who}",
                    p.prog_id, p.name, p.tag, p.hook
                ),
                "BPF_PROG_QUERY",
            )
            .value(p.prog_id)
            .command(format!("bpftool prog show id {}", p.prog_id))
        }))
        .maybe(freed_by(case, s).map(|freed| case.ev_freed(&freed)))
        .maybe(case.ev_capture());
    if s.place == Place::Outgoing && case.flow.proto == Proto::Tcp && case.question.role == Role::Client {
        f = f.maybe(case.ev_counter("TcpExt.TCPRetransFail"));
    }
    for fix in detach(s) {
        f = f.fix(fix);
    }
    f.verify(case.ask_again())
}

fn detach(s: &Suspect<'_>) -> Vec<Fix> {
    let risk = "whoever attached it relies on it, and may attach it again; find the owner first";
    let Some(p) = s.program else {
        return match &s.locus {
            Locus::Filter { dev, parent, pref, .. } => {
                let side = if parent.ends_with("fff3") { "egress" } else { "ingress" };
                vec![
                    Fix::run(
                        "delete the filter",
                        format!("tc filter del dev {dev} {side} pref {pref}"),
                        String::new(),
                    )
                    .risk(risk),
                ]
            }
            _ => vec![],
        };
    };
    let dev = match &s.locus {
        Locus::Bpf { dev: Some(dev), .. } => dev.clone(),
        _ => String::new(),
    };
    let id = p.prog_id;
    match (p.hook.as_str(), p.link_id) {
        (_, Some(link)) => {
            vec![
                Fix::run(
                    "detach the program's link",
                    format!("bpftool link detach id {link}"),
                    String::new(),
                )
                .risk(risk),
            ]
        }
        ("xdp-generic", _) => vec![
            Fix::run(
                "detach the program",
                format!("ip link set dev {dev} xdpgeneric off"),
                format!("bpftool net attach xdpgeneric id {id} dev {dev}"),
            )
            .risk(risk),
        ],
        (h, _) if h.starts_with("xdp") => vec![
            Fix::run(
                "detach the program",
                format!("ip link set dev {dev} xdp off"),
                format!("bpftool net attach xdp id {id} dev {dev}"),
            )
            .risk(risk),
        ],
        (h, _) if h.starts_with("tcx") => {
            let side = h.trim_start_matches("tcx-");
            vec![
                Fix::run(
                    "detach the program",
                    format!("bpftool net detach tcx_{side} dev {dev}"),
                    format!("bpftool net attach tcx_{side} id {id} dev {dev}"),
                )
                .risk(risk),
            ]
        }
        (h, _) if h.starts_with("tc-") => {
            let side = h.trim_start_matches("tc-");
            vec![
                match s.pref {
                    Some(pref) => Fix::run(
                        "delete the filter",
                        format!("tc filter del dev {dev} {side} pref {pref}"),
                        String::new(),
                    ),
                    None => Fix::act(format!("delete the filter: tc filter show dev {dev} {side}")),
                }
                .risk(risk),
            ]
        }
        (h, _) if h.starts_with("cgroup") => {
            let kind = h.trim_start_matches("cgroup-");
            let cgroup = p.cgroup.clone().unwrap_or_default();
            vec![
                Fix::run(
                    "detach the program",
                    format!("bpftool cgroup detach {cgroup} {kind} id {id}"),
                    format!("bpftool cgroup attach {cgroup} {kind} id {id}"),
                )
                .risk(risk),
            ]
        }
        _ => vec![Fix::act("detach the program, or have its owner change its policy").risk(risk)],
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Reading;
    use netwhy_facts::bpf::BpfTrial;
    use netwhy_walk::{Action, Step};

    use super::*;
    use crate::testing::*;

    fn program(hook: &str, id: u32) -> BpfAttached {
        BpfAttached {
            hook: hook.into(),
            ifindex: Some(2),
            cgroup: None,
            netfilter: None,
            position: 0,
            prog_id: id,
            name: "guard".into(),
            tag: "00".into(),
            link_id: None,
            run_cnt: Reading::NotAsked,
            holders: Reading::NotAsked,
        }
    }
    fn at(path: &mut Path, stage: Stage, hook: &str, id: u32) {
        path.steps.push(Step {
            stage,
            text: format!("BPF program {id}, not executed"),
            locus: Some(Locus::Bpf {
                hook: hook.into(),
                dev: Some("eth0".into()),
                prog_id: id,
                name: "guard".into(),
            }),
            action: Action::Pass,
            passed: vec![],
        });
        path.assumptions.push(format!("BPF program {id} (guard) at {hook} lets the packet pass"));
    }
    fn egress() -> Scene {
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(BpfPrograms(vec![program("tcx-egress", 5)]))
            .timeout(3000)
            .captured()
            .rose("TcpExt.TCPRetransFail", 2);
        at(&mut scene.forward, Stage::TcEgress, "tcx-egress", 5);
        scene
    }
    fn ran(id: u32, request: bool, result: u32) -> BpfTrials {
        BpfTrials(vec![BpfTrial { prog_id: id, request, result }])
    }

    #[test]
    fn the_only_thing_left_on_the_way_out_is_proven() {
        let f = proven(egress().judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Bpf { prog_id: 5, .. }));
        assert_eq!(f.fix[0].command, "bpftool net detach tcx_egress dev eth0");
    }

    #[test]
    fn a_program_that_drops_when_run_is_proven_among_many() {
        let mut scene = egress().with(ran(6, true, 2));
        scene.put(BpfPrograms(vec![program("tcx-egress", 5), program("tcx-egress", 6)]));
        at(&mut scene.forward, Stage::TcEgress, "tcx-egress", 6);
        assert!(matches!(proven(scene.judge(&CAUSE)).locus, Locus::Bpf { prog_id: 6, .. }));
    }

    #[test]
    fn a_program_that_lets_the_packet_pass_is_ruled_out() {
        assert!(ruled_out(egress().with(ran(5, true, 0)).judge(&CAUSE)).contains("lets it pass"));
    }

    #[test]
    fn an_attached_program_is_not_accused_of_a_loss_elsewhere() {
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(BpfPrograms(vec![program("tcx-egress", 5)]))
            .timeout(3000)
            .request_out();
        at(&mut scene.forward, Stage::TcEgress, "tcx-egress", 5);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn xdp_needs_more_than_silence() {
        let mut scene = Scene::client("203.0.113.2", 80)
            .with(BpfPrograms(vec![program("xdp-native", 7)]))
            .timeout(3000)
            .request_out();
        at(&mut scene.reply, Stage::Xdp, "xdp-native", 7);
        consistent(scene.judge(&CAUSE));
    }

    #[test]
    fn xdp_that_drops_the_request_when_run_is_proven_by_the_frames_the_device_got() {
        let links = |rx| {
            let mut l = link(2, "eth0");
            l.stats.rx_packets = rx;
            Links(vec![l])
        };
        let mut scene = Scene::inbound("203.0.113.2", 80)
            .with(BpfPrograms(vec![program("xdp-generic", 7)]))
            .with(ran(7, true, 1))
            .with(links(10))
            .after(links(13))
            .captured();
        at(&mut scene.forward, Stage::Xdp, "xdp-generic", 7);
        let f = proven(scene.judge(&CAUSE));
        assert_eq!(f.fix[0].command, "ip link set dev eth0 xdpgeneric off");
    }

    #[test]
    fn a_counter_that_explains_the_silence_clears_the_program() {
        let mut scene = Scene::inbound("203.0.113.2", 80)
            .with(BpfPrograms(vec![program("tcx-ingress", 5)]))
            .request_in()
            .rose("TcpExt.ListenDrops", 2);
        at(&mut scene.forward, Stage::TcIngress, "tcx-ingress", 5);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn eperm_of_a_tcp_connect_with_a_connect_program_is_proven() {
        let mut p = program("cgroup-connect4", 9);
        p.ifindex = None;
        p.cgroup = Some("/sys/fs/cgroup/box".into());
        let mut scene =
            Scene::client("203.0.113.2", 80).with(BpfPrograms(vec![p])).errno("EPERM", 0).captured();
        at(&mut scene.forward, Stage::CgroupBpf, "cgroup-connect4", 9);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.fix[0].command.contains("bpftool cgroup detach /sys/fs/cgroup/box connect4 id 9"));
    }

    #[test]
    fn unreadable_programs_are_unknown_where_packets_vanish() {
        let scene = Scene::client("203.0.113.2", 80)
            .denied::<BpfPrograms>("CAP_BPF")
            .timeout(3000)
            .captured()
            .rose("TcpExt.TCPRetransFail", 1);
        unknown(scene.judge(&CAUSE));
    }
}
