//! # The name server sends what is no answer
//!
//! ## What you see
//! Names fail or hang; dig reports a malformed or mismatched reply.
//!
//! ## What happens
//! Something else answers on port 53, a middlebox rewrites replies, or the server is broken: the bytes do not
//! parse, or belong to another question.
//!
//! ## How netwhy knows
//! A datagram came back from the server's address and does not parse as a reply to our question; the report says
//! where it departs.
//!
//! ## Look-alikes
//! dns-timeout: nothing comes back. An off-path forgery has the wrong id and is ignored by resolvers too.
//!
//! ## What to do
//! See what listens on port 53 there; bypass the middlebox with TCP or another server.
//!
//! ## References
//! resolv.conf(5), getaddrinfo(3); RFC 1035 section 4.1.1 (response codes), RFC 8020. RFC 5452 section 9.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::fix::Fix;
use crate::naming::{Naming, Said};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-garbage",
    title: "the name server sends what is no answer",
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
        |said| matches!(said, Said::Garbage(_)),
        |server, said| format!("name server {server} {}, so {name} cannot be resolved", said.words()),
        |server| {
            vec![Fix::act(format!("see what really answers on {server} port 53, or use another server"))]
        },
    )
}
