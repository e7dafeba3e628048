//! The router drops the flow; asked on the server, where nothing arrives.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-not-arriving",
    title: "outside: nothing arrives at the server",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.tcp_dport(8080).drop())
        .commit(lab.node("router")?)?;
    Ok(Broken::outside("request-not-arriving"))
}
