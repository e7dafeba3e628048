//! Waiting for many descriptors until a deadline (poll(2)).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// What to wait for, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    /// Wait until it can be read.
    pub read: bool,
    /// Wait until it can be written.
    pub write: bool,
}

impl Interest {
    /// Wait until it can be read.
    pub const READ: Interest = Interest { read: true, write: false };
    /// Wait until it can be written; a connecting socket becomes writable when the answer is there.
    pub const WRITE: Interest = Interest { read: false, write: true };
    /// Only errors and hang-ups, which are always reported.
    pub const ERRORS: Interest = Interest { read: false, write: false };
}

/// The state of one descriptor after [`poll`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// Data, a connection or an end of stream can be read.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// A pending error, or something in the error queue (`POLLERR`).
    pub error: bool,
    /// The peer closed (`POLLHUP`, `POLLRDHUP`).
    pub hangup: bool,
    /// The descriptor is not open (`POLLNVAL`).
    pub invalid: bool,
}

impl Ready {
    /// Something happened.
    #[must_use]
    pub const fn any(self) -> bool {
        self.read || self.write || self.error || self.hangup || self.invalid
    }
}

/// Waits until at least one of `watched` is ready or `deadline` passes; `None` waits without end.
///
/// The answer has one entry for each watched descriptor, all idle after a timeout. A signal does not end
/// the wait.
pub fn poll(watched: &[(BorrowedFd<'_>, Interest)], deadline: Option<Instant>) -> Result<Vec<Ready>> {
    let mut fds: Vec<libc::pollfd> = watched
        .iter()
        .map(|(fd, interest)| {
            let mut events = 0;
            if interest.read {
                events |= libc::POLLIN | libc::POLLRDHUP;
            }
            if interest.write {
                events |= libc::POLLOUT;
            }
            libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }
        })
        .collect();
    poll_raw(&mut fds, deadline)?;
    Ok(fds
        .iter()
        .map(|entry| {
            let has = |bit: libc::c_short| entry.revents & bit != 0;
            Ready {
                read: has(libc::POLLIN),
                write: has(libc::POLLOUT),
                error: has(libc::POLLERR),
                hangup: has(libc::POLLHUP) || has(libc::POLLRDHUP),
                invalid: has(libc::POLLNVAL),
            }
        })
        .collect())
}

/// Waits for one descriptor. `false`: the deadline passed first.
pub fn wait(fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> Result<bool> {
    Ok(poll(&[(fd, interest)], deadline)?.iter().any(|ready| ready.any()))
}

fn poll_raw(fds: &mut [libc::pollfd], deadline: Option<Instant>) -> Result<()> {
    loop {
        let timeout = deadline.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `fds` is an initialised slice of its stated length and `pointer` is null or a timespec
        // that outlives the call.
        let count =
            unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, pointer, std::ptr::null()) };
        if count >= 0 {
            return Ok(());
        }
        match Errno::last() {
            Errno::EINTR => {}
            errno => return Err(SysError::new("ppoll", "", errno)),
        }
    }
}

pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: a timespec is plain numbers, valid as zeroes (some C libraries add padding fields).
    let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
    // Decades are as good as for ever, and fit a 32-bit time_t.
    spec.tv_sec = duration.as_secs().min(i32::MAX as u64) as _;
    spec.tv_nsec = duration.subsec_nanos() as _;
    spec
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_deadline_ends_the_wait() {
        let (a, _b) = UnixStream::pair().unwrap();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(30);
        assert!(!wait(a.as_fd(), Interest::READ, Some(deadline)).unwrap());
        assert!(Instant::now() >= deadline);
        assert!(!wait(a.as_fd(), Interest::READ, Some(start)).unwrap(), "a past deadline only looks");
    }

    #[test]
    fn each_descriptor_has_its_own_answer() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (c, d) = UnixStream::pair().unwrap();
        b.write_all(b"x").unwrap();
        drop(d);
        let watched = [(a.as_fd(), Interest::READ), (b.as_fd(), Interest::READ), (c.as_fd(), Interest::READ)];
        let ready = poll(&watched, Some(Instant::now())).unwrap();
        assert!(ready[0].read && !ready[0].hangup);
        assert!(!ready[1].any());
        assert!(ready[2].hangup);
    }
}
