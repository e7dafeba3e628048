//! No UDP socket is bound to the port; asked on the server.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "svc-not-listening-udp",
    title: "nothing listens on the UDP port",
    topology: Topology::TwoHosts,
    ask: Ask {
        node: "server",
        args: &["connect", "udp://203.0.113.2:8080", "--inbound", "--from", "203.0.113.1"],
    },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &["hello ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.serve("server", "web", "echo", &["tcp://[::]:8080"])?;
    Ok(Broken::by("svc-not-listening", locus::missing_listener("udp", 8080))
        .heal(|lab| lab.serve("server", "web-udp", "echo", &["udp://[::]:8080"]).map(drop)))
}
