//! The gateway translates the destination back into the client's own network; the backend answers the client directly.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "nat-hairpin",
    title: "answers of a translated connection take the short way home",
    topology: Topology::Bridge,
    ask: Ask { node: "other", args: &["connect", "198.51.100.1:8080", "--transit", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://198.51.100.1:8080", sees: &["connect timeout"] },
    fault,
    // Whether the backend serves is not seen here: its answers take the other way.
    ruled_out: &["forwarding-off", "fw-drop-forward"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let other = lab.node("other")?;
    other.sysctl("net.ipv4.ip_forward", "1")?;
    other.addr_add("lo", "198.51.100.1/32")?;
    let handle = Nft::new(Table::Ip, "nat")
        .nat("prerouting", Hook::Prerouting, -100)
        .nat("postrouting", Hook::Postrouting, 100)
        .rule("prerouting", |r| r.daddr("198.51.100.1").tcp_dport(8080).dnat("203.0.113.2", Some(8080)))
        .commit_last(other)?;
    lab.node("client")?.route_add(Route::to("198.51.100.1/32")?.via("203.0.113.3")?)?;
    Ok(Broken::by("nat-hairpin", locus::nft_rule(Table::Ip, "nat", "prerouting", handle)).heal(|lab| {
        Nft::existing(Table::Ip, "nat")
            .rule("postrouting", |r| r.saddr("203.0.113.0/24").daddr("203.0.113.2").masquerade())
            .commit(lab.node("other")?)
            .map(drop)
    }))
}
