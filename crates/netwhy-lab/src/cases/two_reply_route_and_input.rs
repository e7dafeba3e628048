//! An input rule drops the SYN, and there is no route for the answer.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "two-reply-route-and-input",
    title: "two faults: input rule and missing return route",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let server = lab.node("server")?;
    server.route_del(Route::to("0.0.0.0/0")?)?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(server)?;
    Ok(Broken::by("fw-drop-inbound", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .and("reply-route-missing", locus::missing_route("198.51.100.2"))
        .heal(|lab| {
            let server = lab.node("server")?;
            server.nft_delete_table(Table::Inet, "filter")?;
            server.route_add(Route::to("0.0.0.0/0")?.via("203.0.113.1")?)
        }))
}
