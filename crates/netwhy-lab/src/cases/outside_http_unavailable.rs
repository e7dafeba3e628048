//! A proxy answers for the service: it has no backend ready. The network is fine.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-http-unavailable",
    title: "outside: a proxy answers 503",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "http://203.0.113.2:8081/"] },
    victim: Victim { node: "client", target: "http://203.0.113.2:8081", sees: &["http 503"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let answer =
        "HTTP/1.1 503 Service Unavailable\r\nServer: front\r\nVia: 1.1 front\r\nContent-Length: 0\r\n\r\n";
    lab.serve("server", "front", "answer", &["[::]:8081", answer])?;
    Ok(Broken::outside("http-error-answer"))
}
