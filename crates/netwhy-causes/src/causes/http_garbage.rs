//! # What answers the request does not speak HTTP
//!
//! ## What you see
//! "Received HTTP/0.9 when not allowed", "malformed response", or bytes nobody can read.
//!
//! ## What happens
//! Another service listens on the port, or one that wants TLS first and was asked in the clear.
//!
//! ## How netwhy knows
//! The request was sent, and the first bytes of the answer are no status line; they are shown.
//!
//! ## Look-alikes
//! A service that answers with an error status (http-error-answer) does speak HTTP.
//!
//! ## What to do
//! Ask for https:// where TLS is spoken; else correct the port.
//!
//! ## References
//! RFC 9112 section 4; RFC 8446 section 5.1.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::http;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "http-garbage",
    title: "what answers the request does not speak HTTP",
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
    let Some(error) = answer.error.as_deref().filter(|_| answer.first_byte_us.is_some()) else {
        return Verdict::Silent;
    };
    http::blame(
        case,
        answer,
        format!("{} does not answer in HTTP: {error}", http::who(case)),
        error.to_string(),
        "correct the port or the scheme: a service that wants TLS is asked with https://".into(),
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
    fn bytes_that_are_no_status_line_are_shown() {
        let f = proven(said(Some("not an HTTP answer (invalid token): SSH-2.0-x"), Some(300)));
        assert!(f.summary.contains("SSH-2.0-x"), "{}", f.summary);
    }

    #[test]
    fn silence_and_proper_answers_are_another_matter() {
        silent(said(None, Some(300)));
        silent(said(Some("no answer in time"), None));
    }

    #[test]
    fn without_a_request_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 80).judge(&CAUSE));
    }
}
