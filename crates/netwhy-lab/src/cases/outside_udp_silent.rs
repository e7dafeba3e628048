//! The UDP service takes datagrams and answers none: nothing here can tell that from a loss.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-udp-silent",
    title: "outside: UDP stays without an answer",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "udp://203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "udp://203.0.113.2:8080", sees: &["hello timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.serve("server", "web", "echo", &["mute-udp://0.0.0.0:8080"])?;
    Ok(Broken::outside("udp-filtered-or-silent"))
}
