//! Starting a program in namespaces of its own, or in those of another process.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use crate::errno::Errno;
use crate::error::{Result, SysError};
use crate::mount::Mount;
use crate::process;
use crate::signal::Signal;

/// A kind of namespace (uapi `linux/sched.h`, `CLONE_NEW*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Users and capabilities. With it, and where the kernel lets ordinary users have it, the rest needs no
    /// privilege.
    User,
    /// Network.
    Net,
    /// Mounts.
    Mount,
    /// Host name.
    Uts,
    /// System V IPC.
    Ipc,
    /// Control group root.
    Cgroup,
    /// Processes. The program itself stays outside; its children are inside.
    Pid,
}

impl Kind {
    const fn flag(self) -> i32 {
        match self {
            Kind::User => libc::CLONE_NEWUSER,
            Kind::Net => libc::CLONE_NEWNET,
            Kind::Mount => libc::CLONE_NEWNS,
            Kind::Uts => libc::CLONE_NEWUTS,
            Kind::Ipc => libc::CLONE_NEWIPC,
            Kind::Cgroup => libc::CLONE_NEWCGROUP,
            Kind::Pid => libc::CLONE_NEWPID,
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Net => "net",
            Kind::Mount => "mnt",
            Kind::Uts => "uts",
            Kind::Ipc => "ipc",
            Kind::Cgroup => "cgroup",
            Kind::Pid => "pid",
        }
    }
}

/// What happens between fork and exec, in this order: joining, new namespaces, mounts, death signal.
#[derive(Debug, Default)]
pub struct Isolation {
    join: Vec<(Kind, OwnedFd)>,
    user: Option<[(CString, CString); 3]>,
    flags: i32,
    mounts: Vec<Mount>,
    death_signal: Option<Signal>,
}

impl Isolation {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Isolation::default()
    }

    /// Enters the namespaces of process `pid` first. One that is ours already is left out, because the
    /// kernel refuses to enter the user namespace one is in.
    pub fn join(mut self, pid: u32, kinds: &[Kind]) -> Result<Self> {
        let mut kinds = kinds.to_vec();
        // User first: it gives the privilege for the others. Mounts last: paths change with it.
        kinds.sort_by_key(|kind| match kind {
            Kind::User => 0,
            Kind::Mount => 2,
            _ => 1,
        });
        for kind in kinds {
            let path = format!("/proc/{pid}/ns/{}", kind.file());
            let failed = |error: std::io::Error| SysError::io("open namespace", path.clone(), &error);
            let file = File::open(&path).map_err(failed)?;
            let theirs = file.metadata().map_err(failed)?;
            let ours = fs::metadata(format!("/proc/thread-self/ns/{}", kind.file())).map_err(failed)?;
            if (theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino()) {
                self.join.push((kind, file.into()));
            }
        }
        Ok(self)
    }

    /// Makes new namespaces. With [`Kind::User`] the caller's user and group become root inside.
    #[must_use]
    pub fn new_namespaces(mut self, kinds: &[Kind]) -> Self {
        for kind in kinds {
            self.flags |= kind.flag();
        }
        if kinds.contains(&Kind::User) {
            let (user, group) = process::effective_ids();
            let file = |path: &str, text: String| {
                // Neither holds a NUL byte.
                (CString::new(path).unwrap_or_default(), CString::new(text).unwrap_or_default())
            };
            // Without a privileged helper only the own ids can be mapped, and the group only after giving
            // up setgroups (user_namespaces(7)).
            self.user = Some([
                file("/proc/self/setgroups", "deny".to_owned()),
                file("/proc/self/uid_map", format!("0 {user} 1")),
                file("/proc/self/gid_map", format!("0 {group} 1")),
            ]);
        }
        self
    }

    /// Mounts this, after the namespaces are there.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// A mount namespace whose mounts are private, with a `/sys` that shows the new network namespace.
    pub fn private_mounts_and_sysfs(self) -> Result<Self> {
        Ok(self
            .new_namespaces(&[Kind::Mount])
            .mount(Mount::make_private(Path::new("/"))?)
            .mount(Mount::sysfs(Path::new("/sys"))?))
    }

    /// The kernel sends this when the *thread* that started the program ends: start from one that lives.
    #[must_use]
    pub const fn death_signal(mut self, signal: Signal) -> Self {
        self.death_signal = Some(signal);
        self
    }

    /// Starts the program. An error names the step that failed.
    pub fn spawn(self, mut command: Command) -> Result<Child> {
        let program = command.get_program().to_string_lossy().into_owned();
        let pipe_failed = |error: std::io::Error| SysError::io("pipe", program.clone(), &error);
        let (reader, writer) = std::io::pipe().map_err(pipe_failed)?;
        let parent = std::process::id();
        let names: Vec<&'static str> = self.mounts.iter().map(Mount::operation).collect();
        let work = move || {
            self.carry_out(parent).map_err(|(step, errno)| {
                let byte = [step];
                // SAFETY: write(2) of one byte from a live array. A failure to tell costs only the step's name.
                unsafe { libc::write(writer.as_raw_fd(), byte.as_ptr().cast(), 1) };
                std::io::Error::from_raw_os_error(errno.number())
            })
        };
        // SAFETY: `carry_out` only makes system calls on data prepared before the fork: it allocates nothing
        // and takes no lock.
        unsafe { command.pre_exec(work) };
        let result = command.spawn();
        // The closure holds our copy of the pipe's writing end.
        drop(command);
        result.map_err(|error| match failed_step(reader) {
            Some(step) => SysError::io(step_name(step, &names), program, &error),
            None => SysError::io("execute", program, &error),
        })
    }

    /// In the child, between fork and exec.
    fn carry_out(&self, parent: u32) -> Result<(), (u8, Errno)> {
        for (kind, fd) in &self.join {
            // SAFETY: takes plain numbers; the child has one thread.
            call(step::JOIN, unsafe { libc::setns(fd.as_raw_fd(), kind.flag()) })?;
        }
        if let Some(files) = &self.user {
            // SAFETY: takes a plain number; the child has one thread.
            call(step::NEW_USER, unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
            for (path, text) in files {
                write_file(path, text)?;
            }
        }
        let rest = self.flags & !libc::CLONE_NEWUSER;
        if rest != 0 {
            // SAFETY: takes a plain number; the child has one thread.
            call(step::UNSHARE, unsafe { libc::unshare(rest) })?;
        }
        for (index, mount) in self.mounts.iter().enumerate() {
            let number = step::MOUNT.saturating_add(u8::try_from(index).unwrap_or(u8::MAX));
            mount.apply_raw().map_err(|errno| (number, errno))?;
        }
        if let Some(signal) = self.death_signal {
            // Last, because a change of credentials clears it.
            // SAFETY: takes plain numbers.
            call(step::DEATH_SIGNAL, unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, signal.number() as libc::c_ulong, 0, 0, 0)
            })?;
            // The parent may have ended before the request was in place.
            // SAFETY: cannot fail.
            let seen = unsafe { libc::getppid() } as u32;
            // 0 is a parent that lives outside this process-id namespace.
            if seen != parent && seen != 0 {
                return Err((step::DEATH_SIGNAL, Errno::ESRCH));
            }
        }
        Ok(())
    }
}

mod step {
    pub(super) const JOIN: u8 = 1;
    pub(super) const NEW_USER: u8 = 2;
    pub(super) const MAP: u8 = 3;
    pub(super) const UNSHARE: u8 = 4;
    pub(super) const DEATH_SIGNAL: u8 = 5;
    pub(super) const MOUNT: u8 = 16;
}

fn step_name(step: u8, mounts: &[&'static str]) -> &'static str {
    match step {
        step::JOIN => "setns",
        step::NEW_USER => "unshare CLONE_NEWUSER",
        step::MAP => "write id map",
        step::UNSHARE => "unshare",
        step::DEATH_SIGNAL => "prctl PR_SET_PDEATHSIG",
        _ => mounts.get(usize::from(step.saturating_sub(step::MOUNT))).copied().unwrap_or("mount"),
    }
}

fn failed_step(mut reader: PipeReader) -> Option<u8> {
    // Both writing ends are closed by now, so this does not wait.
    let mut byte = [0];
    reader.read_exact(&mut byte).ok().map(|()| byte[0])
}

fn call(step: u8, code: i32) -> Result<i32, (u8, Errno)> {
    if code < 0 { Err((step, Errno::last())) } else { Ok(code) }
}

fn write_file(path: &CString, text: &CString) -> Result<(), (u8, Errno)> {
    let bytes = text.as_bytes();
    // SAFETY: the path is a NUL-terminated string, the data a slice of the stated length; the descriptor is
    // opened and closed here.
    unsafe {
        let fd = call(step::MAP, libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let errno = Errno::last();
        libc::close(fd);
        if written < 0 { Err((step::MAP, errno)) } else { Ok(()) }
    }
}

/// Gives the calling thread mounts of its own: what it mounts from now on is seen only by it and by the program it
/// executes. Call it on a thread that ends or executes soon.
pub fn own_mounts() -> Result<()> {
    // SAFETY: takes a plain number; changes only the calling thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } < 0 {
        return Err(SysError::new("unshare CLONE_NEWNS", String::new(), Errno::last()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::caps::{self, Capability};
    use crate::netns;
    use crate::process::PidFd;

    fn able() -> bool {
        let able = caps::effective().unwrap().has(Capability::SysAdmin);
        if !able {
            println!("skipped: needs CAP_SYS_ADMIN");
        }
        able
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn output(child: Child) -> String {
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_program_in_a_namespace_of_its_own_and_another_beside_it() {
        if !able() {
            return;
        }
        let isolation =
            Isolation::new().new_namespaces(&[Kind::Net, Kind::Uts]).private_mounts_and_sysfs().unwrap();
        let mut first = isolation.spawn(shell("ls /sys/class/net; exec cat")).unwrap();
        let pid = first.id();
        // Both processes are asked by the same road: what their namespace is.
        assert_ne!(netns::of_process(pid).unwrap(), netns::current().unwrap());
        let beside = Isolation::new().join(pid, &[Kind::Mount, Kind::Net, Kind::User]).unwrap();
        let second = beside.spawn(shell("readlink /proc/self/ns/net; ls /sys/class/net")).unwrap();
        let expected = netns::of_process(pid).unwrap().to_string();
        let said = output(second);
        assert!(said.contains(&expected) && said.contains("lo"), "{said}");
        drop(first.stdin.take());
        assert_eq!(output(first).trim(), "lo", "/sys shows the new namespace");
    }

    #[test]
    fn root_inside_a_user_namespace() {
        let isolation = Isolation::new().new_namespaces(&[Kind::User, Kind::Net]);
        match isolation.spawn(shell("id -u; cat /proc/self/uid_map; readlink /proc/self/ns/net")) {
            Ok(child) => {
                let said = output(child);
                let words: Vec<&str> = said.split_whitespace().collect();
                assert_eq!((words[0], words[1], words[3]), ("0", "0", "1"), "{said}");
                assert_ne!(words[4], netns::current().unwrap().to_string());
            }
            Err(error) => {
                assert!(!caps::effective().unwrap().has(Capability::SysAdmin), "{error}");
                println!("skipped: user namespaces are not allowed here ({error})");
            }
        }
    }

    #[test]
    fn an_error_names_its_step() {
        if !able() {
            return;
        }
        let mount = Mount::bind(Path::new("/no/such/file"), Path::new("/etc/hosts")).unwrap();
        let isolation = Isolation::new()
            .new_namespaces(&[Kind::Mount])
            .mount(Mount::make_private(Path::new("/")).unwrap())
            .mount(mount);
        let error = isolation.spawn(shell("true")).unwrap_err();
        assert_eq!(error.to_string(), "mount bind sh: ENOENT (No such file or directory)");
        let error = Isolation::new().spawn(Command::new("/no/such/program")).unwrap_err();
        assert_eq!(error.to_string(), "execute /no/such/program: ENOENT (No such file or directory)");
    }

    #[test]
    fn a_program_dies_with_the_thread_that_started_it() {
        let (handle, child) = std::thread::spawn(|| {
            let isolation = Isolation::new().death_signal(Signal::KILL);
            let child = isolation.spawn(shell("exec cat")).unwrap();
            (PidFd::open(child.id()).unwrap(), child)
        })
        .join()
        .unwrap();
        assert!(handle.wait_end(Some(Instant::now() + Duration::from_secs(10))).unwrap());
        let mut child = child;
        child.wait().unwrap();
    }
}
