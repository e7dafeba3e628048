//! The collector: one namespace, its sockets, and the way an answer becomes a reading.

use std::fs;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netwhy_facts::Reading;
use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};
use netwhy_sys::netns::{self, Netns, NetnsId};

use crate::error::CollectError;
use crate::scope::Scope;

/// How often a listing that changes under the reader is read.
const TRIES: u32 = 5;

/// Reads facts of one network namespace. Sockets are opened when first needed and stay in the namespace;
/// files that depend on the namespace are read on a thread inside it. Can be shared between threads.
#[derive(Debug)]
pub struct Collector {
    scope: Scope,
    netns: Netns,
    route: Mutex<Option<Socket>>,
    sock_diag: Mutex<Option<Socket>>,
    netfilter: Mutex<Option<Socket>>,
    xfrm: Mutex<Option<Socket>>,
    generic: Mutex<Option<Socket>>,
}

impl Collector {
    /// Opens a collector. Fails if the namespace does not exist or cannot be opened.
    pub fn open(scope: Scope) -> Result<Self, CollectError> {
        let netns = scope.netns.open()?;
        Ok(Collector {
            scope,
            netns,
            route: Mutex::default(),
            sock_diag: Mutex::default(),
            netfilter: Mutex::default(),
            xfrm: Mutex::default(),
            generic: Mutex::default(),
        })
    }

    /// A collector for the calling thread's namespace.
    pub fn here() -> Result<Self, CollectError> {
        Self::open(Scope::here())
    }

    /// Pretends the namespace was asked for by name.
    #[cfg(test)]
    pub(crate) fn name_for_test(&mut self, name: &str) {
        self.scope.netns = netns::NetnsRef::Name(name.to_owned());
    }

    /// Where it looks.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Which namespace it is.
    #[must_use]
    pub const fn netns_id(&self) -> NetnsId {
        self.netns.id()
    }

    /// The namespace as a descriptor.
    pub(crate) fn netns_fd(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Runs `work` with the calling thread in the namespace: here if it is already there, otherwise on a
    /// fresh thread, which needs CAP_SYS_ADMIN.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, CollectError> {
        if netns::current().is_ok_and(|here| here == self.netns.id()) {
            return Ok(work());
        }
        Ok(self.netns.run(work)?)
    }

    /// Runs `work` with the namespace's socket of a netlink protocol, opened when first asked for.
    ///
    /// Opening a socket of a protocol that nothing has registered would make the kernel load its module;
    /// that is `Missing` instead.
    pub fn netlink<T>(
        &self,
        protocol: Protocol,
        work: impl FnOnce(&mut Socket) -> Result<T, CollectError>,
    ) -> Result<T, CollectError> {
        let mut slot = match protocol {
            Protocol::Route => lock(&self.route),
            Protocol::SockDiag => lock(&self.sock_diag),
            Protocol::Netfilter => lock(&self.netfilter),
            Protocol::Xfrm => lock(&self.xfrm),
            Protocol::Generic => lock(&self.generic),
            Protocol::FibLookup | Protocol::KobjectUevent => {
                return Err(CollectError::Missing(format!("netlink {protocol:?} is not read")));
            }
        };
        let socket = match &mut *slot {
            Some(socket) => socket,
            empty => empty.insert(self.open_socket(protocol)?),
        };
        work(socket)
    }

    fn open_socket(&self, protocol: Protocol) -> Result<Socket, CollectError> {
        self.inside(|| {
            if protocol != Protocol::Route && !is_registered(&self.proc_net("netlink"), protocol) {
                return Err(CollectError::Missing(format!(
                    "netlink {protocol:?} is not in this kernel, or its module is not loaded"
                )));
            }
            Ok(Socket::open(protocol)?)
        })?
    }

    /// Reads a listing whole into a fresh `S`, over again if it changed meanwhile.
    pub(crate) fn dump<S: Default>(
        &self,
        protocol: Protocol,
        kind: u16,
        payload: &[u8],
        mut each: impl FnMut(&mut S, u16, &[u8]) -> Result<(), CollectError>,
    ) -> Result<S, CollectError> {
        self.netlink(protocol, |socket| {
            let fresh = || (S::default(), Ok(()));
            let (state, outcome) =
                socket.dump_into(kind, 0, payload, fresh, |(state, outcome), kind, payload| {
                    *outcome = each(state, kind, payload);
                    if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
            outcome.map(|()| state)
        })
    }

    /// Reads a listing that may be huge, until `each` breaks; says whether it is whole. A listing that keeps
    /// changing is returned as it last was, and not called whole.
    ///
    /// Uses a socket of its own: closing it is how the kernel is told to stop.
    pub(crate) fn dump_bounded<S: Default>(
        &self,
        protocol: Protocol,
        kind: u16,
        payload: &[u8],
        mut each: impl FnMut(&mut S, u16, &[u8]) -> Result<ControlFlow<()>, CollectError>,
    ) -> Result<(S, bool), CollectError> {
        let mut socket = self.open_socket(protocol)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let (mut state, mut outcome) = (S::default(), Ok(ControlFlow::Continue(())));
            let read = socket.dump(kind, 0, payload, |kind, payload| {
                outcome = each(&mut state, kind, payload);
                if matches!(outcome, Ok(ControlFlow::Continue(()))) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            match read {
                Ok(()) => return outcome.map(|flow| (state, flow.is_continue())),
                Err(NetlinkError::Truncated { .. }) if tries < TRIES => {}
                Err(NetlinkError::Interrupted { .. }) if tries < TRIES => {}
                Err(NetlinkError::Interrupted { .. }) => return outcome.map(|_| (state, false)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Turns an attempt into a reading: `source` is the door, `needs` the privilege a refusal is about.
    pub(crate) fn reading<T>(
        source: &str,
        needs: &str,
        attempt: impl FnOnce() -> Result<T, CollectError>,
    ) -> Reading<T> {
        // Taken before: the value is at least as new as its time says.
        let at = now();
        match attempt() {
            Ok(value) => Reading::known(value, source, at),
            Err(error) => error.into_reading(needs),
        }
    }

    /// The path of a file below procfs.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        self.scope.proc.join(name)
    }

    /// The path of a file of `/proc/net`. `/proc/net` itself follows the main thread, wherever we are.
    pub(crate) fn proc_net(&self, name: &str) -> PathBuf {
        self.scope.proc.join("thread-self/net").join(name)
    }

    /// The path of a file of the question's root directory, such as `etc/resolv.conf`.
    pub(crate) fn rooted(&self, name: &str) -> PathBuf {
        self.scope.root.join(name)
    }
}

/// Reads a whole file as text; what is not UTF-8 is replaced.
pub(crate) fn read_text(path: &Path) -> Result<String, CollectError> {
    let bytes = fs::read(path).map_err(|error| CollectError::file(path, &error))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The time a reading is stamped with.
pub(crate) fn now() -> u64 {
    netwhy_sys::clock::monotonic()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A socket another thread left in the middle of a dump reads the rest away by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the kernel itself has a socket of the protocol (`/proc/net/netlink`: columns sk, Eth, Pid).
/// If the file cannot be read, says yes: then the open decides.
fn is_registered(list: &Path, protocol: Protocol) -> bool {
    read_text(list).map_or(true, |text| lists_protocol(&text, protocol as i32))
}

fn lists_protocol(text: &str, protocol: i32) -> bool {
    text.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let number = words.next().and_then(|word| word.parse::<i32>().ok());
        number == Some(protocol) && words.next() == Some("0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   0          00000000 0        0        0     2        0        14
0000000000000000 12  4711       00000000 0        0        0     2        0        15
";

    #[test]
    fn only_the_kernels_own_socket_registers_a_protocol() {
        assert!(lists_protocol(LIST, 0));
        assert!(!lists_protocol(LIST, 12), "a program's socket does not");
        assert!(!lists_protocol(LIST, 6));
    }

    #[test]
    fn a_collector_can_be_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Collector>();
    }

    #[test]
    fn the_own_namespace_opens() {
        let collector = Collector::here().unwrap();
        assert_eq!(collector.netns_id(), netns::current().unwrap());
        collector.netlink(Protocol::Route, |_| Ok(())).unwrap();
        assert!(now() > 0);
    }
}
