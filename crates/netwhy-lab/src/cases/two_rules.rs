//! An nft rule and a legacy rule both drop the SYN.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-rules",
    title: "two faults: an nft rule and a legacy rule",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    let number = client.ipt_insert(
        "iptables",
        "filter",
        "OUTPUT",
        None,
        &IptRule::new(Target::Drop).tcp_dport(8080),
    )?;
    let handle = Nft::new(Table::Inet, "guard")
        .base("output", Hook::Output, 100, Policy::Accept)
        .rule("output", |r| r.daddr("203.0.113.2").drop())
        .commit_last(client)?;
    Ok(Broken::by("fw-drop-outbound", locus::ipt_rule("iptables", "filter", "OUTPUT", number))
        .and("fw-drop-outbound", locus::nft_rule(Table::Inet, "guard", "output", handle))
        .heal(move |lab| {
            let client = lab.node("client")?;
            client.nft_delete_table(Table::Inet, "guard")?;
            client.ipt_delete("iptables", "filter", "OUTPUT", number as usize)
        }))
}
