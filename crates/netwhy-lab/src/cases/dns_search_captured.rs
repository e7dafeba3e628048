//! A wildcard below the search domain answers for every name, and ndots makes it come first.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-search-captured",
    title: "the search list turns the name into another one",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://db.example.test:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["neigh-unresolved"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let names = ["203.0.113.2:53", "db.example.test.corp.test=203.0.113.99", "db.example.test=203.0.113.2"];
    lab.serve("server", "named", "dns", &names)?;
    lab.node("client")?.write_etc(
        "resolv.conf",
        "options timeout:1 attempts:1 ndots:5\nsearch corp.test\nnameserver 203.0.113.2\n",
    )?;
    Ok(Broken::by(
        "dns-search-captured",
        json!({"kind": "config-line", "file": "/etc/resolv.conf", "line": 2}),
    )
    .heal(|lab| lab.node("client")?.write_etc("resolv.conf", "search corp.test\nnameserver 203.0.113.2\n")))
}
