//! Which processes hold a socket: the links in `/proc/PID/fd`, read once for all sockets wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use netwhy_facts::Reading;
use netwhy_facts::socket::{Owner, Socket};
use netwhy_sys::procfs;

use crate::collector::{Collector, now, read_text};

/// A process with more descriptors than this is looked through only when somebody may be missing.
const LARGE: u64 = 4096;
/// Descriptors looked at in any large process that is related to a holder: where sockets are handed over.
const HANDED_OVER: u32 = 16;
/// The privilege that opens other users' `/proc/PID/fd`.
const NEEDS: &str = "CAP_SYS_PTRACE";

impl Collector {
    /// Fills the owners of the sockets that have an inode.
    ///
    /// Every process is looked through, but for those with more than 4,096 descriptors: they are only while
    /// some socket has no owner yet. If they are of the same program as an owner, its parent or its child, they
    /// are looked at where they would have inherited a socket: under the number the owner has it under, and
    /// under the lowest. Before Linux 6.2 their number does not show and all are looked through.
    pub(super) fn fill_owners(&self, sockets: &mut [Socket]) {
        let wanted: BTreeSet<u64> = sockets.iter().map(|one| one.inode).filter(|inode| *inode != 0).collect();
        if wanted.is_empty() {
            return;
        }
        let at = now();
        let mut search = Search::new(&self.scope().proc, wanted);
        search.run();
        for socket in sockets.iter_mut().filter(|socket| socket.inode != 0) {
            // Two of the sockets may be one, seen twice.
            let owners = search.found.get(&socket.inode).cloned().unwrap_or_default();
            socket.owners = match owners.is_empty() && search.denied {
                true => Reading::denied(NEEDS),
                // A socket without a holder is one the kernel keeps itself, or has just been closed.
                false => Reading::known(owners, "/proc/PID/fd", at),
            };
        }
    }
}

/// A process as its relatives are told by.
struct Process {
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
    /// [`LARGE`], but in tests.
    large: u64,
}

impl<'a> Search<'a> {
    fn new(proc: &'a Path, wanted: BTreeSet<u64>) -> Self {
        Search { proc, wanted, found: BTreeMap::new(), denied: false, large: LARGE }
    }

    fn run(&mut self) {
        let (small, large) = self.processes();
        let mut holders: Vec<u32> = small.into_iter().filter(|pid| self.look_into(*pid, None)).collect();
        if large.is_empty() {
            return;
        }
        let mut large: Vec<Process> = large.into_iter().filter_map(|pid| self.process(pid)).collect();
        // While somebody is missing: whole.
        while self.found.len() < self.wanted.len()
            && let Some(one) = large.pop()
        {
            if self.look_into(one.pid, None) {
                holders.push(one.pid);
            }
        }
        let holders: Vec<Process> = holders.into_iter().filter_map(|pid| self.process(pid)).collect();
        let known = self.found.values().flatten().map(|owner| owner.fd);
        let numbers: BTreeSet<u32> = known.chain(0..HANDED_OVER).collect();
        for one in large.iter().filter(|one| holders.iter().any(|holder| related(holder, one))) {
            self.look_into(one.pid, Some(&numbers));
        }
    }

    /// The processes with few descriptors and those with many.
    fn processes(&self) -> (Vec<u32>, Vec<u32>) {
        let names = fs::read_dir(self.proc).into_iter().flatten().flatten();
        let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // Since 6.2 the size of the directory is the number of descriptors; before it is 0.
        pids.partition(|pid| !fs::metadata(self.directory(*pid)).is_ok_and(|fd| fd.len() > self.large))
    }

    fn directory(&self, pid: u32) -> std::path::PathBuf {
        self.proc.join(pid.to_string()).join("fd")
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let (comm, parent) = stat(&read_text(&self.proc.join(pid.to_string()).join("stat")).ok()?)?;
        Some(Process { pid, parent, comm })
    }

    /// Reads the links, or those of some numbers, until every socket wanted was seen here; whether one was.
    fn look_into(&mut self, pid: u32, numbers: Option<&BTreeSet<u32>>) -> bool {
        let mut here: BTreeMap<u64, u32> = BTreeMap::new();
        let mut look = |fd: u32, target: &[u8]| {
            // The same socket under a second descriptor adds nothing.
            if let Some(inode) = inode_of(target).filter(|inode| self.wanted.contains(inode)) {
                here.entry(inode).or_insert(fd);
            }
            match here.len() < self.wanted.len() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let directory = self.directory(pid);
        let walked = match numbers {
            Some(numbers) => procfs::numbered_links(&directory, numbers.iter().copied(), look),
            None => procfs::links(&directory, |name, target| look(name.parse().unwrap_or(0), target)),
        };
        self.denied |= walked.is_err_and(|error| error.is_denied());
        if here.is_empty() {
            return false;
        }
        let name = read_text(&self.proc.join(pid.to_string()).join("comm")).unwrap_or_default();
        let comm = name.strip_suffix('\n').unwrap_or(&name);
        for (inode, fd) in here {
            self.found.entry(inode).or_default().push(Owner { pid, comm: comm.to_owned(), fd });
        }
        true
    }
}

fn related(a: &Process, b: &Process) -> bool {
    a.comm == b.comm || a.parent == b.pid || b.parent == a.pid
}

/// `socket:[12345]`.
pub(super) fn inode_of(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
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
        assert_eq!(inode_of(b"socket:[123]"), Some(123));
        assert_eq!(inode_of(b"pipe:[123]"), None);
    }

    /// A process tree of files: pid, name, parent, and the targets of its descriptors.
    fn tree(name: &str, processes: &[(u32, &str, u32, &[&str])]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("netwhy-owners-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (pid, comm, parent, links) in processes {
            let dir = root.join(pid.to_string());
            fs::create_dir_all(dir.join("fd")).unwrap();
            fs::write(dir.join("comm"), format!("{comm}\n")).unwrap();
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
    fn large_processes_are_looked_at_where_they_inherit() {
        let many: Vec<String> = (0..30).map(|number| format!("socket:[{}]", 100 + number)).collect();
        let mut worker: Vec<&str> = many.iter().map(String::as_str).collect();
        worker[20] = "socket:[5]";
        let mut stranger = worker.clone();
        stranger[25] = "socket:[6]";
        let mut master = vec!["/dev/null"; 20];
        master.push("socket:[5]");
        let root = tree(
            "large",
            &[(10, "master", 1, &master), (11, "worker", 10, &worker), (12, "other", 1, &stranger)],
        );
        let search = |wanted: &[u64]| {
            // Whatever has a size is large, so nobody is looked into but while somebody is missing.
            let mut search = Search { large: 0, ..Search::new(&root, wanted.iter().copied().collect()) };
            search.run();
            let pids = |inode| -> Vec<u32> {
                let mut pids: Vec<u32> =
                    search.found.get(&inode).into_iter().flatten().map(|owner| owner.pid).collect();
                pids.sort_unstable();
                pids
            };
            (pids(5), pids(6))
        };
        let (shared, own) = search(&[5, 6]);
        assert_eq!(own, [12], "only a whole search finds it");
        assert!(shared.contains(&12));
        // Whichever is found first: master and worker are each other's relatives and have it under one number.
        let (shared, _) = search(&[5]);
        assert!(shared == [12] || shared == [10, 11], "{shared:?}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn relatives_are_those_of_the_program_parents_and_children() {
        let one = |pid, parent, comm: &str| Process { pid, parent, comm: comm.to_owned() };
        assert!(related(&one(1, 0, "a"), &one(2, 0, "a")));
        assert!(related(&one(1, 0, "a"), &one(2, 1, "b")) && related(&one(2, 1, "b"), &one(1, 0, "a")));
        assert!(!related(&one(1, 0, "a"), &one(2, 0, "b")));
    }
}
