//! Ending another thread's wait (eventfd(2)).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Result, check};

/// Something to poll beside what one waits for, readable after [`Waker::wake`].
#[derive(Debug)]
pub struct Waker {
    fd: OwnedFd,
}

impl Waker {
    /// Not yet woken.
    pub fn new() -> Result<Self> {
        // SAFETY: takes plain numbers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }, "eventfd")?;
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Waker { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes it readable, until it is cleared.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes eight live bytes. It fails only if it is readable already.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable; whether it was woken.
    #[must_use]
    pub fn clear(&self) -> bool {
        let mut count = [0_u8; 8];
        // SAFETY: reads into eight live bytes.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) == 8 }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::poll::{Interest, wait};

    #[test]
    fn a_waiting_thread_is_woken() {
        let waker = Waker::new().unwrap();
        assert!(!waker.clear());
        let deadline = Some(Instant::now() + Duration::from_secs(10));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(waker.as_fd(), Interest::READ, deadline).unwrap());
            waker.wake();
            waker.wake();
            assert!(waiting.join().unwrap());
        });
        assert!(waker.clear() && !waker.clear());
    }
}
