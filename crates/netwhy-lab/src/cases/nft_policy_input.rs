//! The server's input chain accepts ssh and answers, and drops the rest by policy.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-policy-input",
    title: "the policy of the server's input chain drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["accept-queue-full", "svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.ct_state(2 | 4).accept())
        .rule("input", |r| r.iif("lo").accept())
        .rule("input", |r| r.tcp_dport(22).accept())
        .rule("input", |r| r.icmp6_type(135).accept())
        .rule("input", |r| r.icmp6_type(136).accept())
        .commit(lab.node("server")?)?;
    Ok(Broken::by("fw-drop-inbound", locus::nft_chain(Table::Inet, "filter", "input")).heal(|lab| {
        Nft::existing(Table::Inet, "filter")
            .rule("input", |r| r.tcp_dport(8080).accept())
            .commit(lab.node("server")?)
            .map(drop)
    }))
}
