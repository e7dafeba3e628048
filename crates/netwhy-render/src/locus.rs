//! A locus in words: one line that names the object so that a person finds it.

use netwhy_facts::Locus;

/// The object in one line: `nft rule inet filter output handle 7: ip daddr 203.0.113.2 drop`. Not escaped.
pub fn locus_text(locus: &Locus) -> String {
    match locus {
        Locus::NftRule { family, table, chain, handle, text } => {
            with(format!("nft rule {family} {table} {chain} handle {handle}"), text)
        }
        Locus::NftChain { family, table, chain, hook, policy } => {
            format!("nft chain {family} {table} {chain} (hook {hook}), policy {policy}")
        }
        Locus::NftSet { family, table, set, element } => {
            let set = format!("nft set {family} {table} {set}");
            element.as_ref().map_or(set.clone(), |e| format!("{set}, element {e}"))
        }
        Locus::IptRule { command, table, chain, number, text } => {
            with(format!("{command} table {table} chain {chain} rule {number}"), text)
        }
        Locus::IptChain { command, table, chain, policy } => {
            format!("{command} table {table} chain {chain}, policy {policy}")
        }
        Locus::Ipset { set, member } => {
            member.as_ref().map_or(format!("ipset {set}"), |m| format!("ipset {set}, member {m}"))
        }
        Locus::Route { table, dst, dev, gateway, route_type, metric } => {
            let dst = if dst.len == 0 { "default".to_string() } else { dst.to_string() };
            let mut out = String::from("route ");
            if route_type != "unicast" {
                out.push_str(&format!("{route_type} "));
            }
            out.push_str(&dst);
            if let Some(gateway) = gateway {
                out.push_str(&format!(" via {gateway}"));
            }
            if let Some(dev) = dev {
                out.push_str(&format!(" dev {dev}"));
            }
            if *metric != 0 {
                out.push_str(&format!(" metric {metric}"));
            }
            format!("{out} in table {}", table_name(*table))
        }
        Locus::MissingRoute { table, dst } => {
            format!("no route to {dst} in table {}", table_name(*table))
        }
        Locus::Rule { family, priority, text } => with(format!("policy rule {priority} (IPv{family})"), text),
        Locus::Nexthop { id } => format!("nexthop object {id}"),
        Locus::Neighbour { dev, address, state } => format!("neighbour {address} on {dev}, {state}"),
        Locus::Link { dev, index } => format!("device {dev} (index {index})"),
        Locus::Address { dev, address, prefix } => format!("address {address}/{prefix} on {dev}"),
        Locus::MissingAddress { address } => format!("address {address}, which no device has"),
        Locus::BridgePort { bridge, port, state } => format!("port {port} of bridge {bridge}, {state}"),
        Locus::Qdisc { dev, handle, qdisc } => format!("qdisc {qdisc} {handle} on {dev}"),
        Locus::Filter { dev, parent, pref, handle, filter } => {
            let mut out = format!("tc filter {filter} on {dev} {parent} pref {pref}");
            if !handle.is_empty() {
                out.push_str(&format!(" handle {handle}"));
            }
            out
        }
        Locus::Bpf { hook, dev, prog_id, name } => {
            let name = if name.is_empty() { String::new() } else { format!(" {name}") };
            let on = dev.as_ref().map_or(String::new(), |d| format!(" on {d}"));
            format!("BPF program{name} (id {prog_id}) at {hook}{on}")
        }
        Locus::Socket { proto, local, remote, inode, pid, process } => {
            let mut out = format!("{} socket {local}", proto.name());
            if let Some(remote) = remote {
                out.push_str(&format!(" -> {remote}"));
            }
            match (process, pid) {
                (Some(name), Some(pid)) => out.push_str(&format!(" of {name} (pid {pid})")),
                (None, Some(pid)) => out.push_str(&format!(" of pid {pid}")),
                _ if *inode != 0 => out.push_str(&format!(" (inode {inode})")),
                _ => {}
            }
            out
        }
        Locus::MissingListener { proto, address, port } => {
            format!("no {} listener on {}", proto.name(), std::net::SocketAddr::new(*address, *port))
        }
        Locus::Process { pid, process, detail } => with(format!("process {process} (pid {pid})"), detail),
        Locus::Sysctl { name, value } => format!("sysctl {name} = {value}"),
        Locus::Conntrack { detail } => with("connection tracking".into(), detail),
        Locus::Resolver { server, source } => format!("name server {server}, from {source}"),
        Locus::DnsName { name, rcode } => format!("DNS name {name}: {rcode}"),
        Locus::HostsEntry { file, line, name, address } => {
            format!("{file} line {line}: {address} {name}")
        }
        Locus::ConfigLine { file, line, text } => with(format!("{file} line {line}"), text),
        Locus::Certificate { subject, issuer, not_after } => {
            format!("certificate {subject}, issued by {issuer}, valid until {not_after}")
        }
        Locus::TlsEndpoint { address, detail } => with(format!("TLS end point {address}"), detail),
        Locus::Xfrm { detail } => with("IPsec".into(), detail),
        Locus::Tunnel { dev, detail } => with(format!("tunnel {dev}"), detail),
        Locus::Hop { address, ttl, detail } => {
            let who = address.map_or("silent hop".to_string(), |a| format!("hop {a}"));
            with(format!("{who} at distance {ttl}"), detail)
        }
        Locus::RemoteEndpoint { address, port, proto } => match port {
            0 => format!("the far end {address} ({})", proto.name()),
            _ => format!("the far end {} ({})", std::net::SocketAddr::new(*address, *port), proto.name()),
        },
        Locus::PortRange { low, high, dst } => {
            let dst = if dst.is_empty() { String::new() } else { format!(" toward {dst}") };
            format!("local ports {low}-{high}{dst}")
        }
        Locus::SecurityPolicy { module, detail } => with(format!("{module} policy"), detail),
        Locus::Host { detail } => with("this host".into(), detail),
    }
}

fn with(object: String, detail: &str) -> String {
    if detail.is_empty() { object } else { format!("{object}: {detail}") }
}

/// A table by the name every distribution gives it (linux/rtnetlink.h, RT_TABLE_*), else its number.
fn table_name(table: u32) -> String {
    match table {
        253 => "default".into(),
        254 => "main".into(),
        255 => "local".into(),
        n => n.to_string(),
    }
}
