//! The service takes the connection and never answers the request.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-http-silent",
    title: "outside: the service does not answer the request",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "http://203.0.113.2:8081/"] },
    victim: Victim { node: "client", target: "http://203.0.113.2:8081", sees: &["http timeout"] },
    fault,
    ruled_out: &["mtu-blackhole"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "busy", "accept-and-hold", &["[::]:8081"])?;
    Ok(Broken::outside("http-no-answer"))
}
