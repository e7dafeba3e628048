//! The loopback device is down: what a host sends to its own address goes through it and is lost in silence.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "loopback-down-own",
    title: "the loopback device is down and the service is asked at the host's own address",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "server", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("server")?.link_down("lo")?;
    Ok(Broken::by("link-down", locus::link("lo")).heal(|lab| lab.node("server")?.link_up("lo")))
}
