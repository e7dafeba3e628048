//! A router drops SYNs that ask for ECN; plain ones pass.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-option",
    title: "outside: SYNs with ECN are dropped on the way",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.sysctl("net.ipv4.tcp_ecn", "1")?;
    client.sysctl("net.ipv4.tcp_ecn_fallback", "0")?;
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.tcp_flags(0xc2, 0xc2).drop())
        .commit(lab.node("router")?)?;
    Ok(Broken::outside("option-intolerance"))
}
