//! /etc/hosts has an old address for the name; the name server has the right one.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-stale-hosts",
    title: "a stale line of the hosts file shadows the name server",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://db.example.test:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"])?;
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 203.0.113.2\n")?;
    client.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.99\tdb.example.test\n")?;
    Ok(Broken::by("dns-stale-hosts", json!({"kind": "hosts-entry", "name": "db.example.test"}))
        .heal(|lab| lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n")))
}
