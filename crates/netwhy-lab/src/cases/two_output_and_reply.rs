//! The output chain drops the SYN, and the input chain would drop the answer.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-output-and-reply",
    title: "two faults: output rule and input policy",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.icmp6_type(136).accept())
        .rule("output", |r| r.tcp_dport(8080).drop())
        .commit_last(lab.node("client")?)?;
    Ok(Broken::by("fw-drop-outbound", locus::nft_rule(Table::Inet, "filter", "output", handle))
        .and("fw-drop-reply", locus::nft_chain(Table::Inet, "filter", "input"))
        .heal(|lab| lab.node("client")?.nft_delete_table(Table::Inet, "filter")))
}
