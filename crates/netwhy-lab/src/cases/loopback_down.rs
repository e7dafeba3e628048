//! The loopback device was set down: what is sent to 127.0.0.1 is lost in silence.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "loopback-down",
    title: "the loopback device is down and the service is asked at 127.0.0.1",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", "127.0.0.1:8080"] },
    victim: Victim { node: "server", target: "tcp://127.0.0.1:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.link_down("lo")?;
    Ok(Broken::by("link-down", locus::link("lo")).heal(|lab| lab.node("server")?.link_up("lo")))
}
