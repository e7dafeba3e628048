//! How names are resolved here: resolv.conf, nsswitch.conf, hosts, systemd-resolved. Files as the question's mount namespace sees them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::IpNet;
use crate::store::Fact;

/// The set-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolver {
    /// File the servers came from: /etc/resolv.conf or /etc/netns/NAME/resolv.conf.
    pub file: String,
    /// Whether the file exists and could be read; with no file glibc asks 127.0.0.1.
    pub file_present: bool,
    /// Servers in order, with the line they stand on; at most three are used by libc.
    pub servers: Vec<NameServer>,
    /// Search list in effect.
    pub search: Vec<String>,
    /// Line of the search or domain keyword; 0 when the list comes from the host's own name.
    #[serde(default)]
    pub search_line: u32,
    /// Options.
    pub ndots: u32,
    /// Seconds per try.
    pub timeout_s: u32,
    /// Tries per server.
    pub attempts: u32,
    /// Other options as written: rotate, use-vc, single-request, edns0, trust-ad …
    pub options: Vec<String>,
    /// Sources of the `hosts` line of nsswitch.conf in order, with their actions: `files`, `dns`, `myhostname`, `resolve [!UNAVAIL=return]`.
    pub nsswitch_hosts: Vec<String>,
    /// File and line of the `hosts` database; line 0 when the default applies.
    pub nsswitch_line: u32,
    /// Hosts-file entries for the question's name and its search candidates.
    pub hosts: Vec<HostsEntry>,
    /// Name of the hosts file that applies.
    pub hosts_file: String,
    /// systemd-resolved answers on 127.0.0.53 or its socket is present.
    pub resolved: Option<ResolvedState>,
    /// The policy by which addresses are ordered, where gai.conf(5) has one of its own.
    #[serde(default)]
    pub gai: GaiPolicy,
    /// Lines that could not be understood: file, line, text.
    pub bad_lines: Vec<(String, u32, String)>,
}

/// The tables of gai.conf(5). A table without a line is the C library's own; IPv4 stands as `::ffff:0:0/96` in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaiPolicy {
    /// The file, when it exists.
    pub file: Option<String>,
    /// `label PREFIX NUMBER`.
    pub labels: Vec<(IpNet, u32)>,
    /// `precedence PREFIX NUMBER`.
    pub precedences: Vec<(IpNet, u32)>,
    /// `scopev4 PREFIX NUMBER`.
    pub scopes_v4: Vec<(IpNet, u32)>,
}

impl Fact for Resolver {
    const KIND: &'static str = "resolver";
}

/// A server line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NameServer {
    pub addr: IpAddr,
    pub port: u16,
    /// 1-based line of the file.
    pub line: u32,
}

/// One matching line of the hosts file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HostsEntry {
    pub line: u32,
    pub addr: IpAddr,
    pub name: String,
}

/// What is known of systemd-resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ResolvedState {
    /// The stub 127.0.0.53 is configured in resolv.conf.
    pub stub_configured: bool,
    /// Its run-time directory exists.
    pub running: bool,
    /// Upstream servers from /run/systemd/resolve/resolv.conf.
    pub upstream: Vec<IpAddr>,
}
