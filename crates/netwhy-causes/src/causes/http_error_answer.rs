//! # The service answers the request with an error
//!
//! ## What you see
//! The program reports 502, 503, 504, 407 or another error status; ping and telnet to the port work.
//!
//! ## What happens
//! The connection and the request arrive. Who answers is often not the service but a proxy or balancer before it: it has
//! no backend ready (503), got no valid answer from it (502) or none in time (504), or wants authentication itself (407).
//!
//! ## How netwhy knows
//! The request was made as the question asks it, and the status line came back.
//!
//! ## Look-alikes
//! Everything in the network is excluded by the answer. 4xx other than 407 are about the request: they count as reached.
//!
//! ## What to do
//! Look at the log of the service, or of the proxy that the headers Server and Via name, and at its backends.
//!
//! ## References
//! RFC 9110 sections 15.5.8, 15.6; RFC 9112 section 4.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::http;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "http-error-answer",
    title: "the service answers the request with an error",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Application,
    scope: Scope::EveryFlow,
    needs: &["http-answers", "attempts", "sockets", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(answer) = http::answer(case) else { return Verdict::Silent };
    let Some(status) = answer.status.filter(|s| *s == 407 || (500..600).contains(s)) else {
        return Verdict::Silent;
    };
    let (means, todo) = match status {
        407 => (
            "a proxy wants authentication first",
            "give the program the proxy's credentials, or exempt the target",
        ),
        502 => (
            "a proxy before the service got no valid answer from it",
            "look at the proxy's log and at its backend",
        ),
        503 => (
            "it is overloaded, or a proxy has no backend ready",
            "look at its log, its health checks and its backends",
        ),
        504 => (
            "a proxy before the service got no answer from it in time",
            "look at the proxy's log and at its backend",
        ),
        _ => ("the service itself fails", "look at the service's log"),
    };
    let named: Vec<String> = ["via", "server", "proxy-authenticate"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}: {}", http::header(answer, name)?)))
        .collect();
    let by = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    http::blame(
        case,
        answer,
        format!("the network is fine: {} answers the request with status {status}: {means}", http::who(case)),
        format!("status {status}{by}"),
        todo.into(),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_facts::tls::{HttpAnswer, HttpAnswers};

    use super::*;
    use crate::testing::*;

    fn said(status: u16, headers: &[(&str, &str)]) -> Verdict {
        let answer = HttpAnswer {
            peer: "203.0.113.2:80".parse().unwrap(),
            status: Some(status),
            first_byte_us: Some(900),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            error: None,
        };
        Scene::client("203.0.113.2", 80).with(HttpAnswers(vec![answer])).judge(&CAUSE)
    }

    #[test]
    fn a_gateways_error_is_told_with_its_name() {
        let f = proven(said(502, &[("Via", "1.1 front")]));
        assert!(f.outside && f.summary.contains("no valid answer"), "{}", f.summary);
        assert!(f.evidence[0].statement.contains("via: 1.1 front"));
        assert!(proven(said(407, &[])).summary.contains("authentication"));
    }

    #[test]
    fn what_was_reached_is_no_failure() {
        for status in [200, 301, 401, 403, 404, 429] {
            silent(said(status, &[]));
        }
    }

    #[test]
    fn without_a_request_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 80).judge(&CAUSE));
    }
}
