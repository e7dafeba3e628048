//! Processes that own a socket of the question. Source: /proc/PID.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::store::Fact;

/// Processes read for the question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Processes(pub Vec<Process>);

impl Fact for Processes {
    const KIND: &'static str = "processes";
}

impl Processes {
    /// A process by id.
    pub fn find(&self, pid: u32) -> Option<&Process> {
        self.0.iter().find(|p| p.pid == pid)
    }
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the reader's pid namespace.
    pub pid: u32,
    /// Command name (comm), raw.
    pub comm: String,
    /// State letter of /proc/PID/stat: R S D T t Z X I.
    pub state: char,
    /// Kernel function it sleeps in (wchan), when readable.
    pub wchan: Reading<String>,
    /// Threads by state letter and wchan, bounded.
    pub threads: Vec<(char, String)>,
    /// Open descriptors (entries of /proc/PID/fd).
    pub open_fds: Reading<u64>,
    /// RLIMIT_NOFILE soft limit; `u64::MAX` for unlimited.
    pub nofile_soft: Reading<u64>,
    /// RLIMIT_NOFILE hard limit.
    pub nofile_hard: Reading<u64>,
    /// Network namespace inode.
    pub netns: Reading<u64>,
    /// Cgroup path (v2, or the first v1 line).
    pub cgroup: Reading<String>,
    /// User and system CPU time in clock ticks.
    pub cpu_ticks: u64,
    /// Seccomp mode: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u8>,
    /// Container id when the cgroup path shows one.
    pub container: Option<String>,
}

/// One limit of a process (`/proc/PID/limits`, getrlimit(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimit {
    /// The kernel's words: `Max open files`.
    pub name: String,
    /// What is in force; `None` for unlimited.
    pub soft: Option<u64>,
    /// Up to where the process may raise it; `None` for unlimited.
    pub hard: Option<u64>,
    /// `bytes`, `files`, …; empty where the kernel names none.
    pub unit: String,
}

/// Machine-wide file table (/proc/sys/fs/file-nr).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTable {
    /// Allocated.
    pub allocated: u64,
    /// fs.file-max.
    pub max: u64,
}

impl Fact for FileTable {
    const KIND: &'static str = "file-table";
}
