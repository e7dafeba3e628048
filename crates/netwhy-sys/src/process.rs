//! Other processes: signals, their end, their limits.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use crate::errno::Errno;
use crate::error::{Result, SysError, check};
use crate::poll::{Interest, wait};
use crate::signal::Signal;

/// Sends a signal to one process. Never to a group: 0 and numbers beyond a process id are refused.
pub fn kill(pid: u32, signal: Signal) -> Result<()> {
    let target = plain_pid("kill", pid)?;
    // SAFETY: takes plain numbers; a positive pid names one process.
    check(unsafe { libc::kill(target, signal.number()) }, "kill").map(drop).map_err(|error| about(pid, error))
}

/// The process exists, as a zombie at least.
#[must_use]
pub fn exists(pid: u32) -> bool {
    let Ok(target) = plain_pid("kill", pid) else { return false };
    // SAFETY: signal 0 only asks.
    unsafe { libc::kill(target, 0) == 0 || Errno::last() == Errno::EPERM }
}

fn plain_pid(operation: &'static str, pid: u32) -> Result<i32> {
    match i32::try_from(pid) {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err(SysError::new(operation, format!("pid {pid}"), Errno::EINVAL)),
    }
}

fn about(pid: u32, error: SysError) -> SysError {
    SysError { object: format!("pid {pid}"), ..error }
}

/// A handle that means the same process even after its number is used again (since Linux 5.3).
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: u32,
}

impl PidFd {
    /// Takes hold of a running process.
    pub fn open(pid: u32) -> Result<Self> {
        let target = plain_pid("pidfd_open", pid)?;
        // SAFETY: takes plain numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, target, 0) };
        if fd < 0 {
            return Err(SysError::last("pidfd_open", format!("pid {pid}")));
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(PidFd { fd: unsafe { OwnedFd::from_raw_fd(fd as i32) }, pid })
    }

    /// Sends it a signal.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo means the same as kill(2).
        let code = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), signal.number(), none, 0)
        };
        if code < 0 { Err(SysError::last("pidfd_send_signal", format!("pid {}", self.pid))) } else { Ok(()) }
    }

    /// Waits for its end, without taking its exit status. `false`: it still ran at the deadline.
    pub fn wait_end(&self, deadline: Option<Instant>) -> Result<bool> {
        wait(self.as_fd(), Interest::READ, deadline)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

macro_rules! resources {
    ($($variant:ident $constant:ident $text:literal;)*) => {
        /// What a limit is about (`getrlimit(2)`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Resource {
            $(#[doc = $text] $variant,)*
        }

        impl Resource {
            /// The name as the manual writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Resource::$variant => stringify!($constant),)* }
            }

            const fn number(self) -> i32 {
                match self { $(Resource::$variant => libc::$constant as i32,)* }
            }
        }
    };
}

resources! {
    OpenFiles RLIMIT_NOFILE "Open descriptors: one more than the highest number.";
    Processes RLIMIT_NPROC "Threads of the user.";
    LockedMemory RLIMIT_MEMLOCK "Bytes locked; before Linux 5.11 also what BPF maps take.";
    AddressSpace RLIMIT_AS "Bytes of address space.";
    CpuTime RLIMIT_CPU "Seconds of processor time.";
    FileSize RLIMIT_FSIZE "Bytes in a file.";
    CoreSize RLIMIT_CORE "Bytes in a core dump.";
    Stack RLIMIT_STACK "Bytes of stack.";
    Data RLIMIT_DATA "Bytes of data.";
}

/// A limit; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is in force.
    pub soft: Option<u64>,
    /// How far the process itself may raise it.
    pub hard: Option<u64>,
}

/// A process's limit. Another user's process needs `CAP_SYS_RESOURCE`.
pub fn limit(pid: u32, resource: Resource) -> Result<Limit> {
    prlimit(pid, resource, None)
}

/// Sets a process's limit and returns the one before.
pub fn set_limit(pid: u32, resource: Resource, limit: Limit) -> Result<Limit> {
    prlimit(pid, resource, Some(limit))
}

fn prlimit(pid: u32, resource: Resource, new: Option<Limit>) -> Result<Limit> {
    let target = plain_pid("prlimit", pid)?;
    let new = new.map(|limit| libc::rlimit64 {
        rlim_cur: limit.soft.unwrap_or(libc::RLIM64_INFINITY),
        rlim_max: limit.hard.unwrap_or(libc::RLIM64_INFINITY),
    });
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a limit that outlives the call; `old` is written.
    let code = unsafe { libc::syscall(libc::SYS_prlimit64, target, resource.number(), new, &raw mut old) };
    if code < 0 {
        return Err(SysError::last("prlimit", format!("pid {pid} {}", resource.name())));
    }
    let finite = |value| (value != libc::RLIM64_INFINITY).then_some(value);
    Ok(Limit { soft: finite(old.rlim_cur), hard: finite(old.rlim_max) })
}

/// The effective user and group of this process.
#[must_use]
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: neither can fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// The calling thread's id, as `/proc` names it.
#[must_use]
pub fn thread_id() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Whether two tasks share one table of descriptors (kcmp(2)). `None`: the kernel does not say: built without
/// it, one of them ended, or CAP_SYS_PTRACE is missing.
#[must_use]
pub fn same_files(a: u32, b: u32) -> Option<bool> {
    /// `KCMP_FILES` of uapi `linux/kcmp.h`.
    const KCMP_FILES: libc::c_long = 2;
    // SAFETY: all arguments are numbers; the last two are not looked at for this comparison.
    let order = unsafe {
        libc::syscall(libc::SYS_kcmp, libc::c_long::from(a), libc::c_long::from(b), KCMP_FILES, 0, 0)
    };
    match order {
        0 => Some(true),
        1..=3 => Some(false),
        _ => None,
    }
}

/// Gives the calling thread a table of descriptors of its own, a copy of the one it shared (unshare(2)).
pub fn unshare_files() -> Result<()> {
    // SAFETY: the flag concerns the calling thread's descriptors only, which stay open.
    match unsafe { libc::unshare(libc::CLONE_FILES) } {
        0 => Ok(()),
        _ => Err(SysError::new("unshare", "CLONE_FILES", Errno::last())),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_process_is_stopped_resumed_and_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next().unwrap()
        };
        let until = |wanted: fn(char) -> bool| {
            let end = Instant::now() + Duration::from_secs(10);
            while !wanted(state()) {
                assert!(Instant::now() < end, "still in state {}", state());
                std::thread::yield_now();
            }
        };
        let handle = PidFd::open(pid).unwrap();
        kill(pid, Signal::STOP).unwrap();
        until(|state| state == 'T');
        handle.kill(Signal::CONT).unwrap();
        until(|state| state != 'T');
        assert!(!handle.wait_end(Some(Instant::now())).unwrap());
        handle.kill(Signal::KILL).unwrap();
        assert!(handle.wait_end(Some(Instant::now() + Duration::from_secs(10))).unwrap());
        assert!(exists(pid), "a zombie still has its number");
        child.wait().unwrap();
        assert!(!exists(pid));
        assert_eq!(kill(pid, Signal::TERM).unwrap_err().errno, Errno::ESRCH);
    }

    #[test]
    fn groups_are_out_of_reach() {
        for pid in [0, u32::MAX, 1 << 31] {
            assert_eq!(kill(pid, Signal::TERM).unwrap_err().errno, Errno::EINVAL);
            assert!(!exists(pid));
        }
    }

    #[test]
    fn a_limit_is_set_and_read_back() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let wanted = Limit { soft: Some(64), hard: Some(128) };
        let before = set_limit(child.id(), Resource::OpenFiles, wanted).unwrap();
        assert_eq!(limit(child.id(), Resource::OpenFiles).unwrap(), wanted);
        assert_ne!(before, wanted);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(Resource::OpenFiles.name(), "RLIMIT_NOFILE");
    }
}
