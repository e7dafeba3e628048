//! The port is accepted, but behind a rule that drops the client: the order decides.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-rule-order",
    title: "an accept rule comes after the rule that drops",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handles = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.saddr("203.0.113.0/24").tcp().counter().drop())
        .rule("input", |r| r.tcp_dport(8080).accept())
        .commit(lab.node("server")?)?;
    let handle = handles.first().copied().unwrap_or(0);
    Ok(Broken::by("fw-drop-inbound", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Inet, "filter", "input", handle)))
}
