//! The service address is on loopback and arp_ignore keeps the host from answering for it; asked on the server.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "arp-ignored",
    title: "arp_ignore keeps the host silent about its address",
    topology: Topology::TwoHosts,
    ask: Ask {
        node: "server",
        args: &["connect", "203.0.113.50:8080", "--inbound", "--from", "203.0.113.1"],
    },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.50:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let server = lab.node("server")?;
    server.addr_add("lo", "203.0.113.50/32")?;
    server.sysctl("net.ipv4.conf.eth0.arp_ignore", "1")?;
    Ok(Broken::by("arp-sysctl", locus::sysctl("net.ipv4.conf.eth0.arp_ignore")).heal(|lab| {
        lab.node("server")?.sysctl("net.ipv4.conf.eth0.arp_ignore", "0")?;
        lab.node("client")?.neigh_del("eth0", "203.0.113.50").or(Ok(()))
    }))
}
