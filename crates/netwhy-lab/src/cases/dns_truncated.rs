//! The answer is cut and must be fetched over TCP, where nobody listens.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-truncated",
    title: "a truncated answer cannot be fetched over TCP",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &["name unresolved"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "truncate", "no-tcp"])?;
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 203.0.113.2\n")?;
    Ok(Broken::by("dns-truncated", json!({"kind": "resolver", "server": "203.0.113.2"})).heal(|lab| {
        lab.stop("named")?;
        lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"]).map(drop)
    }))
}
