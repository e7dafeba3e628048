//! An nftables rule in the client's output chain drops what goes to the service's port.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-output",
    title: "an nftables output rule of this host drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(lab.node("client")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "output", handle);
    Ok(Broken::by("fw-drop-outbound", locus)
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "filter", "output", handle)))
}
