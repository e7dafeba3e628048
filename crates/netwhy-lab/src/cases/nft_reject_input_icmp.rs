//! The service listens, and a rule answers with ICMP port unreachable.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

pub(super) static CASE: Case = Case {
    id: "nft-reject-input-icmp",
    title: "an input rule of the server's host rejects with ICMP",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).counter().reject(Refuse::Icmpx(1)))
        .commit_last(lab.node("server")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "input", handle);
    Ok(Broken::by("fw-reject", locus)
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Inet, "filter", "input", handle)))
}
