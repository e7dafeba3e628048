//! A command that is started, and waits right before it becomes the other program.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread::JoinHandle;

use crate::error::{Result, SysError, check};

/// A process that has its number already, but not run its program yet.
#[derive(Debug)]
pub struct Held {
    pid: u32,
    go: Option<OwnedFd>,
    starting: Option<JoinHandle<io::Result<Child>>>,
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, "pipe2")?;
    let [read, write] = fds;
    // SAFETY: the kernel has just given us both.
    Ok(unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) })
}

impl Held {
    /// Starts a process that waits for [`Self::release`]. Dropping this instead ends it.
    pub fn start(mut command: Command) -> Result<Self> {
        let (told, tell) = pipe()?;
        let (wait, go) = pipe()?;
        let (tell_fd, wait_fd, go_fd) = (tell.as_raw_fd(), wait.as_raw_fd(), go.as_raw_fd());
        let hold = move || {
            // SAFETY: between fork and exec only calls that are safe there: getpid, write, close, read on descriptors
            // that the parent keeps open until the child has them.
            unsafe {
                let pid = libc::getpid().to_ne_bytes();
                if libc::write(tell_fd, pid.as_ptr().cast(), pid.len()) != pid.len() as isize {
                    return Err(io::Error::from_raw_os_error(libc::EPIPE));
                }
                // The copy of the other end, or nobody would ever be told that the parent let go.
                libc::close(go_fd);
                let mut byte = 0_u8;
                loop {
                    match libc::read(wait_fd, (&raw mut byte).cast(), 1) {
                        1 => return Ok(()),
                        0 => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                        _ if *libc::__errno_location() == libc::EINTR => {}
                        _ => return Err(io::Error::last_os_error()),
                    }
                }
            }
        };
        // SAFETY: see above: nothing is allocated and no lock is taken.
        unsafe { command.pre_exec(hold) };
        // spawn() returns when the other program runs or cannot: that is after the release.
        let starting = std::thread::spawn(move || {
            let made = command.spawn();
            drop((tell, wait));
            made
        });
        let mut pid = [0_u8; 4];
        // SAFETY: the kernel writes at most four bytes.
        let count = unsafe { libc::read(told.as_raw_fd(), pid.as_mut_ptr().cast(), pid.len()) };
        if count != pid.len() as isize {
            let error = match starting.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the process ended before it began"),
            };
            return Err(SysError::io("fork", "", &error));
        }
        Ok(Held { pid: i32::from_ne_bytes(pid) as u32, go: Some(go), starting: Some(starting) })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it run its program; an error says why that could not be run.
    pub fn release(mut self) -> io::Result<Child> {
        if let Some(go) = self.go.take() {
            io::Write::write_all(&mut std::fs::File::from(go), &[1])?;
        }
        match self.starting.take().map(JoinHandle::join) {
            Some(Ok(made)) => made,
            _ => Err(io::Error::other("the starting thread panicked")),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.go.take());
        // The child reads that nobody is left, gives up, and is waited for by the failed spawn.
        if let Some(starting) = self.starting.take() {
            let _ = starting.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_held_process_has_a_number_and_runs_when_released() {
        let mut command = Command::new("cat");
        command.arg("/proc/self/stat").stdout(Stdio::piped());
        let held = Held::start(command).unwrap();
        let pid = held.pid();
        assert!(crate::process::exists(pid));
        let out = held.release().unwrap().wait_with_output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.starts_with(&format!("{pid} (cat)")), "{text}");
    }

    #[test]
    fn one_that_is_dropped_never_runs() {
        let held = Held::start(Command::new("cat")).unwrap();
        let pid = held.pid();
        drop(held);
        assert!(!crate::process::exists(pid));
    }

    #[test]
    fn a_command_that_is_not_there_says_so_when_released() {
        let held = Held::start(Command::new("/no/such/program")).unwrap();
        assert_eq!(held.release().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
