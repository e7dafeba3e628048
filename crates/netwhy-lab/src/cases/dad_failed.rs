//! The client's address is held by the router too: duplicate detection failed and the address stays unused.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dad-failed",
    title: "an IPv6 address failed duplicate detection",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "[2001:db8:2::2]:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://[2001:db8:2::2]:8080",
        sees: &["connect timeout", "connect ENETUNREACH", "connect EHOSTUNREACH", "connect EADDRNOTAVAIL"],
    },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.addr_add("eth0", "2001:db8:1::2/64")?;
    let client = lab.node("client")?;
    client.addr_del("eth0", "2001:db8:1::2/64")?;
    client.sysctl("net.ipv6.conf.eth0.accept_dad", "1")?;
    client.sysctl("net.ipv6.conf.eth0.dad_transmits", "1")?;
    client.addr_add_flags("eth0", "2001:db8:1::2/64", 0)?;
    client.dad_fails("2001:db8:1::2")?;
    let locus = json!({"kind": "address", "dev": "eth0", "address": "2001:db8:1::2"});
    Ok(Broken::by("dad-failed", locus).heal(|lab| {
        lab.node("router")?.addr_del("eth0", "2001:db8:1::2/64")?;
        let client = lab.node("client")?;
        client.addr_del("eth0", "2001:db8:1::2/64")?;
        client.addr_add("eth0", "2001:db8:1::2/64")?;
        lab.node("router")?.neigh_del("eth0", "2001:db8:1::2").or(Ok(()))
    }))
}
