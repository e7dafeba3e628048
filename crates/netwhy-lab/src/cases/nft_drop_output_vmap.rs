//! A verdict map sends the destination to drop; other elements accept.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Element, Hook, KeyType, Nft, Policy, Table, Verdict};

pub(super) static CASE: Case = Case {
    id: "nft-drop-output-vmap",
    title: "a verdict map drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let keys = [KeyType::TcpPort];
    let elements =
        [Element::new("443").verdict(Verdict::Accept), Element::new("8080").verdict(Verdict::Drop)];
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .set("ports", &keys, &elements)
        .rule("output", |r| r.counter().verdict_map("ports", &keys))
        .commit_last(lab.node("client")?)?;
    Ok(Broken::by("set-element-blocks", locus::nft_element(Table::Inet, "filter", "ports", "8080"))
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Inet, "filter", "output", handle)))
}
