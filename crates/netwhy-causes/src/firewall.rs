//! What the causes about firewall rules share: one judgement for "this rule stops these packets",
//! and the commands that let them pass.

use netwhy_facts::{Locus, Proto};
use netwhy_walk::{Packet, Stage};

use crate::case::Case;
use crate::cause::{Finding, Verdict};
use crate::evidence::Evidence;
use crate::fix;
use crate::obstacle::{Direction, Obstacle, Sight, object_text};

/// Facts `judge_drops` and the obstacle helpers read, for the causes' `needs`.
pub const NEEDS: &[&str] =
    &["nft", "xtables", "mib", "capture", "attempts", "addresses", "kernel-events", "links"];

/// Judges every wanted obstacle: proven where packets met it and vanished, ruled out where they got past it,
/// consistent where it is only predicted. `extend` may add to a finding before it is judged.
pub fn judge_drops<'a>(
    case: &Case<'a>,
    wanted: impl Fn(&Obstacle<'a>) -> bool,
    extend: impl Fn(&Obstacle<'a>, Finding) -> Finding,
) -> Verdict {
    let all = case.obstacles_where(|o| stops(case, o) && wanted(o));
    Verdict::several(all.iter().map(|o| judge_one(case, o, &extend)).collect())
}

/// Whether an obstacle is a firewall object that drops, or one the walker could not decide about that is seen to drop.
pub fn stops(case: &Case<'_>, o: &Obstacle<'_>) -> bool {
    let Some(locus) = o.locus else { return false };
    if !o.is_firewall() {
        return false;
    }
    o.is_drop() || (o.is_open() && case.rule_drops(locus) && case.rule_counter(locus).is_some_and(|n| n > 0))
}

fn judge_one<'a>(
    case: &Case<'a>,
    o: &Obstacle<'a>,
    extend: &impl Fn(&Obstacle<'a>, Finding) -> Finding,
) -> Verdict {
    let Some(locus) = o.locus else { return Verdict::Silent };
    let sight = case.sight(o);
    if sight == Sight::Contradicts {
        let because = match case.rule_counter(locus) {
            Some(0) => format!("{} was predicted to drop the flow but counted no packet", object_text(locus)),
            _ => format!("{} was predicted to drop the flow, but packets got past it", object_text(locus)),
        };
        let evidence = case.ev_rule_counter(locus).into_iter().chain(case.ev_capture()).collect();
        return Verdict::ruled_out(because, evidence);
    }
    let mut summary = format!("{} drops {}", object_text(locus), case.packets_text(o));
    if let Some(later) = shadowed_accept(case, o) {
        summary.push_str(&format!("; {later}, which would accept them, comes too late"));
    }
    let mut finding = Finding::new(locus.clone(), summary);
    for e in case.ev_obstacle(o) {
        finding = finding.evidence(e);
    }
    for f in let_pass(o) {
        finding = finding.fix(f);
    }
    let finding = extend(o, finding).verify(case.ask_again());
    let sure = case.firm(o.path) || case.rule_counter(locus).is_some_and(|n| n > 0);
    finding.proven_if(sight == Sight::Agrees && sure && !o.next)
}

/// The rule behind a blocking rule of the same chain that would have accepted the packet.
pub fn shadowed_accept(case: &Case<'_>, o: &Obstacle<'_>) -> Option<String> {
    let place = chain_of(o.locus?)?;
    // A policy shadows nothing: it comes last.
    if matches!(o.locus, Some(Locus::NftChain { .. } | Locus::IptChain { .. })) {
        return None;
    }
    case.beyond.iter().filter(|p| case.direction_of(p) == o.direction).find_map(|p| {
        p.steps.iter().find_map(|s| {
            let locus = s.locus.as_ref()?;
            let accepts = match locus {
                Locus::NftRule { text, .. } => text.contains("accept"),
                Locus::IptRule { text, .. } => text.contains("ACCEPT"),
                _ => false,
            };
            (accepts && chain_of(locus) == Some(place.clone())).then(|| object_text(locus))
        })
    })
}

/// Family or command, table and chain of a firewall object.
pub fn chain_of(locus: &Locus) -> Option<(String, String, String)> {
    match locus {
        Locus::NftRule { family, table, chain, .. } | Locus::NftChain { family, table, chain, .. } => {
            Some((family.clone(), table.clone(), chain.clone()))
        }
        Locus::IptRule { command, table, chain, .. } | Locus::IptChain { command, table, chain, .. } => {
            Some((command.clone(), table.clone(), chain.clone()))
        }
        _ => None,
    }
}

/// Whether connection tracking has seen a packet when it comes to this object.
pub fn after_conntrack(o: &Obstacle<'_>) -> bool {
    let family = match o.locus {
        Some(Locus::NftRule { family, .. } | Locus::NftChain { family, .. }) => family.as_str(),
        Some(Locus::IptRule { command, .. } | Locus::IptChain { command, .. }) => command.as_str(),
        _ => return false,
    };
    !matches!(family, "netdev" | "bridge" | "arp" | "ebtables" | "arptables")
        && !matches!(o.stage, Stage::Raw | Stage::NetdevIngress | Stage::NetdevEgress | Stage::Bridge)
}

/// The commands that let exactly the packets of an obstacle pass, with their undo.
pub fn let_pass(o: &Obstacle<'_>) -> Vec<fix::Fix> {
    let Some(locus) = o.locus else { return Vec::new() };
    if o.direction == Direction::Reply && after_conntrack(o) {
        let nft = "ct state established,related";
        return fix::let_pass(locus, nft, "-m conntrack --ctstate ESTABLISHED,RELATED");
    }
    let p = &o.path.finally;
    fix::let_pass(locus, &nft_selector(p, o.direction), &ipt_selector(locus, p, o.direction))
}

/// The selector of a packet in nft syntax, by the end that is stable: the service's port.
pub fn nft_selector(p: &Packet, direction: Direction) -> String {
    let ip = if p.src.is_ipv4() { "ip" } else { "ip6" };
    let mut out = match direction {
        Direction::Forward if p.src.is_unspecified() => format!("{ip} daddr {}", p.dst),
        _ => format!("{ip} saddr {} {ip} daddr {}", p.src, p.dst),
    };
    match (p.proto, direction) {
        (6, Direction::Forward) => out.push_str(&format!(" tcp dport {}", p.dport)),
        (6, Direction::Reply) => out.push_str(&format!(" tcp sport {}", p.sport)),
        (17, Direction::Forward) => out.push_str(&format!(" udp dport {}", p.dport)),
        (17, Direction::Reply) => out.push_str(&format!(" udp sport {}", p.sport)),
        (1, _) => out.push_str(&format!(" icmp type {}", p.icmp_type)),
        (58, _) => out.push_str(&format!(" icmpv6 type {}", p.icmp_type)),
        (other, _) => out.push_str(&format!(" meta l4proto {other}")),
    }
    out
}

/// The selector of a packet in the syntax of the object's own command.
pub fn ipt_selector(locus: &Locus, p: &Packet, direction: Direction) -> String {
    let command = match locus {
        Locus::IptRule { command, .. } | Locus::IptChain { command, .. } => command.as_str(),
        _ => "iptables",
    };
    let port = |word: &str, number: u16| format!("--{word} {number}");
    let (s, d) = (p.src, p.dst);
    match command {
        "arptables" => format!("-s {s} -d {d}"),
        "ebtables" => {
            let (kind, v) = if s.is_ipv4() { ("IPv4", "ip") } else { ("IPv6", "ip6") };
            let l4 = match (p.proto, direction) {
                (6 | 17, Direction::Forward) => {
                    format!(" --{v}-proto {} {}", p.proto, port(&format!("{v}-dport"), p.dport))
                }
                (6 | 17, Direction::Reply) => {
                    format!(" --{v}-proto {} {}", p.proto, port(&format!("{v}-sport"), p.sport))
                }
                (n, _) => format!(" --{v}-proto {n}"),
            };
            format!("-p {kind} --{v}-src {s} --{v}-dst {d}{l4}")
        }
        _ => {
            let mut out = if direction == Direction::Forward && s.is_unspecified() {
                format!("-d {d}")
            } else {
                format!("-s {s} -d {d}")
            };
            let word = if direction == Direction::Forward { ("dport", p.dport) } else { ("sport", p.sport) };
            match p.proto {
                6 => out.push_str(&format!(" -p tcp {}", port(word.0, word.1))),
                17 => out.push_str(&format!(" -p udp {}", port(word.0, word.1))),
                1 => out.push_str(&format!(" -p icmp --icmp-type {}", p.icmp_type)),
                58 => out.push_str(&format!(" -p ipv6-icmp --icmpv6-type {}", p.icmp_type)),
                n => out.push_str(&format!(" -p {n}")),
            }
            out
        }
    }
}

/// Rules a firewall out where the flow failed and one could be suspected: the ruleset was read and, executed on the
/// packet, lets it pass. `wanted` tells the obstacles the asking cause would speak about.
pub fn cleared(case: &Case<'_>, wanted: impl Fn(&Obstacle<'_>) -> bool, path: &netwhy_walk::Path) -> Verdict {
    let read = case.facts.get::<netwhy_facts::nft::Nft>().is_known() && case.firewall_absence().is_none();
    let suspected = case.obstacles().iter().any(|o| {
        wanted(o) && (o.is_firewall() || matches!(o.path.end, netwhy_walk::End::Insufficient { .. }))
    });
    if !read || suspected || matches!(path.end, netwhy_walk::End::Insufficient { .. }) {
        return Verdict::Silent;
    }
    let hooks = path.steps.iter().filter(|s| s.text.contains("policy") || s.text.contains(" accept by "));
    let text = match hooks.map(|s| s.text.clone()).collect::<Vec<_>>() {
        none if none.is_empty() => "no rule of this host concerns the packet".to_string(),
        some => format!("the rules of this host, executed on the packet, let it pass ({})", some.join("; ")),
    };
    Verdict::ruled_out(
        text.clone(),
        vec![Evidence::new("ruleset", text, "netwhy walk").command("nft list ruleset")],
    )
}

/// What to answer when no rule was predicted to drop: unknown when the rules could not be read and the packets
/// vanished where rules act, else silence.
pub fn unreadable(case: &Case<'_>, vanished: bool) -> Verdict {
    match case.firewall_absence() {
        Some(absence) if vanished => {
            Verdict::unknown("whether a firewall rule of this host drops the flow", absence)
        }
        _ => Verdict::Silent,
    }
}

/// Evidence that retransmissions failed inside this host, for TCP.
pub fn ev_retrans_fail(case: &Case<'_>) -> Option<Evidence> {
    (case.flow.proto == Proto::Tcp).then(|| case.ev_counter("TcpExt.TCPRetransFail")).flatten()
}
