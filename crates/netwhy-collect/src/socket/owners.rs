//! Which processes hold a socket: the links in `/proc/PID/fd`, read once for all sockets wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use netwhy_facts::Reading;
use netwhy_facts::socket::{Owner, Socket};

use crate::collector::{Collector, now, read_text};

/// Looking through the descriptors of a process costs about two microseconds each. A process with more than
/// this is looked into only when somebody may be missing.
const LARGE: u64 = 4096;
/// The privilege that opens other users' `/proc/PID/fd`.
const NEEDS: &str = "CAP_SYS_PTRACE";

impl Collector {
    /// Fills the owners of the sockets that have an inode.
    ///
    /// Every process is looked into, with one exception: one with more than 4,096 descriptors is left out if
    /// every socket has an owner already and none of these owners is of the same program, its parent or its
    /// child. A process that holds an inherited socket of an unrelated program is missed then.
    pub(super) fn fill_owners(&self, sockets: &mut [Socket]) {
        let wanted: BTreeSet<u64> = sockets.iter().map(|one| one.inode).filter(|inode| *inode != 0).collect();
        if wanted.is_empty() {
            return;
        }
        let at = now();
        let mut search = Search::new(&self.scope().proc, wanted);
        search.run();
        for socket in sockets.iter_mut().filter(|socket| socket.inode != 0) {
            let owners = search.found.remove(&socket.inode).unwrap_or_default();
            socket.owners = match owners.is_empty() && search.denied {
                true => Reading::denied(NEEDS),
                // A socket without a holder is one the kernel keeps itself, or has just been closed.
                false => Reading::known(owners, "/proc/PID/fd", at),
            };
        }
    }
}

struct Candidate {
    pid: u32,
    parent: u32,
    comm: String,
}

struct Search<'a> {
    proc: &'a Path,
    wanted: BTreeSet<u64>,
    found: BTreeMap<u64, Vec<Owner>>,
    /// Some process would not be looked into.
    denied: bool,
}

impl<'a> Search<'a> {
    fn new(proc: &'a Path, wanted: BTreeSet<u64>) -> Self {
        Search { proc, wanted, found: BTreeMap::new(), denied: false }
    }

    fn run(&mut self) {
        let (small, mut large) = self.candidates();
        let mut holders: Vec<Candidate> = Vec::new();
        for one in small {
            if self.look_into(&one) {
                holders.push(one);
            }
        }
        // Relatives first: they may hold the same sockets. Each that does may have relatives of its own.
        while let Some(index) = large.iter().position(|one| holders.iter().any(|holder| related(holder, one)))
        {
            let one = large.swap_remove(index);
            if self.look_into(&one) {
                holders.push(one);
            }
        }
        while self.found.len() < self.wanted.len()
            && let Some(one) = large.pop()
        {
            if self.look_into(&one) {
                holders.push(one);
            }
        }
    }

    /// The processes with few descriptors and those with many, each in ascending order.
    fn candidates(&mut self) -> (Vec<Candidate>, Vec<Candidate>) {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(self.proc) else { return (small, large) };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some((comm, parent)) = read_text(&entry.path().join("stat")).ok().and_then(|s| stat(&s))
            else {
                continue;
            };
            // Since 6.2 the size of the directory is the number of descriptors; before it is 0.
            let many = fs::metadata(entry.path().join("fd")).is_ok_and(|fd| fd.len() > LARGE);
            if many { &mut large } else { &mut small }.push(Candidate { pid, parent, comm });
        }
        (small, large)
    }

    /// Reads the links until every socket wanted was seen here; whether one was.
    fn look_into(&mut self, one: &Candidate) -> bool {
        let dir = self.proc.join(one.pid.to_string()).join("fd");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.denied |= error.kind() == std::io::ErrorKind::PermissionDenied;
                return false;
            }
        };
        let mut here = BTreeSet::new();
        for entry in entries.flatten() {
            if here.len() == self.wanted.len() {
                break;
            }
            let Some(inode) = fs::read_link(entry.path()).ok().and_then(|link| inode_of(link.to_str()?))
            else {
                continue;
            };
            // The same socket under a second descriptor adds nothing.
            if self.wanted.contains(&inode) && here.insert(inode) {
                let fd = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
                let owner = Owner { pid: one.pid, comm: one.comm.clone(), fd };
                self.found.entry(inode).or_default().push(owner);
            }
        }
        !here.is_empty()
    }
}

fn related(a: &Candidate, b: &Candidate) -> bool {
    a.comm == b.comm || a.parent == b.pid || b.parent == a.pid
}

/// `socket:[12345]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Name and parent of `pid (comm) state ppid …`; the name may hold brackets and spaces.
fn stat(text: &str) -> Option<(String, u32)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let comm = text.get(open + 1..close)?.to_owned();
    let parent = text.get(close + 1..)?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((comm, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_are_kept() {
        assert_eq!(stat("7 (a) b (c)) S 3 7 7"), Some(("a) b (c)".to_owned(), 3)));
        assert_eq!(stat("7 (a"), None);
        assert_eq!(stat("7 )a("), None);
        assert_eq!(inode_of("socket:[123]"), Some(123));
        assert_eq!(inode_of("pipe:[123]"), None);
    }

    /// A process tree of files: pid, name, parent, and the targets of its descriptors.
    fn tree(name: &str, processes: &[(u32, &str, u32, &[&str])]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("netwhy-owners-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (pid, comm, parent, links) in processes {
            let dir = root.join(pid.to_string());
            fs::create_dir_all(dir.join("fd")).unwrap();
            fs::write(dir.join("stat"), format!("{pid} ({comm}) S {parent} 1 1")).unwrap();
            for (fd, link) in links.iter().enumerate() {
                std::os::unix::fs::symlink(link, dir.join("fd").join(fd.to_string())).unwrap();
            }
        }
        root
    }

    #[test]
    fn every_holder_of_a_shared_socket_is_found_once() {
        let root = tree(
            "shared",
            &[
                (10, "master", 1, &["/dev/null", "socket:[5]", "socket:[5]"]),
                (11, "worker", 10, &["socket:[6]", "socket:[5]"]),
                (12, "other", 1, &["socket:[7]", "pipe:[5]"]),
            ],
        );
        let mut search = Search::new(&root, BTreeSet::from([5, 6, 99]));
        search.run();
        fs::remove_dir_all(&root).unwrap();
        let mut pids: Vec<(u32, u32)> = search.found[&5].iter().map(|owner| (owner.pid, owner.fd)).collect();
        pids.sort_unstable();
        assert_eq!(pids.len(), 2);
        assert_eq!((pids[0].0, pids[1]), (10, (11, 1)));
        assert_eq!(search.found[&6][0].comm, "worker");
        assert!(!search.found.contains_key(&99) && !search.denied);
    }

    #[test]
    fn relatives_are_those_of_the_program_parents_and_children() {
        let one = |pid, parent, comm: &str| Candidate { pid, parent, comm: comm.to_owned() };
        assert!(related(&one(1, 0, "a"), &one(2, 0, "a")));
        assert!(related(&one(1, 0, "a"), &one(2, 1, "b")) && related(&one(2, 1, "b"), &one(1, 0, "a")));
        assert!(!related(&one(1, 0, "a"), &one(2, 0, "b")));
    }
}
