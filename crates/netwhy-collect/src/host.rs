//! The host netwhy runs on: kernel, privileges, namespace; its log, its network hardware, its IPsec.

mod kernel_log;
mod nics;
mod xfrm;

pub use nics::{decode_family, decode_linkstate};
pub use xfrm::{decode_policy, decode_state};

use netwhy_facts::Reading;
use netwhy_facts::host::Host;

use crate::collector::{Collector, read_text};

impl Collector {
    /// Kernel, privileges and namespace of this run; `unix_time_s` is the wall clock, handed in by the caller.
    pub fn host(&self, unix_time_s: i64) -> Reading<Host> {
        Self::reading("/proc/sys/kernel, capget", "read access to /proc", || {
            let word = |name: &str| read_text(&self.proc(name)).map(|t| t.trim_end().to_string());
            // Namespace inodes of the initial namespaces are fixed (include/linux/proc_ns.h has the first ones); the network
            // one is not, so it is compared with that of process 1, which a container may not be allowed to look at.
            let initial = netwhy_sys::netns::of_process(1).ok().map(|init| init == self.netns_id());
            Ok(Host {
                kernel: word("sys/kernel/osrelease")?,
                hostname: word("sys/kernel/hostname").unwrap_or_default(),
                euid: netwhy_sys::process::effective_ids().0,
                capabilities: netwhy_sys::caps::effective()?.iter().map(|c| c.name().to_string()).collect(),
                netns: self.netns_id().inode,
                netns_name: self.scope().netns_name().map(str::to_owned),
                initial_netns: initial,
                unix_time_s,
                seccomp: read_text(&self.proc("self/status")).ok().and_then(|text| {
                    text.lines().find_map(|l| l.strip_prefix("Seccomp:")).and_then(|v| v.trim().parse().ok())
                }),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        let host = Collector::here().unwrap().host(1);
        let host = host.value().unwrap();
        assert!(host.kernel.contains('.'));
        assert!(host.netns > 0);
    }
}
