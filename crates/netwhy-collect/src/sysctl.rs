//! Settings that decide a packet's fate, from `/proc/sys`. The `net` tree shows the reader's own namespace.

use std::path::Path;

use netwhy_facts::Reading;
use netwhy_facts::sysctl::Sysctls;
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::Attributes;

use crate::collector::{Collector, read_text};
use crate::decode::Decoded;
use crate::error::CollectError;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// `struct ifinfomsg`.
const HEADER: usize = 16;

/// Settings read once.
const ONCE: &[&str] = &[
    "fs.file-max",
    "fs.nr_open",
    "net.core.default_qdisc",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_max",
    "net.ipv4.fib_multipath_hash_fields",
    "net.ipv4.fib_multipath_hash_policy",
    "net.ipv4.fib_multipath_use_neigh",
    "net.ipv4.fwmark_reflect",
    "net.ipv4.icmp_echo_ignore_all",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.icmp_errors_use_inbound_ifaddr",
    "net.ipv4.icmp_msgs_burst",
    "net.ipv4.icmp_msgs_per_sec",
    "net.ipv4.icmp_ratelimit",
    "net.ipv4.icmp_ratemask",
    "net.ipv4.ip_autobind_reuse",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_forward_use_pmtu",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ipfrag_high_thresh",
    "net.ipv4.ipfrag_time",
    "net.ipv4.neigh.default.app_solicit",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.neigh.default.mcast_solicit",
    "net.ipv4.neigh.default.retrans_time_ms",
    "net.ipv4.neigh.default.ucast_solicit",
    "net.ipv4.neigh.default.unres_qlen_bytes",
    "net.ipv4.nexthop_compat_mode",
    "net.ipv4.ping_group_range",
    "net.ipv4.raw_l3mdev_accept",
    "net.ipv4.route.min_pmtu",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_base_mss",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_ecn_fallback",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fwmark_accept",
    "net.ipv4.tcp_reflect_tos",
    "net.ipv4.tcp_l3mdev_accept",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_min_snd_mss",
    "net.ipv4.tcp_mtu_probe_floor",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
    "net.ipv4.udp_l3mdev_accept",
    "net.ipv4.udp_mem",
    "net.ipv6.bindv6only",
    "net.ipv6.fib_multipath_hash_policy",
    "net.ipv6.fwmark_reflect",
    "net.ipv6.icmp.echo_ignore_all",
    "net.ipv6.icmp.ratelimit",
    "net.ipv6.icmp.ratemask",
    "net.ipv6.ip6frag_high_thresh",
    "net.ipv6.ip_nonlocal_bind",
    "net.ipv6.neigh.default.gc_thresh1",
    "net.ipv6.neigh.default.gc_thresh2",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.bridge.bridge-nf-call-arptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-filter-vlan-tagged",
];

/// A setting that every device has: its place in the message of a link, and its name.
struct Conf(usize, &'static str);

/// Below `net.ipv4.conf`: IPV4_DEVCONF_* (uapi `linux/ip.h`), which count from 1.
const CONF4: &[Conf] = &[
    Conf(1, "forwarding"),
    Conf(3, "proxy_arp"),
    Conf(4, "accept_redirects"),
    Conf(5, "secure_redirects"),
    Conf(6, "send_redirects"),
    Conf(7, "shared_media"),
    Conf(8, "rp_filter"),
    Conf(9, "accept_source_route"),
    Conf(11, "log_martians"),
    Conf(13, "arp_filter"),
    Conf(15, "disable_xfrm"),
    Conf(16, "disable_policy"),
    Conf(18, "arp_announce"),
    Conf(19, "arp_ignore"),
    Conf(20, "promote_secondaries"),
    Conf(21, "arp_accept"),
    Conf(22, "arp_notify"),
    Conf(23, "accept_local"),
    Conf(24, "src_valid_mark"),
    Conf(25, "proxy_arp_pvlan"),
    Conf(26, "route_localnet"),
    Conf(29, "ignore_routes_with_linkdown"),
    Conf(30, "drop_unicast_in_l2_multicast"),
    Conf(31, "drop_gratuitous_arp"),
    Conf(32, "bc_forwarding"),
];

/// Below `net.ipv6.conf`: DEVCONF_* (uapi `linux/ipv6.h`), which count from 0.
const CONF6: &[Conf] = &[
    Conf(0, "forwarding"),
    Conf(2, "mtu"),
    Conf(3, "accept_ra"),
    Conf(4, "accept_redirects"),
    Conf(5, "autoconf"),
    Conf(6, "dad_transmits"),
    Conf(10, "use_tempaddr"),
    Conf(17, "accept_ra_defrtr"),
    Conf(18, "accept_ra_pinfo"),
    Conf(22, "proxy_ndp"),
    Conf(23, "optimistic_dad"),
    Conf(26, "disable_ipv6"),
    Conf(27, "accept_dad"),
    Conf(37, "use_oif_addrs_only"),
    Conf(39, "ignore_routes_with_linkdown"),
    Conf(40, "drop_unicast_in_l2_multicast"),
    Conf(41, "drop_unsolicited_na"),
    Conf(47, "addr_gen_mode"),
    Conf(48, "disable_policy"),
];

impl Collector {
    /// The settings that matter to a connection, those of every device included. A name that this kernel lacks, or
    /// that this process may not read, is absent from the map.
    pub fn sysctls(&self) -> Reading<Sysctls> {
        Self::reading("/proc/sys, IFLA_AF_SPEC", "read access to /proc/sys", || {
            let mut out = self.inside(|| {
                let root = self.proc("sys");
                let mut out = Sysctls::default();
                for name in ONCE {
                    read_into(&root, name, &name.replace('.', "/"), &mut out);
                }
                for (family, settings) in [("ipv4", CONF4), ("ipv6", CONF6)] {
                    for (Conf(_, setting), dev) in settings.iter().flat_map(|s| [(s, "all"), (s, "default")])
                    {
                        let name = format!("net.{family}.conf.{dev}.{setting}");
                        read_into(&root, &name, &format!("net/{family}/conf/{dev}/{setting}"), &mut out);
                    }
                }
                out
            })?;
            // A device's settings come with its link: one question however many devices there are, where files
            // would be some forty for each.
            let wrong = CollectError::attribute("IFLA_AF_SPEC");
            let devices: Vec<_> =
                self.dump(Protocol::Route, RTM_GETLINK, &[0; HEADER], |all: &mut Vec<_>, kind, payload| {
                    if kind == RTM_NEWLINK {
                        all.extend(decode_conf(payload).map_err(&wrong)?);
                    }
                    Ok(())
                })?;
            out.0.extend(devices);
            Ok(out)
        })
    }
}

impl Collector {
    /// Hands out the settings at or below a path of `/proc/sys` (`net/ipv4`; empty for all), sorted: the path and
    /// what reading it brought. An error of the whole is that there is no such path.
    pub fn settings(
        &self,
        path: &str,
        each: &mut (dyn FnMut(&str, Result<String, CollectError>) + Send),
    ) -> Result<(), CollectError> {
        // Only downwards.
        if Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(CollectError::Missing(format!("{path} is no path below /proc/sys")));
        }
        let root = self.proc("sys");
        self.inside(|| walk(&root, path, each))?
    }
}

fn walk(
    root: &Path,
    path: &str,
    each: &mut (dyn FnMut(&str, Result<String, CollectError>) + Send),
) -> Result<(), CollectError> {
    let full = root.join(path);
    let failed = |error: std::io::Error| CollectError::file(&full, &error);
    if !std::fs::metadata(&full).map_err(failed)?.is_dir() {
        each(path, read_text(&full));
        return Ok(());
    }
    let mut names: Vec<String> = std::fs::read_dir(&full)
        .map_err(failed)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    for name in names {
        let below = if path.is_empty() { name } else { format!("{path}/{name}") };
        // One that went away meanwhile, as a device's do, is left out.
        let _ = walk(root, &below, each);
    }
    Ok(())
}

/// Names and values of a device's settings from its RTM_NEWLINK message: IFLA_AF_SPEC holds one nest for each
/// family, with IFLA_INET_CONF (1) or IFLA_INET6_CONF (2), an array of numbers. An older kernel's array is shorter.
pub fn decode_conf(payload: &[u8]) -> Decoded<Vec<(String, String)>> {
    let (mut name, mut found) = (String::new(), Vec::new());
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            // sysctl(8) writes a dot in a device's name as a slash.
            3 => name = attribute.text().replace('.', "/"),
            26 => {
                for family in attribute.attributes() {
                    let family = family?;
                    let (settings, array, words, first) = match family.kind {
                        2 => (CONF4, 1, "ipv4", 1),
                        10 => (CONF6, 2, "ipv6", 0),
                        _ => continue,
                    };
                    for inner in family.attributes() {
                        let inner = inner?;
                        if inner.kind != array {
                            continue;
                        }
                        let value = |Conf(number, setting): &Conf| {
                            let value = inner.fixed().i32((number - first) * 4)?;
                            Some((words, *setting, value))
                        };
                        found.extend(settings.iter().filter_map(value));
                    }
                }
            }
            _ => {}
        }
    }
    let named = |(family, setting, value): (&str, &str, i32)| {
        (format!("net.{family}.conf.{name}.{setting}"), value.to_string())
    };
    Ok(found.into_iter().map(named).collect())
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
    fn a_tree_of_settings_is_handed_out_in_order() {
        let collector = Collector::here().unwrap();
        let mut found = Vec::new();
        collector
            .settings("net/core", &mut |path, value| found.push((path.to_owned(), value.is_ok())))
            .unwrap();
        assert!(found.iter().any(|(path, read)| path == "net/core/somaxconn" && *read));
        assert!(found.is_sorted());
        assert!(collector.settings("net/nosuch", &mut |_, _| ()).is_err());
        assert!(collector.settings("../kcore", &mut |_, _| ()).is_err());
    }

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
