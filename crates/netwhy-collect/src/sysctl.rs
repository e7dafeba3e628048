//! Settings that decide a packet's fate, from `/proc/sys`. The `net` tree shows the reader's own namespace.

use std::path::Path;

use netwhy_facts::Reading;
use netwhy_facts::sysctl::Sysctls;

use crate::collector::{Collector, read_text};

/// Settings read once.
const ONCE: &[&str] = &[
    "fs.file-max",
    "net.core.somaxconn",
    "net.ipv4.fib_multipath_hash_policy",
    "net.ipv4.fib_multipath_use_neigh",
    "net.ipv4.fwmark_reflect",
    "net.ipv4.icmp_echo_ignore_all",
    "net.ipv4.icmp_msgs_burst",
    "net.ipv4.icmp_msgs_per_sec",
    "net.ipv4.icmp_ratelimit",
    "net.ipv4.icmp_ratemask",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ipfrag_high_thresh",
    "net.ipv4.ping_group_range",
    "net.ipv4.route.min_pmtu",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_base_mss",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_l3mdev_accept",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.udp_l3mdev_accept",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv6.bindv6only",
    "net.ipv6.icmp.echo_ignore_all",
    "net.ipv6.icmp.ratelimit",
    "net.ipv6.ip_nonlocal_bind",
    "net.ipv6.neigh.default.gc_thresh1",
    "net.ipv6.neigh.default.gc_thresh2",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.bridge.bridge-nf-call-arptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
];

/// Settings of each device below `net.ipv4.conf`.
const CONF4: &[&str] = &[
    "accept_local",
    "arp_accept",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "disable_policy",
    "disable_xfrm",
    "forwarding",
    "ignore_routes_with_linkdown",
    "log_martians",
    "proxy_arp",
    "route_localnet",
    "rp_filter",
    "src_valid_mark",
];

/// Settings of each device below `net.ipv6.conf`.
const CONF6: &[&str] = &[
    "accept_dad",
    "accept_ra",
    "addr_gen_mode",
    "autoconf",
    "disable_ipv6",
    "disable_policy",
    "forwarding",
    "ignore_routes_with_linkdown",
    "proxy_ndp",
];

/// Devices beyond this many are not read one by one; a host with thousands of them has them by template.
const MAX_DEVICES: usize = 256;

impl Collector {
    /// The settings that matter to a connection, those of every device included. A name that this kernel lacks, or that
    /// this process may not read, is absent from the map.
    pub fn sysctls(&self) -> Reading<Sysctls> {
        Self::reading("/proc/sys", "read access to /proc/sys", || {
            self.inside(|| {
                let root = self.proc("sys");
                let mut out = Sysctls::default();
                for name in ONCE {
                    read_into(&root, name, &name.replace('.', "/"), &mut out);
                }
                for (family, settings) in [("ipv4", CONF4), ("ipv6", CONF6)] {
                    let Ok(entries) = std::fs::read_dir(root.join(format!("net/{family}/conf"))) else {
                        continue;
                    };
                    for entry in entries.flatten().take(MAX_DEVICES) {
                        let Ok(dev) = entry.file_name().into_string() else { continue };
                        for setting in settings {
                            // sysctl(8) writes a dot in a device name as a slash.
                            let name = format!("net.{family}.conf.{}.{setting}", dev.replace('.', "/"));
                            read_into(&root, &name, &format!("net/{family}/conf/{dev}/{setting}"), &mut out);
                        }
                    }
                }
                Ok(out)
            })?
        })
    }
}

fn read_into(root: &Path, name: &str, path: &str, out: &mut Sysctls) {
    if let Ok(text) = read_text(&root.join(path)) {
        out.0.insert(name.to_string(), text.trim_end().replace('\t', " "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespaces_own_settings_are_read() {
        let here = Collector::here().unwrap().sysctls();
        let here = here.value().unwrap();
        assert!(here.number("net.core.somaxconn").is_some_and(|n| n > 0));
        assert!(here.conf4("lo", "rp_filter").is_some());
        assert!(here.rp_filter("lo").is_some());
        assert_eq!(here.number("net.ipv4.no_such_setting"), None);
    }
}
