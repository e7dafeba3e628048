//! `Fix`: what to do about an object, with its undo, in commands that can be pasted.

use netwhy_facts::Locus;
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What it does, one line.
    pub text: String,
    /// The command; empty when a person has to decide or act.
    pub command: String,
    /// The command that takes it back; empty when there is none.
    pub undo: String,
    /// What it may break; empty when nothing beyond its purpose.
    pub risk: String,
}

impl Fix {
    /// A command.
    pub fn run(text: impl Into<String>, command: impl Into<String>, undo: impl Into<String>) -> Self {
        Self { text: text.into(), command: command.into(), undo: undo.into(), risk: String::new() }
    }
    /// Something a person has to do.
    pub fn act(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: String::new(), undo: String::new(), risk: String::new() }
    }
    /// With what it may break.
    pub fn risk(mut self, risk: impl Into<String>) -> Self {
        self.risk = risk.into();
        self
    }
}

/// The classical command that shows an object.
pub fn show(locus: &Locus) -> String {
    match locus {
        Locus::NftRule { family, table, chain, .. } | Locus::NftChain { family, table, chain, .. } => {
            format!("nft -a list chain {family} {table} {chain}")
        }
        Locus::NftSet { family, table, set, .. } => format!("nft list set {family} {table} {set}"),
        Locus::IptRule { command, table, chain, .. } | Locus::IptChain { command, table, chain, .. } => {
            format!("{command} -t {table} -vnL {chain} --line-numbers")
        }
        Locus::Ipset { set, .. } => format!("ipset list {set}"),
        Locus::Route { table, dst, .. } => format!("ip route show table {table} {dst}"),
        Locus::MissingRoute { dst, .. } => format!("ip route get {dst}"),
        Locus::Rule { family, .. } => format!("ip -{family} rule show"),
        Locus::Nexthop { id } => format!("ip nexthop show id {id}"),
        Locus::Neighbour { dev, address, .. } => format!("ip neigh show {address} dev {dev}"),
        Locus::Link { dev, .. } => format!("ip -s link show dev {dev}"),
        Locus::Address { dev, .. } => format!("ip addr show dev {dev}"),
        Locus::MissingAddress { address } => format!("ip addr show to {address}"),
        Locus::BridgePort { port, .. } => format!("bridge -d link show dev {port}"),
        Locus::Qdisc { dev, .. } => format!("tc -s qdisc show dev {dev}"),
        Locus::Filter { dev, parent, .. } => format!("tc -s filter show dev {dev} {parent}"),
        Locus::Bpf { prog_id, .. } => format!("bpftool prog show id {prog_id}"),
        Locus::Socket { proto, local, .. } => {
            let port = local.rsplit(':').next().unwrap_or("");
            format!("ss -{}anp 'sport = :{port}'", proto.name().chars().next().unwrap_or('t'))
        }
        Locus::MissingListener { proto, port, .. } => {
            format!("ss -{}lnp 'sport = :{port}'", proto.name().chars().next().unwrap_or('t'))
        }
        Locus::Process { pid, .. } => format!("cat /proc/{pid}/status"),
        Locus::Sysctl { name, .. } => format!("sysctl {name}"),
        Locus::Conntrack { .. } => "conntrack -S".to_string(),
        Locus::Resolver { source, .. } => format!("cat {source}"),
        Locus::HostsEntry { file, .. } | Locus::ConfigLine { file, .. } => format!("cat {file}"),
        Locus::DnsName { name, .. } => format!("dig {name}"),
        Locus::Xfrm { .. } => "ip xfrm policy".to_string(),
        Locus::Tunnel { dev, .. } => format!("ip -d link show dev {dev}"),
        Locus::PortRange { dst, .. } => format!("ss -tan 'dst {dst}' | wc -l"),
        _ => String::new(),
    }
}

/// The selector of a flow in nft syntax: `ip daddr 203.0.113.2 tcp dport 8080`.
pub fn nft_selector(flow: &netwhy_facts::Flow, with_source: bool) -> String {
    let ip = if flow.dst.is_ipv4() { "ip" } else { "ip6" };
    let mut out = String::new();
    if let (true, Some(src)) = (with_source, flow.src) {
        out.push_str(&format!("{ip} saddr {src} "));
    }
    out.push_str(&format!("{ip} daddr {}", flow.dst));
    match flow.proto {
        netwhy_facts::Proto::Icmp => {
            let l4 = if flow.dst.is_ipv4() { "icmp" } else { "icmpv6" };
            out.push_str(&format!(" {l4} type echo-request"));
        }
        p => out.push_str(&format!(" {} dport {}", p.name(), flow.dport)),
    }
    out
}

/// The selector of a flow in iptables syntax: `-d 203.0.113.2 -p tcp --dport 8080`.
pub fn ipt_selector(flow: &netwhy_facts::Flow, with_source: bool) -> String {
    let mut out = String::new();
    if let (true, Some(src)) = (with_source, flow.src) {
        out.push_str(&format!("-s {src} "));
    }
    out.push_str(&format!("-d {}", flow.dst));
    match flow.proto {
        netwhy_facts::Proto::Icmp if flow.dst.is_ipv4() => out.push_str(" -p icmp"),
        netwhy_facts::Proto::Icmp => out.push_str(" -p ipv6-icmp"),
        p => out.push_str(&format!(" -p {} --dport {}", p.name(), flow.dport)),
    }
    out
}

/// The command that puts a removed legacy rule back to its place; empty when its text is not known.
pub fn reinsert(locus: &Locus) -> String {
    let Locus::IptRule { command, table, chain, number, text } = locus else { return String::new() };
    match text.strip_prefix(&format!("-A {chain}")) {
        Some(rest) => format!("{command} -t {table} -I {chain} {number}{rest}"),
        None => String::new(),
    }
}

/// How to let exactly `selector` pass a firewall object that stops it, and how to take that back.
/// `nft` and `ipt` are the selectors in the two syntaxes. Empty for objects that are no firewall rule.
pub fn let_pass(locus: &Locus, nft: &str, ipt: &str) -> Vec<Fix> {
    match locus {
        Locus::NftRule { family, table, chain, handle, text } => vec![
            Fix::run(
                "let exactly this flow pass before the rule",
                format!(
                    "nft insert rule {family} {table} {chain} position {handle} {nft} accept comment \"netwhy\""
                ),
                format!(
                    "nft -a list chain {family} {table} {chain} | awk '/comment \"netwhy\"/{{print $NF}}' | xargs -rn1 nft delete rule {family} {table} {chain} handle"
                ),
            ),
            Fix::run(
                "or remove the rule, if nobody wants it",
                format!("nft delete rule {family} {table} {chain} handle {handle}"),
                format!("nft add rule {family} {table} {chain} {text}"),
            )
            .risk("the undo appends the rule at the end of the chain; look at its place first"),
        ],
        Locus::NftChain { family, table, chain, .. } => vec![Fix::run(
            "let exactly this flow pass; the policy stays",
            format!("nft insert rule {family} {table} {chain} {nft} accept comment \"netwhy\""),
            format!(
                "nft -a list chain {family} {table} {chain} | awk '/comment \"netwhy\"/{{print $NF}}' | xargs -rn1 nft delete rule {family} {table} {chain} handle"
            ),
        )],
        Locus::IptRule { command, table, chain, number, .. } => vec![
            Fix::run(
                "let exactly this flow pass before the rule",
                format!("{command} -t {table} -I {chain} {number} {ipt} -j ACCEPT"),
                format!("{command} -t {table} -D {chain} {ipt} -j ACCEPT"),
            ),
            Fix::run(
                "or remove the rule, if nobody wants it",
                format!("{command} -t {table} -D {chain} {number}"),
                reinsert(locus),
            ),
        ],
        Locus::IptChain { command, table, chain, .. } => vec![Fix::run(
            "let exactly this flow pass; the policy stays",
            format!("{command} -t {table} -I {chain} 1 {ipt} -j ACCEPT"),
            format!("{command} -t {table} -D {chain} {ipt} -j ACCEPT"),
        )],
        _ => Vec::new(),
    }
}
