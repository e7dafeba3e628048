//! BPF programs at the device drop another port.

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-bpf",
    title: "healthy beside BPF programs that drop others",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let other = bpf::dropper(bpf::Place::Tc, 8081)?;
    let link = lab.node("client")?.tcx("eth0", true, &other)?;
    lab.keep_link(link);
    let other = bpf::dropper(bpf::Place::Xdp, 8081)?;
    lab.node("client")?.xdp_set("eth0", Some(&other))?;
    Ok(Broken::healthy())
}
