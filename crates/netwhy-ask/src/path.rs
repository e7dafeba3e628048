//! The path of a flow, hop by hop: packets of its own kind with a limited time to live.
//!
//! [`trace`] sends TCP SYNs, datagrams or echo requests, eight TTLs at once, and goes further only while the
//! target has not answered and the path seems to go on. Hops on the way that stayed silent are asked once more.
//! It ends when the target has answered and those before it had their chance, or when the wait is over.
//!
//! With `CAP_NET_RAW` every probe has the flow's own five-tuple (its source port if that is known and free), so
//! that routers which spread flows over several links treat all of them alike. Without, every probe is a socket of
//! its own with `IP_TTL` set, an ordinary connect or send, and the error queue: then source ports differ from probe
//! to probe and the hops may be of more than one path.
//!
//! A hop without replies is silent, which is not a fault: routers limit or refuse to send ICMP.

mod probe;
mod raw;
mod schedule;

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::flow::{Flow, Proto};
use netwhy_facts::path::{Hop, HopReply, HopReplyKind, Path};
use netwhy_facts::reading::Reading;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::{Result, clock, ioctl};

use self::probe::{Found, Probe};
use self::raw::Raw;
use self::schedule::Schedule;
use crate::connect::micros;
use crate::{Budget, Victim, Wait};

/// A packet sent by hand is seen by the capture within milliseconds, or not at all.
const UNSEEN: Duration = Duration::from_millis(60);
/// The door, as a reading names it.
const SOURCE: &str = "packets with limited TTL";

/// Traces the path of a flow of this host. What the budget does not cover is not sent.
#[must_use]
pub fn trace(flow: &Flow, budget: &Budget, wait: &Wait<'_>) -> Reading<Path> {
    match run(flow, budget, wait) {
        Ok(path) => Reading::known(path, SOURCE, clock::monotonic()),
        Err(error) if error.is_denied() && flow.proto == Proto::Icmp => {
            Reading::denied("CAP_NET_RAW, or net.ipv4.ping_group_range")
        }
        Err(error) => Reading::failed(error),
    }
}

/// Where a flow goes, with the scope a link-local address needs.
pub(crate) fn destination(flow: &Flow) -> SocketAddr {
    let mut address = SocketAddr::new(flow.dst, flow.dport);
    if let (SocketAddr::V6(six), Some(device)) = (&mut address, &flow.dev)
        && six.ip().is_unicast_link_local()
    {
        six.set_scope_id(ioctl::index_of(device).unwrap_or(0));
    }
    address
}

fn run(flow: &Flow, budget: &Budget, wait: &Wait<'_>) -> Result<Path> {
    let victim = Victim { mark: flow.mark, device: flow.dev.clone(), source: None };
    let target = destination(flow);
    if let Ok(raw) = Raw::open(flow, target, &victim)
        && let Some(path) = follow(flow, Engine::Raw(Box::new(raw)), budget, wait)?
    {
        return Ok(path);
    }
    let sockets = Engine::Sockets { probes: Vec::new(), target, proto: flow.proto, victim };
    Ok(follow(flow, sockets, budget, wait)?.unwrap_or_else(|| nothing(flow)))
}

/// `None`: nothing left this host this way.
fn follow(flow: &Flow, mut engine: Engine, budget: &Budget, wait: &Wait<'_>) -> Result<Option<Path>> {
    let began = Instant::now();
    let mut schedule = Schedule::new(wait.deadline.saturating_duration_since(began));
    while !wait.is_over() {
        for ttl in schedule.due(began.elapsed(), &engine.hops()) {
            if !budget.take(1) {
                schedule.stop();
                break;
            }
            match engine.send(ttl) {
                Ok(()) => {}
                // Not even the first packet leaves: that is the finding, and others' to judge.
                Err(error) if engine.sent() == 0 => {
                    return if error.operation == "socket" { Err(error) } else { Ok(None) };
                }
                Err(_) => schedule.stop(),
            }
        }
        if schedule.is_done(began.elapsed(), &engine.hops()) {
            break;
        }
        let next = schedule.next().map(|after| began + after);
        let look = next.map_or(wait.next_look(), |at| at.min(wait.next_look()));
        engine.listen(look)?;
        if began.elapsed() > UNSEEN && engine.is_blind() {
            return Ok(None);
        }
    }
    let mut hops = engine.hops();
    // Each connection that the target would open is reset.
    let opened = hops.iter().flat_map(|hop| &hop.replies).filter(|reply| reply.kind == HopReplyKind::SynAck);
    budget.note(u32::try_from(opened.count()).unwrap_or(u32::MAX));
    let reached_at = reached(&hops, flow);
    if let Some(last) = reached_at {
        hops.retain(|hop| hop.ttl <= last);
    }
    let mut flow = flow.clone();
    if let Engine::Raw(raw) = &engine {
        (flow.src, flow.sport) = (Some(raw.src()), Some(raw.sport()));
    }
    let proto = flow.proto;
    Ok(Some(Path { flow, proto, hops, reached_at, sent: engine.sent() }))
}

/// How probes are sent and heard.
enum Engine {
    /// All with one five-tuple.
    Raw(Box<Raw>),
    /// Each with a source port of its own.
    Sockets { probes: Vec<Probe>, target: SocketAddr, proto: Proto, victim: Victim },
}

impl Engine {
    /// An error is of this host: nothing left.
    fn send(&mut self, ttl: u8) -> Result<()> {
        match self {
            Engine::Raw(raw) => raw.send(ttl),
            Engine::Sockets { probes, target, proto, victim } => {
                probes.push(Probe::send(*proto, *target, ttl, victim)?);
                Ok(())
            }
        }
    }

    fn listen(&mut self, until: Instant) -> Result<()> {
        match self {
            Engine::Raw(raw) => {
                raw.listen(until);
                Ok(())
            }
            Engine::Sockets { probes, target, .. } => listen(probes, *target, until),
        }
    }

    fn hops(&self) -> Vec<Hop> {
        match self {
            Engine::Raw(raw) => raw.hops(),
            Engine::Sockets { probes, .. } => hops(probes),
        }
    }

    fn sent(&self) -> u32 {
        match self {
            Engine::Raw(raw) => raw.sent(),
            Engine::Sockets { probes, .. } => u32::try_from(probes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Not one probe was seen to leave: a rule drops packets made by hand, or they leave translated.
    fn is_blind(&self) -> bool {
        match self {
            Engine::Raw(raw) => !raw.leaves(),
            Engine::Sockets { .. } => false,
        }
    }
}

fn nothing(flow: &Flow) -> Path {
    Path { flow: flow.clone(), proto: flow.proto, hops: Vec::new(), reached_at: None, sent: 0 }
}

/// Waits until something happens or `until`, and lets the probes that it happened to look.
fn listen(probes: &mut [Probe], target: SocketAddr, until: Instant) -> Result<()> {
    let mut waiting: Vec<&mut Probe> = probes.iter_mut().filter(|probe| probe.is_open()).collect();
    let ready = {
        let watched: Vec<_> = waiting
            .iter()
            .filter_map(|probe| Some((probe.socket()?.as_fd(), probe.interest())))
            .collect::<Vec<(_, Interest)>>();
        poll::poll(&watched, Some(until))?
    };
    for (probe, ready) in waiting.iter_mut().zip(ready) {
        if ready.any() {
            probe.look(target, ready.hangup);
        }
    }
    Ok(())
}

/// The hops so far, one for each TTL up to the largest.
fn hops(probes: &[Probe]) -> Vec<Hop> {
    let last = probes.iter().map(|probe| probe.ttl).max().unwrap_or(0);
    (1..=last)
        .map(|ttl| {
            let of_hop = || probes.iter().filter(move |probe| probe.ttl == ttl);
            Hop {
                ttl,
                replies: of_hop().filter_map(|probe| probe.found.as_ref()).map(reply).collect(),
                sent: of_hop().count() as u32,
            }
        })
        .collect()
}

fn reply(found: &Found) -> HopReply {
    HopReply { from: found.from, rtt_us: micros(found.after), kind: found.kind.clone() }
}

/// The lowest TTL at which the target itself has answered.
fn reached(hops: &[Hop], flow: &Flow) -> Option<u8> {
    hops.iter().find(|hop| hop.replies.iter().any(|reply| is_target(reply, flow))).map(|hop| hop.ttl)
}

fn is_target(reply: &HopReply, flow: &Flow) -> bool {
    match reply.kind {
        HopReplyKind::SynAck | HopReplyKind::Rst | HopReplyKind::EchoReply | HopReplyKind::UdpReply => true,
        HopReplyKind::Icmp { .. } => reply.from == flow.dst,
        // The target may be a router on the way to itself for nobody; it has no reason to count TTLs down.
        HopReplyKind::TimeExceeded => false,
    }
}

/// A length of time in the schedule.
const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests;
