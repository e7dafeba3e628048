//! The second of two name servers does not exist, and the option rotate makes every second lookup begin with it.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-rotate",
    title: "every second lookup begins with a dead name server",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim { node: "client", target: "tcp://db.example.test:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"])?;
    lab.node("client")?.write_etc(
        "resolv.conf",
        "options rotate timeout:1 attempts:1\nnameserver 203.0.113.2\nnameserver 203.0.113.99\n",
    )?;
    Ok(Broken::by("dns-one-bad-resolver", json!({"kind": "resolver", "server": "203.0.113.99"}))
        .heal(|lab| lab.node("client")?.write_etc("resolv.conf", "nameserver 203.0.113.2\n")))
}
