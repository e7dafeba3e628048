//! The name exists and has no address.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-no-address",
    title: "the name has no address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &["name unresolved"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=none"])?;
    lab.node("client")?.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 203.0.113.2\n")?;
    Ok(Broken::by("dns-no-address", json!({"kind": "dns-name", "name": "db.example.test"})).heal(|lab| {
        lab.stop("named")?;
        lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"]).map(drop)
    }))
}
