//! The rule that drops is in a chain that the output chain jumps to, behind an innocent one.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-jump",
    title: "a rule in a chain reached by a jump drops the connection",
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
        .chain("innocent")
        .chain("guilty")
        .rule("output", |r| r.udp().jump("innocent"))
        .rule("output", |r| r.tcp().jump("guilty"))
        .rule("innocent", |r| r.counter().drop())
        .rule("guilty", |r| r.daddr("203.0.113.0/24").tcp_dport_range(8000, 8999).counter().drop())
        .commit_last(lab.node("client")?)?;
    Ok(Broken::by("fw-drop-outbound", locus::nft_rule(Table::Inet, "filter", "guilty", handle))
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "filter", "guilty", handle)))
}
