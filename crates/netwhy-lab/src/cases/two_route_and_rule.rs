//! There is no route, and behind it a rule that would drop.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "two-route-and-rule",
    title: "two faults: missing route and output rule",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ENETUNREACH"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.route_del(Route::to("0.0.0.0/0")?)?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(client)?;
    Ok(Broken::by("route-missing", locus::missing_route("203.0.113.2"))
        .and("fw-drop-outbound", locus::nft_rule(Table::Inet, "filter", "output", handle))
        .step("route-missing", |lab| {
            lab.node("client")?.route_add(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)
        })
        .heal(|lab| {
            let client = lab.node("client")?;
            client.nft_delete_table(Table::Inet, "filter")?;
            client.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)
        }))
}
