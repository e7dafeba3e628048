//! One packet with a limited time to live, and what came back.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netwhy_facts::flow::Proto;
use netwhy_facts::path::HopReplyKind;
use netwhy_sys::Result;
use netwhy_sys::errno::Errno;
use netwhy_sys::poll::Interest;
use netwhy_sys::socket::{Family, Kind, Origin, Socket};

use crate::Victim;
use crate::echo::EchoSocket;

/// A probe under way or over.
pub(super) struct Probe {
    pub(super) ttl: u8,
    pub(super) found: Option<Found>,
    sent: Instant,
    socket: Option<Sender>,
}

/// What came back.
pub(super) struct Found {
    pub(super) from: IpAddr,
    pub(super) after: Duration,
    pub(super) kind: HopReplyKind,
}

enum Sender {
    Tcp(Socket),
    Udp(Socket),
    Echo(EchoSocket),
}

impl Probe {
    /// Sends one. An error is of this host: nothing left.
    pub(super) fn send(proto: Proto, target: SocketAddr, ttl: u8, victim: &Victim) -> Result<Self> {
        let sender = match proto {
            Proto::Icmp => Sender::Echo(EchoSocket::open(target, victim)?),
            Proto::Tcp => Sender::Tcp(open(Kind::Tcp, target, victim)?),
            Proto::Udp => Sender::Udp(open(Kind::Udp, target, victim)?),
        };
        let socket = sender.socket();
        socket.set_ttl(ttl)?;
        let sent = Instant::now();
        match &sender {
            Sender::Tcp(socket) => {
                // One repetition would come after a second, when nobody waits for it any more.
                socket.set_syn_retries(1)?;
                socket.connect(target)?;
            }
            Sender::Udp(socket) => {
                socket.connect(target)?;
                socket.send(&[])?;
            }
            Sender::Echo(echo) => {
                echo.connect()?;
                echo.send(u16::from(ttl), 56)?;
            }
        }
        Ok(Probe { ttl, found: None, sent, socket: Some(sender) })
    }

    /// Whether something may still come.
    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref().map(Sender::socket)
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> Interest {
        match self.socket {
            Some(Sender::Tcp(_)) => Interest::WRITE,
            _ => Interest::READ,
        }
    }

    /// Looks at what has happened.
    pub(super) fn look(&mut self, target: SocketAddr, hangup: bool) {
        let Some(sender) = &self.socket else { return };
        let after = self.sent.elapsed();
        let socket = sender.socket();
        // In this order: taking an ICMP error from the queue takes the pending error with it.
        let pending = match sender {
            Sender::Tcp(_) => socket.take_error().ok().flatten(),
            Sender::Udp(_) | Sender::Echo(_) => None,
        };
        let mut done = false;
        if let Some((from, kind)) = queued(socket) {
            self.found = Some(Found { from, after, kind });
            done = true;
        } else {
            let own = |kind| Some(Found { from: target.ip(), after, kind });
            match sender {
                Sender::Tcp(_) if pending == Some(Errno::ECONNREFUSED) => {
                    (self.found, done) = (own(HopReplyKind::Rst), true);
                }
                Sender::Tcp(_) if pending.is_none() && socket.peer().is_ok() => {
                    // Nothing more is wanted of the connection, and it leaves no trace here.
                    let _ = socket.reset_on_close();
                    (self.found, done) = (own(HopReplyKind::SynAck), true);
                }
                // An error of this host: a neighbour that does not answer.
                Sender::Tcp(_) => done = pending.is_some() || hangup,
                Sender::Udp(_) => match socket.receive(&mut [0; 16]) {
                    Ok(Some(_)) => (self.found, done) = (own(HopReplyKind::UdpReply), true),
                    Ok(None) => {}
                    Err(_) => done = true,
                },
                Sender::Echo(echo) => match echo.receive() {
                    Ok(Some(reply)) => {
                        self.found = Some(Found { from: reply.from, after, kind: HopReplyKind::EchoReply });
                        done = true;
                    }
                    Ok(None) => {}
                    Err(_) => done = true,
                },
            }
        }
        if done {
            self.socket = None;
        }
    }
}

impl Sender {
    fn socket(&self) -> &Socket {
        match self {
            Sender::Tcp(socket) | Sender::Udp(socket) => socket,
            Sender::Echo(echo) => echo.inner(),
        }
    }
}

fn open(kind: Kind, target: SocketAddr, victim: &Victim) -> Result<Socket> {
    let socket = Socket::open(Family::of(target.ip()), kind)?;
    socket.queue_errors(true)?;
    victim.dress(&socket, target.ip(), 0)?;
    Ok(socket)
}

/// The first ICMP error in the queue.
fn queued(socket: &Socket) -> Option<(IpAddr, HopReplyKind)> {
    while let Ok(Some(error)) = socket.take_queued_error() {
        let exceeded = match error.origin {
            Origin::Icmp => 11,
            Origin::Icmp6 => 3,
            _ => continue,
        };
        let Some(from) = error.offender else { continue };
        let kind = if error.kind == exceeded {
            HopReplyKind::TimeExceeded
        } else {
            HopReplyKind::Icmp { icmp_type: error.kind, code: error.code, mtu: error.mtu() }
        };
        return Some((from, kind));
    }
    None
}
