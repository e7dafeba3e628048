//! The client lets the SYN out and its input chain lacks the rule that accepts answers.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-reply",
    title: "the input chain drops the answers: established is not accepted",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop", "fw-drop-outbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.iif("lo").accept())
        .rule("input", |r| r.tcp_dport(22).accept())
        .rule("input", |r| r.icmp6_type(135).accept())
        .rule("input", |r| r.icmp6_type(136).accept())
        .commit(lab.node("client")?)?;
    Ok(Broken::by("fw-drop-reply", locus::nft_chain(Table::Inet, "filter", "input")).heal(|lab| {
        Nft::existing(Table::Inet, "filter")
            .insert("input", None, |r| r.ct_state(2 | 4).accept())
            .commit(lab.node("client")?)
            .map(drop)
    }))
}
