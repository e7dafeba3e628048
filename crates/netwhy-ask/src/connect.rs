//! The reproduction: each address of the target tried as the victim would, all at once.
//!
//! [`run`] makes one [`Attempt`] per [`Try`], in the order given. TCP connects and then stays a while to see
//! whether the peer ends it at once; no byte is sent. UDP sends its payload up to three times, a second apart, so
//! that the other side's ICMP rate limit does not hide the answer, and waits for a reply or an ICMP error.
//! Every attempt keeps the ICMP errors from the socket's error queue (with who sent them), the socket's cookie
//! and, for TCP, tcp_info as it was at the end.
//!
//! How an outcome reads: `Error {call, errno, name}` is what a program would see, and `call` is where it would see
//! it (`connect`, `sendto`, `recvmsg`, or the socket option that was refused). `Timeout` is the end of *our*
//! patience; the kernel's own is `Error` with `ETIMEDOUT`. For UDP, `Timeout` is no failure by itself.
//!
//! [`eyeballs`] computes from the attempts what a program with Happy Eyeballs, and one without, would have got.

mod eyeballs;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netwhy_facts::attempt::{Attempt, IcmpError, NO_ADDRESS, Outcome, Phase};
use netwhy_facts::flow::Proto;
use netwhy_facts::question::App;
use netwhy_sys::errno::Errno;
use netwhy_sys::socket::{Origin, Socket};
use netwhy_sys::{SysError, clock};

pub use eyeballs::{Eyeballs, eyeballs};

use crate::{Budget, Victim, Wait};

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// TCP or UDP; echo has its own module.
    pub proto: Proto,
    /// Where to; the scope id matters for link-local addresses.
    pub dst: SocketAddr,
    /// Source port; 0 lets the kernel choose.
    pub sport: u16,
    /// Whether bind(2) chooses the port and not connect(2): the kernel takes the ports of one from the even half of its
    /// range and those of the other from the odd half, which a hash that spreads flows may keep apart.
    pub bound: bool,
    /// What differs from the plain reproduction, as it is to stand in the attempt.
    pub variant: Option<String>,
    /// What UDP sends.
    pub payload: Vec<u8>,
    /// How long a TCP connection is watched after it stands.
    pub linger: Duration,
    /// The largest TCP segment to announce and send, bytes. A connection that works with small ones only meets a
    /// path, in either direction, that loses large packets.
    pub max_segment: Option<u16>,
}

impl Try {
    /// The plain reproduction: nothing varied, an empty datagram for UDP, 100 ms of watching for TCP.
    #[must_use]
    pub fn plain(proto: Proto, dst: SocketAddr) -> Self {
        Try {
            proto,
            dst,
            sport: 0,
            bound: false,
            variant: None,
            payload: Vec::new(),
            linger: Duration::from_millis(100),
            max_segment: None,
        }
    }
}

/// What an application's first datagram holds, for protocols that are asked with something: a DNS server for the
/// root's name servers. Empty for the others.
#[must_use]
pub fn payload(app: App) -> Vec<u8> {
    match app {
        App::Dns => crate::names::query(".", crate::names::Kind::Ns, false).unwrap_or_default(),
        App::None | App::Tls | App::Http | App::Https => Vec::new(),
    }
}

/// What came of one.
#[derive(Debug)]
pub struct Tried {
    /// The fact.
    pub attempt: Attempt,
    /// The connection if it still stands, blocking; nothing was read from it. Dropping it ends it in order.
    pub stream: Option<TcpStream>,
}

/// Tries all at once and returns when all have ended. What the budget does not cover is left out.
#[must_use]
pub fn run(tries: &[Try], victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Vec<Tried> {
    let one = |attempt: &Try| match attempt.proto {
        Proto::Tcp => tcp::attempt(attempt, victim, budget, wait),
        _ => udp::attempt(attempt, victim, budget, wait),
    };
    let paid: Vec<&Try> = tries.iter().take_while(|_| budget.take(1)).collect();
    match paid.as_slice() {
        [single] => vec![one(single)],
        several => std::thread::scope(|scope| {
            let threads: Vec<_> = several.iter().map(|attempt| scope.spawn(|| one(attempt))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        }),
    }
}

/// Calls connect(2) on a fresh TCP socket with no address (`AF_UNSPEC`), which sends nothing and succeeds: whether the
/// call itself is denied to this process, whatever the target.
#[must_use]
pub fn without_address(dst: SocketAddr) -> Attempt {
    let what = Try { variant: Some(NO_ADDRESS.to_owned()), ..Try::plain(Proto::Tcp, dst) };
    let course = Course::new(&what);
    let called = Socket::open(netwhy_sys::socket::Family::of(dst.ip()), netwhy_sys::socket::Kind::Tcp)
        .and_then(|socket| socket.disconnect());
    let elapsed = course.micros();
    match called {
        Ok(()) => course.end(elapsed, Phase::Connect, Outcome::Ok),
        Err(error) => course.end(elapsed, Phase::Connect, failure(&error)),
    }
}

/// An attempt under way.
pub(crate) struct Course<'a> {
    pub(crate) what: &'a Try,
    pub(crate) began: Instant,
    started: u64,
    icmp: Vec<IcmpError>,
    cookie: Option<u64>,
    pub(crate) local: Option<SocketAddr>,
    tcp: Option<Box<netwhy_facts::socket::TcpInfo>>,
}

impl<'a> Course<'a> {
    pub(crate) fn new(what: &'a Try) -> Self {
        Course {
            what,
            began: Instant::now(),
            started: clock::monotonic(),
            icmp: Vec::new(),
            cookie: None,
            local: None,
            tcp: None,
        }
    }

    pub(crate) fn micros(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// Moves the socket's error queue here. The first errno found, if any.
    pub(crate) fn drain(&mut self, socket: &Socket) -> Option<Errno> {
        let mut first = None;
        // The queue is bounded by the socket's buffer; so is this.
        for _ in 0..64 {
            let Ok(Some(error)) = socket.take_queued_error() else { break };
            let local = error.origin == Origin::Local;
            if !local && !matches!(error.origin, Origin::Icmp | Origin::Icmp6) {
                continue;
            }
            first = first.or(Some(error.errno));
            self.icmp.push(IcmpError {
                from: error.offender,
                v6: error.origin == Origin::Icmp6,
                icmp_type: error.kind,
                code: error.code,
                mtu: error.mtu(),
                after_us: self.micros(),
                local,
            });
        }
        first
    }

    /// Notes the socket's own end and number.
    pub(crate) fn identify(&mut self, socket: &Socket) {
        self.cookie = socket.cookie().ok();
        self.local = socket.local().ok().filter(|local| !local.ip().is_unspecified());
    }

    pub(crate) fn end(self, elapsed_us: u64, phase: Phase, outcome: Outcome) -> Attempt {
        Attempt {
            proto: self.what.proto,
            dst: self.what.dst.ip(),
            dport: self.what.dst.port(),
            local: self.local,
            variant: self.what.variant.clone(),
            started: self.started,
            elapsed_us,
            phase,
            outcome,
            icmp: self.icmp,
            cookie: self.cookie,
            tcp: self.tcp,
        }
    }

    /// Ends with a failed call.
    pub(crate) fn fail(self, phase: Phase, error: &SysError) -> Tried {
        let elapsed = self.micros();
        Tried { attempt: self.end(elapsed, phase, failure(error)), stream: None }
    }
}

/// A system call's failure as an outcome.
pub(crate) fn failure(error: &SysError) -> Outcome {
    let number = error.errno.number();
    Outcome::Error { call: error.operation.to_owned(), errno: number, name: error.errno.name().to_owned() }
}

/// An errno as an outcome.
pub(crate) fn errno(call: &str, errno: Errno) -> Outcome {
    Outcome::Error { call: call.to_owned(), errno: errno.number(), name: errno.name().to_owned() }
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
