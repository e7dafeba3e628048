//! Dozens of TIME-WAIT sockets towards the service; that is no fault.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-timewait",
    title: "healthy among TIME-WAIT sockets",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    for _ in 0..40 {
        lab.try_from("client", "tcp://203.0.113.2:8080")?;
    }
    Ok(Broken::healthy())
}
