//! Two processes share the port; one accepts, the other does not, and its share of the connections hangs.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "reuseport-dead-member",
    title: "one of two processes sharing the port does not accept",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim {
        node: "client",
        target: "tcp16://203.0.113.2:8080",
        sees: &["connect timeout", "hello timeout"],
    },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.serve("server", "web", "echo", &["tcp://0.0.0.0:8080,reuseport"])?;
    let pid = lab.serve("server", "web-2", "never-accept", &["0.0.0.0:8080,reuseport,backlog=1"])?;
    lab.serve("client", "crowd", "hold-open", &["32", "203.0.113.2:8080"])?;
    let locus = json!({"kind": "socket", "proto": "tcp", "pid": pid});
    Ok(Broken::by("reuseport-dead-member", locus).heal(|lab| lab.stop("web-2")))
}
