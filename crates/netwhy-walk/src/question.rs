//! The packets a question is about, in both directions.

use std::net::IpAddr;

use netwhy_facts::conntrack::CtEntry;
use netwhy_facts::route::FibKey;
use netwhy_facts::{Facts, Family, Flow, Proto, Question, Role};

use crate::fib::{self, Lookup, Query};
use crate::oracle::{self, Oracle};
use crate::packet::{CtHypothesis, Packet};
use crate::path::{End, Path};
use crate::skb::{invert, tuple_of};
use crate::walk::{Origin, Setup, run};
use crate::world::World;

/// Predicts the path of one packet. An unspecified source of an arriving packet stands for "not known".
pub fn predict(facts: &Facts, packet: Packet, origin: Origin) -> Path {
    let world = World::new(facts);
    let setup = Setup { asked_port: packet.dport, ..Setup::default() };
    walk_all(&world, &packet, origin, &setup).0
}

/// Predicts the first packet of a question's flow.
pub fn forward(facts: &Facts, question: &Question, flow: &Flow) -> Path {
    let world = World::new(facts);
    forward_in(&world, question, flow).0
}

/// Predicts the answer to `forward`: as if the far end, or the service here, had answered it.
pub fn reply(facts: &Facts, question: &Question, flow: &Flow, forward: &Path) -> Path {
    let world = World::new(facts);
    reply_in(&world, question, flow, forward).0
}

/// Routing questions the walk of this flow meets; with the kernel's answers to them among the facts
/// (`FibAnswers`) the walk uses those. Answers may raise further questions: ask again until there are none new.
pub fn keys_needed(facts: &Facts, question: &Question, flow: &Flow) -> Vec<FibKey> {
    let world = World::new(facts);
    let (path, mut keys) = forward_in(&world, question, flow);
    let (_, more) = reply_in(&world, question, flow, &path);
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.retain(|k| world.fib.is_none_or(|f| f.find(k).is_none()));
    keys
}

fn walk_all(world: &World<'_>, packet: &Packet, origin: Origin, setup: &Setup) -> (Path, Vec<FibKey>) {
    let mut keys: Vec<FibKey> = Vec::new();
    let path = oracle::explore(|o: &mut Oracle| {
        let (path, met) = run(world, o, packet, origin, setup);
        for key in met {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        path
    });
    (path, keys)
}

/// A source port in the middle of the local range, away from service ports.
fn ephemeral(world: &World<'_>) -> u16 {
    let range = world.sysctls.and_then(|s| s.0.get("net.ipv4.ip_local_port_range"));
    let mut ends = range.into_iter().flat_map(|r| r.split_whitespace()).filter_map(|w| w.parse::<u16>().ok());
    let low = ends.next().unwrap_or(32768);
    let high = ends.next().unwrap_or(60999).max(low);
    low + (high - low) / 2
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::from([0u8; 4]),
        Family::Inet6 => IpAddr::from([0u8; 16]),
    }
}

/// The device packets from `addr` arrive by: the one the route back leads through.
fn arrival_device(world: &World<'_>, flow: &Flow, from: Option<IpAddr>) -> Option<u32> {
    if let Some(name) = &flow.dev
        && let Some(link) = world.link_named(name)
    {
        return Some(link.index);
    }
    if let Some(from) = from.filter(|a| !a.is_unspecified()) {
        return route_device(world, from);
    }
    world.holder(&flow.dst).map(|a| a.ifindex)
}

fn route_device(world: &World<'_>, to: IpAddr) -> Option<u32> {
    match fib::lookup(world, &Query::to(to)) {
        Lookup::Found(f) => f.hops.first().and_then(|h| h.oif),
        _ => None,
    }
}

fn sender(question: &Question, flow: &Flow) -> Option<IpAddr> {
    let family = flow.family();
    flow.src.or(question.from).filter(|a| Family::of(a) == family)
}

fn source_port(world: &World<'_>, flow: &Flow) -> u16 {
    flow.sport.unwrap_or_else(|| if flow.proto == Proto::Icmp { 1 } else { ephemeral(world) })
}

fn forward_in(world: &World<'_>, question: &Question, flow: &Flow) -> (Path, Vec<FibKey>) {
    let setup = Setup { asked_port: flow.dport, ..Setup::default() };
    let sport = source_port(world, flow);
    let none = unspecified(flow.family());
    match question.role {
        Role::Client => {
            let mut packet = Packet::first_of(flow, flow.src.unwrap_or(none), sport);
            packet.oif = flow.dev.as_ref().and_then(|d| world.link_named(d)).map(|l| l.index);
            walk_all(world, &packet, Origin::Local, &setup)
        }
        Role::Inbound | Role::Transit => {
            let from = sender(question, flow);
            let packet = Packet { uid: None, mark: 0, ..Packet::first_of(flow, from.unwrap_or(none), sport) };
            // A sender with one of our own addresses that was seen to come by a wire is not this host itself.
            if flow.dev.is_none() && from.is_some_and(|f| world.is_local(&f)) {
                return walk_all(world, &packet, Origin::Local, &setup);
            }
            match arrival_device(world, flow, from) {
                Some(ifindex) => walk_all(world, &packet, Origin::Arriving { ifindex }, &setup),
                None => {
                    let what =
                        "the device the packets arrive by (name it with --dev, or the sender with --from)";
                    (cannot(packet, what), Vec::new())
                }
            }
        }
    }
}

fn cannot(packet: Packet, what: &str) -> Path {
    Path {
        finally: packet.clone(),
        packet,
        steps: Vec::new(),
        end: End::Insufficient { what: what.into(), locus: None },
        assumptions: Vec::new(),
        ct: None,
    }
}

/// The tracking entry that exists when the answer comes: the forward packet's, or the one it would have made.
fn entry_after(forward: &Path) -> Option<CtEntry> {
    if forward.finally.ct == CtHypothesis::Untracked {
        return None;
    }
    forward.ct.clone().or_else(|| {
        let orig = tuple_of(&forward.packet);
        Some(CtEntry {
            reply: invert(&tuple_of(&forward.finally)),
            orig,
            status: 8,
            tcp_state: None,
            timeout_s: 0,
            mark: 0,
            zone: 0,
            id: 0,
            packets: None,
        })
    })
}

fn reply_in(world: &World<'_>, question: &Question, flow: &Flow, forward: &Path) -> (Path, Vec<FibKey>) {
    let last = &forward.finally;
    let mut answer = last.reply_to();
    // Tracking finds the answer's entry by itself.
    answer.ct = CtHypothesis::New;
    if last.src.is_unspecified() {
        return (cannot(answer, "the client's address (--from)"), Vec::new());
    }
    let setup = Setup {
        expected: entry_after(forward).into_iter().collect(),
        waiting: Some(tuple_of(&forward.packet)),
        asked_port: flow.dport,
    };
    let delivered_here = matches!(forward.end, End::Delivered { .. } | End::NoSocket { .. });
    let here = delivered_here || (question.role != Role::Transit && world.is_local(&last.dst));
    if here {
        let socket = world.sockets.and_then(|s| {
            s.sockets.iter().find(|s| {
                s.lport == last.dport
                    && s.proto == flow.proto
                    && matches!(s.state.as_str(), "LISTEN" | "UNCONN")
            })
        });
        answer.uid = socket.map(|s| s.uid);
        answer.oif = socket.map(|s| s.ifindex).filter(|i| *i != 0);
        answer.mark = if world.sysctl("net.ipv4.tcp_fwmark_accept") == Some(1) && flow.proto == Proto::Tcp {
            last.mark
        } else {
            socket.and_then(|s| s.mark).unwrap_or(0)
        };
        // The SYN-ACK then takes over the SYN's traffic class, but not its two bits of ECN (ip-sysctl, 5.10).
        if flow.proto == Proto::Tcp && world.sysctl("net.ipv4.tcp_reflect_tos") == Some(1) {
            answer.tos = last.tos & !3;
        }
        return walk_all(world, &answer, Origin::Local, &setup);
    }
    let back = last.oif.or_else(|| route_device(world, last.dst));
    match back {
        Some(ifindex) => walk_all(world, &answer, Origin::Arriving { ifindex }, &setup),
        None => (cannot(answer, "the device the answer arrives by"), Vec::new()),
    }
}
