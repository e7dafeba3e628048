//! A stale line of the hosts file sends the client astray, and a rule drops the right address.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-hosts-line-and-rule",
    title: "two faults: stale hosts line and output rule",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://db.example.test:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"])?;
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "nameserver 203.0.113.2\n")?;
    client.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.99\tdb.example.test\n")?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.daddr("203.0.113.2").tcp_dport(8080).counter().drop())
        .commit_last(client)?;
    Ok(Broken::by("dns-stale-hosts", json!({"kind": "hosts-entry", "name": "db.example.test"}))
        .and("fw-drop-outbound", locus::nft_rule(Table::Inet, "filter", "output", handle))
        .step("dns-stale-hosts", |lab| lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n"))
        .heal(|lab| {
            let client = lab.node("client")?;
            client.write_etc("hosts", "127.0.0.1\tlocalhost\n")?;
            client.nft_delete_table(Table::Inet, "filter")
        }))
}
