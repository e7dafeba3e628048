//! # The name server does not answer
//!
//! ## What you see
//! Every program waits for seconds and then says "Temporary failure in name resolution" (EAI_AGAIN).
//!
//! ## What happens
//! Queries to the configured server leave this host and nothing comes back: the server is down, a firewall drops
//! the queries or the answers, or the address is wrong.
//!
//! ## How netwhy knows
//! Each configured server was asked by itself, over UDP and TCP; none gave any reply before the deadline.
//!
//! ## Look-alikes
//! A server that refuses (dns-refused), one whose port is closed (dns-server-down: an ICMP error or a reset
//! arrives), no route to it (dns-server-unreachable). With a literal address the connection works in all of these.
//!
//! ## What to do
//! Ask why the server is silent: netwhy connect dns://SERVER; or correct the nameserver line.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-timeout",
    title: "the name server does not answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Name,
    scope: Scope::Question,
    needs: &["name-answers", "resolver"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(names) = Naming::of(case) else { return Verdict::Silent };
    let name = &names.answers.name;
    names.blame_servers(
        case,
        |said| matches!(said, Said::Timeout),
        |server, _said| format!("name server {server} does not answer, so {name} cannot be resolved"),
        |server| {
            vec![
                Fix::act(format!("find out why it is silent: netwhy connect dns://{server}")),
                Fix::act("or correct the nameserver line"),
            ]
        },
    )
}
