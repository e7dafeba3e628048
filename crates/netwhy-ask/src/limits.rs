//! What bounds every question: a deadline, a packet budget, and whose socket it is asked with.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netwhy_sys::socket::Socket;

/// How long to wait, and who may end it early. `Copy`, so that a part of it can be handed on.
#[derive(Clone, Copy)]
pub struct Wait<'a> {
    /// When to give up.
    pub deadline: Instant,
    /// Asked every [`Wait::STEP`] from whichever thread is waiting; `true` ends the wait.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<'a> Wait<'a> {
    /// How often `stop` is asked.
    pub const STEP: Duration = Duration::from_millis(25);

    /// Waits until `deadline`, whatever happens.
    #[must_use]
    pub fn until(deadline: Instant) -> Wait<'static> {
        Wait { deadline, stop: &|| false }
    }

    /// The same with an earlier end.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Wait<'a> {
        Wait { deadline: self.deadline.min(Instant::now() + time), ..self }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || (self.stop)()
    }

    /// When to look up from waiting next, at the latest.
    pub(crate) fn next_look(&self) -> Instant {
        self.deadline.min(Instant::now() + Self::STEP)
    }
}

/// Packets that may be sent, counted across threads.
#[derive(Debug)]
pub struct Budget {
    limit: u32,
    spent: AtomicU32,
}

impl Budget {
    /// A budget of so many packets.
    #[must_use]
    pub const fn new(packets: u32) -> Self {
        Budget { limit: packets, spent: AtomicU32::new(0) }
    }

    /// Takes `packets` if that many are left; `false` leaves the budget as it was, and nothing may be sent.
    #[must_use]
    pub fn take(&self, packets: u32) -> bool {
        self.spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
                spent.checked_add(packets).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    /// Notes packets that the kernel has sent on its own: repeated SYNs, ACKs, FINs. These may exceed the limit.
    pub fn note(&self, packets: u32) {
        self.spent.fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets sent so far.
    #[must_use]
    pub fn spent(&self) -> u32 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Packets left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.limit.saturating_sub(self.spent())
    }
}

/// What the victim's socket has set: a question must be asked with the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Victim {
    /// `SO_MARK`; 0 for none.
    pub mark: u32,
    /// `SO_BINDTODEVICE`.
    pub device: Option<String>,
    /// Source address it binds to.
    pub source: Option<IpAddr>,
}

impl Victim {
    /// Sets all of it on a socket that talks to `remote`; a source address of the other family is left out.
    pub(crate) fn dress(&self, socket: &Socket, remote: IpAddr, port: u16) -> netwhy_sys::Result<()> {
        if let Some(device) = &self.device {
            socket.bind_device(device)?;
        }
        if self.mark != 0 {
            socket.set_mark(self.mark)?;
        }
        let source = self.source.filter(|source| source.is_ipv4() == remote.is_ipv4());
        match (source, port) {
            (None, 0) => Ok(()),
            (source, port) => {
                let any = if remote.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
                if port == 0 {
                    // As programs do that bind an address only: the port is chosen by the connection.
                    socket.set_late_port()?;
                }
                socket.bind((source.unwrap_or(any), port).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_by_taking() {
        let budget = Budget::new(5);
        assert!(budget.take(3));
        assert!(!budget.take(3));
        assert!(budget.take(2));
        assert!(!budget.take(1));
        budget.note(4);
        assert_eq!((budget.spent(), budget.left()), (9, 0));
        assert!(!Budget::new(1).take(u32::MAX));
    }

    #[test]
    fn a_wait_ends_by_time_or_by_word() {
        let now = Instant::now();
        assert!(Wait::until(now).is_over());
        assert!(!Wait::until(now + Duration::from_secs(60)).is_over());
        let stopped = Wait { deadline: now + Duration::from_secs(60), stop: &|| true };
        assert!(stopped.is_over());
        assert!(stopped.at_most(Duration::ZERO).deadline < stopped.deadline);
    }
}
