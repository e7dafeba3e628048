//! The largest packet a path carries, found by sending: echo requests of chosen sizes that must not be fragmented.
//!
//! [`search`] begins with a small one, 1,280 bytes and the device's MTU. If the largest comes back, that was all.
//! If a router says what fits, that size is tried next. If large ones vanish without a word while small ones are
//! answered, the sizes between are narrowed down, several at once: a black hole. A size counts as lost only when
//! it was silent twice.
//!
//! Sizes are whole IP packets in bytes. What is measured is the way there: most hosts let their replies be
//! fragmented. A target that answers no echo at all gives `passes: None`, which says nothing about sizes.
//!
//! The device's MTU is learned without sending: the kernel refuses what exceeds it and says the limit.

mod sizes;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::flow::{Flow, Proto};
use netwhy_facts::path::PathMtu as Fact;
use netwhy_facts::reading::Reading;
use netwhy_sys::errno::Errno;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::{Origin, PathMtu};
use netwhy_sys::{Result, SysError, clock};

use self::sizes::{Answer, Search};
use crate::echo::EchoSocket;
use crate::path::destination;
use crate::{Budget, Victim, Wait};

/// The door, as a reading names it.
const SOURCE: &str = "echo requests with DF";
/// The shortest time an answer is waited for, and the longest.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(400));

/// Searches the path MTU toward a flow's destination. What the budget does not cover is not sent.
#[must_use]
pub fn search(flow: &Flow, budget: &Budget, wait: &Wait<'_>) -> Reading<Fact> {
    match Probe::open(flow, budget, *wait).and_then(Probe::run) {
        Ok(fact) => Reading::known(fact, SOURCE, clock::monotonic()),
        Err(error) if error.is_denied() => Reading::denied("CAP_NET_RAW, or net.ipv4.ping_group_range"),
        Err(error) => Reading::failed(error),
    }
}

struct Probe<'a> {
    socket: EchoSocket,
    target: SocketAddr,
    budget: &'a Budget,
    wait: Wait<'a>,
    /// Requests sent: their sizes, by sequence number from 1.
    sizes: Vec<u32>,
    told: Option<(IpAddr, u32)>,
    slowest: Duration,
}

impl<'a> Probe<'a> {
    fn open(flow: &Flow, budget: &'a Budget, wait: Wait<'a>) -> Result<Self> {
        let target = SocketAddr::new(destination(flow).ip(), 0);
        let target = match (target, destination(flow)) {
            (SocketAddr::V6(mut plain), SocketAddr::V6(scoped)) => {
                plain.set_scope_id(scoped.scope_id());
                plain.into()
            }
            (plain, _) => plain,
        };
        let victim = Victim { mark: flow.mark, device: flow.dev.clone(), source: None };
        let socket = EchoSocket::open(target, &victim)?;
        socket.inner().set_path_mtu(PathMtu::Probe)?;
        socket.connect()?;
        Ok(Probe { socket, target, budget, wait, sizes: Vec::new(), told: None, slowest: Duration::ZERO })
    }

    fn run(mut self) -> Result<Fact> {
        let local_mtu = self.local_mtu()?;
        let mut search = Search::new(local_mtu);
        loop {
            let sizes = search.next();
            if sizes.is_empty() || self.wait.is_over() {
                break;
            }
            let Some(answers) = self.round(&sizes)? else { break };
            search.note(&answers, self.told.map(|(_, mtu)| mtu));
        }
        let (passes, fails) = search.found();
        let told = self.told.filter(|(_, mtu)| *mtu < local_mtu);
        Ok(Fact {
            dst: self.target.ip(),
            proto: Proto::Icmp,
            local_mtu,
            passes,
            fails,
            told,
            black_hole: told.is_none() && passes.is_some() && fails.is_some(),
            sent: u32::try_from(self.sizes.len()).unwrap_or(u32::MAX),
        })
    }

    fn headers(&self) -> u32 {
        // The IP header and the echo header.
        if self.target.is_ipv4() { 28 } else { 48 }
    }

    /// The egress device's MTU, from what the kernel says to a packet that no device carries.
    fn local_mtu(&mut self) -> Result<u32> {
        const LARGEST: u32 = 65_535;
        // More payload than a packet can have is refused without a limit; this much only by devices.
        let data = LARGEST - if self.target.is_ipv4() { 28 } else { 8 };
        match self.socket.send(0, data as usize) {
            // A device that carries everything, such as loopback; the reply is of no interest.
            Ok(()) => Ok(LARGEST),
            Err(error) if error.errno == Errno::EMSGSIZE => {
                while let Some(queued) = self.socket.inner().take_queued_error()? {
                    if queued.origin == Origin::Local
                        && let Some(mtu) = queued.mtu()
                    {
                        return Ok(mtu);
                    }
                }
                self.socket.inner().path_mtu()
            }
            Err(error) => Err(error),
        }
    }

    /// Sends each size once, and those that stay silent once more, smallest first, as far as that decides
    /// something. `None`: the budget or the time ended before the round did.
    fn round(&mut self, sizes: &[u32]) -> Result<Option<Vec<(u32, Answer)>>> {
        let first = self.sizes.len();
        for size in sizes {
            if !self.send(*size)? {
                return Ok(None);
            }
        }
        let mut answers: Vec<(u32, Answer)> = sizes.iter().map(|size| (*size, Answer::Silent)).collect();
        self.listen(first, &mut answers)?;
        loop {
            let open = answers.iter().position(|(_, answer)| *answer == Answer::Silent);
            let Some((size, _)) = open.and_then(|at| answers.get(at)).copied() else { break };
            // Whatever is larger than a lost one tells nothing more.
            let again = self.sizes.len();
            if self.wait.is_over() || !self.send(size)? {
                return Ok(None);
            }
            self.listen(again, &mut answers)?;
            if answers.iter().any(|(one, answer)| *one == size && *answer == Answer::Silent) {
                break;
            }
        }
        Ok(Some(answers))
    }

    /// `false`: the budget is spent.
    fn send(&mut self, size: u32) -> Result<bool> {
        if !self.budget.take(1) {
            return Ok(false);
        }
        self.sizes.push(size);
        let sequence = u16::try_from(self.sizes.len()).unwrap_or(u16::MAX);
        let data = size.saturating_sub(self.headers()) as usize;
        match self.socket.send(sequence, data) {
            Ok(()) => Ok(true),
            // An ICMP error to an earlier one is told by the next call; it is in the queue as well.
            Err(SysError { errno: Errno::EMSGSIZE | Errno::EHOSTUNREACH | Errno::ENETUNREACH, .. }) => {
                self.socket.send(sequence, data).map(|()| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the answers to everything sent since `first`.
    fn listen(&mut self, first: usize, answers: &mut [(u32, Answer)]) -> Result<()> {
        let began = Instant::now();
        let patience = (3 * self.slowest).clamp(PATIENCE.0, PATIENCE.1);
        // Before anything has come back there is no telling how far away the target is.
        let patience = if self.slowest.is_zero() { 2 * PATIENCE.0 } else { patience };
        let wait = self.wait.at_most(patience);
        let mut missing = self.sizes.len().saturating_sub(first);
        while missing > 0 {
            let socket = self.socket.inner();
            if !poll::wait(socket.as_fd(), Interest::READ, Some(wait.next_look()))? {
                if wait.is_over() {
                    return Ok(());
                }
                continue;
            }
            while let Some(error) = socket.take_queued_error()? {
                let Some(mtu) = error.mtu().filter(|_| error.origin != Origin::Local) else { continue };
                if let Some(from) = error.offender
                    && self.told.is_none_or(|(_, known)| mtu < known)
                {
                    self.told = Some((from, mtu));
                }
                for (size, answer) in answers.iter_mut() {
                    if *size > mtu && *answer == Answer::Silent {
                        *answer = Answer::TooBig;
                        missing = missing.saturating_sub(1);
                    }
                }
            }
            // An error was told by the queue already.
            while let Ok(Some(reply)) = self.socket.receive() {
                let sent = usize::from(reply.sequence).checked_sub(1).and_then(|at| self.sizes.get(at));
                let Some(size) = sent else { continue };
                self.slowest = self.slowest.max(began.elapsed());
                for (one, answer) in answers.iter_mut() {
                    if one == size && *answer != Answer::Passed {
                        *answer = Answer::Passed;
                        missing = missing.saturating_sub(1);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
