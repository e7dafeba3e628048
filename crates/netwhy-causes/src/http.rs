//! The request of a flow, and what the HTTP causes share.

use netwhy_facts::question::App;
use netwhy_facts::tls::{HttpAnswer, HttpAnswers};
use netwhy_facts::{Locus, Proto};

use crate::case::Case;
use crate::cause::{Finding, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::service;

/// What came of the request to the flow's address, when one was made.
pub(crate) fn answer<'a>(case: &Case<'a>) -> Option<&'a HttpAnswer> {
    let all = case.facts.latest::<HttpAnswers>().value()?;
    all.0.iter().find(|a| service::plain(a.peer.ip()) == case.flow.dst)
}

/// A header that was kept, by its name.
pub(crate) fn header<'a>(answer: &'a HttpAnswer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// A finding about the service that was asked: proven, for the request was made and this is what came of it.
pub(crate) fn blame(
    case: &Case<'_>,
    answer: &HttpAnswer,
    summary: String,
    said: String,
    todo: String,
) -> Verdict {
    let q = &case.question.target;
    let scheme = if q.app == App::Https { "https" } else { "http" };
    let host = if q.host.is_empty() { answer.peer.ip().to_string() } else { q.host.clone() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let path = if q.path.starts_with('/') { q.path.clone() } else { format!("/{}", q.path) };
    let command =
        format!("curl -sv -o /dev/null -m 5 {}", quote(&format!("{scheme}://{host}:{}{path}", q.port)));
    let mut http = Evidence::new("http", said.clone(), "HTTP request").value(said).command(command);
    if let Some(us) = answer.first_byte_us {
        http = http.window(us);
    }
    let here = case.serves_here().then(|| case.listeners().first().copied()).flatten();
    let locus = here.map_or(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: Proto::Tcp },
        service::locus,
    );
    let finding = Finding::new(locus, summary)
        .evidence(http)
        .maybe(case.ev_attempt())
        .fix(Fix::act(todo))
        .verify(case.ask_again());
    if here.is_some() { finding.proven() } else { finding.outside().proven() }
}

/// The process that serves the flow where that is here, else the target.
pub(crate) fn who(case: &Case<'_>) -> String {
    let here = case.serves_here().then(|| case.listeners().first().copied()).flatten();
    here.map_or_else(|| case.flow.target(), service::owner_text)
}
