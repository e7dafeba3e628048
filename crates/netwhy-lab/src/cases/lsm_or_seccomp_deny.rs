//! A seccomp filter denies connect(2) to the programs of the host, as a container's profile may.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "lsm-or-seccomp-deny",
    title: "a seccomp filter denies connect()",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "web.example.test:8080"] },
    // By name, so that a process of the host tries.
    victim: Victim {
        node: "client",
        target: "tcp://web.example.test:8080",
        sees: &["connect EACCES", "connect PermissionDenied"],
    },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    lab.deny_connect("client", true)?;
    Ok(Broken::by("lsm-or-seccomp-deny", json!({"kind": "security-policy", "module": "seccomp"}))
        .heal(|lab| lab.deny_connect("client", false)))
}
