//! `Locus`: the object a human can change, identified exactly.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::{IpNet, Proto};

/// One object of this host or outside it. The JSON form is part of the output contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // the field names are the documentation; they are the words of the tools that show them
pub enum Locus {
    /// One nftables rule: `nft -a list chain FAMILY TABLE CHAIN`.
    NftRule { family: String, table: String, chain: String, handle: u64, text: String },
    /// The policy of an nftables base chain.
    NftChain { family: String, table: String, chain: String, hook: String, policy: String },
    /// A set or map, with the element that decides when it is one.
    NftSet { family: String, table: String, set: String, element: Option<String> },
    /// One legacy xtables rule; `command` is iptables, ip6tables, arptables or ebtables; `number` is 1-based in the chain.
    IptRule { command: String, table: String, chain: String, number: u32, text: String },
    /// The policy of a built-in xtables chain.
    IptChain { command: String, table: String, chain: String, policy: String },
    /// An ipset and the member that matched.
    Ipset { set: String, member: Option<String> },
    /// A route: exactly one entry of a table. `route` is the entry as `ip route` writes it.
    Route {
        table: u32,
        dst: IpNet,
        dev: Option<String>,
        gateway: Option<IpAddr>,
        route_type: String,
        metric: u32,
    },
    /// A route that ought to exist and does not.
    MissingRoute { table: u32, dst: IpAddr },
    /// A policy rule by priority.
    Rule { family: u8, priority: u32, text: String },
    /// A nexthop object.
    Nexthop { id: u32 },
    /// A neighbour entry (ARP or ND).
    Neighbour { dev: String, address: IpAddr, state: String },
    /// A network device.
    Link { dev: String, index: u32 },
    /// An address on a device.
    Address { dev: String, address: IpAddr, prefix: u8 },
    /// An address that ought to be on this host and is not.
    MissingAddress { address: IpAddr },
    /// A bridge port or its VLAN set.
    BridgePort { bridge: String, port: String, state: String },
    /// A traffic-control qdisc.
    Qdisc { dev: String, handle: String, qdisc: String },
    /// A traffic-control filter.
    Filter { dev: String, parent: String, pref: u32, handle: String, filter: String },
    /// A BPF program at a hook.
    Bpf { hook: String, dev: Option<String>, prog_id: u32, name: String },
    /// A socket by its inode (0 when the kernel gave none), in a namespace.
    Socket {
        proto: Proto,
        local: String,
        remote: Option<String>,
        inode: u64,
        pid: Option<u32>,
        process: Option<String>,
    },
    /// No socket where one ought to listen.
    MissingListener { proto: Proto, address: IpAddr, port: u16 },
    /// A process.
    Process { pid: u32, process: String, detail: String },
    /// A kernel setting.
    Sysctl { name: String, value: String },
    /// The conntrack table or one entry of it.
    Conntrack { detail: String },
    /// A configured name server.
    Resolver { server: String, source: String },
    /// A name in the DNS.
    DnsName { name: String, rcode: String },
    /// A line of /etc/hosts.
    HostsEntry { file: String, line: u32, name: String, address: IpAddr },
    /// A line of a name-service configuration file.
    ConfigLine { file: String, line: u32, text: String },
    /// A certificate of the peer.
    Certificate { subject: String, issuer: String, not_after: String },
    /// A TLS end point's settings.
    TlsEndpoint { address: String, detail: String },
    /// An IPsec policy or state.
    Xfrm { detail: String },
    /// A tunnel or overlay device's remote configuration.
    Tunnel { dev: String, detail: String },
    /// A router or host on the path, named by the address it answers from.
    Hop { address: Option<IpAddr>, ttl: u8, detail: String },
    /// The far end as a whole.
    RemoteEndpoint { address: IpAddr, port: u16, proto: Proto },
    /// A local port range or a source port.
    PortRange { low: u16, high: u16, dst: String },
    /// A security module's or seccomp's rule.
    SecurityPolicy { module: String, detail: String },
    /// This host as a whole, for a machine-wide limit.
    Host { detail: String },
}

impl Locus {
    /// The kind as the JSON form writes it.
    pub fn kind(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.get("kind").and_then(|k| k.as_str().map(str::to_owned)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_kebab_case() {
        let l = Locus::NftRule {
            family: "inet".into(),
            table: "t".into(),
            chain: "c".into(),
            handle: 4,
            text: "drop".into(),
        };
        assert_eq!(l.kind(), "nft-rule");
    }
}
