//! One question to one server: UDP, repeated once, then TCP where that tells more.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::names::{NameOutcome, NameQuery};
use netwhy_sys::errno::Errno;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::{Connect, Family, Kind as Transport, Socket};
use netwhy_sys::{Result, SysError};

use super::message::{self, Kind};
use crate::connect::micros;
use crate::{Budget, Wait};

/// A lost datagram is sent again after this; an answer that takes longer still counts.
const REPEAT: Duration = Duration::from_secs(1);
/// The largest DNS message.
const LARGEST: usize = 65_535;

/// What to ask, and whom.
pub(super) struct Ask<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) server: SocketAddr,
    pub(super) edns: bool,
    /// resolv.conf says `use-vc`.
    pub(super) tcp_only: bool,
}

/// Every exchange made, UDP first. Empty if the budget is spent or the name is no domain name.
pub(super) fn ask(ask: &Ask<'_>, budget: &Budget, wait: &Wait<'_>) -> Vec<NameQuery> {
    let Some(query) = message::query(ask.name, ask.kind, ask.edns) else { return Vec::new() };
    let record = |outcome, tcp, elapsed_us| NameQuery {
        server: ask.server.ip(),
        port: ask.server.port(),
        qname: ask.name.to_owned(),
        qtype: ask.kind.name().to_owned(),
        tcp,
        elapsed_us,
        outcome,
    };
    let over_tcp = || {
        if !budget.take(1) {
            return None;
        }
        let began = Instant::now();
        let outcome = tcp(ask.server, &query, budget, &wait.at_most(REPEAT));
        Some(record(outcome, true, micros(began.elapsed())))
    };
    if ask.tcp_only {
        return over_tcp().into_iter().collect();
    }
    if !budget.take(1) {
        return Vec::new();
    }
    let mut udp = Udp::start(ask.server, &query);
    udp.listen(&wait.at_most(REPEAT));
    let silent = udp.outcome.is_none();
    if silent && !wait.is_over() && budget.take(1) {
        udp.send();
    }
    let second = match &udp.outcome {
        None if wait.is_over() => None,
        None | Some(NameOutcome::Reply { truncated: true, .. }) => over_tcp(),
        Some(NameOutcome::Reply { .. }) => None,
        Some(_) => over_tcp(),
    };
    if silent {
        udp.listen(wait);
    }
    let (mut outcome, elapsed) = udp.finish();
    explain(&mut outcome, ask, budget, wait);
    [Some(record(outcome, false, elapsed)), second].into_iter().flatten().collect()
}

/// Asks a server that failed once more, with EDNS, for its reason.
fn explain(outcome: &mut NameOutcome, ask: &Ask<'_>, budget: &Budget, wait: &Wait<'_>) {
    let NameOutcome::Reply { rcode, ede: ede @ None, .. } = outcome else { return };
    if ask.edns || ask.kind != Kind::A || rcode != "SERVFAIL" || wait.is_over() || !budget.take(1) {
        return;
    }
    let Some(query) = message::query(ask.name, ask.kind, true) else { return };
    let mut udp = Udp::start(ask.server, &query);
    udp.listen(&wait.at_most(REPEAT / 2));
    if let (NameOutcome::Reply { ede: Some(reason), .. }, _) = udp.finish() {
        *ede = Some(reason);
    }
}

/// A question under way over UDP.
struct Udp<'a> {
    query: &'a [u8],
    socket: Option<Socket>,
    began: Instant,
    elapsed_us: u64,
    outcome: Option<NameOutcome>,
    /// Something came that was not the answer. The answer may still come.
    garbage: Option<String>,
}

impl<'a> Udp<'a> {
    fn start(server: SocketAddr, query: &'a [u8]) -> Self {
        let open = || {
            let socket = Socket::open(Family::of(server.ip()), Transport::Udp)?;
            socket.connect(server)?;
            Ok(socket)
        };
        let began = Instant::now();
        let mut udp = Udp { query, socket: None, began, elapsed_us: 0, outcome: None, garbage: None };
        match open() {
            Ok(socket) => {
                udp.socket = Some(socket);
                udp.send();
            }
            Err(error) => udp.end(failure(&error)),
        }
        udp
    }

    fn send(&mut self) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(self.query) {
            self.end(failure(&error));
        }
    }

    fn end(&mut self, outcome: NameOutcome) {
        self.elapsed_us = micros(self.began.elapsed());
        self.outcome = Some(outcome);
    }

    /// Waits for the answer as long as `wait` says.
    fn listen(&mut self, wait: &Wait<'_>) {
        let mut buffer = vec![0; 4096];
        while self.outcome.is_none() {
            let Some(socket) = &self.socket else { return };
            match poll::wait(socket.as_fd(), Interest::READ, Some(wait.next_look())) {
                Ok(true) => {}
                // Looked at once even if the time is over already.
                Ok(false) if wait.is_over() => return,
                Ok(false) => continue,
                Err(error) => return self.end(failure(&error)),
            }
            match socket.receive(&mut buffer) {
                Ok(Some(datagram)) => {
                    let bytes = buffer.get(..datagram.length).unwrap_or(&[]);
                    match message::read(self.query, bytes) {
                        Ok(outcome) => self.end(outcome),
                        Err(mismatch) => self.garbage = Some(mismatch.to_string()),
                    }
                }
                Ok(None) => {}
                Err(error) => self.end(failure(&error)),
            }
        }
    }

    fn finish(self) -> (NameOutcome, u64) {
        let waited = micros(self.began.elapsed());
        match (self.outcome, self.garbage) {
            (Some(outcome), _) => (outcome, self.elapsed_us),
            (None, Some(why)) => (NameOutcome::Garbage { why }, waited),
            (None, None) => (NameOutcome::Timeout, waited),
        }
    }
}

/// One exchange over a connection of its own (RFC 7766).
fn tcp(server: SocketAddr, query: &[u8], budget: &Budget, wait: &Wait<'_>) -> NameOutcome {
    let socket = match Socket::open(Family::of(server.ip()), Transport::Tcp) {
        Ok(socket) => socket,
        Err(error) => return failure(&error),
    };
    let outcome = tcp_exchange(&socket, server, query, wait);
    // One packet is paid for; the connection's others and its end are noted.
    let sent = socket
        .tcp_info()
        .ok()
        .and_then(|bytes| netwhy_facts::socket::TcpInfo::from_kernel(&bytes))
        .and_then(|info| info.segs_out)
        .unwrap_or(0);
    budget.note(sent);
    match outcome {
        Ok(Some(outcome)) => outcome,
        Ok(None) => NameOutcome::Timeout,
        Err(error) => failure(&error),
    }
}

/// `None`: the time was over first.
fn tcp_exchange(
    socket: &Socket,
    server: SocketAddr,
    query: &[u8],
    wait: &Wait<'_>,
) -> Result<Option<NameOutcome>> {
    if socket.connect(server)? == Connect::InProgress && !ready(socket, Interest::WRITE, wait)? {
        return Ok(None);
    }
    if let Some(errno) = socket.take_error()? {
        return Err(SysError::new("connect", server.to_string(), errno));
    }
    let length = u16::try_from(query.len()).unwrap_or(0);
    // A query is far smaller than a new connection's buffer.
    socket.send(&[&length.to_be_bytes()[..], query].concat())?;
    let mut received = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some((length, message)) = received.split_first_chunk::<2>() {
            let wanted = usize::from(u16::from_be_bytes(*length));
            if let Some(message) = message.get(..wanted) {
                return Ok(Some(match message::read(query, message) {
                    Ok(outcome) => outcome,
                    Err(mismatch) => NameOutcome::Garbage { why: mismatch.to_string() },
                }));
            }
        }
        if !ready(socket, Interest::READ, wait)? {
            return Ok(None);
        }
        match socket.receive(&mut buffer)? {
            None => {}
            Some(data) if data.length == 0 => {
                let why = match received.len() {
                    0 => "the connection was closed without an answer".to_owned(),
                    some => format!("the connection was closed after {some} bytes of an answer"),
                };
                return Ok(Some(NameOutcome::Garbage { why }));
            }
            Some(data) => {
                received.extend_from_slice(buffer.get(..data.length).unwrap_or(&[]));
                received.truncate(LARGEST + 2);
            }
        }
    }
}

fn ready(socket: &Socket, interest: Interest, wait: &Wait<'_>) -> Result<bool> {
    loop {
        if poll::wait(socket.as_fd(), interest, Some(wait.next_look()))? {
            return Ok(true);
        }
        if wait.is_over() {
            return Ok(false);
        }
    }
}

fn failure(error: &SysError) -> NameOutcome {
    let errno: Errno = error.errno;
    NameOutcome::Error { errno: errno.number(), name: errno.name().to_owned() }
}
