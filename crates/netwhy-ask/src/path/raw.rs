//! Probes with one and the same 5-tuple, made by hand and heard by a capture.
//!
//! Which probe a reply belongs to is in the second word of its transport header, which every ICMP error quotes:
//! TCP's sequence number, UDP's length, an echo's sequence. Times are the kernel's own.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netwhy_capture::{FlowFilter, Frame, Options, Session, Tuple};
use netwhy_facts::flow::{Flow, Proto};
use netwhy_facts::path::{Hop, HopReply, HopReplyKind};
use netwhy_sys::Result;
use netwhy_sys::packet::Direction;
use netwhy_sys::socket::{Family, Kind, Socket, source_for};
use netwhy_wire::packet::icmp::{self, Icmp};
use netwhy_wire::packet::icmpv6::{self, Icmpv6};
use netwhy_wire::packet::ipv4::Ipv4;
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::tcp::{Tcp, flag};
use netwhy_wire::packet::udp::Udp;
use netwhy_wire::packet::{Ip, Quoted, protocol};

use crate::Victim;
use crate::connect::micros;

/// A TTL and how often it was sent before are told apart by this much.
const ROUND: u32 = 64;
/// Rounds that can be told apart.
const ROUNDS: u32 = 4;
/// What Linux sends in a SYN: segment size, SACK, timestamps, window scale.
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
/// Data of an echo request.
const ECHO_DATA: [u8; 56] = [0x5a; 56];

/// The sender of such probes.
pub(super) struct Raw {
    socket: Socket,
    session: Session,
    proto: Proto,
    src: IpAddr,
    sport: u16,
    target: SocketAddr,
    base: u32,
    /// By TTL: how often it was sent.
    sent: BTreeMap<u8, u32>,
    heard: Vec<Heard>,
    frames: usize,
    /// Keeps the port from others meanwhile.
    _held: Option<Socket>,
}

/// What one captured frame tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    /// Which probe; `None` for a reply that does not say.
    mark: Option<u32>,
    at: Duration,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The probe itself on its way out.
    Left,
    Reply {
        from: IpAddr,
        kind: HopReplyKind,
    },
}

impl Raw {
    /// `Err`: not for this user, or not here; then there is the other way.
    pub(super) fn open(flow: &Flow, target: SocketAddr, victim: &Victim) -> Result<Self> {
        /// `IPPROTO_RAW`: what is sent starts with its IP header.
        const RAW: u8 = 255;
        let socket = Socket::open(Family::of(target.ip()), Kind::Raw(RAW))?;
        socket.set_header_included()?;
        victim.dress(&socket, target.ip(), 0)?;
        let mark = (victim.mark != 0).then_some(victim.mark);
        let src = match flow.src {
            Some(src) => src,
            None => source_for(target.ip(), victim.device.as_deref(), mark)?,
        };
        let (held, sport) = hold(flow, target);
        let random = RandomState::new();
        let base = random.hash_one(0) as u32;
        let sport = sport.unwrap_or(base as u16 | 0x8000);
        let tuple = Tuple {
            protocol: flow.proto_number(),
            src: Some(src),
            sport: Some(sport),
            dst: target.ip(),
            dport: target.port(),
        };
        let filter = FlowFilter { tuples: vec![tuple], neighbours: Vec::new() };
        let session =
            Session::start(filter, &Options { packets: 256, ..Options::default() }).map_err(|error| {
                match error {
                    netwhy_capture::CaptureError::Sys(error) => error,
                    other => {
                        netwhy_sys::SysError::new("capture", other.to_string(), netwhy_sys::Errno::EINVAL)
                    }
                }
            })?;
        Ok(Raw {
            socket,
            session,
            proto: flow.proto,
            src,
            sport,
            target,
            base,
            sent: BTreeMap::new(),
            heard: Vec::new(),
            frames: 0,
            _held: held,
        })
    }

    /// Sends one probe.
    pub(super) fn send(&mut self, ttl: u8) -> Result<()> {
        let round = self.sent.get(&ttl).copied().unwrap_or(0).min(ROUNDS - 1);
        let packet = self.packet(ttl, round);
        // Raw sockets take no port.
        let mut to = self.target;
        to.set_port(0);
        self.socket.send_to(&packet, to)?;
        *self.sent.entry(ttl).or_insert(0) += 1;
        Ok(())
    }

    fn packet(&self, ttl: u8, round: u32) -> Vec<u8> {
        let dst = self.target.ip();
        let mark = u32::from(ttl) + ROUND * round;
        let (number, payload) = match self.proto {
            Proto::Tcp => {
                let syn = Tcp {
                    src: self.sport,
                    dst: self.target.port(),
                    seq: self.base.wrapping_add(mark),
                    ack: 0,
                    flags: flag::SYN,
                    window: 64_240,
                    urgent: 0,
                    options: &SYN_OPTIONS,
                    payload: &[],
                };
                (protocol::TCP, syn.emit(self.src, dst))
            }
            Proto::Udp => {
                let data = vec![0; mark as usize];
                let udp = Udp { src: self.sport, dst: self.target.port(), length: 0, payload: &data };
                (protocol::UDP, udp.emit(self.src, dst))
            }
            Proto::Icmp => match (self.src, dst) {
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    let echo = Icmpv6::echo(self.sport, mark as u16, &ECHO_DATA);
                    (protocol::ICMPV6, echo.emit(src, dst))
                }
                _ => (protocol::ICMP, Icmp::echo(self.sport, mark as u16, &ECHO_DATA).emit()),
            },
        };
        match (self.src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4::new(src, dst, number, ttl, &payload).emit(),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6::new(src, dst, number, ttl, &payload).emit(),
            // `open` has taken the source for this destination.
            _ => Vec::new(),
        }
    }

    /// Waits for more until `until`.
    pub(super) fn listen(&mut self, until: Instant) {
        let frames = self.session.wait_beyond(self.frames, until);
        self.frames += frames.len();
        let target = self.target.ip();
        let found: Vec<_> =
            frames.iter().filter_map(|frame| hear(frame, self.proto, self.base, target)).collect();
        self.heard.extend(found);
    }

    /// Whether at least one probe was seen to leave.
    pub(super) fn leaves(&self) -> bool {
        self.heard.iter().any(|heard| heard.what == What::Left)
    }

    pub(super) fn src(&self) -> IpAddr {
        self.src
    }

    pub(super) fn sport(&self) -> u16 {
        self.sport
    }

    pub(super) fn sent(&self) -> u32 {
        self.sent.values().sum()
    }

    /// The hops so far, one for each TTL up to the largest.
    pub(super) fn hops(&self) -> Vec<Hop> {
        let last = self.sent.keys().last().copied().unwrap_or(0);
        let mut hops: Vec<Hop> = (1..=last)
            .map(|ttl| {
                let sent = self.sent.get(&ttl).copied().unwrap_or(0);
                Hop { ttl, replies: self.replies(ttl), sent }
            })
            .collect();
        // A datagram's reply does not say which it answers: the first that got through, one hop after the last
        // that did not.
        let nameless = self.heard.iter().find_map(|heard| match (&heard.what, heard.mark) {
            (What::Reply { from, kind }, None) => Some((*from, kind.clone(), heard.at)),
            _ => None,
        });
        let passed = hops
            .iter()
            .rev()
            .find(|hop| hop.replies.iter().any(|reply| reply.kind == HopReplyKind::TimeExceeded))
            .map_or(0, |hop| usize::from(hop.ttl));
        if let (Some((from, kind, at)), Some(hop)) = (nameless, hops.get_mut(passed))
            && hop.replies.is_empty()
        {
            let rtt_us = self.left(u32::from(hop.ttl)).map_or(0, |left| micros(at.saturating_sub(left)));
            hop.replies.push(HopReply { from, rtt_us, kind });
        }
        hops
    }

    /// When a probe left.
    fn left(&self, mark: u32) -> Option<Duration> {
        self.heard.iter().find(|one| one.mark == Some(mark) && one.what == What::Left).map(|one| one.at)
    }

    fn replies(&self, ttl: u8) -> Vec<HopReply> {
        (0..ROUNDS)
            .filter_map(|round| {
                let mark = u32::from(ttl) + ROUND * round;
                let left = self.left(mark)?;
                // The first counts; what is repeated to it (a SYN-ACK) is none of ours.
                let reply = self.heard.iter().find(|one| one.mark == Some(mark) && one.what != What::Left)?;
                let What::Reply { from, kind } = &reply.what else { return None };
                Some(HopReply {
                    from: *from,
                    rtt_us: micros(reply.at.saturating_sub(left)),
                    kind: kind.clone(),
                })
            })
            .collect()
    }
}

/// Takes the flow's source port for the time of the probing, or another one if it is still in use.
fn hold(flow: &Flow, target: SocketAddr) -> (Option<Socket>, Option<u16>) {
    let kind = match flow.proto {
        Proto::Tcp => Kind::Tcp,
        Proto::Udp => Kind::Udp,
        // An identifier belongs to nobody.
        Proto::Icmp => return (None, flow.sport),
    };
    let any = if target.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let take = |port: u16| {
        let socket = Socket::open(Family::of(target.ip()), kind).ok()?;
        socket.set_reuse_address().ok()?;
        socket.bind((any, port).into()).ok()?;
        let port = socket.local().ok()?.port();
        Some((socket, port))
    };
    // A bound datagram socket takes the replies, so that this host does not refuse them. A stream that is only
    // bound hears nothing: the kernel resets what the target would open.
    match flow.sport.and_then(take).or_else(|| take(0)) {
        Some((socket, port)) => (Some(socket), Some(port)),
        None => (None, flow.sport),
    }
}

/// What a frame says about a probe.
fn hear(frame: &Frame, proto: Proto, base: u32, target: IpAddr) -> Option<Heard> {
    let mark_of = |word: u32| {
        let mark = match proto {
            Proto::Tcp => word.wrapping_sub(base),
            Proto::Udp => (word >> 16).checked_sub(8)?,
            Proto::Icmp => word & 0xffff,
        };
        (mark < ROUND * ROUNDS).then_some(mark)
    };
    let heard = |mark, what| Some(Heard { mark, at: frame.at, what });
    if frame.direction == Direction::Outgoing {
        let own = Quoted::parse(&frame.packet).ok()?;
        if own.dst != target {
            return None;
        }
        return heard(Some(mark_of(own.word?)?), What::Left);
    }
    let ip = Ip::parse(&frame.packet).ok()?;
    let from = ip.src();
    let reply = |kind| What::Reply { from, kind };
    match ip.upper()? {
        (protocol::TCP, segment) => {
            let tcp = Tcp::parse(segment).ok()?;
            let kind = match tcp.flags & (flag::SYN | flag::RST) {
                flag::SYN => HopReplyKind::SynAck,
                flag::RST => HopReplyKind::Rst,
                _ => return None,
            };
            heard(Some(mark_of(tcp.ack.wrapping_sub(1))?), reply(kind))
        }
        (protocol::UDP, _) => heard(None, reply(HopReplyKind::UdpReply)),
        (protocol::ICMP, message) => {
            let message = Icmp::parse(message).ok()?;
            if message.kind == icmp::ECHO_REPLY {
                return heard(
                    Some(mark_of(u32::from_be_bytes(message.rest))?),
                    reply(HopReplyKind::EchoReply),
                );
            }
            let quoted = message.quoted()?;
            let kind = error(
                message.kind == icmp::TIME_EXCEEDED,
                message.kind,
                message.code,
                message.mtu().map(u32::from),
            );
            heard(Some(mark_of(quoted.word?)?), reply(kind))
        }
        (protocol::ICMPV6, message) => {
            let message = Icmpv6::parse(message).ok()?;
            if message.kind == icmpv6::ECHO_REPLY {
                return heard(
                    Some(mark_of(u32::from_be_bytes(message.rest))?),
                    reply(HopReplyKind::EchoReply),
                );
            }
            let quoted = message.quoted()?;
            let kind =
                error(message.kind == icmpv6::TIME_EXCEEDED, message.kind, message.code, message.mtu());
            heard(Some(mark_of(quoted.word?)?), reply(kind))
        }
        _ => None,
    }
}

fn error(exceeded: bool, icmp_type: u8, code: u8, mtu: Option<u32>) -> HopReplyKind {
    if exceeded { HopReplyKind::TimeExceeded } else { HopReplyKind::Icmp { icmp_type, code, mtu } }
}
