//! Whether a part of the kernel is there, found out without loading it.
//!
//! Asking nfnetlink or sock_diag about a subsystem nobody has registered makes the kernel load its module,
//! and a question must not change the host. So the question is asked only when the module is already there:
//! loaded, or built in.

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

/// A module, and a function in it by which it is found among the kernel's symbols when nothing else tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) module: &'static str,
    pub(crate) symbol: &'static str,
}

pub(crate) const NF_TABLES: Part = Part { module: "nf_tables", symbol: "nft_do_chain" };
pub(crate) const IP_SET: Part = Part { module: "ip_set", symbol: "ip_set_test" };
pub(crate) const CTNETLINK: Part = Part { module: "nf_conntrack_netlink", symbol: "ctnetlink_get_conntrack" };
pub(crate) const NETFILTER_HOOK: Part = Part { module: "nfnetlink_hook", symbol: "nfnl_hook_dump_one" };
pub(crate) const TCP_DIAG: Part = Part { module: "tcp_diag", symbol: "tcp_diag_dump" };
pub(crate) const UDP_DIAG: Part = Part { module: "udp_diag", symbol: "udp_diag_dump" };
pub(crate) const RAW_DIAG: Part = Part { module: "raw_diag", symbol: "raw_diag_dump" };

pub(crate) const UNIX_DIAG: Part = Part { module: "unix_diag", symbol: "unix_diag_dump" };
pub(crate) const PACKET_DIAG: Part = Part { module: "af_packet_diag", symbol: "packet_diag_dump" };
pub(crate) const NETLINK_DIAG: Part = Part { module: "netlink_diag", symbol: "netlink_diag_dump" };
pub(crate) const VSOCK_DIAG: Part = Part { module: "vsock_diag", symbol: "vsock_diag_dump" };
pub(crate) const MPTCP_DIAG: Part = Part { module: "mptcp_diag", symbol: "mptcp_diag_dump" };
pub(crate) const SCTP_DIAG: Part = Part { module: "sctp_diag", symbol: "sctp_diag_dump" };

impl Collector {
    /// `Missing` unless the part is loaded or built in.
    pub(crate) fn require(&self, part: Part) -> Result<(), CollectError> {
        if is_present(&self.scope().proc, Path::new("/"), part) {
            return Ok(());
        }
        Err(CollectError::Missing(format!("{} is not loaded, and a read does not load it", part.module)))
    }
}

fn is_present(proc: &Path, root: &Path, part: Part) -> bool {
    // A kernel that cannot load modules has no such list, and asking it is safe.
    let Ok(modules) = read_text(&proc.join("modules")) else { return true };
    if modules.lines().any(|line| line.split(' ').next() == Some(part.module)) {
        return true;
    }
    if root.join("sys/module").join(part.module).exists() {
        return true;
    }
    let release = read_text(&proc.join("sys/kernel/osrelease")).unwrap_or_default();
    let builtin = root.join("lib/modules").join(release.trim()).join("modules.builtin");
    match read_text(&builtin) {
        Ok(list) => list.lines().any(|line| names(line, part.module)),
        // In a container the list is often not there. The kernel's symbols are: slow, but certain.
        Err(_) => has_symbol(&proc.join("kallsyms"), part.symbol),
    }
}

/// Whether a line such as `kernel/net/netfilter/nf_tables.ko` is about the module. Files may spell `-` for `_`.
fn names(line: &str, module: &str) -> bool {
    let file = line.rsplit('/').next().unwrap_or(line);
    file.strip_suffix(".ko").is_some_and(|stem| stem.replace('-', "_") == module)
}

fn has_symbol(list: &Path, symbol: &str) -> bool {
    let Ok(file) = std::fs::File::open(list) else { return false };
    BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.split_ascii_whitespace().nth(2) == Some(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files in a directory of this test's own, removed when dropped.
    struct Tree(std::path::PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("netwhy-kernel-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Tree(root)
        }
        fn has(&self, part: Part) -> bool {
            is_present(&self.0.join("proc"), &self.0, part)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_kernel_without_modules_is_safe_to_ask() {
        assert!(Tree::new("none", &[("proc/version", "")]).has(IP_SET));
    }

    #[test]
    fn loaded_built_in_and_missing_are_told_apart() {
        let tree = Tree::new(
            "some",
            &[
                ("proc/modules", "nf_tables 376832 3 nft_ct, Live 0x0\nip_set_hash_net 53248 0 - Live 0x0\n"),
                ("proc/sys/kernel/osrelease", "6.1.0-test\n"),
                (
                    "lib/modules/6.1.0-test/modules.builtin",
                    "kernel/net/ipv4/tcp_diag.ko\nkernel/x/raw-diag.ko\n",
                ),
            ],
        );
        assert!(tree.has(NF_TABLES), "loaded");
        assert!(tree.has(TCP_DIAG) && tree.has(RAW_DIAG), "built in");
        assert!(!tree.has(IP_SET), "only a part of it has a similar name");
        assert!(!tree.has(UDP_DIAG));
    }

    #[test]
    fn without_a_list_of_what_is_built_in_the_symbols_decide() {
        let symbols = "0000000000000000 T nft_do_chain\n0000000000000000 t ip_set_testing\n";
        let tree = Tree::new("symbols", &[("proc/modules", "\n"), ("proc/kallsyms", symbols)]);
        assert!(tree.has(NF_TABLES));
        assert!(!tree.has(IP_SET));
    }
}
