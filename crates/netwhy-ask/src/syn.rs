//! Connection requests made by hand, each like the kernel's own with one thing left out: whether something on the way
//! minds an option of the SYN. Every one has a source port of its own; a port that is only bound makes the kernel reset
//! what the target would open, so that nothing is left behind there.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use netwhy_capture::{CaptureError, FlowFilter, Frame, Options, Session, Tuple};
use netwhy_facts::attempt::{Attempt, Outcome, Phase};
use netwhy_facts::flow::Proto;
use netwhy_sys::packet::Direction;
use netwhy_sys::socket::{Family, Kind, Socket, source_for};
use netwhy_sys::{Errno, Result, SysError, clock};
use netwhy_wire::packet::ipv4::Ipv4;
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::tcp::{Tcp, flag};
use netwhy_wire::packet::{Ip, protocol};

use crate::connect::{failure, micros};
use crate::{Budget, Victim, Wait};

/// What a SYN carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syn {
    /// Asks for ECN: the flags ECE and CWR (RFC 3168 section 6.1.1).
    pub ecn: bool,
    /// Selective acknowledgements permitted (RFC 2018).
    pub sack: bool,
    /// Timestamps (RFC 7323).
    pub timestamps: bool,
    /// Window scale (RFC 7323).
    pub window_scale: bool,
}

impl Syn {
    /// The options in the order Linux writes them, padded to whole words.
    fn options(self, v6: bool) -> Vec<u8> {
        // An Ethernet's MTU without the headers.
        let mut out = vec![2, 4];
        out.extend(if v6 { 1440_u16 } else { 1460 }.to_be_bytes());
        match (self.sack, self.timestamps) {
            (true, true) => out.extend([4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]),
            (false, true) => out.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]),
            (true, false) => out.extend([1, 1, 4, 2]),
            (false, false) => {}
        }
        if self.window_scale {
            out.extend([1, 3, 3, 7]);
        }
        out
    }

    fn flags(self) -> u8 {
        flag::SYN | if self.ecn { flag::ECE | flag::CWR } else { 0 }
    }
}

/// One under way.
struct Sent {
    variant: String,
    sport: u16,
    seq: u32,
    began: Instant,
    started: u64,
    outcome: Option<(Outcome, u64)>,
    _held: Socket,
}

/// Sends each once, all at the same moment, and waits until all are answered or the wait is over. Where it may not be
/// done, every attempt says with which errno it failed.
#[must_use]
pub fn run(
    syns: &[(String, Syn)],
    dst: SocketAddr,
    victim: &Victim,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Vec<Attempt> {
    match try_run(syns, dst, victim, budget, wait) {
        Ok(attempts) => attempts,
        Err(error) => syns
            .iter()
            .map(|(variant, _)| attempt(variant, dst, None, clock::monotonic(), (failure(&error), 0)))
            .collect(),
    }
}

fn attempt(
    variant: &str,
    dst: SocketAddr,
    local: Option<SocketAddr>,
    started: u64,
    (outcome, elapsed_us): (Outcome, u64),
) -> Attempt {
    Attempt {
        proto: Proto::Tcp,
        dst: dst.ip(),
        dport: dst.port(),
        local,
        variant: Some(variant.to_owned()),
        started,
        elapsed_us,
        phase: if matches!(outcome, Outcome::Error { .. }) { Phase::Socket } else { Phase::Connect },
        outcome,
        icmp: Vec::new(),
        cookie: None,
        tcp: None,
    }
}

fn try_run(
    syns: &[(String, Syn)],
    dst: SocketAddr,
    victim: &Victim,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Result<Vec<Attempt>> {
    /// `IPPROTO_RAW`: what is sent starts with its IP header.
    const RAW: u8 = 255;
    let family = Family::of(dst.ip());
    let socket = Socket::open(family, Kind::Raw(RAW))?;
    socket.set_header_included()?;
    victim.dress(&socket, dst.ip(), 0)?;
    let src = match victim.source.filter(|s| s.is_ipv4() == dst.is_ipv4()) {
        Some(source) => source,
        None => {
            let mark = (victim.mark != 0).then_some(victim.mark);
            source_for(dst.ip(), victim.device.as_deref(), mark)?
        }
    };
    let any = if dst.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let random = RandomState::new();
    let mut sent = Vec::new();
    for (number, (variant, _)) in syns.iter().enumerate() {
        let held = Socket::open(family, Kind::Tcp)?;
        held.bind((any, 0).into())?;
        sent.push(Sent {
            variant: variant.clone(),
            sport: held.local()?.port(),
            seq: random.hash_one(number) as u32,
            began: Instant::now(),
            started: clock::monotonic(),
            outcome: None,
            _held: held,
        });
    }
    let tuple = |one: &Sent| Tuple {
        protocol: protocol::TCP,
        src: Some(src),
        sport: Some(one.sport),
        dst: dst.ip(),
        dport: dst.port(),
    };
    let filter = FlowFilter { tuples: sent.iter().map(tuple).collect(), neighbours: Vec::new() };
    let session =
        Session::start(filter, &Options { packets: 128, ..Options::default() }).map_err(|e| match e {
            CaptureError::Sys(error) => error,
            other => SysError::new("capture", other.to_string(), Errno::EINVAL),
        })?;
    let mut to = dst;
    to.set_port(0);
    for (one, (_, syn)) in sent.iter_mut().zip(syns) {
        if !budget.take(1) {
            break;
        }
        (one.began, one.started) = (Instant::now(), clock::monotonic());
        socket.send_to(&packet(src, dst, one.sport, one.seq, *syn), to)?;
    }
    let mut frames = 0;
    while sent.iter().any(|one| one.outcome.is_none()) && !wait.is_over() {
        let more = session.wait_beyond(frames, wait.next_look());
        frames += more.len();
        for frame in &more {
            hear(frame, &mut sent);
        }
    }
    Ok(sent
        .into_iter()
        .map(|one| {
            let end = one.outcome.unwrap_or_else(|| (Outcome::Timeout, micros(one.began.elapsed())));
            attempt(&one.variant, dst, Some(SocketAddr::new(src, one.sport)), one.started, end)
        })
        .collect())
}

fn packet(src: IpAddr, dst: SocketAddr, sport: u16, seq: u32, syn: Syn) -> Vec<u8> {
    let options = syn.options(dst.is_ipv6());
    let segment = Tcp {
        src: sport,
        dst: dst.port(),
        seq,
        ack: 0,
        flags: syn.flags(),
        window: 64_240,
        urgent: 0,
        options: &options,
        payload: &[],
    };
    let payload = segment.emit(src, dst.ip());
    match (src, dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4::new(src, dst, protocol::TCP, 64, &payload).emit(),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6::new(src, dst, protocol::TCP, 64, &payload).emit(),
        // The source was taken for this destination.
        _ => Vec::new(),
    }
}

/// Takes an answer to one of them.
fn hear(frame: &Frame, sent: &mut [Sent]) {
    if frame.direction == Direction::Outgoing {
        return;
    }
    let Ok(ip) = Ip::parse(&frame.packet) else { return };
    let Some((protocol::TCP, segment)) = ip.upper() else { return };
    let Ok(tcp) = Tcp::parse(segment) else { return };
    let asked = sent.iter_mut().find(|one| one.sport == tcp.dst && one.seq.wrapping_add(1) == tcp.ack);
    let Some(one) = asked.filter(|one| one.outcome.is_none()) else { return };
    let outcome = match tcp.flags & (flag::SYN | flag::RST) {
        flag::SYN => Outcome::Ok,
        flag::RST => crate::connect::errno("connect", Errno::ECONNREFUSED),
        _ => return,
    };
    one.outcome = Some((outcome, micros(one.began.elapsed())));
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syn = Syn { ecn: true, sack: true, timestamps: true, window_scale: true };

    #[test]
    fn options_fill_whole_words_and_leave_out_one_thing() {
        assert_eq!(ALL.options(false), [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
        for bits in 0..16_u8 {
            let syn = Syn {
                ecn: bits & 1 != 0,
                sack: bits & 2 != 0,
                timestamps: bits & 4 != 0,
                window_scale: bits & 8 != 0,
            };
            let options = syn.options(bits & 1 != 0);
            assert_eq!(options.len() % 4, 0);
            let kinds = kinds(&options);
            assert_eq!(
                (kinds.contains(&4), kinds.contains(&8), kinds.contains(&3)),
                (syn.sack, syn.timestamps, syn.window_scale)
            );
        }
        assert_eq!(ALL.flags(), 0xc2);
        assert_eq!(Syn { ecn: false, ..ALL }.flags(), 0x02);
    }

    /// The kinds of a list of options.
    fn kinds(options: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < options.len() {
            out.push(options[at]);
            at += if options[at] <= 1 { 1 } else { usize::from(options[at + 1]) };
        }
        out
    }

    #[test]
    fn a_listener_and_a_closed_port_answer_each_in_its_way() {
        let Some(namespace) = crate::testing::namespace() else { return };
        namespace
            .run(|| {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let open = listener.local_addr().unwrap();
                let closed = {
                    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                    gone.local_addr().unwrap()
                };
                let budget = Budget::new(10);
                let wait = Wait::until(Instant::now() + std::time::Duration::from_secs(5));
                let syns = [
                    ("all".to_owned(), ALL),
                    (
                        "bare".to_owned(),
                        Syn { ecn: false, sack: false, timestamps: false, window_scale: false },
                    ),
                ];
                let heard = run(&syns, open, &Victim::default(), &budget, &wait);
                assert!(heard.iter().all(|a| a.outcome == Outcome::Ok), "{heard:?}");
                assert_eq!(heard[1].variant.as_deref(), Some("bare"));
                let heard = run(&syns, closed, &Victim::default(), &budget, &wait);
                assert!(
                    heard
                        .iter()
                        .all(|a| matches!(&a.outcome, Outcome::Error { name, .. } if name == "ECONNREFUSED")),
                    "{heard:?}"
                );
                assert_eq!(budget.spent(), 4);
                // Nothing was opened: the kernel has reset what it did not ask for.
                listener.set_nonblocking(true).unwrap();
                assert!(listener.accept().is_err());
            })
            .unwrap();
    }
}
