//! Signals: by name, as a flag, as a descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::errno::Errno;
use crate::error::{Result, SysError, check};

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($name:ident $signal:ident;)*) => {
        #[allow(missing_docs, reason = "the names are the documentation")]
        impl Signal { $(pub const $name: Signal = Signal(libc::$signal);)* }
        const NAMES: &[(i32, &str)] = &[$((libc::$signal, stringify!($signal)),)*];
    };
}

signals! {
    HUP SIGHUP; INT SIGINT; QUIT SIGQUIT; ILL SIGILL; TRAP SIGTRAP; ABRT SIGABRT; BUS SIGBUS; FPE SIGFPE;
    KILL SIGKILL; USR1 SIGUSR1; SEGV SIGSEGV; USR2 SIGUSR2; PIPE SIGPIPE; ALRM SIGALRM; TERM SIGTERM;
    STKFLT SIGSTKFLT; CHLD SIGCHLD; CONT SIGCONT; STOP SIGSTOP; TSTP SIGTSTP; TTIN SIGTTIN; TTOU SIGTTOU;
    URG SIGURG; XCPU SIGXCPU; XFSZ SIGXFSZ; VTALRM SIGVTALRM; PROF SIGPROF; WINCH SIGWINCH; IO SIGIO;
    PWR SIGPWR; SYS SIGSYS;
}

impl Signal {
    /// The signal with this number, as a process status reports it.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Signal(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its name, `"signal"` if it has none (real-time signals).
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(number, _)| *number == self.0).map_or("signal", |(_, name)| name)
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(signal: libc::c_int) {
    // A second one means that the first was not heeded: die as one would have.
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        // SAFETY: both calls are async-signal-safe and take plain numbers.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// From now on the first SIGINT or SIGTERM sets the returned flag and the second ends the process. Blocking
/// calls in progress are restarted, so look at the flag between them, or watch a [`SignalFd`].
pub fn interrupt_flag() -> Result<&'static AtomicBool> {
    for signal in [Signal::INT, Signal::TERM] {
        let handler: extern "C" fn(libc::c_int) = note_interrupt;
        // SAFETY: sigaction is plain numbers and pointers, valid as zeroes: empty mask, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler only touches an atomic and calls async-signal-safe functions.
        check(unsafe { libc::sigaction(signal.0, &raw const action, std::ptr::null_mut()) }, "sigaction")?;
    }
    Ok(&INTERRUPTED)
}

/// Lets a closed pipe end the process, as it does every other program in a pipeline (`netwhy ... | head`).
/// The Rust runtime ignores SIGPIPE otherwise and the write fails with `EPIPE`.
pub fn default_sigpipe() -> Result<()> {
    // SAFETY: takes plain numbers; restores the default action.
    if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } == libc::SIG_ERR {
        return Err(SysError::last("signal", "SIGPIPE"));
    }
    Ok(())
}

/// Sends a signal to the calling thread.
pub fn raise(signal: Signal) -> Result<()> {
    // SAFETY: takes a plain number.
    check(unsafe { libc::raise(signal.number()) }, "raise").map(drop)
}

/// Signals as something to read and to poll. They are blocked in the thread that made it while it lives;
/// make it before other threads start, which inherit the blocking.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
    signals: Vec<Signal>,
}

impl SignalFd {
    /// Catches these signals.
    pub fn new(signals: &[Signal]) -> Result<Self> {
        let set = mask(signals);
        block(libc::SIG_BLOCK, &set)?;
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        let fd = check(fd, "signalfd")?;
        // SAFETY: the kernel has just given us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(SignalFd { fd, signals: signals.to_vec() })
    }

    /// The next one that came, if any; does not wait.
    pub fn take(&self) -> Result<Option<Signal>> {
        // struct signalfd_siginfo: the first word is the signal.
        let mut bytes = [0_u8; 128];
        // SAFETY: the kernel writes at most the stated length.
        let count = unsafe { libc::read(self.fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
        if count < 0 {
            return match Errno::last() {
                Errno::EAGAIN | Errno::EINTR => Ok(None),
                errno => Err(SysError::new("read signalfd", "", errno)),
            };
        }
        Ok(bytes.first_chunk().map(|&number| Signal(i32::from_ne_bytes(number))))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        let _ = block(libc::SIG_UNBLOCK, &mask(&self.signals));
    }
}

fn mask(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset changes an initialised one and refuses bad numbers.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal.0);
        }
        set.assume_init()
    }
}

fn block(how: i32, set: &libc::sigset_t) -> Result<()> {
    // SAFETY: `set` is initialised and the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(SysError::io("pthread_sigmask", "", &io::Error::from_raw_os_error(code))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::poll::{Interest, wait};

    #[test]
    fn names() {
        assert_eq!(
            (Signal::STOP.name(), Signal::new(11).name(), Signal::new(60).name()),
            ("SIGSTOP", "SIGSEGV", "signal")
        );
    }

    #[test]
    fn a_signal_is_read_from_its_descriptor() {
        // On a thread of its own: the signal is sent to that thread alone.
        std::thread::spawn(|| {
            let signals = SignalFd::new(&[Signal::USR2]).unwrap();
            assert_eq!(signals.take().unwrap(), None);
            // SAFETY: signals the calling thread, which blocks it.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
            let deadline = Instant::now() + Duration::from_secs(5);
            assert!(wait(signals.as_fd(), Interest::READ, Some(deadline)).unwrap());
            assert_eq!(signals.take().unwrap(), Some(Signal::USR2));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_first_interrupt_is_noted() {
        let flag = interrupt_flag().unwrap();
        assert!(!flag.load(Ordering::Relaxed));
        // SAFETY: a plain number; the handler was installed above.
        unsafe { libc::raise(libc::SIGINT) };
        assert!(flag.swap(false, Ordering::Relaxed));
    }
}
