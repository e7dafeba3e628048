//! Network namespaces: naming, entering, listing and making them.
//!
//! A namespace is a property of a thread. Everything here that enters one does so on a fresh thread that
//! ends afterwards, so that the caller never finds itself elsewhere. Two traps: `/proc/self/net` shows the
//! main thread's namespace (`/proc/thread-self/net` shows one's own), and `/sys/class/net` shows the
//! namespace it was mounted in, whichever the reader is in.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::errno::Errno;
use crate::error::{Result, SysError, check};

/// Where named namespaces are kept; the second is the older spelling of the first.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// Which namespace this is: the same for every path that leads to it, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    /// Device number of the namespace file system.
    pub dev: u64,
    /// Inode number there; what `readlink /proc/PID/ns/net` shows in brackets.
    pub inode: u64,
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

impl NetnsId {
    fn of(path: &Path) -> Result<Self> {
        let metadata =
            fs::metadata(path).map_err(|error| SysError::io("stat", path.display().to_string(), &error))?;
        Ok(NetnsId { dev: metadata.dev(), inode: metadata.ino() })
    }
}

/// A way to say which namespace is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NetnsRef {
    /// The calling thread's.
    Current,
    /// A name under `/run/netns`, as `ip netns add` makes them.
    Name(String),
    /// That of a process.
    Pid(u32),
    /// A file that is a namespace.
    Path(PathBuf),
}

impl fmt::Display for NetnsRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetnsRef::Current => f.write_str("current"),
            NetnsRef::Name(name) => f.write_str(name),
            NetnsRef::Pid(pid) => write!(f, "pid {pid}"),
            NetnsRef::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl NetnsRef {
    /// What a user means by a word: a path if it has a slash, a process if it is a number and no namespace
    /// has that name, else a name.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word.contains('/') {
            return NetnsRef::Path(PathBuf::from(word));
        }
        match word.parse() {
            Ok(pid) if named_path(word).is_none() => NetnsRef::Pid(pid),
            _ => NetnsRef::Name(word.to_owned()),
        }
    }

    /// Opens it. The handle keeps the namespace alive.
    pub fn open(&self) -> Result<Netns> {
        let path = match self {
            NetnsRef::Current => PathBuf::from("/proc/thread-self/ns/net"),
            NetnsRef::Name(name) => named_path(name)
                .ok_or_else(|| SysError::new("open network namespace", name.clone(), Errno::ENOENT))?,
            NetnsRef::Pid(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
            NetnsRef::Path(path) => path.clone(),
        };
        let failed = |error: std::io::Error| SysError::io("open network namespace", self.to_string(), &error);
        let file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        Ok(Netns { id: NetnsId { dev: metadata.dev(), inode: metadata.ino() }, name: self.to_string(), file })
    }
}

fn named_path(name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return None;
    }
    NAMED.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists())
}

/// An open namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    id: NetnsId,
    name: String,
}

impl Netns {
    /// Which one it is.
    #[must_use]
    pub const fn id(&self) -> NetnsId {
        self.id
    }

    /// Runs `work` in it, on a fresh thread, and waits for the result. A panic there goes on here.
    ///
    /// What `work` opens stays in the namespace wherever it is used later. Needs `CAP_SYS_ADMIN` unless it
    /// is the namespace one is in anyway.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let fd = self.file.as_fd();
        on_fresh_thread(
            move || {
                if current()? == self.id {
                    return Ok(());
                }
                // SAFETY: takes plain numbers; changes only the calling thread, which is ours and ends soon.
                check(unsafe { libc::setns(fd.as_raw_fd(), libc::CLONE_NEWNET) }, "setns")
                    .map(drop)
                    .map_err(|error| SysError { object: self.name.clone(), ..error })
            },
            work,
        )
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The calling thread's namespace.
pub fn current() -> Result<NetnsId> {
    NetnsId::of(Path::new("/proc/thread-self/ns/net"))
}

/// The namespace of a process.
pub fn of_process(pid: u32) -> Result<NetnsId> {
    NetnsId::of(Path::new(&format!("/proc/{pid}/ns/net")))
}

/// Runs `work` in a namespace: see [`Netns::run`].
pub fn in_netns<T: Send>(which: &NetnsRef, work: impl FnOnce() -> T + Send) -> Result<T> {
    which.open()?.run(work)
}

/// Runs `work` in a new, empty namespace that is gone when nothing refers to it any more: this thread, or
/// what `work` returned (a socket, a [`Netns`] from [`NetnsRef::Current`]).
pub fn in_new_netns<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    on_fresh_thread(
        || {
            // SAFETY: takes a plain number; changes only the calling thread, which is ours and ends soon.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET) }, "unshare CLONE_NEWNET").map(drop)
        },
        work,
    )
}

fn on_fresh_thread<T: Send>(
    enter: impl FnOnce() -> Result<()> + Send,
    work: impl FnOnce() -> T + Send,
) -> Result<T> {
    let thread = std::thread::Builder::new().name("netns".to_owned());
    std::thread::scope(|scope| {
        let handle = thread
            .spawn_scoped(scope, move || enter().map(|()| work()))
            .map_err(|error| SysError::io("start a thread", "netns", &error))?;
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A namespace somebody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which one.
    pub id: NetnsId,
    /// Its names under `/run/netns`.
    pub names: Vec<String>,
    /// The processes in it whose namespace could be read, in ascending order.
    pub pids: Vec<u32>,
}

/// The namespaces that have a name or a process, and how many processes could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// By identity.
    pub seen: Vec<Seen>,
    /// Processes whose namespace is hidden from us: another user's, without `CAP_SYS_PTRACE`.
    pub hidden: usize,
}

/// Lists the namespaces that a name or a process leads to. One kept alive only by an open descriptor or a
/// socket is not found this way.
pub fn list() -> Result<Listing> {
    let mut found: BTreeMap<NetnsId, (Vec<String>, Vec<u32>)> = BTreeMap::new();
    let mut hidden = 0;
    let proc = fs::read_dir("/proc").map_err(|error| SysError::io("read directory", "/proc", &error))?;
    for entry in proc.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        match of_process(pid) {
            Ok(id) => found.entry(id).or_default().1.push(pid),
            Err(error) if error.is_denied() => hidden += 1,
            // It ended meanwhile.
            Err(_) => {}
        }
    }
    let plain = fs::metadata("/run").map(|metadata| metadata.dev()).ok();
    let entries = NAMED.iter().find_map(|directory| fs::read_dir(directory).ok());
    for entry in entries.into_iter().flatten().flatten() {
        // A name whose mount is gone is an ordinary empty file.
        if let Ok(id) = NetnsId::of(&entry.path())
            && Some(id.dev) != plain
        {
            found.entry(id).or_default().0.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let seen = found.into_iter().map(|(id, (mut names, mut pids))| {
        names.sort();
        pids.sort_unstable();
        Seen { id, names, pids }
    });
    Ok(Listing { seen: seen.collect(), hidden })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NewNet, new_netns};

    #[test]
    fn the_own_namespace_by_every_road() {
        let here = current().unwrap();
        assert_eq!(of_process(std::process::id()).unwrap(), here);
        assert_eq!(NetnsRef::Current.open().unwrap().id(), here);
        assert_eq!(in_netns(&NetnsRef::Pid(std::process::id()), current).unwrap().unwrap(), here);
        assert!(
            list()
                .unwrap()
                .seen
                .iter()
                .any(|seen| seen.id == here && seen.pids.contains(&std::process::id()))
        );
    }

    #[test]
    fn words_are_read_as_people_mean_them() {
        assert_eq!(NetnsRef::parse("/run/netns/a"), NetnsRef::Path("/run/netns/a".into()));
        assert_eq!(NetnsRef::parse("1234567"), NetnsRef::Pid(1_234_567));
        assert_eq!(NetnsRef::parse("blue"), NetnsRef::Name("blue".into()));
    }

    #[test]
    fn a_missing_namespace_is_said_by_name() {
        let error = NetnsRef::Name("no-such-namespace".into()).open().unwrap_err();
        assert_eq!(
            error.to_string(),
            "open network namespace no-such-namespace: ENOENT (No such file or directory)"
        );
        assert_eq!(NetnsRef::Name("../../etc".into()).open().unwrap_err().errno, Errno::ENOENT);
    }

    #[test]
    fn entering_changes_nobody_elses_namespace() {
        let outside = current().unwrap();
        let NewNet::Here((inside, handle)) =
            new_netns(|| (current().unwrap(), NetnsRef::Current.open().unwrap()))
        else {
            return;
        };
        assert_ne!(inside, outside);
        assert_eq!(current().unwrap(), outside);
        // The handle kept it alive after its only thread ended.
        assert_eq!(handle.run(|| current().unwrap()).unwrap(), inside);
        assert_eq!(current().unwrap(), outside);
    }

    #[test]
    fn something_that_is_no_namespace_is_refused() {
        let error = in_netns(&NetnsRef::Path("/dev/null".into()), || ()).unwrap_err();
        assert!(matches!(error.errno, Errno::EINVAL | Errno::EPERM), "{error}");
    }

    #[test]
    #[should_panic(expected = "inside")]
    fn a_panic_inside_comes_out() {
        let _ = in_netns(&NetnsRef::Current, || panic!("inside"));
    }
}
