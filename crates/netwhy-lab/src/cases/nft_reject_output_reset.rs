//! The client itself answers its SYN with a reset: connect sees what a closed port gives.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

pub(super) static CASE: Case = Case {
    id: "nft-reject-output-reset",
    title: "an output rule rejects the connection with a reset",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.tcp_dport(8080).counter().reject(Refuse::TcpReset))
        .commit_last(lab.node("client")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "output", handle);
    Ok(Broken::by("fw-reject", locus)
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "filter", "output", handle)))
}
