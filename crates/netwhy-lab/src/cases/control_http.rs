//! A web server that answers; a 404 is an answer.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "control-http",
    title: "control: a web server answers",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "http://203.0.113.2:8081/nothing"] },
    victim: Victim { node: "client", target: "http://203.0.113.2:8081", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve(
        "server",
        "pages",
        "answer",
        &["[::]:8081", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
    )?;
    Ok(Broken::healthy())
}
