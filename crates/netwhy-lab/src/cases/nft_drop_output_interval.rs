//! A rule drops an interval of addresses that happens to hold the server.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Element, Hook, KeyType, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-output-interval",
    title: "a rule drops an interval of addresses with the server in it",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let keys = [KeyType::Ip4Destination];
    let list =
        [Element::interval("192.0.2.0", "192.0.3.0"), Element::interval("203.0.113.0", "203.0.113.16")];
    Nft::new(Table::Inet, "guard")
        .set("far", &keys, &list)
        .base("output", Hook::Output, -10, Policy::Accept)
        .rule("output", |r| r.tcp().lookup("far", &keys).drop())
        .commit(lab.node("client")?)?;
    Ok(Broken::by("set-element-blocks", locus::nft_element(Table::Inet, "guard", "far", "203.0.113.0/28"))
        .heal(|lab| lab.node("client")?.nft_delete_table(Table::Inet, "guard")))
}
