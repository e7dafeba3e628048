//! The drop is in the netdev family, at the egress hook of the device: later than every inet chain.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-netdev-egress",
    title: "a netdev egress rule drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Netdev, "edge")
        .device("out", Hook::Egress, "eth0", Policy::Accept)
        .rule("out", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(lab.node("client")?)?;
    let locus = locus::nft_rule(Table::Netdev, "edge", "out", handle);
    Ok(Broken::by("fw-drop-outbound", locus)
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Netdev, "edge", "out", handle)))
}
