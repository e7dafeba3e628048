//! The rule names no port: a set of destination and port joined does.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Element, Hook, KeyType, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-output-set",
    title: "a rule drops what a set of address and port holds",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let keys = [KeyType::Ip4Destination, KeyType::TcpPort];
    Nft::new(Table::Ip, "guard")
        .set("blocked", &keys, &[Element::new("203.0.113.9 . 443"), Element::new("203.0.113.2 . 8080")])
        .base("output", Hook::Output, 10, Policy::Accept)
        .rule("output", |r| r.lookup("blocked", &keys).counter().drop())
        .commit(lab.node("client")?)?;
    Ok(Broken::by(
        "set-element-blocks",
        locus::nft_element(Table::Ip, "guard", "blocked", "203.0.113.2 . 8080"),
    )
    .heal(move |lab| {
        let element = [Element::new("203.0.113.2 . 8080")];
        lab.node("client")?.nft_delete_elements(Table::Ip, "guard", "blocked", &keys, &element)
    }))
}
