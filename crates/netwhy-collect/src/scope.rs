//! Where facts are read: which namespace, which files.

use std::path::PathBuf;

use netwhy_sys::netns::NetnsRef;

/// Where a [`Collector`](crate::Collector) looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The network namespace in question.
    pub netns: NetnsRef,
    /// Where procfs is mounted: `/proc`, or a recorded tree.
    pub proc: PathBuf,
    /// The root directory whose `etc` and `run` count: `/`, or `/proc/PID/root` for a container.
    pub root: PathBuf,
    /// A process that stands for the victim, for its cgroup; netwhy itself if there is none.
    pub pid: Option<u32>,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { netns: NetnsRef::Current, proc: "/proc".into(), root: "/".into(), pid: None }
    }
}

impl Scope {
    /// The calling thread's namespace and this machine's files.
    #[must_use]
    pub fn here() -> Self {
        Self::default()
    }

    /// A namespace as the user named it, with this machine's files.
    #[must_use]
    pub fn of(netns: NetnsRef) -> Self {
        Scope { netns, ..Self::default() }
    }

    /// The name of the namespace, when it has one: it selects the files in `/etc/netns/NAME`.
    #[must_use]
    pub fn netns_name(&self) -> Option<&str> {
        match &self.netns {
            NetnsRef::Name(name) => Some(name),
            _ => None,
        }
    }
}
