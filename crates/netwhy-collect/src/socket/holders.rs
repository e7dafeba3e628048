//! Every process that holds a socket, for listings: each table of descriptors is read once, however many
//! sockets are asked about.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use netwhy_sys::process::same_files;
use netwhy_sys::procfs;

use super::owners::inode_of;
use crate::collector::{Collector, read_text};

/// Tables read side by side: the kernel makes up an entry of `/proc/PID/fd` at a time.
const READERS: usize = 4;

/// Who holds which socket.
#[derive(Debug, Default)]
pub struct Holders {
    /// Inode, table, descriptor; sorted.
    entries: Vec<(u64, u32, u32)>,
    /// The tasks that use each table; the first is the process.
    tables: Vec<Vec<Task>>,
    /// Some process would not be looked into (CAP_SYS_PTRACE).
    pub denied: bool,
}

/// A thread, or a process: its first thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Process id.
    pub pid: u32,
    /// Thread id; the process id for its first thread.
    pub tid: u32,
    /// Name (comm), raw.
    pub comm: String,
}

/// One hold of a socket.
#[derive(Debug, Clone, Copy)]
pub struct Hold<'a> {
    /// Who.
    pub task: &'a Task,
    /// Under which descriptor.
    pub fd: u32,
}

impl Holders {
    /// Who holds the socket of an inode, in the order of process ids and descriptors. Threads that share
    /// their process's descriptors are told only if `threads` is asked.
    pub fn of(&self, inode: u64, threads: bool) -> impl DoubleEndedIterator<Item = Hold<'_>> {
        let first = self.entries.partition_point(|entry| entry.0 < inode);
        let entries = self.entries.get(first..).unwrap_or(&[]);
        let last = entries.partition_point(|entry| entry.0 == inode);
        entries[..last].iter().flat_map(move |(_, table, fd)| {
            let tasks = self.tables.get(*table as usize).map_or(&[][..], Vec::as_slice);
            let tasks = if threads { tasks } else { tasks.get(..1).unwrap_or(&[]) };
            tasks.iter().map(|task| Hold { task, fd: *fd })
        })
    }

    /// Every hold: inode, process, descriptor.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Task, u32)> {
        self.entries.iter().filter_map(|(inode, table, fd)| {
            let task = self.tables.get(*table as usize)?.first()?;
            Some((*inode, task, *fd))
        })
    }

    /// Every process, with the descriptors under which it holds sockets.
    pub fn processes(&self) -> impl Iterator<Item = &Task> {
        self.tables.iter().filter_map(|tasks| tasks.first())
    }

    fn add(&mut self, found: Found) {
        self.denied |= found.denied;
        for table in found.tables {
            let number = u32::try_from(self.tables.len()).unwrap_or(u32::MAX);
            self.entries.extend(table.sockets.into_iter().map(|(inode, fd)| (inode, number, fd)));
            self.tables.push(table.tasks);
        }
    }
}

/// One table of descriptors.
struct Table {
    tasks: Vec<Task>,
    sockets: Vec<(u64, u32)>,
}

/// What one process told.
#[derive(Default)]
struct Found {
    tables: Vec<Table>,
    denied: bool,
}

impl Collector {
    /// Every process that holds sockets, of all namespaces. `threads`: name the threads too.
    pub fn socket_holders(&self, threads: bool) -> Holders {
        holders(&self.scope().proc, None, threads)
    }

    /// The same of some processes.
    pub fn socket_holders_among(&self, pids: &[u32], threads: bool) -> Holders {
        holders(&self.scope().proc, Some(pids), threads)
    }
}

fn holders(proc: &Path, pids: Option<&[u32]>, threads: bool) -> Holders {
    let pids = match pids {
        Some(pids) => pids.to_vec(),
        None => numbers(proc),
    };
    let next = AtomicUsize::new(0);
    let read = || {
        let mut all = Vec::new();
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            all.push((*pid, process(proc, *pid, threads)));
        }
        all
    };
    let readers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS);
    let mut all: Vec<(u32, Found)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..readers).map(|_| scope.spawn(read)).collect();
        let mut all = read();
        for other in others {
            // A reader that panicked has nothing to tell.
            all.extend(other.join().unwrap_or_default());
        }
        all
    });
    all.sort_unstable_by_key(|(pid, _)| *pid);
    let mut holders = Holders::default();
    for (_, found) in all {
        holders.add(found);
    }
    holders.entries.sort_unstable();
    holders
}

/// The numbers among a directory's names, ascending.
fn numbers(directory: &Path) -> Vec<u32> {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<u32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    found
}

fn process(proc: &Path, pid: u32, threads: bool) -> Found {
    let home = proc.join(pid.to_string());
    let mut found = Found::default();
    let sockets = sockets(&home.join("fd"), &mut found.denied);
    let tasks = numbers(&home.join("task"));
    // Most processes have one thread; most threads share their process's descriptors.
    let mut shared = Vec::new();
    let mut own: HashMap<u32, Vec<(u64, u32)>> = HashMap::new();
    for tid in tasks.iter().copied().filter(|tid| *tid != pid) {
        match same_files(pid, tid) {
            Some(true) => shared.push(tid),
            _ => {
                let theirs =
                    self::sockets(&home.join("task").join(tid.to_string()).join("fd"), &mut found.denied);
                // Where the kernel does not compare them, equal content is taken for one table.
                match theirs == sockets {
                    true => shared.push(tid),
                    false => _ = own.insert(tid, theirs),
                }
            }
        }
    }
    if !sockets.is_empty() {
        let mut tasks = vec![task(&home, pid, pid)];
        if threads {
            tasks.extend(shared.into_iter().map(|tid| task(&home, pid, tid)));
        }
        found.tables.push(Table { tasks, sockets });
    }
    let mut own: Vec<_> = own.into_iter().filter(|(_, sockets)| !sockets.is_empty()).collect();
    own.sort_unstable_by_key(|(tid, _)| *tid);
    found
        .tables
        .extend(own.into_iter().map(|(tid, sockets)| Table { tasks: vec![task(&home, pid, tid)], sockets }));
    found
}

fn task(home: &Path, pid: u32, tid: u32) -> Task {
    let path: PathBuf = match tid == pid {
        true => home.join("comm"),
        false => home.join("task").join(tid.to_string()).join("comm"),
    };
    let name = read_text(&path).unwrap_or_default();
    Task { pid, tid, comm: name.strip_suffix('\n').unwrap_or(&name).to_owned() }
}

/// A process with more descriptors is asked for them by number.
const MANY: u64 = 256;

/// Inodes and descriptors of the sockets in a directory of links.
fn sockets(directory: &Path, denied: &mut bool) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    // Since 6.2 the directory's size is the number of descriptors; before it is 0. They are numbered from 0 on
    // with few gaps, and asking for each number saves the listing, which makes up every entry once more.
    let many = std::fs::metadata(directory).map_or(0, |fd| fd.len());
    if many > MANY {
        let (mut seen, most) = (0, u32::try_from(many + many / 4 + 64).unwrap_or(u32::MAX));
        let walked = procfs::numbered_links(directory, 0..most, |fd, target| {
            seen += 1;
            found.extend(inode_of(target).map(|inode| (inode, fd)));
            if seen < many { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if walked.is_ok() && seen == many {
            return found;
        }
        found.clear();
    }
    let walked = procfs::links(directory, |name, target| {
        if let Some(inode) = inode_of(target) {
            found.push((inode, name.parse().unwrap_or(0)));
        }
        ControlFlow::Continue(())
    });
    *denied |= walked.is_err_and(|error| error.is_denied());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hold_of_a_shared_socket_is_told() {
        use std::os::fd::AsRawFd;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let again = socket.try_clone().unwrap();
        let target = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = inode_of(target.to_str().unwrap().as_bytes()).unwrap();
        let collector = Collector::here().unwrap();
        let holders = collector.socket_holders_among(&[std::process::id()], false);
        let fds: Vec<u32> = holders.of(inode, false).map(|hold| hold.fd).collect();
        let mut expected = [socket.as_raw_fd() as u32, again.as_raw_fd() as u32];
        expected.sort_unstable();
        assert_eq!(fds, expected);
        assert!(holders.of(inode, false).all(|hold| hold.task.pid == std::process::id()));
        assert_eq!(holders.of(u64::MAX, true).count(), 0);
        // The test's own thread shares the process's descriptors.
        let threads = collector.socket_holders_among(&[std::process::id()], true);
        assert!(threads.of(inode, true).count() > 2);
    }

    #[test]
    fn many_descriptors_with_gaps_are_all_found() {
        use std::os::fd::AsRawFd;
        let mut sockets: Vec<_> =
            (0..600).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        // Every third is closed again: numbers with gaps, more of them than are asked for by number.
        let mut number = 0;
        sockets.retain(|_| {
            number += 1;
            number % 3 != 0
        });
        let directory = Path::new("/proc/self/fd");
        let held = super::sockets(directory, &mut false);
        for socket in &sockets {
            assert!(held.iter().any(|(_, fd)| *fd == socket.as_raw_fd() as u32));
        }
    }

    #[test]
    fn a_thread_with_descriptors_of_its_own_is_looked_into() {
        let (send, receive) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            netwhy_sys::process::unshare_files().unwrap();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let link = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&socket));
            let target = std::fs::read_link(link).unwrap();
            send.send((
                netwhy_sys::process::thread_id(),
                inode_of(target.to_str().unwrap().as_bytes()).unwrap(),
            ))
            .unwrap();
            let _ = wait.recv();
        });
        let (tid, inode) = receive.recv().unwrap();
        let holders = Collector::here().unwrap().socket_holders_among(&[std::process::id()], false);
        let tasks: Vec<u32> = holders.of(inode, false).map(|hold| hold.task.tid).collect();
        done.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(tasks, [tid]);
    }
}
