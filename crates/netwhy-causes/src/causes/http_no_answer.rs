//! # The service takes the request and does not answer it
//!
//! ## What you see
//! The program connects and hangs, or reports "empty reply from server" or a reset.
//!
//! ## What happens
//! The process behind the port does not read, is busy, crashed over the request, or waits for something it depends on; or
//! large packets are lost on the way.
//!
//! ## How netwhy knows
//! The connection stood, the request was sent, and no byte of an answer came before the deadline or before the end of the
//! connection.
//!
//! ## Look-alikes
//! mtu-blackhole explains this one when large packets are lost; svc-stopped and svc-stuck on the server. A service that
//! closes before the request was sent: reset-after-accept.
//!
//! ## What to do
//! Ask on the server with --inbound; look at the service's log.
//!
//! ## References
//! RFC 9112 section 9; tcp(7).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::http;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "http-no-answer",
    title: "the service takes the request and does not answer it",
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
    let Some(error) = answer.error.as_deref().filter(|_| answer.first_byte_us.is_none()) else {
        return Verdict::Silent;
    };
    http::blame(
        case,
        answer,
        format!("{} takes the connection and the request and does not answer: {error}", http::who(case)),
        format!("the request was sent: {error}"),
        format!("look at the service's log; on the server: netwhy connect :{} --inbound", case.flow.dport),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_facts::tls::{HttpAnswer, HttpAnswers};

    use super::*;
    use crate::testing::*;

    fn said(error: Option<&str>, first_byte_us: Option<u64>) -> Verdict {
        let answer = HttpAnswer {
            peer: "203.0.113.2:80".parse().unwrap(),
            status: error.is_none().then_some(200),
            first_byte_us,
            headers: vec![],
            error: error.map(str::to_string),
        };
        Scene::client("203.0.113.2", 80).with(HttpAnswers(vec![answer])).judge(&CAUSE)
    }

    #[test]
    fn silence_and_an_end_without_a_byte_are_told() {
        assert!(proven(said(Some("no answer in time"), None)).summary.contains("in time"));
        assert!(proven(said(Some("the connection was reset"), None)).outside);
    }

    #[test]
    fn an_answer_of_any_kind_is_another_matter() {
        silent(said(None, Some(500)));
        silent(said(Some("not an HTTP answer"), Some(500)));
    }

    #[test]
    fn without_a_request_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 80).judge(&CAUSE));
    }
}
