//! The UDP service does not read; its receive buffer is full and the next datagram is dropped.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "udp-rcvbuf-full",
    title: "the UDP socket's receive buffer is full",
    topology: Topology::TwoHosts,
    ask: Ask {
        node: "server",
        args: &["connect", "udp://203.0.113.2:8080", "--inbound", "--from", "203.0.113.1"],
    },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &["hello timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "echo", &["mute-udp://0.0.0.0:8080"])?;
    lab.serve("client", "flood", "udp-flood", &["40", "203.0.113.2:8080"])?;
    let locus = json!({"kind": "socket", "proto": "udp", "pid": pid});
    Ok(Broken::by("udp-rcvbuf-full", locus).heal(|lab| {
        lab.stop("web")?;
        lab.serve("server", "web", "echo", &["udp://[::]:8080"]).map(drop)
    }))
}
