//! The drop is at the netdev ingress hook of the server's device: capture sees the SYN, the stack never does.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-netdev-ingress",
    title: "a netdev ingress rule drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Netdev, "edge")
        .device("in", Hook::Ingress, "eth0", Policy::Accept)
        .rule("in", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(lab.node("server")?)?;
    let locus = locus::nft_rule(Table::Netdev, "edge", "in", handle);
    Ok(Broken::by("fw-drop-inbound", locus)
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Netdev, "edge", "in", handle)))
}
