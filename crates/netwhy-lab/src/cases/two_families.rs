//! The name has both families: IPv6 has no route, and a rule drops IPv4.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "two-families",
    title: "two faults: no IPv6 route and an IPv4 drop rule",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://db.example.test:8080",
        sees: &["connect timeout", "connect ENETUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.write_etc("hosts", "203.0.113.2\tdb.example.test\n2001:db8:2::2\tdb.example.test\n")?;
    client.route_del(Route::to("::/0")?)?;
    let handle = Nft::new(Table::Ip, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(client)?;
    Ok(Broken::by("fw-drop-outbound", locus::nft_rule(Table::Ip, "filter", "output", handle))
        .and("route-missing", locus::missing_route("2001:db8:2::2"))
        .step("route-missing", |lab| lab.node("client")?.route_add(Route::to("::/0")?.via("2001:db8:1::1")?))
        .heal(|lab| {
            let client = lab.node("client")?;
            client.nft_delete_table(Table::Ip, "filter")?;
            client.route_replace(Route::to("::/0")?.via("2001:db8:1::1")?)
        }))
}
