//! A forward rule of the router drops the flow; asked on the router.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-forward",
    title: "a forward rule of the router drops the connection",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["forwarding-off", "forward-no-route"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.iif("eth0").tcp_dport(8080).counter().drop())
        .commit_last(lab.node("router")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "forward", handle);
    Ok(Broken::by("fw-drop-forward", locus)
        .heal(move |lab| lab.node("router")?.nft_delete_rule(Table::Inet, "filter", "forward", handle)))
}
