//! A session answers one question: gather, predict, arm, reproduce, compare, discriminate, conclude.
//!
//! This is the only place that knows the order of things. What to collect is in `gather`, what is sent in
//! `reproduce` and `experiment`; what it all means is in netwhy-causes.

mod experiment;
mod gather;
mod programs;
mod reframe;
mod reproduce;
mod walk;
mod window;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netwhy_causes::Report;
use netwhy_causes::engine;
use netwhy_causes::predict::predict;
use netwhy_causes::report::{Cost, HandOff, Overall, QuestionOut, SCHEMA};
use netwhy_collect::Collector;
use netwhy_facts::question::Role;
use netwhy_facts::{Facts, Question};

use crate::place::Place;

/// Packets one question may send.
const MAX_PACKETS_SENT: u32 = 100;

/// What the command line adds to the question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Where the question is asked.
    pub(crate) place: Place,
    /// SO_MARK of the victim.
    pub(crate) mark: u32,
    /// Device the victim is bound to, or of arrival.
    pub(crate) dev: Option<String>,
    /// Address the victim is bound to.
    pub(crate) source: Option<IpAddr>,
    /// Send nothing.
    pub(crate) passive: bool,
}

/// The answer and the facts it rests on.
pub(crate) struct Answer {
    pub(crate) report: Report,
    pub(crate) question: Question,
    pub(crate) facts: Facts,
}

/// One question in one network namespace (the calling thread's).
pub(crate) struct Session {
    collector: Collector,
    question: Question,
    options: Options,
    facts: Facts,
    started: Instant,
    started_unix_s: i64,
    started_monotonic: u64,
    cpu_at_start: Duration,
    budget: netwhy_ask::Budget,
    interrupted: &'static AtomicBool,
}

impl Session {
    /// Opens the collector; the calling thread is inside the namespace of the place.
    pub(crate) fn open(question: Question, options: Options) -> anyhow::Result<Self> {
        Ok(Self {
            collector: Collector::open(options.place.scope.clone())?,
            question,
            options,
            facts: Facts::new(),
            started: Instant::now(),
            started_unix_s: netwhy_sys::clock::realtime().as_secs() as i64,
            started_monotonic: netwhy_sys::clock::monotonic(),
            cpu_at_start: netwhy_sys::clock::cpu_time(),
            budget: netwhy_ask::Budget::new(MAX_PACKETS_SENT),
            interrupted: netwhy_sys::signal::interrupt_flag()?,
        })
    }

    /// Answers.
    pub(crate) fn answer(mut self) -> anyhow::Result<Answer> {
        // Works on a thread of its own while facts are gathered.
        let protocol = self.question.target.proto.number(netwhy_facts::Family::Inet);
        let events = self.collector.prepare_events(protocol);
        self.gather_host();
        self.resolve_names();
        self.gather_path();
        let mut paths = predict(&self.facts, &self.question);
        if self.gather_translated_sockets(&paths) {
            paths = predict(&self.facts, &self.question);
        }
        let (window, events) = self.arm(&paths, events);
        self.reproduce(&paths, &window);
        self.close(window, events, &paths);
        self.reframe();
        // Now the source port is known: the entry is found without a walk through the table.
        let entries = self.ct_entries();
        self.facts.put_after(entries);
        let paths = predict(&self.facts, &self.question);
        let mut judgement = engine::judge(&self.facts, &self.question, &paths);
        let ran = self.try_programs(&paths);
        if self.try_again(&paths) || ran {
            judgement = engine::judge(&self.facts, &self.question, &paths);
        }
        if self.ask_neighbours(&paths) {
            judgement = engine::judge(&self.facts, &self.question, &paths);
        }
        if self.wants_experiments(&judgement) && !self.is_interrupted() {
            self.experiment(&paths);
            judgement = engine::judge(&self.facts, &self.question, &paths);
        }
        let report = self.report(judgement);
        Ok(Answer { report, question: self.question, facts: self.facts })
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn deadline(&self) -> Instant {
        self.started + Duration::from_millis(self.question.budget_ms)
    }

    fn report(&self, judgement: engine::Judgement) -> Report {
        let wall = self.started.elapsed();
        let cpu = netwhy_sys::clock::cpu_time().saturating_sub(self.cpu_at_start);
        let lost = self
            .facts
            .latest::<netwhy_facts::capture::FlowCapture>()
            .value()
            .map_or(0, |c| c.dropped + c.beyond_bound);
        let kernel = self.facts.latest::<netwhy_facts::event::KernelEvents>().value();
        let lost = lost + kernel.map_or(0, |k| k.lost);
        let events = self
            .facts
            .latest::<netwhy_facts::capture::FlowCapture>()
            .value()
            .map_or(0, |c| c.packets.len() as u64)
            + kernel.map_or(0, |k| k.events.len() as u64);
        let hand_off = (judgement.verdict == Overall::Outside).then(|| self.hand_off(&judgement));
        let report = Report {
            schema: SCHEMA,
            question: QuestionOut {
                scenario: "connect".into(),
                target: self.question.target_text.clone(),
                addresses: self.question.flows.iter().map(|f| f.target()).collect(),
                netns: self.netns_text(),
                role: match self.question.role {
                    Role::Client => "client",
                    Role::Inbound => "inbound",
                    Role::Transit => "transit",
                }
                .into(),
                from: self.question.from.map(|f| f.to_string()),
                command: netwhy_causes::case::ask_again(&self.question),
                started: rfc3339(self.started_unix_s),
                duration_us: wall.as_micros() as u64,
            },
            verdict: judgement.verdict,
            headline: judgement.headline,
            causes: judgement.causes,
            ruled_out: judgement.ruled_out,
            not_checkable: judgement.not_checkable,
            stages: judgement.stages,
            disagreements: judgement.disagreements,
            hand_off,
            cost: Cost {
                wall_us: wall.as_micros() as u64,
                cpu_us: cpu.as_micros() as u64,
                rss_bytes: netwhy_sys::clock::peak_rss(),
                packets_sent: self.budget.spent().into(),
                events,
                lost,
            },
        };
        // Asked about another namespace, the commands have to speak of that one too.
        match self.options.place.within() {
            Some(within) => report.within(&within),
            None => report,
        }
    }

    fn netns_text(&self) -> String {
        let inode = self.facts.value::<netwhy_facts::host::Host>().map_or(0, |h| h.netns);
        match &self.options.place.name {
            Some(name) => format!("{name} (net:[{inode}])"),
            None => format!("net:[{inode}]"),
        }
    }

    /// What to tell whoever owns the far side: the flow, the time, the last good point.
    fn hand_off(&self, judgement: &engine::Judgement) -> HandOff {
        use netwhy_facts::path::Paths;
        let flow = self.question.flows.first();
        let last_hop = self.facts.latest::<Paths>().value().and_then(|p| {
            let path = p.0.first()?;
            path.hops.iter().rev().find_map(|h| h.replies.first().map(|r| (h.ttl, r.from)))
        });
        let answered = flow.is_some_and(|f| {
            self.facts.latest::<netwhy_facts::attempt::Attempts>().value().and_then(|a| a.of(f)).is_some_and(
                |a| {
                    use netwhy_facts::attempt::Outcome;
                    // A refusal without an ICMP error from elsewhere came from the target itself.
                    matches!(&a.outcome, Outcome::Ok | Outcome::ClosedEarly { .. })
                        || (matches!(&a.outcome, Outcome::Error { name, .. } if name == "ECONNREFUSED")
                            && a.icmp.iter().all(|e| e.from.is_none_or(|from| from == f.dst)))
                },
            )
        });
        let last_good = match (last_hop, flow) {
            (_, Some(f)) if answered => format!("{} itself: it answered", f.dst),
            (Some((ttl, from)), _) => format!("{from} (hop {ttl})"),
            _ => "this host: the packets left it".to_string(),
        };
        let text = match flow {
            Some(f) => format!(
                "{} {} -> {} at {}: {}. Last point that answered: {last_good}.",
                f.proto.name(),
                f.src.map(|s| s.to_string()).unwrap_or_else(|| "this host".into()),
                f.target(),
                rfc3339(self.started_unix_s),
                judgement.headline,
            ),
            None => judgement.headline.clone(),
        };
        HandOff { last_good, text }
    }
}

/// Seconds since 1970 as RFC 3339 in UTC (civil-from-days, proleptic Gregorian).
fn rfc3339(unix_s: i64) -> String {
    let days = unix_s.div_euclid(86_400);
    let s = unix_s.rem_euclid(86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(super::rfc3339(1_795_392_000), "2026-11-23T00:00:00Z");
    }
}
