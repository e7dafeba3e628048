//! An output rule drops UDP: the sender is told EPERM at once.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-udp",
    title: "an output rule drops a datagram",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "udp://203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &["send EPERM"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.udp_dport(8080).counter().drop())
        .commit_last(lab.node("client")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "output", handle);
    Ok(Broken::by("fw-drop-outbound", locus)
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "filter", "output", handle)))
}
